"""Social learning: agent steps against the drawing of uniforms, the exact law, and the plain loop beside them."""

import tracemalloc

import numpy as np
from reference import simulate_loop
from timing import shortest

from llma_tutorial.many_agents.social import FIELDS, SocialLearning, exact_law, simulate

STEPS = 10_000_000


def measure() -> list[tuple[str, float, str, float]]:
    """Rows (what, value, unit, limit)."""
    society = SocialLearning([[0.7, 0.3], [0.3, 0.7]], np.eye(2), [0.5, 0.5])
    rng = np.random.default_rng(0)
    uniforms = shortest(lambda: rng.random(STEPS))
    rows = [("10 million uniforms", uniforms * 1e3, "ms", np.inf)]
    for n_runs in (1_000, 10_000, 100_000):
        n_agents = STEPS // n_runs
        for what, keep, limit in (("all fields", FIELDS, 6), ("summary", (), 2)):
            taken = shortest(lambda a=n_agents, r=n_runs, k=keep: simulate(society, a, r, keep=k, rng=rng))
            rows.append((f"{n_runs:,} runs x {n_agents:,} agents, {what}", taken / uniforms, "x uniforms", limit))
    tracemalloc.start()
    simulate(society, 100, STEPS // 100, rng=rng)
    rows.append(("all fields, peak memory", tracemalloc.get_traced_memory()[1] / 1e6, "MB", 1_000))
    tracemalloc.stop()
    rows.append(("exact law of 1,000 agents", shortest(lambda: exact_law(society, 1_000)) * 1e3, "ms", 50))
    loop = shortest(lambda: simulate_loop(society, 100, 20, rng), 1)
    rows.append(("plain loop, 2,000 agent steps", loop * 1e3, "ms", np.inf))
    rows.append(("plain loop, time for one step", loop / 2_000 / (uniforms / STEPS), "x uniforms", np.inf))
    return rows
