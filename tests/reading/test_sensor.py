"""The sensor: answers to symbols and back, and every way in which a reading is refused."""

import itertools

import numpy as np
import pytest
from reading.oracle import Oracle, true_answers

from llma_tutorial.reading.agents import Sensor
from llma_tutorial.reading.corpora import generate, world

OPTIONS = ("yes", "no", "unsaid")


class Fixed:
    """Gives the same scores whatever it is asked."""

    def __init__(self, scores):
        self.scores = np.asarray(scores)

    def score(self, texts, questions, options):
        return self.scores


def asking(k, **keywords):
    return Sensor(Fixed([]), [f"question {q}?" for q in range(k)], **keywords)


@pytest.mark.parametrize(("collapse", "base"), [(True, 2), (None, 3), (False, 3)])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_symbols_are_the_answers_read_as_digits(k, collapse, base):
    sensor = asking(k, collapse=collapse)
    assert sensor.n_symbols == base**k
    digit = {"yes": base - 1, "no": base - 2, "unsaid": 0}
    seen = set()
    for words in itertools.product(OPTIONS, repeat=k):
        expected = sum(digit[word] * base ** (k - 1 - q) for q, word in enumerate(words))
        symbol = int(sensor.encode([[OPTIONS.index(word) for word in words]])[0])
        assert symbol == expected
        said = [w if collapse is not True or w == "yes" else "no or unsaid" for w in words]
        assert sensor.describe(symbol) == ", ".join(f"question {q}? {w}" for q, w in enumerate(said))
        seen.add(symbol)
    assert seen == set(range(base**k))


def test_of_one_question_yes_is_one():
    assert asking(1).encode([[0], [1], [2]]).tolist() == [1, 0, 0]
    assert asking(1, collapse=None).encode([[0], [1], [2]]).tolist() == [2, 1, 0]
    assert asking(1, options=("no", "yes")).encode([[0], [1]]).tolist() == [1, 0]  # the first option is the last digit


def test_a_reading_holds_the_likeliest_answers_and_the_scores():
    scores = np.log([[[0.2, 0.7, 0.1], [0.5, 0.1, 0.4]], [[0.1, 0.2, 0.7], [0.3, 0.4, 0.3]]])
    readings = Sensor(Fixed(scores), ["a?", "b?"]).read(["one", "two"])
    assert readings.answers.tolist() == [[1, 0], [2, 1]]
    assert readings.symbols.tolist() == [0b01, 0b00]
    assert (readings.log_probabilities == scores).all()
    with pytest.raises(ValueError, match="read-only"):
        readings.answers[0, 0] = 2


def test_an_oracle_is_read_without_loss_and_its_errors_are_counted():
    reviews = world("reviews")
    corpus = generate(reviews, 2_000, rng=np.random.default_rng(1))
    truth = true_answers(reviews, corpus)
    texts = corpus.frame["text"].tolist()
    for noise in (0, 0.1):
        oracle = Oracle(reviews, corpus, noise=noise, rng=np.random.default_rng(2))
        read = Sensor(oracle, reviews.prompts).read(texts).answers
        wrong = (read != truth).mean()
        assert wrong == pytest.approx(noise, abs=5 * np.sqrt(noise * (1 - noise) / truth.size))


def test_no_texts_give_no_symbols():
    readings = Sensor(Fixed(np.zeros((0, 2, 3))), ["a?", "b?"]).read([])
    assert readings.symbols.shape == (0,)


def test_thirteen_questions_are_answered_but_make_no_symbols():
    headlines = world("headlines")
    corpus = generate(headlines, 50, rng=np.random.default_rng(1))
    sensor = Sensor(Oracle(headlines, corpus, rng=np.random.default_rng(0)), headlines.prompts)
    readings = sensor.read(corpus.frame["text"].tolist())
    assert (readings.answers == true_answers(headlines, corpus)).all()
    message = r"at most 4,096 symbols. Got 13 questions with 2 answers: 8,192 symbols. Use .*`fit_naive_bayes`"
    for call in (lambda: sensor.n_symbols, lambda: readings.symbols, lambda: sensor.describe(0)):
        with pytest.raises(ValueError, match=message):
            call()
    assert asking(12).n_symbols == 4_096


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Sensor("gpt", ["a?"]), TypeError, "`model` must have a method `score`. Got str"),
        (lambda: Sensor(Fixed([]), "a?"), TypeError, "`questions` must be a list of strings"),
        (lambda: Sensor(Fixed([]), []), ValueError, "`questions` must hold at least 1"),
        (lambda: asking(1, options=("yes", "yes")), ValueError, "`options` must differ"),
        (lambda: asking(1, options=("yes", "unsaid")), ValueError, '`options` must hold "no".*`collapse=None`'),
        (lambda: asking(2).encode([[0, 1, 1]]), ValueError, r"`answers` must have shape \(texts, 2\). Got \(1, 3\)"),
        (lambda: asking(2).encode([[0, 3]]), ValueError, "`answers` must be from 0 to 2. Got 3"),
        (lambda: asking(2).describe(4), ValueError, "`symbol` must be a whole number from 0 to 3. Got 4"),
        (lambda: asking(1, collapse="no"), ValueError, "`collapse` must be True, False or None. Got 'no'"),
        (lambda: asking(1).read("one"), TypeError, "`texts` must be a list of strings"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.log([[[0.5, 0.25]]]), r"`model` must score with shape \(1, 1, 3\).*Got \(1, 1, 2\)"),
        (np.log([[[0.5, 0.25, 0.2]]]), "`model` must give probabilities that sum to 1 over the options. Got 0.95"),
        (np.full((1, 1, 3), np.nan), "`model` must give probabilities that sum to 1 over the options. Got nan"),
    ],
)
def test_a_failed_model_call_is_a_failure_and_no_label(scores, message):
    with pytest.raises(ValueError, match=message):
        Sensor(Fixed(scores), ["a?"]).read(["text"])
