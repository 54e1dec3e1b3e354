"""Social learning: the exact law and simulation against brute force, replays and closed forms."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from reference import best_by_signal, brute_force_law, cascade_action, count_law, replay
from strategies import societies

from llma_tutorial.many_agents.social import (
    SocialLearning,
    cascade_region,
    exact_law,
    repeated_observations,
    simulate,
)

RULES = ("signal", "first", "random")


def symmetric(q=0.7, tie_break="signal", **keywords):
    return SocialLearning([[q, 1 - q], [1 - q, q]], np.eye(2), [0.5, 0.5], tie_break=tie_break, **keywords)


def closed_form(q, tie_break):
    """Bikhchandani, Hirshleifer & Welch (1992), derived for the three rules in the chapter on cascades."""
    alike, one = q**2 + (1 - q) ** 2, 1 - q + q**2
    return {
        "signal": (q**2 / alike, 2 / alike),
        "first": (q * (1 + q) / (2 * one), 1.5 / one),
        "random": (q * (1 + q) / (2 * one), 2 / one),
    }[tie_break]


@pytest.mark.parametrize("tie_break", RULES)
@pytest.mark.parametrize("q", [0.55, 0.6, 0.7, 0.8, 0.95])
def test_exact_law_meets_the_closed_forms(q, tie_break):
    law = exact_law(symmetric(q, tie_break), 1_000)
    correct, onset = closed_form(q, tie_break)
    assert law.correct_cascade_probability == pytest.approx(correct, abs=1e-9)
    assert law.expected_onset == pytest.approx(onset, abs=1e-9)
    assert law.cascade_probability[-1] == pytest.approx(1, abs=1e-9)
    assert law.correct_action_probability[-1] == pytest.approx(correct, abs=1e-9)
    assert law.dropped_mass < 1e-15


def test_closed_forms_are_the_published_figures():
    # Six digits from the theory of binary cascades at q = .6, .7, .8 (BHW 1992 for ties at random).
    table = {
        "signal": [(0.692308, 3.846154), (0.844828, 3.448276), (0.941176, 2.941176)],
        "first": [(0.631579, 1.973684), (0.753165, 1.898734), (0.857143, 1.785714)],
        "random": [(0.631579, 2.631579), (0.753165, 2.531646), (0.857143, 2.380952)],
    }
    for tie_break, rows in table.items():
        for q, row in zip((0.6, 0.7, 0.8), rows, strict=True):
            assert np.round(closed_form(q, tie_break), 6).tolist() == list(row)


def test_agents_in_a_cascade_one_by_one():
    # Two equal signals in a row start a cascade: .58 = .7^2 + .3^2, then .58 + .42 * .58.
    assert exact_law(symmetric(), 5).cascade_probability == pytest.approx([0, 0, 0.58, 0.58, 0.8236], abs=1e-12)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(society=societies())
def test_exact_law_equals_brute_force(society):
    law = exact_law(society, 7)
    cascade, right, correct_onset, onset = brute_force_law(society, 7)
    assert law.cascade_probability == pytest.approx(cascade, abs=1e-10)
    assert law.correct_action_probability == pytest.approx(right, abs=1e-10)
    assert law.correct_cascade_probability == pytest.approx(correct_onset, abs=1e-10)
    assert law.expected_onset == pytest.approx(onset, abs=1e-10)


def test_brute_force_tells_societies_apart():
    """Planted faults: a prior or a matrix that is a little wrong changes the law, and brute force sees it."""
    for fault in ({"assumed_prior": [0.25, 0.75]}, {"assumed_observation_matrix": [[0.7, 0.3], [0.45, 0.55]]}):
        assert not np.allclose(exact_law(symmetric(**fault), 7).cascade_probability, brute_force_law(symmetric(), 7)[0])


def test_dropped_mass_brackets_the_truth():
    society = SocialLearning(
        [[0.6, 0.3, 0.1], [0.2, 0.3, 0.5]], [[1, 0.2, 0], [0, 0.3, 1]], [0.5, 0.5], tie_break="first"
    )
    full, few = exact_law(society, 25), exact_law(society, 25, max_beliefs=3, tolerance=1)
    assert few.dropped_mass > 1e-3
    assert few.n_beliefs <= 3 < full.n_beliefs
    for name in ("cascade_probability", "correct_action_probability"):
        low, truth = getattr(few, name), getattr(full, name)
        assert (low <= truth + 1e-12).all()
        assert (truth <= low + few.dropped_mass + 1e-12).all()
    with pytest.raises(ValueError, match=r"`max_beliefs` must be large enough.*Got 3: 0\.\d+ was dropped by agent \d+"):
        exact_law(society, 25, max_beliefs=3)


def test_impossible_evidence_raises():
    blind = symmetric(assumed_observation_matrix=[[1, 0], [1, 0]], tie_break="signal")
    with pytest.raises(
        ValueError, match=r"`assumed_observation_matrix` must allow every signal that can come. Got signal 1"
    ):
        exact_law(blind, 3)
    with pytest.raises(ValueError, match=r"Got signal 1 at belief \[0.5, 0.5\]"):
        simulate(blind, 3, 50, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        (
            {"observation_matrix": [[0.7, 0.3], [0.5, 0.7]]},
            r"`observation_matrix` must sum to 1 in every row. Got 1.2 in row 1",
        ),
        ({"prior": [0.5, 0.6]}, r"`prior` must sum to 1. Got 1.1"),
        ({"utility": [[1, 0]]}, r"`utility` must have shape \(2, any\). Got \(1, 2\)"),
        (
            {"utility": np.eye(2, 3), "tie_break": "signal"},
            r'`tie_break` must be "first" or "random".*2 signals and 3 actions',
        ),
        ({"tie_break": "coin"}, r"`tie_break` must be one of"),
        ({"assumed_prior": [1.0]}, r"`assumed_prior` must have shape \(2\)"),
        ({"transition_matrix": np.eye(3)}, r"`transition_matrix` must have shape \(2, 2\)"),
    ],
)
def test_a_malformed_society_is_refused(keywords, message):
    good = {"observation_matrix": [[0.7, 0.3], [0.3, 0.7]], "utility": np.eye(2), "prior": [0.5, 0.5]}
    with pytest.raises(ValueError, match=message):
        SocialLearning(**{**good, **keywords})


def test_ties_go_by_the_rule_of_the_book_unless_named():
    matrix, prior = [[0.7, 0.3], [0.3, 0.7]], [0.5, 0.5]
    assert SocialLearning(matrix, np.eye(2), prior).tie_break == "signal"
    assert SocialLearning(matrix, np.eye(2, 3), prior).tie_break == "first"
    assert symmetric(tie_break="random").tie_break == "random"


def test_a_society_is_frozen_and_owns_its_arrays():
    matrix = np.array([[0.7, 0.3], [0.3, 0.7]])
    society = SocialLearning(matrix, np.eye(2), [0.5, 0.5])
    matrix[0, 0] = 0
    assert society.observation_matrix[0, 0] == 0.7
    with pytest.raises(ValueError, match="read-only"):
        society.prior[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        society.prior = None


@pytest.mark.parametrize(("tie_break", "edges"), [("signal", (0, 0)), ("first", (1, 0)), ("random", (0, 0))])
def test_regions_of_the_symmetric_society(tie_break, edges):
    society = symmetric(0.7, tie_break)
    low, high = cascade_region(society, 0), cascade_region(society, 1)
    assert low.interval == pytest.approx((0, 0.3), abs=1e-12)
    assert high.interval == pytest.approx((0.7, 1), abs=1e-12)
    # Ties decide the boundary: at .3 the signal 1 ties, at .7 the signal 0 does.
    assert (low.contains([0.7, 0.3]), high.contains([0.3, 0.7])) == edges
    assert low.contains([0.71, 0.29])
    assert not low.contains([0.69, 0.31])


@settings(derandomize=True, deadline=None, max_examples=80)
@given(society=societies(moving=False))
def test_regions_equal_brute_force(society):
    """Membership on a grid; and off its boundary the closed half-spaces say the same."""
    rng = np.random.default_rng(5)
    n = society.prior.size
    grid = np.vstack([np.eye(n), np.full((1, n), 1 / n), rng.dirichlet(np.ones(n), 25)])
    for action in range(society.utility.shape[1]):
        region = cascade_region(society, action)
        for belief in grid:
            laws = best_by_signal(
                belief.tolist(), society.assumed_observation_matrix, society.utility, society.tie_break
            )
            assert region.contains(belief) == (cascade_action(laws) == action)
            if region.contains(belief):
                assert (region.half_spaces @ belief <= 1e-8).all()
            if (region.half_spaces @ belief < -1e-8).all():
                assert region.contains(belief)
            if n == 2 and region.contains(belief):
                assert region.interval[0] - 1e-9 <= belief[1] <= region.interval[1] + 1e-9


def test_an_empty_region_has_no_interval():
    # Action 1 is worse than action 0 in both states: nobody herds on it.
    society = SocialLearning([[0.7, 0.3], [0.3, 0.7]], [[1, 0], [1, 0]], [0.5, 0.5], tie_break="first")
    assert cascade_region(society, 1).interval is None
    assert cascade_region(society, 0).interval == (0, 1)


def test_more_private_signals_shrink_the_region_and_never_remove_it():
    boundaries = []
    for n in (1, 2, 5, 10):
        matrix = repeated_observations([[0.7, 0.3], [0.3, 0.7]], n)
        society = SocialLearning(matrix, np.eye(2), [0.5, 0.5], tie_break="first")
        low, high = cascade_region(society, 1).interval
        assert low == pytest.approx(0.7**n / (0.7**n + 0.3**n), abs=1e-9)
        assert high == 1
        boundaries.append(low)
    assert np.round(boundaries, 4).tolist() == [0.7, 0.8448, 0.9857, 0.9998]
    assert (np.diff(boundaries) > 0).all()
    # The boundary falls only when a signal can rule a state out: with a zero in each row only certainty is left.
    sure = SocialLearning([[0.7, 0.3, 0], [0, 0.3, 0.7]], np.eye(2), [0.5, 0.5], tie_break="first")
    assert cascade_region(sure, 1).interval == (1, 1)


def test_repeated_observations_equal_listing():
    matrix = [[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]
    for n in (1, 2, 3):
        assert np.allclose(repeated_observations(matrix, n), count_law(matrix, n), atol=1e-14)
    with pytest.raises(ValueError, match=r"`n_observations` must be a whole number at least 1. Got 0"):
        repeated_observations(matrix, 0)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(society=societies())
def test_every_simulated_run_replays(society):
    """Signals in, actions, beliefs and onset out: the same as a plain loop, run by run."""
    runs = simulate(society, 12, 20, rng=np.random.default_rng(3))
    if society.tie_break == "random":
        society = dataclasses.replace(society, tie_break="first")
        runs = simulate(society, 12, 20, rng=np.random.default_rng(3))
    for run in range(20):
        actions, beliefs, start = replay(society, runs.observations[run])
        assert runs.actions[run].tolist() == actions.tolist()
        assert np.allclose(runs.public_beliefs[run], beliefs, atol=1e-9)
        assert runs.cascade_start[run] == start
        assert runs.cascade_action[run] == (actions[start] if start >= 0 else -1)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(society=societies())
def test_simulation_agrees_with_the_exact_law(society):
    """Largest |z| over agents below the Bonferroni bound at 1e-4: 25 societies, two series of 8 agents each."""
    n_runs = 4_000
    runs, law = simulate(society, 8, n_runs, rng=np.random.default_rng(11)), exact_law(society, 8)
    states = runs.states[:, None] if runs.states.ndim == 1 else runs.states
    right = society.correct[states, runs.actions].mean(axis=0)
    exact = law.correct_action_probability
    spread = np.sqrt(exact * (1 - exact) / n_runs)
    assert (np.abs(right - exact) <= 5.2 * spread + 1e-9).all()
    onset = np.where(runs.cascade_start < 0, 8, runs.cascade_start)
    assert abs(onset.mean() - law.expected_onset) <= 5.2 * onset.std() / np.sqrt(n_runs) + 1e-9


def test_ties_at_random_are_even_and_understood():
    """Agent 0 sees y; agent 1 ties half of the time and tosses a coin: P(a1 = a0 | x) has a closed form."""
    runs = simulate(symmetric(0.7, "random"), 2, 40_000, state=1, rng=np.random.default_rng(2))
    follow = 0.7 * (0.7 + 0.3 / 2) + 0.3 * (0.3 + 0.7 / 2)
    assert (runs.actions[:, 0] == runs.actions[:, 1]).mean() == pytest.approx(follow, abs=5 * np.sqrt(0.25 / 40_000))


def test_keep_decides_what_is_returned_and_the_seed_decides_what_happens():
    society = symmetric()
    first, again = (simulate(society, 30, 100, rng=np.random.default_rng(7)) for _ in range(2))
    assert (first.observations == again.observations).all()
    assert first.public_beliefs.shape == (100, 31, 2)
    assert first.actions.shape == first.observations.shape == (100, 30)
    bare = simulate(society, 30, 100, keep=(), rng=np.random.default_rng(7))
    assert bare.actions is bare.observations is bare.public_beliefs is None
    assert (bare.cascade_start == first.cascade_start).all()
    assert (simulate(society, 5, 10, state=1, rng=np.random.default_rng(0)).states == 1).all()
    with pytest.raises(ValueError, match=r'`keep` must be one of "observations".*Got "?\'?beliefs'):
        simulate(society, 5, 10, keep=("beliefs",), rng=np.random.default_rng(0))
    with pytest.raises(TypeError, match="`rng` must be a numpy Generator"):
        simulate(society, 5, 10, rng=7)


def test_signals_in_a_cascade_keep_their_law():
    """What agents see goes on being informative; only their actions stop showing it."""
    runs = simulate(symmetric(), 40, 5_000, state=0, rng=np.random.default_rng(9))
    late = runs.observations[:, 30:]
    assert late.mean() == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / late.size))
    many = SocialLearning([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.1, 0.6, 0.3]], np.eye(3), [0.3, 0.3, 0.4])
    seen = simulate(many, 40, 5_000, state=2, rng=np.random.default_rng(9)).observations[:, 30:]
    shares = np.bincount(seen.ravel(), minlength=3) / seen.size
    assert shares == pytest.approx([0.1, 0.6, 0.3], abs=5 * np.sqrt(0.25 / seen.size))
