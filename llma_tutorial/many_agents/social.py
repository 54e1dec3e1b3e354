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

Where things stand, all of them importable from here: the models `SocialLearning` and `MixedLine` in `society.py`;
`cascade_region` and `herd_length` in `regions.py`; `exact_law`, what happens with which probability, in `exact.py`;
`simulate`, which draws it, in `simulation.py`; agents who see some of their predecessors only in `views.py`.

Sources: Bikhchandani, Hirshleifer & Welch (1992); Smith & Sorensen (2000); Krishnamurthy, Partially Observed Markov
Decision Processes. Chapters: `many-agents/social-learning`, `many-agents/cascades`, `many-agents/three-states`.
"""

from __future__ import annotations

from itertools import combinations_with_replacement
from math import factorial, prod

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.many_agents.exact import ExactLaw, exact_law
from llma_tutorial.many_agents.line import simulate_line
from llma_tutorial.many_agents.regions import CascadeRegion, cascade_region, herd_length
from llma_tutorial.many_agents.simulation import Simulation, simulate
from llma_tutorial.many_agents.society import MixedLine, SocialLearning
from llma_tutorial.many_agents.views import PartialView, ViewLaw, simulate_view, view_law

__all__ = [
    "CascadeRegion",
    "ExactLaw",
    "MixedLine",
    "PartialView",
    "Simulation",
    "SocialLearning",
    "ViewLaw",
    "cascade_region",
    "exact_law",
    "herd_length",
    "repeated_observations",
    "simulate",
    "simulate_line",
    "simulate_view",
    "view_law",
]


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
