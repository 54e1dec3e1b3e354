"""What every language model of this book can do: score answers.

A model is asked each question about each text and gives a log-probability to each option, normalised over the options:

    score[t, q, o] = log P(option o | text t, question q),      sum_o exp(score[t, q, o]) = 1

Answers are scored, never parsed: nothing that a model says can be lost or misread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class LanguageModel(Protocol):
    """Anything with a method `score`: `classroom` makes one, and a class of your own is one as well."""

    def score(self, texts: Sequence[str], questions: Sequence[str], options: Sequence[str]) -> np.ndarray:
        """Log-probabilities of shape (texts, questions, options), normalised over the options."""
        ...


def checked_request(
    texts: Sequence[str], questions: Sequence[str], options: Sequence[str]
) -> tuple[list[str], list[str], list[str]]:
    """The three lists of a request, refused in words if they are no lists of strings."""
    texts = _strings("texts", texts, 0)
    questions = _strings("questions", questions, 1)
    options = _strings("options", options, 2)
    if len(set(options)) < len(options):
        raise ValueError(f"`options` must differ from each other. Got {options}.")
    return texts, questions, options


def _strings(name: str, values: Sequence[str], at_least: int) -> list[str]:
    if isinstance(values, str):
        raise TypeError(f"`{name}` must be a list of strings. Got one string; write [{name[:-1]}].")
    values = list(values)
    wrong = next((value for value in values if not isinstance(value, str)), None)
    if wrong is not None:
        raise TypeError(f"`{name}` must hold strings. Got {type(wrong).__name__}.")
    if len(values) < at_least:
        raise ValueError(f"`{name}` must hold at least {at_least}. Got {len(values)}.")
    return values


def normalised(scores: np.ndarray) -> np.ndarray:
    """`scores` shifted so that their exponentials sum to one over the last axis."""
    highest = scores.max(axis=-1, keepdims=True)
    return scores - highest - np.log(np.exp(scores - highest).sum(axis=-1, keepdims=True))
