"""Bayes' rule, the filter, best responses and orders: by hand, by properties, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import distributions

from llma_tutorial.beliefs import (
    bayes_update,
    best_response,
    condition,
    draw,
    filter_step,
    is_tp2,
    lattice,
    mlr_dominates,
    tie_law,
    tie_rule,
    worst_minor,
)

B = [[0.7, 0.3], [0.3, 0.7]]


def test_bayes_update_by_hand():
    # 0.2 * 0.9 against 0.8 * 0.1: odds 18 to 8.
    assert np.allclose(bayes_update([0.2, 0.8], [0.9, 0.1]), [18 / 26, 8 / 26], atol=1e-15)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(prior=distributions(3, positive=True), first=distributions(3, True), second=distributions(3, True))
def test_updates_commute_and_chain(prior, first, second):
    one_way = bayes_update(bayes_update(prior, first), second)
    other_way = bayes_update(bayes_update(prior, second), first)
    assert np.allclose(one_way, other_way, atol=1e-14)
    assert np.allclose(one_way, bayes_update(prior, first * second), atol=1e-14)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(data=st.data())
def test_the_filter_is_a_martingale(data):
    """Averaged over the observation, the posterior is the predicted belief."""
    prior = data.draw(distributions(3, True))
    matrix = np.stack([data.draw(distributions(2, True)) for _ in range(3)])
    transition = np.stack([data.draw(distributions(3)) for _ in range(3)])
    predicted = prior @ transition
    average = sum((predicted @ matrix[:, y]) * filter_step(prior, matrix, y, transition) for y in range(2))
    assert np.allclose(average, predicted, atol=1e-14)


def test_tiny_likelihoods_do_not_underflow():
    assert np.allclose(bayes_update([0.5, 0.5], [3e-320, 1e-320]), [0.75, 0.25], atol=1e-3)
    assert np.allclose(bayes_update([0.5, 0.5], [3e-300, 1e-300]), [0.75, 0.25], atol=1e-15)


def test_impossible_evidence_raises_with_its_inputs():
    with pytest.raises(ValueError, match=r"Got prior \[1\.0, 0\.0\] and likelihood \[0\.0, 1\.0\].*impossible"):
        bayes_update([1, 0], [0, 1])
    with pytest.raises(ValueError, match="impossible"):
        filter_step([1, 0], [[1, 0], [0, 1]], 1)
    with pytest.raises(ValueError, match="impossible"):
        bayes_update([0.5, 0.5], [0, 0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bayes_update([0.5, 0.6], [1, 1]), r"`prior` must sum to 1. Got 1.1"),
        (lambda: bayes_update([0.5, 0.5], [1, -1]), r"`likelihood` must not be negative. Got -1"),
        (lambda: bayes_update([0.5, 0.5], [1, 1, 1]), r"`likelihood` must have shape \(2\). Got \(3,\)"),
        (lambda: filter_step([0.5, 0.5], [[0.7, 0.3], [0.5, 0.7]], 0), r"in every row. Got 1.2 in row 1"),
        (lambda: filter_step([0.5, 0.5], B, 2), r"`observation` must be a whole number from 0 to 1. Got 2"),
        (lambda: filter_step([0.5, 0.5], B, True), r"Got True"),
        (lambda: filter_step([0.5, 0.5], B, 0, [[1, 0]]), r"`transition_matrix` must have shape \(2, 2\)"),
        (lambda: bayes_update([0.5, np.nan], [1, 1]), r"`prior` must be finite. Got nan at \(1,\)"),
        (lambda: bayes_update(["a", "b"], [1, 1]), r"`prior` must be an array of numbers"),
        (lambda: best_response([0.5, 0.5], np.eye(2), tie_break="coin"), r'one of "signal", "first", "random"'),
        (lambda: best_response([0.5, 0.5], np.eye(2), tie_break="signal"), r"`own_action` must be given"),
        (lambda: is_tp2([[1, -1], [1, 1]]), r"`matrix` must not be negative"),
        (lambda: mlr_dominates([0.5, 0.5], [1, 0, 0]), r"`q` must have shape \(2\)"),
    ],
)
def test_refusals_name_the_argument_and_the_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_random_ties_need_a_generator():
    with pytest.raises(TypeError, match=r"`rng` must be a numpy Generator.*Got None"):
        best_response([0.5, 0.5], np.eye(2), tie_break="random")


def test_no_input_is_changed():
    prior, likelihood = np.array([0.5, 0.5]), np.array([0.2, 0.6])
    bayes_update(prior, likelihood)
    assert prior.tolist() == [0.5, 0.5]
    assert likelihood.tolist() == [0.2, 0.6]
    assert prior.flags.writeable


def test_best_response_breaks_ties_as_asked():
    even = [0.5, 0.5]
    utility = [[1, 0, 1], [0, 1, 0]]
    assert best_response(even, utility, tie_break="first") == 0
    assert best_response(even, utility, tie_break="signal", own_action=2) == 2
    assert best_response([0.9, 0.1], utility, tie_break="signal", own_action=1) == 0  # own action is not among the tied
    drawn = {best_response(even, utility, tie_break="random", rng=np.random.default_rng(k)) for k in range(40)}
    assert drawn == {0, 1, 2}


def test_ties_are_compared_with_a_tolerance():
    nearly = [0.5 - 1e-14, 0.5 + 1e-14]
    assert best_response(nearly, np.eye(2), tie_break="first") == 0
    assert best_response([0.5 - 1e-6, 0.5 + 1e-6], np.eye(2), tie_break="first") == 1


def test_orders():
    assert mlr_dominates([0.1, 0.3, 0.6], [0.3, 0.3, 0.4])
    assert not mlr_dominates([0.3, 0.3, 0.4], [0.1, 0.3, 0.6])
    # First-order dominance does not imply the likelihood ratio order: ratios 1/2, 2, 1.
    assert not mlr_dominates([0.2, 0.4, 0.4], [0.4, 0.2, 0.4])
    assert is_tp2(B)
    assert not is_tp2([[0.3, 0.7], [0.7, 0.3]])
    # Adjacent minors are all zero here, yet rows 0 and 2 are out of order.
    assert not is_tp2([[0, 1], [0, 0], [1, 0]])


@settings(derandomize=True, deadline=None, max_examples=60)
@given(data=st.data())
def test_filter_keeps_the_mlr_order(data):
    """With B TP2, a larger observation gives an MLR-larger posterior (Krishnamurthy, chapter on structure)."""
    matrix = np.array([[0.6, 0.3, 0.1], [0.3, 0.4, 0.3], [0.1, 0.3, 0.6]])
    prior = data.draw(distributions(3, True))
    posteriors = [filter_step(prior, matrix, y) for y in range(3)]
    assert mlr_dominates(posteriors[1], posteriors[0])
    assert mlr_dominates(posteriors[2], posteriors[1])


# --- the same for arrays --------------------------------------------------------------------------------------------


@settings(derandomize=True, deadline=None, max_examples=50)
@given(data=st.data())
def test_many_updates_at_once_are_the_single_ones(data):
    priors = np.stack([data.draw(distributions(3, True)) for _ in range(4)])
    likelihood = data.draw(distributions(3, True))
    one_by_one = [bayes_update(prior, likelihood) for prior in priors]
    assert np.array_equal(bayes_update(priors, likelihood), one_by_one)
    beliefs, evidence = condition(priors * likelihood)
    assert np.allclose(beliefs, one_by_one, atol=1e-15)
    assert np.allclose(evidence, priors @ likelihood, atol=1e-15)


def test_impossible_evidence_is_found_among_many():
    with pytest.raises(ValueError, match=r"Got prior \[1\.0, 0\.0\] and likelihood \[0\.0, 1\.0\]"):
        bayes_update([[0.5, 0.5], [1, 0]], [0, 1])
    beliefs, evidence = condition(np.array([[0.2, 0.3], [0.0, 0.0]]))
    assert evidence.tolist() == [0.5, 0.0]
    assert beliefs.tolist() == [[0.4, 0.6], [0.0, 0.0]]


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    values=st.lists(st.lists(st.sampled_from([0.0, 1.0, 1.0 + 1e-12, 2.0]), min_size=3, max_size=3), min_size=1),
    own=st.integers(0, 2),
)
def test_the_tie_law_is_that_of_single_best_responses(values, own):
    for rule in ("signal", "first", "random"):
        law = tie_law(np.array(values), rule, scale=2.0, own_action=own)
        for row, expected in zip(law, values, strict=True):
            tied = [a for a in range(3) if expected[a] >= max(expected) - 1e-9]
            if rule == "random":
                assert row.tolist() == [(a in tied) / len(tied) for a in range(3)]
            else:
                assert row.tolist() == np.eye(3)[own if rule == "signal" and own in tied else tied[0]].tolist()


def test_the_rule_of_the_book():
    assert tie_rule(None, 3, 3) == "signal"
    assert tie_rule(None, 2, 3) == "first"
    assert tie_rule("random", 2, 3) == "random"
    with pytest.raises(ValueError, match=r"unless there is one action for each signal\. Got 2 signals and 3 actions"):
        tie_rule("signal", 2, 3)
    with pytest.raises(ValueError, match=r"`tie_break` must be one of .*\. Got .last."):
        tie_rule("last", 2, 2)
    with pytest.raises(ValueError, match="`own_action` must be given"):
        tie_law(np.ones((2, 2)), "signal", scale=1.0)


def test_draws_are_those_of_numpy():
    """`Generator.choice` inverts the same distribution function on the same uniform numbers."""
    law = np.array([[0.1, 0.6, 0.3], [0.0, 1.0, 0.0], [0.25, 0.25, 0.5]])
    for row in law:
        drawn = draw(row, np.random.default_rng(3).random(500))
        assert np.array_equal(drawn, np.random.default_rng(3).choice(3, 500, p=row))
        rows = np.zeros(500, dtype=int)
        assert np.array_equal(draw(row[None], np.random.default_rng(3).random(500), rows), drawn)
    assert draw(law, np.array([0.69, 0.999, 0.24])).tolist() == [1, 1, 0]
    uniforms = np.random.default_rng(4).random((3, 400))
    assert np.array_equal(draw(law, uniforms, np.arange(3)[:, None])[2], draw(law[2], uniforms[2]))


def test_many_outcomes_are_drawn_like_few():
    law = np.random.default_rng(5).dirichlet(np.ones(100), 4)
    uniforms, rows = np.random.default_rng(6).random((4, 50)), np.arange(4)[:, None]
    drawn = draw(law, uniforms, rows)
    assert np.array_equal(
        drawn, [[(row.cumsum()[:-1] <= u).sum() for u in us] for row, us in zip(law, uniforms, strict=True)]
    )
    assert drawn.dtype == np.int8


def test_the_end_of_a_row_is_never_passed():
    law = np.full(10, 0.1)  # sums to 1 - 1e-16
    assert draw(law, np.array([np.nextafter(1.0, 0.0)])).tolist() == [9]
    assert draw(law[None], np.array([np.nextafter(1.0, 0.0)])).tolist() == [9]


def test_the_lattice_by_hand():
    assert lattice(1, 3).tolist() == [[1.0]]
    assert lattice(2, 4)[:, 1].tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert len(lattice(4, 5)) == 56  # 8 over 3
    assert np.allclose(lattice(4, 5).sum(axis=1), 1)


def test_orders_of_many_beliefs():
    """The lattice of three states: against a plain loop over ratios."""
    beliefs = lattice(3, 4)
    table = mlr_dominates(beliefs[:, None], beliefs[None])
    for p, row in zip(beliefs, table, strict=True):
        wanted = [all(p[j] * q[i] >= p[i] * q[j] for i in range(3) for j in range(i, 3)) for q in beliefs]
        assert row.tolist() == wanted


def test_the_worst_minor_is_named():
    assert worst_minor([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.5, 0.25, 0.25]]) == (-0.1875, (1, 2), (0, 1))
    assert worst_minor(B) is None
    assert worst_minor([[1.0, 2.0]]) is None  # one row has no minors
