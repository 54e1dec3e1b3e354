"""The distinct public beliefs of a line of agents, layer by layer: the engine under `exact_law` and `simulate`.

A layer (`Front`) holds the beliefs that are possible after k actions. `choices` says what agents of one kind do at each
of them after each signal; `step` moves to the next layer along given (belief, action) pairs and merges what coincides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llma_tutorial.beliefs import best_actions
from llma_tutorial.many_agents.society import MixedLine

if TYPE_CHECKING:
    from llma_tutorial.many_agents.society import SocialLearning


@dataclass(frozen=True, eq=False)
class Front:
    """Distinct beliefs (n, X); for a fixed state also how often each informative factor led there (n, F)."""

    beliefs: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True, eq=False)
class Choices:
    """What agents of one kind do at n beliefs.

    `law` is P(a | belief, y), (n, Y, A); `cascade` the action of the cascade, (n,), -1 if there is none;
    `likelihood` is P(y | belief) as the agents see it, (n, Y).
    """

    kind: int
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

    def __init__(self, society: SocialLearning | MixedLine) -> None:
        self.line = MixedLine.of(society)
        self.kinds = self.line.kinds
        self.prior, self.transition = self.kinds[0].assumed_prior, self.kinds[0].transition_matrix
        # kind, and how many actions tied at each signal -> column of that factor
        self.columns: dict[tuple[int, ...], int] = {}
        self.log_factors = np.zeros((0, self.prior.size))

    def start(self) -> Front:
        """The layer before the first action."""
        return Front(self.prior[None], np.zeros((1, 0), dtype=np.int64))

    def move(self, mass: np.ndarray) -> np.ndarray:
        """One transition of the state, applied to rows over states."""
        return mass if self.transition is None else mass @ self.transition

    def choices(self, predicted: np.ndarray, kind: int = 0) -> Choices:
        """Best responses at each predicted belief after each signal, ties resolved by the rule of the kind."""
        society = self.kinds[kind]
        joint = predicted[:, :, None] * society.assumed_observation_matrix
        likelihood = joint.sum(axis=1)
        expected = np.einsum("nxy,xa->nya", joint, society.utility)
        tied = best_actions(expected, np.abs(society.utility).max() * likelihood[:, :, None])
        if society.tie_break == "random":
            law = tied / tied.sum(axis=2, keepdims=True)
        else:
            chosen = tied.argmax(axis=2)
            if society.tie_break == "signal":
                own = np.arange(tied.shape[1])
                chosen = np.where(tied[:, own, own], own, chosen)
            law = np.eye(tied.shape[2])[chosen]
        same = ((law == 1) | (likelihood == 0)[:, :, None]).all(axis=1)  # signals that cannot come do not count
        return Choices(kind, predicted, law, np.where(same.any(axis=1), same.argmax(axis=1), -1), likelihood)

    def settled(self, choices: Choices, agent: int) -> tuple[np.ndarray, np.ndarray]:
        """Where no kind that is still to come would heed its signal, (n,), and what each kind does there, (n, T)."""
        if len(self.kinds) == 1:
            return choices.cascade >= 0, choices.cascade[:, None]
        herds = np.full((len(choices.cascade), len(self.kinds)), -1)
        coming = self.line.still_to_come(agent)
        for kind in coming:
            herds[:, kind] = (choices if kind == choices.kind else self.choices(choices.predicted, kind)).cascade
        return (herds[:, coming] >= 0).all(axis=1), herds

    def step(self, front: Front, choices: Choices, nodes: np.ndarray, actions: np.ndarray) -> tuple[Front, np.ndarray]:
        """The next layer along the pairs (nodes[i], actions[i]), and the place of each pair in it."""
        weights = choices.law[nodes, :, actions]  # P(a | belief, y) of each pair, (pairs, Y)
        matrix = self.kinds[choices.kind].assumed_observation_matrix
        joint = choices.predicted[nodes] * (weights @ matrix.T)
        evidence = joint.sum(axis=1, keepdims=True)
        if (evidence <= 0).any():
            pair = int(evidence[:, 0].argmin())
            raise ValueError(
                "`assumed_observation_matrix` must allow every action that is taken. Got action "
                f"{actions[pair]} at public belief {choices.predicted[nodes[pair]].tolist()}, held impossible there."
            )
        if self.transition is None:
            counts = self._count(front.counts[nodes], weights, choices.kind)
            first, position = merge(counts)
            return Front(self._from_counts(counts[first]), counts[first]), position
        beliefs = joint / evidence
        first, position = merge(beliefs)
        return Front(beliefs[first], np.zeros((first.size, 0), dtype=np.int64)), position

    def _count(self, counts: np.ndarray, weights: np.ndarray, kind: int) -> np.ndarray:
        """Counts after one more factor each."""
        tied = np.rint(np.divide(1, weights, out=np.zeros_like(weights), where=weights > 0)).astype(np.int64)
        first, position = merge(tied)
        columns = [self._column((kind, *tied[i].tolist()), weights[i]) for i in first]
        columns = np.array(columns, dtype=np.int64)[position]
        longer = np.zeros((counts.shape[0], len(self.log_factors)), dtype=np.int64)
        longer[:, : counts.shape[1]] = counts
        informative = np.flatnonzero(columns >= 0)
        longer[informative, columns[informative]] += 1
        return longer

    def _column(self, tied: tuple[int, ...], weights: np.ndarray) -> int:
        """Column of a factor R, made on first sight; -1 if R is the same in every state and so says nothing."""
        if tied not in self.columns:
            factor = self.kinds[tied[0]].assumed_observation_matrix @ weights
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
            logs = counts @ np.where(zero, 0.0, self.log_factors) + np.log(self.prior)
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
