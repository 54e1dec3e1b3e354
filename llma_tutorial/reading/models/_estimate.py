"""What a run will cost, before it runs.

Nobody but the server knows its tokenizer. English takes about four bytes for a token, and no tokenizer that works on
bytes needs more than one token a byte; about eight more go round each message. Both figures are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llma_tutorial import _validate

BYTES_PER_TOKEN = 4
ROUND_A_MESSAGE = 8


@dataclass(frozen=True)
class Estimate:
    """Size and cost of a request; the costs are None without a price."""

    calls: int
    tokens_in: int
    tokens_in_at_most: int
    tokens_out_at_most: int
    cost: float | None
    cost_at_most: float | None

    def __str__(self) -> str:
        size = f"{self.calls} calls, about {self.tokens_in} tokens in (at most {self.tokens_in_at_most}), "
        size += f"at most {self.tokens_out_at_most} out"
        return size if self.cost is None else f"{size}: about {self.cost:.3g} (at most {self.cost_at_most:.3g})"


def estimated(prompts: Sequence[str], max_tokens: int, price: tuple[float, float] | None) -> Estimate:
    """Estimate for calls with these prompts; `price` is for a million tokens in and out."""
    sizes = [len(prompt.encode()) for prompt in prompts]
    about = sum(-(-size // BYTES_PER_TOKEN) + ROUND_A_MESSAGE for size in sizes)
    at_most = sum(sizes) + 2 * ROUND_A_MESSAGE * len(sizes)
    out = max_tokens * len(sizes)
    if price is None:
        return Estimate(len(sizes), about, at_most, out, None, None)
    price_in, price_out = _validate.real_array("price", price, (2,)) / 1e6
    costs = (float(tokens * price_in + out * price_out) for tokens in (about, at_most))
    return Estimate(len(sizes), about, at_most, out, *costs)
