"""Noise in texts, balanced samples, questions at a price, and tables of choices."""

from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llma_tutorial.one_agent.recovery import cost_of_attention
from llma_tutorial.one_agent.ribum import ChoiceData, check, counts_from_table, finite_sample_test
from llma_tutorial.reading.agents import fit_counts
from llma_tutorial.reading.choices import add_noise, balanced, choice_table, choose_questions
from llma_tutorial.reading.corpora import generate, world

# --- noise ----------------------------------------------------------------------------------------------------------

TEXTS = ["Kind words, 3 of them!", "", "Ünd so weiter.", "a" * 40]


def test_noise_touches_letters_only_and_keeps_lengths():
    noisy = add_noise(TEXTS, 1.0, rng=np.random.default_rng(0))
    assert [len(text) for text in noisy] == [len(text) for text in TEXTS]
    for before, after in zip("".join(TEXTS), "".join(noisy), strict=True):
        assert after in "abcdefghijklmnopqrstuvwxyz" if before.isalpha() else after == before
    assert add_noise(TEXTS, 0.0, rng=np.random.default_rng(0)) == TEXTS
    assert add_noise([], 0.5, rng=np.random.default_rng(0)) == []
    with pytest.raises(TypeError, match="`texts` must be a list of texts"):
        add_noise(TEXTS[0], 0.5, rng=np.random.default_rng(0))


def test_noise_is_nested_by_seed():
    clean, low, high = ("".join(add_noise(TEXTS, t, rng=np.random.default_rng(7))) for t in (0, 0.2, 0.5))
    assert clean != low != high
    for original, first, second in zip(clean, low, high, strict=True):
        assert first == original or second == first  # what the low level spoils, the high level spoils alike


def test_levels_compose():
    """s after t is 1 - (1 - s)(1 - t): the law of one letter, exactly and as drawn."""
    letter = lambda t: (1 - t) * np.eye(26) + t / 26  # noqa: E731
    assert np.allclose(letter(0.2) @ letter(0.3), letter(1 - 0.8 * 0.7))
    n, rng = 200_000, np.random.default_rng(1)
    twice = add_noise(add_noise(["e" * n], 0.2, rng=rng), 0.3, rng=rng)[0]
    once = add_noise(["e" * n], 0.44, rng=rng)[0]
    for text in (twice, once):
        kept = 0.56 + 0.44 / 26
        assert abs(text.count("e") / n - kept) < 4 * np.sqrt(kept * (1 - kept) / n)


# --- balanced samples -----------------------------------------------------------------------------------------------


def test_balanced_samples():
    corpus = generate(world("comments"), 400, rng=np.random.default_rng(0))
    sample = balanced(corpus, 30, longest=50, rng=np.random.default_rng(1))
    assert sample["state"].value_counts().to_dict() == dict.fromkeys(range(6), 30)
    assert sample["id"].is_unique
    assert sample["text"].str.len().max() == 50
    whole = corpus.frame.set_index("id")["text"].loc[sample["id"]]
    assert (whole.str.slice(stop=50).to_numpy() == sample["text"].to_numpy()).all()
    assert sample["state"].is_monotonic_increasing is False  # so that the first half is a sample, too


def test_too_few_texts_are_refused():
    corpus = generate(world("comments"), 12, states=np.repeat([0, 2], 6), rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"`n_per_state` must be at most 0, the texts of state 1. Got 3"):
        balanced(corpus, 3, rng=np.random.default_rng(0))


# --- questions at a price -------------------------------------------------------------------------------------------


def random_problem(seed: int, k: int, v: int, x: int):
    rng = np.random.default_rng(seed)
    prior, matrix = rng.dirichlet(np.ones(x)), rng.dirichlet(np.full(v**k, 0.5), x)
    return prior, matrix, rng


def by_listing(prior, matrix, utility, price, k, v):
    """Second route: every set, every pattern of answers written as digits, plain sums."""
    found = []
    digits = [[(y // v ** (k - 1 - q)) % v for q in range(k)] for y in range(v**k)]
    for chosen in chain.from_iterable(combinations(range(k), size) for size in range(k + 1)):
        joint = {}
        for y, pattern in enumerate(digits):
            key = tuple(pattern[q] for q in chosen)
            joint[key] = joint.get(key, 0) + prior * matrix[:, y]
        found.append(sum((weights @ utility).max() for weights in joint.values()) - price * len(chosen))
    return found


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), k=st.integers(0, 3), v=st.integers(2, 3), x=st.integers(2, 3), a=st.integers(2, 3)
)
def test_no_set_of_questions_is_better(seed, k, v, x, a):
    prior, matrix, rng = random_problem(seed, k, v, x)
    utility, price = rng.normal(size=(x, a)), rng.uniform(0, 0.3)
    plan = choose_questions(matrix, utility, prior, price, n_answers=v)
    nets = by_listing(prior, matrix, utility, price, k, v)
    assert plan.expected_utility - plan.cost == pytest.approx(max(nets), abs=1e-9)
    assert plan.cost == pytest.approx(price * len(plan.questions))
    assert len(plan.rule) == v ** len(plan.questions)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 3), m=st.integers(2, 4), x=st.integers(2, 3))
def test_who_pays_for_questions_passes_and_the_bounds_hold_what_was_paid(seed, k, m, x):
    """thm-paid-questions: exact laws, payoffs that differ, one price."""
    prior, matrix, rng = random_problem(seed, k, 2, x)
    utility, price = rng.normal(size=(m, x, 3)), rng.uniform(0, 0.3)
    plans = [choose_questions(matrix, u, prior, price) for u in utility]
    data = ChoiceData([choices(plan, matrix, k, 3) for plan in plans], prior)
    assert check(data, utility).passed
    lower, upper = cost_of_attention(data, utility, np.eye(x)).attention_costs.T
    paid = np.array([plan.cost for plan in plans])
    assert (lower <= paid + 1e-9).all()
    assert (paid <= upper + 1e-9).all()


def choices(plan, matrix, k, n_actions):
    """p(a | x) of a plan, when answers follow `matrix`."""
    answers = 1 - np.indices((2,) * k).reshape(k, -1).T  # of each symbol; yes is 0
    return matrix @ np.eye(n_actions)[plan.decide(answers)]


def test_a_matrix_of_other_texts_or_prices_that_differ_can_fail():
    """The hypotheses broken: a law that is not the agent's; more paid for where less is at stake."""
    sharp, dull = np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([[0.6, 0.4], [0.4, 0.6]])
    bold = np.array([[0.0, 1.0], [0.0, -2.0]])  # act in state 0 only if nearly sure of it
    stale = choose_questions(sharp, bold, [0.5, 0.5], 0.01)
    for matrix, passes in ((sharp, True), (dull, False)):
        assert check(ChoiceData([choices(stale, matrix, 1, 2)], [0.5, 0.5]), bold).passed is passes
    stakes = np.array([np.eye(2), 2 * np.eye(2)])
    plans = [choose_questions(sharp, u, [0.5, 0.5], price) for u, price in zip(stakes, (0.1, 0.9), strict=True)]
    assert [plan.questions for plan in plans] == [(0,), ()]
    data = ChoiceData([choices(plan, sharp, 1, 2) for plan in plans], [0.5, 0.5])
    assert check(data, stakes).niac_slack < 0


def test_ties_go_to_fewer_questions():
    matrix = np.full((2, 4), 0.25)
    assert choose_questions(matrix, np.eye(2), [0.5, 0.5], 0.0).questions == ()


def test_a_fitted_law_and_its_answers_use_one_order():
    """Questions are digits in the same order in `fit_counts`, in the plan, and in `decide`."""
    rng = np.random.default_rng(0)
    states, answers = np.repeat([0, 1], 200), rng.integers(2, size=(400, 3))
    answers[:, 1] = 1 - states  # the second question gives the state away: yes in state 1
    law = fit_counts(states, answers, 2, n_answers=2, pseudocount=0.01)
    plan = choose_questions(law.observation_matrix, np.eye(2), [0.5, 0.5], 0.05)
    assert plan.questions == (1,)
    assert (plan.decide(answers) == states).all()


def test_patterns_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"must have a column for each pattern of answers, 2 \*\* k columns. Got 3"):
        choose_questions(np.full((2, 3), 1 / 3), np.eye(2), [0.5, 0.5], 0.1)


# --- tables ---------------------------------------------------------------------------------------------------------


def test_tables_keep_the_place_of_what_never_happened():
    rng = np.random.default_rng(2)
    states, actions = rng.integers(3, size=50), rng.integers(2, size=(2, 50))
    counts = counts_from_table(choice_table(states, actions, 3, 4))
    plain = np.zeros((2, 3, 4))
    for m in range(2):
        for x, a in zip(states, actions[m], strict=True):
            plain[m, x, a] += 1
    assert (counts == plain).all()
    table = choice_table(states, actions, 3, 4)
    found = finite_sample_test(table, np.eye(3, 4), prior=np.full(3, 1 / 3), n_draws=19, rng=rng)
    assert found.clustered
    assert table["text"].nunique() == 50


def test_a_state_without_texts_is_noticed_by_the_test():
    table = choice_table([0, 1, 1], [[0, 1, 1]], 3, 2)
    with pytest.raises(ValueError, match="Got no choice in state 2 of environment 0"):
        finite_sample_test(table, np.ones((3, 2)), rng=np.random.default_rng(0))


def test_tables_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"a column for each of the 3 texts. Got shape \(1, 2\)"):
        choice_table([0, 1, 1], [[0, 1]], 2, 2)
