r"""Beliefs: Bayes' rule, the filter, best responses, and the orders on beliefs.

Primitives: states x in {0..X-1}; a belief pi is a distribution over states; an observation matrix B[x, y] = P(y | x);
a transition matrix P[x, x'] = P(next state x' | x); a utility u[x, a].

Equations
    Bayes' rule        posterior(x)  =  prior(x) likelihood(x) / sum_x' prior(x') likelihood(x')
    filter step        eta(x)        =  B[x, y] (P' pi)(x) / sum_x' B[x', y] (P' pi)(x')
    best response      a             =  argmax_a  sum_x eta(x) u(x, a),   ties by a stated rule
    MLR order          p >= q        iff  p(j) q(i) >= p(i) q(j)  for all i < j
    TP2                every 2 x 2 minor of the matrix is non-negative

All functions are exact up to rounding; ties are compared with the tolerance `TIE_TOLERANCE`, relative to the
largest payoff. Source: Krishnamurthy, Partially Observed Markov Decision Processes (CUP).
Chapters: `many-agents/social-learning`, `reference/notation`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate

TIE_TOLERANCE = 1e-9
TIE_BREAKS = ("signal", "first", "random")


def bayes_update(prior: ArrayLike, likelihood: ArrayLike) -> np.ndarray:
    """Posterior belief from a prior and the likelihood of what was seen.

    Parameters
    ----------
    prior : array-like of shape (X,)
        Probabilities of the states, summing to 1.
    likelihood : array-like of shape (X,)
        Probability (or density, or any positive multiple of it) of the evidence in each state.

    Returns
    -------
    numpy.ndarray of shape (X,)

    Raises
    ------
    ValueError
        If the evidence has probability zero under the prior: no belief can answer it.

    Notes
    -----
    Derived in the chapter `many-agents/social-learning`.

    Examples
    --------
    >>> bayes_update([0.5, 0.5], [0.3, 0.7])
    array([0.3, 0.7])
    """
    prior = _validate.probabilities("prior", prior, (None,))
    likelihood = _validate.real_array("likelihood", likelihood, prior.shape)
    if (likelihood < 0).any():
        raise ValueError(f"`likelihood` must not be negative. Got {likelihood.min():.6g}.")
    largest = likelihood.max()
    joint = prior * (likelihood / largest) if largest > 0 else np.zeros_like(prior)
    total = joint.sum()
    if total <= 0:
        raise ValueError(
            "`likelihood` must be positive in a state that `prior` holds possible. "
            f"Got prior {prior.tolist()} and likelihood {likelihood.tolist()}: the evidence is impossible."
        )
    return joint / total


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

    Notes
    -----
    Derived in the chapter `many-agents/social-learning`.

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
        belief = belief / belief.sum()
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

    Notes
    -----
    Ties are explained in the chapter `many-agents/social-learning`, section "Ties".

    Examples
    --------
    >>> best_actions(np.array([1.0, 3.0, 3.0]), scale=3.0)
    array([False,  True,  True])
    """
    largest = expected_utility.max(axis=-1, keepdims=True)
    return expected_utility >= largest - TIE_TOLERANCE * scale


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
        What to do when several actions tie: follow `own_action` if it is among them (else take the lowest),
        take the lowest index, or draw uniformly among the tied.
    own_action : int, optional
        The action that the agent's own signal names; needed by ``"signal"``.
    rng : numpy.random.Generator, optional
        Needed by ``"random"``.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If an array is malformed, or the tie rule lacks what it needs.

    Notes
    -----
    Derived in the chapter `many-agents/social-learning`, section "Ties".

    Examples
    --------
    >>> best_response([0.5, 0.5], [[1, 0], [0, 1]], tie_break="signal", own_action=1)
    1
    """
    belief = _validate.probabilities("belief", belief, (None,))
    utility = _validate.real_array("utility", utility, (belief.size, None))
    _validate.one_of("tie_break", tie_break, TIE_BREAKS)
    tied = np.flatnonzero(best_actions(belief @ utility, np.abs(utility).max()))
    if tie_break == "signal":
        if own_action is None:
            raise ValueError('`own_action` must be given when `tie_break` is "signal". Got None.')
        own_action = _validate.integer("own_action", own_action, 0, utility.shape[1] - 1)
        return own_action if own_action in tied else int(tied[0])
    if tie_break == "random":
        return int(_validate.generator(rng).choice(tied))
    return int(tied[0])


def mlr_dominates(p: ArrayLike, q: ArrayLike) -> bool:
    """Whether belief `p` is at least `q` in the monotone likelihood ratio order.

    Parameters
    ----------
    p, q : array-like of shape (X,)
        Two beliefs. ``p`` dominates when p(x)/q(x) never falls as x grows.

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        If either is not a distribution, or their lengths differ.

    Notes
    -----
    A partial order for X > 2, a total order for X = 2. Chapter `control/threshold-structure`.

    Examples
    --------
    >>> mlr_dominates([0.1, 0.3, 0.6], [0.3, 0.3, 0.4])
    True
    """
    p = _validate.probabilities("p", p, (None,))
    q = _validate.probabilities("q", q, p.shape)
    return is_tp2(np.stack([q, p]))


def is_tp2(matrix: ArrayLike) -> bool:
    """Whether every 2 x 2 minor of a matrix is non-negative (totally positive of order 2).

    Parameters
    ----------
    matrix : array-like of shape (n, m)
        A matrix with non-negative entries, such as B or P.

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        If the matrix is malformed or has a negative entry.

    Notes
    -----
    Minors above ``-1e-12`` (relative to the square of the largest entry) count as non-negative.
    All pairs of rows and columns are compared: adjacent minors suffice only when no entry is zero.
    Chapter `control/threshold-structure`.

    Examples
    --------
    >>> is_tp2([[0.7, 0.3], [0.3, 0.7]])
    True
    """
    matrix = _validate.real_array("matrix", matrix, (None, None))
    if (matrix < 0).any():
        raise ValueError(f"`matrix` must not be negative. Got {matrix.min():.6g}.")
    rows, columns = (np.triu_indices(length, 1) for length in matrix.shape)
    top, bottom = matrix[rows[0]], matrix[rows[1]]
    minors = top[:, columns[0]] * bottom[:, columns[1]] - top[:, columns[1]] * bottom[:, columns[0]]
    return bool((minors >= -1e-12 * matrix.max() ** 2).all())
