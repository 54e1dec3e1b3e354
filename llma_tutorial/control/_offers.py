"""Simulated agents that accept or refuse an offer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.control._agents import Agents


@dataclass(frozen=True, eq=False)
class Market:
    """Simulated agents that accept or refuse; made by `simulate_offers`.

    Attributes
    ----------
    states : numpy.ndarray of shape (n_runs,)
    actions, payments, revealed : numpy.ndarray of shape (n_runs, n_agents)
        Actions taken, amounts paid, and whether the agent's choice depended on its observation one to one.
    public_beliefs : numpy.ndarray of shape (n_runs, n_agents + 1, X)
    """

    states: np.ndarray
    actions: np.ndarray
    payments: np.ndarray
    revealed: np.ndarray
    public_beliefs: np.ndarray


def simulate_offers(
    observation_matrix: ArrayLike,
    utility: ArrayLike,
    offer: Callable[[np.ndarray], np.ndarray],
    n_agents: int,
    n_runs: int,
    belief: ArrayLike | None = None,
    *,
    rng: np.random.Generator,
) -> Market:
    """Agents that decide for themselves whether an offer is worth acting against the herd.

    Parameters
    ----------
    observation_matrix : array-like of shape (X, Y)
    utility : array-like of shape (X, A)
        Agents maximise expected utility plus payment; action y reveals symbol y.
    offer : callable
        From public beliefs (n, X) to the amounts (n,) offered for any action but the herd's.
    n_agents, n_runs : int
    belief : array-like of shape (X,), optional
        First public belief; uniform if omitted.
    rng : numpy.random.Generator

    Returns
    -------
    Market

    Raises
    ------
    ValueError
        If an array is malformed, or an offer is negative.

    Notes
    -----
    Everybody knows the offers, so the public belief moves by what the actions taken reveal. Ties are resolved for
    revealing. Chapter `control/incentives`.

    Examples
    --------
    >>> from llma_tutorial.control.incentives import revealing_incentive
    >>> pair = [[0.7, 0.3], [0.3, 0.7]], [[1, 0], [0, 1]]
    >>> market = simulate_offers(
    ...     *pair, lambda beliefs: revealing_incentive(beliefs, *pair), 20, 100, rng=np.random.default_rng(1)
    ... )
    >>> bool(market.revealed.all())
    True
    """
    rng = _validate.generator(rng)
    model = Agents.checked(observation_matrix, utility, None, None)
    n_agents, n_runs = _validate.integer("n_agents", n_agents, 1), _validate.integer("n_runs", n_runs, 1)
    uniform = np.full(model.n_states, 1 / model.n_states)
    prior = _validate.probabilities("belief", uniform if belief is None else belief, (model.n_states,))
    states = (rng.random(n_runs)[:, None] > np.cumsum(prior)[:-1]).sum(axis=1)
    limits = np.cumsum(model.observation_matrix, axis=1)[states, :-1]
    beliefs, rows = np.tile(prior, (n_runs, 1)), np.arange(n_runs)
    actions = np.zeros((n_runs, n_agents), dtype=np.int64)
    payments, revealed = np.zeros((n_runs, n_agents)), np.zeros((n_runs, n_agents), dtype=bool)
    public = [beliefs]
    for k in range(n_agents):
        offered = _validate.real_array("offer", offer(beliefs), (n_runs,))
        if (offered < 0).any():
            raise ValueError(f"`offer` must not be negative. Got {offered.min():g}.")
        responses = model.responses(beliefs, offered)
        action = responses[rows, (rng.random(n_runs)[:, None] > limits).sum(axis=1)]
        actions[:, k] = action
        payments[:, k] = np.where(action == model.herd_action(beliefs), 0, offered)
        revealed[:, k] = (responses == model.revealing).all(axis=1)
        joint = beliefs * ((responses == action[:, None]) @ model.observation_matrix.T)
        beliefs = joint / joint.sum(axis=1, keepdims=True)
        public.append(beliefs)
    return Market(states, actions, payments, revealed, np.stack(public, axis=1))
