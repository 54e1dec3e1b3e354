"""Thresholds learned by simultaneous perturbation: gap to the exact optimum, seed by seed, as one setting changes.

Every cell trains from 20 seeds. A run that has not stopped when the window ends pays what it has paid until then, or
is stopped by force (`forced`). The hardened policy is priced exactly.
"""

import numpy as np

from llma_tutorial.control.policies import ThresholdPolicy, spsa
from llma_tutorial.control.stopping import StoppingProblem, evaluate, quickest_herding, simulate, solve

STUDY = {"title": "Learned thresholds", "chapter": "control/policy-gradient"}
PROBE = {"cell": {"n_iterations": 10}, "digits": 6}
MATRIX = [[0.7, 0.3], [0.1, 0.9]]
PROBLEMS = {
    "H": (StoppingProblem(MATRIX, [1, 0], [0, 7], 0.99), [0.5, 0.5]),
    "paper": (
        StoppingProblem(MATRIX, quickest_herding(MATRIX, [[0, 1], [1, 0]], [1, 0], 0.99).continue_cost, [0, 700], 0.99),
        [0.4, 0.6],
    ),
}
USUAL = {
    "problem": "H", "start": 0.43, "softness": 0.3, "gain": None, "perturbation": 0.1, "common": True,
    "average": 0.5, "forced": False, "n_runs": 20, "n_iterations": 40, "window": 50, "seeds": 20,
    "seed": 0,
}  # fmt: skip


def cells() -> list[dict]:
    """The usual setting, then one or two entries changed at a time."""
    changes = [{}, {"start": 0.6}, {"start": 0.024}, {"start": 0.6, "forced": True}]
    changes += [
        {"gain": gain, "softness": softness, "start": 0.6}
        for softness in (0.0, 0.1, 0.3, 1.0)
        for gain in (0.01, 0.03, 0.1, 0.3, 1.0)
    ]
    changes += [{"perturbation": c, "start": 0.6} for c in (0.02, 0.2, 0.4)]
    changes += [{"common": False, "start": 0.6}, {"average": 0.0, "start": 0.6}]
    changes += [{"n_runs": 5, "n_iterations": 10, "start": 0.6}]
    changes += [{"problem": "paper", "start": 0.5, "window": 100, "n_iterations": n} for n in (40, 240)]
    return [{**USUAL, **change} for change in changes]


def compute(seeds: int, seed: int, **setting) -> dict:
    """Gap, threshold and diagnosis from each seed, the first of them `seed`."""
    problem, belief = PROBLEMS[setting["problem"]]
    upper = solve(problem, tolerance=1e-6).value(belief)[1]
    found = [train(seed + more, **setting) for more in range(seeds)]
    thetas = np.array([descent.theta for descent in found])
    costs = evaluate(problem, ThresholdPolicy(thetas), belief, tolerance=1e-3 * upper).lower
    return {
        "gaps": (costs / upper - 1).round(6).tolist(),
        "thresholds": (np.cos(thetas[:, 0]) ** 2).round(6).tolist(),
        "diagnoses": [descent.diagnosis for descent in found],
        "episodes": max(descent.n_evaluations for descent in found) * setting["n_runs"],
    }


def train(seed: int, problem, start, softness, gain, perturbation, common, average, forced, n_runs, n_iterations,
          window):  # fmt: skip
    """One descent."""
    problem, belief = PROBLEMS[problem]

    def cost(theta, rng):
        runs = simulate(problem, ThresholdPolicy(theta, softness=softness), n_runs, belief, horizon=window, rng=rng)
        return (runs.costs if forced else np.where(runs.stop_times < window, runs.costs, runs.running_costs)).mean()

    return spsa(
        cost, [np.arccos(np.sqrt(start))], n_iterations=n_iterations, gain=gain, perturbation=perturbation,
        common=common, average=average, rng=np.random.default_rng(seed),
    )  # fmt: skip
