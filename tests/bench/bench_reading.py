"""The classroom reader: loading it, texts per second, and what one pass for all questions saves."""

import numpy as np
from timing import shortest

from llma_tutorial.reading.corpora import generate, world
from llma_tutorial.reading.models.classroom_models import CHECKPOINTS, load

TEXTS = 640


def measure() -> list[tuple[str, float, str, float]]:
    """Rows (what, value, unit, limit)."""
    rows = [("reader: loading it, hashes checked", shortest(lambda: load(CHECKPOINTS / "reader")), "s", np.inf)]
    reader = load(CHECKPOINTS / "reader")
    for name in ("reviews", "comments"):
        texts = generate(world(name), TEXTS, rng=np.random.default_rng(0)).frame["text"].tolist()
        prompts = world(name).prompts
        tree = shortest(lambda t=texts, p=prompts: reader.score(t, p, batch=32))
        apart = shortest(lambda t=texts, p=prompts: [reader.score(t, [prompt], batch=32) for prompt in p])
        what = f"reader: {name}, {len(prompts)} questions"
        rows.append((f"{what}, batch 32", TEXTS / tree, "texts/s", np.inf))
        limit = 1 / 3 if len(prompts) > 4 else np.inf
        rows.append((f"{what}: time against one question at a time", tree / apart, "times", limit))
    return rows
