r"""What comes back from a call, and how the results of calls become log-probabilities.

A call is (text, question, draw); its result is a small dict that a transcript can hold:

    {"scores": [-0.1, -2.4, null], "at_most": -9.2}     log-probabilities; null: not listed, hence at most this
    {"answer": 1, "reply": "No."}                       one drawn answer, as an option; null: no option at all

Scores are normalised over the options. Of n draws with counts n_o, P(option o) = (n_o + c) / (n + c K) for K options
and a pseudocount c, so that what was not drawn in a few draws is not called impossible.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from llma_tutorial.reading.models._protocol import normalised

Call = tuple[str, str, int]
Result = dict[str, Any]
AMBIGUOUS = 0.01  # probability of tokens that begin two options, above which the options cannot be told apart
UNANIMOUS = 10  # draws for each prompt from which on it is said that all of them were alike
ACCEPT = 'Pass incomplete="accept" to go on'


class Malformed(ValueError):
    """A reply that is not what the interface promises; the same call may work again."""


class Ignored(ValueError):
    """Something asked for did not come back; asking again does not help."""


def plain(string: str) -> str:
    """An answer without case and without the punctuation that models put round it."""
    return string.strip(" \t\r\n.,;:!?\"'`*()").casefold()


def scores_from_tokens(listed: Mapping[str, float], options: Mapping[str, str]) -> Result:
    """Scores of written options from the log-probabilities of first tokens.

    A token speaks for the option that it is, or that it alone begins; tokens that differ in case or in spaces add up.
    """
    written = {option: plain(answer) for option, answer in options.items()}
    found: dict[str, list[float]] = {option: [] for option in options}
    ambiguous = 0.0
    for token, value in listed.items():
        word = plain(token)
        owners = [option for option, answer in written.items() if answer == word]
        owners = owners or [option for option, answer in written.items() if word and answer.startswith(word)]
        if len(owners) == 1:
            found[owners[0]].append(value)
        elif owners:
            ambiguous += math.exp(value)
    if ambiguous > AMBIGUOUS:
        raise ValueError(
            f"`options` must begin with different tokens. Got {ambiguous:.2g} of the probability on tokens that begin "
            f'several of {list(options)}; word them differently, or pass method="sample".'
        )
    scores = [float(np.logaddexp.reduce(values)) if values else None for values in found.values()]
    if None not in scores:
        return {"scores": scores}
    rest = 1 - sum(math.exp(value) for value in listed.values())
    return {"scores": scores, "at_most": min(*listed.values(), 0.0, math.log(max(rest, 1e-12)))}


def answer_from_reply(reply: str, options: Mapping[str, str], structured: bool) -> Result:
    """The option that a drawn reply names, and nothing else; None if it names none."""
    said = reply
    if structured:
        try:
            said = json.loads(reply)["answer"]
        except (ValueError, TypeError, KeyError):
            raise Ignored(
                f"`response_format` came back unheeded: its reply is {reply[:60]!r} and no JSON of the schema. "
                'Pass method="sample"'
            ) from None
    words = [plain(answer) for answer in options.values()]
    word = plain(str(said))
    return {"answer": words.index(word) if word in words else None, "reply": reply}


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
    masses = np.exp(array).sum(axis=1)
    if masses.min() < 0.5:
        warnings.warn(
            f"The options hold only {masses.min():.2g} of the probability in the worst of {len(array)} prompts: the "
            "model wants to say something else. Look at `prompt` and `answer`.",
            stacklevel=4,
        )
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
