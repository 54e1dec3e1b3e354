r"""Optimal stopping: observe and pay, or stop and act; what any policy costs, and what the best one does.

Model and Bellman equation stand in `problems`, the certified solver in `bounds`, the theorem on its shape in
`structure`; all are importable from here. Two states can be solved in a few lines, and should be read first:

    grid, value = lattice(2, 400), np.zeros(401)
    for _ in range(2000):  # rho^2000 is what is left of the start
        value = bellman_operator(problem, grid, lambda later: np.interp(later[:, 1], grid[::-1, 1], value[::-1]))

That has no certificate: `solve` brackets the optimal cost at every belief. Here are the other routes.

    evaluate     the cost of a policy, exactly on the beliefs that it can reach from the first one; with a fixed state
                 histories with the same counts share a belief. What had to be dropped widens a bracket.
    solve_from   backward induction on the beliefs reachable from one; also for costs that are not linear in the belief
    simulate     runs of a policy, all runs and all policies of a family at once, with common random numbers

Source: Krishnamurthy, Partially Observed Markov Decision Processes (CUP). Chapters: `control/optimal-stopping`,
`control/threshold-structure`, `control/incentives`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from llma_tutorial import _validate
from llma_tutorial.beliefs import condition, draw
from llma_tutorial.control.bounds import Solution, solve
from llma_tutorial.control.problems import (
    Policy,
    StoppingProblem,
    bellman_operator,
    greedy,
    quickest_detection,
    quickest_herding,
    start_belief,
    stop_probability,
    wald,
)
from llma_tutorial.control.structure import Structure, check_structure, switching_curve

__all__ = [
    "Evaluation",
    "LocalSolution",
    "Solution",
    "StoppingProblem",
    "StoppingRuns",
    "Structure",
    "bellman_operator",
    "check_structure",
    "evaluate",
    "greedy",
    "quickest_detection",
    "quickest_herding",
    "simulate",
    "solve",
    "solve_from",
    "switching_curve",
    "wald",
]

NEGLIGIBLE = 1e-16  # reachable beliefs less likely than this are dropped; the bracket accounts for them


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Exact cost of a policy; every array has a leading axis of length m if a family of m policies was evaluated.

    Attributes
    ----------
    lower, upper : numpy.ndarray of shape ()
        Bracket around the expected discounted cost.
    running_cost : numpy.ndarray of shape ()
        The part of `lower` paid before stopping.
    stop_times : numpy.ndarray of shape (steps,)
        Probability of stopping in each step.
    outcome : numpy.ndarray of shape (X, A)
        Probability of the state when stopping and the final action.
    """

    lower: np.ndarray
    upper: np.ndarray
    running_cost: np.ndarray
    stop_times: np.ndarray
    outcome: np.ndarray

    @property
    def mean_stop_time(self) -> np.ndarray:
        """Mean number of steps before stopping, in the runs that stop."""
        return self.stop_times @ np.arange(self.stop_times.shape[-1]) / self.stop_times.sum(axis=-1)


@dataclass(frozen=True, eq=False)
class LocalSolution:
    """A problem solved on the beliefs that can be reached from one of them; made by `solve_from`.

    Attributes
    ----------
    lower, upper : float
        Bracket around the optimal cost at the first belief.
    beliefs : numpy.ndarray of shape (n, X)
        Reachable beliefs at which the bracket decides.
    stops : numpy.ndarray of shape (n,)
        Whether stopping is optimal there.
    """

    lower: float
    upper: float
    beliefs: np.ndarray
    stops: np.ndarray

    def policy(self, beliefs: np.ndarray) -> np.ndarray:
        """Whether to stop: what is optimal at the nearest reachable belief."""
        return self.stops[self._nearest.query(beliefs)[1]]

    @cached_property
    def _nearest(self) -> cKDTree:
        return cKDTree(self.beliefs)


def _merge(problem: StoppingProblem, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows that represent each distinct belief, and the representative's place for every row.

    With a fixed state, beliefs are equal when every observation was made equally often; otherwise none are merged.
    """
    if not problem.fixed_state:
        return np.arange(len(counts)), np.arange(len(counts))
    key = counts[:, 0].astype(np.int64)
    for column in counts.T[1:-1]:
        key = key * (counts.sum(axis=1).max() + 1) + column
    _, first, place = np.unique(key, return_index=True, return_inverse=True)
    return first, place.reshape(-1)


def evaluate(
    problem: StoppingProblem,
    policy: Policy,
    belief: ArrayLike | None = None,
    *,
    horizon: int | None = None,
    tolerance: float = 1e-6,
    max_beliefs: int = 20_000,
) -> Evaluation:
    """Expected cost of a policy, exactly on the beliefs that it can reach.

    Parameters
    ----------
    problem : StoppingProblem
    policy : callable
        From beliefs (n, X) to stopping decisions, probabilities or words, of shape (n,) or (m, n).
    belief : array-like of shape (X,), optional
        First belief; uniform if omitted.
    horizon : int, optional
        Step in which every run must stop. Without it, steps are added until the bracket is as narrow as asked.
    tolerance : float
        Largest width of the bracket.
    max_beliefs : int
        Most beliefs kept in a step; the least likely are dropped and widen the bracket.

    Raises
    ------
    ValueError
        If what had to be dropped makes the bracket wider than asked; `simulate` covers such problems.

    Notes
    -----
    With a fixed state, histories with the same counts share a belief, so the work grows slowly with time; a changing
    state merges nothing.

    Examples
    --------
    >>> from llma_tutorial.control import stopping
    >>> problem = stopping.wald([[0.7, 0.3], [0.3, 0.7]], [[0, 20], [20, 0]], 0.99)
    >>> costs = evaluate(problem, lambda beliefs: np.abs(beliefs[:, 1] - 0.5) > 0.25)
    >>> round(float(costs.lower), 6)
    6.380775
    """
    belief = start_belief(problem, belief)
    tolerance = _validate.number("tolerance", tolerance, 0)
    max_beliefs = _validate.integer("max_beliefs", max_beliefs, 1)
    if horizon is not None:
        horizon = _validate.integer("horizon", horizon, 0)
    lowest, highest = problem.cost_range
    beliefs, counts = belief[None], np.zeros((1, problem.observation_matrix.shape[1]), dtype=np.int64)
    alive = np.ones((len(stop_probability(policy, beliefs)), 1))
    cost, running, dropped = (np.zeros(len(alive)) for _ in range(3))
    outcome, stop_times = np.zeros((len(alive), *problem.stop_cost.shape)), []
    for step in itertools.count():
        weight = problem.discount**step
        unknown = dropped + weight * alive.sum(axis=1) * (horizon is None)
        if unknown.max() * (highest - lowest) <= tolerance and (horizon is None or not len(beliefs)):
            break
        if dropped.max() * (highest - lowest) > tolerance:
            raise ValueError(
                f"`tolerance` must be one that {max_beliefs} beliefs can reach. Got {tolerance:g}: the bracket was "
                f"{dropped.max() * (highest - lowest):.3g} wide after {step} steps; raise `max_beliefs`, set a "
                "`horizon`, or simulate."
            )
        stopping = alive * (1 if step == horizon else stop_probability(policy, beliefs, len(alive)))
        alive = alive - stopping
        stop_times.append(stopping.sum(axis=1))
        action = problem.stop_action(beliefs)
        for a in range(outcome.shape[2]):
            outcome[:, :, a] += stopping[:, action == a] @ beliefs[action == a]
        paid = weight * alive @ problem.running_cost(beliefs)
        running += paid
        cost += paid + weight * stopping @ problem.stopping_cost(beliefs)
        if step == horizon:
            unknown = dropped
            break
        beliefs, counts, alive, lost = _next_step(problem, beliefs, counts, alive, max_beliefs)
        dropped += weight * problem.discount * lost
    results = cost + unknown * lowest, cost + unknown * highest, running, np.array(stop_times).T, outcome
    single = np.ndim(policy(belief[None])) == 1
    return Evaluation(*(result[0] if single else result for result in results))


def _next_step(
    problem: StoppingProblem, beliefs: np.ndarray, counts: np.ndarray, alive: np.ndarray, max_beliefs: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Beliefs after one more observation, their counts and masses (m, n), and the mass (m,) that was dropped."""
    n_symbols = counts.shape[1]
    probability, following = problem.successors(beliefs)
    alive = (alive[:, :, None] * probability).reshape(len(alive), -1)
    counts = (counts[:, None] + np.eye(n_symbols, dtype=np.int64)).reshape(-1, n_symbols)
    first, place = _merge(problem, counts)
    merged = np.array([np.bincount(place, weights=masses, minlength=len(first)) for masses in alive])
    likely = merged.max(axis=0)
    keep = likely > NEGLIGIBLE
    if keep.sum() > max_beliefs:
        keep &= likely >= np.partition(likely, -max_beliefs)[-max_beliefs]
    kept = first[keep]
    return following.reshape(-1, problem.n_states)[kept], counts[kept], merged[:, keep], merged[:, ~keep].sum(axis=1)


def solve_from(
    problem: StoppingProblem, belief: ArrayLike | None = None, *, tolerance: float = 1e-6, max_beliefs: int = 4_000_000
) -> LocalSolution:
    """Solve a problem with a fixed state from one belief, by backward induction on the beliefs reachable from it.

    Parameters
    ----------
    problem : StoppingProblem
        With a fixed state. The cost of continuing need not be linear in the belief.
    belief : array-like of shape (X,), optional
        First belief; uniform if omitted.
    tolerance : float
        Largest width of the bracket at the first belief.
    max_beliefs : int
        Most reachable beliefs, over all steps.

    Raises
    ------
    ValueError
        If the state changes, or more beliefs are reachable than allowed: the message says how many.

    Notes
    -----
    Histories with the same counts share a belief. After so many steps that the discounted rest is within the
    tolerance, the value is bracketed by the lowest cost possible and the cost of stopping. Two symbols are a matter
    of a second at a discount of 0.99.

    Examples
    --------
    >>> from llma_tutorial.control import stopping
    >>> problem = stopping.wald([[0.7, 0.3], [0.3, 0.7]], [[0, 20], [20, 0]], 0.9)
    >>> local = solve_from(problem)
    >>> lower, upper = stopping.solve(problem).value([0.5, 0.5])
    >>> bool(lower <= local.upper and local.lower <= upper)
    True
    """
    belief = start_belief(problem, belief)
    tolerance = _validate.number("tolerance", tolerance, 0)
    max_beliefs = _validate.integer("max_beliefs", max_beliefs, 1)
    lowest, highest = problem.cost_range
    if not problem.fixed_state:
        raise ValueError("`problem` must have a fixed state: a changing one merges no beliefs. Use solve or simulate.")
    if tolerance == 0:
        raise ValueError("`tolerance` must be positive. Got 0.")
    n_symbols = problem.observation_matrix.shape[1]
    counts = np.zeros((1, n_symbols), dtype=np.int64)
    levels, total, weight = [(belief[None], None, None)], 1, highest - lowest
    while weight > tolerance:
        beliefs = levels[-1][0]
        probability, following = problem.successors(beliefs)
        counts = (counts[:, None] + np.eye(n_symbols, dtype=np.int64)).reshape(-1, n_symbols)
        first, place = _merge(problem, counts)
        counts = counts[first]
        levels[-1] = (beliefs, probability, place.reshape(-1, n_symbols))
        levels.append((following.reshape(-1, problem.n_states)[first], None, None))
        total, weight = total + len(first), weight * problem.discount
        if total > max_beliefs:
            raise ValueError(
                f"`max_beliefs` must cover the beliefs reachable until the rest is within the tolerance. Got "
                f"{max_beliefs} for {len(levels) - 1} steps, when {weight:.3g} was still open; raise it or `tolerance`."
            )
    upper = problem.stopping_cost(levels[-1][0])
    lower = np.minimum(lowest, upper)
    known, stops = [], []
    for beliefs, probability, place in levels[-2::-1]:
        stop, running = problem.stopping_cost(beliefs), problem.running_cost(beliefs)
        low, high = (running + problem.discount * (probability * bound[place]).sum(axis=1) for bound in (lower, upper))
        decided = (stop <= low) | (high < stop)
        known.append(beliefs[decided])
        stops.append((stop <= low)[decided])
        lower, upper = np.minimum(stop, low), np.minimum(stop, high)
    return LocalSolution(float(lower[0]), float(upper[0]), np.concatenate(known[::-1]), np.concatenate(stops[::-1]))


def confidence_level(level: float) -> float:
    """`level`, which must lie strictly between 0 and 1: no other interval is finite and not empty."""
    if _validate.number("level", level, 0, 1) in (0, 1):
        raise ValueError(f"`level` must be above 0 and below 1. Got {level:g}.")
    return float(level)


@dataclass(frozen=True, eq=False)
class StoppingRuns:
    """Simulated runs of a policy; every array has a leading axis of length m for a family of m policies.

    Attributes
    ----------
    costs : numpy.ndarray of shape (n_runs,)
        Discounted cost of each run.
    running_costs : numpy.ndarray of shape (n_runs,)
        The part of it paid before stopping.
    stop_times, states, actions : numpy.ndarray of shape (n_runs,)
        Step in which the run stopped, state then, final action.
    """

    costs: np.ndarray
    running_costs: np.ndarray
    stop_times: np.ndarray
    states: np.ndarray
    actions: np.ndarray

    @property
    def mean_cost(self) -> np.ndarray:
        """Average cost of the runs."""
        return self.costs.mean(axis=-1)

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Normal confidence interval for the expected cost."""
        level = confidence_level(level)
        error = self.costs.std(axis=-1, ddof=1) / np.sqrt(self.costs.shape[-1])
        reach = NormalDist().inv_cdf((1 + level) / 2) * error
        return self.mean_cost - reach, self.mean_cost + reach


def simulate(
    problem: StoppingProblem,
    policy: Policy,
    n_runs: int,
    belief: ArrayLike | None = None,
    *,
    horizon: int | None = None,
    rng: np.random.Generator,
) -> StoppingRuns:
    """Simulate runs of a policy; a family of policies meets the same states and observations (common random numbers).

    Parameters
    ----------
    problem : StoppingProblem
    policy : callable
        From beliefs (n, X) to stopping decisions, probabilities or words, of shape (n,) or (m, n).
    n_runs : int
        Number of runs, at least 2.
    belief : array-like of shape (X,), optional
        First belief, from which the first state is drawn; uniform if omitted.
    horizon : int, optional
        Step in which every run must stop. By default so late that what follows weighs less than 1e-6 of a cost.
    rng : numpy.random.Generator
        Consumed by run and step, whatever the policy: the same seed gives every policy the same world.

    Returns
    -------
    StoppingRuns
        With `.mean_cost` and `.interval(level)`.

    Notes
    -----
    Costs are those of the realised states.

    Examples
    --------
    >>> from llma_tutorial.control import stopping
    >>> problem = stopping.wald([[0.7, 0.3], [0.3, 0.7]], [[0, 20], [20, 0]], 0.99)
    >>> runs = simulate(problem, stopping.solve(problem).policy, 20_000, rng=np.random.default_rng(1))
    >>> low, high = runs.interval()
    >>> bool(low < 6.380775 < high)
    True
    """
    rng = _validate.generator(rng)
    n_runs = _validate.integer("n_runs", n_runs, 2)
    belief = start_belief(problem, belief)
    if horizon is None:
        horizon = 1 if problem.discount == 0 else int(np.ceil(np.log(1e-6) / np.log(problem.discount)))
    horizon = _validate.integer("horizon", horizon, 0)
    n_policies = len(stop_probability(policy, belief[None]))
    state = draw(belief, rng.random(n_runs))
    shape = (n_policies, n_runs)
    costs, running, stop_times = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=np.int64)
    states, actions = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    alive, runs = np.ones(shape, dtype=bool), np.arange(n_runs)
    beliefs, spent = np.tile(belief, (n_runs, 1)), np.zeros(n_runs)
    for step in range(horizon + 1):
        chance = stop_probability(policy, beliefs, n_policies)
        draws = rng.random((2 if problem.fixed_state else 3, n_runs))[:, runs]
        stops = alive if step == horizon else alive & (draws[0] < chance)
        which, column = np.nonzero(stops)
        action = problem.stop_action(beliefs)[column]
        place = which, runs[column]
        running[place], stop_times[place] = spent[column], step
        states[place], actions[place] = state[column], action
        costs[place] = spent[column] + problem.discount**step * problem.stop_cost[state[column], action]
        alive = alive & ~stops
        going = alive.any(axis=0)
        if not going.any():
            break
        before, runs, alive, draws = state[going], runs[going], alive[:, going], draws[:, going]
        beliefs, spent, state = beliefs[going], spent[going], before
        if not problem.fixed_state:
            state = draw(problem.transition_matrix, draws[2], before)
        seen = draw(problem.observation_matrix, draws[1], state)
        spent = spent + problem.discount**step * problem.realised_cost(beliefs, before, seen)
        beliefs, _ = condition((beliefs @ problem.transition_matrix) * problem.observation_matrix.T[seen])
    results = costs, running, stop_times, states, actions
    single = np.ndim(policy(belief[None])) == 1
    return StoppingRuns(*(result[0] if single else result for result in results))
