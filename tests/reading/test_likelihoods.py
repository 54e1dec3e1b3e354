"""Counts, naive Bayes and the Boltzmann machine: exact sums, exact gradients, and who is right when."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime

from llma_tutorial.reading import boltzmann
from llma_tutorial.reading.agents import (
    Boltzmann,
    NaiveBayes,
    Sensor,
    Table,
    estimate_observation_matrix,
    fit_boltzmann,
    fit_counts,
    fit_naive_bayes,
)
from llma_tutorial.reading.corpora import world


def sample(name, n_each, rng):
    """States, and answers drawn from the exact law of a world."""
    law = world(name)
    states = np.repeat(np.arange(len(law.states)), n_each)
    answers = np.concatenate([law.answers[rng.choice(len(law.answers), n_each, p=p)] for p in law.answer_probabilities])
    return states, answers


def loss(name, likelihood):
    """Expected nats per text that a likelihood loses against the exact law, states being equally likely."""
    law = world(name)
    logs = likelihood.log_likelihood(law.answers).T
    probabilities = law.answer_probabilities
    return sum(
        p * (np.log(p) - logs[x, i]) for x, row in enumerate(probabilities) for i, p in enumerate(row) if p > 0
    ) / len(probabilities)  # fmt: skip


def marginals(answers, probabilities, n_answers=3):
    """P(answer to q | x) of a law, by loops."""
    return [
        [[sum(p for a, p in zip(answers, row, strict=True) if a[q] == v) for v in range(n_answers)]
         for q in range(len(answers[0]))]
        for row in probabilities
    ]  # fmt: skip


def random_machine(rng, n_states=2, n_questions=3, n_answers=3, n_hidden=2, scale=1.0):
    bits = n_questions * (n_answers - 1)
    shapes = [(n_states, bits), (n_states, n_hidden), (bits, n_hidden)]
    return Boltzmann(n_questions, n_answers, *(rng.normal(scale=scale, size=shape) for shape in shapes))


def objective(machine, states, answers):
    """What a fit with penalty 1 maximises, by its definition."""
    squares = sum((part**2).sum() for part in (machine.visible_bias, machine.hidden_bias, machine.weights))
    return machine.mean_log_likelihood(states, answers) - squares / (2 * len(states))


# --- Counts and naive Bayes -----------------------------------------------------------------------------------------


def test_counts_are_the_estimated_matrix_in_the_order_of_symbols():
    states, answers = sample("reviews", 300, np.random.default_rng(1))
    counts = fit_counts(states, answers, 2, pseudocount=0.7)
    mute = type("Mute", (), {"score": lambda *asked: None})()
    sensor = Sensor(mute, world("reviews").questions, collapse=None)
    symbols = sensor.encode(answers)
    expected = estimate_observation_matrix(states, symbols, 2, 81, pseudocount=0.7)
    assert (counts.observation_matrix == expected.mean).all()
    assert (counts.estimate.counts == expected.counts).all()
    assert np.exp(counts.log_likelihood(answers)) == pytest.approx(expected.mean.T[symbols])
    held_out = np.log(expected.mean[states, symbols]).mean()
    assert counts.mean_log_likelihood(states, answers) == pytest.approx(held_out)


def test_naive_bayes_multiplies():
    states, answers = sample("reviews", 200, np.random.default_rng(2))
    model = fit_naive_bayes(states, answers, 2, pseudocount=0.5)
    for x in range(2):
        for q in range(4):
            shares = [(np.sum(answers[states == x, q] == v) + 0.5) / (200 + 1.5) for v in range(3)]
            assert model.probabilities[x, q] == pytest.approx(shares)
    for symbol, pattern in enumerate(itertools.product([2, 1, 0], repeat=4)):  # digit 0 is the last answer
        product = [np.prod([model.probabilities[x, q, a] for q, a in enumerate(pattern)]) for x in range(2)]
        assert np.exp(model.log_likelihood([pattern])[0]) == pytest.approx(product)
        assert model.observation_matrix[:, symbol] == pytest.approx(product)
    assert model.observation_matrix.sum(axis=1) == pytest.approx([1, 1])


def test_an_impossible_answer_has_likelihood_zero():
    assert np.isneginf(NaiveBayes([[[1.0, 0.0]], [[0.5, 0.5]]]).log_likelihood([[1]])[0, 0])
    assert np.isneginf(Table(1, 2, [[0.0, 1.0], [0.5, 0.5]]).log_likelihood([[1]])[0, 0])


@settings(derandomize=True, deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), shape=st.sampled_from([(2, 2, 3), (1, 3, 2), (3, 2, 2)]))
def test_naive_bayes_loses_the_total_correlation(seed, shape):
    """With the true marginals it loses sum_q H(a_q | x) - H(a | x) nats, zero exactly for independent answers."""
    n_states, k, v = shape
    rng = np.random.default_rng(seed)
    table = Table(k, v, rng.dirichlet(np.ones(v**k), n_states))
    answers = np.array(list(itertools.product(range(v), repeat=k)))
    true = np.exp(table.log_likelihood(answers)).T
    naive = NaiveBayes(marginals(answers, true, v))
    lost = (true * (np.log(true) - naive.log_likelihood(answers).T)).sum(axis=1)
    entropy_of_each = -(naive.probabilities * np.log(naive.probabilities)).sum(axis=(1, 2))
    assert lost == pytest.approx(entropy_of_each + (true * np.log(true)).sum(axis=1), abs=1e-12)
    assert (lost > 1e-6).all()
    independent = Table(k, v, naive.observation_matrix)
    again = NaiveBayes(marginals(answers, np.exp(independent.log_likelihood(answers)).T, v))
    assert again.observation_matrix == pytest.approx(independent.observation_matrix, abs=1e-12)


def test_the_same_question_twice_counts_twice():
    """Counter-instance to naive Bayes: two copies of an answer double its log-odds; counts see one answer."""
    rng = np.random.default_rng(3)
    states = np.repeat([0, 1], 4_000)
    answer = (rng.random(8_000) < np.where(states == 0, 0.3, 0.7)).astype(int)
    twice = np.stack([answer, answer], axis=1)
    once = fit_naive_bayes(states, answer[:, None], 2, n_answers=2).log_likelihood([[0]])[0]
    naive = fit_naive_bayes(states, twice, 2, n_answers=2).log_likelihood([[0, 0]])[0]
    assert np.diff(naive) == pytest.approx(2 * np.diff(once))
    for fit in (fit_counts, lambda *a, **k: fit_boltzmann(*a, **k, penalty=0.1, rng=np.random.default_rng(0))):
        both = fit(states, twice, 2, n_answers=2).log_likelihood([[0, 0]])[0]
        assert np.diff(both) == pytest.approx(np.diff(once), abs=0.02)


# --- The Boltzmann machine ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "v", "hidden"), [(1, 2, 1), (2, 3, 2), (3, 2, 3), (2, 4, 1)])
def test_partition_function_and_law_equal_brute_force(k, v, hidden):
    """Second route: every visible and every hidden configuration one by one, energies by loops."""
    machine = random_machine(np.random.default_rng(k + 10 * v), 2, k, v, hidden)
    for x in range(2):
        weights = {}
        for answers in itertools.product(range(v), repeat=k):
            bits = [int(a <= t) for a in answers for t in range(v - 1)]
            total = 0.0
            for h in itertools.product([0, 1], repeat=hidden):
                energy = sum(b * w for b, w in zip(bits, machine.visible_bias[x], strict=True))
                energy += sum(
                    h[j] * (machine.hidden_bias[x, j] + sum(bits[i] * machine.weights[i, j] for i in range(len(bits))))
                    for j in range(hidden)
                )  # fmt: skip
                total += np.exp(energy)
            weights[answers] = total
        assert machine.log_partition[x] == pytest.approx(np.log(sum(weights.values())), abs=1e-12)
        for answers, weight in weights.items():
            assert machine.log_likelihood([answers])[0, x] == pytest.approx(np.log(weight / sum(weights.values())))
    assert machine.observation_matrix.sum(axis=1) == pytest.approx([1, 1])


def test_gradient_equals_finite_differences():
    rng = np.random.default_rng(5)
    bits = boltzmann.visible_bits(np.array(list(itertools.product(range(3), repeat=2))), 3)
    shares = rng.dirichlet(np.ones(18)).reshape(2, 9)
    parameters = rng.normal(size=2 * 4 + 2 * 3 + 4 * 3)

    def value(point):
        return boltzmann.value_and_gradient(point, bits, shares, 3)[0]

    exact = boltzmann.value_and_gradient(parameters, bits, shares, 3)[1]
    assert exact == pytest.approx(approx_fprime(parameters, value, 1e-7), abs=1e-6)
    # A planted fault is seen: the gradient of a neighbour is another one.
    assert np.abs(boltzmann.value_and_gradient(parameters + 0.01, bits, shares, 3)[1] - exact).max() > 1e-4


def test_without_weights_the_machine_is_naive_bayes():
    machine = random_machine(np.random.default_rng(6), 2, 2, 3, 2)
    loose = Boltzmann(2, 3, machine.visible_bias, machine.hidden_bias, np.zeros((4, 2)))
    answers = list(itertools.product(range(3), repeat=2))
    naive = NaiveBayes(marginals(answers, np.exp(loose.log_likelihood(answers)).T))
    assert loose.log_likelihood(answers) == pytest.approx(naive.log_likelihood(answers))
    tied = NaiveBayes(marginals(answers, np.exp(machine.log_likelihood(answers)).T))
    assert np.abs(machine.log_likelihood(answers) - tied.log_likelihood(answers)).max() > 0.01


def test_a_fit_is_a_top_and_its_certificate_says_so():
    states, answers = sample("reviews", 200, np.random.default_rng(7))
    machine = fit_boltzmann(states, answers, 2, rng=np.random.default_rng(1))
    assert machine.largest_gradient < 1e-4
    best = objective(machine, states, answers)
    rng = np.random.default_rng(2)
    for _ in range(50):
        near = [part + rng.normal(scale=0.02, size=part.shape)
                for part in (machine.visible_bias, machine.hidden_bias, machine.weights)]  # fmt: skip
        assert objective(Boltzmann(4, 3, *near), states, answers) < best


def test_a_planted_law_is_recovered():
    """20,000 texts from a machine: the fit loses about parameters / (2 n) nats; naive Bayes ten times that."""
    rng = np.random.default_rng(9)
    weights = rng.normal(scale=3, size=(6, 2))  # strong, and centred by the biases: answers come in bundles
    visible = rng.normal(scale=0.5, size=(2, 6)) - weights.sum(axis=1) / 2
    law = Boltzmann(3, 3, visible, rng.normal(size=(2, 2)) - weights.sum(axis=0) / 2, weights).observation_matrix
    patterns = np.array(list(itertools.product([2, 1, 0], repeat=3)))
    states = np.repeat([0, 1], 10_000)
    answers = np.concatenate([patterns[rng.choice(27, 10_000, p=row / row.sum())] for row in law])

    def lost(model):
        return (law * (np.log(law) - model.log_likelihood(patterns).T)).sum() / 2

    machine = fit_boltzmann(states, answers, 2, n_hidden=2, penalty=0.1, rng=np.random.default_rng(1))
    n_parameters = 2 * 6 + 2 * 2 + 6 * 2
    assert 0 < lost(machine) < 2 * n_parameters / (2 * 20_000)
    assert lost(fit_naive_bayes(states, answers, 2)) > 10 * lost(machine)


def test_a_fit_repeats_with_its_seed():
    states, answers = sample("reviews", 60, np.random.default_rng(10))
    one, two = (fit_boltzmann(states, answers, 2, rng=np.random.default_rng(4)) for _ in range(2))
    assert (one.weights == two.weights).all()


def test_of_several_starts_the_best_is_kept():
    """Starts are drawn one after the other, so that six starts are six fits with one start each."""
    states, answers = sample("reviews", 2_000, np.random.default_rng(10))
    rng = np.random.default_rng(4)
    fits = [fit_boltzmann(states, answers, 2, n_hidden=2, n_starts=1, rng=rng) for _ in range(6)]
    singles = [objective(fit, states, answers) for fit in fits]
    together = fit_boltzmann(states, answers, 2, n_hidden=2, n_starts=6, rng=np.random.default_rng(4))
    assert objective(together, states, answers) == pytest.approx(max(singles), abs=1e-12)
    assert np.ptp(singles) > 1e-4  # more than one top


# --- Who is right when ----------------------------------------------------------------------------------------------


def losses(name, n_each, seeds, **keywords):
    """Mean loss of the three likelihoods over several samples."""
    found = []
    for seed in seeds:
        states, answers = sample(name, n_each, np.random.default_rng(seed))
        n_states = len(world(name).states)
        machine = fit_boltzmann(states, answers, n_states, **keywords, rng=np.random.default_rng(seed))
        models = fit_counts(states, answers, n_states), fit_naive_bayes(states, answers, n_states), machine
        found.append([loss(name, model) for model in models])
    return np.mean(found, axis=0)


def test_reviews_few_texts_favour_naive_bayes_and_many_favour_counts():
    """Two-answer sentences tie the answers of a review: naive Bayes is wrong for ever, counts only at first."""
    law = world("reviews")
    limit = loss("reviews", NaiveBayes(marginals(law.answers, law.answer_probabilities)))
    assert limit == pytest.approx(0.0228487, abs=1e-6)
    counts, naive, machine = losses("reviews", 50, range(4))
    assert naive < counts / 2
    assert machine < counts / 2
    counts, naive, machine = losses("reviews", 10_000, range(2), n_starts=1)
    assert limit < naive < limit * 1.1
    assert counts < naive / 2
    assert machine < counts


def test_comments_with_forty_texts_each_need_the_machine():
    """Six states, twelve visible bits, four hidden, as in the paper: 729 patterns are too many to count."""
    counts, naive, machine = losses("comments", 40, range(2), n_starts=1)
    assert machine < naive < counts / 3


# --- Refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: fit_counts([0], [[0, 1]] * 2, 2),
            ValueError,
            r"`states` must have one entry for each row of `answers`. Got \(1,\) for 2",
        ),
        (lambda: fit_counts([], np.zeros((0, 2), int), 2), ValueError, "`states` must "),
        (lambda: fit_counts([0], [[0] * 8], 1), ValueError, "Got 8 questions with 3 answers: 6,561 symbols"),
        (lambda: fit_naive_bayes([2], [[0]], 2), ValueError, "`states` must be from 0 to 1. Got 2"),
        (lambda: fit_naive_bayes([0], [[3]], 2), ValueError, "`answers` must be from 0 to 2. Got 3"),
        (lambda: fit_naive_bayes([0], [0], 2), ValueError, r"`answers` must have shape \(texts, 1\). Got \(1,\)"),
        (lambda: NaiveBayes([[[0.5, 0.6]]]), ValueError, "`probabilities` must sum to 1 in every row. Got 1.1"),
        (lambda: Table(2, 2, np.eye(2)), ValueError, r"`observation_matrix` must have shape \(any, 4\)"),
        (
            lambda: fit_boltzmann([0], [[0] * 7], 1, rng=np.random.default_rng(0)),
            ValueError,
            "at most 12 visible bits.*Got 14: 7 questions with 3 answers. Use `fit_naive_bayes`",
        ),
        (
            lambda: fit_boltzmann([0], [[0]], 1, penalty=0, rng=np.random.default_rng(0)),
            ValueError,
            "`penalty` must be above 0",
        ),
        (lambda: fit_boltzmann([0], [[0]], 1, rng=3), TypeError, "`rng` must be a numpy Generator"),
        (lambda: random_machine(np.random.default_rng(0)).log_likelihood([[0]]), ValueError, r"\(texts, 3\)"),
        (
            lambda: fit_naive_bayes([0], [[0]], 1).mean_log_likelihood([0, 0], [[0]]),
            ValueError,
            "`states` must have one entry for each of 1 texts",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_fit_that_does_not_converge_is_refused(monkeypatch):
    import scipy.optimize

    minimize = scipy.optimize.minimize
    short = {"maxiter": 1}
    monkeypatch.setattr(scipy.optimize, "minimize", lambda *a, **k: minimize(*a, **k | {"options": short}))
    states, answers = sample("reviews", 50, np.random.default_rng(1))
    with pytest.raises(RuntimeError, match=r"`penalty` must be large enough for the fit to converge. Got 1"):
        fit_boltzmann(states, answers, 2, rng=np.random.default_rng(0))


def test_silence_says_nothing_if_denial_does_not_depend_on_the_state():
    """Patterns with the same yeses lead to the same belief in a world; with state-dependent denial they do not."""
    for name in ("reviews", "comments"):
        law = world(name)
        groups = {}
        for answers, column in zip(law.answers, law.answer_probabilities.T, strict=True):
            groups.setdefault(tuple(answers == 0), []).append(column / column.sum())
        assert max(len(group) for group in groups.values()) > 5
        assert all(np.ptp(group, axis=0).max() < 1e-12 for group in groups.values())
    # Counter-instance: one question, rate 1/2 in both states; in state 0 a zero is always denied, in state 1 never.
    posterior = Table(1, 3, [[0.0, 0.5, 0.5], [0.5, 0.0, 0.5]]).log_likelihood([[1], [2]])
    assert np.exp(posterior).tolist() == [[0.5, 0.0], [0.0, 0.5]]
