"""Threshold policies on beliefs: one threshold on an expected score, hard or soft."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from llma_tutorial import _validate

INSIDE = 1e-12  # scores and thresholds of soft policies are kept this far from 0 and 1, where log-odds are infinite


@dataclass(frozen=True, eq=False)
class ThresholdPolicy:
    """Stop where the expected score of the belief exceeds a threshold; any parameters give a monotone policy.

    Parameters
    ----------
    theta : array-like of shape (X - 1,) or (m, X - 1), or a number for two states
        Parameters of one policy, or of a family of m. The threshold is sin^2 of the last; score steps are 1 and then
        1, squares of the others. With two states the score is the belief in state `end`.
    end : {0, -1}
        The extreme state, first or last, near which the policy stops.
    softness : float
        0 for a hard threshold. Otherwise the probability of stopping is logistic, with this scale in log-odds: one
        symbol moves the belief by its log-likelihood ratio, so that is the unit to compare with.

    Raises
    ------
    ValueError
        If a parameter is not finite, the softness is negative, or beliefs of another number of states are given.

    Notes
    -----
    Used in the chapter `control/policy-gradient`. Calling the policy with beliefs (n, X) returns what
    `stopping.evaluate` and `stopping.simulate` want: booleans or probabilities of shape (n,), or (m, n).

    Examples
    --------
    >>> policy = ThresholdPolicy(np.pi / 3)  # stop where the belief in state 0 exceeds 3/4
    >>> policy(np.array([[0.7, 0.3], [0.8, 0.2]]))
    array([False,  True])
    >>> policy.soft(0.5)(np.array([[0.7, 0.3], [0.8, 0.2]])).round(2)
    array([0.38, 0.64])
    """

    theta: np.ndarray
    end: int = 0
    softness: float = 0.0

    def __post_init__(self) -> None:
        theta = np.atleast_1d(np.asarray(self.theta))
        object.__setattr__(self, "theta", _validate.real_array("theta", theta, (None,) * min(max(theta.ndim, 1), 2)))
        if self.end not in (0, -1):
            raise ValueError(f"`end` must be 0 (stop near the first state) or -1 (near the last). Got {self.end!r}.")
        object.__setattr__(self, "softness", _validate.number("softness", self.softness, 0))

    @property
    def threshold(self) -> np.ndarray:
        """Threshold of the scaled score, between 0 and 1; shape () or (m,)."""
        return np.sin(self.theta[..., -1]) ** 2

    @property
    def scores(self) -> np.ndarray:
        """Score of each state, shape (X,) or (m, X): 1 at the state `end`, falling to 0 at the other end."""
        lead = self.theta.shape[:-1]
        first = np.ones((*lead, min(self.theta.shape[-1], 1)))
        steps = np.concatenate([np.zeros((*lead, 1)), first, self.theta[..., :-1] ** 2], axis=-1)
        scores = steps.cumsum(axis=-1)
        return (scores / scores[..., -1:])[..., :: 1 if self.end == -1 else -1]

    def soft(self, softness: float) -> ThresholdPolicy:
        """The same policy with another softness; 0 hardens it."""
        return replace(self, softness=softness)

    def __call__(self, beliefs: ArrayLike) -> np.ndarray:
        beliefs = np.asarray(beliefs, dtype=float)
        if beliefs.ndim != 2 or beliefs.shape[1] != self.theta.shape[-1] + 1:
            raise ValueError(
                f"`beliefs` must have shape (n, {self.theta.shape[-1] + 1}) for `theta` of shape {self.theta.shape}. "
                f"Got {beliefs.shape}; X states take X - 1 parameters."
            )
        score, threshold = self.scores @ beliefs.T, self.threshold[..., None]
        if self.softness == 0:
            return score > threshold
        odds = logit(np.clip(score, INSIDE, 1 - INSIDE)) - logit(np.clip(threshold, INSIDE, 1 - INSIDE))
        return expit(odds / self.softness)
