"""Symbols: the answers to k questions written as one whole number, so that B[x, y] has a column for each.

With V answers told apart, answer 0 (yes) is the digit V - 1 and the last answer is the digit 0; the first question is
the leading digit. So symbol 0 is the last answer to every question, and of a single yes/no question, symbol 1 is yes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate

MAX_SYMBOLS = 4096  # a table with more columns than that is never filled by labelled texts


def count(n_questions: int, n_answers: int) -> int:
    """How many symbols there are; refused in words when a table of them makes no sense."""
    n_symbols = n_answers**n_questions
    if n_symbols > MAX_SYMBOLS:
        raise ValueError(
            f"`questions` must be few enough for at most {MAX_SYMBOLS:,} symbols. Got {n_questions} questions with "
            f"{n_answers} answers: {n_symbols:,} symbols. Use the answers themselves, with `fit_naive_bayes`."
        )
    return n_symbols


def checked(answers: ArrayLike, n_questions: int, n_answers: int) -> np.ndarray:
    """`answers` as an array (texts, questions) of whole numbers below `n_answers`."""
    answers = _validate.integers("answers", answers, n_answers)
    if answers.ndim != 2 or answers.shape[1] != n_questions:
        raise ValueError(f"`answers` must have shape (texts, {n_questions}). Got {answers.shape}.")
    return answers


def encode(answers: np.ndarray, n_answers: int) -> np.ndarray:
    """Symbol of each row of answers."""
    n_questions = answers.shape[1]
    count(n_questions, n_answers)
    return (n_answers - 1 - answers) @ n_answers ** np.arange(n_questions)[::-1]


def patterns(n_questions: int, n_answers: int) -> np.ndarray:
    """The answers behind each symbol, shape (symbols, questions)."""
    digits = np.indices((n_answers,) * n_questions).reshape(n_questions, count(n_questions, n_answers))
    return n_answers - 1 - digits.T
