"""A look at a noisy objective before it is minimised: its slope, the noise in it, and the longest safe step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.control._spsa import _Pair

LEVEL = 0.05
ADVICE = {
    "clear": "There is a slope to follow; keep the gain below `largest_gain`.",
    "noisy": "The slope is lost in noise: more runs in each evaluation, common random numbers, a wider perturbation. "
    "Or theta is a minimum already.",
    "flat": "Most pairs cost the same: soften the policy, or widen the perturbation.",
}


@dataclass(frozen=True, eq=False)
class GradientProbe:
    """Slope and curvature of an objective at one place, made by `probe_gradient`.

    Attributes
    ----------
    slopes : numpy.ndarray of shape (n_pairs, *theta.shape)
        One estimate of the gradient from each pair.
    curvatures : numpy.ndarray of shape (n_pairs,)
        d'Hd for each pair's signs d, with H the matrix of second derivatives.
    flat_share : float
        Share of the pairs whose two costs were equal.
    """

    slopes: np.ndarray
    curvatures: np.ndarray
    flat_share: float

    @property
    def mean(self) -> np.ndarray:
        """Estimated gradient."""
        return self.slopes.mean(axis=0)

    @property
    def error(self) -> np.ndarray:
        """Its standard errors."""
        return self.slopes.std(axis=0, ddof=1) / np.sqrt(len(self.slopes))

    @property
    def verdict(self) -> str:
        """ "flat", "noisy" or "clear"; without any slope, "clear" comes in at most 5 % of probes."""
        from scipy.stats import t

        if self.flat_share > 0.5:
            return "flat"
        critical = t.ppf(1 - LEVEL / 2 / self.mean.size, len(self.slopes) - 1)
        return "clear" if (np.abs(self.mean) > critical * self.error).any() else "noisy"

    @property
    def largest_gain(self) -> float:
        """Steps a_k above this overshoot; infinite if no upward curvature was found."""
        middle = self.curvatures.mean()
        error = self.curvatures.std(ddof=1) / np.sqrt(len(self.curvatures))
        return float(2 / middle) if middle > 2 * error else inf

    @property
    def pairs_needed(self) -> float:
        """How many pairs bring the length of the mean gradient to twice its standard error."""
        noise = self.slopes.reshape(len(self.slopes), -1).var(axis=0, ddof=1).sum()
        signal = (self.mean**2).sum() - noise / len(self.slopes)  # the noise lengthens the mean; take that out
        return float(4 * noise / signal) if signal > 0 else inf

    @property
    def advice(self) -> str:
        """What the verdict means and what to change."""
        return ADVICE[self.verdict]


def probe_gradient(
    objective: Callable,
    theta: ArrayLike,
    *,
    rng: np.random.Generator,
    perturbation: float = 0.1,
    n_pairs: int = 30,
    common: bool = True,
) -> GradientProbe:
    """Measure slope, noise and curvature of an objective where a search is to begin.

    Parameters
    ----------
    objective : callable
        ``objective(theta, rng)``, or ``objective(theta)`` if it has no noise, as `policies.spsa` takes it.
    theta : array-like
        Where to look.
    rng : numpy.random.Generator
    perturbation : float
        c: costs are compared at theta + cd, theta and theta - cd.
    n_pairs : int
        Each evaluates the objective three times.
    common : bool
        Whether the three meet the same random numbers.

    Returns
    -------
    GradientProbe
        With `.verdict`, `.advice`, `.largest_gain` and `.pairs_needed`.

    Raises
    ------
    ValueError
        If an argument is malformed or the objective returns what is not a finite number.

    Notes
    -----
    Used in the chapter `control/failure-signatures`. Probe where the search begins: at a minimum there is no slope,
    and there should be none.

    Examples
    --------
    >>> probe = probe_gradient(lambda theta: 3 * theta[0] ** 2, [1.0], rng=np.random.default_rng(0))
    >>> probe.mean.round(6), probe.verdict, round(probe.largest_gain, 6)
    (array([6.]), 'clear', 0.333333)
    """
    rng = _validate.generator(rng)
    theta = _validate.real_array("theta", theta, (None,) * np.ndim(theta))
    c, n_pairs = _validate.positive("perturbation", perturbation), _validate.integer("n_pairs", n_pairs, 2)
    cost = _Pair(objective, common, rng)._cost
    slopes, curvatures, flat = [], [], 0
    for _ in range(n_pairs):
        signs = rng.choice([-1.0, 1.0], theta.shape)
        seeds = rng.integers(2**63, size=3)
        seeds = seeds[[0, 0, 0]] if common else seeds
        ahead, here, behind = (cost(theta + c * k * signs, seed) for k, seed in zip((1, 0, -1), seeds, strict=True))
        slopes.append((ahead - behind) / (2 * c) * signs)
        curvatures.append((ahead - 2 * here + behind) / c**2)
        flat += ahead == behind
    return GradientProbe(np.array(slopes), np.array(curvatures), float(flat / n_pairs))
