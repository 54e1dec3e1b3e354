"""How long something takes, for the benchmarks."""

import time
from collections.abc import Callable


def shortest(function: Callable[[], object], repeats: int = 5) -> float:
    """Seconds of the quickest of several runs: other work on the machine only adds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)
