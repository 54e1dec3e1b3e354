r"""Self-consuming estimation: a normal law refitted, generation after generation, to samples of which few are new.

Generation 0 is the truth N(0, v_0). Each generation draws n points, f n of them fresh from the truth and the rest from
the model before, and the next model is N(mean, variance) of these points, with 1/n or the unbiased 1/(n-1). With
V = E[variance], D = E[mean^2] and S = f v_0 + (1-f) V,

    1/n:       V' = (1 - 1/n) S + f (1-f) D            D' = (1-f)^2 D + S / n
    unbiased:  V' = S + f (1-f) D n / (n-1)

so that f = 0 gives V_g = v_0 (1 - 1/n)^g, or V_g = v_0. Without fresh points the variance is multiplied each time by an
independent chi-square over n (or n - 1), and its logarithm is a random walk with drift

    digamma((n-1)/2) - log(n/2)      or      digamma((n-1)/2) - log((n-1)/2),      negative both.

If data accumulate, model g is fitted to all g n points so far, and V_g = v_0 prod_{j<=g} (1 - 1/(n j^2)) with 1/n,
which tends to v_0 sin(z)/z with z = pi / sqrt(n).

A table of word frequencies p, refitted to n own words, is a Wright-Fisher model of genetic drift, and the probability
that two words differ falls at the same rate: E[1 - sum p_g^2] = (1 - 1/n)^g (1 - sum p_0^2).

Source: Shumailov et al. (2024). Chapter: `many-agents/model-collapse`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma, gammaln

from llma_tutorial import _validate


@dataclass(frozen=True, eq=False)
class SelfConsuming:
    """Exact moments of models fitted to models, made by `self_consuming`.

    Attributes
    ----------
    expected_variance : numpy.ndarray of shape (n_generations + 1,)
        E[variance of the model], from the truth at generation 0 on.
    expected_squared_error : numpy.ndarray of shape (n_generations + 1,)
        E[(mean of the model - true mean)^2].
    limit : float
        What `expected_variance` tends to.
    log_drift : float or None
        Expected change of log variance in one generation; None unless all data are replaced by the model's own.
    n_samples, n_fresh : int
    accumulate, unbiased : bool
    """

    expected_variance: np.ndarray
    expected_squared_error: np.ndarray
    limit: float
    log_drift: float | None
    n_samples: int
    n_fresh: int
    accumulate: bool
    unbiased: bool


def self_consuming(
    n_samples: int,
    n_generations: int,
    *,
    n_fresh: int = 0,
    accumulate: bool = False,
    unbiased: bool = True,
    variance: float = 1.0,
) -> SelfConsuming:
    """Exact expected variance of a normal law that is refitted to its own samples.

    Parameters
    ----------
    n_samples : int
        Points that each generation draws, at least 2.
    n_generations : int
        How many times the model is refitted.
    n_fresh : int
        How many of the points come from the truth, from 0 to `n_samples`; the others come from the model before.
    accumulate : bool
        Fit to all points so far and not just to the newest; then `n_fresh` must be 0.
    unbiased : bool
        Divide sums of squares by the number of points less one; by the number itself if False.
    variance : float
        Of the truth; positive.

    Examples
    --------
    >>> law = self_consuming(20, 10, unbiased=False)
    >>> print(f"{law.expected_variance[-1]:.4f}")  # (19/20)^10
    0.5987
    >>> print(f"{self_consuming(5, 10).log_drift:.4f}")
    -0.2704
    """
    n = _validate.integer("n_samples", n_samples, 2)
    n_generations = _validate.integer("n_generations", n_generations, 1)
    n_fresh = _validate.integer("n_fresh", n_fresh, 0, n)
    truth = _validate.positive("variance", variance)
    for name, flag in (("accumulate", accumulate), ("unbiased", unbiased)):
        if flag not in (True, False):
            raise ValueError(f"`{name}` must be True or False. Got {flag!r}.")
    if accumulate and n_fresh:
        raise ValueError(f"`n_fresh` must be 0 if data accumulate: the first points stay anyway. Got {n_fresh}.")
    if accumulate:
        moments, limit = _accumulated(n, n_generations, unbiased)
    else:
        moments, limit = _replaced(n, n_generations, n_fresh / n, unbiased)
    drift = None
    if not accumulate and not n_fresh:
        drift = float(digamma((n - 1) / 2) - np.log((n - 1 if unbiased else n) / 2))
    expected, error = (_validate.read_only(np.array(values)) for values in np.transpose(moments) * truth)
    return SelfConsuming(expected, error, limit * truth, drift, n, n_fresh, bool(accumulate), bool(unbiased))


def _replaced(n: int, n_generations: int, fresh: float, unbiased: bool) -> tuple[list, float]:
    """E[variance] and E[mean^2] of each generation in units of the true variance, and the limit of the first."""
    moments = [(1.0, 0.0)]
    for _ in range(n_generations):
        expected, error = moments[-1]
        drawn = fresh + (1 - fresh) * expected
        fitted = (1 - 1 / n) * drawn + fresh * (1 - fresh) * error
        moments.append((fitted * n / (n - 1) if unbiased else fitted, (1 - fresh) ** 2 * error + drawn / n))
    if not fresh:
        return moments, float(unbiased)
    kept = 1 - 1 / (n * (2 - fresh))  # V = kept S once the mean has settled: D = S / (n f (2 - f))
    kept *= n / (n - 1) if unbiased else 1
    return moments, fresh * kept / (1 - (1 - fresh) * kept)


def _accumulated(n: int, n_generations: int, unbiased: bool) -> tuple[list, float]:
    """The same when data accumulate: each generation keeps a share that tends to 1 fast enough to leave a limit."""
    batches = np.arange(1, n_generations + 1)
    if unbiased:
        shares = np.where(batches > 1, 1 - 1 / (batches * (n * batches - 1)), 1.0)
        roots = np.roots([n, -1, -1])  # of n j^2 - j - 1, the numerator of a share
        limit = float(np.exp(gammaln(2 - 1 / n) - gammaln(2 - roots).sum()))
    else:
        shares = 1 - 1 / (n * batches**2)
        limit = float(np.sinc(1 / np.sqrt(n)))
    expected = np.concatenate([[1.0], shares.cumprod()])
    # The pooled mean moves by (newest mean - pooled mean before) / j, which has variance V / (n j^2).
    steps = expected[:-1] / (n * batches**2)
    return list(zip(expected, np.concatenate([[0.0], steps.cumsum()]), strict=True)), limit


@dataclass(frozen=True, eq=False)
class SelfConsumingRuns:
    """Simulated models fitted to models, made by `simulate_self_consuming`; the truth has mean 0.

    Attributes
    ----------
    means, variances : numpy.ndarray of shape (n_runs, n_generations + 1)
        Of each model, from the truth at generation 0 on.
    """

    means: np.ndarray
    variances: np.ndarray


def simulate_self_consuming(law: SelfConsuming, n_runs: int, *, rng: np.random.Generator) -> SelfConsumingRuns:
    """Simulate independent lines of models: draw the points, fit, repeat.

    Parameters
    ----------
    law : SelfConsuming
        Made by `self_consuming`; gives sample size, generations, fresh points and estimator.
    n_runs : int
    rng : numpy.random.Generator

    Examples
    --------
    >>> law = self_consuming(20, 10, unbiased=False)
    >>> runs = simulate_self_consuming(law, 40_000, rng=np.random.default_rng(1))
    >>> bool(abs(runs.variances[:, -1].mean() - 0.5987) < 0.02)
    True
    """
    n_runs = _validate.integer("n_runs", n_runs, 1)
    rng = _validate.generator(rng)
    n, shape = law.n_samples, (n_runs, law.expected_variance.size)
    means, variances = np.zeros(shape), np.full(shape, law.expected_variance[0])
    count, squares = 0, np.zeros(n_runs)  # of the points that stay, when they accumulate
    for g in range(1, shape[1]):
        centre = means[:, g - 1]  # points are kept as distances from it, so that a tiny variance is not rounded away
        points = np.sqrt(variances[:, [g - 1]]) * rng.standard_normal((n_runs, n))
        fresh = np.sqrt(law.expected_variance[0]) * rng.standard_normal((n_runs, law.n_fresh))
        points[:, : law.n_fresh] = fresh - centre[:, None]
        shift = points.mean(axis=1)
        spread = ((points - shift[:, None]) ** 2).sum(axis=1)
        if not law.accumulate:
            count, squares = 0, 0.0
        squares = squares + spread + shift**2 * count * n / (count + n)
        count += n
        means[:, g], variances[:, g] = centre + shift * n / count, squares / (count - law.unbiased)
    return SelfConsumingRuns(means, variances)


def simulate_words(
    frequencies: ArrayLike, n_words: int, n_generations: int, n_runs: int, *, rng: np.random.Generator
) -> np.ndarray:
    """Simulate tables of word frequencies, each fitted to the words that the one before wrote.

    Parameters
    ----------
    frequencies : array-like of shape (W,)
        Of generation 0; they sum to 1.
    n_words : int
        Words that each generation writes.
    n_generations, n_runs : int
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray of shape (n_runs, n_generations + 1, W)
        Frequencies of every generation.

    Notes
    -----
    Chapter `many-agents/model-collapse`, section "Words instead of numbers".

    Examples
    --------
    >>> frequencies = simulate_words([0.5, 0.3, 0.2], 10, 200, 50, rng=np.random.default_rng(1))
    >>> int((frequencies[:, -1] == 1).sum())  # runs with one word left
    50
    """
    frequencies = _validate.probabilities("frequencies", frequencies, (None,))
    n_words = _validate.integer("n_words", n_words, 1)
    n_generations = _validate.integer("n_generations", n_generations, 1)
    n_runs = _validate.integer("n_runs", n_runs, 1)
    rng = _validate.generator(rng)
    found = np.empty((n_runs, n_generations + 1, frequencies.size))
    found[:, 0] = frequencies
    for g in range(n_generations):
        found[:, g + 1] = rng.multinomial(n_words, found[:, g]) / n_words
    return found
