"""The distinct public beliefs of a line of agents, layer by layer: the engine under exact laws, simulation and regions.

Theory: `llma_tutorial.many_agents.social`. A layer (`Front`) holds the beliefs that are possible after k actions.
`choices` says what agents of one kind do at each of them after each signal; `step` moves to the next layer along given
(belief, action) pairs and merges what coincides. For a fixed state updates commute, so a belief is keyed by how often
each factor R was applied: whole numbers, never rounded floats.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from llma_tutorial import _validate
from llma_tutorial.beliefs import condition, draw, tie_law
from llma_tutorial.many_agents.societies import MixedLine, SocialLearning

NEGLIGIBLE = 1e-18  # what is less likely than this is dropped, and counted


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

    def act(self, nodes: np.ndarray, signals: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Actions at the given beliefs and signals; a random number is drawn only where actions tie."""
        _, n_signals, n_actions = self.law.shape
        place = nodes * n_signals + signals
        law = self.law.reshape(-1, n_actions)
        actions = law.argmax(axis=1).astype(_validate.smallest(n_actions))[place]
        tied = np.flatnonzero(law.max(axis=1)[place] < 1)
        if tied.size:
            actions[tied] = draw(law, rng.random(tied.size), place[tied])
        return actions

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
        scale = np.abs(society.utility).max() * likelihood[:, :, None]
        own = np.arange(likelihood.shape[1])
        law = tie_law(expected, society.tie_break, scale=scale, own_action=own)
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
        posterior, evidence = condition(choices.predicted[nodes] * (weights @ matrix.T))
        if (evidence <= 0).any():
            pair = int(evidence.argmin())
            raise ValueError(
                "`assumed_observation_matrix` must allow every action that is taken. Got action "
                f"{actions[pair]} at public belief {choices.predicted[nodes[pair]].tolist()}, held impossible there."
            )
        if self.transition is None:
            counts = self._count(front.counts[nodes], weights, choices.kind)
            first, position = merge(counts)
            return Front(from_counts(counts[first], self.log_factors, self.prior), counts[first]), position
        first, position = merge(posterior)
        return Front(posterior[first], np.zeros((first.size, 0), dtype=np.int64)), position

    def follow(
        self, front: Front, choices: Choices, nodes: np.ndarray, actions: np.ndarray
    ) -> tuple[Front, np.ndarray]:
        """The next layer, with only the beliefs that some run reaches, and each run's place in it."""
        n_actions = choices.law.shape[2]
        child = nodes * n_actions + actions
        reached = np.flatnonzero(np.bincount(child, minlength=len(front.beliefs) * n_actions))
        front, position = self.step(front, choices, *np.divmod(reached, n_actions))
        place = np.zeros(len(choices.law) * n_actions, dtype=np.int64)
        place[reached] = position
        return front, place[child]

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


def from_counts(counts: np.ndarray, log_factors: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Beliefs from whole numbers: the same counts give the same floats, however long the history."""
    zero = np.isneginf(log_factors)
    with np.errstate(divide="ignore"):
        logs = counts @ np.where(zero, 0.0, log_factors) + np.log(prior)
    logs = np.where(counts @ zero > 0, -np.inf, logs)
    return softmax(logs, axis=1)


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


def gather(mass: np.ndarray, position: np.ndarray, n_rows: int) -> np.ndarray:
    """Sum of the rows of `mass` that `merge` has put into each group."""
    total = np.zeros((n_rows, mass.shape[1]))
    np.add.at(total, position, mass)
    return total


def refuse_dropped(dropped: float, tolerance: float, max_beliefs: int, agent: int) -> None:
    """Raise if more probability was dropped than is tolerated."""
    if dropped > tolerance:
        raise ValueError(
            f"`max_beliefs` must be large enough to drop less than `tolerance` = {tolerance:g}. Got {max_beliefs}: "
            f"{dropped:.3g} was dropped by agent {agent}. Raise `max_beliefs` or `tolerance`, or use `simulate`."
        )
