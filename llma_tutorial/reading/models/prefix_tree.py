r"""Prefix trees: many prompts and their continuations, what they begin with alike read once.

The prompts of a request form a tree of tokens: a branch divides where two of them first differ. Each prompt p is
continued by options c_1..c_m, whose scores are read off on the way,

    log P(c | p)  =  sum_j log P(c_j | p, c_1..c_{j-1})

Two ways to read a tree, with equal results:

**In one row, through a mask** (`plant`, `states_at`), for the small networks of this book; gradients flow through it,
so they are trained on trees as well. A text and its questions are a trunk `<s> text <ask>` and a branch for each. All
is laid out in one row of tokens; the mask lets a token see the trunk and its own branch up to itself, and positions
start again at the end of the trunk in every branch, so that the token that ends a branch is computed as if its question
had been asked alone:

    row        <s> t1 .. tn <ask> | q11 .. q1a | q21 .. q2b | padding
    position    0  1  ..  n  n+1  | n+2  ..    | n+2  ..    | 0

**Level by level, through caches** (`continuation_scores`), for any causal network of transformers. From the root down,
what leads to a division is read once, its state kept in a cache, and everything beyond reads on from copies of that:
examples before all texts, a text before its questions, a history before its next line. Nodes of like depth are read
together, up to the depth of the shallowest; what is left over goes into the rows beyond. So no cache ever holds
padding. Rows are padded on the right, where a causal network of any kind, attention or recurrent, cannot see it from
the left: no mask is needed and no number depends on the batch. A node that saves less than a call costs is dissolved
into the one above it. A network whose state cannot be copied (`can_branch` tries) reads every prompt in one go.
Chapters: `reading/llm-as-sensor`, `practice/your-own-model`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from inspect import signature
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

SLACK = 8  # a node joins a batch if that shortens what is read at once by at most an eighth
LEAST, FIRST_LEAST = 32, 8  # a division is kept if it saves one token in so many; the first costs reading with a mask
CALL = 32  # tokens that could be read in the time that one more call of the network takes, if nothing else is known
LOGITS = 2**26  # most logits held at once: 256 MB in single precision


# --- In one row, through a mask ---------------------------------------------------------------------------------------


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


# --- Level by level, through caches -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Row:
    """A path to read to its end, and what is read off on the way: (position, token that follows it, prompt, option)."""

    tokens: tuple[int, ...]
    start: int
    reads: list[tuple[int, int, int, int]]


@dataclass(eq=False)
class Node:
    """A division of the tree, `depth` tokens from its root: rows that are read to their ends, and divisions beyond."""

    depth: int
    rows: list[Row] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)

    @property
    def path(self) -> tuple[int, ...]:
        """The tokens that lead here."""
        node = self
        while not node.rows:
            node = node.nodes[0]
        return node.rows[0].tokens[: self.depth]

    @property
    def branches(self) -> int:
        """How many ways lead on."""
        return len(self.rows) + len(self.nodes)

    def add(self, item: Row | Node) -> None:
        """Hang on a row, or a node; or what hangs on the node, where reading on to it once does not pay."""
        if isinstance(item, Row):
            self.rows.append(item)
        elif item.pays(self.depth):
            self.nodes.append(item)
        else:
            self.rows += item.rows
            self.nodes += item.nodes

    def pays(self, above: int) -> bool:
        """Whether reading from depth `above` to here once saves enough of what is read as far as the next nodes."""
        apart = sum(len(row.tokens) - above for row in self.rows) + sum(node.depth - above for node in self.nodes)
        return (LEAST if above else FIRST_LEAST) * (self.branches - 1) * (self.depth - above) >= apart


@dataclass(frozen=True, eq=False)
class Held:
    """The state after the first `depth` tokens of several nodes, under the name that the architecture gives it."""

    name: str
    cache: Any
    depth: int
    size: int


def continuation_scores(
    network: Any,
    prompts: Sequence[Sequence[int]],
    continuations: Sequence[Sequence[Sequence[int]]],
    *,
    shared: bool,
    batch_tokens: int,
    call: int = CALL,
) -> np.ndarray:
    """Log-probability of every continuation of every prompt.

    Parameters
    ----------
    network : transformers.PreTrainedModel
        A causal language model.
    prompts : sequence of token lists
        At least one token each.
    continuations : sequence of sequences of token lists
        `continuations[p][o]` continues `prompts[p]`; at least one token each, as many options for every prompt.
    shared : bool
        Whether what prompts begin with alike is read once; only where `can_branch` says that it can.
    batch_tokens : int
        Most tokens held at once, in caches and in what is being read; a single row may be longer.
    call : int
        Tokens that one more call of the network is worth, see `price_of_a_call`. Scores do not depend on it.

    Returns
    -------
    numpy.ndarray of shape (prompts, options)
        Natural logarithms, not normalised over the options.

    Notes
    -----
    Chapter: `practice/your-own-model`.
    """
    pairs = [(tuple(p), tuple(map(tuple, c))) for p, c in zip(prompts, continuations, strict=True)]
    number = {pair: i for i, pair in enumerate(dict.fromkeys(pairs))}
    rows = [row for pair, i in number.items() for row in _rows(i, *pair)]
    found = np.zeros((len(number), len(continuations[0])))
    waiting: list[tuple[Held | None, list[tuple[int, Node]]]]
    waiting = [(None, [(0, grown(rows) if shared else Node(0, rows))])]
    while waiting:
        past, lanes = waiting.pop()
        here = _read_to(network, past, lanes)
        del past  # whoever needs it last lets it go
        depth, held = (here.depth, {id(here): here.size}) if here else (0, {})
        room = batch_tokens - sum((held | {id(p): p.size for p, _ in waiting if p}).values())
        direct, groups = _divided([node for _, node in lanes], depth, room // 2, call)
        for chunk in _chunks(network, direct, depth, room, call):
            _score(network, chunk, here, found)
        waiting += [(here, group) for group in groups]
    return found[[number[pair] for pair in pairs]]


def _rows(prompt: int, tokens: tuple[int, ...], options: Sequence[tuple[int, ...]]) -> list[Row]:
    """The paths of one prompt: options without their last token, none the beginning of another."""
    start, left, rows = len(tokens) - 1, dict(enumerate(options)), []
    for stem in sorted({option[:-1] for option in options}, key=len, reverse=True):
        here = {o: option for o, option in left.items() if stem[: len(option) - 1] == option[:-1]}
        left = {o: option for o, option in left.items() if o not in here}
        reads = [(start + j, token, prompt, o) for o, option in here.items() for j, token in enumerate(option)]
        rows += [Row(tokens + stem, start, reads)] if reads else []
    return rows


def grown(rows: Sequence[Row]) -> Node:
    """The tree of some rows without divisions that do not pay; from where scores are read off, nothing is shared."""
    ordered = sorted(rows, key=lambda row: row.tokens)
    stack: list[Node] = [Node(0)]
    for row, following in pairwise([*ordered, None]):
        common, loose = _common(row, following), row
        while stack[-1].depth > common:
            closed = stack.pop()
            closed.add(loose)
            loose = closed
        if stack[-1].depth < common:
            stack.append(Node(common))
        stack[-1].add(loose)
    return stack[0]


def _common(row: Row, following: Row | None) -> int:
    """How many tokens two rows share, none from where the scores of either begin to be read off."""
    if following is None:
        return 0
    most = min(row.start, following.start)
    pairs = zip(row.tokens[:most], following.tokens, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), most)


def price_of_a_call(network: PreTrainedModel) -> int:
    """Tokens that could be read in the time that one more call takes.

    On a processor a call costs some time for every layer, a token for every weight: measured, 1 ms a layer and 20 ns
    a thousand weights on one core. An accelerator reads hundreds of tokens in the time of one.
    """
    if network.device.type != "cpu":
        return 512
    layers = network.config.get_text_config().num_hidden_layers
    return int(np.clip(5e7 * layers / max(network.num_parameters(exclude_embeddings=True), 1), 8, CALL))


def _divided(
    nodes: Sequence[Node], depth: int, room: int, call: int
) -> tuple[list[tuple[int, Row]], list[list[tuple[int, Node]]]]:
    """What is read on from `nodes`, each with its place among them: rows to their ends, and groups of further nodes.

    A group costs a call to read it and one to read on; if it saves less, or its caches have no room, it is dissolved.
    """
    rows = [(lane, row) for lane, node in enumerate(nodes) for row in node.rows]
    pending = [(lane, child) for lane, node in enumerate(nodes) for child in node.nodes]
    groups = []
    while pending:
        dissolved = []
        for group in _alike(pending, depth, room):
            reach = group[-1][1].depth
            saved = sum(node.branches - 1 for _, node in group) * (reach - depth)
            if saved < 2 * call or len(group) * reach > room:
                dissolved += group
            else:
                groups.append(group)
        rows += [(lane, row) for lane, node in dissolved for row in node.rows]
        pending = [(lane, child) for lane, node in dissolved for child in node.nodes]
    return rows, groups


def _alike(lanes: Sequence[tuple[int, Node]], depth: int, room: int) -> Iterator[list[tuple[int, Node]]]:
    """Nodes that are read together: deepest first, of like depth, within the room."""
    group: list[tuple[int, Node]] = []
    for lane, node in sorted(lanes, key=lambda lane: -lane[1].depth):
        longest = group[0][1].depth if group else 0
        if group and (longest - node.depth > (longest - depth) // SLACK or (len(group) + 1) * longest > room):
            yield group
            group = []
        group.append((lane, node))
    if group:
        yield group


def _chunks(
    network: Any, rows: Sequence[tuple[int, Row]], depth: int, room: int, call: int
) -> Iterator[list[tuple[int, Row]]]:
    """Rows that are read together: longest first, for memory that does not suffice is better missed at once."""
    vocabulary, offered = network.config.get_text_config().vocab_size, _chooses_logits(network)
    chunk: list[tuple[int, Row]] = []
    places: set[int] = set()
    padding = longest = 0
    for lane, row in sorted(rows, key=lambda lane: -len(lane[1].tokens)):
        n, padding = len(chunk) + 1, padding + longest - len(row.tokens)
        wider = places | {position for position, *_ in row.reads}
        logits = n * (len(wider) if offered else longest - depth) * vocabulary
        if chunk and (n * longest > room or logits > LOGITS or padding > call):
            yield chunk
            chunk = []
        if not chunk:
            longest, padding, wider = len(row.tokens), 0, {position for position, *_ in row.reads}
        chunk.append((lane, row))
        places = wider
    if chunk:
        yield chunk


def _chooses_logits(network: Any) -> bool:
    """Whether the architecture computes logits at chosen positions only; else it does so at all."""
    return "logits_to_keep" in signature(network.forward).parameters


def _read_to(network: Any, past: Held | None, lanes: Sequence[tuple[int, Node]]) -> Held | None:
    """Read from `past` on as far as all these nodes reach; each is in the row of `past` that its number says."""
    reach, depth = min(node.depth for _, node in lanes), past.depth if past else 0
    if reach == 0:
        return None
    tokens = torch.tensor([node.path[depth:reach] for _, node in lanes], device=network.device)
    keep = {"logits_to_keep": 1} if _chooses_logits(network) else {}
    with torch.inference_mode():
        if past is None:
            return cache_of(network(tokens, use_cache=True, **keep), reach, len(lanes))
        return cache_of(read_on(network, tokens, past, [lane for lane, _ in lanes], **keep), reach, len(lanes))


@torch.inference_mode()
def _score(network: Any, lanes: Sequence[tuple[int, Row]], past: Held | None, found: np.ndarray) -> None:
    depth = past.depth if past else 0
    width = max(len(row.tokens) for _, row in lanes)
    tokens = [row.tokens[depth:] + row.tokens[-1:] * (width - len(row.tokens)) for _, row in lanes]
    tokens = torch.tensor(tokens, device=network.device)
    places = sorted({position - depth for _, row in lanes for position, *_ in row.reads})
    keep = {}
    if _chooses_logits(network):
        keep["logits_to_keep"] = torch.tensor(places, device=network.device)
    if past is None:
        logits = network(tokens, use_cache=False, **keep).logits
    else:
        logits = read_on(network, tokens, past, [lane for lane, _ in lanes], **keep).logits
    if logits.shape[1] > len(places):
        logits = logits[:, places]
    column = {place: j for j, place in enumerate(places)}
    reads = [(i, column[at - depth], *read) for i, (_, row) in enumerate(lanes) for at, *read in row.reads]
    i, j, token = torch.tensor([read[:3] for read in reads], device=network.device).T
    values = logits[i, j, token].float() - logits.float().logsumexp(dim=-1)[i, j]
    np.add.at(found, tuple(np.array([read[3:] for read in reads]).T), values.double().cpu().numpy())


def cache_of(output: Any, depth: int, lanes: int) -> Held | None:
    """The state after what was read; None if it cannot be branched."""
    for name in ("past_key_values", "cache_params"):
        cache = getattr(output, name, None)
        if hasattr(cache, "reorder_cache"):
            return Held(name, cache, depth, depth * lanes)
    return None


def read_on(network: Any, tokens: torch.Tensor, past: Held, rows: Sequence[int], **options: Any) -> Any:
    """Read `tokens` after row `rows[i]` of `past`, which stays as it was."""
    branch = deepcopy(past.cache)  # reading on changes a cache in place
    branch.reorder_cache(torch.tensor(rows, device=tokens.device))
    return network(tokens, use_cache=True, **{past.name: branch}, **options)


@torch.inference_mode()
def can_branch(network: Any) -> bool:
    """Whether reading on from copied caches, twice, gives what reading in one go gives, tried on a few tokens.

    The yardstick is what the tokens in the cache change at all: an architecture that forgets a part of them on the way
    (Mamba in transformers 5.23 does) is found out at any precision.
    """
    tokens = torch.arange(2, 26, device=network.device).reshape(2, 12) % network.config.get_text_config().vocab_size
    first = cache_of(network(tokens[:, :4], use_cache=True), 4, 2)
    if first is None:
        return False
    rows = [1, 0, 1]
    second = cache_of(read_on(network, tokens[rows, 4:7], first, rows), 7, 3)
    if second is None:
        return False
    whole = network(tokens[rows]).logits[:, 7:].float()
    alone = network(tokens[rows, 7:]).logits.float()
    read_on(network, tokens[:, :4], first, [1, 1])  # must not change what is read from `first` or `second` later
    branched = [read_on(network, tokens[rows, 7:], second, [0, 1, 2]).logits.float()]
    branched += [read_on(network, tokens[rows, 4:], first, rows).logits[:, 3:].float()]
    share = 1e-3 if network.dtype == torch.float32 else 0.1
    least = share * (alone - whole).abs().mean()
    return all(bool((logits - whole).abs().mean() <= least) for logits in branched)
