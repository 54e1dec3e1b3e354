"""The fetched model and texts: seconds until they can be used, and tokens a second on one thread.

Where they have not been fetched there is nothing to measure.
"""

import time

import torch
from timing import shortest

from llma_tutorial import fetch
from llma_tutorial.reading import corpora
from llma_tutorial.reading.models import pretrained

TOKENS = 1500  # what a cell of a chapter may read


def measure():
    try:
        fetch.fetched("smollm2")
        fetch.fetched("reviews")
    except FileNotFoundError as error:
        print(error)
        return []
    torch.set_num_threads(1)
    model = pretrained("smollm2")
    start = time.perf_counter()
    with torch.inference_mode():
        for _ in range(TOKENS // 300):
            model.network(torch.arange(1000, 1300)[None])
    speed = TOKENS / (time.perf_counter() - start)
    return [
        ("fetched model: opened", shortest(pretrained, 2), "s", 6),
        ("fetched model: speed, float32, one thread", speed, "tokens/s", float("inf")),
        ("fetched reviews: 3,708 sentences read and checked", shortest(corpora.human_reviews, 2), "s", 1),
    ]
