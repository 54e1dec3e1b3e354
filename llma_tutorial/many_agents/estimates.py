"""The statistics of an audit, each on flat arrays with one entry for each decision; uncertainty is by run throughout.

Decisions of one run depend on each other, runs do not: every variance sums what belongs to a run before it squares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtr, ndtri, stdtrit


@dataclass(frozen=True)
class Interval:
    """An estimate between two limits; the estimate is nan where only the limits are known."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        limits = f"{self.low:.3f} to {self.high:.3f}"
        return f"anywhere in {limits}" if np.isnan(self.estimate) else f"{self.estimate:.3f} ({limits})"


def clustered_mean(values: np.ndarray, run: np.ndarray, n_runs: int, level: float) -> Interval:
    """Mean over decisions, with limits from Student's law over runs."""
    sizes = np.bincount(run, minlength=n_runs)
    mean = values.mean()
    sums = np.bincount(run, values, minlength=n_runs) - mean * sizes
    error = np.sqrt((sums**2).sum() * n_runs / (n_runs - 1)) / sizes.sum()
    half = stdtrit(n_runs - 1, (1 + level) / 2) * error
    return Interval(float(mean), float(mean - half), float(mean + half))


def _jackknife_error(above: np.ndarray, below: np.ndarray, total: np.ndarray, run: np.ndarray) -> float:
    """Error of sum(above) / sum(below), products of values centred in strata of `total` decisions, by leaving runs out.

    Exact where a run has at most one decision in a stratum: without it the sum of products there falls by n / (n - 1)
    times its own.
    """
    factor = total / np.maximum(total - 1, 1)
    n_runs = np.unique(run).size
    without = [part.sum() - np.bincount(run, factor * part) for part in (above, below)]
    left = without[1] > 0
    slopes = without[0][left] / without[1][left]
    return float(np.sqrt((n_runs - 1) / n_runs * ((slopes - above.sum() / below.sum()) ** 2).sum()))


def _wilson(share: float, size: float, z: float) -> tuple[float, float]:
    centre = share + z**2 / (2 * size)
    half = z * np.sqrt(share * (1 - share) / size + z**2 / (4 * size**2))
    return (centre - half) / (1 + z**2 / size), (centre + half) / (1 + z**2 / size)


@dataclass(frozen=True)
class Difference:
    """P(outcome | own) - P(outcome | not own) within strata, with the numbers of decisions that were compared."""

    interval: Interval
    n_own: int
    n_other: int


def difference(outcome: np.ndarray, own: np.ndarray, stratum: np.ndarray, run: np.ndarray, level: float) -> Difference:
    """Difference of two rates, compared within strata and averaged with the weights of Mantel and Haenszel.

    The limits are Newcombe's (they combine two Wilson intervals, so a rate of 0 or 1 does not look certain), on
    effective numbers of decisions: fewer when strata are unbalanced or when decisions of one run go together.
    """
    _, stratum = np.unique(stratum, return_inverse=True)
    total, n_own = np.bincount(stratum), np.bincount(stratum, own)
    weight = n_own * (total - n_own) / total  # nothing is learned from a stratum where all signals are alike
    kept = weight[stratum] > 0
    if not kept.any():
        return Difference(Interval(np.nan, -1.0, 1.0), 0, 0)
    shares, sizes = [], []
    for n, hits in ((n_own, own * outcome), (total - n_own, (1 - own) * outcome)):
        safe = np.maximum(n, 1)
        shares.append((weight * np.bincount(stratum, hits) / safe).sum() / weight.sum())
        sizes.append(weight.sum() ** 2 / (weight**2 / safe).sum())
    shares, sizes = np.clip(shares, 0, 1), np.array(sizes)
    gap = shares[0] - shares[1]
    centred = own - (n_own / total)[stratum]
    product = centred * (outcome - (np.bincount(stratum, outcome) / total)[stratum])
    error = _jackknife_error(product[kept], (centred**2)[kept], total[stratum][kept], run[kept])
    plain = (shares * (1 - shares) / sizes).sum()
    design = error**2 / plain if plain > 0 else 1.0
    z = ndtri((1 + level) / 2)
    (low1, high1), (low0, high0) = (_wilson(p, n / max(1.0, design), z) for p, n in zip(shares, sizes, strict=True))
    low = gap - np.hypot(shares[0] - low1, high0 - shares[1])
    high = gap + np.hypot(high1 - shares[0], shares[1] - low0)
    counted = own[kept].sum()
    return Difference(
        Interval(float(gap), float(max(low, -1)), float(min(high, 1))), int(counted), int(kept.sum() - counted)
    )


def equivalence_power(found: Interval, margin: float, level: float) -> float:
    """Probability that an interval of this width would lie inside the margin if the true effect were zero."""
    z = ndtri((1 + level) / 2)
    error = (found.high - found.low) / (2 * z)
    return float(max(0.0, 2 * ndtr(margin / error - z) - 1))


@dataclass(frozen=True)
class Dependence:
    """How actions depend on those before, within strata.

    `slope` is how much likelier an action is when all predecessors took it than when none did; `p_value` (two-sided)
    tests that, within a stratum, the action has nothing to do with those before.
    """

    slope: Interval
    p_value: float


def dependence(
    action: np.ndarray, counts: np.ndarray, stratum: np.ndarray, run: np.ndarray, level: float
) -> Dependence | None:
    """Score test and slope of actions on the shares of predecessors; None if histories or actions do not vary.

    Under the null the actions of a stratum could be dealt out anew among its decisions: given everything before, the
    score of the stratum has mean 0 and variance <S'S, I'I> / (n - 1), where S and I are the centred shares and
    indicators of the actions. Strata of different positions add up to a martingale, so the variances add.
    """
    _, stratum, total = np.unique(stratum, return_inverse=True, return_counts=True)
    shares = counts / counts.sum(axis=0)
    shares = np.stack([s - (np.bincount(stratum, s) / total)[stratum] for s in shares])
    taken = np.stack([(action == j) - (np.bincount(stratum, action == j) / total)[stratum] for j in range(len(counts))])
    score, variance = (shares * taken).sum(), 0.0
    for i, j in np.ndindex(len(counts), len(counts)):
        product = np.bincount(stratum, shares[i] * shares[j]) * np.bincount(stratum, taken[i] * taken[j])
        variance += (product / np.maximum(total - 1, 1)).sum()
    if variance <= 1e-12:
        return None
    slope = score / (shares**2).sum()
    error = _jackknife_error((shares * taken).sum(axis=0), (shares**2).sum(axis=0), total[stratum], run)
    half = stdtrit(np.unique(run).size - 1, (1 + level) / 2) * error
    p_value = 2 * ndtr(-abs(score) / np.sqrt(variance))
    return Dependence(Interval(float(slope), float(slope - half), float(slope + half)), float(p_value))


@dataclass(frozen=True)
class Weights:
    """Weights in the log-odds of an action.

    `own` and `predecessor` are what one signal and one predecessor add to the log-odds of the action that they favour,
    `relative` is predecessor over own. Agents that never err have no finite weights: `own` and `predecessor` are None,
    and `relative` is the exact set of ratios that explain every decision.
    """

    own: Interval | None
    predecessor: Interval | None
    relative: Interval


def logit_weights(
    action: np.ndarray, columns: list[np.ndarray], run: np.ndarray, n_runs: int, level: float, enough: int = 10
) -> Weights | None:
    """Penalised fit of a binary action: own signal (+-1), lead, then one column of codes for each set of intercepts.

    Returns None if the design has linearly dependent columns, so that no weight is identified. All decisions with the
    same design form a cell; the fit needs the cells only.
    """
    code = np.zeros(action.size, dtype=np.int64)
    for column in columns:
        code = code * (np.ptp(column) + 1) + (column - column.min())
    _, first, cell, size = np.unique(code, return_index=True, return_inverse=True, return_counts=True)
    own, lead, *groups = (column[first] for column in columns)
    dummies = [(group[:, None] == np.unique(group)[1:]) for group in groups]
    cells = np.column_stack([own, lead, np.ones(len(first)), *dummies]).astype(float)
    wins = np.bincount(cell, action)
    if np.linalg.matrix_rank(cells) < cells.shape[1]:
        return None
    bounds = separating_ratios(cells, wins, size, enough)
    if bounds is not None:
        return Weights(None, None, Interval(np.nan, *bounds))
    beta, leverage, covariance = firth(cells, wins, size)
    p = expit(cells @ beta)
    score = action - p[cell] + (leverage * (0.5 - p) / size)[cell]
    by_run = np.stack([np.bincount(run, score * column[cell], minlength=n_runs) for column in cells.T])
    spare = n_runs - cells.shape[1]  # runs beyond what the fit uses up
    robust = (covariance @ (by_run @ by_run.T) @ covariance * n_runs / spare)[:2, :2]
    t = stdtrit(spare, (1 + level) / 2)
    own, lead = (
        Interval(float(value), float(value - half), float(value + half))
        for value, half in zip(beta[:2], t * np.sqrt(np.diag(robust)), strict=True)
    )
    return Weights(own, lead, fieller(beta[[1, 0]], robust[::-1, ::-1], t))


def firth(cells: np.ndarray, wins: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logit with Jeffreys' penalty (Firth), whose maximum is finite under separation: weights, leverage, covariance.

    Newton steps of at most 1 in each weight, halved until the penalised log-likelihood rises by a tenth of what the
    step promises; stops when the promise is less than rounding can show.
    """

    def parts(beta):
        index = cells @ beta
        weight = size * expit(index) * expit(-index)
        information = cells.T @ (weight[:, None] * cells)
        value = wins @ index - size @ np.logaddexp(0, index) + np.linalg.slogdet(information)[1] / 2
        return value, expit(index), weight, information

    beta = np.zeros(cells.shape[1])
    value, p, weight, information = parts(beta)
    for _ in range(10_000):
        covariance = np.linalg.inv(information)
        leverage = weight * np.einsum("ci,ij,cj->c", cells, covariance, cells)
        gradient = cells.T @ (wins - size * p + leverage * (0.5 - p))
        step = covariance @ gradient
        promise = gradient @ step
        if promise < 1e-12 * (1 + abs(value)):
            return beta, leverage, covariance
        size_of_step = 1 / max(1.0, np.abs(step).max())
        while (there := parts(beta + size_of_step * step))[0] < value + 0.1 * size_of_step * promise:
            size_of_step /= 2
            if size_of_step * promise < 1e-12 * (1 + abs(value)):
                return beta, leverage, covariance
        beta, (value, p, weight, information) = beta + size_of_step * step, there
    raise RuntimeError(f"The penalised fit must converge within 10,000 steps. Got a promise of {promise:.3g}.")


def separating_ratios(cells: np.ndarray, wins: np.ndarray, size: np.ndarray, enough: int) -> tuple[float, float] | None:
    """Range of lead / own over all threshold rules that explain every decision; None if no rule does.

    Cells with fewer than `enough` decisions bind nobody: that they are all alike may be luck.
    """
    from scipy.optimize import linprog

    if ((wins > 0) & (wins < size)).any():
        return None
    binding = size >= enough
    if not binding.any():
        return None
    sign = np.where(wins > 0, 1.0, -1.0)[binding, None] * cells[binding]
    # The weight of the own signal is set to 1, that of the lead comes next. The solver may call an unbounded program
    # infeasible, so what is feasible is settled first.
    goal = np.eye(cells.shape[1] - 1)[0]
    least, none, most = (
        linprog(direction * goal, A_ub=-sign[:, 1:], b_ub=sign[:, 0], bounds=(None, None)) for direction in (1, 0, -1)
    )
    if none.status != 0:
        return None
    return (least.fun if least.status == 0 else -np.inf), (-most.fun if most.status == 0 else np.inf)


def fieller(pair: np.ndarray, covariance: np.ndarray, quantile: float) -> Interval:
    """Interval of pair[0] / pair[1] from the values at which pair[0] - ratio * pair[1] is compatible with zero."""
    estimate = float(pair[0] / pair[1])
    a = pair[1] ** 2 - quantile**2 * covariance[1, 1]
    b = pair[0] * pair[1] - quantile**2 * covariance[0, 1]
    c = pair[0] ** 2 - quantile**2 * covariance[0, 0]
    if a <= 0:  # the denominator may be zero
        return Interval(estimate, -np.inf, np.inf)
    root = np.sqrt(max(b**2 - a * c, 0.0))
    return Interval(estimate, float((b - root) / a), float((b + root) / a))
