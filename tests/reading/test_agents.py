"""Observation matrices with their uncertainty, agents that show their working, and what the engine chapter proves."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading.oracle import Oracle, true_answers
from scipy.stats import beta, binom

from llma_tutorial.beliefs import filter_step
from llma_tutorial.reading.agents import Agent, NaiveBayes, Sensor, estimate_observation_matrix, fit_counts
from llma_tutorial.reading.corpora import generate, world
from llma_tutorial.reading.models import classroom

STATES = np.repeat([0, 1], [40, 60])
SYMBOLS = np.concatenate([np.repeat([0, 1, 2], [30, 10, 0]), np.repeat([0, 1, 2], [6, 24, 30])])


def test_posterior_mean_and_interval_are_those_of_a_beta():
    estimate = estimate_observation_matrix(STATES, SYMBOLS, 2, 3, pseudocount=0.5)
    assert estimate.counts.tolist() == [[30, 10, 0], [6, 24, 30]]
    assert estimate.mean == pytest.approx(np.array([[30.5, 10.5, 0.5], [6.5, 24.5, 30.5]]) / [[41.5], [61.5]])
    low, high = estimate.interval(0.9)
    # scipy.stats is the second route; the estimate inverts the incomplete beta function itself.
    assert low[1, 2] == pytest.approx(beta(30.5, 31).ppf(0.05), abs=1e-10)
    assert high[0, 2] == pytest.approx(beta(0.5, 41).ppf(0.95), abs=1e-10)


def test_draws_have_the_posterior_moments_and_rows_that_sum_to_one():
    estimate = estimate_observation_matrix(STATES, SYMBOLS, 2, 3)
    draws = estimate.sample(20_000, rng=np.random.default_rng(3))
    assert draws.sum(axis=2) == pytest.approx(np.ones((20_000, 2)))
    spread = np.sqrt(estimate.mean * (1 - estimate.mean) / (estimate.counts.sum(axis=1, keepdims=True) + 2.5))
    assert (np.abs(draws.mean(axis=0) - estimate.mean) < 5 * spread / np.sqrt(20_000)).all()
    assert draws.std(axis=0) == pytest.approx(spread, rel=0.05)


def test_intervals_cover_as_they_say():
    """95 % intervals of a known matrix, 40 texts per state: coverage over 2,000 samples, averaged over the truth."""
    rng = np.random.default_rng(12)
    covered = []
    for _ in range(2_000):
        truth = rng.dirichlet([1, 1, 1], 2)  # drawn from the prior, where Bayesian coverage is exact
        symbols = np.concatenate([rng.choice(3, 40, p=row) for row in truth])
        low, high = estimate_observation_matrix(np.repeat([0, 1], 40), symbols, 2, 3, pseudocount=1).interval()
        covered.append(((low <= truth) & (truth <= high)).mean())
    assert np.mean(covered) == pytest.approx(0.95, abs=4 * np.std(covered) / np.sqrt(2_000))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: estimate_observation_matrix([0, 2], [0, 1], 2, 2), r"`states` must be from 0 to 1. Got 2"),
        (lambda: estimate_observation_matrix([0, 1], [0, -1], 2, 2), r"`symbols` must be from 0 to 1. Got -1"),
        (lambda: estimate_observation_matrix([0, 1], [0], 2, 2), r"`symbols` must have one entry for each state"),
        (lambda: estimate_observation_matrix([0.0, 1], [0, 1], 2, 2), r"`states` must hold whole numbers"),
        (lambda: estimate_observation_matrix([0, 1], [0, 1], 2, 2, pseudocount=0), r"`pseudocount` must be above 0"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_coverage_at_a_fixed_matrix_is_right_on_average_and_known_where_it_is_not():
    """Exact, by listing counts: Jeffreys intervals of a fixed entry cover 95 % on average over entries, 40 texts."""
    n, truths = 40, np.linspace(0.01, 0.99, 197)
    symbols = [np.repeat([0, 1], [n - hits, hits]) for hits in range(n + 1)]
    ends = [estimate_observation_matrix(np.zeros(n, int), s, 1, 2).interval() for s in symbols]
    inside = np.array([(low[0, 1] <= truths) & (truths <= high[0, 1]) for low, high in ends])
    coverage = (inside * binom.pmf(np.arange(n + 1)[:, None], n, truths)).sum(axis=0)
    assert coverage.mean() == pytest.approx(0.95, abs=0.005)
    # For single entries it swings, as it must with counts: worst near the ends.
    assert 0.85 < coverage.min() < 0.93
    # A planted fault is seen: intervals of half the width cover far less.
    narrow = np.array([abs(truths - (low + high)[0, 1] / 2) < (high - low)[0, 1] / 4 for low, high in ends])
    assert (narrow * binom.pmf(np.arange(n + 1)[:, None], n, truths)).sum(axis=0).mean() < 0.75


# --- Agents ---------------------------------------------------------------------------------------------------------


class Letters:
    """Reads the letters of a text as its answers: y, n, u."""

    def score(self, texts, questions, options):
        places = [["ynu".index(letter) for letter in text[: len(questions)]] for text in texts]
        return np.log(np.array([[[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]][p] for row in places for p in row])
                      .reshape(len(texts), len(questions), 3))  # fmt: skip


TWO = Sensor(Letters(), ["a?", "b?"])
THREE_STATES = np.random.default_rng(0).dirichlet(np.ones(4), 3)
THREE_ACTIONS = np.array([[2.0, 0, 0.5], [0, 1, 0.5], [-1, 0.4, 0.5]])


def agent(**keywords):
    given = {"sensor": TWO, "observation_matrix": THREE_STATES, "utility": THREE_ACTIONS, "prior": [0.2, 0.3, 0.5]}
    return Agent(**given | keywords)


def test_an_agent_is_a_filter_step_and_a_best_response():
    reader = agent()
    for text, belief in itertools.product(["yy", "yn", "ny", "nn", "uy", "uu"], [None, [0.6, 0.3, 0.1]]):
        decision = reader.decide(text, belief)
        symbol = 2 * (text[0] == "y") + (text[1] == "y")
        before = [0.2, 0.3, 0.5] if belief is None else belief
        eta = filter_step(before, THREE_STATES, symbol)
        assert decision.belief == pytest.approx(eta)
        assert decision.likelihood == pytest.approx(THREE_STATES[:, symbol])
        assert decision.expected_utility == pytest.approx(eta @ THREE_ACTIONS)
        assert decision.action == np.argmax(eta @ THREE_ACTIONS)
        assert (decision.public_belief == before).all()


def test_beliefs_of_many_texts_are_those_of_each():
    reader, texts = agent(), ["yy", "uu", "nu", "yn"]
    beliefs = reader.posterior(TWO.read(texts).answers)
    assert beliefs == pytest.approx(np.array([reader.decide(text).belief for text in texts]))


def test_a_likelihood_serves_as_well_as_its_matrix():
    rng = np.random.default_rng(1)
    open_sensor = Sensor(Letters(), ["a?", "b?"], collapse=None)
    naive = NaiveBayes(rng.dirichlet(np.ones(3), (3, 2)))
    for text in ("yu", "nn", "uy"):
        with_law = agent(sensor=open_sensor, observation_matrix=naive).decide(text)
        with_matrix = agent(sensor=open_sensor, observation_matrix=naive.observation_matrix).decide(text)
        assert with_law.belief == pytest.approx(with_matrix.belief)


def test_thirteen_questions_need_a_likelihood_and_no_symbols():
    rng = np.random.default_rng(2)
    many = Sensor(Letters(), [f"{q}?" for q in range(13)])
    naive = NaiveBayes(rng.dirichlet([1, 1], (2, 13)))
    text = "ynuynuynuynuy"
    product = [np.prod([naive.probabilities[x, q, int(a != "y")] for q, a in enumerate(text)]) for x in range(2)]
    decision = Agent(many, naive, np.eye(2), [0.5, 0.5]).decide(text)
    assert decision.belief == pytest.approx(np.array(product) / sum(product))
    with pytest.raises(ValueError, match="at most 4,096 symbols"):
        Agent(many, np.full((2, 4096), 1 / 4096), np.eye(2), [0.5, 0.5])


def test_a_printed_decision_shows_its_working_and_not_the_text():
    words = {"state_names": ("bad", "fair", "good"), "action_names": ("pass", "buy", "wait")}
    lines = repr(agent(**words).decide("yu secret", [0.2, 0.2, 0.6])).splitlines()
    assert [line.split()[0] for line in lines] == [
        "answers", "b?", "likelihood", "before", "belief", "utility", "decision"
    ]  # fmt: skip
    assert lines[0].endswith("a? yes (0.70)")
    assert lines[1].endswith("b? unsaid (0.60)")
    assert lines[3] == "before       bad 0.2000, fair 0.2000, good 0.6000"
    decision = agent(**words).decide("yu secret", [0.2, 0.2, 0.6])
    assert f"good {decision.belief[2]:.4f}" in lines[4]
    assert f"wait: {decision.expected_utility[2]:.4f}" in lines[5]
    assert lines[6].split()[1] == words["action_names"][decision.action]
    assert not any("secret" in line for line in lines)


def test_ties_follow_the_rule():
    flat = {
        "observation_matrix": np.full((2, 4), 0.25),
        "utility": np.tile([[1.0, 1, 0, 1]], (2, 1)),
        "prior": [0.5] * 2,
    }
    assert agent(**flat, tie_break="first").decide("yy").action == 0
    assert agent(**flat, tie_break="signal").decide("yy").action == 3
    assert agent(**flat).tie_break == "signal"  # four symbols and four actions: the rule of the book
    assert agent().tie_break == "first"  # four symbols and three actions
    assert agent(**flat, tie_break="signal").decide("yn").action == 0  # symbol 2 names an action that is not tied
    drawn = {agent(**flat, tie_break="random").decide("yy", rng=np.random.default_rng(s)).action for s in range(30)}
    assert drawn == {0, 1, 3}
    with pytest.raises(TypeError, match="`rng` must be a numpy Generator"):
        agent(**flat, tie_break="random").decide("yy")


def test_impossible_evidence_raises_with_its_inputs():
    matrix = [[0.5, 0.5, 0, 0], [0.5, 0.25, 0.25, 0], [0.25] * 4]
    reader = agent(observation_matrix=matrix)
    assert reader.decide("yy").belief.tolist() == [0, 0, 1]
    message = (
        r"`observation_matrix` must allow the answers.*Got answers \['yes', 'yes'\] with likelihood \[0.0, 0.0, 0.25\] "
        r"at belief \[0.5, 0.5, 0.0\] in row 0"
    )
    with pytest.raises(ValueError, match=message):
        reader.decide("yy", [0.5, 0.5, 0])


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"prior": [0.5, 0.5]}, r"`utility` must have shape \(2, any\)"),
        ({"observation_matrix": np.eye(3)}, r"`observation_matrix` must have shape \(any, 4\). Got \(3, 3\)"),
        ({"observation_matrix": np.full((2, 4), 0.25)}, "must be for 3 states.*Got 2 states and 2 questions"),
        ({"observation_matrix": NaiveBayes(np.full((3, 2, 3), 1 / 3))}, "with 2 answers.*Got 3 states.*with 3 answers"),
        ({"tie_break": "signal"}, '`tie_break` must be "first" or "random".*4 signals and 3 actions'),
        ({"state_names": ("a", "b")}, "`state_names` must name all 3. Got 2"),
        ({"action_names": ("a", "b")}, "`action_names` must name all 3. Got 2"),
    ],
)
def test_a_malformed_agent_is_refused(keywords, message):
    with pytest.raises(ValueError, match=message):
        agent(**keywords)


# --- What the chapter proves ----------------------------------------------------------------------------------------


def value(joint, utility, rule):
    """Expected utility of a rule (action for each symbol) under a joint law of state and symbol, by loops."""
    return sum(joint[x][y] * utility[x][rule[y]] for x in range(len(joint)) for y in range(len(rule)))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6))
def test_no_rule_beats_the_engine_and_a_wrong_matrix_costs_no_more_than_its_distance(seed):
    """Right B: best of all A^Y rules. Wrong B: regret at most sum_x prior(x) (max u - min u)(x) |B_x - B'_x|_1."""
    rng = np.random.default_rng(seed)
    prior, utility = rng.dirichlet(np.ones(3)), rng.normal(size=(3, 2))
    right, wrong = rng.dirichlet(np.ones(4), 3), rng.dirichlet(np.ones(4), 3)
    joint, answers = prior[:, None] * right, [[1, 1], [1, 0], [0, 1], [0, 0]]  # in the order of symbols 0..3
    rules = {}
    for name, matrix in (("right", right), ("wrong", wrong)):
        beliefs = agent(observation_matrix=matrix, utility=utility, prior=prior).posterior(answers)
        rules[name] = (beliefs @ utility).argmax(axis=1)
    best = max(value(joint, utility, rule) for rule in itertools.product(range(2), repeat=4))
    assert value(joint, utility, rules["right"]) == pytest.approx(best)
    regret = best - value(joint, utility, rules["wrong"])
    bound = (prior * np.ptp(utility, axis=1)) @ np.abs(right - wrong).sum(axis=1)
    assert -1e-12 <= regret <= bound + 1e-12


def test_a_wrong_prior_costs_more_than_any_distance_of_matrices():
    """Counter-instance: the matrix is right, so the bound is zero, and the regret is not."""
    matrix, prior, utility = np.full((2, 4), 0.25), [0.9, 0.1], np.eye(2)
    rules = [
        (agent(observation_matrix=matrix, utility=utility, prior=p).posterior([[0, 0]]) @ utility).argmax()
        for p in (prior, [0.1, 0.9])
    ]
    assert rules == [0, 1]
    joint = np.array(prior)[:, None] * matrix
    assert value(joint, utility, [0] * 4) - value(joint, utility, [1] * 4) == pytest.approx(0.8)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_the_posterior_is_calibrated_if_the_matrix_is_right(seed):
    """Exact: among all symbols that lead to a belief, the state has that frequency."""
    rng = np.random.default_rng(seed)
    prior, right = rng.dirichlet(np.ones(2)), rng.dirichlet(np.ones(4), 2)
    right[:, 1] = right[:, 0] = right[:, :2].mean(axis=1)  # two symbols that lead to one belief
    answers = [[1, 1], [1, 0], [0, 1], [0, 0]]
    beliefs = agent(observation_matrix=right, utility=np.eye(2), prior=prior).posterior(answers)[:, 1]
    joint = prior[:, None] * right
    for belief in beliefs:
        same = np.isclose(beliefs, belief)
        assert joint[1, same].sum() / joint[:, same].sum() == pytest.approx(belief)


def test_a_matrix_from_another_world_makes_an_overconfident_engine():
    """Counter-instance: beliefs of 0.2 and 0.8 where the frequencies are 0.4 and 0.6."""
    sensor, other = Sensor(Letters(), ["a?"]), np.array([[0.6, 0.4], [0.4, 0.6]])
    reader = agent(sensor=sensor, observation_matrix=[[0.8, 0.2], [0.2, 0.8]], utility=np.eye(2), prior=[0.5, 0.5])
    assert reader.posterior([[1], [0]])[:, 1] == pytest.approx([0.2, 0.8])
    assert other[1] / other.sum(axis=0) == pytest.approx([0.4, 0.6])


@settings(derandomize=True, deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_for_one_text_the_mean_matrix_is_enough_and_for_two_it_is_not(seed):
    """Averaging over draws of B: one symbol needs E[B] only, a symbol seen twice needs E[B^2], which is larger."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 6, (2, 4))
    states, symbols = (np.repeat(i.ravel(), counts.ravel()) for i in np.indices((2, 4)))
    estimate = estimate_observation_matrix(states, symbols, 2, 4)
    draws, prior = estimate.sample(40_000, rng=rng), np.array([0.4, 0.6])
    for power in (1, 2):
        averaged = prior[:, None] * (draws**power).mean(axis=0)
        plugged = prior[:, None] * estimate.mean**power
        gap = np.abs(averaged / averaged.sum(axis=0) - plugged / plugged.sum(axis=0)).max()
        weights = counts + 0.5
        total = weights.sum(axis=1, keepdims=True)
        second = weights * (weights + 1) / (total * (total + 1))  # exact second moment of a Dirichlet entry
        exact = prior[:, None] * (estimate.mean if power == 1 else second)
        assert averaged / averaged.sum(axis=0) == pytest.approx(exact / exact.sum(axis=0), abs=0.02)
        assert gap < 0.02 or power == 2
    assert np.abs(exact / exact.sum(axis=0) - plugged / plugged.sum(axis=0)).max() > 0.005


def test_in_its_own_world_an_agent_that_reads_infers_the_state_as_well_as_true_answers_do():
    """Two points at most between an oracle with 1 % errors and the answers themselves; with 30 % errors, more."""
    reviews, rng = world("reviews"), np.random.default_rng(5)
    labelled, fresh = (generate(reviews, n, rng=rng) for n in (4_000, 4_000))
    accuracy = {}
    for noise in (0, 0.01, 0.3):
        share = []
        for corpus in (labelled, fresh):
            oracle = Oracle(reviews, corpus, noise=noise, rng=np.random.default_rng(6))
            sensor = Sensor(oracle, reviews.prompts, collapse=None)
            share.append(sensor.read(corpus.frame["text"].tolist()).answers)
        law = fit_counts(labelled.frame["state"].to_numpy(), share[0], 2)
        reader = Agent(sensor, law, np.eye(2), [0.5, 0.5])
        accuracy[noise] = (reader.posterior(share[1]).argmax(axis=1) == fresh.frame["state"]).mean()
    assert abs(accuracy[0.01] - accuracy[0]) < 0.02
    assert accuracy[0.3] < accuracy[0] - 0.05


def test_the_classroom_reader_infers_the_state_as_well_as_true_answers_do():
    """Acceptance: within two points in its own world, on 1,200 fresh reviews, with B from 800 labelled ones."""
    reviews, rng = world("reviews"), np.random.default_rng(3)
    labelled, fresh = (generate(reviews, n, rng=rng) for n in (800, 1_200))
    sensor = Sensor(classroom("reader"), reviews.prompts)
    told = sensor.collapsed(sensor.read(labelled.frame["text"]).answers)
    states = fresh.frame["state"].to_numpy()
    reader = Agent(sensor, fit_counts(labelled.frame["state"], told, 2, n_answers=2), np.eye(2), [0.5, 0.5])
    read, true = sensor.read(fresh.frame["text"]).answers, true_answers(reviews, fresh)
    through_reader, through_truth = ((reader.posterior(a).argmax(axis=1) == states).mean() for a in (read, true))
    assert abs(through_reader - through_truth) <= 0.02
    assert through_reader > 0.8
