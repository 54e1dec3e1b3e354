r"""The sensor: a language model and its questions, which turn a text into a low-dimensional symbol.

Primitives: a text z; questions q = 1..k; a model that gives each option a log-probability. The answer is the likeliest
option, and the answers together are one symbol y:

    answer_q(z)  =  argmax_o  log P(o | z, q),        y  =  the answers read as digits, see `likelihoods`

With three options (yes, no, unsaid) there are 3^k symbols. Few labelled texts cannot fill so many columns of B, so by
default what is not said counts as no, which leaves 2^k. Probabilities are reported but do not enter the symbol: what
an answer is worth is measured (see `llma_tutorial.reading.likelihoods`), not taken from the model's word.
Chapter: `reading/bayesian-engine`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.reading.likelihoods import checked_answers, encode, patterns, symbol_count
from llma_tutorial.reading.models import LanguageModel
from llma_tutorial.reading.models.protocol import checked_request

NORMALISED = 1e-3  # models may compute in half precision


@dataclass(frozen=True, eq=False)
class Sensor:
    """A language model and the questions that it is asked about every text.

    Parameters
    ----------
    model : LanguageModel
        Anything with a method ``score(texts, questions, options)``.
    questions : sequence of str
        The k questions, as the model is asked them.
    options : sequence of str
        What can be answered.
    collapse : bool or None
        Whether "unsaid" counts as "no"; otherwise every option stands for itself.

    Examples
    --------
    >>> class Shouting:
    ...     def score(self, texts, questions, options):
    ...         return np.log([[[0.8, 0.1, 0.1] if "!" in text else [0.1, 0.1, 0.8]] for text in texts])
    >>> sensor = Sensor(Shouting(), ["is it loud?"])
    >>> sensor.read(["It broke!", "It works."]).symbols
    array([1, 0])
    >>> sensor.describe(0)
    'is it loud? no or unsaid'
    """

    model: LanguageModel
    questions: Sequence[str]
    options: Sequence[str] = ("yes", "no", "unsaid")
    collapse: bool | None = True

    def __post_init__(self) -> None:
        if not isinstance(self.model, LanguageModel):
            raise TypeError(f"`model` must have a method `score`. Got {type(self.model).__name__}.")
        if self.collapse is not None and not isinstance(self.collapse, bool):
            raise ValueError(f"`collapse` must be True, False or None. Got {self.collapse!r}.")
        _, questions, options = checked_request([], self.questions, self.options)
        if self.collapse and "unsaid" in options and "no" not in options:
            raise ValueError(f'`options` must hold "no", as which "unsaid" counts. Got {options}; or `collapse=None`.')
        object.__setattr__(self, "questions", tuple(questions))
        object.__setattr__(self, "options", tuple(options))

    @property
    def values(self) -> tuple[str, ...]:
        """The answers that the sensor tells apart, in the order of the options."""
        return tuple(option for option in self.options if not (self.collapse and option == "unsaid"))

    @property
    def n_symbols(self) -> int:
        """Y, refused beyond 4,096 symbols."""
        return symbol_count(len(self.questions), len(self.values))

    def read(self, texts: Sequence[str]) -> Readings:
        """Ask every question about every text.

        Raises
        ------
        ValueError
            If the model's scores have another shape or are no log-probabilities: a failed call is no answer.
        """
        texts, _, _ = checked_request(texts, self.questions, self.options)
        scores = np.array(self.model.score(texts, self.questions, self.options), dtype=float)
        shape = (len(texts), len(self.questions), len(self.options))
        if scores.shape != shape:
            raise ValueError(f"`model` must score with shape {shape} (texts, questions, options). Got {scores.shape}.")
        sums = np.exp(scores).sum(axis=2)
        if not (np.abs(sums - 1) < NORMALISED).all():
            wrong = sums[~(np.abs(sums - 1) < NORMALISED)][0]
            raise ValueError(f"`model` must give probabilities that sum to 1 over the options. Got {wrong:.6g}.")
        answers = scores.argmax(axis=2)
        answers.flags.writeable = scores.flags.writeable = False
        return Readings(self, answers, scores)

    def collapsed(self, answers: ArrayLike) -> np.ndarray:
        """Answers, given as places in `options`, as places in `values`."""
        answers = checked_answers(answers, len(self.questions), len(self.options))
        kept = {option: place for place, option in enumerate(self.values)}
        return np.array([kept[option if option in kept else "no"] for option in self.options])[answers]

    def encode(self, answers: ArrayLike) -> np.ndarray:
        """Symbols (texts,) of answers (texts, questions) that are given as places in `options`."""
        return encode(self.collapsed(answers), len(self.values))

    def describe(self, symbol: int) -> str:
        """What a symbol says, in words."""
        symbol = _validate.integer("symbol", symbol, 0, self.n_symbols - 1)
        words = ["no or unsaid" if value == "no" and len(self.values) < len(self.options) else value
                 for value in self.values]  # fmt: skip
        answers = patterns(len(self.questions), len(self.values))[symbol]
        return ", ".join(
            f"{question} {words[answer]}" for question, answer in zip(self.questions, answers, strict=True)
        )


@dataclass(frozen=True, eq=False)
class Readings:
    """What a sensor makes of texts, made by `Sensor.read`.

    Attributes
    ----------
    sensor : Sensor
    answers : numpy.ndarray of shape (texts, questions)
        Place in `sensor.options` of the likeliest option.
    log_probabilities : numpy.ndarray of shape (texts, questions, options)
        The model's scores.
    """

    sensor: Sensor
    answers: np.ndarray
    log_probabilities: np.ndarray

    @property
    def symbols(self) -> np.ndarray:
        """Symbol of each text, shape (texts,); refused beyond 4,096 symbols."""
        return self.sensor.encode(self.answers)
