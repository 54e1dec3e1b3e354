"""Bandits: exact law against listing, simulation and social learning; what freezes a line, and what cures it."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from many_agents.reference_bandits import bandit_lines, brute_force, outcomes, replay
from strategies import distributions, societies

from llma_tutorial.many_agents import social
from llma_tutorial.many_agents.bandits import BanditLine, exact_law, private_pulls, simulate

OLD_AND_NEW = [[0.5, 0.3], [0.5, 0.7]]  # a known product, and a new one that is worse in state 0 and better in state 1


@settings(derandomize=True, deadline=None, max_examples=120)
@given(line=bandit_lines())
def test_exact_law_equals_listing(line):
    arms, frozen, stuck, mean, _ = brute_force(line, 4)
    law = exact_law(line, 4)
    assert law.arm_probability == pytest.approx(arms, abs=1e-12)
    assert law.frozen_probability == pytest.approx(frozen, abs=1e-12)
    assert law.stuck_probability == pytest.approx(stuck, abs=1e-12)
    assert law.expected_belief == pytest.approx(mean, abs=1e-9)
    assert law.dropped_mass == pytest.approx(0, abs=1e-12)
    best = line.arm_rates.max(axis=1)
    assert law.regret == pytest.approx(best - (arms * line.arm_rates).sum(axis=2), abs=1e-12)
    assert law.best_arm_probability == pytest.approx((arms * line.best).sum(axis=2), abs=1e-12)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(line=bandit_lines())
def test_public_belief_is_a_martingale(line):
    """Averaged over states and histories, agents believe the prior for ever."""
    law = exact_law(line, 6, max_beliefs=10_000)
    average = np.einsum("x,kxi->ki", line.prior, law.expected_belief)
    assert average == pytest.approx(np.broadcast_to(line.prior, average.shape), abs=1e-9)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(line=bandit_lines())
def test_simulation_agrees_with_the_exact_law(line):
    """Largest |z| over agents, arms and states below the Bonferroni bound at 1e-4 for 25 lines of six agents."""
    n_runs = 3_000
    law = exact_law(line, 6)
    for state in range(line.prior.size):
        runs = simulate(line, 6, n_runs, state=state, rng=np.random.default_rng(5))
        for arm in range(line.arm_rates.shape[1]):
            exact = law.arm_probability[:, state, arm]
            spread = np.sqrt(np.clip(exact * (1 - exact), 0, None) / n_runs)
            assert (np.abs((runs.actions == arm).mean(axis=0) - exact) <= 5.2 * spread + 1e-9).all()
        exact = law.expected_belief[-1, state]
        spread = runs.public_beliefs[:, 5].std(axis=0) / np.sqrt(n_runs)
        assert (np.abs(runs.public_beliefs[:, 5].mean(axis=0) - exact) <= 5.2 * spread + 1e-9).all()
        paid = runs.rewards.mean() - line.arm_rates[state, runs.actions].mean()
        assert abs(paid) <= 5 * np.sqrt(0.25 / runs.rewards.size)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(line=bandit_lines())
def test_every_simulated_run_replays(line):
    """Signals, arms and rewards in; beliefs out; and nobody does what its rule forbids."""
    runs = simulate(line, 6, 10, rng=np.random.default_rng(3))
    for run in range(10):
        beliefs, chances = replay(line, runs.observations[run], runs.actions[run], runs.rewards[run])
        assert runs.public_beliefs[run] == pytest.approx(beliefs, abs=1e-9)
        assert (chances > 0).all()


def test_the_seed_decides_what_happens():
    line = BanditLine(OLD_AND_NEW, [0.4, 0.6], exploration=0.2)
    first, again = (simulate(line, 30, 50, rng=np.random.default_rng(7)) for _ in range(2))
    assert (first.actions == again.actions).all()
    assert (first.rewards == again.rewards).all()
    drawn = simulate(line, 1, 20_000, rng=np.random.default_rng(1)).states.mean()
    assert drawn == pytest.approx(0.6, abs=5 * np.sqrt(0.24 / 20_000))


def as_bandit(society):
    """The same society as a line of agents at a bandit who see actions only, and payoffs scaled to rates."""
    low, high = society.utility.min(), society.utility.max()
    rates = (society.utility - low) / (high - low)
    return BanditLine(rates, society.prior, society.observation_matrix, sees="actions", tie_break=society.tie_break)


@settings(derandomize=True, deadline=None, max_examples=80)
@given(society=societies(moving=False, wrong=False))
def test_a_line_that_sees_actions_is_social_learning(society):
    """Second route: the law of `social.exact_law`, written and tested without bandits."""
    assume(np.ptp(society.utility) > 0)
    line = as_bandit(society)
    law, other = exact_law(line, 8), social.exact_law(social.SocialLearning(
        society.observation_matrix, line.arm_rates, society.prior, tie_break=society.tie_break), 8)  # fmt: skip
    assert law.best_arm_probability @ line.prior == pytest.approx(other.correct_action_probability, abs=1e-10)
    # In a cascade nothing moves the belief. The converse needs signals and ties that say something.
    assert (law.frozen_probability @ line.prior >= other.cascade_probability - 1e-10).all()


@settings(derandomize=True, deadline=None, max_examples=80)
@given(society=societies(moving=False, wrong=False))
def test_exploration_leaves_cascade_regions_as_they_are(society):
    """Actions only: a prior in a cascade region is frozen, however many explore."""
    assume(np.ptp(society.utility) > 0)
    regions = [social.cascade_region(society, action) for action in range(society.utility.shape[1])]
    assume(any(region.contains(society.prior) for region in regions))
    for explore in (0.0, 0.4):
        law = exact_law(dataclasses.replace(as_bandit(society), exploration=explore), 5)
        assert law.frozen_probability == pytest.approx(1)
        assert law.expected_belief == pytest.approx(np.broadcast_to(society.prior, law.expected_belief.shape))


def test_the_symmetric_society_as_a_bandit():
    """P(correct cascade) = q^2 / (q^2 + (1-q)^2), and everybody else is stuck."""
    line = BanditLine(np.eye(2), [0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]], sees="actions", tie_break="signal")
    law = exact_law(line, 300)
    assert law.frozen_probability[:5, 0].round(4).tolist() == [0, 0, 0.58, 0.58, 0.8236]
    assert law.stuck_probability[-1] == pytest.approx([0.09 / 0.58] * 2, abs=1e-12)
    assert law.n_beliefs <= 5


# What freezes a line


@pytest.mark.parametrize(("q", "old", "prior", "m"), [
    (0.7, 0.5, 0.6, 1), (0.7, 0.5, 0.75, 2), (0.7, 0.55, 0.95, 3), (0.6, 0.5, 0.65, 2), (0.8, 0.35, 0.9, 3),
])  # fmt: skip
def test_gamblers_ruin(q, old, prior, m):
    """A mirrored new arm: P(stuck | it is good) = ((1-q)/q)^m with m the failures, net, that discourage for ever."""
    threshold = (old - (1 - q)) / (2 * q - 1)  # the belief at which both arms are equally good
    odds = [prior / (1 - prior) * ((1 - q) / q) ** failures for failures in (m - 1, m)]
    assert odds[0] > threshold / (1 - threshold) > odds[1]
    law = exact_law(BanditLine([[old, 1 - q], [old, q]], [1 - prior, prior]), 900)
    assert law.stuck_probability[-1, 1] == pytest.approx(((1 - q) / q) ** m, abs=1e-9)
    assert law.frozen_probability[-1] == pytest.approx([1, ((1 - q) / q) ** m], abs=1e-9)
    # Wald: if it is bad, m / (2q - 1) agents buy it before the last one does, and each forgoes old - (1 - q).
    assert law.regret[:, 0].sum() == pytest.approx((old - (1 - q)) * m / (2 * q - 1), abs=1e-9)


@st.composite
def old_against_new(draw):
    """Two states; arm 0 pays the same in both, is the only best one in state 0 and not best in state 1; B > 0."""
    flat, n_new = draw(st.integers(2, 8)), draw(st.integers(1, 2))
    worse = [draw(st.integers(1, flat - 1)) for _ in range(n_new)]
    better = [draw(st.integers(flat + 1, 9))] + [draw(st.integers(1, 9)) for _ in range(n_new - 1)]
    matrix = [draw(distributions(2, True)) for _ in range(2)] if draw(st.booleans()) else None
    rates = np.array([[flat, *worse], [flat, *better]]) / 10
    return BanditLine(rates, draw(distributions(2, True)), matrix, tie_break=draw(st.sampled_from(["first", "random"])))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(line=old_against_new())
def test_myopic_lines_get_stuck(line):
    """In state 1 some lines stay at arm 0 for ever, whatever the prior; in state 0 nobody is stuck."""
    alone = line.observation_matrix.shape[1] == 1
    law = exact_law(line, 60 if alone else 20, max_beliefs=20_000, tolerance=1e-4)
    assert law.stuck_probability[-1, 1] > 1e-12
    assert law.stuck_probability[:, 0] == pytest.approx(0, abs=1e-12)
    assert (np.diff(law.stuck_probability[:, 1]) >= -1e-12).all()  # once stuck, for ever


def test_an_arm_that_cannot_fail_is_never_given_up():
    """Counter-instance to rates inside (0, 1): in state 1 the new arm always pays, so bad luck never comes."""
    law = exact_law(BanditLine([[0.5, 0.3], [0.5, 1.0]], [0.4, 0.6]), 100)
    assert law.stuck_probability == pytest.approx(0, abs=1e-12)
    assert law.best_arm_probability[:, 1] == pytest.approx(1)


def test_a_signal_that_rules_a_state_out_frees_the_line():
    """Counter-instance to B > 0: somebody sooner or later knows that the new arm is good, and everybody sees that."""
    line = BanditLine(OLD_AND_NEW, [0.6, 0.4], [[0.5, 0.5, 0.0], [0.3, 0.5, 0.2]])
    law = exact_law(line, 150)
    assert law.stuck_probability == pytest.approx(0, abs=1e-12)
    assert law.best_arm_probability[-1, 1] > 1 - 1e-9


def affinities(line):
    """For each pair of states and each arm: sum over rewards of the root of the product of their chances."""
    rates = line.arm_rates
    return np.sqrt(rates[:, None] * rates[None]) + np.sqrt((1 - rates[:, None]) * (1 - rates[None]))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(line=bandit_lines(sees="rewards", inside=True))
def test_roots_of_odds_shrink_by_what_is_explored(line):
    """E_x sqrt(pi_k(i)/pi_x) is at most its start times prod (1 - eps_j c), c the mean over arms of 1 - affinity."""
    roots = brute_force(line, 4)[4]
    shrink = (1 - affinities(line)).mean(axis=2)
    for k, x, i in itertools.product(range(4), range(line.prior.size), range(line.prior.size)):
        explored = np.broadcast_to(line.exploration, 6)[:k] if line.exploration.ndim == 0 else line.exploration[:k]
        bound = np.sqrt(line.prior[i] / line.prior[x]) * np.prod(1 - explored * shrink[x, i])
        assert roots[k, x, i] <= bound + 1e-9


@settings(derandomize=True, deadline=None, max_examples=60)
@given(line=bandit_lines(sees="rewards", policy="myopic", inside=True))
def test_lines_learn_if_every_arm_tells(line):
    """No exploration, but each arm's rate differs between any two states: the root of the odds shrinks at each pull."""
    rates = line.arm_rates
    others = ~np.eye(len(rates), dtype=bool)
    assume((rates[:, None] != rates[None])[others].all())
    myopic = BanditLine(rates, line.prior, line.observation_matrix, tie_break="first")
    roots, worst = brute_force(myopic, 4)[4], affinities(myopic).max(axis=2)
    for k, x, i in itertools.product(range(4), range(len(rates)), range(len(rates))):
        assert roots[k, x, i] <= np.sqrt(line.prior[i] / line.prior[x]) * worst[x, i] ** k + 1e-9


def test_mirrored_arms_tell_and_nobody_is_stuck():
    law = exact_law(BanditLine([[0.7, 0.3], [0.3, 0.7]], [0.5, 0.5]), 800)
    assert law.best_arm_probability[-1] == pytest.approx([1, 1], abs=1e-6)
    assert law.n_beliefs < 1700  # a success of one arm undoes a success of the other: one count is enough


# What cures it


def test_exploration_for_ever_cures():
    law = exact_law(BanditLine(OLD_AND_NEW, [0.7, 0.3], exploration=0.1), 900)
    assert law.frozen_probability == pytest.approx(0, abs=1e-12)
    assert np.diagonal(law.expected_belief[-1]) == pytest.approx([1, 1], abs=5e-3)
    # Its price is for ever as well: half of the explorers pull the worse arm, which pays .2 less.
    assert law.regret[-1] == pytest.approx([0.1 / 2 * 0.2] * 2, abs=1e-3)
    never = exact_law(BanditLine(OLD_AND_NEW, [0.7, 0.3]), 900)
    assert never.stuck_probability[-1, 1] == 1


def test_exploration_that_dies_out_slowly_cures_and_that_dies_out_fast_does_not():
    """Sum of eps_k infinite against finite."""
    agents = np.arange(1_200)
    slow, fast = (
        exact_law(BanditLine(OLD_AND_NEW, [0.7, 0.3], exploration=eps), 1_200).best_arm_probability[:, 1]
        for eps in (np.minimum(1, 8 / (agents + 1)), 0.5 ** (agents + 1))
    )
    assert slow[-1] > slow[300] > slow[100] > fast[-1] + 0.4
    assert slow[-1] > 0.95
    # Never to have met an explorer at the new arm has probability prod (1 - eps_k / 2), and then nobody buys it.
    assert 1 - fast[-1] >= np.prod(1 - 0.5 ** (agents + 1) / 2)
    assert fast[-1] == pytest.approx(fast[100], abs=1e-6)


def test_known_explorers_are_exploration_too():
    """Entries 0 and 1: agents 0, 1, 4, 9, ... are paid to draw an arm, everybody knows it, and the line learns."""
    paid = np.isin(np.arange(900), np.arange(30) ** 2).astype(float)
    law = exact_law(BanditLine(OLD_AND_NEW, [0.7, 0.3], exploration=paid), 900)
    ordinary = law.best_arm_probability[paid == 0, 1]
    assert law.best_arm_probability[paid == 1] == pytest.approx(0.5)
    assert ordinary[0] == pytest.approx(0.35**2)  # agent 2 needs two explorers at the new arm, and two successes
    assert ordinary[-1] > 0.85
    assert law.stuck_probability[3, 1] > 0.9  # between two explorers nearly everything stands still
    assert law.stuck_probability[paid == 1] == pytest.approx(0, abs=1e-12)


def test_exploration_is_no_cure_if_rewards_are_not_seen():
    """Counter-instance: trembling hands leave the region of a cascade as it is, so lines freeze, and often wrongly."""
    for explore in (0.0, 0.05, 0.3):
        how = {"sees": "actions", "tie_break": "first", "exploration": explore}
        line = BanditLine(np.eye(2), [0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]], **how)
        law = exact_law(line, 400)
        assert law.frozen_probability[-1] == pytest.approx([1, 1], abs=1e-6)
        wrong = 1 - (law.best_arm_probability[-1] - explore / 2) / (1 - explore)
        assert (wrong > 0.05).any()


@settings(derandomize=True, deadline=None, max_examples=60)
@given(line=bandit_lines(inside=True))
def test_the_truth_never_loses_all_belief(line):
    """1 / pi_k(x) is a martingale under x when every outcome can come from x: the lemma under Thompson's rule."""
    for x in range(line.prior.size):
        after = sum(chance[x] / belief[x] for _, _, chance, belief in outcomes(line, line.prior.tolist(), 0))
        assert after <= 1 / line.prior[x] + 1e-9


def test_thompson_learns_and_stops_paying():
    line = BanditLine(OLD_AND_NEW, [0.7, 0.3], policy="thompson")
    law = exact_law(line, 900)
    assert law.frozen_probability == pytest.approx(0, abs=1e-12)
    assert (law.best_arm_probability[-1] > 0.99).all()
    assert (law.regret[-1] < 2e-3).all()
    three = BanditLine([[0.5, 0.3, 0.2], [0.5, 0.7, 0.2], [0.5, 0.3, 0.8]], [0.6, 0.2, 0.2], policy="thompson")
    runs = simulate(three, 2_000, 300, rng=np.random.default_rng(2))
    assert (runs.actions[:, -1] == three.arm_rates.argmax(axis=1)[runs.states]).mean() > 0.97
    myopic = BanditLine(three.arm_rates, three.prior)
    assert exact_law(myopic, 50).best_arm_probability[-1].tolist() == [1, 0, 0]


def test_thompson_learns_nothing_where_nothing_is_seen():
    """Counter-instance: no signal and no rewards. With signals its choices never stop telling, rewards or not."""
    blind = exact_law(BanditLine(OLD_AND_NEW, [0.7, 0.3], policy="thompson", sees="actions"), 50)
    assert blind.best_arm_probability == pytest.approx(np.tile([0.7, 0.3], (50, 1)))
    assert (blind.frozen_probability == 1).all()
    matrix = [[0.7, 0.3], [0.3, 0.7]]
    soft = BanditLine(np.eye(2), [0.5, 0.5], matrix, sees="actions", policy="thompson")
    runs = simulate(soft, 2_000, 400, state=1, rng=np.random.default_rng(4))
    assert (runs.public_beliefs[:, -1, 1] > 0.9).mean() > 0.9
    herd = exact_law(BanditLine(np.eye(2), [0.5, 0.5], matrix, sees="actions", tie_break="first"), 200)
    assert herd.best_arm_probability[-1].mean() < 0.76


# Boundaries


def test_private_pulls_equal_listing():
    rates, n = np.array([[0.5, 0.3], [0.2, 0.9]]), 2
    law = np.zeros((2, 3, 3))
    for pulls in itertools.product((0, 1), repeat=2 * n):
        for x, (first, second) in enumerate(rates):
            chance = np.prod([r if paid else 1 - r for r, paid in zip([first] * n + [second] * n, pulls, strict=True)])
            law[x, sum(pulls[:n]), sum(pulls[n:])] += chance
    assert private_pulls(rates, n) == pytest.approx(law.reshape(2, 9), abs=1e-12)


def test_what_is_dropped_is_a_bracket():
    line = BanditLine([[0.45, 0.3], [0.5, 0.7]], [0.4, 0.6], exploration=0.2)
    full, cut = exact_law(line, 40), exact_law(line, 40, max_beliefs=300, tolerance=0.9)
    assert cut.n_beliefs == 300 < full.n_beliefs
    assert (cut.dropped_mass > 1e-6).all()
    gap = full.arm_probability - cut.arm_probability
    assert (gap >= -1e-12).all()
    assert (gap.sum(axis=2) <= cut.dropped_mass + 1e-12).all()
    with pytest.raises(ValueError, match="`max_beliefs` must be large enough to drop less than `tolerance` = 1e-06"):
        exact_law(line, 40, max_beliefs=300)


@pytest.mark.parametrize(("change", "message"), [
    ({"prior": [1.0, 0.0]}, r"`prior` must be positive in every state. Got 0 in state 1"),
    ({"prior": [0.5, 0.6]}, r"`prior` must sum to 1"),
    ({"arm_rates": [[0.5, 1.3], [0.5, 0.7]]}, r"`arm_rates` must hold probabilities, from 0 to 1. Got 1.3"),
    ({"arm_rates": [[0.5, 0.3]]}, r"`arm_rates` must have shape \(2, any\)"),
    ({"exploration": -0.1}, r"`exploration` must hold probabilities, from 0 to 1. Got -0.1"),
    ({"exploration": [[0.1]]}, r"`exploration` must have shape \(any\)"),
    ({"observation_matrix": [[0.7, 0.4], [0.3, 0.7]]}, r"`observation_matrix` must sum to 1 in every row"),
    ({"sees": "choices"}, r'`sees` must be one of "rewards", "actions"'),
    ({"policy": "greedy"}, r'`policy` must be one of "myopic", "thompson"'),
    ({"tie_break": "signal"}, r'`tie_break` must be "first" or "random" unless there is one action for each signal'),
    ({"tie_break": "first", "policy": "thompson"}, r"`tie_break` must be None where agents choose by Thompson's rule"),
])  # fmt: skip
def test_malformed_lines_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        BanditLine(**{"arm_rates": OLD_AND_NEW, "prior": [0.4, 0.6], **change})


def test_ties_go_by_the_rule_of_the_book_unless_named():
    assert BanditLine(OLD_AND_NEW, [0.4, 0.6]).tie_break == "first"
    assert BanditLine(OLD_AND_NEW, [0.4, 0.6], [[0.7, 0.3], [0.3, 0.7]]).tie_break == "signal"
    assert BanditLine(OLD_AND_NEW, [0.4, 0.6], policy="thompson").tie_break is None


def test_malformed_calls_are_refused():
    line = BanditLine(OLD_AND_NEW, [0.4, 0.6], exploration=[0.1] * 5)
    for call in (exact_law, lambda line, n: simulate(line, n, 10, rng=np.random.default_rng(0))):
        with pytest.raises(
            ValueError, match=r"`exploration` must be one number, or hold one for each agent. Got 5 for 6"
        ):
            call(line, 6)
    with pytest.raises(TypeError, match=r"`rng` must be a numpy Generator"):
        simulate(line, 5, 10, rng=3)
    with pytest.raises(ValueError, match=r"`state` must be a whole number from 0 to 1. Got 2"):
        simulate(line, 5, 10, state=2, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="read-only"):
        line.arm_rates[0, 0] = 0.9
