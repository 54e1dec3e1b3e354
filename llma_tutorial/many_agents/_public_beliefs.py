"""The distinct public beliefs of a line of agents, layer by layer: the engine under `exact_law` and `simulate`.

A layer (`Front`) holds the beliefs that are possible after k actions. `choices` says what agents do at each of them
after each signal; `step` moves to the next layer along given (belief, action) pairs and merges what coincides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llma_tutorial.beliefs import best_actions

if TYPE_CHECKING:
    from llma_tutorial.many_agents.social import SocialLearning


@dataclass(frozen=True, eq=False)
class Front:
    """Distinct beliefs (n, X); for a fixed state also how often each informative factor led there (n, F)."""

    beliefs: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True, eq=False)
class Choices:
    """What agents do at n beliefs.

    `law` is P(a | belief, y), (n, Y, A); `cascade` the action of the cascade, (n,), -1 if there is none;
    `likelihood` is P(y | belief) as the agents see it, (n, Y).
    """

    predicted: np.ndarray
    law: np.ndarray
    cascade: np.ndarray
    likelihood: np.ndarray

    def action_law(self, observation_matrix: np.ndarray) -> np.ndarray:
        """P(a | x, belief) when signals follow `observation_matrix`, of shape (n, X, A)."""
        return np.einsum("xy,nya->nxa", observation_matrix, self.law)

    def refuse_impossible(self, seen: np.ndarray) -> None:
        """Raise if a signal marked in the mask `seen` (n, Y) has probability zero for those who receive it."""
        impossible = np.argwhere(seen & (self.likelihood <= 0))
        if impossible.size:
            node, signal = impossible[0]
            raise ValueError(
                "`assumed_observation_matrix` must allow every signal that can come. "
                f"Got signal {signal} at belief {self.predicted[node].tolist()}, where agents hold it impossible."
            )


class PublicBeliefs:
    """Moves layers of public beliefs forward, as the agents themselves would compute them."""

    def __init__(self, society: SocialLearning) -> None:
        self.society = society
        self.matrix = society.assumed_observation_matrix
        self.scale = np.abs(society.utility).max()
        self.columns: dict[tuple[int, ...], int] = {}  # how many actions tied at each signal -> column of that factor
        self.log_factors = np.zeros((0, society.prior.size))

    def start(self) -> Front:
        """The layer before the first action."""
        return Front(self.society.assumed_prior[None], np.zeros((1, 0), dtype=np.int64))

    def move(self, mass: np.ndarray) -> np.ndarray:
        """One transition of the state, applied to rows over states."""
        return mass if self.society.transition_matrix is None else mass @ self.society.transition_matrix

    def choices(self, predicted: np.ndarray) -> Choices:
        """Best responses at each predicted belief after each signal, ties resolved by the society's rule."""
        joint = predicted[:, :, None] * self.matrix
        likelihood = joint.sum(axis=1)
        expected = np.einsum("nxy,xa->nya", joint, self.society.utility)
        tied = best_actions(expected, self.scale * likelihood[:, :, None])
        if self.society.tie_break == "random":
            law = tied / tied.sum(axis=2, keepdims=True)
        else:
            chosen = tied.argmax(axis=2)
            if self.society.tie_break == "signal":
                own = np.arange(tied.shape[1])
                chosen = np.where(tied[:, own, own], own, chosen)
            law = np.eye(tied.shape[2])[chosen]
        same = ((law == 1) | (likelihood == 0)[:, :, None]).all(axis=1)  # signals that cannot come do not count
        return Choices(predicted, law, np.where(same.any(axis=1), same.argmax(axis=1), -1), likelihood)

    def step(self, front: Front, choices: Choices, nodes: np.ndarray, actions: np.ndarray) -> tuple[Front, np.ndarray]:
        """The next layer along the pairs (nodes[i], actions[i]), and the place of each pair in it."""
        weights = choices.law[nodes, :, actions]  # P(a | belief, y) of each pair, (pairs, Y)
        joint = choices.predicted[nodes] * (weights @ self.matrix.T)
        evidence = joint.sum(axis=1, keepdims=True)
        if (evidence <= 0).any():
            pair = int(evidence[:, 0].argmin())
            raise ValueError(
                "`assumed_observation_matrix` must allow every action that is taken. Got action "
                f"{actions[pair]} at public belief {choices.predicted[nodes[pair]].tolist()}, held impossible there."
            )
        if self.society.transition_matrix is None:
            counts = self._count(front.counts[nodes], weights)
            first, position = merge(counts)
            return Front(self._from_counts(counts[first]), counts[first]), position
        beliefs = joint / evidence
        first, position = merge(beliefs)
        return Front(beliefs[first], np.zeros((first.size, 0), dtype=np.int64)), position

    def _count(self, counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Counts after one more factor each."""
        tied = np.rint(np.divide(1, weights, out=np.zeros_like(weights), where=weights > 0)).astype(np.int64)
        first, position = merge(tied)
        columns = np.array([self._column(tuple(tied[i].tolist()), weights[i]) for i in first], dtype=np.int64)[position]
        longer = np.zeros((counts.shape[0], len(self.log_factors)), dtype=np.int64)
        longer[:, : counts.shape[1]] = counts
        informative = np.flatnonzero(columns >= 0)
        longer[informative, columns[informative]] += 1
        return longer

    def _column(self, tied: tuple[int, ...], weights: np.ndarray) -> int:
        """Column of a factor R, made on first sight; -1 if R is the same in every state and so says nothing."""
        if tied not in self.columns:
            factor = self.matrix @ weights
            informative = np.ptp(factor) > 1e-14
            self.columns[tied] = len(self.log_factors) if informative else -1
            if informative:
                with np.errstate(divide="ignore"):
                    self.log_factors = np.vstack([self.log_factors, np.log(factor)])
        return self.columns[tied]

    def _from_counts(self, counts: np.ndarray) -> np.ndarray:
        """Beliefs from whole numbers: the same counts give the same floats, however long the history."""
        zero = np.isneginf(self.log_factors)
        with np.errstate(divide="ignore"):
            logs = counts @ np.where(zero, 0.0, self.log_factors) + np.log(self.society.assumed_prior)
        logs = np.where(counts @ zero > 0, -np.inf, logs)
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)


def merge(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the first of each group of equal rows, and the group of every row."""
    if rows.shape[0] <= 1 or rows.shape[1] == 0:
        return np.zeros(min(rows.shape[0], 1), dtype=np.int64), np.zeros(rows.shape[0], dtype=np.int64)
    order = np.lexsort(rows.T)
    new = np.ones(rows.shape[0], dtype=bool)
    new[1:] = (rows[order[1:]] != rows[order[:-1]]).any(axis=1)
    position = np.empty(rows.shape[0], dtype=np.int64)
    position[order] = np.cumsum(new) - 1
    return order[new], position
