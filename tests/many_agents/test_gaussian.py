"""Gaussian agents: published figures, brute force by least squares, simulation, laws and their counter-instances."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from many_agents.reference_gaussian import line_of_actions, naive_talk, refitted, talk
from scipy.special import chdtri, digamma, ndtri

from llma_tutorial.many_agents.gaussian import (
    noisy_actions,
    self_consuming,
    simulate_noisy_actions,
    simulate_self_consuming,
    simulate_word_of_mouth,
    simulate_words,
    word_of_mouth,
)

POSITIVE = st.floats(0.1, 10)
PROPERTY = settings(derandomize=True, deadline=None, max_examples=60)


def z_score(values, expected):
    """How many standard errors the mean of independent values lies from what is expected."""
    return (values.mean() - expected) / (values.std(ddof=1) / np.sqrt(values.size))


def bonferroni(count, level=0.01):
    return -ndtri(level / (2 * count))


# --- word of mouth --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_talk():
    return {m: word_of_mouth(m, 1_000_000) for m in (1, 2, 3)}


@pytest.mark.parametrize(
    ("m", "slope", "value"), [(1, -1, "1.000e-06"), (2, -0.3369, "0.0069823"), (3, -0.1574, "0.1135507")]
)
def test_slopes_and_values_of_the_theory_sheet(long_talk, m, slope, value):
    # Slope of log variance in log rounds from 1e5 to 1e6, and the variance at 1e6, all noise variances 1.
    variance, digits = long_talk[m].variance, ".3e" if m == 1 else ".7f"
    assert np.log10(variance[-1] / variance[99_999]) == pytest.approx(slope, abs=6e-5)
    assert f"{variance[-1]:{digits}}" == value


@pytest.mark.parametrize("m", [2, 3])
def test_the_power_law_is_approached_from_where_it_must(long_talk, m):
    ratio = long_talk[m].variance / long_talk[m].asymptote
    assert (np.abs(np.diff(np.log(ratio[[99, 999, 9_999, 99_999, 999_999]]))) > 0).all()
    distance = np.abs(ratio[[99, 999, 9_999, 99_999, 999_999]] - 1)
    assert (np.diff(distance) < 0).all()
    assert distance[-1] < (0.01 if m == 2 else 0.08)


@pytest.mark.parametrize(("m", "r", "t"), [(2, 0.3, 0.2), (2, 2.0, 0.05), (3, 0.05, 0.02)])
def test_the_power_law_has_the_right_constant(m, r, t):
    """R_m ~ r^(2^(m-1)) t^(2^(m-1)-1) v^-(2^m-2), up to a factor 1 + O(v / r); other noises have another constant."""
    law = word_of_mouth(m, 300_000, observation_variance=r, talk_variance=t)
    distance = np.abs(law.variance / law.asymptote - 1)[[2_999, 29_999, 299_999]]
    assert (np.diff(distance) < 0).all()
    assert distance[-1] < 1.5 * law.variance[-1] / r
    for other in (
        {"observation_variance": 2 * r, "talk_variance": t},
        {"observation_variance": r, "talk_variance": 2 * t},
    ):
        assert abs(law.variance[-1] / word_of_mouth(m, 300_000, **other).asymptote[-1] - 1) > 0.15


@PROPERTY
@given(m=st.integers(1, 4), prior=POSITIVE, seen=POSITIVE, noise=POSITIVE)
def test_recursion_equals_least_squares(m, prior, seen, noise):
    law = word_of_mouth(m, 3, prior_variance=prior, observation_variance=seen, talk_variance=noise)
    assert law.variance == pytest.approx(talk(m, 3, prior, seen, noise), rel=1e-7)
    assert law.believed_variance == pytest.approx(law.variance, rel=1e-12)


@PROPERTY
@given(m=st.integers(1, 4), prior=POSITIVE, seen=POSITIVE, noise=POSITIVE, nudge=st.sampled_from([-0.05, 0.05]))
def test_no_other_weight_does_better(m, prior, seen, noise, nudge):
    best = word_of_mouth(m, 1, prior_variance=prior, observation_variance=seen, talk_variance=noise).variance[0]
    assert talk(m, 1, prior, seen, noise, nudge)[0] > best


@PROPERTY
@given(m=st.integers(1, 3), prior=POSITIVE, seen=POSITIVE, noise=POSITIVE)
def test_naive_recursion_equals_brute_force(m, prior, seen, noise):
    law = word_of_mouth(m, 4, prior_variance=prior, observation_variance=seen, talk_variance=noise, naive=True)
    actual, believed = np.transpose(naive_talk(m, 4, prior, seen, noise))
    assert law.variance == pytest.approx(actual, rel=1e-9)
    assert law.believed_variance == pytest.approx(believed, rel=1e-9)


@PROPERTY
@given(m=st.integers(2, 4), prior=POSITIVE, seen=POSITIVE, noise=POSITIVE, scale=POSITIVE)
def test_order_and_scale_of_talk(m, prior, seen, noise, scale):
    keywords = {"prior_variance": prior, "observation_variance": seen, "talk_variance": noise}
    variance = word_of_mouth(m, 40, **keywords).variance
    assume(variance[0] < (1 - 1e-10) * prior)  # down a long chain of noise the gain can be less than floats resolve
    assert (np.diff(variance) < 0).all()
    assert (variance > word_of_mouth(m - 1, 40, **keywords).variance).all()
    assert (variance < word_of_mouth(m, 40, **{**keywords, "talk_variance": 2 * noise}).variance).all()
    scaled = word_of_mouth(m, 40, **{name: scale * value for name, value in keywords.items()}).variance
    assert scaled == pytest.approx(scale * variance, rel=1e-9)


def test_talk_without_noise_costs_nothing():
    """Counter-instance to the power law: agents that hear exactly learn like one observer, however long the chain."""
    for m in (2, 5):
        law = word_of_mouth(m, 1_000, talk_variance=0)
        assert law.variance == pytest.approx(word_of_mouth(1, 1_000).variance, rel=1e-12)
        assert law.asymptote == pytest.approx(1 / np.arange(1, 1_001))


def test_passing_on_what_was_seen_keeps_the_fast_law():
    """Counter-instance: agents pass on their reading, not their estimate: noise adds up once, and the slope is -1."""
    law = word_of_mouth(1, 100_000, observation_variance=1 + 2)  # a reading through two more noises of variance 1
    assert np.log10(law.variance[-1] / law.variance[9_999]) == pytest.approx(-1, abs=2e-4)
    assert law.variance[-1] < 1e-3 * word_of_mouth(3, 100_000).variance[-1]


@pytest.mark.parametrize(("m", "share"), [(2, 0.5), (3, 0.5), (4, 2.0)])
def test_a_fixed_share_is_a_worse_sensor_and_nothing_more(m, share):
    """The cure: speakers move by one share in all rounds; R = r + (m - 1) t / share^2 by least squares, slope -1."""
    law = word_of_mouth(1, 30, prior_variance=2, observation_variance=0.7 + (m - 1) * 0.4 / share**2)
    assert law.variance == pytest.approx(talk(m, 30, 2, 0.7, 0.4, share=share), rel=1e-9)


@pytest.mark.parametrize(("m", "least"), [(2, 0.6), (3, 1.26)])
def test_naive_listeners_grow_certain_of_what_is_wrong(m, least):
    """Counter-instance to optimal listening: belief sharpens like 1/k, the error stays, for m = 3 above the prior."""
    law = word_of_mouth(m, 20_000, naive=True)
    assert law.believed_variance[-1] == pytest.approx(1 / 20_000, rel=0.01)
    assert law.variance[-1] == pytest.approx(law.variance[9_999], rel=1e-3)
    assert law.variance[-1] > least
    assert law.asymptote is None


def test_simulated_talk_agrees_on_fifty_models():
    rng, scores = np.random.default_rng(71), []
    for number in range(50):
        prior, seen, noise = rng.uniform(0.2, 3, 3)
        law = word_of_mouth(
            1 + number % 4, 12, prior_variance=prior, observation_variance=seen, talk_variance=noise,
            naive=number % 5 == 4,
        )  # fmt: skip
        runs = simulate_word_of_mouth(law, 4_000, rng=rng)
        scores.append(z_score((runs.estimates[:, -1, -1] - runs.states) ** 2, law.variance[-1]))
    assert np.abs(scores).max() < bonferroni(50)
    assert np.std(scores) > 0.5  # scores that do not scatter would mean errors that were never drawn


def test_simulation_sees_a_wrong_variance():
    """Planted fault: runs with louder talk than the law says are found out."""
    law = word_of_mouth(3, 12)
    louder = dataclasses.replace(law, talk_variance=3.0)
    runs = simulate_word_of_mouth(louder, 4_000, rng=np.random.default_rng(1))
    assert z_score((runs.estimates[:, -1, -1] - runs.states) ** 2, law.variance[-1]) > bonferroni(50)


# --- noisy actions --------------------------------------------------------------------------------------------------


def test_precision_of_the_theory_sheet():
    # 143.2 against the asymptote 144.2 after a million agents, s = t = 1.
    line = noisy_actions(1_000_000)
    assert round(line.precision[-1], 1) == 143.2
    assert round(line.asymptote[-1], 1) == 144.2


@pytest.mark.parametrize(("s", "t"), [(1, 1), (2, 0.5), (0.3, 4)])
def test_precision_grows_like_the_cube_root(s, t):
    line = noisy_actions(1_000_000, signal_precision=s, noise_precision=t)
    distance = np.abs(line.precision[[10_000, 100_000, 1_000_000]] / line.asymptote[[10_000, 100_000, 1_000_000]] - 1)
    assert (np.diff(distance) < 0).all()
    assert distance[-1] < 0.03
    slope = np.log10(line.precision[1_000_000] / line.precision[100_000])
    assert slope == pytest.approx(1 / 3, abs=0.01)


def test_actions_without_noise_teach_linearly():
    """Counter-instance to the cube root: seen exactly, every action adds its signal's whole precision."""
    line = noisy_actions(1_000, signal_precision=2, noise_precision=np.inf, prior_precision=0.5)
    assert line.precision == pytest.approx(0.5 + 2 * np.arange(1_001), rel=1e-12)
    assert line.asymptote == pytest.approx(2 * np.arange(1_001))


@PROPERTY
@given(prior=POSITIVE, signal=POSITIVE, noise=POSITIVE)
def test_precision_equals_least_squares_on_all_actions(prior, signal, noise):
    line = noisy_actions(6, signal_precision=signal, noise_precision=noise, prior_precision=prior)
    assert line.precision == pytest.approx(line_of_actions(6, prior, signal, noise), rel=1e-7)


@PROPERTY
@given(prior=POSITIVE, signal=POSITIVE, noise=POSITIVE, scale=POSITIVE)
def test_order_and_scale_of_actions(prior, signal, noise, scale):
    line = noisy_actions(200, signal_precision=signal, noise_precision=noise, prior_precision=prior)
    gains = np.diff(line.precision)
    assert (gains > 0).all()
    assert (np.diff(gains) < 0).all()  # each agent teaches less than the one before
    assert (np.diff(line.weights) < 0).all()
    scaled = noisy_actions(
        200, signal_precision=scale * signal, noise_precision=scale * noise, prior_precision=scale * prior
    )
    assert scaled.precision == pytest.approx(scale * line.precision, rel=1e-9)


def test_simulated_actions_agree_on_fifty_models():
    rng, scores = np.random.default_rng(72), []
    for number in range(50):
        prior, signal, noise = rng.uniform(0.2, 3, 3)
        line = noisy_actions(
            20, signal_precision=signal, noise_precision=np.inf if number % 10 == 9 else noise, prior_precision=prior
        )
        runs = simulate_noisy_actions(line, 4_000, rng=rng)
        assert runs.actions.shape == runs.observations.shape == (4_000, 20)
        scores.append(z_score((runs.public_means[:, -1] - runs.states) ** 2, 1 / line.precision[-1]))
    assert np.abs(scores).max() < bonferroni(50)
    assert np.std(scores) > 0.5


# --- self-consuming estimation --------------------------------------------------------------------------------------


def test_collapse_figures_of_the_theory_sheet():
    law = self_consuming(20, 10, unbiased=False)
    assert round(law.expected_variance[-1], 4) == 0.5987
    assert law.expected_variance == pytest.approx(0.95 ** np.arange(11), rel=1e-12)
    assert round(self_consuming(5, 1).log_drift, 4) == -0.2704


@PROPERTY
@given(n=st.integers(2, 9), fresh=st.integers(0, 9), accumulate=st.booleans(), unbiased=st.booleans())
def test_moments_equal_the_matrix_of_all_points(n, fresh, accumulate, unbiased):
    fresh = 0 if accumulate else min(fresh, n)
    law = self_consuming(n, 5, n_fresh=fresh, accumulate=accumulate, unbiased=unbiased, variance=2.0)
    variance, square = refitted(n, 5, fresh, accumulate, unbiased)
    assert law.expected_variance == pytest.approx(2 * variance, rel=1e-10)
    assert law.expected_squared_error == pytest.approx(2 * square, rel=1e-10, abs=1e-12)


@PROPERTY
@given(n=st.integers(2, 40), fresh=st.integers(0, 40), accumulate=st.booleans(), unbiased=st.booleans())
def test_limits_are_where_the_moments_go(n, fresh, accumulate, unbiased):
    fresh = 0 if accumulate else min(fresh, n)
    law = self_consuming(n, 3_000, n_fresh=fresh, accumulate=accumulate, unbiased=unbiased)
    assert law.expected_variance[-1] == pytest.approx(law.limit, abs=1e-3 if accumulate else 1e-9)


def test_accumulated_data_keep_the_share_of_eulers_product():
    for n in (2, 5, 20, 100):
        angle = np.pi / np.sqrt(n)
        law = self_consuming(n, 10, accumulate=True, unbiased=False)
        assert law.limit == pytest.approx(np.sin(angle) / angle, rel=1e-12)
        assert law.expected_variance[-1] > law.limit


@pytest.mark.parametrize("fresh", [0, 1, 4, 7])
def test_spread_that_is_lost_is_wandering_of_the_mean(fresh):
    """1/n, fresh points or none: E[variance] + E[mean^2] is the true variance in every generation."""
    law = self_consuming(7, 60, n_fresh=fresh, unbiased=False, variance=3.0)
    assert law.expected_variance + law.expected_squared_error == pytest.approx(np.full(61, 3.0), rel=1e-12)


def test_one_fresh_point_keeps_two_thirds_whatever_the_sample():
    """The limit of the chapter, and 2 j / (2 j + 1) for j fresh points among many; the unbiased limit exceeds it."""
    for n in (20, 1_000, 1_000_000):
        for j in (1, 2, 10):
            f, limit = j / n, self_consuming(n, 1, n_fresh=j, unbiased=False).limit
            assert limit == pytest.approx(f * (2 - f - 1 / n) / (f * (2 - f) + (1 - f) / n), rel=1e-9)
            assert limit == pytest.approx(2 * j / (2 * j + 1), abs=2 / n)
            assert self_consuming(n, 1, n_fresh=j).limit > limit


@pytest.mark.parametrize("n", [2, 3, 5, 20, 1_000])
def test_the_drift_is_negative_although_the_mean_stays(n):
    law = self_consuming(n, 50)
    assert law.expected_variance == pytest.approx(np.ones(51), rel=1e-9)
    assert law.log_drift == pytest.approx(digamma((n - 1) / 2) - np.log((n - 1) / 2), abs=1e-12)
    assert law.log_drift < -1 / n  # log t <= t - 1 - (t - 1)^2 / 2 + ... : about -1 / (n - 1)
    assert self_consuming(n, 50, unbiased=False).log_drift < law.log_drift


def test_every_unbiased_run_collapses():
    """Almost sure collapse: after 400 generations of five points no run in 2,000 keeps a millionth of the variance."""
    runs = simulate_self_consuming(self_consuming(5, 400), 2_000, rng=np.random.default_rng(3))
    assert runs.variances[:, -1].max() < 1e-6
    steps = np.diff(np.log(runs.variances), axis=1).mean(axis=1)
    assert abs(z_score(steps, self_consuming(5, 1).log_drift)) < bonferroni(1)


def test_one_fresh_point_stops_the_collapse():
    """Counter-instance to replacing all data: one true point in five, and no run is lost."""
    runs = simulate_self_consuming(self_consuming(5, 400, n_fresh=1), 2_000, rng=np.random.default_rng(4))
    assert np.quantile(runs.variances[:, -1], 0.01) > 0.01
    assert np.median(runs.variances[:, 400]) == pytest.approx(np.median(runs.variances[:, 100]), rel=0.1)
    assert self_consuming(5, 1, n_fresh=1).log_drift is None


def test_accumulated_data_stop_the_collapse():
    """Counter-instance to replacing: with all points kept, log variance settles in every run."""
    runs = simulate_self_consuming(self_consuming(5, 400, accumulate=True), 1_000, rng=np.random.default_rng(5))
    assert runs.variances[:, -1].min() > 0.005
    late = np.log(runs.variances[:, 400] / runs.variances[:, 200])
    early = np.log(runs.variances[:, 4] / runs.variances[:, 2])
    assert late.std() < early.std() / 5


def test_simulated_generations_agree_on_fifty_models():
    rng, scores = np.random.default_rng(73), []
    for number in range(50):
        n = int(rng.integers(4, 12))
        accumulate = number % 3 == 2
        law = self_consuming(
            n, 4, n_fresh=0 if accumulate else int(rng.integers(n + 1)), accumulate=accumulate,
            unbiased=bool(number % 2), variance=rng.uniform(0.5, 3),
        )  # fmt: skip
        runs = simulate_self_consuming(law, 20_000, rng=rng)
        scores.append(z_score(runs.variances[:, -1], law.expected_variance[-1]))
        scores.append(z_score(runs.means[:, -1] ** 2, law.expected_squared_error[-1]))
    assert np.abs(scores).max() < bonferroni(100)
    assert np.std(scores) > 0.5


def test_simulation_tells_the_two_estimators_apart():
    """Planted fault: the divisor n - 1 under the law for n is found out."""
    law = self_consuming(8, 4, unbiased=False)
    runs = simulate_self_consuming(dataclasses.replace(law, unbiased=True), 20_000, rng=np.random.default_rng(2))
    assert z_score(runs.variances[:, -1], law.expected_variance[-1]) > bonferroni(100)


@pytest.mark.parametrize(("n", "weights"), [(2, [1, 1]), (8, [5, 3, 1, 1]), (30, list(range(1, 13)))])
def test_words_lose_diversity_at_the_same_rate(n, weights):
    """E[1 - sum p^2] falls by (1 - 1/n) a generation, in the exact law of all texts and in 20,000 simulated lines."""
    p = np.array(weights) / sum(weights)
    frequencies = simulate_words(p, n, 6, 20_000, rng=np.random.default_rng(8))
    diversity = 1 - (frequencies**2).sum(axis=2)
    exact = (1 - 1 / n) ** np.arange(7) * (1 - (p**2).sum())
    assert diversity[0, 0] == pytest.approx(exact[0], rel=1e-12)
    assert max(abs(z_score(diversity[:, g], exact[g])) for g in range(1, 7)) < bonferroni(18)
    assert abs(z_score(diversity[:, 6], exact[6] * (1 - 1 / n))) > bonferroni(18)  # one generation more is told apart


def test_one_word_is_left_in_the_end():
    frequencies = simulate_words(np.full(6, 1 / 6), 10, 300, 500, rng=np.random.default_rng(9))
    left = (frequencies > 0).sum(axis=2)
    assert (np.diff(left, axis=1) <= 0).all()
    assert (left[:, -1] == 1).all()
    # The word that is left is one of the six with equal probability: no word is favoured.
    winners = np.bincount(frequencies[:, -1].argmax(axis=1), minlength=6)
    assert ((winners - 500 / 6) ** 2 / (500 / 6)).sum() < chdtri(5, 0.01)


# --- at the boundary ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: word_of_mouth(0, 5), r"`n_agents` must be a whole number at least 1. Got 0"),
        (lambda: word_of_mouth(2, 5, prior_variance=0), r"`prior_variance` must be positive. Got 0"),
        (lambda: word_of_mouth(2, 5, talk_variance=-1), r"`talk_variance` must be a number from 0 to inf. Got -1"),
        (
            lambda: noisy_actions(5, signal_precision=np.inf),
            r"`signal_precision` must be a number from 0 to inf. Got inf",
        ),
        (lambda: noisy_actions(5, noise_precision=0), r"`noise_precision` must be positive. Got 0"),
        (lambda: self_consuming(1, 5), r"`n_samples` must be a whole number at least 2. Got 1"),
        (lambda: self_consuming(5, 5, n_fresh=6), r"`n_fresh` must be a whole number from 0 to 5. Got 6"),
        (lambda: self_consuming(5, 5, n_fresh=1, accumulate=True), r"`n_fresh` must be 0 if data accumulate.*Got 1"),
        (lambda: word_of_mouth(2, 5, naive="no"), r"`naive` must be True or False. Got 'no'"),
        (lambda: self_consuming(5, 5, accumulate="no"), r"`accumulate` must be True or False. Got 'no'"),
        (lambda: self_consuming(5, 5, unbiased="no"), r"`unbiased` must be True or False. Got 'no'"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("simulate", "law"),
    [
        (simulate_word_of_mouth, word_of_mouth(2, 3)),
        (simulate_noisy_actions, noisy_actions(3)),
        (simulate_self_consuming, self_consuming(3, 2)),
    ],
)
def test_simulations_take_a_generator_and_repeat(simulate, law):
    with pytest.raises(TypeError, match=r"`rng` must be a numpy Generator"):
        simulate(law, 3, rng=7)
    with pytest.raises(ValueError, match=r"`n_runs` must be a whole number at least 1"):
        simulate(law, 0, rng=np.random.default_rng(0))
    first, again = (vars(simulate(law, 3, rng=np.random.default_rng(7))) for _ in range(2))
    assert all((first[name] == again[name]).all() for name in first)


def test_results_are_read_only():
    for values in (word_of_mouth(2, 3).variance, noisy_actions(3).precision, self_consuming(3, 2).expected_variance):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1
