r"""Bayesian social learning: a line of agents who act on their own signal and on what others did before them.

Primitives: a state x with prior pi_0 (and transitions P[x, x'], the identity if the state is fixed); agent k = 0, 1,
... receives y_k ~ B[x_k, :], sees the actions of all its predecessors but not their signals, and takes the action with
the largest expected utility u[x, a] at its private belief. Everybody knows this, so the public belief pi_k follows

    private belief   eta(x)     =  B[x, y] (P' pi_k)(x), normalised
    action           a_k        =  argmax_a  sum_x eta(x) u(x, a)           ties by the rule `tie_break`
    public belief    pi_{k+1}   =  R_a P' pi_k, normalised,   R_a(x) = sum_y B[x, y] P(a | pi_k, y)

A cascade on action a has begun when every signal leads to a; then R_a = 1 and, for a fixed state, the public belief
never moves again. `assumed_prior` and `assumed_observation_matrix` are what the agents believe when that differs from
the truth.

`exact_law` (in `exact.py`) computes what happens with which probability, `simulate` (in `simulation.py`) draws it.

Sources: Bikhchandani, Hirshleifer & Welch (1992); Smith & Sorensen (2000); Krishnamurthy, Partially Observed Markov
Decision Processes. Chapters: `many-agents/social-learning`, `many-agents/cascades`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import factorial, prod

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.beliefs import TIE_BREAKS
from llma_tutorial.many_agents._public_beliefs import PublicBeliefs
from llma_tutorial.many_agents.exact import ExactLaw, exact_law
from llma_tutorial.many_agents.simulation import Simulation, simulate

__all__ = [
    "CascadeRegion",
    "ExactLaw",
    "Simulation",
    "SocialLearning",
    "cascade_region",
    "exact_law",
    "repeated_observations",
    "simulate",
]


@dataclass(frozen=True, eq=False)
class SocialLearning:
    """A line of agents who learn from their own signal and from each other's actions.

    Parameters
    ----------
    observation_matrix : array-like of shape (X, Y)
        ``B[x, y] = P(y | x)``, the law of each agent's private signal; rows sum to 1.
    utility : array-like of shape (X, A)
        Payoff u[x, a] in utils, the same for every agent.
    prior : array-like of shape (X,)
        Law of the state before the first agent.
    transition_matrix : array-like of shape (X, X), optional
        ``P[x, x']``, one transition before each agent; the state is fixed if omitted.
    tie_break : {"signal", "first", "random"}
        What an indifferent agent does: follow its own signal (needs Y == A), take the lowest action, or draw
        uniformly among the tied actions. Observers know the rule.
    assumed_prior : array-like of shape (X,), optional
        The prior that the agents hold, if it differs from `prior`.
    assumed_observation_matrix : array-like of shape (X, Y), optional
        The matrix that the agents believe in, if it differs from `observation_matrix`.

    Raises
    ------
    ValueError
        If a shape or a distribution is malformed, or ties go to the signal although Y differs from A.

    Notes
    -----
    Derived in the chapter `many-agents/social-learning`.

    Examples
    --------
    >>> society = SocialLearning([[0.7, 0.3], [0.3, 0.7]], [[1, 0], [0, 1]], [0.5, 0.5])
    >>> law = exact_law(society, 200)
    >>> print(f"{law.correct_cascade_probability:.6f} {law.expected_onset:.6f}")
    0.844828 3.448276
    """

    observation_matrix: ArrayLike
    utility: ArrayLike
    prior: ArrayLike
    transition_matrix: ArrayLike | None = None
    tie_break: str = "signal"
    assumed_prior: ArrayLike | None = None
    assumed_observation_matrix: ArrayLike | None = None

    def __post_init__(self) -> None:
        prior = _validate.probabilities("prior", self.prior, (None,))
        matrix = _validate.probabilities("observation_matrix", self.observation_matrix, (prior.size, None))
        utility = _validate.real_array("utility", self.utility, (prior.size, None))
        _validate.one_of("tie_break", self.tie_break, TIE_BREAKS)
        if self.tie_break == "signal" and matrix.shape[1] != utility.shape[1]:
            raise ValueError(
                '`tie_break` must be "first" or "random" unless there is one action for each signal. '
                f'Got "signal" with {matrix.shape[1]} signals and {utility.shape[1]} actions.'
            )
        checked = {"prior": prior, "observation_matrix": matrix, "utility": utility}
        for name, reference in (("assumed_prior", prior), ("assumed_observation_matrix", matrix)):
            given = getattr(self, name)
            checked[name] = reference if given is None else _validate.probabilities(name, given, reference.shape)
        if self.transition_matrix is not None:
            shape = (prior.size, prior.size)
            checked["transition_matrix"] = _validate.probabilities("transition_matrix", self.transition_matrix, shape)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def correct(self) -> np.ndarray:
        """Mask of shape (X, A): the actions that are best in each state."""
        return self.utility >= self.utility.max(axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class CascadeRegion:
    """The public beliefs at which every signal leads to one action, made by `cascade_region`.

    Attributes
    ----------
    action : int
        The action of the cascade.
    half_spaces : numpy.ndarray of shape (H, X)
        The closed region is ``{belief: half_spaces @ belief <= 0}``; the tie rule decides its boundary.
    interval : tuple of float, or None
        Two states only: smallest and largest probability of state 1 in the closure; None if the region is empty.
    """

    society: SocialLearning
    action: int
    half_spaces: np.ndarray
    interval: tuple[float, float] | None

    def contains(self, belief: ArrayLike) -> bool:
        """Whether an agent with this (predicted) public belief takes the action whatever its signal, ties included."""
        belief = _validate.probabilities("belief", belief, self.society.prior.shape)
        return PublicBeliefs(self.society).choices(belief[None]).cascade[0] == self.action


def cascade_region(society: SocialLearning, action: int) -> CascadeRegion:
    """The set of public beliefs at which agents take `action` whatever they see.

    Parameters
    ----------
    society : SocialLearning
    action : int
        In 0..A-1.

    Returns
    -------
    CascadeRegion
        With a membership test, the half-spaces, and for two states the interval. Beliefs are those just before the
        signal arrives: with a moving state, after the prediction step.

    Raises
    ------
    ValueError
        If the action does not exist.

    Notes
    -----
    Derived in the chapter `many-agents/cascades`.

    Examples
    --------
    >>> society = SocialLearning([[0.7, 0.3], [0.3, 0.7]], [[1, 0], [0, 1]], [0.5, 0.5])
    >>> print("{:.2f} to {:.2f}".format(*cascade_region(society, 1).interval))
    0.70 to 1.00
    """
    utility = society.utility
    action = _validate.integer("action", action, 0, utility.shape[1] - 1)
    gains = np.delete(utility - utility[:, [action]], action, axis=1)  # what each other action would add, (X, A-1)
    half_spaces = np.einsum("xy,xb->ybx", society.assumed_observation_matrix, gains).reshape(-1, utility.shape[0])
    region = CascadeRegion(society, action, half_spaces, None)
    if utility.shape[0] == 2:
        object.__setattr__(region, "interval", _interval(region))
    return region


def _interval(region: CascadeRegion) -> tuple[float, float] | None:
    """Intersect the half-lines {p : c0 (1 - p) + c1 p <= 0} on [0, 1]; ties decide whether its middle is in it."""
    low, high = 0.0, 1.0
    for c0, c1 in region.half_spaces:
        if c1 > c0:
            high = min(high, float(c0 / (c0 - c1)))
        elif c1 < c0:
            low = max(low, float(c0 / (c0 - c1)))
        elif c0 > 0:
            return None
    if not 0 <= low <= high <= 1:
        return None
    if region.contains([(2 - low - high) / 2, (low + high) / 2]):
        return low, high
    members = [p for p in (low, high) if region.contains([1 - p, p])]  # ties all through: certainty at most
    return (members[0], members[-1]) if members else None


def repeated_observations(observation_matrix: ArrayLike, n_observations: int) -> np.ndarray:
    """Observation matrix of an agent that receives several independent signals at once.

    Parameters
    ----------
    observation_matrix : array-like of shape (X, Y)
        Law of one signal.
    n_observations : int
        How many signals each agent receives.

    Returns
    -------
    numpy.ndarray of shape (X, number of multisets)
        One column for each multiset of signals (their order says nothing), from all-0 to all-(Y-1).

    Raises
    ------
    ValueError
        If the matrix is malformed or the number is below one.

    Notes
    -----
    Used in the chapter `many-agents/cascades`, section "More eyes per agent".

    Examples
    --------
    >>> repeated_observations([[0.7, 0.3], [0.3, 0.7]], 2).round(2).tolist()
    [[0.49, 0.42, 0.09], [0.09, 0.42, 0.49]]
    """
    matrix = _validate.probabilities("observation_matrix", observation_matrix, (None, None))
    n_observations = _validate.integer("n_observations", n_observations, 1)
    columns = []
    for signals in combinations_with_replacement(range(matrix.shape[1]), n_observations):
        counts = np.bincount(signals, minlength=matrix.shape[1])
        orders = factorial(n_observations) // prod(factorial(count) for count in counts.tolist())
        columns.append(orders * (matrix**counts).prod(axis=1))
    return np.stack(columns, axis=1)
