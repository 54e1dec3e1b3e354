r"""Calibration: does what is believed with probability p happen with frequency p?

Primitives: stated probabilities p_i of events e_i in {0, 1}. In bins of p, a calibrated source has

    mean of e in the bin  =  mean of p in the bin       up to sampling error

and the expected calibration error is the mean distance of the two, weighted by the size of the bins. The posterior of
an agent whose prior and likelihood are right is calibrated, whatever its questions are; so is a prior that reads
nothing: calibration is honesty, not knowledge. Intervals are Jeffreys' for a proportion.
Chapter: `reading/bayesian-engine`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from llma_tutorial import _validate


@dataclass(frozen=True, eq=False)
class Reliability:
    """A reliability diagram in numbers, made by `reliability`; one entry for each bin that holds something.

    Attributes
    ----------
    stated, observed : numpy.ndarray of shape (bins,)
        Mean probability and share of events.
    low, high : numpy.ndarray of shape (bins,)
        95 % interval of the share.
    counts : numpy.ndarray of shape (bins,)
    """

    stated: np.ndarray
    observed: np.ndarray
    low: np.ndarray
    high: np.ndarray
    counts: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error; above zero by chance even for a calibrated source."""
        return float(np.abs(self.stated - self.observed) @ self.counts / self.counts.sum())


def reliability(probabilities: ArrayLike, events: ArrayLike, n_bins: int = 10) -> Reliability:
    """Compare stated probabilities with what happened.

    Parameters
    ----------
    probabilities : array-like of shape (n,)
        Stated probability of each event.
    events : array-like of bool or int, shape (n,)
        Whether it happened.
    n_bins : int
        Bins of equal width on [0, 1].

    Returns
    -------
    Reliability

    Examples
    --------
    >>> diagram = reliability([0.2, 0.2, 0.2, 0.2, 0.9], [0, 0, 0, 1, 1])
    >>> diagram.observed.tolist(), round(diagram.error, 3)
    ([0.25, 1.0], 0.06)
    """
    probabilities = _validate.real_array("probabilities", probabilities, (None,))
    if probabilities.min() < 0 or probabilities.max() > 1:
        wrong = probabilities[(probabilities < 0) | (probabilities > 1)][0]
        raise ValueError(f"`probabilities` must be from 0 to 1. Got {wrong:.6g}.")
    events = np.asarray(events)
    events = _validate.integers("events", events.astype(int) if events.dtype == bool else events, 2)
    if events.shape != probabilities.shape:
        raise ValueError(f"`events` must have one entry for each probability. Got {events.shape}.")
    n_bins = _validate.integer("n_bins", n_bins, 1)
    bins = np.minimum((probabilities * n_bins).astype(int), n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    kept = counts > 0
    counts, happened = counts[kept], np.bincount(bins, events, n_bins)[kept]
    stated = np.bincount(bins, probabilities, n_bins)[kept] / counts
    low, high = (betaincinv(happened + 0.5, counts - happened + 0.5, end) for end in (0.025, 0.975))
    return Reliability(stated, happened / counts, low, high, counts)
