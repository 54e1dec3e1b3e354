r"""Scores of many continuations of many prompts, computing what they share once.

Each text has a bundle of prompts, one for each question, and each prompt is continued by every option. With z the
tokens that all prompts of a bundle begin with, r the rest of a prompt and c_1..c_m the tokens of an option,

    log P(c | z, r)  =  sum_j log P(c_j | z, r, c_1..c_{j-1})

so z is read once and its cache serves all rows r, c_1..c_{m-1}; an option of one token costs no row of its own.

Bundles of like length are read together, up to the length of the shortest z among them; what a longer one has left
over goes into its rows. So no cache ever holds padding. Rows are padded on the right, where a causal model of any kind,
attention or recurrent, cannot see it from the left: no mask is needed and no number depends on the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import torch

SLACK = 8  # a text joins a batch if that shortens the shared beginning by at most an eighth
LOGITS = 2**26  # most logits held at once: 256 MB in single precision


@dataclass(frozen=True)
class Row:
    """Tokens to read after the shared ones, and the options whose probabilities can be read off on the way."""

    place: tuple[int, int]
    tokens: list[int]
    start: int
    options: dict[int, list[int]]


def cache_of(output: Any) -> Any:
    """The state after what was read, under the name that the architecture gives it; None if it cannot be branched."""
    for name in ("past_key_values", "cache_params"):
        cache = getattr(output, name, None)
        if hasattr(cache, "reorder_cache"):
            return name, cache
    return None


def read_on(network: Any, tokens: torch.Tensor, past: Any, rows: Sequence[int], **options: Any) -> Any:
    """Read `tokens` after row `rows[i]` of the cache `past`, which stays as it was."""
    name, cache = past
    branch = deepcopy(cache)  # reading on changes a cache in place
    branch.reorder_cache(torch.tensor(rows, device=tokens.device))
    return network(tokens, use_cache=True, **{name: branch}, **options)


@torch.inference_mode()
def can_branch(network: Any) -> bool:
    """Whether reading on from a copied cache gives what reading in one go gives, tried on a few tokens.

    The yardstick is what the tokens in the cache change at all: an architecture that forgets a part of them on the way
    (Mamba in transformers 5.23 does) is found out at any precision.
    """
    tokens = torch.arange(2, 26, device=network.device).reshape(2, 12) % network.config.get_text_config().vocab_size
    past = cache_of(network(tokens[:, :7], use_cache=True))
    if past is None:
        return False
    rows = [1, 0, 1]
    whole = network(tokens[rows]).logits[:, 7:].float()
    alone = network(tokens[rows, 7:]).logits.float()
    branched = read_on(network, tokens[rows, 7:], past, rows).logits.float()
    share = 1e-3 if network.dtype == torch.float32 else 0.1
    return bool((branched - whole).abs().mean() <= share * (alone - whole).abs().mean())


def branch_scores(
    network: Any,
    prompts: Sequence[Sequence[list[int]]],
    continuations: Sequence[Sequence[Sequence[list[int]]]],
    *,
    shared: bool,
    batch_tokens: int,
) -> np.ndarray:
    """Log-probability of `continuations[t][q][o]` after `prompts[t][q]`, shape (texts, questions, options)."""
    found = np.zeros((len(prompts), len(prompts[0]), len(continuations[0][0])))
    bundles = zip(prompts, continuations, strict=True)
    heads = [shared_length(bundle, branches) if shared else 0 for bundle, branches in bundles]
    for group in _groups(heads, batch_tokens):
        head = min(heads[t] for t in group)
        rows = [row for t in group for row in _rows(t, prompts[t], continuations[t], head)]
        past = None
        if head:
            beginnings = torch.tensor([prompts[t][0][:head] for t in group], device=network.device)
            past = _read_head(network, beginnings)
        rows.sort(key=lambda row: -len(row.tokens))  # what needs most memory comes first
        for chunk in _chunks(network, rows, head, batch_tokens):
            _score(network, chunk, past, {t: i for i, t in enumerate(group)}, found)
    return found


def shared_length(bundle: Sequence[list[int]], branches: Sequence[Sequence[list[int]]]) -> int:
    """How many tokens all prompts of a text begin with; 0 where a single row is read anyway."""
    if len(bundle) == 1 and len(_stems(branches[0])) == 1:
        return 0
    low, high = min(bundle), max(bundle)  # in dictionary order: what these two begin with, all do
    shortest = min(len(prompt) for prompt in bundle) - 1  # one token is left to read on with
    return next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b or i == shortest), shortest)


def _stems(options: Sequence[list[int]]) -> list[tuple[int, ...]]:
    """All that must be read beyond the prompt: options without their last token, none the beginning of another."""
    stems = sorted({tuple(option[:-1]) for option in options}, key=len, reverse=True)
    kept: list[tuple[int, ...]] = []
    for stem in stems:
        if not any(other[: len(stem)] == stem for other in kept):
            kept.append(stem)
    return kept


def _rows(t: int, bundle: Sequence[list[int]], branches: Sequence[Sequence[list[int]]], head: int) -> list[Row]:
    rows = []
    for q, (prompt, options) in enumerate(zip(bundle, branches, strict=True)):
        left = dict(enumerate(options))
        for stem in _stems(options):
            here = {o: tokens for o, tokens in left.items() if stem[: len(tokens) - 1] == tuple(tokens[:-1])}
            left = {o: tokens for o, tokens in left.items() if o not in here}
            rows.append(Row((t, q), [*prompt[head:], *stem], len(prompt) - head - 1, here))
    return rows


def _groups(heads: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Texts that are read together: longest first, of like length, within the budget."""
    group: list[int] = []
    for t in sorted(range(len(heads)), key=lambda t: -heads[t]):
        longest = heads[group[0]] if group else 0
        if group and (longest - heads[t] > longest // SLACK or (len(group) + 1) * longest > batch_tokens):
            yield group
            group = []
        group.append(t)
    if group:
        yield group


def _chunks(network: Any, rows: list[Row], head: int, batch_tokens: int) -> Iterator[list[Row]]:
    vocabulary = network.config.get_text_config().vocab_size
    while rows:
        width = len(rows[0].tokens)
        kept = width - min(row.start for row in rows)
        size = max(1, min(batch_tokens // (head + width), LOGITS // (kept * vocabulary)))
        yield rows[:size]
        rows = rows[size:]


def _read_head(network: Any, tokens: torch.Tensor) -> Any:
    with torch.inference_mode():
        return cache_of(network(tokens, use_cache=True, **_keep(network, 1)))


def _keep(network: Any, positions: int) -> dict[str, int]:
    """Ask for the logits of the last positions only, where the architecture offers that."""
    return {"logits_to_keep": positions} if "logits_to_keep" in signature(network.forward).parameters else {}


@torch.inference_mode()
def _score(network: Any, rows: list[Row], past: Any, number: dict[int, int], found: np.ndarray) -> None:
    width = max(len(row.tokens) for row in rows)
    tokens = [row.tokens + row.tokens[-1:] * (width - len(row.tokens)) for row in rows]
    tokens = torch.tensor(tokens, device=network.device)
    keep = _keep(network, width - min(row.start for row in rows))
    if past is None:
        logits = network(tokens, use_cache=False, **keep).logits
    else:
        logits = read_on(network, tokens, past, [number[row.place[0]] for row in rows], **keep).logits
    first = width - logits.shape[1]
    read = [
        (i, row.start - first + j, token, *row.place, o)
        for i, row in enumerate(rows)
        for o, option in row.options.items()
        for j, token in enumerate(option)
    ]
    i, j, token = torch.tensor([place[:3] for place in read], device=network.device).T
    values = logits[i, j, token].float() - logits.float().logsumexp(dim=-1)[i, j]
    np.add.at(found, tuple(np.array([place[3:] for place in read]).T), values.double().cpu().numpy())
