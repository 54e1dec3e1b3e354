r"""Structured answers of language models: parsed strictly, repaired by named rules, else refused and counted.

A model that is asked several yes/no questions at once is told to answer with one JSON object, a key per question, each
true or false. Many answers are almost that. To drop those that are not valid JSON is to select by state, because
models tend to break the form more often on some states than on others; to guess what was meant is to invent data.

So each answer takes one of three ways:

    strict      `json.loads` of the whole answer gives exactly the questions, each once, each true or false
    repaired    the rules below, tried in this order, lead there; those that changed the answer are on record
    refused     anything else, with the reason; no part of a refused answer is used

A rule changes the form only, never which questions are answered nor how. Counts of the three ways *by state* show
whether malformed answers are missing at random. Chapter: `one-agent/hate-speech`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

STRICT, REFUSED = "strict", "refused"

# A string that is never closed runs to the end: searching on from its inside would take quadratic time.
_STRING = r'"(?:[^"\\]|\\.?)*+(?:"|\Z)'
_BRACE = re.compile(rf"{_STRING}|[{{}}]", re.DOTALL)
_SINGLE = re.compile(rf"{_STRING}|'([^'\"\\]*)'", re.DOTALL)
_COMMA = re.compile(rf"{_STRING}|,(?=\s*}})", re.DOTALL)
_LITERAL = re.compile(rf"{_STRING}|\b(True|TRUE|False|FALSE)\b", re.DOTALL)
_QUOTED = re.compile(r'(?<=:)(\s*)"(true|false)"', re.IGNORECASE)


def _without_fence(text: str) -> str:
    lines = text.strip().split("\n")
    fenced = len(lines) > 2 and lines[0].startswith("```") and lines[-1].strip() == "```"
    return "\n".join(lines[1:-1]) if fenced else text


def _object_alone(text: str) -> str:
    """The first balanced {...}; the answer as it is if there is none, or if a second one makes the choice a guess."""
    start, depth = text.find("{"), 0
    for brace in _BRACE.finditer(text, max(start, 0)):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if depth == 0 and brace.group() == "}":
            end = brace.end()
            return text if "{" in text[end:] else text[start:end]
    return text


def _outside_strings(pattern: re.Pattern[str], replace: Callable[[re.Match[str]], str]) -> Callable[[str], str]:
    """Rule that replaces what `pattern` matches, except the double-quoted strings that it also matches."""
    return lambda text: pattern.sub(lambda m: m.group() if m.group().startswith('"') else replace(m), text)


RULES: dict[str, Callable[[str], str]] = {
    "code fence": _without_fence,
    "text around the object": _object_alone,
    "single quotes": _outside_strings(_SINGLE, lambda match: f'"{match.group(1)}"'),
    "trailing comma": _outside_strings(_COMMA, lambda match: ""),
    "capital True and False": _outside_strings(_LITERAL, lambda match: match.group().lower()),
    "quoted true and false": lambda text: _QUOTED.sub(lambda match: match.group(1) + match.group(2).lower(), text),
}


@dataclass(frozen=True)
class Answer:
    """One parsed answer.

    Attributes
    ----------
    values : tuple of bool, or None
        One per question, in the order of the questions; None if the answer was refused.
    rules : tuple of str
        Names of the rules that repaired it, none if it was strict or refused.
    refusal : str
        Why it was refused, "" if it was not.
    """

    values: tuple[bool, ...] | None
    rules: tuple[str, ...]
    refusal: str

    @property
    def way(self) -> str:
        """ "strict", the names of the rules joined by " + ", or "refused"."""
        return REFUSED if self.values is None else " + ".join(self.rules) or STRICT


@dataclass(frozen=True, eq=False)
class Answers:
    """Many parsed answers.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per text: ``state``, one nullable boolean column per question, ``way``, ``refusal``.
    counts : pandas.DataFrame
        Rows: states. Columns: "strict", each combination of rules that occurred, "refused". A row sums to the texts
        of its state.
    """

    frame: pd.DataFrame
    counts: pd.DataFrame

    @property
    def indicators(self) -> np.ndarray:
        """Answers as 0 and 1, shape (texts, questions), of the texts that were not refused."""
        kept = self.frame[self.frame["way"] != REFUSED]
        return kept.drop(columns=["state", "way", "refusal"]).to_numpy(dtype=int)


def parse_answer(text: Any, questions: Sequence[str]) -> Answer:
    """Read one answer that should be a JSON object of the questions.

    Parameters
    ----------
    text : str
        What the model wrote. Anything but a string (a missing value, say) is refused.
    questions : sequence of str
        The keys that were asked for, in the order wanted.

    Returns
    -------
    Answer

    Notes
    -----
    The rules are in `RULES`, in their order; parsing stops at the first form that is exactly right. Nothing raises: a
    refusal is counted. Chapter: `one-agent/hate-speech`.

    Examples
    --------
    >>> parse_answer('{"insults": true, "praises": false}', ["insults", "praises"]).way
    'strict'
    >>> parse_answer('Sure! {"insults": True, "praises": false}', ["insults", "praises"]).way
    'text around the object + capital True and False'
    >>> parse_answer('{"insults": true}', ["insults", "praises"]).refusal
    'not exactly the questions'
    """
    if not isinstance(text, str):
        return Answer(None, (), "no text")
    values, refusal = _strict(text, questions)
    rules: list[str] = []
    for name, rule in RULES.items():
        if values is not None:
            break
        repaired = rule(text)
        if repaired != text:
            text = repaired
            rules.append(name)
            values, refusal = _strict(text, questions)
    return Answer(None, (), refusal) if values is None else Answer(values, tuple(rules), "")


def _strict(text: str, questions: Sequence[str]) -> tuple[tuple[bool, ...] | None, str]:
    """Values in the order of the questions, or None and the reason."""
    try:
        pairs = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None, "no JSON object alone"
    if not isinstance(pairs, _Pairs):
        return None, "no JSON object alone"
    if sorted(key for key, _ in pairs) != sorted(questions):
        return None, "not exactly the questions"
    if not all(isinstance(value, bool) for _, value in pairs):
        return None, "a value is neither true nor false"
    answers = dict(pairs)
    return tuple(answers[question] for question in questions), ""


class _Pairs(list):
    """Key and value pairs of a JSON object, so that a repeated key is seen."""


def parse_answers(texts: Sequence[Any], questions: Sequence[str], states: ArrayLike) -> Answers:
    """Read many answers, and count how they were read, by state.

    Parameters
    ----------
    texts : sequence of str
        What the model wrote.
    questions : sequence of str
        The keys that were asked for.
    states : array-like
        State behind each text.

    Returns
    -------
    Answers

    Notes
    -----
    Compare rows of ``counts`` before you analyse what is left: where refusals depend on the state, so does the sample.
    Chapter `one-agent/hate-speech`.

    Examples
    --------
    >>> texts = ['{"buys": true}', '{"buys": True}', "I would rather not say."]
    >>> parse_answers(texts, ["buys"], states=[0, 1, 1]).counts.to_dict("index")[1]
    {'strict': 0, 'capital True and False': 1, 'refused': 1}
    """
    questions = list(questions)
    if not questions or len(set(questions)) != len(questions):
        raise ValueError(f"`questions` must be different names, at least one. Got {questions}.")
    states = np.asarray(states)
    if states.shape != (len(texts),):
        raise ValueError(f"`states` must have one entry per text, shape ({len(texts)},). Got {states.shape}.")
    parsed = [parse_answer(text, questions) for text in texts]
    blank = (pd.NA,) * len(questions)
    frame = pd.DataFrame([answer.values or blank for answer in parsed], columns=questions).astype("boolean")
    frame.insert(0, "state", states)
    frame = frame.assign(way=[answer.way for answer in parsed], refusal=[answer.refusal for answer in parsed])
    repaired = [way for way in dict.fromkeys(frame["way"]) if way not in (STRICT, REFUSED)]
    counts = pd.crosstab(frame["state"], frame["way"]).reindex(columns=[STRICT, *repaired, REFUSED], fill_value=0)
    return Answers(frame, counts)
