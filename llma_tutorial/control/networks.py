"""Torch networks that read a history: from what was seen to a score for going on and for each final action."""

from __future__ import annotations

import torch
from torch import nn


class _Counting(nn.Module):
    """How often each thing was seen, whatever the order; the base of the linear and the feed-forward network."""

    def __init__(self, n_seen: int, *layers: nn.Module) -> None:
        super().__init__()
        self.n_seen, self.layers, self.last = n_seen, nn.Sequential(*layers[:-1]), layers[-1]

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        once = nn.functional.one_hot(seen, self.n_seen).to(self.last.weight.dtype)  # (n, t, Y)
        counts = torch.cat([torch.zeros_like(once[:, :1]), once.cumsum(1)], dim=1)
        return self.last(self.layers(counts))  # (n, t + 1, 1 + A)


class Linear(_Counting):
    """Scores linear in the counts: what a belief of two states needs, since its log-odds are."""

    def __init__(self, n_seen: int, n_choices: int, width: int) -> None:
        super().__init__(n_seen, nn.Linear(n_seen, n_choices))


class FeedForward(_Counting):
    """One hidden layer on the counts."""

    def __init__(self, n_seen: int, n_choices: int, width: int) -> None:
        super().__init__(n_seen, nn.Linear(n_seen, width), nn.Tanh(), nn.Linear(width, n_choices))


class Recurrent(nn.Module):
    """A gated recurrent unit that reads what was seen one by one, after a start mark."""

    def __init__(self, n_seen: int, n_choices: int, width: int) -> None:
        super().__init__()
        self.start, self.embed = n_seen, nn.Embedding(n_seen + 1, width)
        self.unit, self.last = nn.GRU(width, width, batch_first=True), nn.Linear(width, n_choices)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """Scores (n, t + 1, choices) after each beginning of what was seen, (n, t)."""
        marked = nn.functional.pad(seen, (1, 0), value=self.start)
        return self.last(self.unit(self.embed(marked))[0])


class Transformer(nn.Module):
    """One causal layer of attention with two heads and learned positions."""

    def __init__(self, n_seen: int, n_choices: int, width: int, longest: int = 256) -> None:
        super().__init__()
        self.start, self.embed = n_seen, nn.Embedding(n_seen + 1, width)
        self.places = nn.Embedding(longest, width)
        layer = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.last = nn.Linear(width, n_choices)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """Scores (n, t + 1, choices) after each beginning of what was seen, (n, t)."""
        marked = nn.functional.pad(seen, (1, 0), value=self.start)
        length = marked.shape[1]
        hidden = self.embed(marked) + self.places.weight[:length]
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        return self.last(self.layers(hidden, mask=future))


NETWORKS = {"linear": Linear, "mlp": FeedForward, "gru": Recurrent, "transformer": Transformer}
