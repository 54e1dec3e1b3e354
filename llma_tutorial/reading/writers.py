r"""Small language models that write, and what becomes of them when they are trained on what they wrote.

A sentence s is of one of four kinds: (durable, no), (durable, yes), (recommend, no), (recommend, yes). A writer is a
decoder in the form of the classroom reader, one token for each word, trained from fresh weights to minimise

    - sum over sentences  log P(s | kind)      with  log P(s | kind) = sum_i log P(word_i | kind, word_1 .. word_{i-1})

It writes by drawing words at temperature 1, and reads by Bayes' rule: the answer that makes the sentence likelier.
A lineage begins with a writer trained on true sentences of the review grammar. Each next writer is trained on as many
sentences of the one before, with a share of fresh true ones or without, or on all sentences so far. Nothing but text
passes from one to the next, as in the refitted normal law of `llma_tutorial.many_agents.gaussian.self_consuming`.
Chapter: `many-agents/model-collapse`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from llma_tutorial import _validate
from llma_tutorial.reading.corpora import world
from llma_tutorial.reading.corpora.grammar import fill
from llma_tutorial.reading.models.training import fit

__all__ = ["KINDS", "Lineage", "Sentences", "Writer", "lineage", "train_writer", "true_sentences"]

KINDS = (("durable", "no"), ("durable", "yes"), ("recommend", "no"), ("recommend", "yes"))
PADDING, END, FIRST_KIND = 0, 1, 2
FIRST_WORD = FIRST_KIND + len(KINDS)
LONGEST = 30  # words
BATCH, LEARNING_RATE, WARM_UP = 16, 6e-3, 30
N_MEASURED = 500  # fresh true sentences, on which every writer of a lineage is measured
_WORD = re.compile(r"[a-z']+|[0-9]+|[^\sa-z0-9]")


@dataclass(frozen=True, eq=False)
class Sentences:
    """Sentences with what they answer: places in `KINDS`, and lower-case words; made by `true_sentences` or `write`."""

    kinds: np.ndarray
    words: tuple[tuple[str, ...], ...]

    def __add__(self, other: Sentences) -> Sentences:
        """All of both."""
        return Sentences(np.concatenate([self.kinds, other.kinds]), self.words + other.words)

    def first(self, n: int) -> Sentences:
        """The first n."""
        return Sentences(self.kinds[:n], self.words[:n])


def true_sentences(n: int, *, rng: np.random.Generator) -> Sentences:
    """Sentences of the review grammar about durability and recommendation, all kinds and patterns equally likely.

    Parameters
    ----------
    n : int
    rng : numpy.random.Generator

    Returns
    -------
    Sentences

    Examples
    --------
    >>> len(true_sentences(3, rng=np.random.default_rng(0)).words)
    3
    """
    n = _validate.integer("n", n, 1)
    grammar = world("reviews").grammar
    kinds = _validate.generator(rng).integers(len(KINDS), size=n)
    fillings = {slot: words for (slot, held_out), words in grammar.words.items() if not held_out}
    found = []
    for kind in kinds:
        patterns = grammar.patterns[(KINDS[kind],), False]
        slots = {slot: words[rng.integers(len(words))] for slot, words in fillings.items()}
        found.append(tuple(_WORD.findall(fill(patterns[rng.integers(len(patterns))], slots).lower())))
    return Sentences(kinds, tuple(found))


@dataclass(frozen=True, eq=False)
class Writer:
    """A trained decoder with its words in the order of their tokens, made by `train_writer`."""

    network: LlamaForCausalLM
    vocabulary: tuple[str, ...]

    @torch.no_grad()
    def write(self, n: int, *, rng: np.random.Generator) -> Sentences:
        """`n` sentences of kinds drawn uniformly, word after word at temperature 1."""
        n = _validate.integer("n", n, 1)
        generator = torch.Generator().manual_seed(int(_validate.generator(rng).integers(2**31)))
        kinds = rng.integers(len(KINDS), size=n)
        newest, cache = torch.from_numpy(kinds)[:, None] + FIRST_KIND, None
        open_, drawn = torch.ones(n, dtype=torch.bool), []
        while open_.any() and len(drawn) < LONGEST:
            out = self.network(input_ids=newest, past_key_values=cache, use_cache=True)
            cache, scores = out.past_key_values, out.logits[:, -1]
            scores[:, PADDING] = scores[:, FIRST_KIND:FIRST_WORD] = -torch.inf
            newest = torch.multinomial(scores.softmax(-1), 1, generator=generator)
            newest[~open_] = PADDING
            open_ &= newest[:, 0] != END
            drawn.append(newest[:, 0].numpy())
        rows = np.stack(drawn, axis=1)
        return Sentences(
            kinds, tuple(tuple(self.vocabulary[t - FIRST_WORD] for t in r if t >= FIRST_WORD) for r in rows)
        )

    @torch.no_grad()
    def log_probability(self, sentences: Sentences) -> np.ndarray:
        """Log P(sentence | kind) in nats, shape (n,)."""
        rows = _tokens(sentences, self.vocabulary)
        return np.concatenate(
            [-_losses(self.network, rows[i : i + 100]).sum(1).numpy() for i in range(0, len(rows), 100)]
        )

    def read(self, sentences: Sentences) -> np.ndarray:
        """Probability of "yes" to the question that each sentence is about, by Bayes' rule from even odds."""
        no = Sentences(sentences.kinds // 2 * 2, sentences.words)
        yes = Sentences(no.kinds + 1, sentences.words)
        return 1 / (1 + np.exp(np.minimum(self.log_probability(no) - self.log_probability(yes), 700)))


def train_writer(
    sentences: Sentences,
    vocabulary: tuple[str, ...],
    *,
    steps: int = 750,
    hidden: int = 48,
    rng: np.random.Generator,
) -> Writer:
    """Train a decoder of two layers from fresh weights.

    Parameters
    ----------
    sentences : Sentences
    vocabulary : tuple of str
        Words that the writer has tokens for; those of the sentences among them.
    steps : int
        Steps of AdamW, sixteen sentences each, after a warm-up with a cosine schedule.
    hidden : int
        Width, a multiple of 8: four heads of even width.
    rng : numpy.random.Generator
        Decides weights and order.

    Returns
    -------
    Writer

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> sentences = true_sentences(40, rng=rng)
    >>> vocabulary = tuple(sorted({word for words in sentences.words for word in words}))
    >>> writer = train_writer(sentences, vocabulary, steps=3, hidden=8, rng=rng)
    >>> writer.log_probability(sentences).shape
    (40,)
    """
    steps = _validate.integer("steps", steps, 1)
    if _validate.integer("hidden", hidden, 8) % 8:
        raise ValueError(f"`hidden` must be a multiple of 8, four heads of even width. Got {hidden}.")
    rng = _validate.generator(rng)
    rows = _tokens(sentences, vocabulary)
    network = _new_network(len(vocabulary), hidden, int(rng.integers(2**31)))

    def loss(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        losses = _losses(network, batch)
        mean = losses.sum() / (losses > 0).sum()
        return mean, mean

    rates = {"learning_rate": LEARNING_RATE, "warm_up": WARM_UP, "weight_decay": 0.01}
    fit(network, _batches(rows, steps, rng), loss, steps=steps, **rates)
    return Writer(network, vocabulary)


def _new_network(n_words: int, hidden: int, seed: int) -> LlamaForCausalLM:
    """Fresh weights, without a trace in torch's global randomness."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=FIRST_WORD + n_words,
                hidden_size=hidden,
                intermediate_size=8 * hidden // 3,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=4,
                max_position_embeddings=LONGEST + 2,
                tie_word_embeddings=True,
                pad_token_id=PADDING,
                bos_token_id=None,
                eos_token_id=END,
            )
        )


def _tokens(sentences: Sentences, vocabulary: tuple[str, ...]) -> torch.Tensor:
    """Rows (kind, words, end, padding)."""
    place = {word: number for number, word in enumerate(vocabulary, start=FIRST_WORD)}
    rows = np.full((len(sentences.words), 2 + max(map(len, sentences.words))), PADDING)
    for row, kind, words in zip(rows, sentences.kinds, sentences.words, strict=True):
        unknown = next((word for word in words if word not in place), None)
        if unknown is not None:
            raise ValueError(f"`vocabulary` must hold every word of the sentences. Got {unknown!r}, which it lacks.")
        row[: len(words) + 2] = [FIRST_KIND + kind, *(place[word] for word in words), END]
    return torch.from_numpy(rows)


def _losses(network: LlamaForCausalLM, rows: torch.Tensor) -> torch.Tensor:
    """Minus log-probability of each token after the first, zero in the padding."""
    scores = network(input_ids=rows[:, :-1], use_cache=False).logits
    losses = torch.nn.functional.cross_entropy(scores.transpose(1, 2), rows[:, 1:], reduction="none")
    return losses * (rows[:, 1:] != PADDING)


def _batches(rows: torch.Tensor, steps: int, rng: np.random.Generator):
    """Batches of sentences of like length, pass after pass, until the steps are used up."""
    lengths = (rows != PADDING).sum(1).numpy()
    done = 0
    while done < steps:
        order = rng.permutation(len(rows))
        order = order[np.argsort(lengths[order] // 2, kind="stable")]
        groups = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
        for number in rng.permutation(len(groups))[: steps - done]:
            group = groups[number]
            yield rows[torch.from_numpy(group), : lengths[group].max()]
        done += len(groups)


@dataclass(frozen=True, eq=False)
class Lineage:
    """Writers trained on writers, measured generation by generation; made by `lineage`.

    Attributes
    ----------
    distinct : numpy.ndarray of shape (n_generations + 1,)
        Distinct sentences among those that each generation wrote.
    vocabulary : numpy.ndarray of shape (n_generations + 1,)
        Distinct words in them.
    entropy : numpy.ndarray of shape (n_generations + 1,)
        Of the frequencies of these words, in nats.
    surprise : numpy.ndarray of shape (n_generations + 1,)
        Nats for each word, ends included, of fresh true sentences.
    accuracy : numpy.ndarray of shape (n_generations + 1,)
        Share of fresh true sentences whose answer is read rightly.
    samples : list of list of str
        Three sentences of each generation.
    """

    distinct: np.ndarray
    vocabulary: np.ndarray
    entropy: np.ndarray
    surprise: np.ndarray
    accuracy: np.ndarray
    samples: list[list[str]]


def lineage(
    n_sentences: int,
    n_generations: int,
    *,
    fresh: float = 0.0,
    accumulate: bool = False,
    steps: int = 750,
    rng: np.random.Generator,
) -> Lineage:
    """Train a writer on true sentences, the next on what it wrote, and so on.

    Parameters
    ----------
    n_sentences : int
        Sentences that each generation is trained on, and writes.
    n_generations : int
        How many writers follow the first.
    fresh : float
        Share of true sentences among those a writer is trained on.
    accumulate : bool
        Train on all sentences so far, the true ones of the beginning among them; then `fresh` must be 0.
    steps : int
        Of training, in each generation.
    rng : numpy.random.Generator

    Returns
    -------
    Lineage

    Examples
    --------
    >>> found = lineage(40, 1, steps=3, rng=np.random.default_rng(0))
    >>> found.distinct.shape
    (2,)
    """
    n = _validate.integer("n_sentences", n_sentences, 2)
    n_generations = _validate.integer("n_generations", n_generations, 0)
    n_fresh = round(n * _validate.number("fresh", fresh, 0, 1))
    rng = _validate.generator(rng)
    if accumulate and n_fresh:
        raise ValueError(f"`fresh` must be 0 if sentences accumulate: the first ones stay anyway. Got {fresh}.")
    known = true_sentences(20_000, rng=np.random.default_rng(0)).words  # long enough to hold every word
    vocabulary = tuple(sorted({word for words in known for word in words}))
    fresh_ones = true_sentences(N_MEASURED, rng=rng)
    diet, measured = true_sentences(n, rng=rng), []
    for _ in range(n_generations + 1):
        writer = train_writer(diet, vocabulary, steps=steps, rng=rng)
        written = writer.write(n, rng=rng)
        measured.append(_measures(writer, written, fresh_ones))
        served = written if not n_fresh else written.first(n - n_fresh) + true_sentences(n_fresh, rng=rng)
        diet = diet + served if accumulate else served
    numbers, samples = zip(*measured, strict=True)
    return Lineage(*map(_validate.read_only, np.array(numbers).T.copy()), list(samples))


def _measures(writer: Writer, written: Sentences, true: Sentences) -> tuple[list[float], list[str]]:
    """Distinct sentences, vocabulary, entropy, surprise and accuracy of one writer; three of its sentences."""
    counts = np.unique([word for words in written.words for word in words], return_counts=True)[1]
    shares = counts / counts.sum()
    nats = -writer.log_probability(true).sum() / sum(len(words) + 1 for words in true.words)
    right = (writer.read(true) > 0.5) == true.kinds % 2
    numbers = [len(set(written.words)), counts.size, -(shares @ np.log(shares)), nats, right.mean()]
    return [float(number) for number in numbers], [" ".join(words) for words in written.words[:3]]
