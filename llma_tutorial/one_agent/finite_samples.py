r"""What finite samples say of the three hypotheses about attention: tests whose size holds at the kinks, pass rates.

A point test rejects a rational agent whose inequalities bind as soon as noise tips one over, at any sample size. Here
the noise is measured. In one statement the null says that for every cycle of environments, single ones included, and
every rule b that relabels recommendations,

    sum_j sum_x,a  J_{k_j}(x, a) [u_{m_j}(x, b(a)) - u_{k_j}(x, a)]  <=  0                with k_j = m_{j+1}.

Each line is linear in the cell probabilities (self-loops are NIAS, longer cycles NIAC), and the largest over all rules
b separates by action, so the worst violation V costs no more than matrix products and a smallest cycle mean.

Least favourable noise. If the null holds, V is at most the largest *noise* of any line, as if all of them bound.
Lines whose rule b is worse than the best by more than `SELECTION` standard errors cannot bind and are left out.
The noise is drawn as the difference between the observed shares and Dirichlet shares around them, in which one unseen
extra observation falls where it hurts the rejection most (for a single cell this is the exact Clopper-Pearson bound;
for a bounded mean, Gaffke's). That is what keeps the size right where cells are nearly empty. If the same texts are
read in several environments, whole texts are reweighted instead of single choices.

Every group (NIAS in each environment, NIAC over all cycles) is divided by its own 95 % noise quantile, and the p-value
is the share of draws whose largest ratio is at least the observed one. Size and power by simulation:
chapter `one-agent/can-the-test-fail`.

Capacity is tested in the same way: its lines are those of a single switch, from m's own choices to k's attention, and
both may be off by noise. One sensor is not a list of lines. There the statistic is the least t such that joint laws
within t standard errors of the observed ones, cell by cell, come from one sensor (one linear programme), and the noise
is the largest standardised error of any cell: under the null the statistic is never above it. That alone is cautious.
But whoever fails capacity fails one sensor, so the gains from relabelling and switching stand beside it as groups.

`random_pass_rate` is the other half of a verdict: how often random behaviour passes with endless data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.one_agent import inequalities, one_sensor
from llma_tutorial.one_agent.choice_data import (
    checked_counts,
    checked_utility,
    common_prior,
    counts_from_table,
    read_table,
    state_shares,
)
from llma_tutorial.one_agent.inequalities import HYPOTHESES

if TYPE_CHECKING:
    import pandas as pd

SELECTION = 2.5  # a rule that is worse by this many standard errors cannot bind: wrong in 0.6 % of cases at most
NUMBERS = 2_000_000  # held at a time while noise is drawn
AGENTS = 4096  # random agents judged at a time


@dataclass(frozen=True, eq=False)
class FiniteSampleTest:
    """Verdict of `finite_sample_test` on counts. Prints as a table.

    Attributes
    ----------
    p_value : float
        Small values speak against every rationally inattentive agent with these payoffs.
    nias_violation : numpy.ndarray of shape (M,)
        Observed gain in utils from the best relabelling of actions in each environment.
    niac_violation : float
        Observed gain in utils for each environment of the best cycle of swaps, 0 if no cycle gains.
    nias_critical, niac_critical : numpy.ndarray of shape (M,), float
        What noise alone exceeds in 5 % of draws, at most.
    n_draws : int
    clustered : bool
        Whether whole texts were reweighted.
    """

    p_value: float
    nias_violation: np.ndarray
    niac_violation: float
    nias_critical: np.ndarray
    niac_critical: float
    n_draws: int
    clustered: bool

    def __str__(self) -> str:
        return _table(self, [("NIAC", self.niac_violation, self.niac_critical)])


@dataclass(frozen=True, eq=False)
class SwitchTest:
    """Verdict of `finite_sample_test` on fixed capacity. Prints as a table.

    Attributes
    ----------
    p_value : float
        Small values speak against every agent of fixed capacity with these payoffs.
    nias_violation, nias_critical : numpy.ndarray of shape (M,)
        As in `FiniteSampleTest`.
    switch_violation, switch_critical : float
        Observed gain in utils from the best switch to another environment's attention, and what noise alone exceeds in
        5 % of draws, at most; both 0 for M = 1.
    n_draws : int
    clustered : bool
        Whether whole texts were reweighted.
    """

    p_value: float
    nias_violation: np.ndarray
    switch_violation: float
    nias_critical: np.ndarray
    switch_critical: float
    n_draws: int
    clustered: bool

    def __str__(self) -> str:
        return _table(self, [("switch", self.switch_violation, self.switch_critical)])


@dataclass(frozen=True, eq=False)
class SensorTest:
    """Verdict of `finite_sample_test` on one sensor. Prints as a table.

    Attributes
    ----------
    p_value : float
        Small values speak against every agent with one sensor and these payoffs.
    nias_violation, switch_violation, nias_critical, switch_critical
        As in `SwitchTest`: one sensor rules out every gain that capacity rules out.
    n_draws : int
    clustered : bool
        Whether whole texts were reweighted.
    distance : float
        Standard errors by which the shares must be changed, cell by cell, to come from one sensor.
    distance_critical : float
        What noise alone exceeds in 5 % of draws, at most.
    """

    p_value: float
    nias_violation: np.ndarray
    switch_violation: float
    nias_critical: np.ndarray
    switch_critical: float
    n_draws: int
    clustered: bool
    distance: float
    distance_critical: float

    def __str__(self) -> str:
        table = _table(self, [("switch", self.switch_violation, self.switch_critical)])
        words = (
            f"{self.distance:.2f} standard errors from one sensor; 5 % of noise exceeds {self.distance_critical:.2f}"
        )
        *rows, verdict = table.splitlines()
        return "\n".join([*rows, words, verdict])


def _table(test: FiniteSampleTest | SwitchTest | SensorTest, last: list[tuple[str, float, float]]) -> str:
    rows = [
        (f"NIAS {m}", violation, critical)
        for m, (violation, critical) in enumerate(zip(test.nias_violation, test.nias_critical, strict=True))
    ]
    rows += last if len(rows) > 1 else []
    lines = ["test      observed gain   5 % of noise exceeds"]
    lines += [f"{name:8} {violation:14.4f} {critical:16.4f}" for name, violation, critical in rows]
    unit = "texts" if test.clustered else "choices"
    return "\n".join([*lines, f"p-value {test.p_value:.3f} ({test.n_draws} draws, {unit} reweighted)"])


def finite_sample_test(
    counts: ArrayLike | pd.DataFrame,
    utility: ArrayLike,
    *,
    hypothesis: str = "costly",
    prior: ArrayLike | None = None,
    n_draws: int = 999,
    rng: np.random.Generator,
) -> FiniteSampleTest | SwitchTest | SensorTest:
    """Test from counts whether some agent with these payoffs can have made them, under a hypothesis about attention.

    Parameters
    ----------
    counts : array-like of shape (M, X, A), or DataFrame
        How often each action was taken in each state of each environment; or a long table (environment, state,
        action), one row for each choice. A column `text` in the table names the text that was read: then whole texts
        are reweighted, as they must be when the same texts are read in several environments.
    utility : array-like of shape (X, A) or (M, X, A)
        Payoffs in utils.
    hypothesis : {"costly", "capacity", "one sensor"}
        As in `ribum.check`: attention is bought (the rationally inattentive agent), chosen from one set, or not chosen.
    prior : array-like of shape (X,), optional
        The prior that the agent was told; the shares of the states in the counts if omitted.
    n_draws : int
        Number of noise draws.
    rng : numpy.random.Generator

    Returns
    -------
    FiniteSampleTest, SwitchTest or SensorTest

    Notes
    -----
    Not rejecting is not evidence of rationality: print `random_pass_rate`, or the power at your sample size, beside
    it. Chapter `one-agent/can-the-test-fail`.

    Examples
    --------
    >>> counts = [[[90, 10], [10, 90]], [[60, 40], [40, 60]]]
    >>> stakes = [[[1, 0], [0, 1]], [[2, 0], [0, 2]]]
    >>> print(finite_sample_test(counts, stakes, rng=np.random.default_rng(0)))
    test      observed gain   5 % of noise exceeds
    NIAS 0           0.0000           0.0000
    NIAS 1           0.0000           0.0000
    NIAC             0.1500           0.0367
    p-value 0.001 (999 draws, choices reweighted)
    """
    n_draws = _validate.integer("n_draws", n_draws, 19)
    rng = _validate.generator(rng)
    _validate.one_of("hypothesis", hypothesis, HYPOTHESES)
    units = Texts(counts) if hasattr(counts, "columns") and "text" in counts.columns else Choices(counts)
    shape = units.shares.shape
    utility = checked_utility(utility, shape)
    given = None if prior is None else _validate.probabilities("prior", prior, (shape[1],))
    prior = common_prior(state_shares(units.counts)) if given is None else given
    values = inequalities.relabelled_values(prior[:, None] * units.shares, utility)
    own = inequalities.realised(prior[:, None] * units.shares, utility)
    observed = _groups(_gains(values.max(axis=-1).sum(axis=-1), own, hypothesis), hypothesis)
    binding, noise = _binding(values, units, utility, prior), []
    for size in _blocks(n_draws, values.size):
        weights, extra = units.draw(size, rng)
        groups = _groups(_noise(units, utility, prior, binding, hypothesis, weights, extra), hypothesis)
        if hypothesis == "one sensor":
            groups = np.column_stack([groups, _largest_errors(units, prior, weights, extra)])
        noise.append(groups)
    noise, n_environments = np.concatenate(noise), len(utility)
    critical = np.quantile(noise, 0.95, axis=0)
    rounding = np.full(noise.shape[1], inequalities.TOLERANCE * np.abs(utility).max())
    if hypothesis == "one sensor":
        observed, rounding[-1] = np.append(observed, _distance(units, utility, prior)), one_sensor.PASS
    unit = np.where(critical > rounding, critical, np.inf)  # a group in which nothing may bind shows no violation
    statistic = (np.where(observed > rounding, observed, 0.0) / unit).max()
    exceed = (noise / unit).max(axis=1) >= statistic if statistic > 0 else np.ones(n_draws, dtype=bool)
    found = {"costly": FiniteSampleTest, "capacity": SwitchTest, "one sensor": SensorTest}[hypothesis]
    several = n_environments > 1
    return found(
        float((1 + exceed.sum()) / (1 + n_draws)),
        observed[:n_environments],
        float(observed[n_environments]) if several else 0.0,
        critical[:n_environments],
        float(critical[n_environments]) if several else 0.0,
        n_draws,
        isinstance(units, Texts),
        *((float(observed[-1]), float(critical[-1])) if hypothesis == "one sensor" else ()),
    )


def _blocks(n_draws: int, numbers: int) -> list[int]:
    """Sizes of the blocks in which draws of so many numbers each are made."""
    block = max(NUMBERS // numbers, 1)
    return np.diff(np.append(np.arange(0, n_draws, block), n_draws)).tolist()


def _largest_errors(units: Units, prior: np.ndarray, weights: np.ndarray, extra: np.ndarray) -> np.ndarray:
    """Largest error (R,) of any share in its standard errors; the unseen observation falls in the cell or elsewhere."""
    totals = (weights.sum(axis=3) + extra)[..., None]
    low, high = weights / totals, (weights + extra[..., None]) / totals
    errors = np.maximum(np.abs(units.shares - low), np.abs(units.shares - high)) / np.sqrt(units.variances())
    return errors[:, :, prior > 0].max(axis=(1, 2, 3))


def _distance(units: Units, utility: np.ndarray, prior: np.ndarray) -> float:
    """Standard errors, cell by cell, between the shares and the nearest ones of an agent with one sensor."""
    joint, spread = prior[:, None] * units.shares, prior[:, None] * np.sqrt(units.variances())
    return one_sensor.SensorProgram(utility).distance(joint, spread)


class Units:
    """What is reweighted: shares[m, x, a], and how many units stand behind each row."""

    counts: np.ndarray
    sizes: np.ndarray
    shares: np.ndarray

    def variances(self) -> np.ndarray:
        """Of the shares (M, X, A), with one unit of each kind added so that empty cells have some."""
        sizes = self.sizes[:, :, None]
        shares = (self.shares * sizes + 1) / (sizes + 2)
        return shares * (1 - shares) / sizes


class Choices(Units):
    """Independent choices and random reweightings of them."""

    def __init__(self, counts: ArrayLike | pd.DataFrame) -> None:
        self.counts = checked_counts(counts_from_table(counts) if hasattr(counts, "columns") else counts)
        self.sizes = self.counts.sum(axis=2)
        self.shares = self.counts / self.sizes[:, :, None]

    def draw(self, n_draws: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Weights of the choices (R, M, X, A), and of the unseen extra one (R, M, X)."""
        return rng.standard_gamma(self.counts, (n_draws, *self.counts.shape)), rng.standard_exponential(
            (n_draws, *self.sizes.shape)
        )


class Texts(Units):
    """The same for texts that are read in several environments: one weight for each text, shared by all its choices."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.counts = counts = checked_counts(counts_from_table(table))
        frame = read_table(table, extra=("text",))
        states = frame.groupby("text")["state"]
        if (states.nunique() > 1).any():
            text = states.nunique().idxmax()
            raise ValueError(
                f"`text` must name a text with one state. Got {states.unique()[text].tolist()} for {text!r}."
            )
        text = frame["text"].astype("category").cat.codes.to_numpy()
        cells = np.zeros((text.max() + 1, counts.size))
        times = frame["count"].to_numpy(dtype=float) if "count" in frame.columns else 1.0
        cell = np.ravel_multi_index(frame[["environment", "state", "action"]].to_numpy(dtype=int).T, counts.shape)
        np.add.at(cells, (text, cell), times)
        self.cells, self.shape = cells, counts.shape
        self.sizes = (cells.reshape(-1, *counts.shape).sum(axis=3) > 0).sum(axis=0)
        self.rows = counts.sum(axis=2) / self.sizes  # choices for each text
        self.shares = counts / counts.sum(axis=2, keepdims=True)

    def draw(self, n_draws: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Weights of the choices (R, M, X, A), and of one unseen extra text in each state (R, M, X)."""
        weights = rng.standard_exponential((n_draws, len(self.cells))) @ self.cells
        return weights.reshape(n_draws, *self.shape), rng.standard_exponential((n_draws, 1, self.shape[1])) * self.rows


def _gains(worth: np.ndarray, own: np.ndarray, hypothesis: str) -> np.ndarray:
    """Gain (..., M, M) from k's attention under m's payoff: in a cycle over k's choices, in a switch over m's own."""
    return worth - (own[..., None, :] if hypothesis == "costly" else own[..., :, None])


def _groups(gains: np.ndarray, hypothesis: str) -> np.ndarray:
    """From `_gains`: NIAS by environment, then if M > 1 the best cycle or switch."""
    nias = np.maximum(np.diagonal(gains, axis1=-2, axis2=-1), 0.0)
    if gains.shape[-1] == 1:
        return nias
    if hypothesis == "costly":
        best = -inequalities.cheapest_cycle_mean(-gains)
    else:
        best = np.where(np.eye(gains.shape[-1], dtype=bool), 0.0, gains).max(axis=(-2, -1))
    return np.concatenate([nias, np.maximum(best, 0.0)[..., None]], axis=-1)


def _binding(values: np.ndarray, units: Units, utility: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Mask[m, k, a, b]: under m's payoff, b may be the best answer to k's recommendation a, as far as noise allows."""
    best = values.argmax(axis=-1)
    gaps = values.max(axis=-1, keepdims=True) - values
    spread = prior[:, None] ** 2 * units.variances()
    environments = np.arange(len(utility))[:, None, None]
    loss = utility.swapaxes(1, 2)[environments, best][..., None, :] - utility.swapaxes(1, 2)[:, None, None]
    return gaps <= SELECTION * np.sqrt(np.einsum("kxa,mkabx->mkab", spread, loss**2))


def _noise(
    units: Units, utility: np.ndarray, prior: np.ndarray, binding: np.ndarray, hypothesis: str, weights: np.ndarray,
    extra: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Gains (R, M, M) that noise alone may show if every line that may bind does bind."""
    totals = weights.sum(axis=3) + extra
    moved = prior[:, None] * (units.shares - weights / totals[..., None])
    relabelled = np.where(binding, inequalities.relabelled_values(moved, utility), -np.inf).max(axis=-1).sum(axis=-1)
    own = inequalities.realised(moved, utility)
    # Where the extra observation falls: the action and answer of that state that speak most against a violation.
    difference = utility[None, :, :, :, None] - utility[:, None, :, None, :]  # (m, k, x, a, b)
    share = prior * extra / totals
    unseen = np.einsum("rkx,mkx->rmk", share, _worst(difference, binding))
    if hypothesis != "costly":  # in a switch m's own choices have an extra observation too
        others = ~np.eye(len(utility), dtype=bool)
        taken = np.einsum("rkx,mkx->rmk", share, _worst(-utility[:, None, :, None, :], binding))
        left = np.einsum("rmx,mx->rm", share, utility.max(axis=2))
        unseen = np.where(others, taken + left[:, :, None], unseen)
    return _gains(relabelled, own, hypothesis) + unseen


def _worst(difference: np.ndarray, binding: np.ndarray) -> np.ndarray:
    return np.where(binding[:, :, None], difference, -np.inf).max(axis=(-2, -1))


@dataclass(frozen=True, eq=False)
class PassRate:
    """How often random behaviour passes the tests, made by `random_pass_rate`. Prints as a table.

    Attributes
    ----------
    nias, niac, both : float
        Share of random agents that pass NIAS, NIAC, both.
    n_draws : int
    """

    nias: float
    niac: float
    both: float
    n_draws: int

    def interval(self, test: str = "both") -> tuple[float, float]:
        """Exact (Clopper-Pearson) 95 % interval for the pass rate of a test."""
        return _clopper_pearson(getattr(self, _validate.one_of("test", test, ("nias", "niac", "both"))), self.n_draws)

    def __str__(self) -> str:
        lines = [f"random behaviour, {self.n_draws} draws", "test   pass rate    95 % interval"]
        for test, title in (("nias", "NIAS"), ("niac", "NIAC"), ("both", "both")):
            low, high = self.interval(test)
            lines.append(f"{title:6} {100 * getattr(self, test):8.3f} %    {100 * low:.3f} to {100 * high:.3f} %")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class PassShare:
    """How often random behaviour passes as fixed capacity or as one sensor, made by `random_pass_rate`.

    Attributes
    ----------
    hypothesis : str
    share : float
        Share of random agents that pass.
    n_draws : int
    """

    hypothesis: str
    share: float
    n_draws: int

    def interval(self) -> tuple[float, float]:
        """Exact (Clopper-Pearson) 95 % interval for the share."""
        return _clopper_pearson(self.share, self.n_draws)

    def __str__(self) -> str:
        low, high = self.interval()
        return (
            f"random behaviour, {self.n_draws} draws: {100 * self.share:.3f} % pass as {self.hypothesis} "
            f"(95 % interval {100 * low:.3f} to {100 * high:.3f} %)"
        )


def _clopper_pearson(share: float, n: int) -> tuple[float, float]:
    from scipy.stats import binomtest

    interval = binomtest(round(share * n), n).proportion_ci(method="exact")
    return float(interval.low), float(interval.high)


def random_pass_rate(
    utility: ArrayLike,
    prior: ArrayLike,
    *,
    hypothesis: str = "costly",
    n_draws: int = 10_000,
    concentration: float = 1.0,
    rng: np.random.Generator,
) -> PassRate | PassShare:
    """Share of random agents, p_m(. | x) ~ Dirichlet, that pass at these payoffs: the number to print beside a verdict.

    Parameters
    ----------
    utility : array-like of shape (M, X, A) or (n_draws, M, X, A)
        Payoffs in utils; with four axes each draw has payoffs of its own.
    prior : array-like of shape (X,)
    hypothesis : {"costly", "capacity", "one sensor"}
        As in `ribum.check`. The same `rng` draws the same agents for each.
    n_draws : int
        Number of random agents.
    concentration : float
        Parameter of the symmetric Dirichlet law; 1 draws uniformly from all choice rules.
    rng : numpy.random.Generator

    Returns
    -------
    PassRate or PassShare

    Notes
    -----
    After Bronars' power index. Chapter `one-agent/can-the-test-fail`.

    Examples
    --------
    >>> stakes = [[[1, 0], [0, 1]], [[3, 0], [0, 3]]]
    >>> rate = random_pass_rate(stakes, [0.5, 0.5], rng=np.random.default_rng(0))
    >>> print(rate)
    random behaviour, 10000 draws
    test   pass rate    95 % interval
    NIAS     25.000 %    24.154 to 25.861 %
    NIAC     50.990 %    50.005 to 51.974 %
    both     12.720 %    12.073 to 13.389 %
    """
    _validate.one_of("hypothesis", hypothesis, HYPOTHESES)
    n_draws = _validate.integer("n_draws", n_draws, 1)
    concentration = _validate.number("concentration", concentration, np.finfo(float).tiny)
    per_draw = np.ndim(utility) == 4
    utility = _validate.real_array("utility", utility, (n_draws,) * per_draw + (None,) * 3)
    prior = _validate.probabilities("prior", prior, (utility.shape[-2],))
    rng = _validate.generator(rng)
    tolerance = inequalities.TOLERANCE * np.abs(utility).max()
    passed = np.zeros(3)
    for start in range(0, n_draws, AGENTS):
        payoffs = utility[start : start + AGENTS] if per_draw else utility
        size = (min(AGENTS, n_draws - start), *utility.shape[-3:-1])
        joint = prior[:, None] * rng.dirichlet(np.full(utility.shape[-1], concentration), size)
        if hypothesis == "costly":
            nias = inequalities.nias_slacks(joint, payoffs).min(axis=(-3, -2, -1)) >= -tolerance
            weights = inequalities.niac_weights(inequalities.information_values(joint, payoffs))
            niac = inequalities.cheapest_cycle_mean(weights) >= -tolerance
            passed += nias.sum(), niac.sum(), (nias & niac).sum()
            continue
        kept = inequalities.switch_slacks(joint, payoffs).min(axis=(-2, -1)) >= -tolerance
        if hypothesis == "one sensor":  # who fails capacity fails one sensor, so few programmes are left to solve
            kept = [_one_sensor(joint[i], payoffs[i] if per_draw else payoffs) for i in np.flatnonzero(kept)]
        passed += np.sum(kept)
    if hypothesis != "costly":
        return PassShare(hypothesis, float(passed[0] / n_draws), n_draws)
    return PassRate(*(passed / n_draws).tolist(), n_draws)


def _one_sensor(joint: np.ndarray, utility: np.ndarray) -> bool:
    return one_sensor.SensorProgram(utility).feasible(joint) is not None
