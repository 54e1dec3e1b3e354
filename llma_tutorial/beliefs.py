r"""Beliefs: Bayes' rule, the filter, ties, draws, the lattice of beliefs, and the orders on them.

Primitives: states x in {0..X-1}; a belief pi is a distribution over states; an observation matrix B[x, y] = P(y | x);
a transition matrix P[x, x'] = P(next state x' | x); a utility u[x, a].

Equations
    Bayes' rule        posterior(x)  =  prior(x) likelihood(x) / sum_x' prior(x') likelihood(x')
    filter step        eta(x)        =  B[x, y] (P' pi)(x) / sum_x' B[x', y] (P' pi)(x')
    best response      a             =  argmax_a  sum_x eta(x) u(x, a),   ties by a stated rule
    draw               y             =  the first y with  P(0) + ... + P(y) > U,   U uniform on [0, 1)
    MLR order          p >= q        iff  p(j) q(i) >= p(i) q(j)  for all i < j
    TP2                every 2 x 2 minor of the matrix is non-negative

Ties decide results, so every model that acts has a field `tie_break`:
    "signal"   the action that the agent's own signal names, if it is among the tied (else the lowest index); signal y
               names action y, so there must be as many actions as signals
    "first"    the lowest index
    "random"   uniform among the tied, and observers know it
    None       the rule of the book, which every model takes if you name none: "signal" where there are as many actions
               as signals, otherwise "first"
Payoffs tie when they differ by less than `TIE_TOLERANCE` times the largest payoff.

Each mechanism is here once, for arrays with any leading axes; the rest of the package calls it.
Source: Krishnamurthy, Partially Observed Markov Decision Processes (CUP).
Chapters: `many-agents/social-learning`, `control/threshold-structure`, `reference/notation`.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate

TIE_TOLERANCE = 1e-9
TIE_BREAKS = ("signal", "first", "random")
MINOR_TOLERANCE = 1e-12


def bayes_update(prior: ArrayLike, likelihood: ArrayLike) -> np.ndarray:
    """Posterior belief from a prior and the likelihood of what was seen.

    Parameters
    ----------
    prior : array-like of shape (X,), or (..., X) for many at once
        Probabilities of the states, summing to 1 along the last axis.
    likelihood : array-like of shape (X,) or (..., X)
        Probability (or density, or any positive multiple of it) of the evidence in each state.

    Returns
    -------
    numpy.ndarray, of the shape to which the two broadcast

    Raises
    ------
    ValueError
        If the evidence has probability zero under the prior: no belief can answer it.

    Examples
    --------
    >>> bayes_update([0.5, 0.5], [0.3, 0.7])
    array([0.3, 0.7])
    """
    prior = _validate.probabilities("prior", prior, (None,) * max(np.ndim(prior), 1))
    likelihood = _validate.real_array(
        "likelihood", likelihood, (*(None,) * (max(np.ndim(likelihood), 1) - 1), prior.shape[-1])
    )
    if (likelihood < 0).any():
        raise ValueError(f"`likelihood` must not be negative. Got {likelihood.min():.6g}.")
    largest = likelihood.max(axis=-1, keepdims=True)  # a density may be too small or too large to multiply with
    belief, evidence = condition(prior * (likelihood / np.where(largest > 0, largest, 1)))
    if (evidence <= 0).any():
        place = tuple(int(i) for i in np.argwhere(evidence <= 0)[0])
        prior, likelihood = (np.broadcast_to(array, belief.shape)[place] for array in (prior, likelihood))
        raise ValueError(
            "`likelihood` must be positive in a state that `prior` holds possible. "
            f"Got prior {prior.tolist()} and likelihood {likelihood.tolist()}: the evidence is impossible."
        )
    return belief


def condition(joint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The Bayes step that the whole package shares: what a joint law of state and evidence says of the state.

    Parameters
    ----------
    joint : numpy.ndarray of shape (..., X)
        Prior times likelihood. Not checked.

    Returns
    -------
    belief : numpy.ndarray of shape (X,) or (..., X)
        `joint` divided by its sum; zero where the evidence is impossible, so that it carries no weight.
    evidence : numpy.ndarray of shape (...)
        Probability of the evidence.

    Examples
    --------
    >>> condition(np.array([[0.1, 0.3], [0.0, 0.0]]))
    (array([[0.25, 0.75],
           [0.  , 0.  ]]), array([0.4, 0. ]))
    """
    evidence = joint.sum(axis=-1)
    return joint / np.where(evidence > 0, evidence, 1)[..., None], evidence


def filter_step(
    belief: ArrayLike, observation_matrix: ArrayLike, observation: int, transition_matrix: ArrayLike | None = None
) -> np.ndarray:
    """One step of the Bayes filter: predict with the transition matrix, then update on the observation.

    Parameters
    ----------
    belief : array-like of shape (X,)
        Belief before the step.
    observation_matrix : array-like of shape (X, Y)
        ``B[x, y] = P(y | x)``; rows sum to 1.
    observation : int
        The observed y, in 0..Y-1.
    transition_matrix : array-like of shape (X, X), optional
        ``P[x, x']``; the identity (a fixed state) if omitted.

    Returns
    -------
    numpy.ndarray of shape (X,)

    Raises
    ------
    ValueError
        If the observation is impossible under the predicted belief.

    Examples
    --------
    >>> filter_step([0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]], 1)
    array([0.3, 0.7])
    """
    belief = _validate.probabilities("belief", belief, (None,))
    matrix = _validate.probabilities("observation_matrix", observation_matrix, (belief.size, None))
    observation = _validate.integer("observation", observation, 0, matrix.shape[1] - 1)
    if transition_matrix is not None:
        transition = _validate.probabilities("transition_matrix", transition_matrix, (belief.size, belief.size))
        belief = belief @ transition
        belief = belief / belief.sum()  # a long chain of steps must not drift off the simplex
    return bayes_update(belief, matrix[:, observation])


def best_actions(expected_utility: np.ndarray, scale: float) -> np.ndarray:
    """Mask of the actions whose expected utility is the largest, ties included.

    Parameters
    ----------
    expected_utility : numpy.ndarray of shape (..., A)
        Not checked: this is the test for ties that the whole package shares.
    scale : float or numpy.ndarray that broadcasts to (..., A)
        Largest payoff; utilities that differ by less than `TIE_TOLERANCE` times this are equal.

    Returns
    -------
    numpy.ndarray of bool, shape (..., A)

    Examples
    --------
    >>> best_actions(np.array([1.0, 3.0, 3.0]), scale=3.0)
    array([False,  True,  True])
    """
    largest = expected_utility.max(axis=-1, keepdims=True)
    return expected_utility >= largest - TIE_TOLERANCE * scale


def tie_rule(tie_break: str | None, n_signals: int, n_actions: int) -> str:
    """The rule for ties that holds in a model with so many signals and actions.

    Parameters
    ----------
    tie_break : {"signal", "first", "random"} or None
        None is the rule of the book, see the head of this module.
    n_signals, n_actions : int
        Y and A.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the rule is unknown, or is "signal" where signals do not name actions.

    Examples
    --------
    >>> tie_rule(None, 2, 2), tie_rule(None, 4, 2)
    ('signal', 'first')
    """
    if tie_break is None:
        return "signal" if n_signals == n_actions else "first"
    _validate.one_of("tie_break", tie_break, TIE_BREAKS)
    if tie_break == "signal" and n_signals != n_actions:
        raise ValueError(
            '`tie_break` must be "first" or "random" unless there is one action for each signal. '
            f"Got {n_signals} signals and {n_actions} actions."
        )
    return tie_break


def tie_law(
    values: np.ndarray, tie_break: str, *, scale: float | np.ndarray, own_action: int | np.ndarray | None = None
) -> np.ndarray:
    """The tie law that the whole package shares: probability of each action, given what each is worth.

    Parameters
    ----------
    values : numpy.ndarray of shape (..., A)
        Expected utilities. Not checked.
    tie_break : {"signal", "first", "random"}
        See the head of this module.
    scale : float or numpy.ndarray that broadcasts to (..., A)
        Largest payoff, against which a tie is told.
    own_action : int or numpy.ndarray of int that broadcasts to (...), optional
        The action that the agent's own signal names; needed by "signal".

    Returns
    -------
    numpy.ndarray of shape (..., A)

    Examples
    --------
    >>> tie_law(np.array([1.0, 3.0, 3.0]), "random", scale=3.0)
    array([0. , 0.5, 0.5])
    """
    tied = best_actions(values, scale)
    if tie_break == "random":
        return tied / tied.sum(axis=-1, keepdims=True)
    chosen = tied.argmax(axis=-1)
    if tie_break == "signal":
        if own_action is None:
            raise ValueError('`own_action` must be given when `tie_break` is "signal". Got None.')
        own = np.broadcast_to(own_action, chosen.shape)
        chosen = np.where(np.take_along_axis(tied, own[..., None], axis=-1)[..., 0], own, chosen)
    return np.eye(tied.shape[-1])[chosen]


def draw(law: np.ndarray, uniforms: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """The categorical draw that the whole package shares: from uniform numbers to indices.

    Parameters
    ----------
    law : numpy.ndarray of shape (K,) or (R, K)
        One distribution, or one in each row. Not checked.
    uniforms : numpy.ndarray
        Numbers from ``rng.random(...)``, one for each draw.
    rows : numpy.ndarray of int that broadcasts to the shape of `uniforms`, optional
        Which row each draw is from; if omitted, draw i is from row i.

    Returns
    -------
    numpy.ndarray of int, of the shape of `uniforms`
        Indices in 0..K-1, in the smallest type of whole numbers that holds them.

    Examples
    --------
    >>> draw(np.array([0.2, 0.5, 0.3]), np.array([0.1, 0.2, 0.69, 0.99])).tolist()
    [0, 1, 1, 2]
    """
    bounds = law.cumsum(axis=-1)[..., :-1]  # the last one is 1, up to rounding
    if law.ndim == 1:
        return np.searchsorted(bounds, uniforms, side="right").astype(_validate.smallest(len(law)))
    if rows is None:
        rows = np.arange(len(law))
    drawn = np.zeros(uniforms.shape, dtype=_validate.smallest(law.shape[-1]))
    if law.shape[-1] <= 64:
        for bound in bounds.T:
            drawn += uniforms >= bound[rows]
        return drawn
    rows = np.broadcast_to(rows, uniforms.shape)
    for row in np.unique(rows):
        drawn[rows == row] = np.searchsorted(bounds[row], uniforms[rows == row], side="right")
    return drawn


def lattice(n_states: int, steps: int) -> np.ndarray:
    """All beliefs whose probabilities are multiples of 1 / steps, in lexicographic order.

    Parameters
    ----------
    n_states : int
        X.
    steps : int
        Number of steps from one corner of the simplex to another.

    Returns
    -------
    numpy.ndarray of shape (n_beliefs, X)

    Examples
    --------
    >>> lattice(2, 2)
    array([[0. , 1. ],
           [0.5, 0.5],
           [1. , 0. ]])
    """
    n_states, steps = _validate.integer("n_states", n_states, 1), _validate.integer("steps", steps, 1)
    bars = list(combinations(range(steps + n_states - 1), n_states - 1))
    places = np.array(bars, dtype=int).reshape(len(bars), n_states - 1)
    edges = np.hstack([np.full((len(places), 1), -1), places, np.full((len(places), 1), steps + n_states - 1)])
    return (np.diff(edges, axis=1) - 1) / steps


def best_response(
    belief: ArrayLike,
    utility: ArrayLike,
    *,
    tie_break: str,
    own_action: int | None = None,
    rng: np.random.Generator | None = None,
) -> int:
    """Action with the largest expected utility at a belief.

    Parameters
    ----------
    belief : array-like of shape (X,)
        The agent's belief.
    utility : array-like of shape (X, A)
        Payoff u[x, a] in utils.
    tie_break : {"signal", "first", "random"}
        What to do when several actions tie; see the head of this module.
    own_action : int, optional
        The action that the agent's own signal names; needed by ``"signal"``.
    rng : numpy.random.Generator, optional
        Needed by ``"random"``.

    Returns
    -------
    int

    Examples
    --------
    >>> best_response([0.5, 0.5], [[1, 0], [0, 1]], tie_break="signal", own_action=1)
    1
    """
    belief = _validate.probabilities("belief", belief, (None,))
    utility = _validate.real_array("utility", utility, (belief.size, None))
    _validate.one_of("tie_break", tie_break, TIE_BREAKS)
    if own_action is not None:
        own_action = _validate.integer("own_action", own_action, 0, utility.shape[1] - 1)
    law = tie_law(belief @ utility, tie_break, scale=np.abs(utility).max(), own_action=own_action)
    if tie_break == "random":
        return int(_validate.generator(rng).choice(np.flatnonzero(law)))
    return int(law.argmax())


def mlr_dominates(p: ArrayLike, q: ArrayLike) -> bool | np.ndarray:
    """Whether belief `p` is at least `q` in the monotone likelihood ratio order.

    Parameters
    ----------
    p, q : array-like of shape (..., X)
        Beliefs, whose leading axes broadcast. ``p`` dominates when p(x)/q(x) never falls as x grows.

    Returns
    -------
    bool, or numpy.ndarray of bool of the shape of the leading axes

    Notes
    -----
    A partial order for X > 2, a total order for X = 2.

    Examples
    --------
    >>> mlr_dominates([0.1, 0.3, 0.6], [0.3, 0.3, 0.4])
    True
    """
    p = _validate.probabilities("p", p, (None,) * max(np.ndim(p), 1))
    q = _validate.probabilities("q", q, (*(None,) * (max(np.ndim(q), 1) - 1), p.shape[-1]))
    i, j = np.triu_indices(p.shape[-1], 1)
    largest = np.maximum(p.max(axis=-1), q.max(axis=-1))[..., None]
    above = (p[..., j] * q[..., i] - p[..., i] * q[..., j] >= -MINOR_TOLERANCE * largest**2).all(axis=-1)
    return bool(above) if above.ndim == 0 else above


def worst_minor(matrix: ArrayLike) -> tuple[float, tuple[int, int], tuple[int, int]] | None:
    """The most negative 2 x 2 minor of a matrix, with its rows and columns, or None if the matrix is TP2.

    Parameters
    ----------
    matrix : array-like of shape (n, m)
        A matrix with non-negative entries, such as B or P.

    Returns
    -------
    tuple of (minor, (row, row), (column, column)), or None

    Notes
    -----
    Minors above ``-1e-12`` (relative to the square of the largest entry) count as non-negative.
    All pairs of rows and columns are compared: adjacent minors suffice only when no entry is zero.

    Examples
    --------
    >>> worst_minor([[0.25, 0.75], [0.75, 0.25]])
    (-0.5, (0, 1), (0, 1))
    """
    matrix = _validate.real_array("matrix", matrix, (None, None))
    if (matrix < 0).any():
        raise ValueError(f"`matrix` must not be negative. Got {matrix.min():.6g}.")
    rows, columns = (np.triu_indices(length, 1) for length in matrix.shape)
    top, bottom = matrix[rows[0]], matrix[rows[1]]
    minors = top[:, columns[0]] * bottom[:, columns[1]] - top[:, columns[1]] * bottom[:, columns[0]]
    if not minors.size or minors.min() >= -MINOR_TOLERANCE * matrix.max() ** 2:
        return None
    r, c = (int(place) for place in np.unravel_index(minors.argmin(), minors.shape))
    pairs = ((int(first[i]), int(second[i])) for (first, second), i in ((rows, r), (columns, c)))
    return float(minors[r, c]), *pairs


def is_tp2(matrix: ArrayLike) -> bool:
    """Whether every 2 x 2 minor of a matrix is non-negative (totally positive of order 2); see `worst_minor`.

    Parameters
    ----------
    matrix : array-like of shape (n, m)
        A matrix with non-negative entries, such as B or P.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_tp2([[0.7, 0.3], [0.3, 0.7]])
    True
    """
    return worst_minor(matrix) is None
