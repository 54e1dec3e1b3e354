"""Threshold policies, simultaneous perturbation, the optimality gap: closed forms, exact slopes, refusals."""

import numpy as np
import pytest
from control.problems import H, W
from hypothesis import given, settings
from hypothesis import strategies as st
from results import load_study
from strategies import distributions
from test_package import ROOT, loaded_by

from llma_tutorial import results
from llma_tutorial.beliefs import mlr_dominates
from llma_tutorial.control.policies import ThresholdPolicy, median_interval, optimality_gap, spsa
from llma_tutorial.control.stopping import StoppingProblem, evaluate, quickest_detection, simulate, solve

HALF = [0.5, 0.5]
EXACT = 1.44390250665  # optimal cost of H at one half, from the theory's reference values


# --- threshold policies ---------------------------------------------------------------------------------------------


def test_two_states_leave_one_sine_threshold():
    """The form of the published controller: stop when the belief in the first state exceeds sin^2(theta)."""
    line = np.linspace(0, 1, 201)
    beliefs = np.stack([line, 1 - line], axis=1)
    for theta in (0.0, 0.3, 1.1, 2.5, -0.7):
        assert (ThresholdPolicy(theta)(beliefs) == (line > np.sin(theta) ** 2)).all()
        assert (ThresholdPolicy(theta, end=-1)(beliefs) == (1 - line > np.sin(theta) ** 2)).all()


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    theta=st.lists(st.floats(-3, 3), min_size=2, max_size=2),
    one=distributions(3),
    other=distributions(3),
    end=st.sampled_from([0, -1]),
    softness=st.sampled_from([0.0, 0.2, 2.0]),
)
def test_policies_are_monotone_in_the_likelihood_ratio_order(theta, one, other, end, softness):
    """Whatever the parameters: the MLR-larger belief stops at least as often (end=-1), or at most as often (end=0)."""
    if not mlr_dominates(one, other):
        return
    larger, smaller = ThresholdPolicy(theta, end, softness)(np.array([one, other])).astype(float)
    assert larger >= smaller - 1e-12 if end == -1 else larger <= smaller + 1e-12


def test_scores_that_fall_break_monotonicity():
    """The hypothesis is needed: with the score (0, 1, 1/2), e_2 dominates e_1 but only e_1 stops."""
    scores = np.array([0, 1, 0.5])
    low, high = np.eye(3)[1], np.eye(3)[2]
    assert mlr_dominates(high, low)
    assert scores @ low > 0.7 > scores @ high


def test_three_states_in_numbers():
    policy = ThresholdPolicy([2.0, np.pi / 4], end=-1)  # scores 0, 1, 5 scaled by 5, threshold 1/2
    assert policy.scores == pytest.approx([0, 0.2, 1])
    assert policy.threshold == pytest.approx(0.5)
    assert policy(np.array([[0.51, 0, 0.49], [0.4, 0, 0.6], [0, 1, 0]])).tolist() == [False, True, False]
    assert ThresholdPolicy([2.0, 0.1]).scores == pytest.approx([1, 0.2, 0])


def test_soft_policies_tend_to_the_hard_one():
    beliefs = np.array([[0.9, 0.1], [0.75, 0.25], [0.6, 0.4], [0.0, 1.0], [1.0, 0.0]])
    policy = ThresholdPolicy(np.arcsin(np.sqrt(0.8)))
    assert policy.soft(1e-4)(beliefs) == pytest.approx(policy(beliefs).astype(float), abs=1e-12)
    odds = 0.9 / 0.1 / (0.8 / 0.2)
    assert policy.soft(0.5)(beliefs)[0] == pytest.approx(odds**2 / (1 + odds**2))
    assert policy.soft(0.0).softness == 0


def test_a_family_of_policies_is_its_members():
    thetas = np.array([[0.4, 0.9], [1.2, 0.7]])
    beliefs = np.random.default_rng(0).dirichlet(np.ones(3), 50)
    family = ThresholdPolicy(thetas, softness=0.3)(beliefs)
    assert family.shape == (2, 50)
    for row, theta in zip(family, thetas, strict=True):
        assert row == pytest.approx(ThresholdPolicy(theta, softness=0.3)(beliefs))


# --- simultaneous perturbation --------------------------------------------------------------------------------------


def soft_cost(theta, softness=0.3):
    """Exact cost of a soft threshold policy on H; theta may be a family."""
    return evaluate(H, ThresholdPolicy(theta, softness=softness), horizon=900).lower


def drawn_cost(n_runs, softness=0.3, window=50):
    """Simulated cost; what has not stopped when the window ends pays what it has paid until then."""

    def cost(theta, rng):
        runs = simulate(H, ThresholdPolicy(theta, softness=softness), n_runs, horizon=window, rng=rng)
        return np.where(runs.stop_times < window, runs.costs, runs.running_costs).mean()

    return cost


def test_learned_threshold_is_near_the_optimum_from_20_seeds():
    """H: at most 2,000 episodes in all, start at least 0.2 from the optimal threshold, median gap below 2 %."""
    start = 0.43
    assert abs(start - solve(H, tolerance=1e-6).thresholds[0]) > 0.2
    found = [
        spsa(drawn_cost(20), [np.arccos(np.sqrt(start))], n_iterations=40, rng=np.random.default_rng(seed))
        for seed in range(20)
    ]
    assert max(descent.n_evaluations for descent in found) * 20 <= 2000
    gaps = evaluate(H, ThresholdPolicy([descent.theta for descent in found]), tolerance=1e-4).lower / EXACT - 1
    assert np.median(gaps) < 0.02
    assert median_interval(gaps)[2] < 0.02
    assert {descent.diagnosis for descent in found} <= {"settled", "moving"}


def test_estimates_average_to_the_finite_difference():
    """With one parameter the estimate is the central difference; with several its mean over signs is the slope."""
    theta = np.array([0.9])
    descent = spsa(soft_cost_number, theta, n_iterations=2, gain=1e-12, perturbation=1e-4, rng=np.random.default_rng(0))
    step = 1e-5
    slope = (soft_cost(theta + step) - soft_cost(theta - step)) / (2 * step)
    assert descent.gradients[0] == pytest.approx([slope], rel=1e-5)
    quadratic = np.array([[2.0, 0.5], [0.5, 1.0]])
    many = spsa(lambda t: t @ quadratic @ t, [1.0, -2.0], n_iterations=4000, gain=1e-12, rng=np.random.default_rng(1))
    exact = 2 * quadratic @ [1.0, -2.0]
    error = many.gradients.std(axis=0) / np.sqrt(4000)
    assert (np.abs(many.gradients.mean(axis=0) - exact) < 4 * error).all()


def soft_cost_number(theta):
    return float(soft_cost(theta))


def test_simulated_slope_agrees_with_the_exact_one():
    theta, c = np.array([0.9]), 0.1
    rng = np.random.default_rng(2)
    descent = spsa(drawn_cost(400), theta, n_iterations=30, gain=1e-12, perturbation=c, rng=rng)
    widths = descent.perturbations
    exact = np.array([soft_cost(theta + w) - soft_cost(theta - w) for w in widths[[0, -1]]]) / (2 * widths[[0, -1]])
    error = descent.gradients.std(ddof=1) / np.sqrt(30)
    assert exact.min() - 4 * error < descent.gradients.mean() < exact.max() + 4 * error
    assert error < 0.1 * np.abs(exact).mean()


def test_common_random_numbers_cut_the_noise():
    spread = {}
    for common in (True, False):
        rng = np.random.default_rng(3)
        keywords = {"n_iterations": 40, "gain": 1e-12, "common": common, "rng": rng}
        spread[common] = spsa(drawn_cost(20), [0.9], **keywords).gradients.var()
    assert spread[True] < 0.7 * spread[False]


def test_gains_are_those_of_the_theory():
    descent = spsa(lambda t: t @ t, [1.0], n_iterations=50, gain=0.3, perturbation=0.2, rng=np.random.default_rng(0))
    k = np.arange(50)
    assert descent.gains == pytest.approx(0.3 / (k + 1 + 5) ** 0.602)
    assert descent.perturbations == pytest.approx(0.2 / (k + 1) ** 0.101)
    steps = np.diff(descent.thetas, axis=0)
    assert steps == pytest.approx(-descent.gains[:, None] * descent.gradients)
    assert descent.theta == pytest.approx(descent.thetas[-25:].mean(axis=0))
    assert descent.n_evaluations == 100


def test_default_gain_makes_the_first_step_as_long_as_the_perturbation():
    descent = spsa(lambda t: 7 * t[0], [3.0], n_iterations=5, perturbation=0.2, rng=np.random.default_rng(0))
    assert descent.thetas[1] == pytest.approx([2.8])
    assert descent.n_evaluations == 30


def test_input_is_not_changed_and_integers_work():
    start = np.array([3, -1])
    descent = spsa(
        lambda t: ((t - 0.5) ** 2).sum(), start, n_iterations=200, perturbation=0.5, rng=np.random.default_rng(0)
    )
    assert start.tolist() == [3, -1]
    assert descent.theta == pytest.approx([0.5, 0.5], abs=0.02)
    number = spsa(lambda t: (t - 0.25) ** 2, 1, n_iterations=100, perturbation=0.5, rng=np.random.default_rng(0))
    assert number.theta.shape == ()
    assert number.theta == pytest.approx(0.25, abs=0.02)


def test_same_seed_same_trace():
    one, two = (spsa(drawn_cost(5), [0.9], n_iterations=5, rng=np.random.default_rng(4)) for _ in range(2))
    assert (one.thetas == two.thetas).all()


def test_hard_threshold_has_no_slope_and_the_trace_says_so():
    with pytest.raises(ValueError, match=r"no slope can be measured.*soften the policy"):
        spsa(drawn_cost(10, softness=0.0), [np.arccos(np.sqrt(0.6))], rng=np.random.default_rng(0))
    start = np.arccos(np.sqrt(0.9))
    descent = spsa(drawn_cost(10, 0.0), [start], n_iterations=10, gain=0.1, rng=np.random.default_rng(0))
    assert descent.diagnosis == "flat"
    assert "soften" in descent.advice
    assert (descent.thetas == start).all()


def test_diagnoses():
    def square(theta):
        return float(theta @ theta)

    def trace(**keywords):
        return spsa(square, [1.0], n_iterations=40, **keywords, rng=np.random.default_rng(0)).diagnosis

    assert trace(gain=1.0) == "settled"
    assert trace(gain=0.05) == "moving"
    noisy = spsa(
        lambda theta, rng: rng.normal(), [1.0], gain=50.0, common=False, n_iterations=40, rng=np.random.default_rng(0)
    )
    assert noisy.diagnosis == "jumping"


# --- optimality gap -------------------------------------------------------------------------------------------------


def test_gap_covers_the_exact_one():
    for problem, policy in ((H, ThresholdPolicy(0.9, softness=0.5)), (W, ThresholdPolicy(0.9))):
        window = 300
        exact = evaluate(problem, policy, horizon=window).lower - solve(problem).value(HALF)[0]
        gap = optimality_gap(problem, policy, n_runs=5000, horizon=window, level=0.9999, rng=np.random.default_rng(5))
        assert gap.low < exact < gap.high
        share, low, high = gap.relative
        assert low < exact / gap.optimum[0] < high
        assert share == pytest.approx(gap.estimate / gap.optimum[0])


def test_pairing_narrows_the_interval():
    nearly = ThresholdPolicy(np.arccos(np.sqrt(0.17)))
    gap = optimality_gap(H, nearly, n_runs=2000, horizon=300, rng=np.random.default_rng(6))
    alone = simulate(H, nearly, 2000, horizon=300, rng=np.random.default_rng(6))
    assert gap.high - gap.low < 0.25 * np.subtract(*alone.interval()[::-1])


def test_gap_of_the_optimum_is_nil_and_families_keep_their_axis():
    best = ThresholdPolicy(np.arccos(np.sqrt(0.224)))
    gap = optimality_gap(H, best, n_runs=500, horizon=200, rng=np.random.default_rng(7))
    assert gap.estimate == 0
    assert gap.high <= 1e-4
    family = optimality_gap(H, ThresholdPolicy([[1.07], [0.5]]), n_runs=500, horizon=200, rng=np.random.default_rng(7))
    assert family.estimate.shape == family.high.shape == (2,)
    assert family.estimate[1] > 1


def test_gap_on_a_changing_state():
    alarm = quickest_detection([[0.7, 0.3], [0.2, 0.8]], 0.05, 10, 1, 0.99)
    belief = [1.0, 0.0]
    late = ThresholdPolicy(np.arcsin(np.sqrt(0.95)), end=-1)
    gap = optimality_gap(alarm, late, belief, n_runs=4000, rng=np.random.default_rng(8))
    lower, upper = solve(alarm).value(belief)
    runs = simulate(alarm, late, 4000, belief, rng=np.random.default_rng(9)).interval(0.9999)
    assert gap.low < runs[1] - lower
    assert runs[0] - upper < gap.high
    assert gap.low > 0


def test_median_interval_is_that_of_the_binomial_law():
    """20 values: between the 6th and the 15th the median lies with probability 0.9586, the narrowest above 0.95."""
    assert median_interval(np.arange(20.0)) == (9.5, 5.0, 14.0)
    assert median_interval(np.arange(6.0)) == (2.5, 0.0, 5.0)
    with pytest.raises(ValueError, match="`values` must be more"):
        median_interval(np.arange(5.0))


def test_one_threshold_cannot_represent_two():
    """W stops at both ends: the best of all single thresholds costs half as much again as the optimum."""
    thetas = np.linspace(0.01, np.pi / 2 - 0.01, 200)[:, None]
    costs = evaluate(W, ThresholdPolicy(thetas), horizon=200).lower
    assert costs.min() > 1.2 * 6.380775


# --- refusals -------------------------------------------------------------------------------------------------------

REFUSALS = [
    (lambda: ThresholdPolicy([np.nan]), "`theta` must be finite"),
    (lambda: ThresholdPolicy(1.0, end=1), "`end` must be 0"),
    (lambda: ThresholdPolicy(1.0, end=False), "`end` must be 0"),
    (lambda: ThresholdPolicy(1.0, softness=-1), "`softness` must be a number from 0"),
    (lambda: ThresholdPolicy(1.0)(np.ones((4, 3)) / 3), "X states take X - 1 parameters"),
    (lambda: spsa(lambda t: np.nan, 1.0, rng=np.random.default_rng(0)), "one finite number. Got nan"),
    (lambda: spsa(lambda t: t, [1.0], rng=np.random.default_rng(0)), r"one finite number. Got \["),
    (lambda: spsa(lambda t: 0.0, 1.0, gain=0.0, rng=np.random.default_rng(0)), "`gain` must be positive"),
    (lambda: spsa(lambda t: 0.0, 1.0, perturbation=0, rng=np.random.default_rng(0)), "`perturbation` must be positive"),
    (lambda: spsa(lambda t: 0.0, [np.inf], rng=np.random.default_rng(0)), "`theta0` must be finite"),
    (lambda: spsa(lambda t: 0.0, 1.0, gain=1, common="no", rng=np.random.default_rng(0)), "`common` must be True or"),
    (lambda: spsa(lambda t: 0.0, 1.0, gain=1, pilots=0, rng=np.random.default_rng(0)), "`pilots` must be a whole"),
    (lambda: optimality_gap(H, ThresholdPolicy(1.0), horizon="nonsense", rng=np.random.default_rng(0)),
     "`horizon` must be a whole number at least 0"),
    (lambda: optimality_gap(H, ThresholdPolicy(1.0), level=1, rng=np.random.default_rng(0)), "`level` must be above 0"),
    (lambda: median_interval(range(20), level=0), "`level` must be above 0 and below 1. Got 0"),
    (
        lambda: optimality_gap(
            StoppingProblem(np.eye(2), [0, 0], [1, 0], 0.5), lambda b: b[:, 0] > 2, rng=np.random.default_rng(0)
        ).relative,
        "needs a positive optimal cost",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("act", "message"), REFUSALS)
def test_refusals_say_why(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_a_seed_is_no_generator():
    with pytest.raises(TypeError, match="`rng` must be a numpy Generator"):
        spsa(lambda t: 0.0, 1.0, rng=0)
    with pytest.raises(TypeError, match="`rng` must be a numpy Generator"):
        optimality_gap(H, ThresholdPolicy(1.0), rng=0)


def test_policies_load_nothing_heavy():
    assert "torch" not in loaded_by("from llma_tutorial.control import policies")


# --- the study ------------------------------------------------------------------------------------------------------


def test_a_saved_cell_can_be_repeated():
    study = load_study(ROOT / "book/_results/policy-gradient.py")
    saved = results.load("policy-gradient")["cells"]
    cell = next(c for c in saved if c["arguments"]["n_iterations"] == 10)
    again = study.compute(**cell["arguments"])
    assert again["diagnoses"] == cell["result"]["diagnoses"]
    assert again["gaps"] == pytest.approx(cell["result"]["gaps"], abs=1e-6)
