"""The two propositions of the chapter `practice/your-own-model`, each with a case in which its hypothesis is broken."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llma_tutorial.one_agent.ribum import ChoiceData, check


def optimal_choices(beliefs_given_state: np.ndarray, utility: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """p(a | x) of an agent that sees a signal with law (X, Y) and takes the best action: it passes NIAS."""
    best = ((prior[:, None] * beliefs_given_state).T @ utility).argmax(axis=1)
    return np.stack([beliefs_given_state[:, best == a].sum(axis=1) for a in range(utility.shape[1])], axis=1)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), m=st.integers(2, 4), x=st.integers(2, 3), a=st.integers(2, 3))
def test_same_payoffs_leave_niac_nothing_to_reject(seed, m, x, a):
    rng = np.random.default_rng(seed)
    prior, utility = rng.dirichlet(np.ones(x)), rng.normal(size=(x, a))
    choices = [optimal_choices(rng.dirichlet(np.ones(4), x), utility, prior) for _ in range(m)]
    found = check(ChoiceData(choices, prior), np.tile(utility, (m, 1, 1)))
    assert found.nias_slack >= -found.tolerance  # the hypothesis
    assert found.niac_slack == pytest.approx(0, abs=1e-9)


def test_with_other_payoffs_niac_rejects():
    """More is seen where less is at stake: NIAS holds in both environments, NIAC does not."""
    stakes = np.array([np.eye(2), 3 * np.eye(2)])
    found = check(ChoiceData([[[0.9, 0.1], [0.1, 0.9]], [[0.6, 0.4], [0.4, 0.6]]], [0.5, 0.5]), stakes)
    assert found.nias_slack >= 0
    assert found.niac_slack == pytest.approx(-0.3)  # swapped: 0.6 + 2.7 instead of 0.9 + 1.8, for two environments


def test_without_nias_the_slack_is_not_zero():
    """The hypothesis broken: an environment that acts against what it saw gains by taking over its own attention."""
    choices = [[[0.1, 0.9], [0.9, 0.1]], [[0.9, 0.1], [0.1, 0.9]]]
    found = check(ChoiceData(choices, [0.5, 0.5]), np.tile(np.eye(2), (2, 1, 1)))
    assert found.nias_slack < 0


def variance_by_listing(probabilities: list[float], n_texts: int, n_draws: int) -> tuple[float, float]:
    """Mean and variance of the share of an answer, over every set of texts and every outcome of every draw."""
    mean = square = 0.0
    for chosen in product(probabilities, repeat=n_texts):
        for outcome in product((0, 1), repeat=n_texts * n_draws):
            drawn = np.reshape(outcome, (n_texts, n_draws))
            rates = np.array(chosen)[:, None]
            weight = np.where(drawn == 1, rates, 1 - rates).prod() / len(probabilities) ** n_texts
            mean += weight * drawn.mean()
            square += weight * drawn.mean() ** 2
    return mean, square - mean**2


@pytest.mark.parametrize("probabilities", [[0.1, 0.9], [0.2, 0.5, 0.7], [0.0, 1.0]])
def test_draws_or_texts(probabilities):
    p = np.array(probabilities)
    between, within = p.var(), (p * (1 - p)).mean()
    variances = {}
    for n_texts, n_draws in ((4, 1), (2, 2), (1, 4), (2, 1)):
        mean, variances[n_texts, n_draws] = variance_by_listing(probabilities, n_texts, n_draws)
        assert mean == pytest.approx(p.mean())
        assert variances[n_texts, n_draws] == pytest.approx((between + within / n_draws) / n_texts)
    assert variances[4, 1] < variances[2, 2] < variances[1, 4]  # four calls each


def test_texts_that_are_all_alike_make_draws_as_good_as_texts():
    """The counter-instance: nothing varies between texts, and only the number of calls counts."""
    assert variance_by_listing([0.3], 4, 1)[1] == pytest.approx(variance_by_listing([0.3], 1, 4)[1])
