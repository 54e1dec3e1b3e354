"""Pattern files: sentences written one by one, sorted by what they answer, and words that fill their slots.

    # a comment
    [defects yes]                   sentences that answer the question `defects` with yes, one a line
    The {part} came off after {time}.
    [defects yes | held-out]        the same, for texts of the held-out split only
    [beat no, miss no]              sentences that answer two questions at once
    [filler]  [ambiguous]           sentences that answer nothing: far from every question, or close to one
    [word part]                     fillings of the slot {part}, with commas between them
    [word part | held-out]

A section may be continued further down under the same header. Each one, words too, needs both splits, so that a
reader can be tested on sentences, or words, or both, that it has never seen. What does not fit is refused by line.

`Writer` makes a text of what is to be stated: its sentences in any order, among some that answer nothing, one word for
each slot throughout, now and then a typing error. Described in `reference/data-sets`, section "Generated texts".
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

ANSWERS = ("yes", "no", "unsaid")
_HEADER = re.compile(r"\[([^|\]]+?)(\s*\|\s*held-out)?\]")
_SLOT = re.compile(r"\{(\w+)\}")
_ARTICLE_AND_SLOT = re.compile(r"\b([Aa]) \{(\w+)\}|\{(\w+)\}")
TYPO_RATE = 0.015  # per word of four letters or more
EXTRA_UP_TO = (0.45, 0.8)  # P(no, at most one) of up to two sentences that answer nothing; one at least if all is so
AMBIGUOUS_SHARE = 1 / 3  # of those sentences

Statement = tuple[tuple[str, str], ...]  # what a sentence answers: pairs of question and answer


@dataclass(frozen=True, eq=False, repr=False)  # printed, it would show hostile sentences
class Grammar:
    """The sentences and words of a pattern file; the second part of each key says whether they are held out.

    Attributes
    ----------
    patterns : dict
        Sentences by (statement, held out); the statement is a tuple of (question, answer), or "filler", "ambiguous".
    words : dict
        Fillings by (slot, held out).
    """

    patterns: dict[tuple[Statement | str, bool], list[str]]
    words: dict[tuple[str, bool], list[str]]

    @property
    def statements(self) -> list[Statement]:
        """All that a sentence can answer, in the order of the file."""
        return list(dict.fromkeys(section for section, _ in self.patterns if isinstance(section, tuple)))

    @property
    def vocabulary(self) -> set[str]:
        """Every word of every sentence and filling, in lower case."""
        lines = chain(*self.patterns.values(), *self.words.values())
        return {word for line in lines for word in re.findall(r"[a-z]+", _SLOT.sub(" ", line).lower())}


def skeleton(pattern: str) -> frozenset[str]:
    """Set of the words of a sentence pattern without punctuation, each slot replaced by one and the same token.

    Examples
    --------
    >>> sorted(skeleton("The {part} came off, the {part}!"))
    ['came', 'off', 'the', '{}']
    """
    return frozenset(re.findall(r"\{\}|[a-z0-9]+", re.sub(r"['’]", "", _SLOT.sub("{}", pattern)).lower()))


def parse(text: str, questions: Sequence[str], name: str = "patterns") -> Grammar:
    """Read a pattern file.

    Parameters
    ----------
    text : str
        Its contents.
    questions : sequence of str
        Names of the questions that sections may answer; each needs sentences for yes and for no.
    name : str
        What messages call the file.

    Returns
    -------
    Grammar

    Examples
    --------
    >>> lines = ["[loud yes]", "It hums.", "[loud no]", "Silent {thing}.", "[filler]", "Hi.", "[ambiguous]", "Hm."]
    >>> held_out = [line.replace("]", " | held-out]").replace(".", " now.") for line in lines]
    >>> words = ["[word thing]", "fan, lamp", "[word thing | held-out]", "urn"]
    >>> grammar = parse("\\n".join(lines + held_out + words), ["loud"])
    >>> grammar.statements
    [(('loud', 'yes'),), (('loud', 'no'),)]
    >>> grammar.words["thing", False]
    ['fan', 'lamp']
    """
    patterns, words = {}, {}
    seen = {}
    for number, section, held_out, lines in _sections(text, name):
        place = f"line {number} of `{name}`"
        if not lines:
            raise ValueError(f"Every section must hold lines. Got none under [{section}] in {place}.")
        if section.startswith("word "):
            fillings = [word.strip() for _, line in lines for word in line.split(",") if word.strip()]
            words.setdefault((section.removeprefix("word ").strip(), held_out), []).extend(fillings)
            continue
        patterns.setdefault((_statement(section, questions, place), held_out), []).extend(line for _, line in lines)
        for place_of_line, line in lines:
            if line in seen:
                raise ValueError(f"No sentence may stand twice in `{name}`. Got line {place_of_line}, as {seen[line]}.")
            seen[line] = place_of_line
    for line, number in seen.items():
        slots = set(_SLOT.findall(line))
        unknown = sorted(slot for slot in slots if (slot, False) not in words)
        if unknown or set("{}[]") & set(_SLOT.sub("", line)):
            found = f"{{{unknown[0]}}}" if unknown else "a stray bracket"
            raise ValueError(f"Every slot must have words, [word ...]. Got {found} in line {number} of `{name}`.")
    wanted = [((question, answer),) for question in questions for answer in ("yes", "no")] + ["filler", "ambiguous"]
    wanted += [section for section, _ in patterns]
    for found, sections in ((patterns, wanted), (words, [slot for slot, _ in words])):
        missing = [key for section in sections for key in ((section, False), (section, True)) if key not in found]
        if missing:
            section, held_out = missing[0]
            raise ValueError(
                f"`{name}` must have training and held-out lines for every answer, filler and slot. "
                f"Got no {'held-out' if held_out else 'training'} lines for {section!r}."
            )
    return Grammar(patterns, words)


def _sections(text: str, name: str) -> Iterator[tuple[int, str, bool, list[tuple[int, str]]]]:
    """Line number, header, whether held out, and numbered lines of each section."""
    header, lines = None, []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if not line.startswith("["):
            if header is None:
                raise ValueError(f"`{name}` must begin with a section such as [filler]. Got line {number}: {line!r}.")
            lines.append((number, line))
            continue
        match = _HEADER.fullmatch(line)
        if not match:
            raise ValueError(f"A header must read [section] or [section | held-out]. Got {line!r} in line {number}.")
        if header:
            yield *header, lines
        header, lines = (number, match[1].strip(), bool(match[2])), []
    if header:
        yield *header, lines


def _statement(section: str, questions: Sequence[str], place: str) -> Statement | str:
    """What the sentences of `section` answer."""
    if section in ("filler", "ambiguous"):
        return section
    pairs = tuple(tuple(part.split()) for part in section.split(","))
    for pair in pairs:
        if len(pair) != 2 or pair[0] not in questions or pair[1] not in ("yes", "no"):
            raise ValueError(
                f"A section must be filler, ambiguous, a word, or a question with yes or no; the questions are "
                f"{', '.join(questions)}. Got [{section}] in {place}."
            )
    return pairs


def fill(pattern: str, words: dict[str, str]) -> str:
    """`pattern` with each slot replaced by its word, the article in front of it adjusted, and a capital at the start.

    Examples
    --------
    >>> fill("{part} of a {product}.", {"part": "lid", "product": "urn"})
    'Lid of an urn.'
    """

    def filling(match: re.Match) -> str:
        article, after_article, alone = match.groups()
        if alone:
            return words[alone]
        return f"{article}{'n' * (words[after_article][0].lower() in 'aeiou')} {words[after_article]}"

    sentence = _ARTICLE_AND_SLOT.sub(filling, pattern)
    return sentence[0].upper() + sentence[1:]


def uniforms(rng: np.random.Generator) -> Iterator[float]:
    """Numbers from 0 to 1, far faster than asked for one at a time."""
    while True:
        yield from rng.random(4096).tolist()


@dataclass(eq=False)
class Writer:
    """Turns statements into text."""

    grammar: Grammar
    held_out_patterns: bool
    held_out_words: bool
    numbers: Iterator[float]

    def __post_init__(self) -> None:
        self.slots = [slot for slot, held_out in self.grammar.words if held_out == self.held_out_words]
        self.vocabulary = self.grammar.vocabulary
        self.uniform = self.numbers.__next__

    def pick(self, options: list[str]) -> str:
        """One of the options, each as likely."""
        return options[int(self.uniform() * len(options))]

    def write(self, statements: tuple[Statement, ...]) -> str:
        """A sentence for each statement, and some that answer nothing; a slot has the same word in all of them."""
        return " ".join(sentence for _, sentence in self.sentences(statements))

    def sentences(self, statements: tuple[Statement, ...]) -> list[tuple[Statement | str, str]]:
        """The sentences of such a text in their order, each with the section that it comes from."""
        extra = bisect(EXTRA_UP_TO, self.uniform())
        sections: list[Statement | str] = list(statements)
        for _ in range(max(extra if len(sections) < 4 else min(extra, 1), not sections)):
            sections.append("ambiguous" if self.uniform() < AMBIGUOUS_SHARE else "filler")
        sections.sort(key=lambda section: self.uniform())
        words = {slot: self.pick(self.grammar.words[slot, self.held_out_words]) for slot in self.slots}
        patterns = {self.pick(self.grammar.patterns[section, self.held_out_patterns]): section for section in sections}
        filled = [(section, fill(pattern, words)) for pattern, section in patterns.items()]
        return [(section, re.sub(r"[A-Za-z]{4,}", self.maybe_mistyped, sentence)) for section, sentence in filled]

    def maybe_mistyped(self, match: re.Match) -> str:
        """The word, now and then with two letters swapped, one dropped or one doubled, never as another known word."""
        word = match[0]
        if self.uniform() >= TYPO_RATE:
            return word
        place = 1 + int(self.uniform() * (len(word) - 2))
        before, letters, after = word[:place], word[place : place + 2], word[place + 2 :]
        typed = before + self.pick([letters[::-1], letters[0], letters[0] + letters]) + after
        return word if typed.lower() in self.vocabulary else typed
