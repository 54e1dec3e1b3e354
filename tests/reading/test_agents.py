import numpy as np
import pytest
from scipy.stats import beta

from llma_tutorial.reading.agents import estimate_observation_matrix

STATES = np.repeat([0, 1], [40, 60])
SYMBOLS = np.concatenate([np.repeat([0, 1, 2], [30, 10, 0]), np.repeat([0, 1, 2], [6, 24, 30])])


def test_posterior_mean_and_interval_are_those_of_a_beta():
    estimate = estimate_observation_matrix(STATES, SYMBOLS, 2, 3, pseudocount=0.5)
    assert estimate.counts.tolist() == [[30, 10, 0], [6, 24, 30]]
    assert estimate.mean == pytest.approx(np.array([[30.5, 10.5, 0.5], [6.5, 24.5, 30.5]]) / [[41.5], [61.5]])
    low, high = estimate.interval(0.9)
    # scipy.stats is the second route; the estimate inverts the incomplete beta function itself.
    assert low[1, 2] == pytest.approx(beta(30.5, 31).ppf(0.05), abs=1e-10)
    assert high[0, 2] == pytest.approx(beta(0.5, 41).ppf(0.95), abs=1e-10)


def test_draws_have_the_posterior_moments_and_rows_that_sum_to_one():
    estimate = estimate_observation_matrix(STATES, SYMBOLS, 2, 3)
    draws = estimate.sample(20_000, rng=np.random.default_rng(3))
    assert draws.sum(axis=2) == pytest.approx(np.ones((20_000, 2)))
    spread = np.sqrt(estimate.mean * (1 - estimate.mean) / (estimate.counts.sum(axis=1, keepdims=True) + 2.5))
    assert (np.abs(draws.mean(axis=0) - estimate.mean) < 5 * spread / np.sqrt(20_000)).all()
    assert draws.std(axis=0) == pytest.approx(spread, rel=0.05)


def test_intervals_cover_as_they_say():
    """95 % intervals of a known matrix, 40 texts per state: coverage over 2,000 samples, averaged over the truth."""
    rng = np.random.default_rng(12)
    covered = []
    for _ in range(2_000):
        truth = rng.dirichlet([1, 1, 1], 2)  # drawn from the prior, where Bayesian coverage is exact
        symbols = np.concatenate([rng.choice(3, 40, p=row) for row in truth])
        low, high = estimate_observation_matrix(np.repeat([0, 1], 40), symbols, 2, 3, pseudocount=1).interval()
        covered.append(((low <= truth) & (truth <= high)).mean())
    assert np.mean(covered) == pytest.approx(0.95, abs=4 * np.std(covered) / np.sqrt(2_000))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: estimate_observation_matrix([0, 2], [0, 1], 2, 2), r"`states` must be from 0 to 1. Got 2"),
        (lambda: estimate_observation_matrix([0, 1], [0, -1], 2, 2), r"`symbols` must be from 0 to 1. Got -1"),
        (lambda: estimate_observation_matrix([0, 1], [0], 2, 2), r"`symbols` must have one entry for each state"),
        (lambda: estimate_observation_matrix([0.0, 1], [0, 1], 2, 2), r"`states` must hold whole numbers"),
        (lambda: estimate_observation_matrix([0, 1], [0, 1], 2, 2, pseudocount=0), r"`pseudocount` must be above 0"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
