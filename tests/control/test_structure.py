"""Theorems of optimal stopping and the structure report: hypotheses, conclusions, and what fails without them."""

import itertools

import numpy as np
import pytest
from control.problems import ABSTAIN, SYMMETRIC, H, Q, W, stopping_problems, tilted
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llma_tutorial.beliefs import is_tp2, lattice, mlr_dominates, worst_minor
from llma_tutorial.control.bounds import BeliefTree, Chain, backup
from llma_tutorial.control.incentives import payer_problem
from llma_tutorial.control.stopping import (
    StoppingProblem,
    check_structure,
    quickest_detection,
    solve,
    solve_from,
    switching_curve,
)
from llma_tutorial.control.structure import in_likelihood_order

LINE = np.stack([1 - np.linspace(0, 1, 1001), np.linspace(0, 1, 1001)], axis=1)
# Theory sheet, section 5: the difference of costs rises, d does not, and stopping is best at both ends only.
ENDS = StoppingProblem(tilted(3, 3, 0.8), [15, 6, 17], [110, 100, 110], 0.9)


def pairs(n_states, count, seed):
    """Random pairs of beliefs, vertices and faces included, and the midpoints."""
    rng = np.random.default_rng(seed)
    ends = rng.dirichlet(np.full(n_states, 0.4), (2, count))
    return ends[0], ends[1], ends.mean(axis=0)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(problem=stopping_problems())
def test_value_is_concave(problem):
    """V at a midpoint is at least the mean of V at the ends, up to the width of the bracket; so is the upper side."""
    solution = solve(problem, tolerance=2e-3)
    one, two, middle = pairs(problem.n_states, 400, 1)
    mean = (solution.value(one)[0] + solution.value(two)[0]) / 2
    assert (solution.value(middle)[1] >= mean - 1e-9).all()


def test_value_is_not_concave_if_the_running_cost_is_not():
    """Counter-instance: expected payments are convex in the belief, and the payer's value function is not concave."""
    problem = payer_problem(SYMMETRIC, [[1, 0], [0, 1]], 0.5, price=0.5)
    low, middle, high = (solve_from(problem, [1 - p, p], tolerance=1e-8) for p in (0.68, 0.7, 0.72))
    assert middle.upper < (low.lower + high.lower) / 2


def coarse_chain(problem):
    """The chain of beliefs on a tree of 17 points or so."""
    tree = BeliefTree(problem.n_states)
    while len(tree.leaves()) < 16:
        tree.split(tree.leaves(), tree.longest_edges(tree.leaves()), np.full(len(tree.leaves()), 0.5))
    return Chain(problem, tree)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(problem=stopping_problems(), seed=st.integers(0, 99))
def test_backups_of_lower_bounds_stay_lower_bounds(problem, seed):
    """The Bellman operator with interpolation keeps any values below V below V, step after step."""
    solution, chain = solve(problem, tolerance=2e-3), coarse_chain(problem)
    upper = solution.value(chain.points)[1]
    bound = solution.value(chain.points)[0] - np.random.default_rng(seed).exponential(1, len(chain.points))
    for _ in range(20):
        later = (chain.probability * (chain.weights * bound[chain.corners]).sum(axis=2)).sum(axis=1)
        going = problem.running_cost(chain.points) + problem.discount * later
        bound = np.minimum(problem.stopping_cost(chain.points), going)
        assert (bound <= upper + 1e-9).all()


def test_interpolation_is_no_lower_bound_without_concavity():
    """Counter-instance: between 0.68 and 0.72 the interpolated value of a payer lies above the value at 0.7."""
    problem = payer_problem(SYMMETRIC, [[1, 0], [0, 1]], 0.9, price=1.0)
    low, middle, high = (solve_from(problem, [1 - p, p], tolerance=1e-6) for p in (0.68, 0.7, 0.72))
    assert (low.lower + high.lower) / 2 > middle.upper + 0.01


@settings(derandomize=True, deadline=None, max_examples=40)
@given(problem=stopping_problems(), seed=st.integers(0, 99))
def test_backups_of_plans_are_costs_of_plans(problem, seed):
    """Observe once, then stop as told: the backup is that plan's cost, by loops, and never below V."""
    rng = np.random.default_rng(seed)
    states, symbols = range(problem.n_states), range(problem.observation_matrix.shape[1])
    told = rng.integers(problem.stop_cost.shape[1], size=len(symbols))
    plan = backup(problem, problem.stop_cost.T[told][None])[0]
    for x in states:
        stop = sum(
            problem.transition_matrix[x, z] * problem.observation_matrix[z, y] * problem.stop_cost[z, told[y]]
            for z in states for y in symbols
        )  # fmt: skip
        assert plan[x] == pytest.approx(problem.continue_cost[x] + problem.discount * stop)
    beliefs = rng.dirichlet(np.ones(problem.n_states), 200)
    assert (beliefs @ plan >= solve(problem, tolerance=2e-3).value(beliefs)[0] - 1e-9).all()


@settings(derandomize=True, deadline=None, max_examples=40)
@given(problem=stopping_problems(n_stops=(1, 1)))
def test_one_linear_stop_cost_gives_a_convex_stopping_set(problem):
    solution = solve(problem, tolerance=2e-3)
    one, two, middle = pairs(problem.n_states, 400, 2)
    both = (solution.policy(one) == "stop") & (solution.policy(two) == "stop")
    assert (solution.policy(middle)[both] != "continue").all()


def test_two_stop_actions_break_convexity():
    """Counter-instance: W stops at both ends and continues between them."""
    assert solve(W).policy(LINE[[0, 500, 1000]]).tolist() == ["stop", "continue", "stop"]


@settings(derandomize=True, deadline=None, max_examples=40)
@given(problem=stopping_problems(n_states=(2, 3)))
def test_stopping_set_is_a_union_of_convex_sets(problem):
    """Where stopping with one given action is optimal, the set is convex; with two states: at most A intervals."""
    solution = solve(problem, tolerance=2e-3)
    one, two, middle = pairs(problem.n_states, 400, 3)
    same = problem.stop_action(one) == problem.stop_action(two)
    both = same & (solution.policy(one) == "stop") & (solution.policy(two) == "stop")
    assert (solution.policy(middle)[both] != "continue").all()
    if problem.n_states == 2:
        decided = [word for word in solution.policy(LINE) if word != "undecided"]
        starts = sum(now == "stop" and before != "stop" for before, now in zip(["", *decided], decided, strict=False))
        assert starts <= problem.stop_cost.shape[1]


def test_counts_of_intervals_on_the_reference_instances():
    """W has two stopping intervals, with "abstain" at cost 5 three: as many as stop actions, and one of them inside."""
    for problem, switches in ((W, 2), (ABSTAIN, 4), (Q, 1), (H, 1)):
        assert len(solve(problem).thresholds) == switches


@settings(derandomize=True, deadline=None, max_examples=60)
@given(problem=stopping_problems(n_states=(2, 2), n_stops=(1, 1), discounts=(0.5, 0.9)))
def test_two_states_have_at_most_one_threshold(problem):
    """One stop action and det P >= 0."""
    assume(np.linalg.det(problem.transition_matrix) >= 0)
    assert len(solve(problem, tolerance=1e-3).thresholds) <= 1
    structure = check_structure(problem)
    assert structure.sufficient
    assert structure.policy_monotone


def test_several_stop_actions_have_several_thresholds():
    """Counter-instance: W, whose det P is 1."""
    structure = check_structure(W)
    assert not structure.one_stop_action
    assert structure.transition_tp2
    assert not structure.policy_monotone
    assert structure.switches.max() == 2
    (p, q), (r, s) = structure.violation
    assert mlr_dominates(p, q)
    assert mlr_dominates(r, s)
    assert solve(W).policy([p, q]).tolist() == ["stop", "continue"]
    assert solve(W).policy([r, s]).tolist() == ["continue", "stop"]


@settings(derandomize=True, deadline=None, max_examples=15)
@given(
    tilts=st.tuples(st.integers(0, 4), st.integers(1, 6)),
    costs=st.lists(st.integers(-4, 4), min_size=3, max_size=3),
    stop=st.lists(st.integers(0, 5), min_size=3, max_size=3),
    falling=st.booleans(),
)
def test_tp2_and_monotone_cost_give_a_monotone_policy(tilts, costs, stop, falling):
    """P, B TP2 and d monotone: an MLR-monotone policy and at most one switch on each line to a vertex."""
    transition, matrix = tilted(3, 3, tilts[0] / 2), tilted(3, 3, tilts[1] / 4)
    difference = np.sort(costs)[:: -1 if falling else 1].astype(float)
    continue_cost = difference + stop - 0.8 * transition @ stop
    problem = StoppingProblem(matrix, continue_cost, stop, 0.8, transition)
    solution = solve(problem, tolerance=0.02)
    structure = check_structure(problem, solution)
    assert structure.cost_difference == pytest.approx(difference)
    assert structure.sufficient
    assert structure.policy_monotone
    assert structure.switches.max() <= 1
    assert switching_curve(solution, vertex=0)[1].max() <= 1
    beliefs = lattice(3, 12)
    gain = [bound - beliefs @ stop for bound in solution.value(beliefs)]
    above = mlr_dominates(beliefs[:, None], beliefs) if falling else mlr_dominates(beliefs[:, None], beliefs).T
    assert (gain[0][:, None] <= gain[1] + 1e-9)[above].all()


def test_monotone_difference_of_costs_is_not_enough():
    """Counter-instance of the theory sheet: at the vertices stop, continue, stop."""
    structure = check_structure(ENDS)
    assert (np.diff(ENDS.continue_cost - ENDS.stop_cost[:, 0]) > 0).all()
    assert structure.transition_tp2
    assert structure.observation_tp2
    assert not structure.cost_monotone
    assert "[4.0, -4.0, 6.0] neither rises nor falls" in structure.failures["cost_monotone"]
    assert solve(ENDS, tolerance=0.1).policy(np.eye(3)).tolist() == ["stop", "continue", "stop"]
    assert not structure.policy_monotone


def test_observation_matrix_that_is_not_tp2():
    """Counter-instance: d falls and P = I, yet a larger belief costs more; the policy stays monotone all the same."""
    problem = StoppingProblem([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1]], [3, -5, -5], [0, 0, 0], 0.9)
    solution = solve(problem, tolerance=0.05)
    structure = check_structure(problem, solution)
    assert set(structure.failures) == {"observation_tp2"}
    larger, smaller = [5 / 12, 5 / 12, 1 / 6], [1 / 2, 1 / 2, 0]
    assert mlr_dominates(larger, smaller)
    assert solution.value(larger)[0] > solution.value(smaller)[1] + 1
    assert structure.policy_monotone


@settings(derandomize=True, deadline=None, max_examples=15)
@given(
    cells=st.lists(st.integers(0, 5), min_size=9, max_size=9),
    costs=st.tuples(st.integers(-5, 5), st.integers(-5, 5), st.integers(-5, 5)),
)
def test_fixed_state_needs_one_change_of_sign_only(cells, costs):
    """P = I, any B: if d changes sign once, the plan that gains at a belief gains at every larger one."""
    matrix = np.reshape(cells, (3, 3)) + 0.2
    costs = np.array(costs, dtype=float)
    signs = np.sign(costs[costs != 0])
    assume((np.diff(signs) != 0).sum() == 1)
    assume(costs[[0, -1]].all())  # where d is 0 in a corner, both actions tie there for ever
    problem = StoppingProblem(matrix / matrix.sum(axis=1, keepdims=True), costs, [0, 0, 0], 0.8)
    structure = check_structure(problem, solve(problem, tolerance=0.02))
    assert structure.policy_monotone
    assert structure.switches.max() <= 1


def test_transition_that_is_not_tp2():
    """Counter-instance: d falls and B is TP2, but state 0 jumps to 2 and state 2 to 1: the policy is not monotone."""
    problem = StoppingProblem(
        [[0.6, 0.3, 0.1], [0.3, 0.4, 0.3], [0.1, 0.3, 0.6]], [3, 2, -5], [0, 0, 0], 0.9,
        [[0, 0, 1], [0.5, 0.4, 0.1], [0, 1, 0]],
    )  # fmt: skip
    structure = check_structure(problem, solve(problem, tolerance=0.01))
    assert set(structure.failures) == {"transition_tp2"}
    assert "in rows" in structure.failures["transition_tp2"]
    assert not structure.policy_monotone


def test_report_names_what_fails():
    text = str(check_structure(ENDS))
    assert "cost difference monotone   FAILS: d = [4.0, -4.0, 6.0] neither rises nor falls" in text
    assert "theorem promises monotone  no" in text
    assert str(check_structure(Q)).count("holds") == 4


def test_switching_curve_of_a_changing_state_with_three_phases():
    """A change that comes in two phases: one switch on every line, where stop and continue cost the same."""
    problem = StoppingProblem(
        tilted(3, 3, 0.8), [0, 1, 1], [5, 5, 0], 0.9, [[0.9, 0.08, 0.02], [0, 0.9, 0.1], [0, 0, 1]]
    )
    solution = solve(problem, tolerance=0.005)
    curve, switches = switching_curve(solution, vertex=2, n_lines=11)
    assert curve.shape == (11, 3)
    assert (switches <= 1).all()
    on = curve[switches == 1]
    assert len(on)
    assert on.sum(axis=1) == pytest.approx(1)
    lower, upper = solution.value(on)
    assert (lower <= problem.stopping_cost(on) + 1e-9).all()
    assert problem.stopping_cost(on) == pytest.approx(upper, abs=0.01)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(cells=st.lists(st.integers(0, 4), min_size=9, max_size=9))
def test_worst_minor_is_that_of_a_plain_loop(cells):
    matrix = np.reshape(cells, (3, 3)) / 4
    pairs = list(itertools.combinations(range(3), 2))
    minors = {(r, c): np.linalg.det(matrix[np.ix_(r, c)]) for r in pairs for c in pairs}
    worst = worst_minor(matrix)
    assert (worst is None) == is_tp2(matrix) == (min(minors.values()) >= -1e-12)
    if worst is not None:
        minor, rows, columns = worst
        assert minor == pytest.approx(min(minors.values()))
        assert minors[rows, columns] == pytest.approx(minor)


def test_symbols_are_taken_in_their_best_order():
    shuffled = tilted(3, 4, 0.7)[:, [2, 0, 3, 1]]
    assert not is_tp2(shuffled)
    assert is_tp2(in_likelihood_order(shuffled))
    assert check_structure(quickest_detection([[0.3, 0.7], [0.8, 0.2]], 0.05, 10, 1, 0.9)).observation_tp2


def test_lattice_and_order():
    assert len(lattice(3, 4)) == 15
    assert lattice(1, 7).tolist() == [[1.0]]
    assert lattice(3, 4).sum(axis=1) == pytest.approx(1)
    beliefs = lattice(3, 4)
    order = mlr_dominates(beliefs[:, None], beliefs)
    assert all(order[i, j] == mlr_dominates(p, q) for i, p in enumerate(beliefs) for j, q in enumerate(beliefs))


def test_solution_of_another_problem_is_refused():
    with pytest.raises(ValueError, match="`solution` must be that of `problem`"):
        check_structure(Q, solve(W))


def test_vertex_is_checked():
    with pytest.raises(ValueError, match="`vertex` must be a whole number from 0 to 1"):
        switching_curve(solve(W), vertex=2)
