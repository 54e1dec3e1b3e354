r"""Readers of three architectures that are trained alike: Llama-style, GPT-2-style, recurrent.

Primitives: a network is token vectors e(z_i), L layers that add to them, and a law of the next token read off the last
one. What differs is how a token learns of those before it:

    llama    attention, positions as rotations of queries and keys; RMS norms; gated feed-forward layers
    gpt2     attention, positions as learned vectors added to the tokens; layer norms; plain feed-forward layers
    gru      no attention: a state of fixed size, h_i = GRU(h_parent(i), x_i), read off at every token

Texts and questions are trees (`prefix_tree`). A transformer reads a tree through a mask; a recurrent network reads the
trunk once and starts every branch from the state at the trunk's end, which is what it would have reached had the
question been asked alone. So `training.train` and `ClassroomModel.score` serve all three as they stand, and readers
with one recipe see the same texts, tokens, questions and noise in the same order, step by step.
Source of the recurrent unit: Cho et al. (2014). Chapter: `practice/architectures`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import GPT2Config, GPT2LMHeadModel

from llma_tutorial import _validate
from llma_tutorial.reading.corpora import World
from llma_tutorial.reading.models import training
from llma_tutorial.reading.models.classroom_models import ASK, START, ClassroomModel
from llma_tutorial.reading.models.training import Recipe

ARCHITECTURES = ("llama", "gpt2", "gru")
SPREAD = 0.08  # of fresh weights, as in `training.new_network`
SMALL = Recipe(
    texts=24_000, noise=0.0, questions=4, learning_rate=2e-3, vocabulary=1_000, hidden=64, feed_forward=170, context=192
)


class _AsLlama(torch.nn.Module):
    """A network under the names that the reader's code uses: `model` for the layers, `lm_head` for the scores."""

    def __init__(self, layers: torch.nn.Module, embedding: torch.nn.Embedding, context: int) -> None:
        super().__init__()
        self.model = layers
        self.lm_head = torch.nn.Linear(*reversed(embedding.weight.shape), bias=False)
        self.lm_head.weight = embedding.weight
        self.config = SimpleNamespace(max_position_embeddings=context)
        self.dtype = torch.float32

    def num_parameters(self) -> int:
        """Weights, those that are shared counted once."""
        return sum(p.numel() for p in self.parameters())


class _GRULayer(torch.nn.Module):
    """What a GRU makes of the normed input, added to the input."""

    def __init__(self, hidden: int, state: int) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(hidden)
        self.gru = torch.nn.GRU(hidden, state, batch_first=True)
        self.out = torch.nn.Linear(state, hidden, bias=False)

    def forward(self, x: torch.Tensor, spine: int, branches: torch.Tensor) -> torch.Tensor:
        """`spine` is the longest of any row; `branches` (n, 4) holds row, start and end of each, and where it forks."""
        rows, starts, ends, forks = branches.T
        normed = self.norm(x)
        states, _ = self.gru(normed[:, :spine])
        read = torch.zeros(*x.shape[:2], states.shape[2])
        read[:, :spine] = states
        if len(branches):
            places = starts[:, None] + torch.arange(int((ends - starts).max()))
            inside = places < ends[:, None]
            rows = rows[:, None].expand_as(places)
            branched, _ = self.gru(normed[rows, places.clamp(max=x.shape[1] - 1)], states[rows[:, 0], forks][None])
            read[rows[inside], places[inside]] = branched[inside]
        return x + self.out(read)


class _GRUStack(torch.nn.Module):
    """Layers of a recurrent reader, called as those of a transformer are."""

    def __init__(self, recipe: Recipe, state: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(recipe.vocabulary, recipe.hidden)
        torch.nn.init.normal_(self.embedding.weight, std=SPREAD)
        self.layers = torch.nn.ModuleList(_GRULayer(recipe.hidden, state) for _ in range(recipe.layers))
        self.norm = torch.nn.LayerNorm(recipe.hidden)

    def forward(
        self, input_ids: torch.Tensor, position_ids: torch.Tensor, attention_mask: torch.Tensor, **_: bool
    ) -> SimpleNamespace:
        """States of every token; the mask says which tokens are one branch."""
        spine, branches = _paths(attention_mask[:, 0] == 0)
        hidden = [self.embedding(input_ids)]
        for layer in self.layers:
            hidden.append(layer(hidden[-1], spine, branches))
        hidden[-1] = self.norm(hidden[-1])
        return SimpleNamespace(last_hidden_state=hidden[-1], hidden_states=hidden)


def _paths(visible: torch.Tensor) -> tuple[int, torch.Tensor]:
    """From who sees whom (rows, length, length): where the spines end, and (row, start, end, fork) of other branches.

    The token before t on its path is the last one that t sees. The spine of a row is read from left to right: the
    trunk and its first branch. Every other branch starts where that token is not the left neighbour.
    """
    earlier = torch.tril(visible, -1)
    place = torch.arange(visible.shape[1])
    before = torch.where(earlier, place, -1).amax(2)  # of padding, which sees itself only, -1
    runs_on = before == place - 1
    spine = int(runs_on.int().cumprod(1).sum(1).max())
    starts = (~runs_on & (before >= 0)).nonzero()
    stops = torch.nn.functional.pad(~runs_on, (0, 1), value=True).int()
    ends = [start + 1 + int(stops[row, start + 1 :].argmax()) for row, start in starts.tolist()]
    return spine, torch.column_stack([starts, torch.tensor(ends, dtype=torch.long), before[tuple(starts.T)]])


def new_network(architecture: str, recipe: Recipe, tokenizer: Tokenizer) -> torch.nn.Module:
    """Fresh weights of one architecture, about as many as those of the others with the same recipe."""
    _validate.one_of("architecture", architecture, ARCHITECTURES)
    llama = training.new_network(recipe, tokenizer)
    if architecture == "llama":
        return llama
    torch.manual_seed(recipe.seed)
    if architecture == "gpt2":
        config = GPT2Config(
            vocab_size=recipe.vocabulary,
            n_positions=recipe.context,
            n_embd=recipe.hidden,
            n_layer=recipe.layers,
            n_head=recipe.heads,
            initializer_range=SPREAD,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=tokenizer.token_to_id(START),
            eos_token_id=tokenizer.token_to_id(ASK),
        )
        layers = GPT2LMHeadModel(config).transformer
        return _AsLlama(layers, layers.wte, recipe.context)
    block = (llama.num_parameters() - recipe.vocabulary * recipe.hidden) / recipe.layers
    state = max(s for s in range(1, 8 * recipe.hidden) if 3 * s * (recipe.hidden + s + 2) + recipe.hidden * s <= block)
    layers = _GRUStack(recipe, state)
    return _AsLlama(layers, layers.embedding, recipe.context)


def train_alike(
    architecture: str, recipe: Recipe, worlds: Sequence[World], *, progress: bool = False
) -> tuple[ClassroomModel, list[float]]:
    """Train a reader of one architecture on what the others of the same recipe are trained on.

    Parameters
    ----------
    architecture : {"llama", "gpt2", "gru"}
        How a token learns of those before it.
    recipe : Recipe
        All else that decides what comes out; `SMALL` takes about a minute.
    worlds : sequence of World
        Whose texts are read.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    ClassroomModel
        It lies in no folder: it scores, and has no hashes.
    list of float
        Answer loss of every step, in nats.

    Notes
    -----
    Chapter: `practice/architectures`.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from llma_tutorial.reading.corpora import world
    >>> reader, losses = train_alike("gru", replace(SMALL, texts=64), [world("reviews")])
    >>> reader, len(losses)
    (ClassroomModel(name='gru'), 2)
    """
    rng = np.random.default_rng(recipe.seed)
    found = training.examples(worlds, recipe, rng)
    tokenizer = training.new_tokenizer(found, recipe)
    network = new_network(architecture, recipe, tokenizer)
    losses = training.train(network, tokenizer, found, recipe, progress=progress, rng=rng)
    return ClassroomModel(architecture, network, tokenizer, Path()), losses
