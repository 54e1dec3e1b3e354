"""From statements to text: sentences in any order, words in their slots, now and then a typing error."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from llma_tutorial.reading.corpora.grammar import Grammar, Statement

TYPO_RATE = 0.015  # per word of four letters or more
EXTRA_UP_TO = (0.45, 0.8)  # P(no, at most one) of up to two sentences that answer nothing; one at least if all is so
AMBIGUOUS_SHARE = 1 / 3  # of those sentences
_ARTICLE_AND_SLOT = re.compile(r"\b([Aa]) \{(\w+)\}|\{(\w+)\}")


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
