"""Agents of several kinds in one line: exact law against brute force, simulation, and what settles such a line."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from many_agents.reference_social import brute_force_mixed
from strategies import distributions, societies

from llma_tutorial.many_agents.social import MixedLine, SocialLearning, cascade_region, exact_law, simulate

FIELDS = ("cascade_probability", "correct_action_probability", "correct_cascade_probability", "expected_onset")


def symmetric(q, tie_break="signal", **keywords):
    return SocialLearning([[q, 1 - q], [1 - q, q]], np.eye(2), [0.5, 0.5], tie_break=tie_break, **keywords)


@st.composite
def mixed_lines(draw, moving=None):
    """Two or three kinds that share the state; signals, payoffs, ties and assumptions are each kind's own."""
    first = draw(societies(moving=moving))
    n_states, kinds = first.prior.size, [first]
    for _ in range(draw(st.integers(1, 2))):
        n_signals, n_actions = draw(st.integers(2, 3)), draw(st.integers(2, 3))
        rows = np.stack([draw(distributions(n_signals, True)) for _ in range(n_states)])
        utility = [[draw(st.integers(-2, 2)) for _ in range(n_actions)] for _ in range(n_states)]
        rules = ["first", "random"] + (["signal"] if n_signals == n_actions else [])
        shared = {name: getattr(first, name) for name in ("prior", "transition_matrix", "assumed_prior")}
        kinds.append(
            SocialLearning(observation_matrix=rows, utility=utility, tie_break=draw(st.sampled_from(rules)), **shared)
        )
    places = st.integers(0, len(kinds) - 1)
    order, opening = draw(st.lists(places, min_size=1, max_size=3)), draw(st.lists(places, max_size=2))
    return MixedLine(kinds, order, opening)


@settings(derandomize=True, deadline=None, max_examples=120)
@given(line=mixed_lines())
def test_exact_law_of_a_mixed_line_equals_brute_force(line):
    law, brute = exact_law(line, 6), brute_force_mixed(line, 6)
    for name, expected in zip(FIELDS, brute, strict=True):
        assert getattr(law, name) == pytest.approx(expected, abs=1e-10)


def test_brute_force_tells_orders_apart():
    """Planted fault: the same kinds in another order have another law."""
    kinds = [symmetric(0.6), symmetric(0.9)]
    one, other = MixedLine(kinds, [0, 0, 1]), MixedLine(kinds, [0, 1, 0])
    assert not np.allclose(exact_law(one, 6).correct_action_probability, brute_force_mixed(other, 6)[1])


@settings(derandomize=True, deadline=None, max_examples=30)
@given(line=mixed_lines())
def test_simulated_mixed_lines_agree_with_the_exact_law(line):
    """|z| below 5.2, which 30 lines of 8 agents with three series pass together in all but 1 of 10,000 cases."""
    n_runs = 3_000
    runs, law = simulate(line, 8, n_runs, rng=np.random.default_rng(5)), exact_law(line, 8)
    states = runs.states[:, None] if runs.states.ndim == 1 else runs.states
    right = np.zeros((n_runs, 8))
    for k, kind in enumerate(line.places(8)):
        right[:, k] = line.kinds[kind].correct[states[:, k if states.shape[1] > 1 else 0], runs.actions[:, k]]
    exact = law.correct_action_probability
    spread = np.sqrt(np.maximum(exact * (1 - exact), 0) / n_runs)
    assert (np.abs(right.mean(axis=0) - exact) <= 5.2 * spread + 1e-9).all()
    onset = np.where(runs.cascade_start < 0, 8, runs.cascade_start)
    assert abs(onset.mean() - law.expected_onset) <= 5.2 * onset.std() / np.sqrt(n_runs) + 1e-9


@settings(derandomize=True, deadline=None, max_examples=40)
@given(society=societies())
def test_a_line_of_one_kind_twice_is_that_society(society):
    """Nothing depends on how agents are called, and the loop for many kinds gives what the plain one gives."""
    line, once = MixedLine([society, dataclasses.replace(society)], [0, 1], opening=[1]), exact_law(society, 8)
    for name in FIELDS:
        assert getattr(exact_law(line, 8), name) == pytest.approx(getattr(once, name), abs=1e-12)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(line=mixed_lines(moving=False))
def test_a_mixed_line_is_settled_in_the_regions_of_all_kinds(line):
    """From the onset on the belief stands still in a region of every kind to come; before it, in not all of them."""
    runs = simulate(line, 25, 6, rng=np.random.default_rng(2))
    for beliefs, start, actions in zip(runs.public_beliefs, runs.cascade_start, runs.actions, strict=True):
        for k in range(25 if start < 0 else start + 1):
            herds = [
                [a for a in range(line.kinds[kind].utility.shape[1])
                 if cascade_region(line.kinds[kind], a).contains(beliefs[k] / beliefs[k].sum())]
                for kind in line.still_to_come(k)
            ]  # fmt: skip
            assert all(herds) == (k == start)
        if start >= 0:
            assert np.allclose(beliefs[start:], beliefs[start], atol=1e-12)
            for kind in range(len(line.kinds)):
                assert len(set(actions[start:][line.places(25)[start:] == kind].tolist())) <= 1


def test_resting_in_the_region_of_one_kind_is_not_enough():
    """Counter-instance: at .7 lay agents herd, and the expert, who comes fifth, turns them round."""
    lay, expert = symmetric(0.6), symmetric(0.9)
    line = MixedLine([lay, expert], [0, 0, 0, 0, 1])
    law = exact_law(line, 5)
    assert law.cascade_probability[2:4] == pytest.approx([0.52, 0.52])
    assert law.cascade_probability[4] == 0
    assert law.undecided_mass == pytest.approx(1)
    runs = simulate(line, 40, 500, state=1, rng=np.random.default_rng(1))
    turned = (runs.actions[:, 2] == 0) & (runs.actions[:, 3] == 0) & (runs.cascade_action == 1)
    assert turned.any()


def test_where_the_expert_stands():
    """First: imitated for ever. After two lay agents: better, as they speak before it drowns them. Returning: best."""
    lay, expert = symmetric(0.7), symmetric(0.9)
    first = exact_law(MixedLine([lay, expert], [0], [1]), 60)
    assert first.correct_action_probability == pytest.approx(np.full(60, 0.9))
    assert (first.expected_onset, first.correct_cascade_probability) == (pytest.approx(1), pytest.approx(0.9))
    later = exact_law(MixedLine([lay, expert], [0], [0, 0, 0, 0, 1]), 60).correct_action_probability[-1]
    again = exact_law(MixedLine([lay, expert], [0, 0, 0, 0, 1]), 120)
    assert 0.9 + 0.02 < later < again.correct_cascade_probability - 0.02
    assert again.undecided_mass < 1e-6


def test_settled_lines_are_right_at_least_as_often_as_their_sharpest_member():
    """Belief is calibrated and lies beyond the boundary of the sharpest kind when the line settles."""
    rng = np.random.default_rng(8)
    for _ in range(15):
        kinds = [symmetric(q, "random") for q in rng.uniform(0.55, 0.95, 2)]
        law = exact_law(MixedLine(kinds, rng.permutation(2)), 40)
        sharpest = max(kind.observation_matrix[0, 0] for kind in kinds)
        settled = 1 - law.undecided_mass
        assert law.correct_cascade_probability >= sharpest * settled - 1e-9
    three = [
        SocialLearning(np.full((3, 3), (1 - q) / 2) + (3 * q - 1) / 2 * np.eye(3), np.eye(3), [0.2, 0.3, 0.5])
        for q in (0.5, 0.8)
    ]
    law = exact_law(MixedLine(three, [0, 0, 1]), 14)
    assert law.correct_cascade_probability >= 0.8 * (1 - law.undecided_mass)


def test_wrong_priors_spoil_the_promise_of_settled_lines():
    """Counter-instance to the true prior: agents who are sure of the wrong state settle at once, and wrongly."""
    kinds = [symmetric(q, assumed_prior=[0.99, 0.01]) for q in (0.6, 0.9)]
    law = exact_law(MixedLine(kinds, [0, 1]), 10)
    assert law.undecided_mass == 0
    assert law.correct_cascade_probability == pytest.approx(0.5)


def test_kinds_with_opposite_tastes_still_learn_from_each_other():
    """Who is of which kind is known, so a contrarian's action is as good as its opposite."""
    plain, contrarian = symmetric(0.7), SocialLearning([[0.3, 0.7], [0.7, 0.3]], np.eye(2)[::-1], [0.5, 0.5])
    mixed, alike = exact_law(MixedLine([plain, contrarian], [0, 1]), 30), exact_law(plain, 30)
    assert mixed.correct_action_probability == pytest.approx(alike.correct_action_probability, abs=1e-12)


@pytest.mark.parametrize(
    ("kinds", "order", "opening", "message"),
    [
        ([symmetric(0.6)], [], (), r"`order` must name the kind of at least one agent. Got \[\]"),
        ([symmetric(0.6)], [0, 1], (), r"`order` must be from 0 to 0. Got 1"),
        ([symmetric(0.6)], [0], [2], r"`opening` must be from 0 to 0. Got 2"),
        ([symmetric(0.6), "expert"], [0], (), r"`kinds` must hold a SocialLearning for each kind. Got 'expert'"),
        ([symmetric(0.6), symmetric(0.6, assumed_prior=[0.4, 0.6])], [0, 1], (),
         r"`kinds` must agree in `assumed_prior`.*Got another one in kind 1"),
        ([symmetric(0.6), symmetric(0.6, transition_matrix=np.eye(2))], [0, 1], (),
         r"`kinds` must agree in `transition_matrix`"),
    ],
)  # fmt: skip
def test_a_malformed_line_is_refused(kinds, order, opening, message):
    with pytest.raises(ValueError, match=message):
        MixedLine(kinds, order, opening)


def test_a_mixed_line_draws_signals_of_each_kind():
    """Kinds may differ in their signals; in a cascade they keep their law."""
    prior = [0.5, 0.5]
    three = SocialLearning([[0.6, 0.3, 0.1], [0.1, 0.3, 0.6]], np.eye(2), prior, tie_break="first")
    line = MixedLine([symmetric(0.7), three], [0, 1])
    seen = simulate(line, 40, 4_000, state=0, rng=np.random.default_rng(3)).observations
    assert seen[:, 30::2].mean() == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / 20_000))
    shares = np.bincount(seen[:, 31::2].ravel(), minlength=3) / 20_000
    assert shares == pytest.approx([0.6, 0.3, 0.1], abs=5 * np.sqrt(0.25 / 20_000))
