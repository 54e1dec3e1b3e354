r"""Simulated decision logs whose truth is known: to try an audit before you trust it.

Primitives: the right action x is 0 or 1 with even odds; agent k sees a signal y that equals x with probability q and
all actions before its own. Families
    exact Bayesian       the line of agents of `llma_tutorial.many_agents.social`, ties to the own signal
    logit                log-odds of action 1:  w_own (2 y - 1) + w lead,  the lead #1 - #0 cut at +- `reach`
    mixed precision      Bayesian agents whose q differs; each knows its own, everybody knows the shares
    common cause         nobody looks at anybody; all agents of a run share an unknown rate, uniform on (0, 1)
    urn                  action 1 with probability (1 + #1) / (2 + k): pure copying, with the law of the common cause

Each family says itself when the own signal stops mattering: in the first and third, never again able to change the
action; in the second, moving its probability by less than a stated margin.
Chapter: `many-agents/audit-a-log`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from llma_tutorial import _validate
from llma_tutorial.many_agents.social import SocialLearning, simulate

if TYPE_CHECKING:
    import pandas as pd


def bayesian(
    n_runs: int, n_agents: int, precision: float = 0.7, tie_break: str = "signal", *, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    """Log of exact Bayesian agents.

    Parameters
    ----------
    n_runs, n_agents : int
        Number of runs, decisions in each.
    precision : float
        Probability q that a signal is right.
    tie_break : {"signal", "first", "random"}
        What indifferent agents do.
    rng : numpy.random.Generator

    Returns
    -------
    tuple of pandas.DataFrame and numpy.ndarray of shape (n_runs,)
        The log (run, order, action, signal, truth), and the first agent in a cascade, -1 if there is none.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Notes
    -----
    Used in the chapter `many-agents/audit-a-log`.

    Examples
    --------
    >>> log, onset = bayesian(2, 3, rng=np.random.default_rng(0))
    >>> log.columns.tolist()
    ['run', 'order', 'action', 'signal', 'truth']
    """
    q = _validate.number("precision", precision, 0.5, 1)
    society = SocialLearning([[q, 1 - q], [1 - q, q]], np.eye(2), [0.5, 0.5], tie_break=tie_break)
    runs = simulate(society, n_agents, n_runs, keep=("actions", "observations"), rng=rng)
    return _frame(runs.actions, runs.observations, runs.states), runs.cascade_start


def logit(
    n_runs: int, n_agents: int, own: float = 1.0, predecessor: float = 1.2, precision: float = 0.7, reach: int = 3,
    margin: float = 0.1, *, rng: np.random.Generator,
) -> tuple[pd.DataFrame, np.ndarray]:  # fmt: skip
    """Log of agents that weigh signal and predecessors in the log-odds.

    Parameters
    ----------
    n_runs, n_agents : int
        Number of runs, decisions in each.
    own, predecessor : float
        Weights of the own signal and of one predecessor.
    precision : float
        Probability q that a signal is right.
    reach : int
        The lead counts up to this many predecessors.
    margin : float
        The onset is the first agent whose signal moves the probability of its action by less than this.
    rng : numpy.random.Generator

    Returns
    -------
    tuple of pandas.DataFrame and numpy.ndarray of shape (n_runs,)
        The log (run, order, action, signal, truth), and the onset, -1 if there is none.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Notes
    -----
    Used in the chapter `many-agents/audit-a-log`.

    Examples
    --------
    >>> log, onset = logit(5, 20, predecessor=0, rng=np.random.default_rng(0))
    >>> onset.tolist()
    [-1, -1, -1, -1, -1]
    """
    n_runs, n_agents = _validate.integer("n_runs", n_runs, 1), _validate.integer("n_agents", n_agents, 1)
    own, predecessor = _validate.number("own", own), _validate.number("predecessor", predecessor)
    reach = _validate.integer("reach", reach, 1)
    truth, signals = _signals(n_runs, n_agents, np.array([_validate.number("precision", precision, 0.5, 1)]), rng)[:2]
    actions, onset = np.zeros((n_runs, n_agents), dtype=np.int8), np.full(n_runs, -1)
    lead = np.zeros(n_runs)
    for k in range(n_agents):
        public = predecessor * np.clip(lead, -reach, reach)
        moved = np.abs(expit(public + own) - expit(public - own))
        onset[(onset < 0) & (moved < margin)] = k
        actions[:, k] = rng.random(n_runs) < expit(public + own * (2 * signals[:, k] - 1))
        lead += 2 * actions[:, k] - 1
    return _frame(actions, signals, truth), onset


def mixed_precision(
    n_runs: int, n_agents: int, precisions: tuple[float, ...] = (0.6, 0.8), *, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    """Log of Bayesian agents of several precisions, in equal shares.

    Parameters
    ----------
    n_runs, n_agents : int
        Number of runs, decisions in each.
    precisions : tuple of float
        The kinds of agents; each agent knows its own precision, the log does not hold it.
    rng : numpy.random.Generator

    Returns
    -------
    tuple of pandas.DataFrame and numpy.ndarray of shape (n_runs,)
        The log (run, order, action, signal, truth), and the first agent whose signal could not change its action
        whatever its kind, -1 if there is none.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Notes
    -----
    Used in the chapter `many-agents/audit-a-log`.

    Examples
    --------
    >>> log, onset = mixed_precision(50, 30, rng=np.random.default_rng(0))
    >>> bool((onset >= 3).all())
    True
    """
    n_runs, n_agents = _validate.integer("n_runs", n_runs, 1), _validate.integer("n_agents", n_agents, 1)
    q = np.array([_validate.number("precisions", value, 0.5, 0.999) for value in precisions])
    truth, signals, kinds = _signals(n_runs, n_agents, q, rng)
    strength = np.log(q / (1 - q))  # log-odds that a signal of each kind is worth
    actions, onset = np.zeros((n_runs, n_agents), dtype=np.int8), np.full(n_runs, -1)
    public = np.zeros(n_runs)
    for k in range(n_agents):
        free = np.abs(public)[:, None] <= strength + 1e-9  # kinds that still follow their signal, ties included
        onset[(onset < 0) & ~free.any(axis=1)] = k
        follows = free[np.arange(n_runs), kinds[:, k]]
        actions[:, k] = np.where(follows, signals[:, k], public > 0)
        herd = np.where(free, 0.0, (public > 0)[:, None])
        p_one = np.stack([(herd + free * rate).mean(axis=1) for rate in (1 - q, q)])  # P(action 1 | x)
        seen = np.where(actions[:, k] == 1, p_one, 1 - p_one)
        public = public + np.log(seen[1] / seen[0])
    return _frame(actions, signals, truth), onset


def common_cause(n_runs: int, n_agents: int, *, rng: np.random.Generator) -> pd.DataFrame:
    """Log of agents that look at nobody, each run with an unknown rate of its own, uniform on (0, 1).

    Parameters
    ----------
    n_runs, n_agents : int
        Number of runs, decisions in each.
    rng : numpy.random.Generator

    Returns
    -------
    pandas.DataFrame
        Columns run, order, action.

    Raises
    ------
    ValueError
        If a number is below one.

    Notes
    -----
    The same law as `urn`: the chapter `many-agents/audit-a-log` proves it.

    Examples
    --------
    >>> common_cause(2, 3, rng=np.random.default_rng(0)).shape
    (6, 3)
    """
    n_runs, n_agents = _validate.integer("n_runs", n_runs, 1), _validate.integer("n_agents", n_agents, 1)
    rng = _validate.generator(rng)
    return _frame(rng.random((n_runs, n_agents)) < rng.random((n_runs, 1)))


def urn(n_runs: int, n_agents: int, *, rng: np.random.Generator) -> pd.DataFrame:
    """Log of agents that only copy: action 1 with probability (1 + #1) / (2 + k) after k predecessors.

    Parameters
    ----------
    n_runs, n_agents : int
        Number of runs, decisions in each.
    rng : numpy.random.Generator

    Returns
    -------
    pandas.DataFrame
        Columns run, order, action.

    Raises
    ------
    ValueError
        If a number is below one.

    Notes
    -----
    The same law as `common_cause`: the chapter `many-agents/audit-a-log` proves it.

    Examples
    --------
    >>> urn(2, 3, rng=np.random.default_rng(0)).shape
    (6, 3)
    """
    n_runs, n_agents = _validate.integer("n_runs", n_runs, 1), _validate.integer("n_agents", n_agents, 1)
    rng = _validate.generator(rng)
    actions, ones = np.zeros((n_runs, n_agents), dtype=np.int8), np.zeros(n_runs)
    for k in range(n_agents):
        actions[:, k] = rng.random(n_runs) < (1 + ones) / (2 + k)
        ones += actions[:, k]
    return _frame(actions)


def _signals(n_runs, n_agents, precisions, rng):
    """Truth (n_runs,), signals and kinds of agents (n_runs, n_agents)."""
    rng = _validate.generator(rng)
    truth = rng.integers(2, size=n_runs)
    kinds = rng.integers(len(precisions), size=(n_runs, n_agents))
    right = rng.random((n_runs, n_agents)) < precisions[kinds]
    return truth, np.where(right, truth[:, None], 1 - truth[:, None]), kinds


def _frame(actions, signals=None, truth=None) -> pd.DataFrame:
    import pandas as pd

    run, order = np.indices(actions.shape)
    columns = {"run": run.ravel(), "order": order.ravel(), "action": actions.ravel().astype(int)}
    if signals is not None:
        columns["signal"] = signals.ravel().astype(int)
        columns["truth"] = np.repeat(truth.astype(int), actions.shape[1])
    return pd.DataFrame(columns)
