r"""Likelihoods of answers: P(a_1, ..., a_k | x), learned from labelled texts.

Primitives: texts with known state x and answers a_q in {0..V-1} to k questions (0 is yes; V = 3 with "unsaid").

    counts        P(a | x)  =  (pseudocount + n[x, a]) / sum of the same over all V^k patterns
    naive Bayes   P(a | x)  =  prod_q P(a_q | x),      each factor from counts with a pseudocount
    Boltzmann     in `boltzmann.py`: between the two

Counts assume nothing and need texts for V^k cells in every state; naive Bayes needs k (V - 1) and is wrong where
answers depend on each other given the state. Against the true law, naive Bayes with the true marginals loses exactly

    E log P(a | x) - E log prod_q P(a_q | x)  =  sum_x P(x) [ sum_q H(a_q | x) - H(a | x) ]      (total correlation)

nats per text, however many texts it learns from. All likelihoods have one shape: `log_likelihood(answers)`,
`mean_log_likelihood(states, answers)` to compare them on held-out texts, and, where its columns can be listed,
`observation_matrix` in the order of the sensor's symbols. Chapter: `reading/bayesian-engine`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.reading import _symbols
from llma_tutorial.reading.observation_matrix import ObservationMatrixEstimate, estimate_observation_matrix


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
        return self._logs(_symbols.checked(answers, self.n_questions, self.n_answers))

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
        matrix = np.exp(self._logs(_symbols.patterns(self.n_questions, self.n_answers))).T
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
        columns = _symbols.count(self.n_questions, self.n_answers)
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
            return np.log(self.matrix.T[_symbols.encode(answers, self.n_answers)])


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

    Raises
    ------
    ValueError
        If lengths differ, an index is out of range, or there are more than 4,096 patterns.

    Notes
    -----
    Used in the chapter `reading/bayesian-engine`.

    Examples
    --------
    >>> fit_counts([0, 0, 0, 1], [[0], [0], [1], [1]], 2, n_answers=2, pseudocount=1).observation_matrix.round(3)
    array([[0.4  , 0.6  ],
           [0.667, 0.333]])
    """
    states, answers, n_states, n_answers = checked_sample(states, answers, n_states, n_answers)
    n_questions = answers.shape[1]
    n_symbols = _symbols.count(n_questions, n_answers)
    symbols = _symbols.encode(answers, n_answers)
    estimate = estimate_observation_matrix(states, symbols, n_states, n_symbols, pseudocount)
    return Table(n_questions, n_answers, estimate.mean, estimate)


def fit_naive_bayes(
    states: ArrayLike, answers: ArrayLike, n_states: int, n_answers: int = 3, pseudocount: float = 0.5
) -> NaiveBayes:
    """Learn the law of each answer on its own, and multiply.

    Parameters
    ----------
    states : array-like of int, shape (n,)
        True state of each text.
    answers : array-like of int, shape (n, k)
        Answers to each question, 0..V-1; any number of questions.
    n_states, n_answers : int
        X and V.
    pseudocount : float
        Dirichlet weight added to every answer, above zero.

    Returns
    -------
    NaiveBayes

    Raises
    ------
    ValueError
        If lengths differ or an index is out of range.

    Notes
    -----
    Used in the chapter `reading/bayesian-engine`.

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
    answers = _symbols.checked(answers, max(answers.shape[-1], 1) if answers.ndim else 1, n_answers)
    if states.shape != answers.shape[:1] or not states.size:
        raise ValueError(
            f"`states` must have one entry for each row of `answers`. Got {states.shape} for {len(answers)}."
        )
    return states, answers, n_states, n_answers
