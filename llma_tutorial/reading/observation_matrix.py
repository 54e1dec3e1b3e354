r"""What an agent's sensor is worth: the observation matrix, estimated with its uncertainty.

Primitives: texts with known state x, each turned into a symbol y by a sensor (a language model and its questions).
Each row of B[x, y] = P(y | x) is a multinomial; with a symmetric Dirichlet prior of `pseudocount` for every cell,

    B[x, :] | counts  ~  Dirichlet(pseudocount + counts[x, :]),      B[x, y] | counts  ~  Beta

so that means, credible intervals and draws are exact. Draws carry the uncertainty of B to any number computed from it.
Chapters: `many-agents/cascades`, section "Through the eyes of a language model"; `reading/bayesian-engine`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from llma_tutorial import _validate


@dataclass(frozen=True, eq=False)
class ObservationMatrixEstimate:
    """Posterior of an observation matrix, made by `estimate_observation_matrix`.

    Attributes
    ----------
    counts : numpy.ndarray of shape (X, Y)
        How often symbol y came with state x.
    pseudocount : float
        Prior weight of every cell; 1 is uniform, 1/2 is Jeffreys' prior.
    """

    counts: np.ndarray
    pseudocount: float

    @property
    def mean(self) -> np.ndarray:
        """Posterior mean of B, shape (X, Y); rows sum to 1."""
        weights = self.counts + self.pseudocount
        return weights / weights.sum(axis=1, keepdims=True)

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Equal-tailed credible interval of each entry: lower and upper ends, both of shape (X, Y)."""
        level = _validate.number("level", level, 0, 1)
        weights = self.counts + self.pseudocount
        others = weights.sum(axis=1, keepdims=True) - weights
        return betaincinv(weights, others, (1 - level) / 2), betaincinv(weights, others, (1 + level) / 2)

    def sample(self, n: int, *, rng: np.random.Generator) -> np.ndarray:
        """`n` draws of B from its posterior, shape (n, X, Y)."""
        n = _validate.integer("n", n, 1)
        gammas = _validate.generator(rng).standard_gamma(self.counts + self.pseudocount, (n, *self.counts.shape))
        return gammas / gammas.sum(axis=2, keepdims=True)


def estimate_observation_matrix(
    states: ArrayLike, symbols: ArrayLike, n_states: int, n_symbols: int, pseudocount: float = 0.5
) -> ObservationMatrixEstimate:
    """Estimate P(symbol | state) from labelled readings.

    Parameters
    ----------
    states, symbols : array-like of int, shape (n,)
        True state and symbol of each text.
    n_states, n_symbols : int
        X and Y.
    pseudocount : float
        Dirichlet weight added to every cell, above zero.

    Returns
    -------
    ObservationMatrixEstimate
        With `.mean`, `.interval(level)` and `.sample(n, rng=rng)`.

    Raises
    ------
    ValueError
        If lengths differ, an index is out of range, or the pseudocount is not positive.

    Notes
    -----
    Used in the chapters `many-agents/cascades` and `reading/bayesian-engine`.

    Examples
    --------
    >>> estimate = estimate_observation_matrix([0, 0, 0, 1], [0, 0, 1, 1], 2, 2, pseudocount=1)
    >>> estimate.mean.round(3).tolist()
    [[0.6, 0.4], [0.333, 0.667]]
    """
    n_states = _validate.integer("n_states", n_states, 1)
    n_symbols = _validate.integer("n_symbols", n_symbols, 2)
    states = _validate.integers("states", states, n_states)
    symbols = _validate.integers("symbols", symbols, n_symbols)
    if states.ndim != 1 or states.shape != symbols.shape:
        raise ValueError(f"`symbols` must have one entry for each state. Got {symbols.shape} for {states.shape}.")
    pseudocount = _validate.number("pseudocount", pseudocount, 0)
    if pseudocount == 0:
        raise ValueError("`pseudocount` must be above 0, so that no symbol is held impossible. Got 0.")
    counts = np.bincount(states * n_symbols + symbols, minlength=n_states * n_symbols)
    counts = counts.reshape(n_states, n_symbols)
    counts.flags.writeable = False
    return ObservationMatrixEstimate(counts, pseudocount)
