"""Simulated lines of agents at a bandit, all runs at once. Theory: `llma_tutorial.many_agents.bandits`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llma_tutorial import _validate
from llma_tutorial.many_agents._bandit_law import choice_law, exploration_of
from llma_tutorial.many_agents.simulation import _draw

if TYPE_CHECKING:
    from llma_tutorial.many_agents.bandits import BanditLine


@dataclass(frozen=True, eq=False)
class BanditRuns:
    """Simulated lines, made by `simulate`.

    Attributes
    ----------
    states : numpy.ndarray of shape (n_runs,)
    observations, actions, rewards : numpy.ndarray of shape (n_runs, n_agents)
        Private signals, arms pulled, and what they paid (also where nobody else saw it).
    public_beliefs : numpy.ndarray of shape (n_runs, n_agents + 1, X)
        ``public_beliefs[r, k]`` is what everybody believes before agent k acts.
    """

    states: np.ndarray
    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    public_beliefs: np.ndarray


def simulate(
    line: BanditLine, n_agents: int, n_runs: int, *, state: int | None = None, rng: np.random.Generator
) -> BanditRuns:
    """Simulate independent lines of agents at a bandit.

    Parameters
    ----------
    line : BanditLine
    n_agents, n_runs : int
        Length of each line, number of lines.
    state : int, optional
        The true state; drawn from the prior for each run if omitted.
    rng : numpy.random.Generator

    Returns
    -------
    BanditRuns

    Raises
    ------
    ValueError
        If an argument is malformed, or `exploration` names too few agents.

    Notes
    -----
    Used in the chapter `many-agents/continuous-states`, beside `exact_law`.

    Examples
    --------
    >>> from llma_tutorial.many_agents.bandits import BanditLine
    >>> line = BanditLine([[0.5, 0.3], [0.5, 0.7]], [0.4, 0.6])
    >>> runs = simulate(line, 4, 10_000, state=1, rng=np.random.default_rng(1))
    >>> bool(abs((runs.actions[:, 1] == 1).mean() - 0.7) < 0.02)
    True
    """
    n_agents = _validate.integer("n_agents", n_agents, 1)
    n_runs = _validate.integer("n_runs", n_runs, 1)
    rng = _validate.generator(rng)
    exploration = exploration_of(line, n_agents)
    n_states, all_runs = line.prior.size, np.arange(n_runs)
    if state is None:
        states = _draw(np.broadcast_to(line.prior.cumsum(), (n_runs, n_states)), rng)
    else:
        states = np.full(n_runs, _validate.integer("state", state, 0, n_states - 1))
    observations, actions, rewards = np.empty((3, n_runs, n_agents), dtype=np.int64)
    beliefs = np.empty((n_runs, n_agents + 1, n_states))
    beliefs[:, 0] = line.prior
    logs = np.tile(np.log(line.prior), (n_runs, 1))
    for k in range(n_agents):
        law = choice_law(line, beliefs[:, k], exploration[k])
        observations[:, k] = _draw(line.observation_matrix.cumsum(axis=1)[states], rng)
        actions[:, k] = arm = _draw(law[all_runs, observations[:, k]].cumsum(axis=1), rng)
        rewards[:, k] = rng.random(n_runs) < line.arm_rates[states, arm]
        news = law[all_runs, :, arm] @ line.observation_matrix.T
        if line.sees == "rewards":
            rates = line.arm_rates.T[arm]
            news = news * np.where(rewards[:, k, None] == 1, rates, 1 - rates)
        with np.errstate(divide="ignore"):  # a state can be ruled out
            logs = logs + np.log(news)
        logs -= logs.max(axis=1, keepdims=True)
        weights = np.exp(logs)
        beliefs[:, k + 1] = weights / weights.sum(axis=1, keepdims=True)
    return BanditRuns(states, observations, actions, rewards, beliefs)
