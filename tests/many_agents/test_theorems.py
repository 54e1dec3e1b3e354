"""Theorems of social learning: hypothesis and conclusion on random instances, failure where a hypothesis is dropped."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from reference import best_by_signal, next_public, replay
from strategies import societies

from llma_tutorial.many_agents.social import SocialLearning, cascade_region, exact_law, simulate


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
    laws, factors = laws_and_factors(society)
    chance = society.prior @ factors
    after = {
        a: next_public(society.prior.tolist(), society.observation_matrix, laws, a) for a in np.flatnonzero(chance)
    }
    assert sum(chance[a] * np.array(belief) for a, belief in after.items()) == pytest.approx(society.prior, abs=1e-12)
    for x in np.flatnonzero((factors > 0).all(axis=1)):
        ratio = sum(factors[x, a] * np.array(belief) / belief[x] for a, belief in after.items())
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
