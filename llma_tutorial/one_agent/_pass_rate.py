"""How often random behaviour passes NIAS and NIAC: the arithmetic of `check` on many random agents at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.one_agent import _inequalities

BLOCK = 4096  # agents judged at a time, so that memory stays small


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
        from scipy.stats import beta

        rate = getattr(self, _validate.one_of("test", test, ("nias", "niac", "both")))
        passed = round(rate * self.n_draws)
        low = beta.ppf(0.025, passed, self.n_draws - passed + 1) if passed else 0.0
        high = beta.ppf(0.975, passed + 1, self.n_draws - passed) if passed < self.n_draws else 1.0
        return float(low), float(high)

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

    Raises
    ------
    ValueError
        If shapes disagree.

    Notes
    -----
    After Bronars' power index. Used in the chapter `one-agent/can-the-test-fail`.

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
    tolerance = _inequalities.TOLERANCE * np.abs(utility).max()
    passed = np.zeros(3)
    for start in range(0, n_draws, BLOCK):
        payoffs = utility[start : start + BLOCK] if per_draw else utility
        size = (min(BLOCK, n_draws - start), *utility.shape[-3:-1])
        joint = prior[:, None] * rng.dirichlet(np.full(utility.shape[-1], concentration), size)
        nias = _inequalities.nias_slacks(joint, payoffs).min(axis=(-3, -2, -1)) >= -tolerance
        weights = _inequalities.niac_weights(_inequalities.information_values(joint, payoffs))
        niac = _inequalities.cheapest_cycle_mean(weights) >= -tolerance
        passed += nias.sum(), niac.sum(), (nias & niac).sum()
    return PassRate(*(passed / n_draws).tolist(), n_draws)
