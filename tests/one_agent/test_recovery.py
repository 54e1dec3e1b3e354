"""Max-margin, sparsest and cost recovery, against an independent linear program, KKT conditions and theory."""

import numpy as np
import pytest
from one_agent.reference_recovery import margin_by_loops

from llma_tutorial.one_agent import inequalities, recovery
from llma_tutorial.one_agent.attention import solve
from llma_tutorial.one_agent.recovery import cost_of_attention, distance, max_margin, sparsest
from llma_tutorial.one_agent.ribum import ChoiceData, check, rationalise

STAKES = np.array([1.0, 2.0, 4.0])[:, None, None] * np.eye(3)
PRIOR = np.full(3, 1 / 3)


def random_data(rng, m, n_states, n_actions):
    return ChoiceData(rng.dirichlet(np.ones(n_actions), (m, n_states)), np.full(n_states, 1 / n_states))


def shannon_data():
    return ChoiceData(solve(STAKES, PRIOR, 1.0).choice_probabilities, PRIOR)


def violations(data, utility, costs, margin, scaled):
    """Largest violation of NIAS and NIAC with margin, evaluated directly."""
    nias = inequalities.nias_slacks(data.joint, utility)
    weight = data.joint.sum(axis=1)[:, :, None] if scaled else 1.0
    values = inequalities.information_values(data.joint, utility)
    net = inequalities.niac_weights(values) - costs[:, None] + costs[None, :]
    np.fill_diagonal(net, np.inf)
    return max(float((margin * weight - nias).max()), float(margin - net.min()))


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("shape", [(4, 5, 5), (5, 2, 8), (2, 6, 6)])
def test_max_margin_equals_an_independent_program(shape, scaled):
    data = random_data(np.random.default_rng(sum(shape)), *shape)
    found = max_margin(data, scaled=scaled)
    assert found.margin == pytest.approx(margin_by_loops(data.joint, scaled), abs=1e-6)
    assert violations(data, found.utility, found.attention_costs, found.margin, scaled) < 1e-8
    assert check(data, found.utility).passed
    assert found.passed
    assert found.kkt_error < 1e-7


def test_zero_cells_and_never_chosen_actions():
    data = ChoiceData([[[1, 0, 0], [0, 1, 0]], [[0.5, 0.5, 0], [0, 1, 0]]], [0.4, 0.6])
    for scaled in (True, False):
        found = max_margin(data, scaled=scaled)
        assert found.margin == pytest.approx(margin_by_loops(data.joint, scaled), abs=1e-7)
        assert found.margin > 0.05


def test_margins_of_restrictions_are_ordered():
    data = shannon_data()
    free, diagonal = max_margin(data), max_margin(data, "diagonal")
    shared = max_margin(data, "shared", scales=[0.25, 0.5, 1])
    assert free.margin >= max(diagonal.margin, shared.margin) - 1e-9
    assert min(diagonal.margin, shared.margin) > 1e-3
    off_diagonal = ~np.eye(3, dtype=bool)
    assert (diagonal.utility[:, off_diagonal] == 0).all()
    np.testing.assert_allclose(shared.utility[2], 4 * shared.utility[0])
    for found in (diagonal, shared):
        assert violations(data, found.utility, found.attention_costs, found.margin, True) < 1e-8


def test_shared_payoffs_can_fail():
    # attention that falls with the stakes: no common payoff explains it; free payoffs explain it, as they do anything
    data = ChoiceData(shannon_data().choice_probabilities[::-1], PRIOR)
    assert not max_margin(data, "shared", scales=[1, 2, 4]).passed
    assert max_margin(data).passed


def test_known_payoffs_as_bounds_are_the_check():
    # equal bounds fix the payoffs; the margin is negative exactly when `check` fails
    data = shannon_data()
    truth = STAKES / 4
    assert max_margin(data, bounds=(truth, truth)).margin > 0
    reversed_attention = ChoiceData(data.choice_probabilities[::-1], PRIOR)
    found = max_margin(reversed_attention, bounds=(truth, truth), scaled=False)
    assert found.margin == pytest.approx(check(reversed_attention, truth).niac_slack, abs=1e-8)
    assert found.margin < 0
    assert "NIAC" in found.binding
    assert "margin           -0." in str(found)
    assert "utility in environment 2" in str(found)


# --- when is the best margin zero? -----------------------------------------------------------------------------------


def posterior_laws(data):
    """Per environment: the chosen actions' revealed posteriors, with their probabilities, as a set of rounded rows."""
    laws = []
    for joint in data.joint:
        weight = joint.sum(axis=0)
        laws.append([(*np.round(joint[:, a] / w, 9), round(float(w), 9)) for a, w in enumerate(weight) if w > 0])
    return laws


def test_margin_zero_for_identical_and_relabelled_environments():
    rng = np.random.default_rng(1)
    for n in (2, 3):
        choice = rng.dirichlet(np.ones(n), n)
        prior = np.full(n, 1 / n)
        for second in (choice, choice[:, ::-1]):
            data = ChoiceData([choice, second], prior)
            assert sorted(posterior_laws(data)[0]) == sorted(posterior_laws(data)[1])
            for scaled in (True, False):
                assert abs(max_margin(data, scaled=scaled).margin) < 1e-8


def test_margin_zero_for_actions_with_one_posterior():
    rng = np.random.default_rng(2)
    choice = rng.dirichlet(np.ones(2), 2)
    split = np.stack([choice[:, 0] * 0.3, choice[:, 0] * 0.7, choice[:, 1]], axis=1)
    data = ChoiceData([split, rng.dirichlet(np.ones(3), 2)], [0.5, 0.5])
    assert abs(max_margin(data).margin) < 1e-8


def test_margin_positive_otherwise():
    # the other direction: all posteriors of an environment differ, all laws of posteriors differ
    rng = np.random.default_rng(3)
    for _ in range(15):
        m, n_states, n_actions = rng.integers(2, 4, 3)
        choices = rng.multinomial(12, rng.dirichlet(np.ones(n_actions), (m, n_states))) / 12
        data = ChoiceData(choices, np.full(n_states, 1 / n_states))
        laws = posterior_laws(data)
        distinct = all(len({row[:-1] for row in law}) == len(law) for law in laws)
        distinct = distinct and len({tuple(sorted(law)) for law in laws}) == m
        assert max_margin(data).passed == distinct


def test_equal_mixtures_of_a_split_action_are_the_same_attention():
    # splitting one action in two keeps the law of posteriors: still zero, in the environment that splits
    choice = np.array([[0.8, 0.2], [0.3, 0.7]])
    split = np.array([[0.4, 0.4, 0.2], [0.15, 0.15, 0.7]])
    data = ChoiceData([np.hstack([choice, np.zeros((2, 1))]), split], [0.5, 0.5])
    assert abs(max_margin(data).margin) < 1e-8


def test_a_second_environment_made_of_noise():
    # State by action counts of Mistral-7B-Instruct-v0.1 on 240 comments of Measuring Hate Speech (40 for each state);
    # action 2 occurs once. Second environment: the first plus U(0, 0.01), normalised.
    counts = [[35, 2, 0, 2, 1, 0], [7, 10, 1, 12, 9, 1], [4, 9, 0, 13, 13, 1]]
    counts += [[0, 9, 0, 21, 8, 2], [1, 5, 0, 8, 22, 4], [0, 1, 0, 7, 24, 8]]
    first = np.array(counts) / 40
    for seed in range(5):
        second = first + np.random.default_rng(seed).uniform(0, 0.01, first.shape)
        data = ChoiceData([first, second / second.sum(axis=1, keepdims=True)], np.full(6, 1 / 6))
        assert max_margin(data, scaled=False).margin == pytest.approx(1 / 240)
        assert 0.005 < max_margin(data).margin < 0.01
    # A second environment that really differs is held down by its own rarest action no more.
    other = ChoiceData([first, np.roll(first, 1, axis=1)], np.full(6, 1 / 6))
    assert max_margin(other).margin < 1e-8  # relabelled only
    assert max_margin(ChoiceData([first, first[::-1]], np.full(6, 1 / 6))).margin > 0.05


# --- sparsest --------------------------------------------------------------------------------------------------------


def test_sparsest_is_minimal_and_reaches_its_margin():
    data = shannon_data()
    best = max_margin(data)
    margin = best.margin / 2
    found = sparsest(data, margin)
    assert found.margin == pytest.approx(margin)
    assert violations(data, found.utility, found.attention_costs, margin, True) < 1e-8
    assert found.utility.sum() <= best.utility.sum()
    # shrinking the max-margin payoffs is another way to reach the margin
    assert found.utility.sum() <= best.utility.sum() / 2 + 1e-9
    assert found.kkt_error < 1e-7
    # every state has an action worth nothing: the representative without a constant d_m(x)
    assert (found.utility.min(axis=2) == 0).all()
    assert np.abs(sparsest(data, 0.0).utility).max() == 0


def test_sparsest_without_bounds_scales_with_the_margin():
    data = shannon_data()
    wide = (-np.inf, np.inf)
    one, ten = sparsest(data, 1.0, bounds=wide), sparsest(data, 10.0, bounds=wide)
    assert np.abs(ten.utility).sum() == pytest.approx(10 * np.abs(one.utility).sum())


def test_infeasible_margins_are_explained():
    data = shannon_data()
    best = max_margin(data).margin
    with pytest.raises(ValueError, match=rf"`margin` must be at most {best:.6g}.*conflict are .*NIA"):
        sparsest(data, best * 1.01)
    sparsest(data, best * 0.999)


# --- costs -----------------------------------------------------------------------------------------------------------


def random_strategies(rng, n, n_states=3):
    return rng.dirichlet(np.ones(4), (n, n_states))


def test_recovered_cost():
    # C(p_m) = c_m; zero without information; rationalises the data
    data = shannon_data()
    for m, choice in enumerate(data.choice_probabilities):
        found = cost_of_attention(data, STAKES, choice)
        assert found.lower == pytest.approx(found.attention_costs[m, 0], abs=1e-12)
        assert found.upper == pytest.approx(found.attention_costs[m, 1], abs=1e-12)
    nothing = cost_of_attention(data, STAKES, np.tile([0.2, 0.8], (3, 1)))
    assert nothing.lower == pytest.approx(0, abs=1e-12)
    assert nothing.upper == pytest.approx(0, abs=1e-12)
    values = inequalities.information_values(data.joint, STAKES)
    for strategy in random_strategies(np.random.default_rng(4), 50):
        worth = inequalities.information_values((PRIOR[:, None] * strategy)[None], STAKES)[:, 0]
        cost = cost_of_attention(data, STAKES, strategy)
        assert (worth - cost.lower <= np.diagonal(values) - cost.attention_costs[:, 0] + 1e-9).all()
        assert (worth - cost.upper <= np.diagonal(values) - cost.attention_costs[:, 1] + 1e-9).all()


def test_recovered_cost_is_convex_and_the_smallest():
    data = shannon_data()
    rng = np.random.default_rng(5)
    price, shannon = 1.0, lambda p: _information(p, PRIOR)
    c_true = np.array([price * shannon(p) for p in data.choice_probabilities])
    values = np.diagonal(inequalities.information_values(data.joint, STAKES))
    for one, other in zip(random_strategies(rng, 40), random_strategies(rng, 40), strict=True):
        # convex in mixtures of experiments: half the time one, half the time the other, and it is known which
        mixture = np.hstack([one, other]) / 2
        mixed = cost_of_attention(data, STAKES, mixture).lower
        parts = [cost_of_attention(data, STAKES, p).lower for p in (one, other)]
        assert mixed <= np.mean(parts) + 1e-9
        # pointwise smallest: Shannon's cost explains the data with c_true, so it lies above C at c_true
        worth = inequalities.information_values((PRIOR[:, None] * one)[None], STAKES)[:, 0]
        assert max(0, (c_true + worth - values).max()) <= price * shannon(one) + 1e-7


def _information(choice, prior):
    marginal = prior @ choice
    return float((prior[:, None] * choice * np.log(choice / marginal)).sum())


def test_true_costs_lie_within_the_bounds():
    rng = np.random.default_rng(6)
    for _ in range(20):
        utility, prior, price = rng.random((3, 3, 3)), rng.dirichlet(np.ones(3) * 3), rng.uniform(0.05, 0.5)
        agents = solve(utility, prior, price)
        data = ChoiceData(agents.choice_probabilities, prior)
        if not check(data, utility).passed:
            continue  # binding inequalities, off by the solver's 1e-10
        bounds = cost_of_attention(data, utility, agents.choice_probabilities[0]).attention_costs
        true = price * agents.mutual_information
        assert (bounds[:, 0] <= true + 1e-7).all()
        assert (true <= bounds[:, 1] + 1e-7).all()


def test_costs_need_data_that_pass():
    data = ChoiceData(shannon_data().choice_probabilities[::-1], PRIOR)
    with pytest.raises(ValueError, match=r"`data` must pass `check`.*or no cost explains them[\s\S]*NIAC   no"):
        cost_of_attention(data, STAKES, np.eye(3))


def test_distance_sees_only_what_choices_can_reveal():
    rng = np.random.default_rng(7)
    truth = rng.normal(size=(2, 3, 3))
    assert distance(3 * truth + rng.normal(size=(2, 3, 1)), truth) == pytest.approx(0, abs=1e-12)
    assert distance(-truth, truth) == pytest.approx(2)
    assert distance(rng.normal(size=(2, 3, 3)), truth) > 0.1
    with pytest.raises(ValueError, match="must each prefer some action"):
        distance(np.ones((2, 3, 3)), truth)


# --- guards ----------------------------------------------------------------------------------------------------------


def test_the_optimality_check_catches_a_wrong_answer(monkeypatch):
    # planted fault: a solution that is off by 1e-3
    program = recovery.MarginProgram
    honest = program.kkt_error
    monkeypatch.setattr(program, "kkt_error", lambda self, point, *rest: honest(self, point + 1e-3, *rest))
    with pytest.raises(RuntimeError, match="The optimality conditions must hold to 1e-07"):
        max_margin(shannon_data())


def test_refusals():
    data = shannon_data()
    unequal = ChoiceData(data.choice_probabilities, [[0.2, 0.4, 0.4], [0.3, 0.3, 0.4], [0.4, 0.3, 0.3]])
    with pytest.raises(ValueError, match="`prior` must be the same in every environment"):
        max_margin(unequal)
    with pytest.raises(ValueError, match='`restriction` must be one of "free", "shared", "diagonal"'):
        max_margin(data, "common")
    with pytest.raises(ValueError, match="`scales` must be given"):
        max_margin(data, "shared")
    with pytest.raises(ValueError, match=r"`scales` must be positive. Got -1"):
        max_margin(data, "shared", scales=[1, -1, 2])
    with pytest.raises(ValueError, match=r"one action for each state\. Got \"diagonal\" with . states and . actions"):
        max_margin(ChoiceData(np.full((1, 3, 2), 0.5), PRIOR), "diagonal")
    with pytest.raises(ValueError, match="`bounds` must be a least and a greatest value"):
        max_margin(data, bounds=(0.0, np.inf))
    for bounds in ((0.0, np.ones((4, 4))), ("low", 1), (0, 1, 2)):
        with pytest.raises(ValueError, match=r"`bounds` must be a least and a greatest value"):
            max_margin(data, bounds=bounds)
    with pytest.raises(ValueError, match=r"`scaled` must be True or False. Got 'no'"):
        max_margin(data, scaled="no")
    assert rationalise(unequal).utility.shape == (3, 3, 3)
