"""Simulated runs of a policy, all runs (and all policies of a family) at once."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.control._problem import Policy, StoppingProblem, start_belief, stop_probability


@dataclass(frozen=True, eq=False)
class Runs:
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
        level = _validate.number("level", level, 0, 1)
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
) -> Runs:
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
    Runs
        With `.mean_cost` and `.interval(level)`.

    Raises
    ------
    ValueError
        If an argument is malformed.

    Notes
    -----
    Costs are those of the realised states. Chapter `control/optimal-stopping`.

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
    steps_to = np.cumsum(problem.observation_matrix, axis=1)[:, :-1]
    moves_to = np.cumsum(problem.transition_matrix, axis=1)[:, :-1]
    state = (rng.random(n_runs)[:, None] > np.cumsum(belief)[:-1]).sum(axis=1)
    shape = (n_policies, n_runs)
    costs, running, stop_times = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=np.int64)
    states, actions = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    alive, runs = np.ones(shape, dtype=bool), np.arange(n_runs)
    beliefs, spent = np.tile(belief, (n_runs, 1)), np.zeros(n_runs)
    for step in range(horizon + 1):
        chance = stop_probability(policy, beliefs)
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
            state = (draws[2, :, None] > moves_to[before]).sum(axis=1)
        seen = (draws[1, :, None] > steps_to[state]).sum(axis=1)
        spent = spent + problem.discount**step * problem.realised_cost(beliefs, before, seen)
        joint = (beliefs @ problem.transition_matrix) * problem.observation_matrix.T[seen]
        beliefs = joint / joint.sum(axis=1, keepdims=True)
    results = costs, running, stop_times, states, actions
    single = np.ndim(policy(belief[None])) == 1
    return Runs(*(result[0] if single else result for result in results))
