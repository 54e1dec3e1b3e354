"""Lines of agents who read texts: against a plain loop over filter steps, and against the simulation of symbols."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading.oracle import Oracle
from reference import replay

from llma_tutorial.beliefs import filter_step
from llma_tutorial.many_agents.social import SocialLearning, simulate, simulate_line
from llma_tutorial.reading.agents import Agent, NaiveBayes, Sensor, fit_counts
from llma_tutorial.reading.corpora import generate, world


class Binary:
    """A text is its answers, written as a binary number: 1 is yes."""

    def score(self, texts, questions, options):
        return np.log([[[0.8, 0.1, 0.1] if letter == "1" else [0.1, 0.8, 0.1] for letter in text] for text in texts])


def written(symbols, k):
    """Texts that are read as the given symbols."""
    return [[format(symbol, f"0{k}b") for symbol in line] for line in np.atleast_2d(symbols)]


def agents(k, n_states, n_actions, rng, **keywords):
    sensor = Sensor(Binary(), [f"{q}?" for q in range(k)])
    matrix = rng.dirichlet(np.full(2**k, 2), n_states)
    return Agent(sensor, matrix, rng.normal(size=(n_states, n_actions)), rng.dirichlet(np.ones(n_states)), **keywords)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), sizes=st.sampled_from([(1, 2, 2), (2, 3, 2), (3, 2, 3)]))
def test_a_line_equals_the_plain_loop(seed, sizes):
    rng = np.random.default_rng(seed)
    agent = agents(*sizes, rng, tie_break="first")
    symbols = rng.integers(2 ** sizes[0], size=(5, 12))
    line = simulate_line(agent, written(symbols, sizes[0]), np.zeros(5, int), rng=rng)
    assert (line.observations == symbols).all()
    society = SocialLearning(agent.observation_matrix, agent.utility, agent.prior, tie_break="first")
    for run in range(5):
        actions, beliefs, start = replay(society, symbols[run])
        assert line.actions[run].tolist() == actions.tolist()
        assert np.allclose(line.public_beliefs[run], beliefs, atol=1e-9)
        assert line.cascade_start[run] == start
        assert line.cascade_action[run] == (actions[start] if start >= 0 else -1)


def test_agents_who_reveal_everything_are_a_chain_of_filter_steps():
    """While each action names its symbol, the public belief is the filter; `decide` gives the same actions."""
    sensor = Sensor(Binary(), ["loud?"])
    agent = Agent(sensor, [[0.7, 0.3], [0.3, 0.7]], np.eye(2), [0.5, 0.5], tie_break="signal")
    texts = ["1", "0", "0", "1", "1", "0"]  # never two ahead
    line = simulate_line(agent, texts, 1, rng=np.random.default_rng(0))
    belief = agent.prior
    for k, text in enumerate(texts):
        assert line.public_beliefs[0, k] == pytest.approx(belief)
        assert agent.decide(text, belief).action == line.actions[0, k] == int(text)
        belief = filter_step(belief, agent.observation_matrix, int(text))
    assert line.states.tolist() == [1]
    assert line.cascade_start.tolist() == [-1]


@pytest.mark.parametrize("tie_break", ["first", "signal"])
def test_symbols_in_place_of_texts_give_the_simulation(tie_break):
    agent = Agent(Sensor(Binary(), ["loud?"]), [[0.7, 0.3], [0.3, 0.7]], np.eye(2), [0.4, 0.6], tie_break=tie_break)
    society = SocialLearning(agent.observation_matrix, np.eye(2), [0.4, 0.6], tie_break=tie_break)
    runs = simulate(society, 15, 200, rng=np.random.default_rng(3))
    line = simulate_line(agent, written(runs.observations, 1), runs.states, rng=np.random.default_rng(4))
    for field in ("states", "observations", "actions", "cascade_start", "cascade_action"):
        assert (getattr(line, field) == getattr(runs, field)).all()
    assert line.public_beliefs == pytest.approx(runs.public_beliefs)


def test_ties_at_random_are_drawn_and_understood():
    """P(a1 = a0 | x = 1) has a closed form when agent 1 tosses a coin at a tie."""
    agent = Agent(Sensor(Binary(), ["loud?"]), [[0.7, 0.3], [0.3, 0.7]], np.eye(2), [0.5, 0.5], tie_break="random")
    symbols = (np.random.default_rng(1).random((20_000, 2)) < 0.7).astype(int)
    line = simulate_line(agent, written(symbols, 1), np.ones(20_000, int), rng=np.random.default_rng(2))
    follow = 0.7 * (0.7 + 0.3 / 2) + 0.3 * (0.3 + 0.7 / 2)
    assert (line.actions[:, 0] == line.actions[:, 1]).mean() == pytest.approx(follow, abs=5 * np.sqrt(0.25 / 20_000))


def test_readers_of_reviews_herd_as_their_matrix_says():
    """Texts of the world, read by an oracle: signals follow its law, so right decisions follow the simulation."""
    reviews, rng = world("reviews"), np.random.default_rng(7)
    labelled, states = generate(reviews, 4_000, rng=rng), np.repeat([0, 1], 300)
    corpus = generate(reviews, 600 * 10, states=np.repeat(states, 10), rng=rng)
    oracle = Oracle(reviews, labelled, rng=rng)
    oracle.answers |= Oracle(reviews, corpus, rng=rng).answers
    sensor = Sensor(oracle, reviews.prompts)
    law = fit_counts(
        labelled.frame["state"], np.minimum(sensor.read(labelled.frame["text"]).answers, 1), 2, n_answers=2
    )
    agent = Agent(sensor, law, np.eye(2), [0.5, 0.5])
    line = simulate_line(agent, corpus.frame["text"].to_numpy().reshape(600, 10), states, rng=rng)
    true = np.array([np.bincount(sensor.encode(reviews.answers), row, 16) for row in reviews.answer_probabilities])
    society = SocialLearning(
        true, np.eye(2), [0.5, 0.5], tie_break="first", assumed_observation_matrix=law.observation_matrix
    )
    exact = simulate(society, 10, 40_000, keep=("actions",), rng=rng)
    expected = (exact.actions == exact.states[:, None]).mean(axis=0)
    right = (line.actions == states[:, None]).mean(axis=0)
    assert (np.abs(right - expected) < 4.5 * np.sqrt(expected * (1 - expected) / 600)).all()


def test_states_are_kept_as_given():
    agent = agents(1, 2, 2, np.random.default_rng(0))
    texts, rng = written([[0, 1, 1], [1, 0, 0]], 1), np.random.default_rng(1)
    assert simulate_line(agent, texts, [0, 1], rng=rng).states.tolist() == [0, 1]
    assert simulate_line(agent, texts, [[0, 0, 1], [1, 1, 1]], rng=rng).states.shape == (2, 3)
    assert simulate_line(agent, texts[0], [0, 0, 1], rng=rng).states.tolist() == [[0, 0, 1]]
    assert simulate_line(agent, texts[0], 1, rng=rng).states.tolist() == [1]


def test_a_likelihood_too_large_for_a_table_is_refused():
    sensor = Sensor(Binary(), [f"{q}?" for q in range(13)])
    agent = Agent(sensor, NaiveBayes(np.full((2, 13, 2), 0.5)), np.eye(2), [0.5, 0.5])
    with pytest.raises(ValueError, match="at most 4,096 symbols"):
        simulate_line(agent, ["0" * 13], 0, rng=np.random.default_rng(0))


def test_impossible_evidence_raises():
    sensor = Sensor(Binary(), ["loud?"])
    agent = Agent(sensor, [[1, 0], [1, 0]], np.eye(2), [0.5, 0.5])
    with pytest.raises(ValueError, match=r"must allow every signal that can come. Got signal 1 at belief \[0.5, 0.5\]"):
        simulate_line(agent, ["0", "1"], 0, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("texts", "states", "rng", "error", "message"),
    [
        ("0", 0, np.random.default_rng(0), TypeError, "`texts` must be a list of strings, one for each agent"),
        ([["0", "1"], ["0"]], [0, 0], np.random.default_rng(0), ValueError, r"same length. Got lengths \[1, 2\]"),
        ([], 0, np.random.default_rng(0), ValueError, "`texts` must be one line of texts, or several"),
        (["0", ["1"]], 0, np.random.default_rng(0), ValueError, "`texts` must be one line of texts, or several"),
        (
            ["0", "1"],
            [0, 0, 0],
            np.random.default_rng(0),
            ValueError,
            r"`states` must have one entry.*Got shape \(3,\)",
        ),
        ([["0"], ["1"]], 0, np.random.default_rng(0), ValueError, r"the 2 lines or of their 1 texts. Got shape \(1,\)"),
        (["0"], 2, np.random.default_rng(0), ValueError, "`states` must be from 0 to 1. Got 2"),
        (["0"], 0, 5, TypeError, "`rng` must be a numpy Generator"),
    ],
)
def test_refusals(texts, states, rng, error, message):
    agent = agents(1, 2, 2, np.random.default_rng(0))
    with pytest.raises(error, match=message):
        simulate_line(agent, texts, states, rng=rng)


def test_the_working_of_every_agent_in_line_can_be_shown():
    """Replaying `decide` at the public beliefs of the line gives the line's actions, for every text."""
    rng = np.random.default_rng(11)
    agent = agents(2, 3, 3, rng)
    symbols = rng.integers(4, size=8)
    line = simulate_line(agent, written(symbols, 2)[0], 0, rng=rng)
    pairs = itertools.zip_longest(written(symbols, 2)[0], line.public_beliefs[0, :-1], line.actions[0])
    assert all(agent.decide(text, belief).action == action for text, belief, action in pairs)
