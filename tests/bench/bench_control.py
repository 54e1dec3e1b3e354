"""Control: the certified solver on the reference instances, three states, and a sweep of thresholds."""

import numpy as np
from timing import shortest

from llma_tutorial.control import bounds
from llma_tutorial.control.bounds import BeliefTree
from llma_tutorial.control.stopping import (
    StoppingProblem,
    evaluate,
    quickest_detection,
    simulate,
    solve,
    wald,
)

W = wald([[0.7, 0.3], [0.3, 0.7]], [[0, 20], [20, 0]], 0.99)
Q = quickest_detection([[0.7, 0.3], [0.2, 0.8]], 0.05, 10, 1, 0.999)
H = StoppingProblem([[0.7, 0.3], [0.1, 0.9]], [1, 0], [0, 7], 0.99)
THREE = {
    "guess, three states": wald(0.2 + 0.4 * np.eye(3), 10 * (1 - np.eye(3)), 0.99),
    "two-phase change, three states": StoppingProblem(
        [[0.5, 0.3, 0.2], [0.3, 0.4, 0.3], [0.2, 0.3, 0.5]],
        [2, 1, 0], [0, 3, 8], 0.95, [[0.9, 0.1, 0], [0, 0.9, 0.1], [0, 0, 1]],
    ),
}  # fmt: skip


def lower_side(problem: StoppingProblem, points: int = 1000):
    """The lower side alone, on a grid of 1,025 beliefs."""
    tree = BeliefTree(2)
    while len(tree.points) < points:
        leaves = tree.leaves()
        tree.split(leaves, tree.longest_edges(leaves), np.full(len(leaves), 0.5))
    return bounds.lower_side(bounds.Chain(problem, tree), np.zeros(len(tree.points), dtype=bool))


def measure() -> list[tuple[str, float, str, float]]:
    """Rows (what, value, unit, limit)."""
    rows = []
    for name, problem, limit in (("W", W, 500), ("Q", Q, 2_000), ("H", H, 2_000)):
        rows.append((f"{name}: lower side, 1,025 beliefs", shortest(lambda p=problem: lower_side(p)) * 1e3, "ms", 100))
        rows.append((f"{name}: bracket of width 1e-4", shortest(lambda p=problem: solve(p)) * 1e3, "ms", limit))
    for name, problem in THREE.items():
        scale = float(solve(problem, tolerance=0.1).value(np.full(3, 1 / 3))[1])
        taken = shortest(lambda p=problem, t=1e-3 * scale: solve(p, tolerance=t), 3)
        rows.append((f"{name}: bracket of 1e-3 of the value", taken * 1e3, "ms", 5_000))
    thresholds = np.linspace(0, 1, 100)[:, None]
    uniforms = shortest(lambda: np.random.default_rng(0).random(100 * 1_000 * 100))
    rows.append(("10 million uniforms", uniforms * 1e3, "ms", np.inf))
    exact = shortest(lambda: evaluate(H, lambda b: b[:, 1] < thresholds, [0.4, 0.6], horizon=100))
    rows.append(("100 thresholds x 100 steps, exact", exact / uniforms, "x uniforms", 6))
    drawn = shortest(
        lambda: simulate(
            H, lambda b: b[:, 1] < thresholds, 1_000, [0.4, 0.6], horizon=100, rng=np.random.default_rng(0)
        )
    )
    rows.append(("100 thresholds x 1,000 runs x 100 steps, simulated", drawn / uniforms, "x uniforms", 6))
    return rows
