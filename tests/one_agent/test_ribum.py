"""NIAS, NIAC, rationalisation and pass rates, against loops, enumeration and published theory."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_agent import reference_ribum as reference
from strategies import distributions

from llma_tutorial.one_agent import inequalities
from llma_tutorial.one_agent.attention import solve
from llma_tutorial.one_agent.recovery import cost_of_attention
from llma_tutorial.one_agent.ribum import ChoiceData, check, counts_from_table, random_pass_rate, rationalise


@st.composite
def choice_data(draw, common_prior=True, n_environments=None):
    """Small data with coarse probabilities, so that zero cells, ties and identical environments really occur."""
    m = n_environments or draw(st.integers(1, 3))
    n_states, n_actions = draw(st.integers(2, 3)), draw(st.integers(2, 3))
    choices = [[draw(distributions(n_actions)) for _ in range(n_states)] for _ in range(m)]
    prior = draw(distributions(n_states, True))
    if not common_prior:
        prior = np.stack([draw(distributions(n_states, True)) for _ in range(m)])
    return ChoiceData(choices, prior)


def shannon(utility, prior, price):
    """Shannon agents as data; the price is the same everywhere, so the cost is one function."""
    return ChoiceData(solve(utility, prior, price).choice_probabilities, prior)


# --- check against loops ---------------------------------------------------------------------------------------------


@settings(derandomize=True, deadline=None, max_examples=150)
@given(choice_data(), st.integers(0, 10**6))
def test_check_equals_loops(data, seed):
    utility = np.random.default_rng(seed).normal(size=data.joint.shape)
    verdict = check(data, utility)
    joint = reference.joint_law(data.choice_probabilities.tolist(), data.prior.tolist())
    assert verdict.nias_slack == pytest.approx(reference.nias_slack(joint, utility.tolist()), abs=1e-12)
    holds = verdict.nias_slack >= -1e-9
    if len(joint) > 1:
        slack, _ = reference.niac_slack(joint, utility.tolist())
        assert verdict.niac_slack == pytest.approx(slack, abs=1e-12)
        holds = holds and slack >= -1e-9
        weights = inequalities.niac_weights(inequalities.information_values(data.joint, utility))
        cycle = verdict.worst_cycle
        assert weights[cycle, np.roll(cycle, -1)].mean() == pytest.approx(slack, abs=1e-12)
        assert len(set(cycle)) == len(cycle) >= 2
    assert verdict.passed == holds


def test_cheapest_cycles_of_larger_graphs():
    rng = np.random.default_rng(0)
    for n in (3, 5, 6):
        for _ in range(20):
            weights = rng.normal(size=(n, n))
            means = [
                np.mean([weights[m, k] for m, k in zip(c, c[1:] + c[:1], strict=True)]) for c in reference.all_cycles(n)
            ]
            assert inequalities.cheapest_cycle_mean(weights) == pytest.approx(min(means))
            cycle = inequalities.cheapest_cycle(weights)
            assert weights[cycle, np.roll(cycle, -1)].mean() == pytest.approx(min(means))


def test_costs_exist_exactly_when_no_cycle_is_negative():
    rng = np.random.default_rng(1)
    outcomes = set()
    for _ in range(300):
        joint = rng.dirichlet(np.ones(2), (3, 2)) / 2
        values = inequalities.information_values(joint, rng.random((3, 2, 2)))
        weights = inequalities.niac_weights(values)
        costs = inequalities.least_costs(values)
        feasible = bool((weights >= costs[:, None] - costs[None, :] - 1e-9).all())
        assert feasible == bool(inequalities.cheapest_cycle_mean(weights) >= -1e-9)
        outcomes.add(feasible)
    assert outcomes == {True, False}


# --- the theorem of Caplin & Dean ------------------------------------------------------------------------------------


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.floats(0.05, 3))
def test_rational_agents_pass(seed, price):
    # necessity: whoever maximises utility less one cost of attention satisfies both
    rng = np.random.default_rng(seed)
    m, n_states, n_actions = rng.integers(2, 4, 3)
    utility, prior = rng.normal(size=(m, n_states, n_actions)), rng.dirichlet(np.ones(n_states))
    agents = solve(utility, prior, price)
    verdict = check(ChoiceData(agents.choice_probabilities, prior), utility)
    assert verdict.nias_slack > -1e-5
    assert verdict.niac_slack > -1e-5


def test_whoever_passes_maximises_against_the_recovered_cost():
    # sufficiency: random data that pass are optimal in every environment against the recovered cost
    rng = np.random.default_rng(2)
    found = 0
    for _ in range(1000):
        utility, prior = rng.random((2, 2, 2)) * np.eye(2), rng.dirichlet([2, 2])
        data = ChoiceData(rng.dirichlet(np.ones(2), (2, 2)), prior)
        if not check(data, utility).passed:
            continue
        found += 1
        costs = cost_of_attention(data, utility, data.choice_probabilities[0]).attention_costs[:, 0]
        for m in range(2):
            net = (data.joint[m] * utility[m]).sum() - costs[m]
            for strategy in rng.dirichlet(np.ones(3), (15, 2)):
                worth = inequalities.information_values((prior[:, None] * strategy)[None], utility[m][None])[0, 0]
                assert worth - cost_of_attention(data, utility, strategy).lower <= net + 1e-9
    assert found > 10


def test_a_cost_that_depends_on_the_environment_breaks_the_theorem():
    # dropped hypothesis: attention dearer where stakes are higher
    utility = np.array([1.0, 2.0])[:, None, None] * np.eye(2)
    assert check(shannon(utility, [0.5, 0.5], [0.5, 0.5]), utility).passed
    assert check(shannon(utility, [0.5, 0.5], [0.5, 4.0]), utility).niac_slack < -0.05


def test_unequal_priors_reject_rational_agents():
    # Shannon agents with unequal priors fail in most draws; so `check` refuses them
    rng = np.random.default_rng(3)
    failed = 0
    for _ in range(400):
        utility, priors = rng.random((3, 3, 3)) * np.eye(3), rng.dirichlet(np.ones(3), 3)
        choices = [solve(u, prior, 0.2).choice_probabilities for u, prior in zip(utility, priors, strict=True)]
        data = ChoiceData(choices, priors)
        weights = inequalities.niac_weights(inequalities.information_values(data.joint, utility))
        failed += inequalities.cheapest_cycle_mean(weights) < -1e-7
        assert reference.nias_slack(data.joint.tolist(), utility.tolist()) > -1e-6
    assert 0.5 < failed / 400 < 0.95
    with pytest.raises(ValueError, match=r"`prior` must be the same in every environment.*pass the one `prior`"):
        check(data, utility)


def test_payoffs_matter_only_up_to_a_function_of_the_state():
    rng = np.random.default_rng(4)
    data = ChoiceData(rng.dirichlet(np.ones(3), (3, 2)), [0.3, 0.7])
    utility = rng.random((3, 2, 3))
    moved = utility + rng.normal(size=(3, 2, 1))
    one, other = check(data, utility), check(data, moved)
    assert one.nias_slack == pytest.approx(other.nias_slack)
    assert one.niac_slack == pytest.approx(other.niac_slack)
    # A shift that depends on the action is not harmless.
    assert check(data, utility + rng.normal(size=(3, 1, 3))).nias_slack != pytest.approx(one.nias_slack)


def test_attention_costs_explain_the_data():
    utility = np.array([1.0, 2.0, 4.0])[:, None, None] * np.eye(3)
    data = shannon(utility, np.full(3, 1 / 3), 0.7)
    costs = check(data, utility).attention_costs
    values = inequalities.information_values(data.joint, utility)
    assert (np.diagonal(values) - costs >= (values - costs).max(axis=1) - 1e-12).all()
    assert costs[0] == 0
    assert (np.diff(costs) > 0).all()
    uninformed = np.einsum("x,mxa->ma", data.prior, utility).max(axis=1)
    assert (costs <= np.diagonal(values) - uninformed + 1e-12).all()


# --- everything passes if utilities are free -------------------------------------------------------------------------


@settings(derandomize=True, deadline=None, max_examples=1000)
@given(st.booleans().flatmap(lambda common: choice_data(common_prior=common)))
def test_rationalise_explains_everything(data):
    # Cauchy-Schwarz; zero cells and unequal priors too, so the inequalities are evaluated here.
    story = rationalise(data)
    assert (story.utility >= 0).all()
    assert (story.utility <= 1).all()
    nias = inequalities.nias_slacks(data.joint, story.utility)
    assert nias.min() >= -1e-12
    values = inequalities.information_values(data.joint, story.utility)
    net = values - story.attention_costs
    assert (np.diagonal(net) >= net.max(axis=1) - 1e-12).all()
    if data.prior.ndim == 1:
        assert check(data, story.utility).passed


def test_known_payoffs_can_fail_where_free_ones_cannot():
    # the hypothesis that is dropped: payoffs free in every environment
    data = ChoiceData([[[0.9, 0.1], [0.1, 0.9]], [[0.6, 0.4], [0.4, 0.6]]], [0.5, 0.5])
    assert check(data, rationalise(data).utility).passed
    assert not check(data, np.array([1.0, 2.0])[:, None, None] * np.eye(2)).passed


# --- power -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "both", "nias", "n_draws"),
    [((2, 2, 2), 0.050, 0.107, 40_000), ((3, 2, 2), 0.005, 0.034, 40_000), ((4, 2, 2), 0.0004, 0.011, 40_000)],
)
def test_random_behaviour_passes_as_often_as_the_chapter_says(shape, both, nias, n_draws):
    # Reference values of the chapter: uniform prior, Dirichlet(1) behaviour, independent diagonal payoffs U[0.2, 1]
    rng = np.random.default_rng(5)
    m, n, _ = shape
    utility = rng.uniform(0.2, 1, (n_draws, m, n, 1)) * np.eye(n)
    rate = random_pass_rate(utility, np.full(n, 1 / n), n_draws=n_draws, rng=rng)
    for found, expected in ((rate.both, both), (rate.nias, nias)):
        assert abs(found - expected) < 3.5 * np.sqrt(expected / n_draws) + 0.05 * expected  # printed to two figures
    low, high = rate.interval()
    assert low < rate.both < high


def test_random_behaviour_never_passes_at_four_three_three():
    # Reference values: 0 of 40,000 (both), NIAS alone 0.0025 %
    rng = np.random.default_rng(6)
    utility = rng.uniform(0.2, 1, (40_000, 4, 3, 1)) * np.eye(3)
    rate = random_pass_rate(utility, np.full(3, 1 / 3), n_draws=40_000, rng=rng)
    assert rate.both == 0
    assert rate.nias <= 6 / 40_000
    assert rate.interval()[1] < 1e-4


def test_shannon_always_and_reversed_never():
    # Shannon agents 100 %; stakes r_m with attention reversed: NIAS 100 %, NIAC 0 %
    rng = np.random.default_rng(7)
    for _ in range(100):
        n = int(rng.integers(2, 4))
        stakes = np.sort(rng.uniform(0.5, 3, 3))
        utility, prior = stakes[:, None, None] * np.eye(n), np.full(n, 1 / n)
        data = shannon(utility, prior, 0.5)
        assert check(data, utility).passed
        reversed_attention = check(ChoiceData(data.choice_probabilities[::-1], prior), utility)
        assert reversed_attention.nias_slack >= 0
        assert not reversed_attention.passed
        assert reversed_attention.niac_slack < -1e-6


def test_payoffs_that_do_not_vary_leave_niac_without_power():
    rng = np.random.default_rng(10)
    for _ in range(300):
        data = ChoiceData(rng.dirichlet(np.ones(2), (3, 2)), rng.dirichlet([3, 3]))
        verdict = check(data, rng.random((2, 2)))
        assert verdict.niac_slack == pytest.approx(0, abs=1e-12)
    # the same choices under payoffs that vary are rejected most of the time
    payoffs = rng.uniform(0.2, 1, (2000, 3, 2, 1)) * np.eye(2)
    assert random_pass_rate(payoffs, [0.5, 0.5], n_draws=2000, rng=rng).niac < 0.3


def test_pass_rate_agrees_with_check_draw_by_draw():
    # the same random agents, judged one at a time
    utility = np.array([[[1.0, 0], [0, 1]], [[3, 0], [0, 2]]])
    rate = random_pass_rate(utility, [0.4, 0.6], n_draws=500, rng=np.random.default_rng(8))
    choices = np.random.default_rng(8).dirichlet(np.ones(2), (500, 2, 2))
    verdicts = [check(ChoiceData(choice, [0.4, 0.6]), utility) for choice in choices]
    assert rate.both == np.mean([verdict.passed for verdict in verdicts])
    assert rate.nias == np.mean([verdict.nias_slack >= -1e-9 for verdict in verdicts])
    assert 0 < rate.both < rate.niac < 1


# --- data ------------------------------------------------------------------------------------------------------------


def test_tables_and_counts_agree():
    rows = pd.DataFrame({"environment": [0, 0, 0, 1, 1, 1], "state": [0, 1, 1, 0, 0, 1], "action": [0, 2, 0, 2, 2, 0]})
    counts = counts_from_table(rows)
    assert counts.shape == (2, 2, 3)
    assert counts[1, 0].tolist() == [0, 0, 2]
    tall = rows.groupby(["environment", "state", "action"]).size().rename("count").reset_index()
    np.testing.assert_array_equal(counts_from_table(tall), counts)
    named = rows.assign(action=pd.Categorical.from_codes(rows["action"], ["keep", "flag", "drop"]))
    np.testing.assert_array_equal(counts_from_table(named), counts)
    data = ChoiceData.from_table(rows, prior=[0.5, 0.5])
    np.testing.assert_allclose(data.choice_probabilities[0], [[1, 0, 0], [0.5, 0, 0.5]])
    assert ChoiceData.from_counts(counts).prior.shape == (2, 2)  # shares of the states differ: kept apart


def test_csv_files(tmp_path):
    path = tmp_path / "choices.csv"
    path.write_text("environment,state,action,count\n0,0,0,3\n0,0,1,1\n0,1,1,4\n")
    np.testing.assert_allclose(ChoiceData.from_table(str(path)).choice_probabilities, [[[0.75, 0.25], [0, 1]]])


def test_refusals():
    with pytest.raises(ValueError, match=r"`choice_probabilities` must sum to 1 in every row. Got 0.9 in row \(0, 1\)"):
        ChoiceData([[[0.5, 0.5], [0.5, 0.4]]], [0.5, 0.5])
    with pytest.raises(ValueError, match="Got no choice in state 1 of environment 0"):
        ChoiceData.from_counts([[[1, 2], [0, 0]]])
    with pytest.raises(ValueError, match=r"`counts` must hold whole numbers, 0 or more. Got 1.5"):
        ChoiceData.from_counts([[[1.5, 2], [1, 0]]])
    with pytest.raises(ValueError, match="Got none called action"):
        counts_from_table(pd.DataFrame({"environment": [0], "state": [0]}))
    with pytest.raises(ValueError, match=r"must be filled in every row. Got gaps in state"):
        counts_from_table(pd.DataFrame({"environment": [0, 0], "state": [0, None], "action": [0, 1]}))
    negative = pd.DataFrame({"environment": [0, 0], "state": [0, 0], "action": [0, 0], "count": [3, -1]})
    with pytest.raises(ValueError, match=r"`count` must hold whole numbers, 0 or more. Got -1"):
        counts_from_table(negative)
    with pytest.raises(ValueError, match=r"`utility` must have shape \(2, 2\). Got \(2, 3\)"):
        check(ChoiceData([[[1, 0], [0, 1]]], [0.5, 0.5]), np.ones((2, 3)))
    with pytest.raises(ValueError, match='`test` must be one of "nias"'):
        random_pass_rate([np.eye(2)], [0.5, 0.5], n_draws=2, rng=np.random.default_rng(0)).interval("all")


def test_reports_say_it_in_words():
    data = ChoiceData([[[0.9, 0.1], [0.1, 0.9]], [[0.6, 0.4], [0.4, 0.6]]], [0.5, 0.5])
    text = str(check(data, np.array([1.0, 2.0])[:, None, None] * np.eye(2)))
    assert "swapping the attention of environments 0 and 1 gains 0.3000" in text
    assert "cannot choose like this" in text
    wrong = ChoiceData([[[0.2, 0.8], [0.8, 0.2]]], [0.5, 0.5])
    assert "in environment 0, taking 1 instead of 0 gains 0.3000" in str(check(wrong, np.eye(2)))
    # Three environments that pass attention round in a circle.
    rng = np.random.default_rng(9)
    for _ in range(200):
        verdict = check(ChoiceData(rng.dirichlet(np.ones(2), (3, 2)), [0.5, 0.5]), rng.random((3, 2, 2)))
        if len(verdict.worst_cycle) == 3:
            break
    a, b, c = verdict.worst_cycle
    assert f"passing attention round environments {a} <- {b} <- {c} <- {a}" in str(verdict)
