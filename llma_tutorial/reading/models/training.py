r"""Training of the classroom reader: from the grammars of the three worlds to a checkpoint, in one command.

    make model        (python -m llma_tutorial.reading.models.training)

Primitives: a text z of sentences s, written by a grammar without regard to any state, so that no answer can be guessed
from another; its true answer a_q to question q; the statement c_s of each sentence, "nothing" among them. A decoder
reads the text and then the questions, as branches of one tree (`prefix_tree`). With batch averages it minimises

    - log P(a_q | z, q)  -  v log P(c_s | z up to the end of s)  -  w log P(z_i | z_1 .. z_{i-1})

The second term is asked of the layer before the last through a linear map that is thrown away afterwards: it teaches
the lower layers to read a sentence before the last one learns to find the sentence that a question is about. Without
it the answer loss stays near chance for most of the run. `noise` replaces a share of the tokens by others.

Algorithm: AdamW with warm-up and a cosine schedule, one pass over texts that hardly ever repeat: first short texts,
then texts of any length with more of the questions that they answer, at last all questions alike, so that
probabilities are calibrated. Seeded: same machine, same number of threads, same weights.
Chapter: `reading/llm-as-sensor`.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch.nn.functional import cross_entropy
from tqdm.auto import tqdm
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from llma_tutorial.reading.corpora import World, world
from llma_tutorial.reading.corpora.grammar import Writer, uniforms
from llma_tutorial.reading.models.classroom_models import (
    ANSWER_TOKENS,
    ASK,
    CHECKPOINTS,
    PADDING,
    START,
    ClassroomModel,
)
from llma_tutorial.reading.models.prefix_tree import TreeBatch, plant, states_at

WORLDS = ("reviews", "comments", "headlines")
SPECIAL = (PADDING, START, ASK, *ANSWER_TOKENS.values())
THREADS = 2
POOL = 50  # batches whose texts are sorted by length together


@dataclass(frozen=True)
class Recipe:
    """All that decides what comes out of a training run.

    `texts` in all, of which the shares `short` come first and `natural` last; `questions` at most about each;
    `answered_first` is how much likelier a question that the text answers is to be among them, before the last phase.
    """

    texts: int = 90_000
    short: float = 0.4
    natural: float = 0.2
    questions: int = 6
    answered_first: float = 0.5
    noise: float = 0.1
    sentence_loss: float = 1.0
    text_loss: float = 0.3
    text_share: float = 0.25
    batch: int = 32
    learning_rate: float = 4e-3
    warm_up: int = 100
    weight_decay: float = 0.05
    vocabulary: int = 1_500
    hidden: int = 96
    layers: int = 3
    heads: int = 4
    feed_forward: int = 256
    context: int = 512
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Example:
    """A text, what is asked about it and the true answers; where its sentences end and what each states."""

    text: str
    questions: list[str]
    answers: list[int]
    ends: list[int]
    statements: list[int]


def examples(worlds: Sequence[World], recipe: Recipe, rng: np.random.Generator) -> list[Example]:
    """The texts of a run in the order in which they are read."""
    kinds = {kind: number for number, kind in enumerate(k for w in worlds for k in w.grammar.statements)}
    n_short, n_natural = round(recipe.texts * recipe.short), round(recipe.texts * recipe.natural)
    phases = [
        ([replace(world, longest=1) for world in worlds], n_short, 3, 1.0),
        (worlds, recipe.texts - n_short - n_natural, recipe.questions, recipe.answered_first),
        (worlds, n_natural, recipe.questions, 0.0),
    ]
    read = []
    for of_phase, n, questions, answered_first in phases:
        written = []
        for place, world_ in enumerate(of_phase):
            n_here = n // len(worlds) + (place < n % len(worlds))
            written += _examples(world_, n_here, questions, answered_first, kinds, rng)
        read += [written[i] for i in rng.permutation(len(written))]
    return read


def _examples(
    world: World, n: int, questions: int, answered_first: float, kinds: dict, rng: np.random.Generator
) -> list[Example]:
    writer = Writer(world.grammar, False, False, uniforms(rng))
    found = []
    for chosen in rng.choice(len(world.texts), size=n, p=world.text_probabilities(independent=True)[0]):
        statements, answers = world.texts[chosen]
        sections, sentences = zip(*writer.sentences(statements), strict=True)
        silent = np.array(answers) == len(ANSWER_TOKENS) - 1
        asked = (rng.random(silent.size) + answered_first * silent).argsort()[:questions]
        wording = rng.integers(2, size=asked.size)
        words = [world.wordings[world.questions[q]][way] for q, way in zip(asked, wording, strict=True)]
        ends = np.cumsum([len(sentence) + 1 for sentence in sentences]) - 1
        stated = [kinds.get(section, len(kinds)) for section in sections]
        found.append(Example(" ".join(sentences), words, [answers[q] for q in asked], ends.tolist(), stated))
    return found


def new_tokenizer(found: Sequence[Example], recipe: Recipe) -> Tokenizer:
    """Byte-level byte-pair encoding of lower-cased text; special tokens written out in a text stay plain text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    some = found[:: max(len(found) // 30_000, 1)]
    tokenizer.train_from_iterator((words for e in some for words in (e.text, *e.questions)), trainer)
    tokenizer.encode_special_tokens = True
    return tokenizer


def new_network(recipe: Recipe, tokenizer: Tokenizer) -> LlamaForCausalLM:
    """A small decoder with fresh weights."""
    torch.manual_seed(recipe.seed)
    config = LlamaConfig(
        vocab_size=recipe.vocabulary,
        hidden_size=recipe.hidden,
        intermediate_size=recipe.feed_forward,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=recipe.context,
        initializer_range=0.08,  # about 1 / sqrt(hidden); the usual 0.02 is meant for wide models and learns late here
        tie_word_embeddings=True,
        pad_token_id=tokenizer.token_to_id(PADDING),
        bos_token_id=tokenizer.token_to_id(START),
        eos_token_id=tokenizer.token_to_id(ASK),
    )
    return LlamaForCausalLM(config)


@dataclass(frozen=True, eq=False)
class Batch:
    """Trees, the answer token at the end of each branch, and (row, place) of sentence ends with their statements."""

    tree: TreeBatch
    answers: torch.Tensor
    ends: torch.Tensor
    statements: torch.Tensor


def batches(
    found: Sequence[Example], tokenizer: Tokenizer, recipe: Recipe, rng: np.random.Generator
) -> Iterator[Batch]:
    """One pass over `found`, like lengths together within pools of batches."""
    start, ask, padding = (tokenizer.token_to_id(token) for token in (START, ASK, PADDING))
    answer = [tokenizer.token_to_id(token) for token in ANSWER_TOKENS.values()]
    branch = {question: tokenizer.encode(question).ids for question in {q for e in found for q in e.questions}}
    for first in range(0, len(found), POOL * recipe.batch):
        pool = found[first : first + POOL * recipe.batch]
        encoded = tokenizer.encode_batch([example.text for example in pool])
        order = sorted(range(len(pool)), key=lambda i: len(encoded[i].ids))
        groups = [order[i : i + recipe.batch] for i in range(0, len(order), recipe.batch)]
        for group in (groups[i] for i in rng.permutation(len(groups))):
            trunks = [[start, *noisy(encoded[i].ids, recipe, rng), ask] for i in group]
            ends = [
                (row, int(np.searchsorted([stop for _, stop in encoded[i].offsets], end, side="right")))
                for row, i in enumerate(group)
                for end in pool[i].ends
            ]
            yield Batch(
                plant(trunks, [[branch[q] for q in pool[i].questions] for i in group], padding),
                torch.tensor([answer[a] for i in group for a in pool[i].answers]),
                torch.tensor(ends),
                torch.tensor([statement for i in group for statement in pool[i].statements]),
            )


def noisy(tokens: list[int], recipe: Recipe, rng: np.random.Generator) -> list[int]:
    """`tokens` with some replaced, more in one text than in another, `noise` of them on average."""
    changed = rng.random(len(tokens)) < 2 * recipe.noise * rng.random()
    return np.where(changed, rng.integers(len(SPECIAL), recipe.vocabulary, size=len(tokens)), tokens).tolist()


def fit(
    network: torch.nn.Module,
    batches: Iterable[Any],
    loss: Callable[[Any], tuple[torch.Tensor, torch.Tensor]],
    *,
    steps: int,
    learning_rate: float,
    warm_up: int,
    weight_decay: float,
    besides: Sequence[torch.Tensor] = (),
    shown: str | None = None,
) -> list[float]:
    """The training loop of every network of this book: AdamW, a warm-up, a cosine schedule, gradients clipped at 1.

    Parameters
    ----------
    network : torch.nn.Module
        Trained in place.
    batches : iterable
        One for each step.
    loss : callable
        From a batch to what is minimised and what is reported, two scalars; what it changes besides is its own affair.
    steps : int
        Where the cosine ends.
    learning_rate, weight_decay : float
        Of AdamW.
    warm_up : int
        Steps in which the rate rises.
    besides : sequence of torch.Tensor
        Further weights, trained along and thrown away.
    shown : str, optional
        What the reported number is called in a progress bar; no bar if omitted.

    Returns
    -------
    list of float
        What was reported at every step.

    Notes
    -----
    Chapter: `reading/llm-as-sensor`.
    """
    parameters = [*network.parameters(), *besides]
    optimiser = torch.optim.AdamW(parameters, learning_rate, betas=(0.9, 0.98), weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm_up, 0.5 + 0.5 * math.cos(math.pi * min(step / steps, 1)))
    )
    reported: list[float] = []
    network.train()
    bar = tqdm(batches, total=steps, disable=shown is None, unit="step")
    for batch in bar:
        minimised, value = loss(batch)
        optimiser.zero_grad()
        minimised.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        reported.append(float(value.detach()))
        if len(reported) % 50 == 0:
            bar.set_postfix_str(f"{shown} {np.mean(reported[-50:]):.3f} nats")
    network.eval()
    return reported


def train(
    network: LlamaForCausalLM,
    tokenizer: Tokenizer,
    found: Sequence[Example],
    recipe: Recipe,
    *,
    progress: bool = True,
    rng: np.random.Generator,
) -> list[float]:
    """Train `network` in place, one pass over `found`; returns the answer loss of every step, in nats."""
    torch.manual_seed(recipe.seed)
    n_statements = 1 + max((statement for example in found for statement in example.statements), default=0)
    reading = torch.nn.Linear(recipe.hidden, n_statements)
    return fit(
        network,
        batches(found, tokenizer, recipe, rng),
        lambda batch: losses(network, reading, batch, recipe),
        steps=math.ceil(len(found) / recipe.batch),
        learning_rate=recipe.learning_rate,
        warm_up=recipe.warm_up,
        weight_decay=recipe.weight_decay,
        besides=list(reading.parameters()),
        shown="answer loss" if progress else None,
    )


def losses(
    network: LlamaForCausalLM, reading: torch.nn.Linear, batch: Batch, recipe: Recipe
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum of the three terms, and the answer loss alone."""
    tree = batch.tree
    follows = tree.trunk[:, 1:] & (torch.rand(tree.trunk[:, 1:].shape) < recipe.text_share)
    before = follows.nonzero()
    last, lower = states_at(network, tree, [torch.cat([tree.ends, before]), batch.ends], [-1, -2])
    n = len(tree.ends)
    answer_loss = cross_entropy(network.lm_head(last[:n]), batch.answers)
    sentence_loss = cross_entropy(reading(lower), batch.statements)
    text_loss = cross_entropy(network.lm_head(last[n:]), tree.tokens[:, 1:][follows])
    return answer_loss + recipe.sentence_loss * sentence_loss + recipe.text_loss * text_loss, answer_loss


def train_reader(recipe: Recipe, worlds: Sequence[World], *, progress: bool = True) -> ClassroomModel:
    """A reader trained from nothing; it lies in no folder until `save` writes it."""
    rng = np.random.default_rng(recipe.seed)
    found = examples(worlds, recipe, rng)
    tokenizer = new_tokenizer(found, recipe)
    network = new_network(recipe, tokenizer)
    train(network, tokenizer, found, recipe, progress=progress, rng=rng)
    return ClassroomModel("reader", network, tokenizer, Path())


def save(model: ClassroomModel, folder: Path, about: dict) -> None:
    """Write config, weights in float16, tokenizer, and `training.json` with `about` and the hashes of the rest."""
    answers = [model.tokenizer.token_to_id(token) for token in ANSWER_TOKENS.values()]
    network = model.network.half()
    ask = network.config.eos_token_id
    network.generation_config = GenerationConfig(
        do_sample=True,  # or servers decode greedily at any temperature
        eos_token_id=[ask, *answers],
        bos_token_id=network.config.bos_token_id,
        pad_token_id=network.config.pad_token_id,
    )
    network.save_pretrained(folder)
    network.float()
    words = json.loads(model.tokenizer.to_str())
    for token in words["added_tokens"]:  # servers leave special tokens out of their replies, and these are replies
        token["special"] = token["content"] not in ANSWER_TOKENS.values()
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(words)),
        bos_token=START,
        eos_token=ASK,
        pad_token=PADDING,
        chat_template="{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}",
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)
    hashes = {
        file: hashlib.sha256((folder / file).read_bytes()).hexdigest()
        for file in ("config.json", "model.safetensors", "tokenizer.json")
    }
    (folder / "training.json").write_text(json.dumps({**about, "sha256": hashes}, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Train the reader and write its checkpoint."""
    torch.set_num_threads(THREADS)
    start, recipe = time.perf_counter(), Recipe()
    model = train_reader(recipe, [world(name) for name in WORLDS])
    seconds = round(time.perf_counter() - start)
    about = {"recipe": asdict(recipe), "threads": THREADS, "torch": torch.__version__, "seconds": seconds}
    save(model, CHECKPOINTS / model.name, about)
    print(f"The reader is in {CHECKPOINTS / model.name}; it took {seconds} s.")


if __name__ == "__main__":
    main()
