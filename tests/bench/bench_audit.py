"""The audit of a million decisions, from a CSV file to the report, for many short runs and for few long ones."""

import tempfile
import time
from pathlib import Path

import numpy as np

from llma_tutorial.many_agents.audit import report
from llma_tutorial.many_agents.logs import logit


def measure() -> list[tuple[str, float, str, float]]:
    """Rows (what, value, unit, limit)."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for n_runs in (100_000, 20_000, 100):
            path = Path(folder, f"{n_runs}.csv")
            log, _ = logit(n_runs, 1_000_000 // n_runs, rng=np.random.default_rng(0))
            log.to_csv(path, index=False)
            for columns in (list(log), ["run", "order", "action", "truth"]):
                start = time.perf_counter()
                case = report(path if columns == list(log) else log[columns]).case
                taken = time.perf_counter() - start
                rows.append((f"audit of {n_runs:,} runs x {1_000_000 // n_runs:,}, case {case}", taken, "s", 30.0))
    return rows
