r"""A test of NIAS and NIAC for counts, whose error rate holds at the kinks.

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
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.one_agent import inequalities
from llma_tutorial.one_agent.choice_data import (
    checked_counts,
    checked_utility,
    common_prior,
    counts_from_table,
    read_table,
    state_shares,
)

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
        rows = [
            (f"NIAS {m}", violation, critical)
            for m, (violation, critical) in enumerate(zip(self.nias_violation, self.nias_critical, strict=True))
        ]
        if len(rows) > 1:
            rows.append(("NIAC", self.niac_violation, self.niac_critical))
        lines = ["test      observed gain   5 % of noise exceeds"]
        lines += [f"{name:8} {violation:14.4f} {critical:16.4f}" for name, violation, critical in rows]
        unit = "texts" if self.clustered else "choices"
        return "\n".join([*lines, f"p-value {self.p_value:.3f} ({self.n_draws} draws, {unit} reweighted)"])


def finite_sample_test(
    counts: ArrayLike | pd.DataFrame,
    utility: ArrayLike,
    *,
    prior: ArrayLike | None = None,
    n_draws: int = 999,
    rng: np.random.Generator,
) -> FiniteSampleTest:
    """Test from counts whether some rationally inattentive agent with these payoffs can have made them.

    Parameters
    ----------
    counts : array-like of shape (M, X, A), or DataFrame
        How often each action was taken in each state of each environment; or a long table (environment, state,
        action), one row for each choice. A column `text` in the table names the text that was read: then whole texts
        are reweighted, as they must be when the same texts are read in several environments.
    utility : array-like of shape (X, A) or (M, X, A)
        Payoffs in utils.
    prior : array-like of shape (X,), optional
        The prior that the agent was told; the shares of the states in the counts if omitted.
    n_draws : int
        Number of noise draws.
    rng : numpy.random.Generator

    Returns
    -------
    FiniteSampleTest

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
    units = Texts(counts) if hasattr(counts, "columns") and "text" in counts.columns else Choices(counts)
    shape = units.shares.shape
    utility = checked_utility(utility, shape)
    given = None if prior is None else _validate.probabilities("prior", prior, (shape[1],))
    prior = common_prior(state_shares(units.counts)) if given is None else given
    values = inequalities.relabelled_values(prior[:, None] * units.shares, utility)
    own = np.einsum("x,mxa,mxa->m", prior, units.shares, utility)
    observed = _groups(values.max(axis=-1).sum(axis=-1) - own)
    binding = _binding(values, units, utility, prior)
    block = max(NUMBERS // values.size, 1)
    sizes = np.diff(np.append(np.arange(0, n_draws, block), n_draws))
    noise = np.concatenate([_groups(_noise(units, utility, prior, binding, int(size), rng)) for size in sizes])
    critical = np.quantile(noise, 0.95, axis=0)
    rounding = inequalities.TOLERANCE * np.abs(utility).max()
    unit = np.where(critical > rounding, critical, np.inf)  # a group in which nothing may bind shows no violation
    statistic = (np.where(observed > rounding, observed, 0.0) / unit).max()
    exceed = (noise / unit).max(axis=1) >= statistic if statistic > 0 else np.ones(n_draws, dtype=bool)
    n_environments = shape[0]
    return FiniteSampleTest(
        p_value=float((1 + exceed.sum()) / (1 + n_draws)),
        nias_violation=observed[:n_environments],
        niac_violation=float(observed[-1]) if n_environments > 1 else 0.0,
        nias_critical=critical[:n_environments],
        niac_critical=float(critical[-1]) if n_environments > 1 else 0.0,
        n_draws=n_draws,
        clustered=isinstance(units, Texts),
    )


class Choices:
    """Independent choices: shares[m, x, a], how many stand behind each row, and random reweightings of them."""

    def __init__(self, counts: ArrayLike | pd.DataFrame) -> None:
        self.counts = checked_counts(counts_from_table(counts) if hasattr(counts, "columns") else counts)
        self.sizes = self.counts.sum(axis=2)
        self.shares = self.counts / self.sizes[:, :, None]

    def draw(self, n_draws: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Weights of the choices (R, M, X, A), and of the unseen extra one (R, M, X)."""
        return rng.standard_gamma(self.counts, (n_draws, *self.counts.shape)), rng.standard_exponential(
            (n_draws, *self.sizes.shape)
        )


class Texts:
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


def _groups(gains: np.ndarray) -> np.ndarray:
    """From gains (..., M, M) of taking k's attention under m's payoff: NIAS by environment, then NIAC if M > 1."""
    nias = np.maximum(np.diagonal(gains, axis1=-2, axis2=-1), 0.0)
    if gains.shape[-1] == 1:
        return nias
    niac = np.maximum(-inequalities.cheapest_cycle_mean(-gains), 0.0)
    return np.concatenate([nias, niac[..., None]], axis=-1)


def _binding(values: np.ndarray, units: Choices | Texts, utility: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Mask[m, k, a, b]: under m's payoff, b may be the best answer to k's recommendation a, as far as noise allows."""
    best = values.argmax(axis=-1)
    gaps = values.max(axis=-1, keepdims=True) - values
    shares = (units.shares * units.sizes[:, :, None] + 1) / (units.sizes[:, :, None] + 2)
    spread = prior[:, None] ** 2 * shares * (1 - shares) / units.sizes[:, :, None]
    environments = np.arange(len(utility))[:, None, None]
    loss = utility.swapaxes(1, 2)[environments, best][..., None, :] - utility.swapaxes(1, 2)[:, None, None]
    return gaps <= SELECTION * np.sqrt(np.einsum("kxa,mkabx->mkab", spread, loss**2))


def _noise(
    units: Choices | Texts, utility: np.ndarray, prior: np.ndarray, binding: np.ndarray, n_draws: int,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Gains (R, M, M) that noise alone may show if every line that may bind does bind."""
    weights, extra = units.draw(n_draws, rng)
    totals = weights.sum(axis=3) + extra
    moved = prior[:, None] * (units.shares - weights / totals[..., None])
    relabelled = np.where(binding, inequalities.relabelled_values(moved, utility), -np.inf).max(axis=-1).sum(axis=-1)
    own = np.einsum("rmxa,mxa->rm", moved, utility)
    # Where the extra observation falls: the action and answer of that state that speak most against a violation.
    difference = utility[None, :, :, :, None] - utility[:, None, :, None, :]  # (m, k, x, a, b)
    worst = np.where(binding[:, :, None], difference, -np.inf).max(axis=(-2, -1))
    unseen = np.einsum("rkx,mkx->rmk", prior * extra / totals, worst)
    return relabelled - own[:, None, :] + unseen


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
        from scipy.stats import binomtest

        rate = getattr(self, _validate.one_of("test", test, ("nias", "niac", "both")))
        interval = binomtest(round(rate * self.n_draws), self.n_draws).proportion_ci(method="exact")
        return float(interval.low), float(interval.high)

    def __str__(self) -> str:
        lines = [f"random behaviour, {self.n_draws} draws", "test   pass rate    95 % interval"]
        for test, title in (("nias", "NIAS"), ("niac", "NIAC"), ("both", "both")):
            low, high = self.interval(test)
            lines.append(f"{title:6} {100 * getattr(self, test):8.3f} %    {100 * low:.3f} to {100 * high:.3f} %")
        return "\n".join(lines)


def random_pass_rate(
    utility: ArrayLike,
    prior: ArrayLike,
    *,
    n_draws: int = 10_000,
    concentration: float = 1.0,
    rng: np.random.Generator,
) -> PassRate:
    """Share of random agents, p_m(. | x) ~ Dirichlet, that pass at these payoffs: the number to print beside a verdict.

    Parameters
    ----------
    utility : array-like of shape (M, X, A) or (n_draws, M, X, A)
        Payoffs in utils; with four axes each draw has payoffs of its own.
    prior : array-like of shape (X,)
    n_draws : int
        Number of random agents.
    concentration : float
        Parameter of the symmetric Dirichlet law; 1 draws uniformly from all choice rules.
    rng : numpy.random.Generator

    Returns
    -------
    PassRate

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
        nias = inequalities.nias_slacks(joint, payoffs).min(axis=(-3, -2, -1)) >= -tolerance
        weights = inequalities.niac_weights(inequalities.information_values(joint, payoffs))
        niac = inequalities.cheapest_cycle_mean(weights) >= -tolerance
        passed += nias.sum(), niac.sum(), (nias & niac).sum()
    return PassRate(*(passed / n_draws).tolist(), n_draws)
