"""Cascade regions on dense grids in exact fractions, boundaries included; their corners; how long herds last."""

from fractions import Fraction
from itertools import combinations, product
from math import inf

import numpy as np
import pytest
from many_agents.reference_social import corners_by_pairs, crossings, herd_in_fractions
from reference import best_by_signal, cascade_action, moved

from llma_tutorial.many_agents.social import SocialLearning, cascade_region, herd_length, repeated_observations

RULES = ("signal", "first", "random")
THREE = np.full((3, 3), 0.2) + 0.4 * np.eye(3)


def symmetric(tie_break="signal", **keywords):
    """Three states, .6 on and .2 off the diagonal."""
    return SocialLearning(THREE, np.eye(3), np.full(3, 1 / 3), tie_break=tie_break, **keywords)


def random_models(n_states, count, seed):
    """Models in fractions: B in quarters to eighths with zeros among them, whole payoffs, so that ties are many."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        n_signals, n_actions = (int(size) for size in rng.integers(2, 4, 2))
        weights = rng.integers(0, 4, (n_states, n_signals))
        weights[weights.sum(axis=1) == 0] = 1
        matrix = [[Fraction(int(w), int(row.sum())) for w in row] for row in weights]
        utility = [[Fraction(int(u)) for u in row] for row in rng.integers(-2, 3, (n_states, n_actions))]
        rules = RULES if n_signals == n_actions else RULES[1:]
        yield matrix, utility, rules


def society_of(matrix, utility, tie_break):
    n_states = len(matrix)
    return SocialLearning(
        np.array(matrix, dtype=float), np.array(utility, dtype=float), np.full(n_states, 1 / n_states),
        tie_break=tie_break,
    )  # fmt: skip


def half_spaces_of(matrix, utility, action):
    return [
        [row[y] * (gains[b] - gains[action]) for row, gains in zip(matrix, utility, strict=True)]
        for y, b in product(range(len(matrix[0])), range(len(utility[0])))
        if b != action
    ]


def grid(n_states, steps):
    """All beliefs whose entries are whole multiples of 1/steps."""
    for inner in product(range(steps + 1), repeat=n_states - 1):
        if sum(inner) <= steps:
            yield [Fraction(steps - sum(inner), steps), *[Fraction(part, steps) for part in inner]]


@pytest.mark.parametrize(("n_states", "steps", "count"), [(2, 60, 60), (3, 14, 40), (4, 6, 15)])
def test_regions_equal_brute_force_on_dense_grids(n_states, steps, count):
    """Every tie rule, zeros in B, and beliefs on the boundaries: where grid lines meet them, exactly."""
    on_boundary = 0
    for matrix, utility, rules in random_models(n_states, count, seed=n_states):
        beliefs = list(grid(n_states, steps))
        spaces = [space for action in range(len(utility[0])) for space in half_spaces_of(matrix, utility, action)]
        anchors = [[Fraction(int(i == j)) for j in range(n_states)] for i in range(n_states)]
        anchors.append([Fraction(1, n_states)] * n_states)
        edges = [belief for one, two in combinations(anchors, 2) for belief in crossings(one, two, spaces)]
        on_boundary += len(edges)
        floats = np.array([*beliefs, *edges], dtype=float)
        for rule in rules:
            herds = np.array([herd_in_fractions(belief, matrix, utility, rule) for belief in [*beliefs, *edges]])
            society = society_of(matrix, utility, rule)
            for action in range(len(utility[0])):
                inside = cascade_region(society, action).contains(floats / floats.sum(axis=1, keepdims=True))
                assert (inside == (herds == action)).all()
    assert on_boundary > 2 * count


def test_the_grid_sees_a_boundary_that_moves():
    """Planted fault: another rule for ties changes nothing but boundaries, and the grid notices."""
    belief = [[0.6, 0.2, 0.2]]
    assert [cascade_region(symmetric(tie_break=rule), 0).contains(belief)[0] for rule in RULES] == [False, True, False]


def test_corners_equal_those_of_all_pairs_of_edges():
    """Where the action wins somewhere inside: the same points, in order around a convex polygon."""
    compared = 0
    for matrix, utility, rules in random_models(3, 60, seed=9):
        for action in range(len(utility[0])):
            expected = corners_by_pairs(half_spaces_of(matrix, utility, action))
            if not expected:
                assert len(cascade_region(society_of(matrix, utility, rules[-1]), action).vertices) == 0
                continue
            middle = [sum(part) / len(expected) for part in zip(*expected, strict=True)]
            for rule in rules:
                found = cascade_region(society_of(matrix, utility, rule), action).vertices
                if herd_in_fractions(middle, matrix, utility, rule) != action:
                    continue
                distinct = np.unique(found.round(9), axis=0)
                assert len(distinct) == len(found)
                assert np.allclose(distinct, np.unique(np.array(sorted(expected), dtype=float).round(9), axis=0))
                x, y = (np.roll(found, -1, axis=0) - found)[:, 1:].T  # sides of the polygon
                turns = x * np.roll(y, -1) - y * np.roll(x, -1)
                assert (turns >= -1e-12).all() or (turns <= 1e-12).all()
                compared += 1
    assert compared > 60


def test_corners_hold_the_closure_of_the_region():
    """Ties all over a face, impossible signals: every member lies in the hull, the hull's inside is all members."""
    for n_states, count in ((2, 60), (3, 40)):
        angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        fan = np.stack([np.cos(angles), np.sin(angles)], axis=1)[:, : n_states - 1]
        for matrix, utility, rules in random_models(n_states, count, seed=20 + n_states):
            beliefs = np.array(list(grid(n_states, 12)), dtype=float)
            for rule, action in product(rules, range(len(utility[0]))):
                region = cascade_region(society_of(matrix, utility, rule), action)
                members = beliefs[region.contains(beliefs)]
                corners = region.vertices
                assert len(corners) or not len(members)
                if len(corners):
                    assert region.contains(corners.mean(axis=0))
                    # a member is a mixture of corners: no direction tells it from all of them
                    for direction in fan:
                        assert (members[:, 1:] @ direction <= (corners[:, 1:] @ direction).max() + 1e-9).all()


def test_corners_of_the_symmetric_triangle():
    """Derived in the chapter: the region of a is pi(a) >= (q/r) max pi(b), with its inner corner at (q, r, r)."""
    for q in (0.4, 0.6, 0.8):
        r = (1 - q) / 2
        matrix = np.full((3, 3), r) + (q - r) * np.eye(3)
        for rule in RULES:
            society = SocialLearning(matrix, np.eye(3), np.full(3, 1 / 3), tie_break=rule)
            found = cascade_region(society, 0).vertices
            edge = q / (q + r)
            assert found == pytest.approx(np.array([[1, 0, 0], [edge, 1 - edge, 0], [q, r, r], [edge, 0, 1 - edge]]))


def test_regions_of_the_symmetric_society_in_any_dimension():
    """pi(a) >= (q/r) max pi(b); unequal errors break it: with a confusing pair the region is another polytope."""
    rng = np.random.default_rng(4)
    for n_states in (2, 3, 4, 6):
        q = rng.uniform(1.2 / n_states, 0.95)
        r = (1 - q) / (n_states - 1)
        society = SocialLearning(
            np.full((n_states, n_states), r) + (q - r) * np.eye(n_states), np.eye(n_states),
            np.full(n_states, 1 / n_states), tie_break="random",
        )  # fmt: skip
        weight = rng.uniform(0, 1, (400, 1))
        beliefs = weight * np.eye(n_states)[0] + (1 - weight) * rng.dirichlet(np.ones(n_states), 400)
        expected = beliefs[:, 0] > q / r * beliefs[:, 1:].max(axis=1)
        assert 10 < expected.sum() < 390
        assert (cascade_region(society, 0).contains(beliefs) == expected).all()
        assert beliefs[expected, 0].min() >= q
    uneven = SocialLearning([[0.6, 0.4, 0], [0.2, 0.6, 0.2], [0.1, 0.3, 0.6]], np.eye(3), np.full(3, 1 / 3))
    assert cascade_region(uneven, 0).vertices[:, 0].min() != pytest.approx(0.6)


def test_more_private_signals_shrink_the_triangle_and_never_empty_it():
    areas = []
    for n in (1, 2, 3, 4):
        matrix = repeated_observations(THREE, n)
        society = SocialLearning(matrix, np.eye(3), np.full(3, 1 / 3), tie_break="first")
        x, y = cascade_region(society, 0).vertices[:, 1:].T
        areas.append(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)
        assert cascade_region(society, 0).vertices[0] == pytest.approx([1, 0, 0])
    assert (np.diff(areas) < 0).all()
    assert areas[-1] > 0
    sure = SocialLearning([[0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0, 0.5]], np.eye(3), np.full(3, 1 / 3))
    assert cascade_region(sure, 0).vertices.tolist() == [[1, 0, 0]]  # a zero in each row leaves certainty alone


def test_regions_that_are_nothing_a_segment_or_everything():
    worse = SocialLearning(THREE, [[1, 0], [1, 0], [1, 0]], np.full(3, 1 / 3), tie_break="first")
    assert cascade_region(worse, 1).vertices.shape == (0, 3)
    assert cascade_region(worse, 0).vertices == pytest.approx(np.eye(3))
    equal = [[1, 1], [1, 1], [1, 0]]  # tied on the edge of states 0 and 1, where only the first action speaks
    assert cascade_region(SocialLearning(THREE, equal, np.full(3, 1 / 3), tie_break="first"), 1).vertices.size == 0
    edge = SocialLearning(THREE, np.array(equal)[:, ::-1], np.full(3, 1 / 3), tie_break="first")
    assert cascade_region(edge, 0).vertices == pytest.approx(np.eye(3)[[1, 0]])
    assert cascade_region(edge, 0).contains([0.5, 0.5, 0])
    one_sided = SocialLearning([[1, 0], [0, 1]], np.zeros((2, 2)), [0.5, 0.5], tie_break="signal")
    assert cascade_region(one_sided, 1).interval == (1, 1)  # tied everywhere, but signal 0 cannot come in state 1
    four = SocialLearning(np.full((4, 2), 0.5), np.eye(4, 2), np.full(4, 0.25))
    assert cascade_region(four, 0).interval is None
    with pytest.raises(ValueError, match=r"`vertices` must be asked of two or three states. Got 4: use `half_spaces`"):
        cascade_region(four, 0).vertices  # noqa: B018
    with pytest.raises(ValueError, match=r"`belief` must have shape \(any, 3\)"):
        cascade_region(edge, 0).contains([[0.5, 0.5]])


def test_length_of_a_herd_equals_a_plain_loop():
    rng = np.random.default_rng(3)
    for _ in range(40):
        transition = rng.dirichlet(np.ones(3), 3)
        society = symmetric(tie_break="random", transition_matrix=transition)
        belief = rng.dirichlet(np.full(3, 0.2))
        path, herds = belief.tolist(), []
        for _ in range(300):
            path = moved(path, transition.tolist())
            laws = best_by_signal(path, THREE.tolist(), np.eye(3).tolist(), "random")
            herds.append(cascade_action(laws))
        first = herds[0]
        expected = next((k for k, herd in enumerate(herds) if herd != first or herd < 0), inf)
        assert herd_length(society, belief) == expected
    fixed = symmetric()
    assert (herd_length(fixed, [0.9, 0.05, 0.05]), herd_length(fixed, [0.4, 0.3, 0.3])) == (inf, 0)
    slow = symmetric(transition_matrix=np.full((3, 3), 1e-4) + (1 - 3e-4) * np.eye(3))
    with pytest.raises(ValueError, match=r"`max_agents` must be large enough.*Got 20: the belief is \[0\.9"):
        herd_length(slow, [0.98, 0.01, 0.01], max_agents=20)
