r"""From comments and reviews to choices: samples, noise in the text, a moderator who pays for questions, tables.

Primitives: texts with known state x; answers to k questions, with law B over all V^k patterns; environments m, each
with its payoffs u_m(x, a). A choice is what is done about one text in one environment.

Noise. Each letter is replaced, with probability t, by one drawn uniformly from a to z. Levels compose,

    level s, then level t      has the law of level      1 - (1 - s)(1 - t)

so a noisier text is a garbling of a cleaner one: whatever can be chosen from it can be chosen from the cleaner one.

Paying for questions. With a price for each question, payoffs u and prior pi0, the agent asks the set S that maximises

    sum_y max_a sum_x pi0(x) B_S(x, y) u(x, a)   -   price * |S|,        B_S the law of the answers to S alone

and takes the best action after the answers y. All 2^k sets are compared. What it pays depends on the set alone and
never on u, so over environments that differ in payoffs such agents satisfy NIAS and NIAC (`one_agent.ribum`), and
what they paid lies within the recovered bounds. Chapters: `one-agent/hate-speech`, `one-agent/product-reviews`.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.reading.corpora import Corpus
from llma_tutorial.reading.likelihoods import encode

__all__ = ["Questionnaire", "add_noise", "balanced", "choice_table", "choose_questions"]

LETTERS = np.array(list(string.ascii_lowercase))
BEST = 1e-12  # of the largest payoff: a larger set of questions must be better by more than rounding


def add_noise(texts: Sequence[str], level: float, *, rng: np.random.Generator) -> list[str]:
    """Replace letters at random.

    Parameters
    ----------
    texts : sequence of str
    level : float
        Probability, for each letter on its own, of being replaced by one drawn from a to z.
    rng : numpy.random.Generator
        The same seed at two levels spoils the same letters first, in the same way.

    Returns
    -------
    list of str
        Of the same lengths; what is no letter stays.

    Examples
    --------
    >>> add_noise(["It broke after a week!"], 0.3, rng=np.random.default_rng(3))
    ['yh bbokp mfter a wecp!']
    """
    if isinstance(texts, str):
        raise TypeError("`texts` must be a list of texts. Got one text alone: put it into a list.")
    level = _validate.number("level", level, 0, 1)
    rng = _validate.generator(rng)
    letters = np.array(list("".join(texts)), dtype="<U1")
    spoilt, drawn = rng.random(letters.size) < level, LETTERS[rng.integers(len(LETTERS), size=letters.size)]
    noisy = "".join(np.where(spoilt & np.char.isalpha(letters), drawn, letters)) if letters.size else ""
    ends = np.cumsum([0, *map(len, texts)])
    return [noisy[start:end] for start, end in pairwise(ends)]


def balanced(corpus: Corpus, n_per_state: int, *, longest: int | None = None, rng: np.random.Generator) -> pd.DataFrame:
    """Equally many texts of every state, in random order.

    Parameters
    ----------
    corpus : Corpus
        Generated, or loaded from a file of your own.
    n_per_state : int
    longest : int, optional
        Cut texts after so many characters, for models that read no further.
    rng : numpy.random.Generator

    Returns
    -------
    pandas.DataFrame
        Rows of the corpus, numbered from 0.

    Notes
    -----
    The prior of the sample is uniform by design, whatever it was in the corpus.

    Examples
    --------
    >>> from llma_tutorial.reading.corpora import generate, world
    >>> corpus = generate(world("reviews"), 50, rng=np.random.default_rng(0))
    >>> balanced(corpus, 20, rng=np.random.default_rng(1))["state"].value_counts().tolist()
    [20, 20]
    """
    n = _validate.integer("n_per_state", n_per_state, 1)
    longest = None if longest is None else _validate.integer("longest", longest, 1)
    sizes = corpus.frame["state"].value_counts()
    sizes = sizes.reindex(range(int(sizes.index.max()) + 1), fill_value=0)
    if sizes.min() < n:
        raise ValueError(
            f"`n_per_state` must be at most {sizes.min()}, the texts of state {sizes.idxmin()}. "
            f"Got {n}; take fewer, or cut the states elsewhere (`edges` of the loader)."
        )
    sample = corpus.frame.groupby("state").sample(n, random_state=_validate.generator(rng))
    sample = sample.iloc[rng.permutation(len(sample))].reset_index(drop=True)
    return sample.assign(text=sample["text"].str.slice(stop=longest))


@dataclass(frozen=True, eq=False)
class Questionnaire:
    """Questions worth their price, and what to do after each pattern of answers; made by `choose_questions`.

    Attributes
    ----------
    questions : tuple of int
        Places of the questions that are asked.
    rule : numpy.ndarray of shape (V ** len(questions),)
        Best action after each symbol, the pattern of answers as in `Sensor`.
    cost : float
        What the questions cost, in utils for each text.
    expected_utility : float
        Of the best actions if the observation matrix is right, before the cost.
    n_answers : int
        V.
    """

    questions: tuple[int, ...]
    rule: np.ndarray
    cost: float
    expected_utility: float
    n_answers: int

    def decide(self, answers: ArrayLike) -> np.ndarray:
        """Actions (texts,) after answers (texts, k) to all questions, of which only those asked are looked at."""
        answers = _validate.integers("answers", answers, self.n_answers)
        return self.rule[encode(answers[:, self.questions], self.n_answers)]


def choose_questions(
    observation_matrix: ArrayLike,
    utility: ArrayLike,
    prior: ArrayLike,
    question_price: float,
    *,
    n_answers: int = 2,
) -> Questionnaire:
    """The questions that an agent asks who pays for each, and its actions.

    Parameters
    ----------
    observation_matrix : array-like of shape (X, Y)
        Law of the answers to all k questions, over the symbols of a sensor: of `fit_counts`, say.
    utility : array-like of shape (X, A)
        Payoffs in utils.
    prior : array-like of shape (X,)
    question_price : float
        In utils, for each question about each text.
    n_answers : int
        V, 2 if "unsaid" counts as "no".

    Returns
    -------
    Questionnaire
        Of several equally good sets, the smallest, and of these the first.

    Examples
    --------
    One question tells much and the other nothing:

    >>> matrix = np.outer([0.1, 0.9], [0.5, 0.5]), np.outer([0.9, 0.1], [0.5, 0.5])
    >>> plan = choose_questions(np.reshape(matrix, (2, 4)), np.eye(2), [0.5, 0.5], question_price=0.05)
    >>> plan.questions, plan.rule.tolist(), round(plan.expected_utility, 3)
    ((0,), [1, 0], 0.9)
    """
    prior = _validate.probabilities("prior", prior, (None,))
    matrix = _validate.probabilities("observation_matrix", observation_matrix, (prior.size, None))
    utility = _validate.real_array("utility", utility, (prior.size, None))
    price = _validate.number("question_price", question_price, 0)
    n_answers = _validate.integer("n_answers", n_answers, 2)
    k = round(np.log(matrix.shape[1]) / np.log(n_answers))
    if n_answers**k != matrix.shape[1]:
        raise ValueError(
            f"`observation_matrix` must have a column for each pattern of answers, {n_answers} ** k columns. "
            f"Got {matrix.shape[1]}."
        )
    law = (prior[:, None] * matrix).reshape(prior.size, *(n_answers,) * k)  # the first question leads
    best, least = None, BEST * np.abs(utility).max()
    for chosen in (chosen for size in range(k + 1) for chosen in combinations(range(k), size)):
        others = tuple(1 + question for question in range(k) if question not in chosen)
        values = law.sum(axis=others).reshape(prior.size, -1).T @ utility
        net = values.max(axis=1).sum() - price * len(chosen)
        if best is None or net > best[0] + least:
            best = net, chosen, values
    _, chosen, values = best
    rule = _validate.read_only(values.argmax(axis=1))
    return Questionnaire(chosen, rule, price * len(chosen), float(values.max(axis=1).sum()), n_answers)


def choice_table(states: ArrayLike, actions: ArrayLike, n_states: int, n_actions: int) -> pd.DataFrame:
    """The long table of choices about the same texts in several environments, as `finite_sample_test` takes it.

    Parameters
    ----------
    states : array-like of int, shape (n,)
        State of each text.
    actions : array-like of int, shape (M, n)
        What was done about each text in each environment.
    n_states, n_actions : int
        X and A; states without a text and actions never taken keep their place.

    Returns
    -------
    pandas.DataFrame
        Columns ``environment``, ``state``, ``text`` (its place), ``action``. `counts_from_table` counts it.

    Examples
    --------
    >>> from llma_tutorial.one_agent.ribum import counts_from_table
    >>> counts_from_table(choice_table([0, 1, 1], [[0, 1, 1], [0, 0, 1]], 2, 3))[1].astype(int).tolist()
    [[1, 0, 0], [1, 1, 0]]
    """
    n_states, n_actions = _validate.integer("n_states", n_states, 1), _validate.integer("n_actions", n_actions, 1)
    states, actions = _validate.integers("states", states, n_states), _validate.integers("actions", actions, n_actions)
    if actions.ndim != 2 or states.shape != actions.shape[1:]:
        raise ValueError(
            f"`actions` must have a row for each environment and a column for each of the {states.size} texts. "
            f"Got shape {actions.shape}."
        )
    environment, text = (index.ravel() for index in np.indices(actions.shape))
    return pd.DataFrame(
        {
            "environment": environment,
            "state": pd.Categorical(states[text], categories=range(n_states)),
            "text": text,
            "action": pd.Categorical(actions.ravel(), categories=range(n_actions)),
        }
    )
