"""The exact law of a line of agents at a bandit: choices, regret and frozen beliefs, agent by agent.

Theory and primitives: `llma_tutorial.many_agents.bandits`. The law of the public belief given each state is carried
forward and equal beliefs are merged. A belief is keyed by how often each piece of news came (an action, a reward):
whole numbers, never rounded floats. News that cancels out, such as a success of one of two mirrored arms and of the
other, shares one count. Agents who choose by Thompson's rule after a private signal make each action a new piece of
news, so there beliefs are merged only if they are equal to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from llma_tutorial import _validate
from llma_tutorial.beliefs import best_actions
from llma_tutorial.many_agents._public_beliefs import merge

if TYPE_CHECKING:
    from llma_tutorial.many_agents.bandits import BanditLine

NEGLIGIBLE = 1e-18  # outcomes less likely than this in every state are dropped, and counted in `dropped_mass`
SAME = 1e-12  # news whose likelihoods differ by less, relatively, says nothing


@dataclass(frozen=True, eq=False)
class BanditLaw:
    """What happens with which probability in each state, exactly, made by `exact_law`.

    Attributes
    ----------
    line : BanditLine
    arm_probability : numpy.ndarray of shape (n_agents, X, A)
        Probability that agent k pulls arm a in state x.
    frozen_probability : numpy.ndarray of shape (n_agents, X)
        Probability that nothing that agent k can do or earn moves the public belief.
    stuck_probability : numpy.ndarray of shape (n_agents, X)
        Probability that agent k is frozen and pulls an arm that is not best.
    expected_belief : numpy.ndarray of shape (n_agents, X, X)
        ``expected_belief[k, x, i]``: mean public belief in state i before agent k acts, if x is true.
    dropped_mass : numpy.ndarray of shape (X,)
        Probability that was dropped in each state. Each probability above is too small by at most this much.
    n_beliefs : int
        The largest number of distinct beliefs held at one time.
    """

    line: BanditLine
    arm_probability: np.ndarray
    frozen_probability: np.ndarray
    stuck_probability: np.ndarray
    expected_belief: np.ndarray
    dropped_mass: np.ndarray
    n_beliefs: int

    @cached_property
    def regret(self) -> np.ndarray:
        """Expected reward that agent k forgoes against the best arm in state x, of shape (n_agents, X)."""
        rates = self.line.arm_rates
        return np.einsum("kxa,xa->kx", self.arm_probability, rates.max(axis=1, keepdims=True) - rates)

    @cached_property
    def best_arm_probability(self) -> np.ndarray:
        """Probability that agent k pulls a best arm in state x, of shape (n_agents, X)."""
        return np.einsum("kxa,xa->kx", self.arm_probability, self.line.best)


def exact_law(line: BanditLine, n_agents: int, max_beliefs: int = 100_000, tolerance: float = 1e-6) -> BanditLaw:
    """Probabilities of choices, of frozen beliefs and of being stuck, agent by agent, without simulation.

    Parameters
    ----------
    line : BanditLine
    n_agents : int
        Horizon: agents 0..n_agents-1.
    max_beliefs : int
        At most this many distinct public beliefs are carried; the least likely are dropped first.
    tolerance : float
        Largest probability that may be dropped, in any state.

    Returns
    -------
    BanditLaw

    Raises
    ------
    ValueError
        If more than `tolerance` would have to be dropped, or `exploration` names too few agents.

    Notes
    -----
    Explained in the chapter `many-agents/continuous-states`, beside the simulation of the same line.

    Examples
    --------
    >>> from llma_tutorial.many_agents.bandits import BanditLine
    >>> line = BanditLine([[0.5, 0.3], [0.5, 0.7]], [0.4, 0.6])
    >>> exact_law(line, 4).best_arm_probability[:, 1].round(3).tolist()  # each failure may be the last trial
    [1.0, 0.7, 0.7, 0.637]
    """
    n_agents = _validate.integer("n_agents", n_agents, 1)
    max_beliefs = _validate.integer("max_beliefs", max_beliefs, 1)
    tolerance = _validate.number("tolerance", tolerance, 0, 1)
    exploration = exploration_of(line, n_agents)
    layers, (n_states, n_arms) = _Layers(line), line.arm_rates.shape
    arms, mean = np.zeros((n_agents, n_states, n_arms)), np.zeros((n_agents, n_states, n_states))
    frozen, stuck = np.zeros((2, n_agents, n_states))
    beliefs, keys, mass = line.prior[None], np.zeros((1, 0), dtype=np.int64), np.ones((1, n_states))
    dropped, most = np.zeros(n_states), 1
    for k in range(n_agents):
        law = choice_law(line, beliefs, exploration[k])
        taken = np.einsum("xy,nya->nxa", line.observation_matrix, law)
        arms[k] = np.einsum("nx,nxa->xa", mass, taken)
        mean[k] = mass.T @ beliefs
        still = layers.frozen(beliefs, keys, taken)
        frozen[k] = mass[still].sum(axis=0)
        stuck[k] = np.einsum("nx,nxa,xa->x", mass[still], taken[still], ~line.best)
        if k + 1 < n_agents:
            beliefs, keys, mass, lost = layers.step(beliefs, keys, mass, law, taken, max_beliefs)
            dropped, most = dropped + lost, max(most, len(mass))
            if dropped.max() > tolerance:
                raise ValueError(
                    f"`max_beliefs` must be large enough to drop less than `tolerance` = {tolerance:g}. Got "
                    f"{max_beliefs}: {dropped.max():.3g} was dropped by agent {k}. Raise `max_beliefs` or "
                    "`tolerance`, or use `simulate`."
                )
    return BanditLaw(line, arms, frozen, stuck, mean, dropped, most)


def exploration_of(line: BanditLine, n_agents: int) -> np.ndarray:
    """Probability of exploring for each of n_agents agents."""
    if line.exploration.ndim and line.exploration.size < n_agents:
        raise ValueError(
            "`exploration` must be one number, or hold one for each agent. "
            f"Got {line.exploration.size} for {n_agents} agents."
        )
    return np.broadcast_to(line.exploration, n_agents) if line.exploration.ndim == 0 else line.exploration[:n_agents]


def choice_law(line: BanditLine, beliefs: np.ndarray, exploration: float) -> np.ndarray:
    """P(a | belief, y) at each of n public beliefs, of shape (n, Y, A)."""
    joint = beliefs[:, :, None] * line.observation_matrix
    likelihood = joint.sum(axis=1)[:, :, None]
    if line.policy == "thompson":
        winners = line.best / line.best.sum(axis=1, keepdims=True)
        total = np.where(likelihood > 0, likelihood, 1.0)
        law = np.where(likelihood > 0, np.einsum("nxy,xa->nya", joint, winners) / total, 1 / winners.shape[1])
    else:
        tied = best_actions(np.einsum("nxy,xa->nya", joint, line.arm_rates), line.arm_rates.max() * likelihood)
        if line.tie_break == "random":
            law = tied / tied.sum(axis=2, keepdims=True)
        else:
            chosen = tied.argmax(axis=2)
            if line.tie_break == "signal":
                own = np.arange(tied.shape[1])
                chosen = np.where(tied[:, own, own], own, chosen)
            law = np.eye(tied.shape[2])[chosen]
    return (1 - exploration) * law + exploration / line.arm_rates.shape[1]


class _Layers:
    """Moves the distinct public beliefs forward, layer by layer."""

    def __init__(self, line: BanditLine) -> None:
        self.line = line
        seen = line.sees == "rewards"
        rates = line.arm_rates[:, :, None]
        self.rewards = np.concatenate([1 - rates, rates], axis=2) if seen else np.ones_like(rates)  # (X, A, O)
        self.counted = line.policy == "myopic" or line.observation_matrix.shape[1] == 1
        self.columns: dict[tuple[float, ...], int] = {}
        self.log_factors = np.zeros((0, line.prior.size))

    def frozen(self, beliefs: np.ndarray, keys: np.ndarray, taken: np.ndarray) -> np.ndarray:
        """Mask of the beliefs that no outcome moves. A state counts until it is ruled out, not until it underflows."""
        outcomes = np.einsum("nxa,xao->nxao", taken, self.rewards)
        possible = (~self._ruled_out(keys) if self.counted else beliefs > 0)[:, :, None, None]
        high = np.where(possible, outcomes, -np.inf).max(axis=1)
        low = np.where(possible, outcomes, np.inf).min(axis=1)
        return (high - low <= SAME * high).all(axis=(1, 2))

    def step(self, beliefs, keys, mass, law, taken, max_beliefs):
        """Every belief times every outcome, merged: the next layer, its law, and what was left out."""
        children = np.einsum("nx,nxa,xao->naox", mass, taken, self.rewards)
        shape = children.shape[:3]
        children = children.reshape(-1, mass.shape[1])
        alive = np.flatnonzero(children.max(axis=1) > NEGLIGIBLE)
        node, arm, outcome = np.unravel_index(alive, shape)
        if self.counted:
            keys = self._count(keys[node], law[node, :, arm], arm, outcome)
            first, position = merge(keys)
            keys = keys[first]
            beliefs = self._from_counts(keys)
        else:
            joint = beliefs[node] * taken[node, :, arm] * self.rewards[:, arm, outcome].T
            beliefs = joint / joint.sum(axis=1, keepdims=True)
            first, position = merge(beliefs)
            beliefs, keys = beliefs[first], np.zeros((first.size, 0), dtype=np.int64)
        merged = np.zeros((first.size, mass.shape[1]))
        np.add.at(merged, position, children[alive])
        if len(merged) > max_beliefs:
            likely = np.sort(np.argsort(-(merged @ self.line.prior), kind="stable")[:max_beliefs])
            beliefs, keys, merged = beliefs[likely], keys[likely], merged[likely]
        return beliefs, keys, merged, np.maximum(mass.sum(axis=0) - merged.sum(axis=0), 0)

    def _count(self, keys: np.ndarray, weights: np.ndarray, arm: np.ndarray, outcome: np.ndarray) -> np.ndarray:
        """Counts after one more piece of news from the action, and one from the reward if it is seen."""
        first, position = merge(weights)
        spoken = np.array([self._column(self.line.observation_matrix @ weights[i]) for i in first])[position]
        paid = np.array([[self._column(factor) for factor in by_arm.T] for by_arm in self.rewards.swapaxes(0, 1)])
        longer = np.zeros((len(keys), len(self.log_factors)), dtype=np.int64)
        longer[:, : keys.shape[1]] = keys
        for column, sign in (spoken.T, paid[arm, outcome].T):
            told = np.flatnonzero(sign)
            longer[told, column[told]] += sign[told]
        return longer

    def _column(self, factor: np.ndarray) -> tuple[int, int]:
        """Column and sign of a likelihood: -1 if it undoes the news of that column, 0 if it says nothing."""
        if np.ptp(factor) <= SAME * factor.max():
            return 0, 0
        if factor.min() > 0:
            ratio = np.log(factor / factor[0])
            key, undone = (tuple((sign * ratio.round(12) + 0.0).tolist()) for sign in (1, -1))
        else:
            key, undone = (*(factor / factor.max()).round(12).tolist(), 0.0), None
        if undone in self.columns:
            return self.columns[undone], -1
        if key not in self.columns:
            self.columns[key] = len(self.log_factors)
            with np.errstate(divide="ignore"):
                self.log_factors = np.vstack([self.log_factors, np.log(factor / factor.max())])
        return self.columns[key], 1

    def _ruled_out(self, counts: np.ndarray) -> np.ndarray:
        """Mask (n, X) of the states that some news has made impossible."""
        return counts @ np.isneginf(self.log_factors[: counts.shape[1]]) > 0

    def _from_counts(self, counts: np.ndarray) -> np.ndarray:
        """Beliefs from whole numbers: the same counts give the same floats, however long the history."""
        finite = np.where(np.isneginf(self.log_factors), 0.0, self.log_factors)
        logs = np.where(self._ruled_out(counts), -np.inf, counts @ finite + np.log(self.line.prior))
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)
