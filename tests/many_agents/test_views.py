"""Agents who see some predecessors: exact law against every history and every set of predecessors, and simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from many_agents.reference_social import brute_force_view
from strategies import societies

from llma_tutorial.many_agents.social import PartialView, SocialLearning, exact_law, simulate_view, view_law

WHICH = ("last", "random")


def symmetric(q=0.7, tie_break="signal", **keywords):
    return SocialLearning([[q, 1 - q], [1 - q, q]], np.eye(2), [0.5, 0.5], tie_break=tie_break, **keywords)


@pytest.mark.parametrize("which", WHICH)
@settings(derandomize=True, deadline=None, max_examples=50)
@given(society=societies(), n_seen=st.integers(0, 3))
def test_law_of_partial_views_equals_brute_force(which, society, n_seen):
    view = PartialView(society, n_seen, which)
    law = view_law(view, 5)
    cascade, right, tables = brute_force_view(view, 5)
    assert law.cascade_probability == pytest.approx(cascade, abs=1e-10)
    assert law.correct_action_probability == pytest.approx(right, abs=1e-10)
    for k, table in enumerate(tables):
        for seen, belief in table.items():
            assert law.belief(k, seen) == pytest.approx(belief, abs=1e-10)
        assert law.view_probability[k].sum() == pytest.approx(1, abs=1e-12)


def test_brute_force_tells_views_apart():
    """Planted fault: one predecessor more, or others, changes the law."""
    law = view_law(PartialView(symmetric(), 2), 5).correct_action_probability
    for view in (PartialView(symmetric(), 3), PartialView(symmetric(), 2, "random")):
        assert not np.allclose(law, brute_force_view(view, 5)[1])


@settings(derandomize=True, deadline=None, max_examples=40)
@given(society=societies())
def test_seeing_all_of_them_is_the_line_of_before(society):
    """With a window as long as the line there is a public belief again."""
    law, view = exact_law(society, 7), view_law(PartialView(society, 6), 7)
    assert view.cascade_probability == pytest.approx(law.cascade_probability, abs=1e-10)
    assert view.correct_action_probability == pytest.approx(law.correct_action_probability, abs=1e-10)


@pytest.mark.parametrize("which", WHICH)
@settings(derandomize=True, deadline=None, max_examples=20)
@given(society=societies(), n_seen=st.integers(0, 3))
def test_simulated_views_agree_with_their_law(which, society, n_seen):
    """|z| below 5.2 for each of 8 agents; cascades by their onset, whose first agents can be compared."""
    view, n_runs = PartialView(society, n_seen, which), 3_000
    runs, law = simulate_view(view, 8, n_runs, rng=np.random.default_rng(7)), view_law(view, 8)
    states = runs.states[:, None] if runs.states.ndim == 1 else runs.states
    right, exact = society.correct[states, runs.actions].mean(axis=0), law.correct_action_probability
    assert (np.abs(right - exact) <= 5.2 * np.sqrt(np.maximum(exact * (1 - exact), 0) / n_runs) + 1e-9).all()
    first = law.cascade_probability[0]  # nobody sees anybody: a cascade of all runs or of none
    assert (runs.cascade_start == 0).mean() == pytest.approx(first)
    assert ((runs.cascade_start < 0) == (runs.cascade_action < 0)).all()


@pytest.mark.parametrize("tie_break", ["signal", "first", "random"])
def test_nobody_does_worse_than_the_predecessor_whom_it_sees(tie_break):
    """Fixed state, true model, the last m >= 1 seen: copying is possible, so expected utility never falls."""
    rng = np.random.default_rng(11)
    for _ in range(40):
        matrix, prior = rng.dirichlet(np.ones(3), 3), rng.dirichlet(np.ones(3))
        society = SocialLearning(matrix, np.eye(3), prior, tie_break=tie_break)
        for n_seen in (1, 2, 3):
            assert (np.diff(view_law(PartialView(society, n_seen), 25).correct_action_probability) >= -1e-12).all()


def test_whoever_copies_at_random_does_as_well_as_the_average():
    """With a random view the bound is the mean of all before; single agents can do worse than the one before."""
    law = view_law(PartialView(symmetric(tie_break="first"), 1, "random"), 40).correct_action_probability
    assert (law[1:] >= np.cumsum(law)[:-1] / np.arange(1, 40) - 1e-12).all()
    assert law[3] < law[2] - 0.01


def test_a_moving_state_breaks_the_improvement():
    """Counter-instance: what the predecessor did was right for its own moment."""
    moving = SocialLearning(
        [[0.6, 0.4], [0.4, 0.6]], np.eye(2), [0.95, 0.05], transition_matrix=[[0.9, 0.1], [0.1, 0.9]]
    )
    assert (np.diff(view_law(PartialView(moving, 1), 6).correct_action_probability) < -0.02).all()


def test_a_wrong_matrix_breaks_the_improvement():
    """Counter-instance: agents who overrate their signals throw away what the predecessor had from the prior."""
    assumed = [[0.99, 0.01], [0.01, 0.99]]
    wrong = SocialLearning(
        [[0.51, 0.49], [0.49, 0.51]], np.eye(2), [0.66, 0.34], tie_break="first", assumed_observation_matrix=assumed
    )
    assert np.diff(view_law(PartialView(wrong, 1), 6).correct_action_probability).min() < -0.05


def test_fewer_eyes_on_the_past_can_be_better():
    """Five predecessors at random: mixed views keep some agents talking, and the line beats one that sees all."""
    society = symmetric()
    some, everything = view_law(PartialView(society, 5, "random"), 200), exact_law(society, 200)
    assert some.correct_action_probability[-1] > everything.correct_action_probability[-1] + 0.01
    assert some.cascade_probability[-1] < 1
    # One predecessor whose word weighs as much as one's own signal adds nothing when ties go to the signal.
    assert view_law(PartialView(society, 1), 50).correct_action_probability == pytest.approx(np.full(50, 0.7))


def test_what_is_too_large_or_impossible_is_refused():
    society = symmetric()
    with pytest.raises(ValueError, match=r"`n_seen` must be small enough.*Got 20, which asks for 1048576: lower it"):
        view_law(PartialView(society, 20), 40)
    assert view_law(PartialView(society, 20), 15).cascade_probability.shape == (15,)  # there are only 14 to see
    with pytest.raises(ValueError, match=r"`max_cells` = 50 cells. Got 3"):
        simulate_view(PartialView(society, 3, "random"), 30, 5, max_cells=50, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"`which` must be one of \"last\", \"random\""):
        PartialView(society, 2, "first")
    with pytest.raises(ValueError, match=r"`n_seen` must be a whole number at least 0. Got -1"):
        PartialView(society, -1)
    with pytest.raises(ValueError, match=r"`society` must be a SocialLearning"):
        PartialView(None, 1)
    law = view_law(PartialView(society, 2), 5)
    for seen in ((1,), (1, 2), (1, 1, 1)):
        with pytest.raises(ValueError, match=r"`seen` must be a view of agent 4. Got"):
            law.belief(4, seen)
    blind = symmetric(assumed_observation_matrix=[[1, 0], [1, 0]], tie_break="first")
    with pytest.raises(ValueError, match=r"`assumed_observation_matrix` must allow every signal that can come"):
        view_law(PartialView(blind, 1), 4)
    sure = SocialLearning(
        [[0.5, 0.5], [0.5, 0.5]], [[1, 0], [0, 1]], [0.5, 0.5], assumed_observation_matrix=[[1, 0], [0, 1]]
    )  # whoever saw both actions in a row would hold that impossible
    with pytest.raises(ValueError, match=r"must allow every (signal|view)"):
        simulate_view(PartialView(sure, 2), 6, 50, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"must allow every (signal|view)"):
        view_law(PartialView(sure, 2), 6)
