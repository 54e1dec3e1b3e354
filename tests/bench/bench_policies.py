"""Policies that learn: one descent, the judge of a policy, and a training of each architecture."""

import numpy as np
from timing import shortest

from llma_tutorial.control.policies import TextLine, ThresholdPolicy, network, optimality_gap, reinforce, spsa
from llma_tutorial.control.stopping import StoppingProblem, simulate

H = StoppingProblem([[0.7, 0.3], [0.1, 0.9]], [1, 0], [0, 7], 0.99)
POOLS = [np.repeat(np.arange(8), counts) for counts in ((368, 17, 44, 0, 161, 0, 10, 0), (92, 2, 23, 0, 385, 1, 97, 0))]
LINE = TextLine(POOLS, [0, 0, 0, 0, 1, 1, 1, 1], [[0, 1], [2, 0]], 0.95, horizon=20)


def cost(theta: np.ndarray, rng: np.random.Generator) -> float:
    """One trial of twenty runs."""
    runs = simulate(H, ThresholdPolicy(theta, softness=0.3), 20, horizon=50, rng=rng)
    return np.where(runs.stop_times < 50, runs.costs, runs.running_costs).mean()


def measure() -> list[tuple[str, float, str, float]]:
    """Rows (what, value, unit, limit)."""
    descent = shortest(lambda: spsa(cost, [0.855], n_iterations=40, rng=np.random.default_rng(0)))
    rows = [("spsa on H, 2,000 runs", descent, "s", 3)]
    judged = shortest(
        lambda: optimality_gap(H, ThresholdPolicy(0.9), n_runs=2000, horizon=400, rng=np.random.default_rng(0))
    )
    rows.append(("optimality gap, 2,000 runs", judged, "s", 3))
    for name in ("linear", "mlp", "gru", "transformer"):
        net = network(name, LINE, rng=np.random.default_rng(0))
        taken = shortest(lambda n=net: reinforce(LINE, n, n_iterations=20, rng=np.random.default_rng(0)))
        rows.append((f"{name}: 20 batches of 256 lines", taken, "s", 2))
    return rows
