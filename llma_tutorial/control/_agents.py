"""Agents that see the public belief, one observation and an offer: checked arrays, and what many of them do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llma_tutorial import _validate
from llma_tutorial.beliefs import TIE_TOLERANCE


@dataclass(frozen=True, eq=False)
class Agents:
    """Primitives of the incentive problem; every method takes many public beliefs (n, X) at once."""

    observation_matrix: np.ndarray
    utility: np.ndarray
    revealing: np.ndarray
    transition_matrix: np.ndarray

    @classmethod
    def checked(cls, observation_matrix, utility, revealing_action, transition_matrix) -> Agents:
        observation = _validate.probabilities("observation_matrix", observation_matrix, (None, None))
        n_states, n_symbols = observation.shape
        utility = _validate.real_array("utility", utility, (n_states, None))
        revealing = np.arange(n_symbols) if revealing_action is None else np.asarray(revealing_action)
        revealing = _validate.integers("revealing_action", revealing, utility.shape[1])
        if revealing.shape != (n_symbols,) or len(set(revealing.tolist())) < n_symbols:
            raise ValueError(
                f"`revealing_action` must name a different action for each of {n_symbols} symbols. "
                f"Got {revealing.tolist()}."
            )
        transition = np.eye(n_states) if transition_matrix is None else transition_matrix
        transition = _validate.probabilities("transition_matrix", transition, (n_states, n_states))
        return cls(observation, utility, revealing, transition)

    @property
    def n_states(self) -> int:
        return len(self.utility)

    @property
    def loss(self) -> np.ndarray:
        return self.utility.max(axis=1, keepdims=True) - self.utility

    def private(self, beliefs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probability (n, Y) of each observation, and the private belief (n, Y, X) after it."""
        joint = (beliefs @ self.transition_matrix)[:, None, :] * self.observation_matrix.T
        probability = joint.sum(axis=2)
        return probability, joint / np.where(probability > 0, probability, 1)[:, :, None]

    def incentive(self, beliefs: np.ndarray) -> np.ndarray:
        _, private = self.private(beliefs)
        value = private @ self.utility
        revealing = np.take_along_axis(value, np.broadcast_to(self.revealing, value.shape[:2])[:, :, None], axis=2)
        return np.maximum((value - revealing).max(axis=(1, 2)), 0)

    def herd_action(self, beliefs: np.ndarray) -> np.ndarray:
        return (beliefs @ self.transition_matrix @ self.utility).argmax(axis=1)

    def contrarian(self, beliefs: np.ndarray) -> np.ndarray:
        """Whether (n, Y) the symbol's revealing action is not the herd's."""
        return self.herd_action(beliefs)[:, None] != self.revealing

    def responses(self, beliefs: np.ndarray, offers: np.ndarray) -> np.ndarray:
        """Best action (n, Y) after each symbol when every action but the herd's is paid `offers` (n,)."""
        _, private = self.private(beliefs)
        against = np.arange(self.utility.shape[1]) != self.herd_action(beliefs)[:, None]
        value = private @ self.utility + (against * offers[:, None])[:, None, :]
        own = np.broadcast_to(self.revealing, value.shape[:2])
        reached = np.take_along_axis(value, own[:, :, None], axis=2)[:, :, 0]
        slack = TIE_TOLERANCE * max(float(np.abs(self.utility).max()), 1e-300)
        return np.where(reached >= value.max(axis=2) - slack, own, value.argmax(axis=2))
