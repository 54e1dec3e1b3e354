"""Exact tests of laws of symbols: one sample against a law, or two samples against each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate

ROUNDING = 1e-9  # statistics that differ by less are the same table


@dataclass(frozen=True, eq=False)
class LawTest:
    """Verdict on counts of symbols, made by `same_law` or `fits_law`. Prints as a line.

    Attributes
    ----------
    p_value : float
        At most alpha with probability at most alpha if nothing has changed, for every size of sample.
    distances : numpy.ndarray of shape (rows,)
        Total variation between the shares of the two sides, row by row; NaN where a row was not seen.
    statistic : float
        Sum over rows of Pearson's chi-squared.
    n_draws : int
    """

    p_value: float
    distances: np.ndarray
    statistic: float
    n_draws: int

    def __str__(self) -> str:
        moved = ", ".join(f"{distance:.2f}" for distance in self.distances)
        return f"p-value {self.p_value:.3f}, distance {moved} ({self.n_draws} draws)"


def same_law(reference: ArrayLike, counts: ArrayLike, *, n_draws: int = 999, rng: np.random.Generator) -> LawTest:
    """Test whether two samples of symbols come from the same law, row by row.

    Parameters
    ----------
    reference, counts : array-like of int, shape (Y,) or (X, Y)
        How often each symbol came then and now; one row if the states are unknown, else one for each state.
    n_draws : int
        Random splits of the pooled counts.
    rng : numpy.random.Generator

    Returns
    -------
    LawTest

    Raises
    ------
    ValueError
        If shapes differ, or no row was seen in both samples.

    Notes
    -----
    Derived in the chapter `control/failure-signatures`. Texts must be independent: copies of one text count once.

    Examples
    --------
    >>> test = same_law([[60, 40], [20, 80]], [[30, 20], [25, 25]], rng=np.random.default_rng(0))
    >>> print(test)
    p-value 0.002, distance 0.00, 0.30 (999 draws)
    """
    reference = _counts("reference", reference)
    counts = _counts("counts", counts)
    if reference.shape != counts.shape:
        raise ValueError(f"`counts` must have the shape of `reference`, {reference.shape}. Got {counts.shape}.")
    n_draws, rng = _validate.integer("n_draws", n_draws, 19), _validate.generator(rng)
    sizes, both = counts.sum(axis=1), reference + counts
    seen = np.flatnonzero((sizes > 0) & (reference.sum(axis=1) > 0))
    if not seen.size:
        raise ValueError("`counts` must share a row with `reference` in which both saw something. Got none.")
    observed, noise = 0.0, np.zeros(n_draws)
    for row in seen:
        expected = both[row] / both[row].sum() * sizes[row]
        rest = both[row].sum() - sizes[row]
        scale = 1 + sizes[row] / rest  # both halves of the two-sample table at once
        draws = rng.multivariate_hypergeometric(both[row], sizes[row], n_draws)
        observed += scale * _chi_squared(counts[row], expected)
        noise += scale * _chi_squared(draws, expected)
    return _verdict(observed, noise, _distances(counts, reference))


def fits_law(counts: ArrayLike, law: ArrayLike, *, n_draws: int = 999, rng: np.random.Generator) -> LawTest:
    """Test whether a sample of symbols (or of states) comes from a law that somebody assumed.

    Parameters
    ----------
    counts : array-like of int, shape (Y,) or (X, Y)
        How often each symbol came, one row or one for each state.
    law : array-like of the same shape
        The assumed law of each row, such as a prior or an observation matrix. If it was estimated, use `same_law`.
    n_draws : int
        Samples drawn from the law.
    rng : numpy.random.Generator

    Returns
    -------
    LawTest

    Raises
    ------
    ValueError
        If shapes differ, a row of the law does not sum to one, or nothing was seen.

    Notes
    -----
    Used in the chapter `control/failure-signatures`.

    Examples
    --------
    >>> print(fits_law([52, 48], [0.5, 0.5], rng=np.random.default_rng(0)).p_value > 0.5)
    True
    """
    counts = _counts("counts", counts)
    law = _validate.probabilities("law", np.atleast_2d(np.asarray(law)), counts.shape)
    n_draws, rng = _validate.integer("n_draws", n_draws, 19), _validate.generator(rng)
    sizes = counts.sum(axis=1)
    if not sizes.any():
        raise ValueError("`counts` must hold something. Got zeros only.")
    expected = law * sizes[:, None]
    draws = rng.multinomial(sizes, law, (n_draws, len(sizes)))
    observed, noise = _chi_squared(counts, expected).sum(), _chi_squared(draws, expected).sum(axis=1)
    return _verdict(observed, noise, _distances(counts, law * (sizes > 0)[:, None]))


def _counts(name: str, counts: ArrayLike) -> np.ndarray:
    counts = np.atleast_2d(np.asarray(counts))
    if counts.ndim != 2 or counts.dtype.kind not in "iu" or counts.size == 0 or counts.min() < 0:
        raise ValueError(f"`{name}` must be whole numbers from 0 of shape (Y,) or (X, Y). Got {counts.tolist()!r:.60}.")
    return counts.astype(np.int64)


def _chi_squared(counts: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Pearson's distance along the last axis; infinite where something came that cannot."""
    squares = (counts - expected) ** 2
    fallback = np.where(squares > 0, np.inf, 0.0)
    return np.divide(squares, expected, out=fallback, where=expected > 0).sum(axis=-1)


def _distances(counts: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Total variation of the shares in each row."""
    with np.errstate(invalid="ignore"):
        shares = [side / side.sum(axis=1, keepdims=True) for side in (counts, others)]
    return np.abs(shares[0] - shares[1]).sum(axis=1) / 2


def _verdict(observed: float, noise: np.ndarray, distances: np.ndarray) -> LawTest:
    as_uneven = (noise >= observed * (1 - ROUNDING)).sum()
    p_value = float((1 + as_uneven) / (1 + noise.size))
    return LawTest(p_value, _validate.read_only(distances), float(observed), noise.size)
