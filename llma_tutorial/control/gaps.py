"""How far a policy is from the optimum, with intervals: over simulated worlds, and over seeds of the training.

Policy and certified solution meet the same worlds, so that only their difference is noisy. Over seeds no law is
assumed: the interval of the median is made of order statistics. Chapters: `control/policy-gradient`,
`control/neural-policies`.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.control.bounds import solve
from llma_tutorial.control.problems import Policy, StoppingProblem, start_belief
from llma_tutorial.control.stopping import confidence_level, simulate


@dataclass(frozen=True, eq=False)
class Gap:
    """Extra cost of a policy over the optimum; arrays have a leading axis for a family of policies.

    Attributes
    ----------
    estimate, low, high : numpy.ndarray of shape ()
        Extra expected cost and its confidence interval.
    optimum : tuple of float
        Certified bracket around the optimal cost.
    level : float
        Of the interval.
    """

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    optimum: tuple[float, float]
    level: float

    @property
    def relative(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Estimate, low and high as shares of the optimal cost, at the end of its bracket that is less flattering."""
        lower, upper = self.optimum
        if lower <= 0:
            raise ValueError(f"`relative` needs a positive optimal cost. Got a bracket from {lower:g} to {upper:g}.")
        return self.estimate / lower, self.low / upper, self.high / lower


def paired_gap(costs: np.ndarray, optimal_costs: np.ndarray, optimum: tuple, loss: float, level: float) -> Gap:
    """Gap from costs (..., n) of a policy and of a near-optimal one in the same n worlds; the latter loses `loss`."""
    extra = costs - optimal_costs
    reach = NormalDist().inv_cdf((1 + level) / 2) * extra.std(axis=-1, ddof=1) / np.sqrt(extra.shape[-1])
    mean = extra.mean(axis=-1)
    return Gap(np.maximum(mean, 0), np.maximum(mean - reach, 0), np.maximum(mean + reach, 0) + loss, optimum, level)


def optimality_gap(
    problem: StoppingProblem,
    policy: Policy,
    belief: ArrayLike | None = None,
    *,
    n_runs: int = 20_000,
    level: float = 0.95,
    tolerance: float = 1e-4,
    horizon: int | None = None,
    rng: np.random.Generator,
) -> Gap:
    """Extra expected cost of a policy over the optimal one, with a confidence interval.

    Parameters
    ----------
    problem : StoppingProblem or TextLine
        A line is judged by its own simulation, so its policy is one of histories.
    policy : callable
        From beliefs (n, X) to stopping decisions, probabilities or words, of shape (n,) or (m, n).
    belief : array-like of shape (X,), optional
        First belief; uniform if omitted. A line has its own.
    n_runs : int
        Simulated worlds, at least 2.
    level : float
        Of the interval.
    tolerance : float
        Largest width of the certified bracket of the optimum.
    horizon : int, optional
        Step in which every run must stop, see `stopping.simulate`.
    rng : numpy.random.Generator

    Returns
    -------
    Gap
        With `.estimate`, `.low`, `.high`, `.optimum` and `.relative`.

    Notes
    -----
    Policy and certified solution meet the same worlds, so only their difference is noisy. The certified policy stops
    in error at most where its bracket straddles, and loses at most the width of the bracket by it: the upper end
    includes that.

    Examples
    --------
    >>> from llma_tutorial.control import stopping
    >>> problem = stopping.wald([[0.7, 0.3], [0.3, 0.7]], [[0, 20], [20, 0]], 0.99)
    >>> gap = optimality_gap(problem, lambda beliefs: beliefs[:, 0] > -1, rng=np.random.default_rng(0))
    >>> bool(gap.low < 10 - 6.380775 < gap.high)
    True
    """
    level, rng = confidence_level(level), _validate.generator(rng)
    if not isinstance(problem, StoppingProblem):
        for name, given in (("belief", belief), ("horizon", horizon)):
            if given is not None:
                raise ValueError(f"`{name}` must be left out for a line, which has its own. Got {given!r}.")
        return problem.gap(policy, n_runs, level, tolerance, rng)
    belief = start_belief(problem, belief)
    solution = solve(problem, tolerance=tolerance)
    seed = rng.integers(2**63)
    worlds = [
        simulate(problem, one, n_runs, belief, horizon=horizon, rng=np.random.default_rng(seed)).costs
        for one in (policy, solution.policy)
    ]
    return paired_gap(*worlds, solution.value(belief), solution.width, level)


def median_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """Median of independent values, and order statistics between which the true median lies with at least `level`.

    Parameters
    ----------
    values : array-like of shape (n,)
        One for each seed; no law is assumed.
    level : float

    Returns
    -------
    tuple of float
        Median, low, high.

    Raises
    ------
    ValueError
        If there are too few values for the level: 6 at 0.95.

    Examples
    --------
    >>> median_interval(range(20))  # the 6th and the 15th of 20
    (9.5, 5.0, 14.0)
    """
    values = _validate.real_array("values", values, (None,))
    level = confidence_level(level)
    from scipy.stats import quantile_test  # loads much, and only this needs it

    low, high = quantile_test(values, p=0.5).confidence_interval(level)
    if not np.isfinite([low, high]).all():
        raise ValueError(f"`values` must be more for an interval of level {level:g}. Got {values.size}.")
    return float(np.median(values)), float(low), float(high)
