r"""Likelihoods of answers: symbols, the observation matrix with its uncertainty, tables and naive Bayes.

Primitives: texts with known state x and answers a_q in {0..V-1} to k questions (0 is yes; V = 3 with "unsaid").

Symbols. The answers together are one whole number y, so that B[x, y] has a column for each pattern: answer 0 (yes) is
the digit V - 1, the last answer the digit 0, the first question leads. Symbol 0 is the last answer to every question;
of a single yes/no question, symbol 1 is yes.

The observation matrix. Each row of B[x, y] = P(y | x) is a multinomial; with a symmetric Dirichlet prior of
`pseudocount` for every cell,

    B[x, :] | counts  ~  Dirichlet(pseudocount + counts[x, :]),      B[x, y] | counts  ~  Beta

so that means, credible intervals and draws are exact. Draws carry the uncertainty of B to any number computed from it.

Laws of answers, learned from labelled texts:

    counts        P(a | x)  =  (pseudocount + n[x, a]) / sum of the same over all V^k patterns
    naive Bayes   P(a | x)  =  prod_q P(a_q | x),      each factor from counts with a pseudocount
    Boltzmann     in `boltzmann`: between the two

Counts assume nothing and need texts for V^k cells in every state; naive Bayes needs k (V - 1) and is wrong where
answers depend on each other given the state. Against the true law, naive Bayes with the true marginals loses exactly

    E log P(a | x) - E log prod_q P(a_q | x)  =  sum_x P(x) [ sum_q H(a_q | x) - H(a | x) ]      (total correlation)

nats per text, however many texts it learns from. All laws have one shape: `log_likelihood(answers)`,
`mean_log_likelihood(states, answers)` to compare them on held-out texts, and, where its columns can be listed,
`observation_matrix` in the order of the symbols. Chapters: `reading/bayesian-engine`; `many-agents/cascades`, section
"Through the eyes of a language model".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from llma_tutorial import _validate

MAX_SYMBOLS = 4096  # a table with more columns than that is never filled by labelled texts


def symbol_count(n_questions: int, n_answers: int) -> int:
    """How many symbols there are; refused in words when a table of them makes no sense."""
    n_symbols = n_answers**n_questions
    if n_symbols > MAX_SYMBOLS:
        raise ValueError(
            f"`questions` must be few enough for at most {MAX_SYMBOLS:,} symbols. Got {n_questions} questions with "
            f"{n_answers} answers: {n_symbols:,} symbols. Use the answers themselves, with `fit_naive_bayes`."
        )
    return n_symbols


def checked_answers(answers: ArrayLike, n_questions: int, n_answers: int) -> np.ndarray:
    """`answers` as an array (texts, questions) of whole numbers below `n_answers`."""
    answers = _validate.integers("answers", answers, n_answers)
    if answers.ndim != 2 or answers.shape[1] != n_questions:
        raise ValueError(f"`answers` must have shape (texts, {n_questions}). Got {answers.shape}.")
    return answers


def encode(answers: np.ndarray, n_answers: int) -> np.ndarray:
    """Symbol of each row of answers."""
    n_questions = answers.shape[1]
    symbol_count(n_questions, n_answers)
    return (n_answers - 1 - answers) @ n_answers ** np.arange(n_questions)[::-1]


def patterns(n_questions: int, n_answers: int) -> np.ndarray:
    """The answers behind each symbol, shape (symbols, questions)."""
    digits = np.indices((n_answers,) * n_questions).reshape(n_questions, symbol_count(n_questions, n_answers))
    return n_answers - 1 - digits.T


@dataclass(frozen=True, eq=False)
class ObservationMatrixEstimate:
    """Posterior of an observation matrix, made by `estimate_observation_matrix`.

    Attributes
    ----------
    counts : numpy.ndarray of shape (X, Y)
        How often symbol y came with state x.
    pseudocount : float
        Prior weight of every cell; 1 is uniform, 1/2 is Jeffreys' prior.
    """

    counts: np.ndarray
    pseudocount: float

    @property
    def mean(self) -> np.ndarray:
        """Posterior mean of B, shape (X, Y); rows sum to 1."""
        weights = self.counts + self.pseudocount
        return weights / weights.sum(axis=1, keepdims=True)

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Equal-tailed credible interval of each entry: lower and upper ends, both of shape (X, Y)."""
        level = _validate.number("level", level, 0, 1)
        weights = self.counts + self.pseudocount
        others = weights.sum(axis=1, keepdims=True) - weights
        return betaincinv(weights, others, (1 - level) / 2), betaincinv(weights, others, (1 + level) / 2)

    def sample(self, n: int, *, rng: np.random.Generator) -> np.ndarray:
        """`n` draws of B from its posterior, shape (n, X, Y)."""
        n = _validate.integer("n", n, 1)
        gammas = _validate.generator(rng).standard_gamma(self.counts + self.pseudocount, (n, *self.counts.shape))
        return gammas / gammas.sum(axis=2, keepdims=True)


def estimate_observation_matrix(
    states: ArrayLike, symbols: ArrayLike, n_states: int, n_symbols: int, pseudocount: float = 0.5
) -> ObservationMatrixEstimate:
    """Estimate P(symbol | state) from labelled readings.

    Parameters
    ----------
    states, symbols : array-like of int, shape (n,)
        True state and symbol of each text.
    n_states, n_symbols : int
        X and Y.
    pseudocount : float
        Dirichlet weight added to every cell, above zero.

    Returns
    -------
    ObservationMatrixEstimate
        With `.mean`, `.interval(level)` and `.sample(n, rng=rng)`.

    Examples
    --------
    >>> estimate = estimate_observation_matrix([0, 0, 0, 1], [0, 0, 1, 1], 2, 2, pseudocount=1)
    >>> estimate.mean.round(3).tolist()
    [[0.6, 0.4], [0.333, 0.667]]
    """
    n_states = _validate.integer("n_states", n_states, 1)
    n_symbols = _validate.integer("n_symbols", n_symbols, 2)
    states = _validate.integers("states", states, n_states)
    symbols = _validate.integers("symbols", symbols, n_symbols)
    if states.ndim != 1 or states.shape != symbols.shape:
        raise ValueError(f"`symbols` must have one entry for each state. Got {symbols.shape} for {states.shape}.")
    pseudocount = _validate.number("pseudocount", pseudocount, 0)
    if pseudocount == 0:
        raise ValueError("`pseudocount` must be above 0, so that no symbol is held impossible. Got 0.")
    counts = np.bincount(states * n_symbols + symbols, minlength=n_states * n_symbols)
    counts = counts.reshape(n_states, n_symbols)
    counts.flags.writeable = False
    return ObservationMatrixEstimate(counts, pseudocount)


class Likelihood:
    """A law of answers in each state: what `Table`, `NaiveBayes` and `Boltzmann` have in common.

    Attributes
    ----------
    n_questions, n_answers, n_states : int
        k, V and X.
    """

    n_questions: int
    n_answers: int
    n_states: int

    def log_likelihood(self, answers: ArrayLike) -> np.ndarray:
        """log P(answers | x) for each row of answers, shape (texts, X)."""
        return self._logs(checked_answers(answers, self.n_questions, self.n_answers))

    def mean_log_likelihood(self, states: ArrayLike, answers: ArrayLike) -> float:
        """Nats per text, at the true states; larger is better, and only on texts it has not learned from."""
        states = _validate.integers("states", states, self.n_states)
        logs = self.log_likelihood(answers)
        if states.shape != logs.shape[:1] or not states.size:
            raise ValueError(f"`states` must have one entry for each of {len(logs)} texts. Got {states.shape}.")
        return float(logs[np.arange(states.size), states].mean())

    @cached_property
    def observation_matrix(self) -> np.ndarray:
        """B[x, y] over the symbols of a sensor, shape (X, Y); refused beyond 4,096 symbols."""
        matrix = np.exp(self._logs(patterns(self.n_questions, self.n_answers))).T
        matrix.flags.writeable = False
        return matrix

    def _logs(self, answers: np.ndarray) -> np.ndarray:
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Table(Likelihood):
    """A likelihood by table: an observation matrix over symbols; `fit_counts` makes one from texts.

    Attributes
    ----------
    n_questions, n_answers : int
        k and V.
    matrix : numpy.ndarray of shape (X, V ** k)
        B over the symbols of a sensor.
    estimate : ObservationMatrixEstimate or None
        Where the matrix comes from, with intervals and draws.
    """

    n_questions: int
    n_answers: int
    matrix: ArrayLike
    estimate: ObservationMatrixEstimate | None = None

    def __post_init__(self) -> None:
        columns = symbol_count(self.n_questions, self.n_answers)
        object.__setattr__(self, "matrix", _validate.probabilities("observation_matrix", self.matrix, (None, columns)))

    @property
    def n_states(self) -> int:
        """X."""
        return len(self.matrix)

    @property
    def observation_matrix(self) -> np.ndarray:
        """The matrix itself."""
        return self.matrix

    def _logs(self, answers: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.log(self.matrix.T[encode(answers, self.n_answers)])


@dataclass(frozen=True, eq=False)
class NaiveBayes(Likelihood):
    """Answers that are independent of each other given the state, made by `fit_naive_bayes`.

    Attributes
    ----------
    probabilities : numpy.ndarray of shape (X, k, V)
        P(answer to question q | x).
    """

    probabilities: ArrayLike

    def __post_init__(self) -> None:
        checked = _validate.probabilities("probabilities", self.probabilities, (None, None, None))
        object.__setattr__(self, "probabilities", checked)

    n_states = property(lambda self: self.probabilities.shape[0], doc="X.")
    n_questions = property(lambda self: self.probabilities.shape[1], doc="k.")
    n_answers = property(lambda self: self.probabilities.shape[2], doc="V.")

    def _logs(self, answers: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            logs = np.log(self.probabilities)
        return logs[:, np.arange(self.n_questions), answers].sum(axis=2).T


def fit_counts(
    states: ArrayLike, answers: ArrayLike, n_states: int, n_answers: int = 3, pseudocount: float = 0.5
) -> Table:
    """Learn the law of whole patterns of answers by counting.

    Parameters
    ----------
    states : array-like of int, shape (n,)
        True state of each text.
    answers : array-like of int, shape (n, k)
        Answers to each question, 0..V-1, the first being yes: `Readings.answers`, or true ones.
    n_states, n_answers : int
        X and V.
    pseudocount : float
        Dirichlet weight added to every cell, above zero.

    Returns
    -------
    Table
        With the posterior of the matrix in `.estimate`.

    Examples
    --------
    >>> fit_counts([0, 0, 0, 1], [[0], [0], [1], [1]], 2, n_answers=2, pseudocount=1).observation_matrix.round(3)
    array([[0.4  , 0.6  ],
           [0.667, 0.333]])
    """
    states, answers, n_states, n_answers = checked_sample(states, answers, n_states, n_answers)
    n_questions = answers.shape[1]
    n_symbols = symbol_count(n_questions, n_answers)
    symbols = encode(answers, n_answers)
    estimate = estimate_observation_matrix(states, symbols, n_states, n_symbols, pseudocount)
    return Table(n_questions, n_answers, estimate.mean, estimate)


def fit_naive_bayes(
    states: ArrayLike, answers: ArrayLike, n_states: int, n_answers: int = 3, pseudocount: float = 0.5
) -> NaiveBayes:
    """Learn the law of each answer on its own, and multiply.

    Parameters
    ----------
    states, answers, n_states, n_answers, pseudocount
        As for `fit_counts`; any number of questions.

    Returns
    -------
    NaiveBayes

    Examples
    --------
    >>> model = fit_naive_bayes([0, 0, 1, 1], [[0, 0], [0, 1], [1, 1], [1, 1]], 2, n_answers=2, pseudocount=1)
    >>> np.exp(model.log_likelihood([[0, 0]])).tolist()
    [[0.375, 0.0625]]
    """
    states, answers, n_states, n_answers = checked_sample(states, answers, n_states, n_answers)
    estimates = [
        estimate_observation_matrix(states, column, n_states, n_answers, pseudocount).mean for column in answers.T
    ]
    return NaiveBayes(np.stack(estimates, axis=1))


def checked_sample(states: ArrayLike, answers: ArrayLike, n_states: int, n_answers: int) -> tuple:
    """The four arguments that every fit shares."""
    n_states, n_answers = _validate.integer("n_states", n_states, 1), _validate.integer("n_answers", n_answers, 2)
    states = _validate.integers("states", states, n_states)
    answers = np.asarray(answers)
    answers = checked_answers(answers, max(answers.shape[-1], 1) if answers.ndim else 1, n_answers)
    if states.shape != answers.shape[:1] or not states.size:
        raise ValueError(
            f"`states` must have one entry for each row of `answers`. Got {states.shape} for {len(answers)}."
        )
    return states, answers, n_states, n_answers
