r"""One pass over a text, however many questions are asked about it.

A text and its questions form a tree: the trunk `<s> text <ask>`, and a branch for each question. All of it is laid out
in one row of tokens; the mask lets a token see the trunk and its own branch up to itself, and positions start again at
the end of the trunk in every branch. So the token that ends a branch is computed as if its question had been asked
alone:

    row        <s> t1 .. tn <ask> | q11 .. q1a | q21 .. q2b | padding
    position    0  1  ..  n  n+1  | n+2  ..    | n+2  ..    | 0
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel


@dataclass(frozen=True, eq=False)
class TreeBatch:
    """Rows of tokens, (rows, length), with what a transformer needs to read them as trees.

    `visible` is the mask (rows, 1, length, length), True where the second token may be seen by the first; `ends`
    holds (row, place) of the last token of every branch, in the order of rows and questions; `trunk` marks trunks.
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    visible: torch.Tensor
    ends: torch.Tensor
    trunk: torch.Tensor


def plant(trunks: Sequence[Sequence[int]], branches: Sequence[Sequence[Sequence[int]]], padding: int) -> TreeBatch:
    """Lay trees out in rows.

    Parameters
    ----------
    trunks : sequence of token lists
        One for each row.
    branches : sequence of sequences of token lists
        The questions of each row.
    padding : int
        Token that fills rows up.
    """
    lengths = [len(trunk) + sum(map(len, asked)) for trunk, asked in zip(trunks, branches, strict=True)]
    shape = (len(trunks), max(lengths))
    tokens = np.full(shape, padding)
    positions = np.zeros(shape, dtype=np.int64)
    branch = np.full(shape, -1)  # of padding, which sees itself only
    ends = []
    for row, (trunk, asked) in enumerate(zip(trunks, branches, strict=True)):
        start = len(trunk)
        tokens[row, :start], positions[row, :start], branch[row, :start] = trunk, np.arange(start), 0
        for number, question in enumerate(asked, start=1):
            end = start + len(question)
            tokens[row, start:end] = question
            positions[row, start:end] = len(trunk) + np.arange(len(question))
            branch[row, start:end] = number
            ends.append((row, end - 1))
            start = end
    seer, seen = branch[:, :, None], branch[:, None, :]
    before = np.tri(shape[1], dtype=bool)
    visible = before & (((seen == seer) & (seer >= 0)) | ((seen == 0) & (seer >= 0))) | np.eye(shape[1], dtype=bool)
    return TreeBatch(
        torch.from_numpy(tokens),
        torch.from_numpy(positions),
        torch.from_numpy(visible)[:, None],
        torch.tensor(ends),
        torch.from_numpy(branch == 0),
    )


def states_at(
    network: PreTrainedModel, batch: TreeBatch, places: Sequence[torch.Tensor], layers: Sequence[int] = (-1,)
) -> list[torch.Tensor]:
    """Hidden states at (row, place), shape (places, hidden): one set of places for each layer, -1 being the last."""
    hidden_from = ~batch.visible
    mask = torch.zeros(hidden_from.shape, dtype=network.dtype)
    mask = mask.masked_fill(hidden_from, torch.finfo(network.dtype).min)
    out = network.model(
        input_ids=batch.tokens,
        position_ids=batch.positions,
        attention_mask=mask,
        use_cache=False,
        output_hidden_states=any(layer != -1 for layer in layers),
    )
    hidden = [out.last_hidden_state if layer == -1 else out.hidden_states[layer] for layer in layers]
    return [states[where[:, 0], where[:, 1]] for states, where in zip(hidden, places, strict=True)]
