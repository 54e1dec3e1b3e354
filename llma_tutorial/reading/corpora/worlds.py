r"""Worlds: texts written by a grammar, so that the law of what they say given the hidden state is known exactly.

Primitives: a state x; attributes a_1..a_k of 0 or 1, with P(a_q = 1 | x) = r(x, q) each on its own; statements, which
answer one question or two with yes or no. A value of 1 is always stated, a value of 0 is denied with probability d,
else left unsaid. Hence the odds of stating, against silence,

    yes to q:  r(x, q) / ((1 - r(x, q)) (1 - d))          no:  d / (1 - d)

and a statement of two answers has the product of their odds (one d / (1 - d) for two noes, which go in one breath).
A text is a set S of at most `longest` statements that answer no question twice and do not contradict each other, a yes
being a no to whatever it excludes; P(S | x) is proportional to the product of the odds in S. All sets are enumerated,
so that the law of the answers is exact. Attributes are independent given the state where every statement answers one
question, nothing excludes and nothing is cut; a statement such as "it broke after a week", a defect and a no to
`durable`, ties its two answers together.
Around the statements stand sentences that answer nothing; order, words and typing errors are drawn at random.

The honest test holds texts that come from no grammar, each written on its own, with labels (`honest/README.md` says
what they mean). Nobody who tunes a grammar or a model looks at them.
Described in `reference/data-sets`, section "Generated texts"; chapter `reading/llm-as-sensor`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import as_file, files
from itertools import chain

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from llma_tutorial import _validate, beliefs
from llma_tutorial.reading.corpora.grammar import ANSWERS, Grammar, Statement, Writer, parse, uniforms
from llma_tutorial.reading.corpora.texts import About, Corpus

# How a question is put to a reader, two ways; of headlines also its rate where the price falls and where it rises.
WORDINGS = {
    "defects": ("does it have defects?", "is something wrong with it?"),
    "durable": ("does it last?", "is it durable?"),
    "expectations": ("does it meet expectations?", "is it as good as hoped?"),
    "recommend": ("is it recommended?", "would the writer buy it again?"),
    "insulting": ("is it insulting?", "does the writer insult them?"),
    "dehumanizing": ("is it dehumanizing?", "are they called less than human?"),
    "humiliating": ("is it humiliating?", "does the writer want them shamed?"),
    "violence": ("does it promote violence?", "should they be hurt?"),
    "genocide": ("does it promote genocide?", "should they all disappear?"),
    "respectful": ("is it respectful?", "does the writer respect them?"),
}
_HEADLINES = {
    "earnings_beat": (0.05, 0.22, "did earnings beat forecasts?", "was profit above what was expected?"),
    "earnings_miss": (0.22, 0.05, "did earnings miss forecasts?", "was profit below what was expected?"),
    "guidance_raised": (0.03, 0.16, "was the outlook raised?", "does the company expect more than before?"),
    "guidance_cut": (0.16, 0.03, "was the outlook cut?", "does the company expect less than before?"),
    "product_launch": (0.08, 0.16, "was a product launched?", "is there a new product?"),
    "product_problem": (0.14, 0.04, "is there a product problem?", "did a product fail?"),
    "lawsuit": (0.12, 0.06, "is there a lawsuit?", "is the company in court?"),
    "regulator": (0.12, 0.06, "does a regulator act?", "is an authority looking into it?"),
    "acquisition": (0.08, 0.12, "is there an acquisition?", "does one company buy another?"),
    "executive_leaves": (0.1, 0.05, "does an executive leave?", "is somebody at the top going?"),
    "layoffs": (0.09, 0.06, "are there layoffs?", "are jobs cut?"),
    "analyst_upgrade": (0.03, 0.14, "did an analyst upgrade it?", "do analysts like it better?"),
    "analyst_downgrade": (0.14, 0.03, "did an analyst downgrade it?", "do analysts like it less?"),
}
WORDINGS |= {question: tuple(words) for question, (_, _, *words) in _HEADLINES.items()}
_HOSTILE = ("insulting", "dehumanizing", "humiliating", "violence", "genocide")
SETTINGS = {
    "reviews": {
        "states": ("bad", "good"),
        "questions": ("defects", "durable", "expectations", "recommend"),
        "rates": [[0.55, 0.15, 0.2, 0.15], [0.1, 0.5, 0.65, 0.6]],
        "training_rates": [0.5] * 4,
        "denial": 0.45,
        "longest": 4,
        "stars": [[0.4, 0.27, 0.16, 0.1, 0.07], [0.05, 0.07, 0.14, 0.29, 0.45]],
    },
    "comments": {
        "states": ("friendly", "neutral", "cold", "insulting", "degrading", "violent"),
        "questions": (*_HOSTILE, "respectful"),
        "rates": [
            [0.01, 0.01, 0.01, 0.01, 0.01, 0.75],
            [0.05, 0.01, 0.02, 0.01, 0.01, 0.25],
            [0.3, 0.04, 0.08, 0.03, 0.01, 0.06],
            [0.8, 0.1, 0.2, 0.05, 0.02, 0.02],
            [0.6, 0.7, 0.45, 0.08, 0.04, 0.01],
            [0.4, 0.35, 0.25, 0.7, 0.3, 0.01],
        ],
        "training_rates": [0.25, 0.25, 0.25, 0.25, 0.25, 0.6],
        "denial": 0.2,
        "longest": 4,
        "excludes": dict.fromkeys(_HOSTILE, ("respectful",)),
    },
    "headlines": {
        "states": ("falls", "rises"),
        "questions": tuple(_HEADLINES),
        "rates": [[row[state] for row in _HEADLINES.values()] for state in (0, 1)],
        "training_rates": [0.12] * len(_HEADLINES),
        "denial": 0.08,
        "longest": 3,
        "excludes": {
            "earnings_beat": ("earnings_miss",),
            "earnings_miss": ("earnings_beat",),
            "guidance_raised": ("guidance_cut",),
            "guidance_cut": ("guidance_raised",),
        },
    },
}

HELD_OUT = {"none": (False, False), "patterns": (True, False), "words": (False, True), "both": (True, True)}


@dataclass(frozen=True, eq=False)
class World:
    """A grammar together with the law of what its texts say; `world` makes the three of the book.

    Attributes
    ----------
    name : str
        What printed corpora are called.
    states, questions : tuple of str
        Names of the X states and of the k questions.
    rates : numpy.ndarray of shape (X, k)
        P(attribute = 1 | state) of each on its own, above 0 and below 1; what comes of it in texts with statements
        of two answers, exclusions and a limit is `yes_probabilities`.
    training_rates : numpy.ndarray of shape (k,)
        The same for texts that say nothing about the state, on which readers are trained.
    denial : float
        Probability that a value of 0 is denied and not just left unsaid.
    longest : int
        Most statements in a text.
    grammar : Grammar
        Sentences and words.
    excludes : mapping of str to tuple of str
        Questions that a yes answers with no.
    wordings : mapping of str to tuple of str
        How a question is put to a reader, two ways; the first is the usual one.
    stars : numpy.ndarray of shape (X, 5), optional
        P(stars | state), the environment of reviews.
    """

    name: str
    states: tuple[str, ...]
    questions: tuple[str, ...]
    rates: np.ndarray
    training_rates: np.ndarray
    denial: float
    longest: int
    grammar: Grammar = field(repr=False)
    excludes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    wordings: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    stars: np.ndarray | None = None

    def __post_init__(self) -> None:
        k = len(self.questions)
        object.__setattr__(self, "rates", _validate.real_array("rates", self.rates, (len(self.states), k)))
        object.__setattr__(self, "training_rates", _validate.real_array("training_rates", self.training_rates, (k,)))
        for name in ("rates", "training_rates"):
            values = getattr(self, name)
            if values.min() <= 0 or values.max() >= 1:
                wrong = values[(values <= 0) | (values >= 1)][0]
                raise ValueError(f"`{name}` must be above 0 and below 1. Got {wrong:g}.")
        if not 0 < _validate.number("denial", self.denial) < 1:
            raise ValueError(f"`denial` must be above 0 and below 1. Got {self.denial:g}.")
        _validate.integer("longest", self.longest, 1)
        for question in {*self.excludes, *chain(*self.excludes.values())}:
            _validate.one_of("excludes", question, self.questions)
        if self.stars is not None:
            stars = _validate.probabilities("stars", self.stars, (len(self.states), 5))
            object.__setattr__(self, "stars", stars)

    @property
    def prompts(self) -> tuple[str, ...]:
        """The questions as a reader is asked them, in the usual wording."""
        return tuple(self.wordings[question][0] for question in self.questions)

    @cached_property
    def texts(self) -> list[tuple[tuple[Statement, ...], tuple[int, ...]]]:
        """Every admissible set of statements, with the answers that follow: indices into ANSWERS."""
        statements = [(statement, self.said_by(statement)) for statement in self.grammar.statements]
        found = [((), {})]
        stack = [((), {}, 0)]
        while stack:
            chosen, said, first = stack.pop()
            if len(chosen) == self.longest:
                continue
            for number, (statement, answers) in enumerate(statements[first:], start=first + 1):
                fits = all(said.get(question, answer) == answer for question, answer in answers.items())
                if fits and not {q for q, _ in statement} & {q for other in chosen for q, _ in other}:
                    text = ((*chosen, statement), said | answers)
                    found.append(text)
                    stack.append((*text, number))
        codes = {answer: code for code, answer in enumerate(ANSWERS)}
        return [(chosen, tuple(codes[said.get(q, "unsaid")] for q in self.questions)) for chosen, said in found]

    def said_by(self, statement: Statement) -> dict[str, str]:
        """What a statement answers, with what its yes excludes."""
        answers = dict(statement)
        for question, answer in statement:
            if answer == "yes":
                answers |= dict.fromkeys(self.excludes.get(question, ()), "no")
        return answers

    def text_probabilities(self, independent: bool = False) -> np.ndarray:
        """P(set of statements | state), shape (X, sets); with `independent` the same in every state."""
        rates = np.tile(self.training_rates, (len(self.states), 1)) if independent else self.rates
        yes = dict(zip(self.questions, (rates / ((1 - rates) * (1 - self.denial))).T, strict=True))
        no = np.full(len(self.states), self.denial / (1 - self.denial))
        odds = {}
        for statement in self.grammar.statements:
            factors = [yes[question] for question, answer in statement if answer == "yes"]
            factors += [no] * any(answer == "no" for _, answer in statement)
            odds[statement] = np.prod(factors, axis=0)
        one = np.ones(len(self.states))
        weights = np.array([np.prod([one, *(odds[s] for s in chosen)], axis=0) for chosen, _ in self.texts]).T
        return weights / weights.sum(axis=1, keepdims=True)

    @cached_property
    def _law(self) -> tuple[np.ndarray, np.ndarray]:
        answers, place = np.unique(np.array([said for _, said in self.texts]), axis=0, return_inverse=True)
        probabilities = [np.bincount(place.ravel(), row, len(answers)) for row in self.text_probabilities()]
        return answers, _validate.probabilities("probabilities", probabilities, (len(self.states), len(answers)))

    @property
    def answers(self) -> np.ndarray:
        """Every pattern of answers that a text can have: indices into `ANSWERS`, shape (patterns, k)."""
        return self._law[0]

    @property
    def answer_probabilities(self) -> np.ndarray:
        """P(pattern of answers | state), shape (X, patterns): the observation matrix of a perfect reader."""
        return self._law[1]

    @property
    def yes_probabilities(self) -> np.ndarray:
        """P(answer is yes | state), shape (X, k); a yes is stated exactly when the attribute is 1."""
        return self.answer_probabilities @ (self.answers == ANSWERS.index("yes"))


@cache
def world(name: str) -> World:
    """One of the three worlds of the book.

    Parameters
    ----------
    name : {"reviews", "comments", "headlines"}
        Reviews of good and bad products with stars; comments of rising hostility about invented groups; headlines
        before a price falls or rises.

    Returns
    -------
    World

    Examples
    --------
    >>> world("reviews").yes_probabilities.round(3).tolist()  # rows: bad, good
    [[0.613, 0.145, 0.2, 0.15], [0.1, 0.573, 0.65, 0.6]]
    """
    settings = SETTINGS[_validate.one_of("name", name, list(SETTINGS))]
    text = files(__package__).joinpath("patterns", f"{name}.txt").read_text(encoding="utf-8")
    grammar = parse(text, settings["questions"], f"{name}.txt")
    wordings = {question: WORDINGS[question] for question in settings["questions"]}
    return World(name=name, grammar=grammar, wordings=wordings, **settings)


def generate(
    world: World,
    n: int,
    *,
    states: ArrayLike | None = None,
    independent: bool = False,
    held_out: str = "none",
    rng: np.random.Generator,
) -> Corpus:
    """Write labelled texts.

    Parameters
    ----------
    world : World
        Grammar and law.
    n : int
        How many texts.
    states : array-like of int, shape (n,), optional
        State of each text; drawn uniformly if omitted.
    independent : bool
        Whether the attributes are drawn at the world's `training_rates`, whatever the state, so that no answer can
        be guessed from the state.
    held_out : {"none", "patterns", "words", "both"}
        What the texts are made of: sentence patterns and words for training, or held-out ones.
    rng : numpy.random.Generator
        Source of every draw.

    Returns
    -------
    Corpus
        ``environment`` holds the stars of reviews, else 0. Extra columns: one per question, "yes", "no" or "unsaid".

    Examples
    --------
    >>> frame = generate(world("reviews"), 500, rng=np.random.default_rng(1)).frame
    >>> frame.columns.tolist()[2:]
    ['environment', 'id', 'defects', 'durable', 'expectations', 'recommend']
    """
    n = _validate.integer("n", n, 1)
    use_held_out_patterns, use_held_out_words = HELD_OUT[_validate.one_of("held_out", held_out, list(HELD_OUT))]
    rng = _validate.generator(rng)
    n_states = len(world.states)
    states = rng.integers(n_states, size=n) if states is None else _validate.integers("states", states, n_states)
    if states.shape != (n,):
        raise ValueError(f"`states` must have one entry for each of the {n} texts. Got shape {states.shape}.")
    sets = beliefs.draw(world.text_probabilities(independent), rng.random(n), states).astype(int)
    stars = (
        np.zeros(n, dtype=int)
        if world.stars is None
        else 1 + beliefs.draw(world.stars, rng.random(n), states).astype(int)
    )
    writer = Writer(world.grammar, use_held_out_patterns, use_held_out_words, uniforms(rng))
    texts = [writer.write(world.texts[number][0]) for number in sets]
    answers = np.array(ANSWERS, dtype=object)[np.array([world.texts[number][1] for number in sets])]
    tidy = pd.DataFrame({"text": texts, "state": states, "environment": stars, "id": np.arange(1, n + 1)})
    frame = tidy.join(pd.DataFrame(answers, columns=list(world.questions)))
    about = About(f"Generated {world.name}", licence="MIT, like the package", citation="llma_tutorial")
    return Corpus(frame, about, f"{world.name}.txt of the package", n, 0, {}, {})


def honest_test(name: str) -> Corpus:
    """Labelled texts on which to try a reader that was trained on the sentences of a grammar.

    Parameters
    ----------
    name : {"reviews", "comments", "headlines"}
        Which of the three.

    Returns
    -------
    Corpus
        Like those of `generate`: ``environment`` holds the stars of reviews, else 0, and there is one column for each
        question of the world of that name, "yes", "no" or "unsaid".

    Notes
    -----
    132 reviews, 138 comments and 154 headlines, written and labelled by one hand; every name is invented, and every
    answer occurs often enough for a balanced accuracy.

    Examples
    --------
    >>> len(honest_test("reviews").frame)
    132
    """
    settings = SETTINGS[_validate.one_of("name", name, list(SETTINGS))]
    with as_file(files(__package__) / "honest" / f"{name}.csv") as path:
        frame = pd.read_csv(path)
    frame.insert(2, "environment", frame.pop("stars") if "stars" in frame else 0)
    frame.insert(3, "id", range(1, len(frame) + 1))
    frame = frame[["text", "state", "environment", "id", *settings["questions"]]]
    about = About(f"Honest test of {name}", licence="MIT, like the package", citation="llma_tutorial")
    return Corpus(frame, about, f"honest/{name}.csv of the package", len(frame), 0, {}, {})
