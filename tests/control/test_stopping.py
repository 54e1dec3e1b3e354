"""The certified solver, exact evaluation and simulation: reference values, brute force, refusals."""

import numpy as np
import pytest
from control.problems import ABSTAIN, SYMMETRIC, H, Q, W, stopping_problems
from control.reference_stopping import optimal_bracket, policy_cost
from hypothesis import given, settings
from strategies import distributions

from llma_tutorial.beliefs import lattice
from llma_tutorial.control import bounds
from llma_tutorial.control.bounds import BeliefTree
from llma_tutorial.control.incentives import payer_problem
from llma_tutorial.control.stopping import (
    StoppingProblem,
    bellman_operator,
    evaluate,
    greedy,
    quickest_detection,
    quickest_herding,
    simulate,
    solve,
    solve_from,
    wald,
)

HALF = [0.5, 0.5]


# Reference values: computed by two independent programs for the theory sheet of the book.
@pytest.mark.parametrize(
    ("problem", "thresholds", "belief", "value"),
    [
        (W, [0.25102, 0.74898], HALF, 6.380775),
        (ABSTAIN, [0.20571, 0.31755, 0.68245, 0.79429], [0.5, 0.5], 5.0),
        (Q, [0.69433], [1, 0], 4.81483),
        (H, [0.2240], HALF, 1.44390),
    ],
)
def test_reference_values(problem, thresholds, belief, value):
    solution = solve(problem)
    assert solution.thresholds == pytest.approx(thresholds, abs=1e-4)
    assert (np.diff(solution.threshold_brackets) < 1e-4).all()
    lower, upper = solution.value(belief)
    assert lower - 1e-5 <= value <= upper + 1e-5
    assert solution.width <= 1e-4
    everywhere = np.linspace(0, 1, 2001)
    lower, upper = solution.value(np.stack([1 - everywhere, everywhere], axis=1))
    assert (lower <= upper + 1e-9).all()
    assert (upper - lower <= solution.width + 1e-12).all()


def test_a_tighter_tolerance_stays_inside():
    for problem in (W, Q, H):
        wide, tight = solve(problem, tolerance=1e-2), solve(problem, tolerance=1e-5)
        beliefs = np.random.default_rng(1).dirichlet([0.5, 0.5], 500)
        assert (wide.value(beliefs)[0] <= tight.value(beliefs)[1] + 1e-9).all()
        assert (tight.value(beliefs)[0] <= wide.value(beliefs)[1] + 1e-9).all()


def brackets_meet(one, other):
    """Whether two intervals that hold the same number have a point in common."""
    return max(one[0], other[0]) <= min(one[1], other[1]) + 1e-9


@settings(derandomize=True, deadline=None, max_examples=50)
@given(problem=stopping_problems(), belief=distributions(3))
def test_brute_force_meets_the_bracket(problem, belief):
    belief = belief[: problem.n_states] + 0.25
    belief = belief / belief.sum()
    solution = solve(problem, tolerance=1e-2)
    assert brackets_meet(solution.value(belief), optimal_bracket(problem, belief.tolist(), 6))


@settings(derandomize=True, deadline=None, max_examples=40)
@given(problem=stopping_problems(discounts=(0.02,)), belief=distributions(3))
def test_short_horizons_agree_to_the_digit(problem, belief):
    """At a discount of 0.02, six steps leave less than 1e-9 open: brute force is the value itself."""
    belief = belief[: problem.n_states] + 0.25
    belief = belief / belief.sum()
    lower, upper = solve(problem, tolerance=1e-4).value(belief)
    exact = optimal_bracket(problem, belief.tolist(), 6)
    assert exact[1] - exact[0] < 1e-8
    assert lower - 1e-8 <= exact[0] <= upper + 1e-8
    assert upper - lower <= 1e-4


def test_brute_force_sees_a_wrong_lower_side(monkeypatch):
    """Planted fault: a lower side that is a hundredth too high leaves the brute-force value outside."""
    right = bounds.lower_side

    def too_high(chain, stopping):
        value, stopping = right(chain, stopping)
        return value + 0.01, stopping

    monkeypatch.setattr(bounds, "lower_side", too_high)
    problem = StoppingProblem(SYMMETRIC, [1, 1], [[0, 4], [4, 0]], 0.2)
    assert not brackets_meet(solve(problem).value(HALF), optimal_bracket(problem, HALF, 8))


@settings(derandomize=True, deadline=None, max_examples=40)
@given(problem=stopping_problems(moving=False, discounts=(0.5, 0.8)))
def test_three_routes_agree(problem):
    """The bracket, backward induction from one belief, and the exact cost of the policy that was found."""
    solution = solve(problem, tolerance=1e-3)
    belief = np.full(problem.n_states, 1 / problem.n_states)
    local = solve_from(problem, tolerance=0.1)
    assert brackets_meet(solution.value(belief), (local.lower, local.upper))
    cost = evaluate(problem, solution.policy, tolerance=1e-4)
    assert cost.lower <= solution.value(belief)[1] + 1e-3 * 1 / (1 - problem.discount)
    assert cost.upper >= solution.value(belief)[0] - 1e-9


def test_the_policy_found_costs_what_the_bracket_says():
    for problem in (W, ABSTAIN):
        cost = evaluate(problem, solve(problem).policy)
        lower, upper = solve(problem).value(HALF)
        assert lower <= cost.upper
        assert cost.lower <= upper + 1e-6
    local = solve_from(W)
    assert local.lower <= 6.380775 <= local.upper + 1e-6
    assert evaluate(W, local.policy).lower == pytest.approx(6.380775, abs=1e-6)


def test_hard_threshold_costs_are_a_step_function():
    """The reference instance H: three thresholds, one cost, because no belief reached lies between them."""
    thresholds = np.array([0.22, 0.224, 0.2241])
    costs = evaluate(H, lambda beliefs: beliefs[:, 1] < thresholds[:, None])
    assert np.ptp(costs.lower) < 1e-12
    assert costs.lower[0] == pytest.approx(1.44390250665, abs=1e-10)


def test_three_states_with_several_final_actions():
    guess = wald(0.2 + 0.4 * np.eye(3), 10 * (1 - np.eye(3)), 0.99)
    solution = solve(guess, tolerance=0.02)
    middle = np.full(3, 1 / 3)
    local = solve_from(guess, tolerance=50, max_beliefs=400_000)
    assert brackets_meet(solution.value(middle), (local.lower, local.upper))
    assert evaluate(guess, solution.policy).lower == pytest.approx(np.mean(solution.value(middle)), abs=0.02)
    permuted = [solution.value(np.roll([0.5, 0.3, 0.2], shift)) for shift in range(3)]
    assert all(brackets_meet(permuted[0], other) for other in permuted)
    assert solution.policy(np.eye(3)).tolist() == ["stop"] * 3
    assert guess.stop_action(np.eye(3)).tolist() == [0, 1, 2]


def test_three_states_that_change_slowly_at_a_high_discount():
    """Beliefs stay near one vertex for long, so small errors there add up: the refinement has to follow them."""
    problem = StoppingProblem(
        [[0.6, 0.3, 0.1], [0.3, 0.4, 0.3], [0.1, 0.3, 0.6]], [0, 0.3, 1], [10, 5, 0], 0.999,
        [[0.98, 0.02, 0], [0, 0.97, 0.03], [0, 0, 1]],
    )  # fmt: skip
    solution = solve(problem, tolerance=0.02)
    assert len(solution.points) < 2_000
    runs = simulate(problem, solution.policy, 4_000, [1, 0, 0], rng=np.random.default_rng(9))
    low, high = runs.interval(0.9999)
    assert low < solution.value([1, 0, 0])[1] < high


def test_four_states_close_or_say_how_far_they_got(monkeypatch):
    guess = wald(0.1 + 0.6 * np.eye(4), 10 * (1 - np.eye(4)), 0.9)
    solution = solve(guess, tolerance=0.5)
    lower, upper = solution.value(np.full(4, 0.25))
    assert upper - lower <= 0.5
    monkeypatch.setattr(bounds, "MAX_POINTS", 500)
    with pytest.raises(ValueError, match=r"for 4 states was still [\d.]+ wide with \d+ beliefs after \d+ rounds"):
        solve(guess, tolerance=1e-3)


def test_policy_is_undecided_where_the_bracket_straddles():
    coarse, fine = solve(W, tolerance=1.0), solve(W, tolerance=1e-6)
    line = np.linspace(0, 1, 4001)
    beliefs = np.stack([1 - line, line], axis=1)
    words, truth = coarse.policy(beliefs), fine.policy(beliefs)
    assert (words == "undecided").any()
    decided = (words != "undecided") & (truth != "undecided")
    assert (words[decided] == truth[decided]).all()
    assert coarse.policy([1, 0]) == "stop"
    low, high = coarse.threshold_brackets.T
    assert (low <= fine.thresholds).all()
    assert (fine.thresholds <= high).all()


def test_quickest_herding_adds_up():
    """continue(x) = sum_y B[x, y] c[x, y] + d(x) + k and stop = c / (1 - discount), entry by entry."""
    matrix, cost, delay = [[0.7, 0.3], [0.1, 0.9]], [[0, 2], [3, 0]], [1, 0.5]
    problem = quickest_herding(matrix, cost, delay, 0.9, privacy_cost=0.25)
    for x in range(2):
        expected = sum(matrix[x][y] * cost[x][y] for y in range(2)) + delay[x] + 0.25
        assert problem.continue_cost[x] == pytest.approx(expected)
    assert problem.stop_cost == pytest.approx(np.array(cost) * 10)


def test_quickest_detection_and_wald_are_the_reference_instances():
    assert quickest_detection([[0.7, 0.3], [0.2, 0.8]], 0.05, 10, 1, 0.999).stop_cost.tolist() == [[10], [0]]
    assert wald(SYMMETRIC, [[0, 20], [20, 0]], 0.99, observation_cost=2).continue_cost.tolist() == [2, 2]
    assert Q.transition_matrix.tolist() == [[0.95, 0.05], [0, 1]]
    assert not Q.fixed_state
    assert W.fixed_state


def soft(belief):
    """A policy with probabilities, for one belief or many."""
    return 0.1 + 0.8 * np.asarray(belief)[..., 0]


@settings(derandomize=True, deadline=None, max_examples=40)
@given(problem=stopping_problems(), belief=distributions(3, positive=True))
def test_evaluation_equals_the_tree(problem, belief):
    belief = belief[: problem.n_states] / belief[: problem.n_states].sum()
    for policy in (soft, lambda b: np.asarray(b)[..., 0] > 0.55):
        exact = evaluate(problem, policy, belief, horizon=5)
        tree = policy_cost(problem, belief.tolist(), policy, 5)
        assert exact.lower == pytest.approx(tree, abs=1e-9)
        assert exact.upper - exact.lower < 1e-9
        assert exact.stop_times.sum() == pytest.approx(1)
        assert exact.outcome.sum() == pytest.approx(1)


def test_a_family_is_its_members():
    thresholds = np.array([0.1, 0.2, 0.3])
    family = evaluate(H, lambda b: b[:, 1] < thresholds[:, None], horizon=30)
    runs = simulate(H, lambda b: b[:, 1] < thresholds[:, None], 200, horizon=30, rng=np.random.default_rng(3))
    for i, threshold in enumerate(thresholds):
        one = evaluate(H, lambda b, t=threshold: b[:, 1] < t, horizon=30)
        assert one.lower == pytest.approx(family.lower[i], abs=1e-14)
        assert one.mean_stop_time == pytest.approx(family.mean_stop_time[i])
        alone = simulate(H, lambda b, t=threshold: b[:, 1] < t, 200, horizon=30, rng=np.random.default_rng(3))
        assert (alone.costs == runs.costs[i]).all()
        assert (alone.stop_times == runs.stop_times[i]).all()


@pytest.mark.parametrize("problem", [W, ABSTAIN, H, Q], ids=["W", "abstain", "H", "Q"])
def test_simulation_covers_the_exact_cost(problem):
    policies = lambda b: np.stack([b[:, 1] < 0.22, b[:, 1] > 0.7, np.abs(b[:, 1] - 0.5) > 0.3, 0.05 + 0.5 * b[:, 1]])  # noqa: E731
    exact = evaluate(problem, policies, [0.6, 0.4], horizon=12)
    runs = simulate(problem, policies, 20_000, [0.6, 0.4], horizon=12, rng=np.random.default_rng(5))
    low, high = runs.interval(0.9999)
    assert ((low <= exact.upper) & (exact.lower <= high)).all()
    assert runs.stop_times.mean(axis=1) == pytest.approx(exact.mean_stop_time, abs=0.15)
    assert runs.running_costs.mean(axis=1) == pytest.approx(exact.running_cost, abs=0.15)
    shares = np.array(
        [
            [np.mean((s == x) & (a == k)) for x in range(2) for k in range(problem.stop_cost.shape[1])]
            for s, a in zip(runs.states, runs.actions, strict=True)
        ]
    )
    assert shares == pytest.approx(exact.outcome.reshape(4, -1), abs=0.02)


def test_simulation_of_the_optimal_policy_on_a_changing_state():
    runs = simulate(Q, solve(Q).policy, 20_000, [1, 0], rng=np.random.default_rng(2))
    low, high = runs.interval(0.999)
    assert low < 4.81483 < high


def test_tree_writes_beliefs_as_mixtures_of_close_corners():
    rng = np.random.default_rng(0)
    for n_states in (2, 3, 4):
        tree = BeliefTree(n_states)
        for _ in range(6):
            leaves = tree.leaves()
            some = leaves[rng.random(len(leaves)) < 0.8] if len(leaves) > 1 else leaves
            tree.split(some, tree.longest_edges(some), rng.choice([0.2, 0.5, 0.7], len(some)))
        assert len(np.unique(tree.points, axis=0)) == len(tree.points)
        beliefs = rng.dirichlet(np.ones(n_states), 200)
        cells, weights = tree.locate(beliefs)
        corners = tree.corners[cells]
        assert (weights >= 0).all()
        assert np.einsum("nk,nkx->nx", weights, tree.points[corners]) == pytest.approx(beliefs, abs=1e-12)
        assert {tuple(row) for row in corners} <= {tuple(row) for row in tree.corners[tree.leaves()]}


REFUSALS = [
    (lambda: StoppingProblem(SYMMETRIC, [1, 1], [0, 1], 1.0), "`discount` must be below 1"),
    (lambda: StoppingProblem([[0.5, 0.5]], [1], [1], 0.5), "at least 2 states"),
    (lambda: StoppingProblem(SYMMETRIC, [1, 1, 1], [0, 1], 0.5), r"`continue_cost` must have shape \(2\)"),
    (lambda: StoppingProblem(SYMMETRIC, [1, 1], [0, 1, 2], 0.5), "`stop_cost` must have shape"),
    (lambda: quickest_herding(SYMMETRIC, np.eye(2), [0, 0], 1.0), "`discount` must be below 1"),
    (lambda: quickest_herding(SYMMETRIC, np.ones((2, 3)), [0, 0], 0.9), "`misclassification_cost` must have shape"),
    (lambda: solve(W, tolerance=0.0), "`tolerance` must be positive"),
    (lambda: solve(payer_problem(SYMMETRIC, np.eye(2), 0.9)), r"linear in the belief.*PayerProblem.*solve_from"),
    (lambda: solve(wald(0.2 + 0.4 * np.eye(3), 1 - np.eye(3), 0.5), tolerance=0.1).thresholds, "with 2 states. Got 3"),
    (lambda: solve_from(Q), "fixed state"),
    (lambda: solve_from(W, tolerance=0.0), "`tolerance` must be positive"),
    (lambda: solve_from(W, max_beliefs=100), r"Got 100 for \d+ steps"),
    (lambda: evaluate(Q, lambda b: b[:, 1] > 0.7, max_beliefs=50), r"bracket was [\d.]+ wide after \d+ steps"),
    (lambda: evaluate(W, lambda b: np.full(len(b), 1.5)), "probabilities of stopping. Got 1.5"),
    (lambda: evaluate(W, lambda b: np.zeros(len(b) + 1)), "must return shape"),
    (lambda: evaluate(W, lambda b: b[:, 1] > 0.5, [0.5, 0.6]), "`belief` must sum to 1"),
    (lambda: simulate(W, lambda b: b[:, 1] > 0.5, 1, rng=np.random.default_rng(0)), "`n_runs` must be"),
    (lambda: evaluate(W, lambda b: b[:, 1] > 0.5, horizon="nonsense"), "`horizon` must be a whole number at least 0"),
    (lambda: evaluate(W, lambda b: b[:, 1] > 0.5, horizon=-1), "`horizon` must be a whole number at least 0"),
    (lambda: evaluate(W, lambda b: b[:, 1] > 0.5, tolerance=np.nan), "`tolerance` must be a number from 0"),
    (lambda: evaluate(W, lambda b: b[:, 1] > 0.5, max_beliefs=0), "`max_beliefs` must be a whole number at least 1"),
    (lambda: evaluate(W, lambda b: np.full(len(b), "halt")), 'words "stop", "continue" or "undecided". Got \'halt\''),
    (lambda: evaluate(W, lambda b: np.zeros((len(b), len(b)))), "stay a family of 1 at all beliefs. Got 2"),
    (lambda: solve_from(W, max_beliefs="all"), "`max_beliefs` must be a whole number at least 1"),
    (
        lambda: simulate(W, lambda b: np.zeros((len(b), len(b))), 3, rng=np.random.default_rng(0)),
        "stay a family of 1 at all beliefs. Got 3",
    ),
    (
        lambda: simulate(W, lambda b: b[:, 1] > 0.5, 9, rng=np.random.default_rng(0)).interval(1),
        "`level` must be above 0 and below 1. Got 1",
    ),
]


@pytest.mark.parametrize(("act", "message"), REFUSALS)
def test_refusals_say_why(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_simulation_wants_a_generator():
    with pytest.raises(TypeError, match="`rng` must be a numpy Generator"):
        simulate(W, lambda b: b[:, 1] > 0.5, 10, rng=1)


def test_no_input_is_changed():
    costs = np.array([1.0, 1.0])
    problem = StoppingProblem(SYMMETRIC, costs, [[0, 20], [20, 0]], 0.99)
    costs[0] = 5
    assert problem.continue_cost.tolist() == [1, 1]
    with pytest.raises(ValueError, match="read-only"):
        problem.continue_cost[0] = 2


@pytest.mark.parametrize(
    "problem",
    [
        wald([[0.7, 0.3], [0.3, 0.7]], [[0, 20], [20, 0]], 0.9),
        quickest_detection([[0.7, 0.3], [0.2, 0.8]], 0.05, 10, 1, 0.95),
    ],
)
def test_value_iteration_on_a_line_meets_the_bracket(problem):
    """The few lines at the head of `stopping`: interpolation of a concave function lies below it, by little."""
    grid, value = lattice(2, 400), np.zeros(401)

    def interpolated(later):
        return np.interp(later[:, 1], grid[::-1, 1], value[::-1])

    for _ in range(300):
        value = bellman_operator(problem, grid, interpolated)
    solution = solve(problem, tolerance=1e-3)
    lower, upper = solution.value(grid)
    assert (value <= upper + 1e-9).all()
    assert np.abs(value - lower).max() < 0.02
    assert ((solution.policy(grid) == "stop") == greedy(problem, interpolated)(grid)).mean() > 0.98
