"""Loading a million Amazon reviews, against pandas' own reading of the same file."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from llma_tutorial.reading import corpora

ROWS = 1_000_000
WORDS = ["the", "kettle", "boils", "quickly", "but", "its", "lid", "broke", "after", "a", "week", "again"]


def write_reviews(path: Path, rows: int) -> None:
    """Invented reviews with the keys of 2018, no two lines equal."""
    rng = np.random.default_rng(4)
    texts = [" ".join(rng.choice(WORDS, size=length)) for length in rng.integers(5, 60, size=2000)]
    with path.open("w", encoding="utf-8") as stream:
        for row in range(rows):
            record = {
                "overall": float(row % 5 + 1),
                "verified": row % 3 > 0,
                "reviewTime": "02 8, 2016",
                "reviewerID": f"A{row:013d}",
                "asin": f"B{row % 997:09d}",
                "reviewerName": "Somebody",
                "reviewText": texts[row % len(texts)],
                "summary": "Five Stars",
                "unixReviewTime": 1454889600 + row,
            }
            stream.write(json.dumps(record) + "\n")


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure() -> list[tuple[str, float, str, float]]:
    """Rows (what, measured value, unit, limit)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "reviews.jsonl")
        write_reviews(path, ROWS)
        ours = seconds(lambda: corpora.amazon_reviews(path))
        pandas = seconds(lambda: pd.read_json(path, lines=True))
    return [(f"{ROWS:,} Amazon reviews, against pandas.read_json(lines=True)", ours / pandas, "times", 3.0)]


if __name__ == "__main__":
    for row in measure():
        print(*row, sep=" | ")
