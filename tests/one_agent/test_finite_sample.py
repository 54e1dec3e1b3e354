"""Error rates of the test for counts, its pieces against enumeration, and what happens without its safeguards."""

import numpy as np
import pandas as pd
import pytest
from one_agent import reference_ribum as reference

from llma_tutorial.one_agent import finite_samples, inequalities
from llma_tutorial.one_agent.attention import solve
from llma_tutorial.one_agent.ribum import ChoiceData, check, finite_sample_test

STAKES = np.array([1.0, 2.0])[:, None, None] * np.eye(2)
UNIFORM = np.full((2, 2, 2), 0.5)


def rejection_rate(choices, utility, n, reps, seed, prior=None):
    rng = np.random.default_rng(seed)
    tests = [
        finite_sample_test(rng.multinomial(n, choices), utility, prior=prior, n_draws=199, rng=rng) for _ in range(reps)
    ]
    return np.mean([test.p_value <= 0.05 for test in tests])


def rational_agents():
    """Name -> (choices, utility, prior): agents inside the null, and agents at its edges, where point tests break."""
    prior = np.array([0.3, 0.7])
    rare = np.zeros((1, 2, 2))
    rare[0, :, 1] = 0.02, -1.0  # one rare and dear mistake just pays for many small gains
    rare_choice = np.array([0.5, 0.01])
    lopsided = np.array([[[1.0, 0.2], [0.0, 0.9]], [[2.0, 0.1], [0.3, 1.0]]])
    asymmetric = np.random.default_rng(0).normal(size=(2, 2))
    same = solve(np.eye(2), [0.5, 0.5], 0.5).choice_probabilities
    return {
        "Shannon": (solve(STAKES, [0.5, 0.5], 0.8).choice_probabilities, STAKES, None),
        "Shannon, unequal": (solve(lopsided, prior, 0.3).choice_probabilities, lopsided, prior),
        "same attention": (np.stack([same] * 2), STAKES, None),
        "same attention, unequal": (
            np.stack([solve(asymmetric, prior, 0.4).choice_probabilities] * 2),
            np.stack([asymmetric, 3 * asymmetric]),
            prior,
        ),
        "no attention": (UNIFORM, STAKES, None),
        "rare mistakes": (np.stack([1 - rare_choice, rare_choice], axis=-1)[None], rare, None),
    }


@pytest.mark.parametrize("name", rational_agents())
@pytest.mark.parametrize("n", [20, 40, 100, 400])
def test_size(name, n):
    # The contract: at most 5 % plus two standard errors on rational agents, those on the boundary included.
    choices, utility, prior = rational_agents()[name]
    reps = 300
    assert rejection_rate(choices, utility, n, reps, 11, prior) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / reps)


def test_power_against_reversed_attention():
    reversed_attention = solve(STAKES[::-1], [0.5, 0.5], 0.8).choice_probabilities
    assert rejection_rate(reversed_attention, STAKES, 100, 100, 12) > 0.9


def test_power_against_wrong_actions():
    wrong = solve(STAKES, [0.5, 0.5], 0.8).choice_probabilities[:, :, ::-1]
    assert rejection_rate(wrong, STAKES, 40, 100, 13) > 0.9


def test_the_point_test_rejects_boundary_agents_at_any_sample_size():
    # A rational agent with the same attention everywhere is rejected about half of the time
    same = np.stack([solve(np.eye(2), [0.5, 0.5], 0.5).choice_probabilities] * 2)
    rng = np.random.default_rng(14)
    for n in (40, 400, 4000):
        passed = [check(ChoiceData(rng.multinomial(n, same) / n, [0.5, 0.5]), STAKES).passed for _ in range(300)]
        assert 0.35 < np.mean(passed) < 0.65


def test_without_the_unseen_observation_the_size_is_lost(monkeypatch):
    # planted fault: drop the extra observation, and nearly empty cells pretend to be noiseless
    draw = finite_samples.Choices.draw
    monkeypatch.setattr(
        finite_samples.Choices, "draw", lambda self, n, rng: (draw(self, n, rng)[0], np.zeros((n, *self.sizes.shape)))
    )
    rare = np.array([[[0.93, 0.07], [0.93, 0.07]]])
    indifferent = np.array([[[0.0, 1.0], [0.0, -1.0]]])
    assert rejection_rate(rare, indifferent, 20, 400, 15) > 0.08


def test_with_the_unseen_observation_the_same_agent_is_safe():
    rare = np.array([[[0.93, 0.07], [0.93, 0.07]]])
    indifferent = np.array([[[0.0, 1.0], [0.0, -1.0]]])
    assert rejection_rate(rare, indifferent, 20, 400, 15) < 0.05


def test_worst_relabelling_equals_enumeration():
    rng = np.random.default_rng(16)
    joint, utility = rng.dirichlet(np.ones(3), (2, 2)) / 2, rng.normal(size=(2, 2, 3))
    own = np.einsum("mxa,mxa->m", joint, utility)
    gains = inequalities.information_values(joint, utility) - own
    for m in range(2):
        for k in range(2):
            expected = reference.worst_relabelling(joint[k].tolist(), utility[m].tolist(), utility[k].tolist())
            assert gains[m, k] == pytest.approx(expected)


def test_violations_are_those_of_check():
    # NIAC as reported here and by `check` agree whenever NIAS holds in the sample.
    counts = np.array([[[90, 10], [10, 90]], [[60, 40], [40, 60]]])
    verdict = finite_sample_test(counts, STAKES, rng=np.random.default_rng(17))
    assert verdict.niac_violation == pytest.approx(-check(ChoiceData.from_counts(counts), STAKES).niac_slack)
    assert verdict.nias_violation == pytest.approx([0, 0])
    assert verdict.p_value == pytest.approx(0.001)


def test_one_environment_has_no_cycles():
    verdict = finite_sample_test([[[2, 38], [38, 2]]], np.eye(2), rng=np.random.default_rng(18))
    assert verdict.niac_violation == 0
    assert verdict.p_value < 0.01
    assert "NIAC" not in str(verdict)


def table_of(choices, n_texts, rng, copies=1):
    """Texts read in every environment; `copies` identical answers for each text make the rows dependent."""
    states = np.repeat([0, 1], n_texts)
    rows = []
    for m, table in enumerate(choices):
        actions = (rng.random(len(states)) < table[states, 1]).astype(int)
        frame = pd.DataFrame({"environment": m, "state": states, "action": actions, "text": np.arange(len(states))})
        rows += [frame] * copies
    return pd.concat(rows, ignore_index=True)


def test_texts_are_resampled_whole():
    # 5 copies of each answer are not 5 answers: counted as rows they reject rational agents, counted as texts not.
    rng = np.random.default_rng(19)
    reps, naive, clustered = 100, 0, 0
    for _ in range(reps):
        table = table_of(UNIFORM, 20, rng, copies=5)
        naive += finite_sample_test(table.drop(columns="text"), STAKES, n_draws=199, rng=rng).p_value <= 0.05
        clustered += finite_sample_test(table, STAKES, n_draws=199, rng=rng).p_value <= 0.05
    assert naive / reps > 0.2
    assert clustered / reps <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / reps)


def test_clustered_size_and_power():
    rng = np.random.default_rng(20)
    reversed_attention = solve(STAKES[::-1], [0.5, 0.5], 0.8).choice_probabilities
    same = np.stack([solve(np.eye(2), [0.5, 0.5], 0.5).choice_probabilities] * 2)
    pvalues = lambda choices: [  # noqa: E731
        finite_sample_test(table_of(choices, 100, rng), STAKES, n_draws=199, rng=rng).p_value for _ in range(100)
    ]
    assert np.mean(np.array(pvalues(reversed_attention)) <= 0.05) > 0.9
    assert np.mean(np.array(pvalues(same)) <= 0.05) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 100)


def test_the_prior_is_that_of_the_counts_unless_given():
    counts = np.array([[[30, 10], [8, 12]], [[36, 4], [2, 18]]])  # two thirds of the choices in state 0
    tests = [finite_sample_test(counts, STAKES, prior=p, rng=np.random.default_rng(22)) for p in (None, [2 / 3, 1 / 3])]
    assert tests[0].p_value == tests[1].p_value
    np.testing.assert_array_equal(tests[0].nias_critical, tests[1].nias_critical)
    with pytest.raises(ValueError, match="`prior` must be the same in every environment"):
        finite_sample_test(counts + [[[5, 0], [0, 0]], [[0, 0], [0, 0]]], STAKES, rng=np.random.default_rng(22))


def test_refusals():
    rng = np.random.default_rng(21)
    with pytest.raises(ValueError, match="Got no choice in state 1 of environment 0"):
        finite_sample_test([[[3, 2], [0, 0]]], np.eye(2), rng=rng)
    with pytest.raises(TypeError, match="`rng` must be a numpy Generator"):
        finite_sample_test([[[3, 2], [1, 0]]], np.eye(2), rng=0)
    table = pd.DataFrame({"environment": [0, 0, 0], "state": [0, 1, 1], "action": [0, 1, 0], "text": ["a", "a", "b"]})
    with pytest.raises(ValueError, match=r"`text` must name a text with one state. Got \[0, 1\] for 'a'"):
        finite_sample_test(table, np.eye(2), rng=rng)
