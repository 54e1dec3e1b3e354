r"""What every language model of this book can do, and what the models share.

A model is asked each question about each text and gives a log-probability to each option, normalised over the options:

    score[t, q, o] = log P(option o | text t, question q),      sum_o exp(score[t, q, o]) = 1

Answers are scored, never parsed: nothing that a model says can be lost or misread. A class of your own with a method
`score` is a model; with a string `name` and a dict `parameters`, all that its answers depend on, it can be recorded.

**Wording.** A template puts text, question and perhaps options into words, another writes an option as an answer.
Examples, texts whose answer is known, stand before the text: each is asked the question and its answer is given.

**Calls.** A hosted model is asked call by call. A call is (text, question, draw); its result is a small dict that a
transcript can hold:

    {"scores": [-0.1, -2.4, null], "at_most": -9.2}     log-probabilities; null: not listed, hence at most this
    {"answer": 1, "reply": "No."}                       one drawn answer, as an option; null: no option at all

Scores are normalised over the options. Of n draws with counts n_o, P(option o) = (n_o + c) / (n + c K) for K options
and a pseudocount c, so that what was not drawn in a few draws is not called impossible.

**Cost.** Nobody but the server knows its tokenizer. English takes about four bytes for a token, and no tokenizer that
works on bytes needs more than one token a byte; about eight more go round each message. An estimate gives both.
Chapter: `practice/your-own-model`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any, Protocol, runtime_checkable

import numpy as np
from scipy.special import log_softmax

from llma_tutorial import _validate

Call = tuple[str, str, int]
Result = dict[str, Any]
Examples = tuple[tuple[str, str], ...]

COMPLETION = ("{text}\n\nQuestion: {question}\nAnswer:", " {option}")  # the space belongs to the word that follows
CONVERSATION = ("{text}\n\n{question}\nAnswer with one of: {options}.", "{option}")
BETWEEN_EXAMPLES = "\n\n"
BYTES_PER_TOKEN = 4
ROUND_A_MESSAGE = 8
LITTLE = 0.5  # mass on the options below which it is said that the model wants to say something else
UNANIMOUS = 10  # draws for each prompt from which on it is said that all of them were alike
ACCEPT = 'Pass incomplete="accept" to go on'


@runtime_checkable
class LanguageModel(Protocol):
    """Anything with a method `score`: `classroom` makes one, and a class of your own is one as well."""

    def score(self, texts: Sequence[str], questions: Sequence[str], options: Sequence[str]) -> np.ndarray:
        """Log-probabilities of shape (texts, questions, options), normalised over the options."""
        ...


@runtime_checkable
class AskedByCalls(LanguageModel, Protocol):
    """A model that is asked call by call, as hosted ones are; a transcript can then lose none and price all."""

    @property
    def reading(self) -> dict[str, Any]:
        """How results become log-probabilities: arguments of `combined`."""
        ...

    def calls(self, texts: Sequence[str], questions: Sequence[str]) -> list[Call]:
        """Every call that a request needs."""
        ...

    def answers(self, calls: Sequence[Call], options: Sequence[str]) -> Iterator[tuple[int, Result]]:
        """Make calls, and hand over (number, result) as they come."""
        ...

    def estimate_calls(
        self, calls: Sequence[Call], options: Sequence[str], price: tuple[float, float] | None
    ) -> Estimate:
        """What calls will cost."""
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
    return log_softmax(scores, axis=-1)


def warn_of_little_mass(masses: np.ndarray, stacklevel: int = 2) -> None:
    """Say so where the options hold little of the probability: what is normalised over them then rests on little."""
    if masses.size and masses.min() < LITTLE:
        warnings.warn(
            f"The options hold only {masses.min():.2g} of the probability in the worst of {masses.size} prompts: the "
            "model wants to say something else. Look at `prompt` and `answer`.",
            stacklevel=stacklevel + 1,
        )


def checked_wording(prompt: str, answer: str) -> None:
    """Refuse templates that lose the text, the question or the option, or ask for something else."""
    for name, template, needed, allowed in (
        ("prompt", prompt, {"text", "question"}, {"text", "question", "options"}),
        ("answer", answer, {"option"}, {"option"}),
    ):
        if not isinstance(template, str):
            raise TypeError(f"`{name}` must be a string. Got {type(template).__name__}.")
        try:
            fields = {field for _, field, _, _ in Formatter().parse(template) if field is not None}
        except ValueError as error:
            raise ValueError(f"`{name}` must be a template; double each brace meant as such. Got {error}.") from error
        if not needed <= fields <= allowed:
            wanted = " and ".join(f"{{{field}}}" for field in sorted(needed, reverse=True))
            raise ValueError(f"`{name}` must hold {wanted}. Got {template!r}.")


def worded(prompt: str, text: str, question: str, options: Sequence[str]) -> str:
    """The prompt for one text and one question."""
    return prompt.format(text=text, question=question, options=", ".join(options))


def checked_examples(examples: Sequence[tuple[str, str]]) -> Examples:
    """Examples as pairs (text, answer), refused in words if they are none."""
    found = tuple(tuple(example) if isinstance(example, (tuple, list)) else (example,) for example in examples)
    wrong = next((pair for pair in found if len(pair) != 2 or not all(isinstance(s, str) for s in pair)), None)
    if wrong is not None:
        raise TypeError(f"`examples` must hold pairs (text, answer) of strings. Got {wrong!r}.")
    return found


def turns(prompt: str, answer: str, examples: Examples, text: str, question: str, options: Sequence[str]) -> list[str]:
    """What is said in turn: each example's prompt and its answer as written, then the prompt of the text."""
    shown = [(worded(prompt, given, question, options), answer.format(option=a)) for given, a in examples]
    said = [part for pair in shown for part in pair]
    return [*said, worded(prompt, text, question, options)]


def refuse_other_examples(examples: Examples, questions: Sequence[str], options: Sequence[str]) -> None:
    """Refuse a request that the examples are no examples of."""
    if examples and len(questions) > 1:
        raise ValueError(f"`questions` must hold the one that `examples` answer. Got {len(questions)} questions.")
    strange = next((answer for _, answer in examples if answer not in options), None)
    if strange is not None:
        raise ValueError(f"`examples` must have answers among the options. Got {strange!r}, not of {list(options)}.")


@dataclass(frozen=True)
class Estimate:
    """Size and cost of a request; the costs are None without a price."""

    calls: int
    tokens_in: int
    tokens_in_at_most: int
    tokens_out_at_most: int
    cost: float | None
    cost_at_most: float | None

    def __str__(self) -> str:
        size = f"{self.calls} calls, about {self.tokens_in} tokens in (at most {self.tokens_in_at_most}), "
        size += f"at most {self.tokens_out_at_most} out"
        return size if self.cost is None else f"{size}: about {self.cost:.3g} (at most {self.cost_at_most:.3g})"


def estimated(prompts: Sequence[str | Sequence[str]], max_tokens: int, price: tuple[float, float] | None) -> Estimate:
    """Estimate for calls with these prompts, one message or several each; `price`: for a million tokens in and out."""
    messages = [[prompt] if isinstance(prompt, str) else list(prompt) for prompt in prompts]
    sizes = [len(part.encode()) for parts in messages for part in parts]
    about = sum(-(-size // BYTES_PER_TOKEN) + ROUND_A_MESSAGE for size in sizes)
    at_most = sum(sizes) + 2 * ROUND_A_MESSAGE * len(sizes)
    out = max_tokens * len(messages)
    if price is None:
        return Estimate(len(messages), about, at_most, out, None, None)
    price_in, price_out = _validate.real_array("price", price, (2,)) / 1e6
    costs = (float(tokens * price_in + out * price_out) for tokens in (about, at_most))
    return Estimate(len(messages), about, at_most, out, *costs)


def combined(
    results: Sequence[Sequence[Result]], options: Sequence[str], pseudocount: float, incomplete: str
) -> np.ndarray:
    """Log-probabilities, shape (prompts, options), from the results of each prompt's calls."""
    if not results:
        return np.empty((0, len(options)))
    if "scores" in results[0][0]:
        return _from_scores([result[0] for result in results], options, incomplete)
    return _from_draws(results, options, pseudocount, incomplete)


def _from_scores(results: Sequence[Result], options: Sequence[str], incomplete: str) -> np.ndarray:
    missing = [(i, o) for i, result in enumerate(results) for o, s in enumerate(result["scores"]) if s is None]
    if missing:
        bound = math.exp(max(results[i]["at_most"] for i, _ in missing))
        message = f"Got none for {options[missing[0][1]]!r} and {len(missing) - 1} more; each is at most {bound:.2g}"
        if incomplete == "raise":
            raise ValueError(
                f"`options` must be among the tokens that the server lists. {message}. {ACCEPT} with these bounds, or "
                'method="sample".'
            )
        warnings.warn(f"Options that the server did not list stand at their upper bounds. {message}.", stacklevel=4)
    scores = [[result.get("at_most") if s is None else s for s in result["scores"]] for result in results]
    array = np.array(scores, dtype=float)
    warn_of_little_mass(np.exp(array).sum(axis=1), stacklevel=4)
    return normalised(array)


def _from_draws(
    results: Sequence[Sequence[Result]], options: Sequence[str], pseudocount: float, incomplete: str
) -> np.ndarray:
    lost = [result["reply"] for prompt in results for result in prompt if result["answer"] is None]
    drawn = [[result["answer"] for result in prompt if result["answer"] is not None] for prompt in results]
    total = sum(map(len, results))
    if lost and incomplete == "raise":
        raise ValueError(
            f"`options` must cover every reply. Got {len(lost)} of {total} that name none of {list(options)}, first "
            f"{lost[0][:60]!r}. {ACCEPT} without them."
        )
    if lost:
        warnings.warn(f"{len(lost)} of {total} replies named no option and are left out.", stacklevel=4)
    if not all(drawn):
        empty = next(i for i, answers in enumerate(drawn) if not answers)
        raise ValueError(f"`options` must cover some reply to every prompt. Got none for prompt {empty}.")
    if all(len(answers) >= UNANIMOUS and len(set(answers)) == 1 for answers in drawn):
        warnings.warn(
            "All draws of each prompt were alike: the model is certain, or the server does not heed `temperature`.",
            stacklevel=4,
        )
    counts = np.array([np.bincount(answers, minlength=len(options)) for answers in drawn]) + pseudocount
    with np.errstate(divide="ignore"):  # a pseudocount of 0 was asked for
        return np.log(counts) - np.log(counts.sum(axis=1, keepdims=True))
