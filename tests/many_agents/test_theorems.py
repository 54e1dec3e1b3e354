"""Theorems of social learning: hypothesis and conclusion on random instances, failure where a hypothesis is dropped."""

from math import inf

import numpy as np
import pytest
from hypothesis import assume, given, settings
from reference import best_by_signal, replay
from strategies import societies

from llma_tutorial.many_agents.social import (
    MixedLine,
    SocialLearning,
    cascade_region,
    exact_law,
    herd_length,
    repeated_observations,
    simulate,
)


def laws_and_factors(society):
    """What agents do at the prior after each signal, and P(a | x): what one action says about the state."""
    laws = best_by_signal(society.prior.tolist(), society.observation_matrix, society.utility, society.tie_break)
    factors = np.zeros(society.utility.shape)
    for x, row in enumerate(society.observation_matrix):
        for y, law in enumerate(laws):
            factors[x] += row[y] * np.array(law if law else [0.0] * factors.shape[1])
    return laws, factors


@settings(derandomize=True, deadline=None, max_examples=100)
@given(society=societies(moving=False, wrong=False))
def test_public_belief_is_a_martingale(society):
    """E[pi_1 | pi_0] = pi_0; under the true state x so is pi(i)/pi(x), if every action can come from x."""
    _, factors = laws_and_factors(society)
    runs = simulate(society, 1, 400, rng=np.random.default_rng(3))
    after = dict(zip(runs.actions[:, 0].tolist(), runs.public_beliefs[:, 1], strict=True))
    chance = society.prior @ factors
    assume(set(np.flatnonzero(chance)) == set(after))  # every action that can be seen was seen
    assert sum(chance[a] * belief for a, belief in after.items()) == pytest.approx(society.prior, abs=1e-12)
    for x in np.flatnonzero((factors > 0).all(axis=1)):
        ratio = sum(factors[x, a] * belief / belief[x] for a, belief in after.items())
        assert ratio == pytest.approx(society.prior / society.prior[x], abs=1e-12)


def test_wrong_beliefs_break_the_martingale():
    """Counter-instance: agents who think signals sharper than they are do not get back, on average, what they held."""
    society = SocialLearning(
        [[0.6, 0.4], [0.4, 0.6]], np.eye(2), [0.6, 0.4], assumed_observation_matrix=[[0.8, 0.2], [0.2, 0.8]]
    )
    runs = simulate(society, 1, 50_000, keep=("public_beliefs",), rng=np.random.default_rng(1))
    drift = runs.public_beliefs[:, 1, 0] - 0.6
    assert abs(drift.mean()) > 6 * drift.std() / np.sqrt(drift.size)


def herding_hypotheses_hold(society):
    """One best action in each state, no two actions equal in any state, rows of B linearly independent."""
    utility = np.sort(society.utility, axis=1)
    independent = np.linalg.matrix_rank(society.observation_matrix) == society.prior.size
    return independent and (np.diff(utility, axis=1) > 0).all()


@settings(derandomize=True, deadline=None, max_examples=40)
@given(society=societies(moving=False, wrong=False, positive=True))
def test_agents_herd_in_finite_time(society):
    """Fixed state, B > 0, one best action at each vertex, rows of B independent: every run ends in a cascade."""
    assume(herding_hypotheses_hold(society))
    runs = simulate(society, 4_000, 200, keep=(), rng=np.random.default_rng(4))
    assert (runs.cascade_start >= 0).all()


def test_no_herd_when_signals_say_nothing():
    """Counter-instance to B's rows differing: beliefs never move and indifferent agents follow noise for ever."""
    society = SocialLearning([[0.5, 0.5], [0.5, 0.5]], np.eye(2), [0.5, 0.5])
    runs = simulate(society, 400, 50, rng=np.random.default_rng(0))
    assert (runs.cascade_start == -1).all()
    assert (runs.actions == runs.observations).all()
    assert (runs.public_beliefs == 0.5).all()


def test_no_herd_when_two_best_actions_stay_tied():
    """Counter-instance to the ties: no signal moves the odds of {0, 2} against 1, so the coin is tossed for ever."""
    society = SocialLearning(
        [[0.8, 0.2], [0.5, 0.5], [0.2, 0.8]], [[1, 0], [0, 1], [1, 0]], [0.25, 0.5, 0.25], tie_break="random"
    )
    law = exact_law(society, 60)
    assert law.cascade_probability == pytest.approx(np.zeros(60), abs=1e-15)
    assert law.correct_action_probability == pytest.approx(np.full(60, 0.5), abs=1e-12)


def test_two_copies_of_a_safe_action_stay_tied():
    """Counter-instance with two states: rows of B differ, yet between two copies of one action the coin never stops."""
    utility = [[1, 0.8, 0.8, 0], [0, 0.8, 0.8, 1]]
    society = SocialLearning([[0.7, 0.3], [0.3, 0.7]], utility, [0.5, 0.5], tie_break="random")
    assert exact_law(society, 40).cascade_probability == pytest.approx(np.zeros(40), abs=1e-15)
    single = SocialLearning([[0.7, 0.3], [0.3, 0.7]], np.delete(utility, 2, axis=1), [0.5, 0.5], tie_break="random")
    assert exact_law(single, 40).cascade_probability[0] == 1


def test_a_zero_in_each_row_breaks_every_wrong_herd():
    """Counter-instance to B > 0: any herd is broken by the signal that rules its state out."""
    society = SocialLearning([[0.6, 0.4, 0.0], [0.0, 0.4, 0.6]], np.eye(2), [0.7, 0.3], tie_break="first")
    law = exact_law(society, 200)
    assert law.correct_action_probability[-1] == pytest.approx(1, abs=1e-9)
    assert law.correct_cascade_probability == pytest.approx(law.cascade_probability[-1], abs=1e-12)
    # In state 0 everybody takes action 0 and no cascade ever starts: a herd without a cascade, possible with zeros.
    assert law.cascade_probability[-1] == pytest.approx(0.3, abs=1e-9)


def test_one_zero_breaks_only_the_herds_it_contradicts():
    """Signal 1 comes in state 0 only: nobody herds wrongly on action 1, yet a herd on action 0 can be wrong."""
    matrix = [[0.7, 0.3], [1.0, 0.0]]
    wrong_on_zero = exact_law(SocialLearning(matrix, np.eye(2), [0.6, 0.4], tie_break="first"), 50)
    # .4 < .7/1.7: the first agent already takes action 0 whatever it sees, and is wrong in state 1.
    assert wrong_on_zero.cascade_probability[0] == 1
    assert wrong_on_zero.correct_cascade_probability == pytest.approx(0.6, abs=1e-12)
    never_wrong_on_one = exact_law(SocialLearning(matrix, np.eye(2), [0.5, 0.5], tie_break="first"), 400)
    assert never_wrong_on_one.correct_cascade_probability == pytest.approx(never_wrong_on_one.cascade_probability[-1])


@settings(derandomize=True, deadline=None, max_examples=60)
@given(society=societies(moving=False, wrong=False, positive=True))
def test_belief_stops_in_a_cascade(society):
    """From the onset on the public belief does not move and everybody takes one action; replayed by a plain loop."""
    assume(society.tie_break != "random")
    rng = np.random.default_rng(6)
    for _ in range(5):
        state = rng.choice(society.prior.size, p=society.prior)
        signals = rng.choice(society.observation_matrix.shape[1], 40, p=society.observation_matrix[state])
        actions, beliefs, start = replay(society, signals)
        if start >= 0:
            assert beliefs[start:] == pytest.approx(np.broadcast_to(beliefs[start], beliefs[start:].shape), abs=1e-12)
            assert (actions[start:] == actions[start]).all()
        for k in range(40 if start < 0 else start):  # before it, each agent's signal can still change its action
            laws = best_by_signal(beliefs[k], society.observation_matrix, society.utility, society.tie_break)
            assert len({law.index(1.0) for law in laws}) > 1


def test_a_moving_state_breaks_herds():
    """Counter-instance to the fixed state: beliefs drift back while everybody herds, and the herd ends."""
    society = SocialLearning(
        [[0.7, 0.3], [0.3, 0.7]], np.eye(2), [0.5, 0.5], transition_matrix=[[0.97, 0.03], [0.03, 0.97]]
    )
    runs = simulate(society, 400, 300, rng=np.random.default_rng(8))
    assert (runs.cascade_start >= 0).all()
    for actions, start, herd in zip(runs.actions, runs.cascade_start, runs.cascade_action, strict=True):
        assert (actions[start:] != herd).any()
    assert exact_law(society, 20).cascade_probability[-1] < 0.95


def test_a_herd_can_be_permanent_although_the_state_moves():
    """The stationary law (1/6, 5/6) lies inside the region of action 1, so a herd on it never ends."""
    society = SocialLearning(
        [[0.6, 0.4], [0.4, 0.6]], np.eye(2), [0.5, 0.5], transition_matrix=[[0.5, 0.5], [0.1, 0.9]]
    )
    low, high = cascade_region(society, 1).interval
    assert low < 5 / 6 < high
    runs = simulate(society, 300, 200, rng=np.random.default_rng(8))
    herding = runs.cascade_action == 1
    assert herding.any()
    for actions, start in zip(runs.actions[herding], runs.cascade_start[herding], strict=True):
        assert (actions[start:] == 1).all()


def test_zeros_break_wrong_herds_of_three_states_too():
    """Counter-instance to B > 0: each state rules one signal out, and every wrong herd meets its own."""
    matrix = [[0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0, 0.5]]
    zeros = exact_law(SocialLearning(matrix, np.eye(3), [0.5, 0.3, 0.2], tie_break="first"), 120)
    assert zeros.correct_action_probability[-1] == pytest.approx(1, abs=1e-9)
    positive = SocialLearning(0.9 * np.array(matrix) + 0.1 / 3, np.eye(3), [0.5, 0.3, 0.2], tie_break="first")
    assert exact_law(positive, 120).correct_action_probability[-1] < 0.99


def test_mixed_lines_settle_in_finite_time():
    """Every kind meets the hypotheses of herding: the line is settled."""
    rng = np.random.default_rng(14)
    for _ in range(15):
        n_states, kinds = int(rng.integers(2, 4)), []
        prior = rng.dirichlet(np.full(n_states, 3))
        for _ in range(2):
            rows = 0.5 * rng.dirichlet(np.ones(3), n_states) + 0.5 * np.eye(n_states, 3)
            kinds.append(SocialLearning(rows, rng.normal(size=(n_states, 2)), prior, tie_break="random"))
            assert herding_hypotheses_hold(kinds[-1])
        runs = simulate(MixedLine(kinds, [0, 0, 1]), 3_000, 100, keep=(), rng=np.random.default_rng(4))
        assert (runs.cascade_start >= 0).all()


def test_a_kind_that_never_settles_keeps_the_line_unsettled():
    """Counter-instance: indifferent agents among the others follow noise for ever, and the line has no onset."""
    prior = [0.5, 0.5]
    plain = SocialLearning([[0.7, 0.3], [0.3, 0.7]], np.eye(2), prior)
    law = exact_law(MixedLine([plain, SocialLearning(plain.observation_matrix, np.ones((2, 2)), prior)], [0, 1]), 60)
    assert law.undecided_mass > 0.999
    assert law.cascade_probability[-1] == 0  # the last agent is of the other kind


def test_actions_that_reveal_the_posterior_learn_the_truth():
    """Counter-instance to finitely many actions: whoever shows its posterior shows its signal, and nobody is lost."""
    matrix = [[0.7, 0.3], [0.3, 0.7]]
    certain = []
    for k in (10, 100, 400):
        law = repeated_observations(matrix, k)  # after k such agents everybody knows k signals
        believed = law[1] / law.sum(axis=0)
        certain.append(law[1][believed > 0.99].sum())
    assert certain[0] < 0.9 < certain[1]
    assert certain[2] > 1 - 1e-9
    wrong = []
    for n_actions in (2, 5, 9, 17, 65, 257):  # quadratic loss on finer and finer grids of estimates
        estimates = np.linspace(0, 1, n_actions)
        utility = -np.stack([estimates**2, (1 - estimates) ** 2])
        law = exact_law(SocialLearning(matrix, utility, [0.5, 0.5], tie_break="first"), 300)
        assert law.cascade_probability[-1] == pytest.approx(1, abs=1e-6)  # each grid herds
        wrong.append(1 - law.correct_action_probability[-1])
    assert (np.diff(wrong) < 0).all()
    assert wrong[-1] < 1e-3


def three_states(transition, tie_break="signal"):
    matrix = np.full((3, 3), 0.2) + 0.4 * np.eye(3)
    return SocialLearning(matrix, np.eye(3), np.full(3, 1 / 3), transition_matrix=transition, tie_break=tie_break)


def longest_herd(society):
    """The bound of the theorem: Dobrushin's coefficient against the distance of the stationary law from each region."""
    transition = society.transition_matrix
    contraction = max(np.abs(one - other).sum() / 2 for one in transition for other in transition)
    stationary = np.linalg.matrix_power(transition, 10_000)[0]
    bound = 0
    for action in range(society.utility.shape[1]):
        spaces = cascade_region(society, action).half_spaces
        beyond = (spaces @ stationary / np.abs(spaces).max(axis=1)).max()
        assert beyond > 0
        bound = max(bound, int(np.ceil(np.log(beyond / 2) / np.log(contraction))))
    return bound


def test_herds_of_a_moving_state_end_within_the_bound():
    """P contracts, its stationary law is outside the closure of every region: no herd is longer than the bound."""
    rng, longest = np.random.default_rng(12), 0
    for _ in range(60):
        society = three_states(0.3 * rng.dirichlet(np.full(3, 2), 3) + 0.7 * np.eye(3))
        stationary = np.linalg.matrix_power(society.transition_matrix, 10_000)[0]
        if any((cascade_region(society, a).half_spaces @ stationary <= 1e-6).all() for a in range(3)):
            continue
        bound = longest_herd(society)
        for belief in [*np.eye(3), *rng.dirichlet(np.full(3, 0.3), 20)]:
            length = herd_length(society, belief)
            assert length <= bound
            longest = max(longest, length)
    assert longest > 2


def test_a_herd_of_three_states_can_be_permanent():
    """Counter-instance: a state that mostly returns to 0; its stationary law lies inside the region of action 0."""
    society = three_states([[0.96, 0.02, 0.02], [0.3, 0.7, 0.0], [0.3, 0.0, 0.7]])
    stationary = np.linalg.matrix_power(society.transition_matrix, 10_000)[0]
    assert cascade_region(society, 0).contains(stationary)
    assert herd_length(society, stationary) == inf
    runs = simulate(society, 200, 100, rng=np.random.default_rng(3))
    moved_on = (runs.states[:, 100:] != runs.states[:, [100]]).any(axis=1)
    stuck = (runs.actions[:, 100:] == 0).all(axis=1)
    assert (moved_on & stuck).any()


def test_two_states_with_positive_determinant():
    """X = 2, det P >= 0: a herd is permanent exactly if the stationary law lies in the closure of its region."""
    rng, permanent = np.random.default_rng(13), 0
    for _ in range(300):
        low, high = np.sort(rng.uniform(0, 1, 2))
        transition = [[1 - low, low], [1 - high, high]]
        q, belief = rng.uniform(0.55, 0.9), rng.uniform(0, 1)
        society = SocialLearning([[q, 1 - q], [1 - q, q]], np.eye(2), [0.5, 0.5], transition_matrix=transition)
        length = herd_length(society, [1 - belief, belief])
        if length == 0:
            continue
        predicted = (1 - belief) * low + belief * high
        edge = cascade_region(society, int(predicted > 0.5)).interval
        stationary = low / (1 - high + low)
        assert (length == inf) == (edge[0] <= stationary <= edge[1])
        permanent += length == inf
    assert 20 < permanent < 280


def test_a_negative_determinant_ends_the_herd():
    """Counter-instance: the state changes sides nearly every time, so a herd inside the region jumps out of it."""
    society = SocialLearning(
        [[0.55, 0.45], [0.45, 0.55]], np.eye(2), [0.5, 0.5], transition_matrix=[[0, 1], [0.8, 0.2]]
    )
    low, high = cascade_region(society, 1).interval
    assert low < 1 / 1.8 < high
    assert herd_length(society, [0.85, 0.15]) == 1
    assert herd_length(society, [1 - 1 / 1.8, 1 / 1.8]) == inf


def test_dropped_mass_brackets_a_moving_state():
    """Nothing merges when the state moves: few beliefs give a bracket, and it holds the law of all of them."""
    society = three_states(0.1 * np.full((3, 3), 1 / 3) + 0.9 * np.eye(3), "random")
    full, few = exact_law(society, 12), exact_law(society, 12, max_beliefs=60, tolerance=1)
    assert full.dropped_mass < 1e-12 < 0.01 < few.dropped_mass < 0.5
    for name in ("cascade_probability", "correct_action_probability"):
        low, truth = getattr(few, name), getattr(full, name)
        assert (low <= truth + 1e-12).all()
        assert (truth <= low + few.dropped_mass + 1e-12).all()
    with pytest.raises(ValueError, match=r"`max_beliefs` must be large enough.*or use `simulate`"):
        exact_law(society, 12, max_beliefs=60)
