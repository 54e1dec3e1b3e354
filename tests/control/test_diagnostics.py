"""Diagnostics of failures: closed forms and plain loops, false alarms on healthy cases, power on planted failures."""

from dataclasses import replace
from math import comb, inf, sqrt

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency
from strategies import distributions
from test_package import loaded_by

from llma_tutorial.beliefs import bayes_update
from llma_tutorial.control.diagnostics import (
    fits_law,
    herding_signature,
    probe_gradient,
    recovery_signature,
    recovery_spread,
    same_law,
)
from llma_tutorial.many_agents.social import SocialLearning
from llma_tutorial.one_agent.attention import solve

EVEN, MATRIX, IDENTITY = [0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]], np.eye(2)


def highest(n, level=0.05):
    """Most false alarms in n healthy cases that the level allows: level plus two standard errors."""
    return n * (level + 2 * sqrt(level * (1 - level) / n))


# --- premature herding ----------------------------------------------------------------------------------------------


@settings(derandomize=True, deadline=None, max_examples=150)
@given(odds=st.floats(-2, 2), down=st.floats(0.1, 3), up=st.floats(0.1, 3))
def test_fuse_is_the_closed_form(odds, down, up):
    """Two states, two signals of weights -down and up: n steps until the next contrary signal cannot turn the action.

    The hypothesis matters: from a prior that silences at once every fuse is 0, whatever the formula for steps says.
    """
    row0 = (np.exp(up) - 1) / (np.exp(up) - np.exp(-down))  # P(y=0|x=0), from the two weights
    matrix = np.array([[row0, 1 - row0], [row0 * np.exp(-down), 1 - row0 * np.exp(-down)]])
    assert np.log(matrix[1] / matrix[0]) == pytest.approx([-down, up])
    society = SocialLearning(matrix, IDENTITY, [1 / (1 + np.exp(odds)), 1 / (1 + np.exp(-odds))])
    ends = [(odds - down) / up, (odds + up) / down]
    assume(all(abs(end - round(end)) > 1e-6 for end in ends))  # ties are for other tests
    fuses = herding_signature(society).fuses
    if odds - down > 0 or odds + up < 0:
        assert fuses.tolist() == [0, 0]
    else:
        ones = next(n for n in range(1, 100) if odds + n * up - down > 0)
        zeros = next(n for n in range(1, 100) if odds - n * down + up < 0)
        assert fuses.tolist() == [zeros, ones]


def plain_fuse(society, action, longest=60):
    """The definition, one agent at a time, with ties to the lowest action."""
    belief, matrix = np.array(society.assumed_prior), society.assumed_observation_matrix
    for length in range(longest):
        choice = [int(np.argmax(bayes_update(belief, column) @ society.utility)) for column in matrix.T]
        if len(set(choice)) == 1:
            return length
        factor = sum((matrix[:, y] for y, a in enumerate(choice) if a == action), np.zeros(len(belief)))
        if not factor.any():
            return inf
        belief = bayes_update(belief, factor)
    return inf


def random_society(rng, n_states):
    matrix, assumed = rng.dirichlet(np.ones(3), (2, n_states))
    prior, held = rng.dirichlet(np.full(n_states, 4.0), 2)
    return SocialLearning(matrix, rng.normal(size=(n_states, 3)), prior, None, "first", held, assumed)


@pytest.mark.parametrize("n_states", [2, 3])
def test_fuses_equal_a_plain_loop(n_states):
    rng = np.random.default_rng(n_states)
    found = set()
    for _ in range(60):
        society = random_society(rng, n_states)
        signature = herding_signature(society, longest=59)
        assert signature.fuses.tolist() == [plain_fuse(society, action) for action in range(3)]
        known = replace(society, assumed_prior=society.prior)
        assert signature.corrected["assumed prior"].tolist() == [plain_fuse(known, action) for action in range(3)]
        found |= set(signature.fuses.tolist())
    assert {0.0, 1.0, 2.0} <= found


@pytest.mark.parametrize(
    ("cause", "change"),
    [
        ("none", {}),
        ("assumed prior", {"assumed_prior": [0.25, 0.75]}),
        ("prior", {"prior": [0.25, 0.75]}),
        ("signals", {"observation_matrix": [[0.9, 0.1], [0.45, 0.55]]}),
        ("assumed matrix", {"assumed_observation_matrix": [[0.9, 0.1], [0.45, 0.55]]}),
        ("ties", {"tie_break": "first"}),
        (
            "assumptions",
            {  # the true base rate silences agents who underrate their sensor, and the assumed one silences anybody
                "observation_matrix": [[0.8, 0.2], [0.2, 0.8]],
                "prior": [0.35, 0.65],
                "assumed_prior": [0.1, 0.9],
                "assumed_observation_matrix": [[0.6, 0.4], [0.4, 0.6]],
            },
        ),
    ],
)
def test_planted_causes_are_named(cause, change):
    society = SocialLearning(**{"observation_matrix": MATRIX, "utility": IDENTITY, "prior": EVEN} | change)
    signature = herding_signature(society)
    assert signature.cause == cause
    assert len(signature.advice) > 30
    if cause in signature.corrected:
        assert signature.corrected[cause].min() > signature.fuses.min()


@settings(derandomize=True, deadline=None, max_examples=60)
@given(precision=st.floats(0.51, 0.99), ties=st.sampled_from(["signal", "random"]))
def test_healthy_lines_raise_no_alarm(precision, ties):
    """Symmetric sensors of any precision at even odds: two agents speak before the third may fall silent."""
    matrix = [[precision, 1 - precision], [1 - precision, precision]]
    signature = herding_signature(SocialLearning(matrix, IDENTITY, EVEN, tie_break=ties))
    assert signature.cause == "none"
    assert signature.fuses.tolist() == [2, 2]


def test_fuse_of_an_action_that_nobody_takes_is_infinite():
    payoffs = [[1, 0, -5], [0, 1, -5]]
    assert herding_signature(SocialLearning(MATRIX, payoffs, EVEN, tie_break="first")).fuses[2] == inf
    with pytest.raises(ValueError, match="`least` must be a whole number at least 1"):
        herding_signature(SocialLearning(MATRIX, IDENTITY, EVEN), least=0)


# --- laws of symbols ------------------------------------------------------------------------------------------------


def test_two_sample_p_value_equals_enumeration():
    """A 2 x 2 table has few splits: sum the hypergeometric probabilities of those at least as uneven."""
    reference, counts = np.array([14, 6]), np.array([5, 9])
    both, n = reference + counts, counts.sum()
    ways = {k: comb(both[0], k) * comb(both[1], n - k) for k in range(max(0, n - both[1]), min(n, both[0]) + 1)}
    uneven = {k: abs(k - n * both[0] / both.sum()) for k in ways}
    exact = sum(w for k, w in ways.items() if uneven[k] >= uneven[5] - 1e-12) / sum(ways.values())
    n_draws = 20_000
    test = same_law(reference, counts, n_draws=n_draws, rng=np.random.default_rng(0))
    assert test.p_value == pytest.approx(exact, abs=4 * sqrt(exact * (1 - exact) / n_draws))
    assert test.statistic == pytest.approx(chi2_contingency([reference, counts], correction=False).statistic)
    assert test.distances == pytest.approx([0.7 - 5 / 14])


@pytest.mark.parametrize(("sizes", "law"), [((40, 10), [0.9, 0.1]), ((200, 60), [0.5, 0.3, 0.1, 0.1]), ((8, 5), EVEN)])
def test_size_of_both_tests(sizes, law):
    """Nothing has changed: at most 5 % + 2 s.e. of alarms, for small and uneven samples too."""
    rng = np.random.default_rng(1)
    alarms = np.zeros(3)
    for _ in range(500):
        then, now = (rng.multinomial(size, law) for size in sizes)
        rows = rng.multinomial(sizes[0], law, 2), rng.multinomial(sizes[1], law, 2)
        alarms += [
            same_law(then, now, n_draws=99, rng=rng).p_value <= 0.05,
            same_law(*rows, n_draws=99, rng=rng).p_value <= 0.05,
            fits_law(now, law, n_draws=99, rng=rng).p_value <= 0.05,
        ]
    assert alarms.max() <= highest(500)


def test_what_each_test_sees():
    """Unlabelled symbols show the mixture pi'B; labels show B, whatever the base rate. Power at least 95 % each."""
    rng = np.random.default_rng(2)
    B, hidden, moved = np.array([MATRIX, [[0.5, 0.5], [0.5, 0.5]], [[0.4, 0.6], [0.2, 0.8]]])
    assert np.array(EVEN) @ B == pytest.approx(np.array(EVEN) @ hidden)  # another sensor, the same mixture

    def sample(matrix, prior, n):
        return rng.multinomial(1, (np.array(prior)[:, None] * matrix).ravel(), n).sum(axis=0).reshape(2, 2)

    cases = {"hidden": (hidden, EVEN), "moved": (moved, EVEN), "base rate": (B, [0.1, 0.9])}
    rang = {name: np.zeros(2) for name in cases}
    for _ in range(200):
        reference = sample(B, EVEN, 600)
        for name, (matrix, prior) in cases.items():
            now = sample(matrix, prior, 300)
            blind = same_law(reference.sum(axis=0), now.sum(axis=0), n_draws=99, rng=rng)
            labelled = same_law(reference, now, n_draws=99, rng=rng)
            rang[name] += np.array([blind.p_value, labelled.p_value]) <= 0.05
    assert rang["hidden"][0] <= highest(200)
    assert rang["hidden"][1] >= 190
    assert rang["moved"].min() >= 190
    assert rang["base rate"][0] >= 190
    assert rang["base rate"][1] <= highest(200)


def test_impossible_symbols_and_unseen_rows():
    rng = np.random.default_rng(3)
    assert fits_law([30, 1, 0], [0.5, 0, 0.5], n_draws=99, rng=rng).p_value == 0.01
    test = same_law([[30, 10], [0, 0]], [[20, 5], [7, 7]], rng=rng)
    assert np.isnan(test.distances[1])
    assert test.p_value > 0.1
    assert np.isnan(fits_law([[3, 4], [0, 0]], MATRIX, rng=rng).distances[1])
    assert str(same_law([5, 5], [5, 5], n_draws=19, rng=rng)) == "p-value 1.000, distance 0.00 (19 draws)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rng: same_law([1, 2], [1, 2, 3], rng=rng), "must have the shape of `reference`"),
        (lambda rng: same_law([1.5, 2], [1, 2], rng=rng), "`reference` must be whole numbers"),
        (lambda rng: same_law([0, 0], [1, 2], rng=rng), "in which both saw something"),
        (lambda rng: fits_law([0, 0], EVEN, rng=rng), "must hold something"),
        (lambda rng: fits_law([-1, 2], EVEN, rng=rng), "whole numbers from 0"),
        (lambda rng: fits_law([1, 2], [0.5, 0.6], rng=rng), "sum to 1"),
        (lambda rng: same_law([1, 2], [1, 2], n_draws=5, rng=rng), "`n_draws`"),
    ],
)
def test_malformed_counts_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0))
    with pytest.raises(TypeError, match="numpy Generator"):
        same_law([1, 2], [1, 2], rng=0)


# --- gradients ------------------------------------------------------------------------------------------------------

HESSIAN = np.array([[2.0, 0.5], [0.5, 1.0]])


def bowl(theta):
    return theta @ HESSIAN @ theta / 2


def test_probe_of_a_bowl_is_exact():
    theta = np.array([1, -2])
    probe = probe_gradient(bowl, theta, n_pairs=400, rng=np.random.default_rng(0))
    assert (np.abs(probe.mean - HESSIAN @ theta) < 4 * probe.error).all()
    assert {round(value, 6) for value in probe.curvatures} == {4.0, 2.0}  # d'Hd for equal and for unequal signs
    assert probe.largest_gain == pytest.approx(2 / probe.curvatures.mean())
    assert (probe.verdict, probe.flat_share) == ("clear", 0)
    assert theta.tolist() == [1, -2]


@settings(derandomize=True, deadline=None, max_examples=100)
@given(gain=st.floats(0.01, 3), start=st.floats(-2, 2))
def test_longest_step_that_lowers_a_bowl(gain, start):
    """Along every d: the cost falls iff the gain is below 2/d'Hd; beyond it, it rises."""
    theta = np.array([start, 1.0])
    for signs in ([1.0, 1.0], [1.0, -1.0]):
        signs = np.array(signs)
        slope, limit = signs @ HESSIAN @ theta, 2 / (signs @ HESSIAN @ signs)
        assume(abs(slope) > 1e-3 and abs(gain - limit) > 1e-3)
        assert (bowl(theta - gain * slope * signs) < bowl(theta)) == (gain < limit)


def test_verdicts_on_planted_failures():
    """No slope at all: "clear" in at most 5 % + 2 s.e.; a slope of two standard deviations: nearly always."""
    clear = {"none": 0, "slope": 0}
    for seed in range(300):
        for name, slope in (("none", 0.0), ("slope", 1.0)):
            noisy = lambda theta, rng, slope=slope: slope * theta[0] + 0.1 * rng.standard_normal()  # noqa: E731
            rng = np.random.default_rng(seed)
            clear[name] += probe_gradient(noisy, [0.0], common=False, n_pairs=20, rng=rng).verdict == "clear"
    assert clear["none"] <= highest(300)
    assert clear["slope"] >= 285
    steps = probe_gradient(lambda theta: np.floor(theta).sum(), [0.5], rng=np.random.default_rng(0))
    assert (steps.verdict, steps.flat_share, steps.largest_gain, steps.pairs_needed) == ("flat", 1.0, inf, inf)
    assert "soften" in steps.advice


def test_pairs_needed_bring_the_mean_to_two_standard_errors():
    """Slope 1, independent noise of 0.1 in each cost, c = 0.1: the pairs scatter by sqrt(1/2), so 4 / 2 pairs."""
    noisy = lambda theta, rng: theta[0] + 0.1 * rng.standard_normal()  # noqa: E731
    probe = probe_gradient(noisy, [0.0], common=False, n_pairs=4000, rng=np.random.default_rng(1))
    assert probe.pairs_needed == pytest.approx(2, rel=0.1)
    shared = probe_gradient(noisy, [0.0], n_pairs=20, rng=np.random.default_rng(1))
    assert shared.error == pytest.approx([0], abs=1e-12)  # common random numbers cancel noise that ignores theta


def test_probe_refuses():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="must return one finite number"):
        probe_gradient(lambda theta: np.inf, [0.0], rng=rng)
    with pytest.raises(ValueError, match="`perturbation` must be positive"):
        probe_gradient(bowl, [0.0, 1.0], perturbation=0.0, rng=rng)
    with pytest.raises(ValueError, match="`common` must be True or False"):
        probe_gradient(bowl, [0.0, 1.0], common="no", rng=rng)


# --- recovery -------------------------------------------------------------------------------------------------------

STAKES = np.array([0.5, 1, 2])[:, None, None] * IDENTITY
SHANNON = solve(STAKES, EVEN, 0.6).choice_probabilities


def cause(choices, n, seed, utility=STAKES, n_agents=1):
    rng = np.random.default_rng(seed)
    return recovery_signature(rng.multinomial(n, choices), utility, n_agents=n_agents, n_draws=99, rng=rng).cause


def test_rational_agents_are_rarely_accused():
    """Shannon agents and agents on the boundary (the same attention everywhere), 20 and 200 choices for each state."""
    same = np.stack([SHANNON[1]] * 3)
    for choices in (SHANNON, same):
        for n in (20, 200):
            accused = sum(cause(choices, n, seed) == "not rational" for seed in range(80))
            assert accused <= highest(80)


def test_planted_failures_of_recovery_are_named():
    assert sum(cause(SHANNON[::-1], 200, seed) == "not rational" for seed in range(20)) >= 19
    assert sum(cause(SHANNON, 200, seed, n_agents=60) == "no objection" for seed in range(10)) >= 9
    assert sum(cause(SHANNON, 5, seed, n_agents=60) == "too little data" for seed in range(10)) >= 9
    alike = np.stack([IDENTITY])
    causes = [cause(SHANNON[:1], 400, seed, alike, n_agents=60) for seed in range(10)]
    assert causes.count("weak design") >= 9  # one environment: random behaviour passes NIAS one time in four


def test_power_is_the_share_of_rejected_random_agents():
    rng = np.random.default_rng(4)
    few, many = (recovery_signature(np.full((3, 2, 2), n), STAKES, rng=rng).power for n in (5, 100))
    assert few < 0.6 < 0.8 < many
    found = recovery_signature(np.full((3, 2, 2), 100), STAKES, n_agents=200, rng=rng)
    assert found.power <= 1 - found.pass_rate.both + 0.05


def test_recovered_payoffs_settle_with_data():
    rng = np.random.default_rng(5)
    spread = [
        np.median(recovery_spread(np.rint(n * SHANNON), "shared", scales=[0.5, 1, 2], n_draws=12, rng=rng))
        for n in (8, 2000)
    ]
    assert spread[1] < 0.01
    assert spread[0] > 3 * spread[1]


@pytest.mark.parametrize("diagnose", [lambda c: recovery_signature(c, IDENTITY, rng=np.random.default_rng(0)),
                                      lambda c: recovery_spread(c, rng=np.random.default_rng(0))])  # fmt: skip
def test_recovery_refuses_unequal_shares(diagnose):
    with pytest.raises(ValueError, match="must be the same in every environment"):
        diagnose([[[3, 1], [1, 3]], [[3, 1], [1, 5]]])


def test_diagnostics_load_nothing_heavy():
    assert not loaded_by("import llma_tutorial.control.diagnostics") & {"torch", "transformers", "cvxpy", "matplotlib"}


@settings(derandomize=True, deadline=None, max_examples=30)
@given(law=distributions(3))
def test_samples_of_a_law_fit_it(law):
    """The counts closest to the law have the largest p-value there is."""
    counts = np.rint(1000 * np.array(law)).astype(int)
    exact = counts / counts.sum()
    assert fits_law(counts, exact, n_draws=49, rng=np.random.default_rng(0)).p_value == 1.0
