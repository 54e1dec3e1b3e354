"""Shannon agents: certificate, closed forms, limits, and an independent Blahut-Arimoto."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llma_tutorial.one_agent.attention import solve

PRICES = [0.0, 1e-3, 0.02, 0.1, 0.5, 2.0, 10.0, 1e3, 1e6, 1e10]


def random_problem(rng):
    n_states, n_actions = rng.integers(2, 6, 2)
    return rng.normal(size=(n_states, n_actions)), rng.dirichlet(np.ones(n_states))


def objective(choice, utility, prior, price):
    """Expected utility less price times mutual information, by loops."""
    marginal = [sum(prior[x] * choice[x][a] for x in range(len(prior))) for a in range(len(choice[0]))]
    total = 0.0
    for x, weight in enumerate(prior):
        for a, p in enumerate(choice[x]):
            if weight * p > 0:
                total += weight * p * (utility[x][a] - price * np.log(p / marginal[a]))
    return total


def blahut_arimoto(utility, prior, price, rounds=20_000):
    weights = np.exp((utility - utility.max(axis=1, keepdims=True)) / price)
    q = np.full(utility.shape[1], 1 / utility.shape[1])
    for _ in range(rounds):
        q = q * (prior @ (weights / (weights @ q)[:, None]))
    return q * weights / (weights @ q)[:, None]


@pytest.mark.parametrize("price", PRICES)
def test_optimality_conditions(price):
    # Matejka & McKay (2015): the formula for p, and g_a <= 1 with equality where q(a) > 0.
    rng = np.random.default_rng(3)
    for _ in range(20):
        utility, prior = random_problem(rng)
        agent = solve(utility, prior, price)
        p, q = agent.choice_probabilities, agent.action_marginal
        scale = np.ptp(utility, axis=1).max()
        assert agent.gap <= 1e-10 * scale
        np.testing.assert_allclose(q, prior @ p, atol=1e-12)
        assert agent.value == pytest.approx(objective(p, utility, prior, price), abs=1e-9 * max(1, price * 1e-6))
        if price >= 0.02:
            weights = np.exp((utility - utility.max(axis=1, keepdims=True)) / price)
            g = prior @ (weights / (weights @ q)[:, None])
            assert g.max() <= 1 + 1e-7
            np.testing.assert_allclose(g[q > 1e-6], 1, atol=1e-5)
            np.testing.assert_allclose(p, q * weights / (weights @ q)[:, None], atol=1e-5)


def test_rare_states_at_small_prices():
    # an action that matters in one state of probability 1e-6 only must not be lost on the way
    rng = np.random.default_rng(9)
    for _ in range(200):
        n_states, n_actions = rng.integers(2, 7, 2)
        utility, prior = rng.normal(size=(n_states, n_actions)), rng.dirichlet(np.full(n_states, 0.3))
        agent = solve(utility, prior, 10 ** rng.uniform(-3, -1))
        assert agent.gap <= 1e-10 * np.ptp(utility, axis=1).max()


def test_formula_alone_is_not_enough():
    # Any single action is a fixed point of the formula; the certificate tells it from the optimum.
    utility, prior, price = np.eye(2), np.array([0.5, 0.5]), 0.2
    only_first = np.array([[1.0, 0.0], [1.0, 0.0]])
    weights = np.exp(utility / price)
    q = prior @ only_first
    np.testing.assert_array_equal(q * weights / (weights @ q)[:, None], only_first)
    assert (prior @ (weights / (weights @ q)[:, None])).max() > 70
    assert objective(only_first, utility, prior, price) < solve(utility, prior, price).value - 0.3


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.floats(0.05, 3))
def test_nothing_beats_the_certificate(seed, price):
    rng = np.random.default_rng(seed)
    utility, prior = random_problem(rng)
    agent = solve(utility, prior, price)
    for _ in range(20):
        rival = agent.choice_probabilities * rng.uniform(0.5, 1.5, agent.choice_probabilities.shape)
        rival = rng.choice([0, 0.5, 1]) * rng.dirichlet(np.ones(rival.shape[1]), len(rival)) + 0.1 * rival
        rival = rival / rival.sum(axis=1, keepdims=True)
        assert objective(rival, utility, prior, price) <= agent.value + agent.gap + 1e-12


def test_equals_blahut_arimoto():
    rng = np.random.default_rng(4)
    for _ in range(5):
        utility, prior = random_problem(rng)
        slow = blahut_arimoto(utility, prior, 0.4)
        fast = solve(utility, prior, 0.4)
        assert objective(slow, utility, prior, 0.4) <= fast.value + 1e-9
        assert objective(slow, utility, prior, 0.4) == pytest.approx(fast.value, abs=1e-4)


@pytest.mark.parametrize("n", [2, 3, 6])
@pytest.mark.parametrize("ratio", [0.01, 0.5, 3.0, 30.0])
def test_symmetric_closed_form(n, ratio):
    # p(a = x | x) = e^{r/lambda} / (e^{r/lambda} + A - 1) for u = r * identity, uniform prior.
    agent = solve(2 * np.eye(n), np.full(n, 1 / n), 2 / ratio)
    expected = 1 / (1 + (n - 1) * np.exp(-ratio))
    np.testing.assert_allclose(np.diag(agent.choice_probabilities), expected, rtol=1e-9)
    assert (agent.action_marginal > 0).all()


def test_unequal_stakes_break_the_closed_form():
    agent = solve(np.diag([1.0, 2.0]), [0.5, 0.5], 1.0)
    assert abs(agent.choice_probabilities[0, 0] - 1 / (1 + np.exp(-1))) > 0.05


def test_limit_of_free_information():
    # lambda -> 0: the best action of each state for sure, and I -> the entropy of the best action.
    utility, prior = [[3.0, 0, 1], [0, 2.0, 1], [0.5, 0, 1], [4.0, 0, 0]], np.array([0.1, 0.4, 0.3, 0.2])
    best = np.argmax(utility, axis=1)
    law = np.array([prior[best == a].sum() for a in range(3)])
    for price, tolerance in ((0.0, 1e-12), (1e-3, 1e-9)):
        agent = solve(utility, prior, price)
        np.testing.assert_allclose(agent.choice_probabilities, np.eye(3)[best], atol=tolerance)
        assert agent.mutual_information == pytest.approx(-(law * np.log(law)).sum(), abs=1e-8)


def test_free_information_with_ties_buys_no_more_than_it_must():
    # Two states share a best action: entropy of "the" best action has no meaning, and nothing need be bought.
    agent = solve([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]], [0.5, 0.5], 0.0)
    np.testing.assert_allclose(agent.choice_probabilities, [[0, 1, 0], [0, 1, 0]], atol=1e-9)
    assert agent.mutual_information == 0


def test_limit_of_dear_information():
    # lambda -> infinity: beyond a *finite* price only the unique prior-best action is used ...
    utility, prior = [[1.0, 0], [0, 1.0]], [0.6, 0.4]
    used = [int((solve(utility, prior, price).action_marginal > 0).sum()) for price in (1.0, 2.0, 3.0, 1e6)]
    assert used == [2, 2, 1, 1]
    # For two states and stakes 1 the certificate gives the price in closed form: p e^{-1/l} + (1-p) e^{1/l} = 1.
    threshold = 1 / np.log(0.6 / 0.4)
    assert solve(utility, prior, threshold * 1.0001).action_marginal[1] == 0
    assert solve(utility, prior, threshold * 0.9999).action_marginal[1] > 0
    # ... but with ties (the symmetric case) every action stays in use.
    tied = solve(np.eye(3), np.full(3, 1 / 3), 1e6)
    np.testing.assert_allclose(tied.action_marginal, 1 / 3)
    assert 0 < tied.mutual_information < 1e-11


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
def test_information_never_rises_with_the_price(seed):
    utility, prior = random_problem(np.random.default_rng(seed))
    agents = solve(utility, prior, np.geomspace(1e-2, 20, 30))
    assert (np.diff(agents.mutual_information) <= 1e-6).all()
    assert (np.diff(agents.value) <= 1e-9).all()


def test_softmax_is_regularised_choice():
    # softmax(s / lambda) maximises <p, s> + lambda H(p); the optimum is lambda logsumexp(s / lambda).
    rng = np.random.default_rng(5)
    for price in (0.1, 1.0, 4.0):
        scores = rng.normal(size=5)
        best = np.exp(scores / price) / np.exp(scores / price).sum()
        regularised = lambda p: p @ scores - price * (p * np.log(p)).sum()  # noqa: B023, E731
        optimum = price * np.log(np.exp(scores / price).sum())
        assert regularised(best) == pytest.approx(optimum, abs=1e-12)
        others = rng.dirichlet(np.ones(5), 500)
        assert max(regularised(p) for p in others) < optimum
    # A Shannon agent whose marginal is uniform chooses by it, state by state.
    symmetric = solve(np.eye(3), np.full(3, 1 / 3), 0.4).choice_probabilities
    np.testing.assert_allclose(symmetric[0], np.exp([2.5, 0, 0]) / np.exp([2.5, 0, 0]).sum())
    # Without the entropy term softmax is not the maximiser.
    assert best @ scores < scores.max() - 0.1


def test_batch_equals_single_solutions():
    rng = np.random.default_rng(6)
    utility, prior = rng.normal(size=(3, 4, 3)), rng.dirichlet(np.ones(4))
    batch = solve(utility, prior, [0.1, 1.0, 5.0])
    for m, price in enumerate((0.1, 1.0, 5.0)):
        single = solve(utility[m], prior, price)
        np.testing.assert_array_equal(batch.choice_probabilities[m], single.choice_probabilities)
        assert batch.gap[m] == single.gap
    assert solve(utility, prior, 1.0).value.shape == (3,)
    assert solve(utility[0], prior, [1.0, 2.0]).value.shape == (2,)


def test_reading_through_a_channel():
    # Through an observation matrix nobody does better than with the state itself; a perfect channel changes nothing.
    utility, prior = np.eye(3), np.array([0.5, 0.3, 0.2])
    noisy = [[0.8, 0.2], [0.5, 0.5], [0.1, 0.9]]
    direct = solve(utility, prior, 0.3)
    np.testing.assert_allclose(
        solve(utility, prior, 0.3, observation_matrix=np.eye(3)).choice_probabilities, direct.choice_probabilities
    )
    through = solve(utility, prior, 0.3, observation_matrix=noisy)
    assert through.value < direct.value - 0.1
    # Free information: act on the posterior of each symbol.
    free = solve(utility, prior, 0.0, observation_matrix=noisy)
    joint = prior[:, None] * np.array(noisy)
    assert free.value == pytest.approx((joint.T @ utility).max(axis=1).sum())
    # A useless channel is never paid for.
    blind = solve(utility, prior, 0.01, observation_matrix=np.full((3, 2), 0.5))
    np.testing.assert_allclose(blind.choice_probabilities, np.tile([1.0, 0, 0], (3, 1)))


def test_impossible_states_are_answered_too():
    agent = solve([[1.0, 0], [0, 1.0], [5.0, 0]], [0.5, 0.5, 0.0], 0.5)
    np.testing.assert_allclose(agent.choice_probabilities.sum(axis=1), 1)
    np.testing.assert_allclose(agent.choice_probabilities[:2], solve(np.eye(2), [0.5, 0.5], 0.5).choice_probabilities)


def test_refusals():
    with pytest.raises(ValueError, match=r"`information_price` must not be negative. Got -1"):
        solve(np.eye(2), [0.5, 0.5], -1.0)
    with pytest.raises(ValueError, match=r"one price for each of the 3 environments. Got 2"):
        solve(np.ones((3, 2, 2)), [0.5, 0.5], [1.0, 2.0])
    with pytest.raises(ValueError, match="`prior` must sum to 1"):
        solve(np.eye(2), [0.5, 0.6], 1.0)
    with pytest.raises(RuntimeError, match="raise `tolerance`"):
        solve([[1.0, 0], [0, 1.0], [0.3, 0.2]], [0.5, 0.2, 0.3], 0.5, tolerance=0.0)
