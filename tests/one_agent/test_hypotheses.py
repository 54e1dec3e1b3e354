"""Costly attention, one capacity, one sensor: nesting, certificates, waste, and tests for counts of each."""

import numpy as np
import pytest
import scipy.optimize
from one_agent import reference_hypotheses as reference

from llma_tutorial.one_agent import finite_samples, inequalities, one_sensor
from llma_tutorial.one_agent.attention import solve
from llma_tutorial.one_agent.choice_data import ChoiceData
from llma_tutorial.one_agent.recovery import max_margin
from llma_tutorial.one_agent.ribum import check, finite_sample_test, random_pass_rate, rationalise

HYPOTHESES = inequalities.HYPOTHESES
STAKES = np.array([1.0, 2.0])[:, None, None] * np.eye(2)


def act(experiment, utility, prior, rng=None):
    """Choices (X, A) of whoever sees an experiment and acts on it as well as can be; ties at random if `rng`."""
    values = (np.asarray(prior)[:, None] * experiment).T @ utility
    tied = values >= values.max(axis=1, keepdims=True) - 1e-12
    weights = tied * (1.0 if rng is None else rng.random(tied.shape))
    return experiment @ (weights / weights.sum(axis=1, keepdims=True))


def one_sensor_agent(rng, m, n_states, n_actions, n_signals=4, ties=False):
    """Data of one random experiment in all problems, and the payoffs."""
    prior = rng.dirichlet(np.full(n_states, 3.0))
    experiment = rng.dirichlet(np.full(n_signals, 0.6), n_states)
    utility = rng.integers(-2, 3, (m, n_states, n_actions)) if ties else rng.normal(size=(m, n_states, n_actions))
    choices = [act(experiment, u, prior, rng) for u in utility.astype(float)]
    return ChoiceData(choices, prior), utility.astype(float)


def capacity_agent(rng, m, n_states, n_actions):
    """Data of an agent that picks the best of five random experiments in each problem."""
    prior = rng.dirichlet(np.full(n_states, 3.0))
    menu = rng.dirichlet(np.full(3, 0.6), (5, n_states))
    utility = rng.normal(size=(m, n_states, n_actions))
    worth = inequalities.information_values(prior[:, None] * menu, utility)
    return ChoiceData([act(menu[w.argmax()], u, prior) for w, u in zip(worth, utility, strict=True)], prior), utility


def costly_agent(rng, m, n_states, n_actions):
    prior = rng.dirichlet(np.full(n_states, 3.0))
    utility = rng.normal(size=(m, n_states, n_actions)) * rng.uniform(0.3, 3, (m, 1, 1))
    return ChoiceData(solve(utility, prior, 0.5, tolerance=1e-13).choice_probabilities, prior), utility


def random_agent(rng, m, n_states, n_actions):
    choices = rng.dirichlet(np.full(n_actions, 0.7), (m, n_states))
    return ChoiceData(choices, rng.dirichlet(np.full(n_states, 3.0))), rng.normal(size=(m, n_states, n_actions))


def instances(seed, n):
    """Agents of every kind, some with a grain of noise, in problems of every small shape."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        kind = (one_sensor_agent, capacity_agent, costly_agent, random_agent)[i % 4]
        data, utility = kind(rng, int(rng.integers(2, 4)), int(rng.integers(2, 4)), int(rng.integers(2, 4)))
        if i % 3 == 2:
            noise = rng.dirichlet(np.ones(data.joint.shape[2]), data.joint.shape[:2])
            data = ChoiceData(0.99 * data.choice_probabilities + 0.01 * noise, data.prior)
        yield data, utility


def two_bits():
    """Four states, two bits; guess both. One problem was answered from the first bit alone, the other from the second.

    Action 2 i + j says "first bit i, second bit j". Bits that are not known are said to be 0.
    """
    first, second = np.zeros((4, 4)), np.zeros((4, 4))
    for i in range(2):
        for j in range(2):
            first[2 * i + j, 2 * i] = second[2 * i + j, j] = 1.0
    return ChoiceData([first, second], np.full(4, 0.25)), np.stack([np.eye(4)] * 2)


def stakes_agent():
    """More attention where more is at stake."""
    return ChoiceData([[[0.6, 0.4], [0.4, 0.6]], [[0.9, 0.1], [0.1, 0.9]]], [0.5, 0.5]), STAKES


# --- the nesting theorem ---------------------------------------------------------------------------------------------


def test_one_sensor_implies_capacity_implies_costly():
    seen = set()
    for data, utility in instances(0, 200):
        verdicts = [check(data, utility, hypothesis) for hypothesis in HYPOTHESES]
        wastes = [verdict.waste for verdict in verdicts]
        assert wastes[0] <= wastes[1] + 1e-7
        assert wastes[1] <= wastes[2] + 1e-7
        # the solver of Shannon agents and that of the programme leave errors of their own: judged by waste
        passed = tuple(waste <= 1e-6 for waste in wastes)
        assert passed in {(True, True, True), (True, True, False), (True, False, False), (False, False, False)}
        seen.add(passed)
    assert len(seen) == 4


def test_instances_that_separate():
    for (data, utility), expected in (
        (stakes_agent(), [True, False, False]),
        (two_bits(), [True, True, False]),
        ((ChoiceData([np.eye(2), np.eye(2)], [0.5, 0.5]), STAKES), [True, True, True]),
        ((ChoiceData(stakes_agent()[0].choice_probabilities[::-1], [0.5, 0.5]), STAKES), [False, False, False]),
    ):
        assert [check(data, utility, hypothesis).passed for hypothesis in HYPOTHESES] == expected
    # two bits: whoever says the first bit surely and the second surely knows both, and would earn 1 instead of 1/2
    assert check(*two_bits(), "one sensor").waste == pytest.approx(0.5)


def test_a_shannon_agent_needs_costly_attention():
    utility = np.array([1.0, 2.0, 4.0])[:, None, None] * np.eye(3)
    data = ChoiceData(solve(utility, np.full(3, 1 / 3), 1.0).choice_probabilities, np.full(3, 1 / 3))
    assert [check(data, utility, hypothesis).passed for hypothesis in HYPOTHESES] == [True, False, False]
    assert "cannot choose like this" in str(check(data, utility, "one sensor"))


# --- capacity --------------------------------------------------------------------------------------------------------


def test_whoever_picks_the_best_of_one_set_passes_capacity():
    rng = np.random.default_rng(1)
    chosen = 0
    for _ in range(100):
        data, utility = capacity_agent(rng, 3, 3, 3)
        assert check(data, utility, "capacity").passed
        chosen += not check(data, utility, "one sensor").passed
    assert chosen > 20


def test_whoever_passes_capacity_picks_the_best_of_what_it_reveals():
    for data, utility in instances(2, 80):
        values = inequalities.information_values(data.joint, utility)
        best = (np.diagonal(values) >= values.max(axis=1) - 1e-9).all()  # of the revealed experiments, its own
        optimal = (inequalities.nias_slacks(data.joint, utility) >= -1e-9).all()
        assert check(data, utility, "capacity").passed == (best and optimal)


def test_capacity_is_niac_with_equal_costs():
    for data, utility in instances(3, 80):
        weights = inequalities.niac_weights(inequalities.information_values(data.joint, utility))
        equal_costs = (weights >= -1e-9).all()  # w[m, k] >= c - c
        nias = (inequalities.nias_slacks(data.joint, utility) >= -1e-9).all()
        assert check(data, utility, "capacity").passed == (equal_costs and nias)


def test_capacity_says_which_switch():
    verdict = check(*stakes_agent(), "capacity")
    assert verdict.worst_switch == (0, 1)
    assert verdict.slacks[0, 1] == pytest.approx(-0.3)
    assert "environment 0 with the attention of 1 gains 0.3000" in str(verdict)
    wrong = check(ChoiceData([[[0.2, 0.8], [0.8, 0.2]]], [0.5, 0.5]), np.eye(2), "capacity")
    assert wrong.worst_switch == (0, 0)
    assert "environment 0 with other actions gains 0.6000" in str(wrong)


# --- one sensor ------------------------------------------------------------------------------------------------------


def test_one_experiment_acted_on_as_well_as_can_be_passes():
    rng = np.random.default_rng(4)
    for i in range(60):
        shape = int(rng.integers(1, 5)), int(rng.integers(2, 5)), int(rng.integers(2, 4))
        data, utility = one_sensor_agent(rng, *shape, ties=i % 2 == 0)
        verdict = check(data, utility, "one sensor")
        assert verdict.passed
        assert verdict.certificate is None


def test_the_solution_is_itself_an_experiment():
    passed = 0
    for data, utility in instances(5, 60):
        verdict = check(data, utility, "one sensor")
        law, responses = verdict.experiment.signal_probabilities, verdict.experiment.responses
        np.testing.assert_allclose(law.sum(axis=1), 1)
        np.testing.assert_allclose(law @ responses, data.choice_probabilities, atol=1e-7)
        values = np.einsum("xs,mxa->msa", np.asarray(data.prior)[:, None] * law, utility)
        lost = (values.max(axis=2) - (values * responses).sum(axis=2)).sum(axis=1)
        assert (lost / inequalities.payoff_ranges(utility)).max() == pytest.approx(verdict.waste, abs=1e-7)
        passed += verdict.passed
    assert 10 < passed < 60


def test_beliefs_and_tuples_are_the_same_programme():
    for data, utility in instances(6, 60):
        expected = reference.sensor_waste(data.joint, utility)
        assert check(data, utility, "one sensor").waste == pytest.approx(expected, abs=1e-7)


def test_where_indifferences_are_too_many_tuples_are_solved(monkeypatch):
    cases = [(check(data, u, "one sensor"), data, u, one_sensor.beliefs_that_matter(u)) for data, u in instances(7, 20)]
    monkeypatch.setattr(one_sensor, "MAX_SETS", 0)
    for verdict, data, utility, ties in cases:
        other = check(data, utility, "one sensor")
        assert other.waste == pytest.approx(verdict.waste, abs=1e-7)
        law, responses = other.experiment.signal_probabilities, other.experiment.responses
        np.testing.assert_allclose(law @ responses, data.choice_probabilities, atol=1e-7)
        if not verdict.passed:
            assert other.certificate.value == pytest.approx(verdict.waste, abs=1e-6)
            assert most_won(other.certificate, utility, ties) < 1e-9
    monkeypatch.setattr(one_sensor, "MAX_TUPLES", 3)
    with pytest.raises(ValueError, match=r"`utility` must leave a programme that can be solved: at most 3 tuples"):
        check(data, utility, "one sensor")


def test_a_solver_that_cannot_decide_is_asked_for_the_waste(monkeypatch):
    # HiGHS can end a feasibility problem without a verdict; the programme of waste always has an optimum
    cases = [(check(data, u, "one sensor"), data, u) for data, u in instances(24, 20)]
    honest, asked = scipy.optimize.linprog, []

    def undecided(cost, **keywords):
        asked.append(np.any(cost))
        return honest(cost, **keywords) if np.any(cost) else scipy.optimize.OptimizeResult(status=4)

    monkeypatch.setattr(scipy.optimize, "linprog", undecided)
    for verdict, data, utility in cases:
        other = check(data, utility, "one sensor")
        assert other.passed == verdict.passed
        assert other.waste == pytest.approx(verdict.waste, abs=1e-7)
    assert not all(asked)


def test_large_programmes_agree_with_capacity_and_prove_themselves():
    # 4,096 tuples: beliefs enter the programme step by step
    rng = np.random.default_rng(25)
    for shape in ((12, 2, 2), (6, 3, 4), (6, 4, 4)):
        data, utility = one_sensor_agent(rng, *shape, n_signals=8)
        assert check(data, utility, "one sensor").passed
        noise = rng.dirichlet(np.ones(shape[2]), shape[:2])
        data = ChoiceData(0.9 * data.choice_probabilities + 0.1 * noise, data.prior)
        verdict = check(data, utility, "one sensor")
        assert verdict.certificate.value == pytest.approx(verdict.waste, abs=1e-6)
        assert verdict.waste >= check(data, utility, "capacity").waste - 1e-7
        assert most_won(verdict.certificate, utility) < 1e-9


def most_won(bet, utility, ties=None, n=3000):
    """The most that the bet pays, less penalties, at random beliefs and at those where actions tie."""
    rng = np.random.default_rng(0)
    ties = one_sensor.beliefs_that_matter(utility) if ties is None else ties
    n_states = utility.shape[1]
    beliefs = [np.eye(n_states), rng.dirichlet(np.full(n_states, 0.4), n), rng.dirichlet(np.ones(n_states), n)]
    beliefs = np.concatenate([*beliefs, ties])
    values = np.einsum("wx,mxa->wma", beliefs, utility)
    losses = values.max(axis=2, keepdims=True) - values
    pay = np.einsum("wx,mxa->wma", beliefs, bet.stakes) - bet.penalties[:, None] * losses
    return pay.max(axis=2).sum(axis=1).max()


def test_the_certificate_wins_against_the_data_and_never_against_one_sensor():
    rng = np.random.default_rng(8)
    found = 0
    for data, utility in instances(9, 60):
        verdict = check(data, utility, "one sensor")
        if verdict.passed:
            continue
        bet, found = verdict.certificate, found + 1
        assert (bet.stakes * data.joint).sum() == pytest.approx(bet.value)
        assert 0 < bet.value == pytest.approx(verdict.waste, abs=1e-6)
        assert (bet.penalties >= 0).all()
        assert (bet.penalties * inequalities.payoff_ranges(utility)).sum() <= 1 + 1e-9
        assert most_won(bet, utility) < 1e-9
        for _ in range(5):  # and whoever sees one experiment loses the bet
            experiment = rng.dirichlet(np.full(4, 0.5), len(data.prior))
            joint = data.prior[:, None] * np.stack([act(experiment, u, data.prior) for u in utility])
            assert (bet.stakes * joint).sum() < 1e-9
    assert found > 20


def test_a_wrong_certificate_is_seen():
    # planted fault: the bet pays a little more in one cell
    data, utility = two_bits()
    bet = check(data, utility, "one sensor").certificate
    program = one_sensor.SensorProgram(utility)
    assert program.pay(bet.stakes, bet.penalties).max() < 1e-9
    used = np.argwhere(data.joint > 0)[0]
    stakes = bet.stakes.copy()
    stakes[tuple(used)] += 1.0
    assert program.pay(stakes, bet.penalties).max() > 0.1


def test_an_improving_switch_is_a_certificate_too():
    # y_m = -u_m, y_k = u_m of the best answer to k's action, penalty on m alone: nobody with one sensor can win it
    for data, utility in instances(10, 40):
        m, k = check(data, utility, "capacity").worst_switch
        if m == k:
            continue
        size = inequalities.payoff_ranges(utility)[m]
        answers = inequalities.relabelled_values(data.joint, utility)[m, k].argmax(axis=1)
        stakes = np.zeros_like(utility)
        stakes[m], stakes[k] = -utility[m] / size, utility[m][:, answers] / size
        penalties = np.eye(len(utility))[m] / size
        slack = check(data, utility, "capacity").slacks[m, k]
        assert (stakes * data.joint).sum() == pytest.approx(-slack / size)
        assert most_won(one_sensor.Bet(stakes, penalties, 0.0), utility) < 1e-9


def test_degenerate_problems():
    # constant payoffs, actions never taken, a state without probability, one environment
    nonsense = ChoiceData(np.random.default_rng(11).dirichlet(np.ones(3), (2, 2)), [0.5, 0.5])
    for hypothesis in HYPOTHESES:
        verdict = check(nonsense, np.ones((2, 2, 3)) * [[[1.0], [5.0]]], hypothesis)
        assert verdict.passed
        assert verdict.waste == pytest.approx(0, abs=1e-9)
    data = ChoiceData([[[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0]]], [0.5, 0.5, 0.0])
    utility = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    verdict = check(data, utility, "one sensor")
    assert verdict.passed
    law = verdict.experiment.signal_probabilities
    np.testing.assert_allclose((law @ verdict.experiment.responses)[0, :2], data.choice_probabilities[0, :2], atol=1e-9)
    with pytest.raises(ValueError, match='`hypothesis` must be one of "costly", "capacity", "one sensor"'):
        check(data, utility, "RIBUM")


# --- waste -----------------------------------------------------------------------------------------------------------


def test_waste_equals_enumeration():
    for data, utility in instances(12, 100):
        joint, payoffs = data.joint.tolist(), utility.tolist()
        assert check(data, utility).waste == pytest.approx(reference.costly_waste(joint, payoffs), abs=1e-9)
        expected = reference.capacity_waste(joint, payoffs)
        assert check(data, utility, "capacity").waste == pytest.approx(expected, abs=1e-9)


def test_waste_is_zero_exactly_for_data_that_pass_and_has_no_scale():
    rng = np.random.default_rng(13)
    for data, utility in instances(14, 40):
        moved = utility * rng.uniform(0.1, 10, (len(utility), 1, 1)) + rng.normal(size=(*utility.shape[:2], 1))
        for hypothesis in HYPOTHESES[1:]:  # the cycles of costly attention compare payoffs across environments
            verdict = check(data, utility, hypothesis)
            assert check(data, moved, hypothesis).waste == pytest.approx(verdict.waste, abs=1e-6)
            assert verdict.passed == (verdict.waste <= 1e-7)
        assert check(data, 3 * utility).waste == pytest.approx(check(data, utility).waste, abs=1e-9)


# --- unknown payoffs -------------------------------------------------------------------------------------------------


def capacity_margin(joint, m):
    """Largest NIAS margin of m over payoffs in [0, 1] that leave it no improving switch; columns (u, t, eps)."""
    m_all, x_all, a_all = joint.shape
    n_u = x_all * a_all
    n = n_u + m_all * a_all + 1
    rows = []
    value = lambda k, a, b: [(x * a_all + b, joint[k, x, a]) for x in range(x_all)]  # noqa: E731
    for a in range(a_all):
        for b in range(a_all):
            if b != a:
                row = np.zeros(n)
                for place, weight in value(m, a, b):
                    row[place] += weight
                for place, weight in value(m, a, a):
                    row[place] -= weight
                row[-1] = joint[m, :, a].sum()
                rows.append(row)
    for k in range(m_all):
        total = np.zeros(n)
        for a in range(a_all):
            t = n_u + k * a_all + a
            total[t] = 1
            for place, weight in value(m, a, a):
                total[place] -= weight
            for b in range(a_all):
                row = np.zeros(n)
                for place, weight in value(k, a, b):
                    row[place] += weight
                row[t] = -1
                rows.append(row)
        rows.append(total)
    cost = np.zeros(n)
    cost[-1] = -1
    bounds = [(0, 1)] * n_u + [(None, None)] * (n - n_u)
    return -scipy.optimize.linprog(cost, A_ub=np.array(rows), b_ub=np.zeros(len(rows)), bounds=bounds).fun


def test_what_unknown_payoffs_leave():
    # costly attention restricts nothing; capacity leaves the less informed environment indifference alone
    data, _ = stakes_agent()
    assert max_margin(data).margin > 0.05
    assert check(data, rationalise(data).utility).passed
    assert capacity_margin(data.joint, 0) == pytest.approx(0, abs=1e-9)
    assert capacity_margin(data.joint, 1) > 0.05
    # attention that is not ordered can be explained as one set, and as one sensor, by payoffs that are not trivial
    first, second = np.repeat(np.eye(2), 2, axis=0), np.tile(np.eye(2), (2, 1))  # each reports a bit of its own
    data = ChoiceData([first, second], np.full(4, 0.25))
    for m in range(2):
        assert capacity_margin(data.joint, m) > 0.05
    for hypothesis in HYPOTHESES:
        assert check(data, np.stack([first, second]), hypothesis).passed


# --- random behaviour ------------------------------------------------------------------------------------------------


def test_random_pass_rates_are_nested_and_agree_with_check():
    rng = np.random.default_rng(15)
    prior, n = [0.4, 0.6], 400
    utility = np.array([[[1.0, 0], [0, 1]], [[3, 0], [0, 2]]])
    rates = [
        random_pass_rate(utility, prior, hypothesis=h, n_draws=n, rng=np.random.default_rng(8)) for h in HYPOTHESES
    ]
    choices = np.random.default_rng(8).dirichlet(np.ones(2), (n, 2, 2))
    for rate, hypothesis in zip(rates, HYPOTHESES, strict=True):
        share = rate.both if hypothesis == "costly" else rate.share
        passed = np.mean([check(ChoiceData(choice, prior), utility, hypothesis).passed for choice in choices])
        assert share == pytest.approx(passed, abs=1 / n)
    assert 0 < rates[2].share <= rates[1].share <= rates[0].both < 0.3
    low, high = rates[1].interval()
    assert low < rates[1].share < high
    assert "pass as capacity" in str(rates[1])
    per_draw = rng.uniform(0.2, 1, (50, 2, 2, 1)) * np.eye(2)
    shares = [random_pass_rate(per_draw, prior, hypothesis=h, n_draws=50, rng=rng).share for h in HYPOTHESES[1:]]
    assert all(0 <= share < 0.5 for share in shares)
    with pytest.raises(ValueError, match='`hypothesis` must be one of "costly"'):
        random_pass_rate(utility, prior, hypothesis="sensor", rng=rng)


# --- counts ----------------------------------------------------------------------------------------------------------


def rejection_rate(choices, utility, hypothesis, n, reps, seed, prior=None):
    rng = np.random.default_rng(seed)
    tests = [
        finite_sample_test(
            rng.multinomial(n, choices), utility, hypothesis=hypothesis, prior=prior, n_draws=199, rng=rng
        )
        for _ in range(reps)
    ]
    return np.mean([test.p_value <= 0.05 for test in tests])


def null_agents():
    """Name -> (choices, utility, prior, hypotheses it satisfies), on the boundary of each."""
    prior = np.array([0.3, 0.7])
    same = solve(np.eye(2), [0.5, 0.5], 0.5).choice_probabilities
    sensor, payoffs = one_sensor_agent(np.random.default_rng(16), 3, 2, 3)
    bits, bit_payoffs = two_bits()
    return {
        "same attention": (np.stack([same] * 2), STAKES, None, HYPOTHESES[1:]),
        "no attention": (np.full((2, 2, 2), 0.5), STAKES, None, HYPOTHESES[1:]),
        "one sensor": (sensor.choice_probabilities, payoffs, np.asarray(sensor.prior), HYPOTHESES[1:]),
        "one sensor, unequal": (
            np.stack([act(np.array([[0.8, 0.2], [0.1, 0.9]]), u, prior) for u in (np.eye(2), np.diag([3.0, 1.0]))]),
            np.stack([np.eye(2), np.diag([3.0, 1.0])]),
            prior,
            HYPOTHESES[1:],
        ),
        "two bits": (bits.choice_probabilities, bit_payoffs, None, HYPOTHESES[1:2]),
    }


@pytest.mark.parametrize(("name", "hypothesis"), [(name, h) for name, agent in null_agents().items() for h in agent[3]])
@pytest.mark.parametrize("n", [20, 100])
def test_size(name, hypothesis, n):
    choices, utility, prior, _ = null_agents()[name]
    reps = 200
    assert rejection_rate(choices, utility, hypothesis, n, reps, 17, prior) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / reps)


@pytest.mark.parametrize("hypothesis", HYPOTHESES[1:])
def test_power_against_attention_that_follows_the_stakes(hypothesis):
    choices = stakes_agent()[0].choice_probabilities
    assert rejection_rate(choices, STAKES, hypothesis, 100, 60, 18) > 0.9
    # the same counts are no evidence against costly attention
    assert rejection_rate(choices, STAKES, "costly", 100, 60, 18) < 0.1


def test_one_sensor_is_rejected_where_capacity_is():
    # a Shannon agent at moderate samples: its distance alone would be too cautious a statistic
    choices = solve(STAKES, [0.5, 0.5], 0.8).choice_probabilities
    rates = [rejection_rate(choices, STAKES, hypothesis, 200, 60, 26) for hypothesis in HYPOTHESES]
    assert rates[0] <= 0.1
    assert min(rates[1:]) > 0.75


def test_power_against_two_bits():
    data, utility = two_bits()
    choices = 0.9 * data.choice_probabilities + 0.1 / 4
    assert rejection_rate(choices, utility, "one sensor", 40, 40, 19) > 0.9


def test_a_point_test_of_capacity_rejects_boundary_agents():
    same = np.stack([solve(np.eye(2), [0.5, 0.5], 0.5).choice_probabilities] * 2)
    rng = np.random.default_rng(20)
    for n in (40, 4000):
        counts = [ChoiceData(rng.multinomial(n, same) / n, [0.5, 0.5]) for _ in range(200)]
        assert np.mean([check(data, STAKES, "capacity").passed for data in counts]) < 0.2


def test_verdicts_on_counts_say_what_they_found():
    counts = np.array([[[60, 40], [40, 60]], [[90, 10], [10, 90]]])
    rng = np.random.default_rng(21)
    switch = finite_sample_test(counts, STAKES, hypothesis="capacity", rng=rng)
    assert switch.switch_violation == pytest.approx(0.3)
    assert switch.p_value == pytest.approx(0.001)
    assert "switch" in str(switch)
    sensor = finite_sample_test(counts, STAKES, hypothesis="one sensor", rng=rng)
    assert sensor.distance > sensor.distance_critical
    assert "standard errors from one sensor" in str(sensor)
    with pytest.raises(ValueError, match='`hypothesis` must be one of "costly"'):
        finite_sample_test(counts, STAKES, hypothesis="niac", rng=rng)


def test_distance_is_zero_exactly_for_one_sensor():
    for data, utility in instances(22, 40):
        program = one_sensor.SensorProgram(utility)
        distance = program.distance(data.joint, data.prior[:, None] * np.ones_like(data.joint))
        assert (distance <= 1e-7) == (program.feasible(data.joint) is not None) or distance < 1e-6


def test_texts_are_resampled_whole():
    import pandas as pd

    rng = np.random.default_rng(23)
    states, reps = np.repeat([0, 1], 20), 60
    for hypothesis in HYPOTHESES[1:]:
        rejected = 0
        for _ in range(reps):
            frames = [
                pd.DataFrame(
                    {"environment": m, "state": states, "action": rng.integers(0, 2, 40), "text": np.arange(40)}
                )
                for m in range(2)
            ]
            table = pd.concat([frame for frame in frames for _ in range(5)], ignore_index=True)
            test = finite_sample_test(table, STAKES, hypothesis=hypothesis, n_draws=199, rng=rng)
            assert test.clustered
            rejected += test.p_value <= 0.05
        assert rejected / reps <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / reps)


def test_without_the_unseen_observation_the_size_of_capacity_is_lost(monkeypatch):
    # planted fault, as for costly attention: nearly empty cells pretend to be noiseless
    draw = finite_samples.Choices.draw
    rare = np.array([[[0.93, 0.07], [0.93, 0.07]]])
    indifferent = np.array([[[0.0, 1.0], [0.0, -1.0]]])
    assert rejection_rate(rare, indifferent, "capacity", 20, 300, 15) < 0.05
    monkeypatch.setattr(
        finite_samples.Choices, "draw", lambda self, n, rng: (draw(self, n, rng)[0], np.zeros((n, *self.sizes.shape)))
    )
    assert rejection_rate(rare, indifferent, "capacity", 20, 300, 15) > 0.08
