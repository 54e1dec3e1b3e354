"""Networks that decide when a line of readers has read enough: gap to the optimum by architecture and setting.

`READINGS` holds how often the classroom reader gave each pattern of answers to 600 comments of each state; the chapter
reads some of them again.
Every cell trains from several seeds; the deterministic policy that results is judged in the same worlds as the
certified one.
"""

import numpy as np

from llma_tutorial.control.gaps import optimality_gap
from llma_tutorial.control.reinforce import network, reinforce
from llma_tutorial.control.stopping import solve
from llma_tutorial.control.text_line import TextLine

STUDY = {"title": "Networks that control a line of readers", "chapter": "control/neural-policies"}
PROBE = {  # sums in single precision, which processors round differently, step after step
    "cell": {"architecture": "linear", "batch_size": 32},
    "digits": {"gaps": 2, "curves": 0, "gradient_norms": 0, "episodes": 0, "parameters": 0, "optimum": 5},
}
QUESTIONS = ("insulting", "humiliating", "respectful")
READINGS = (
    (368, 17, 44, 0, 161, 0, 10, 0),  # cold comments
    (92, 2, 23, 0, 385, 1, 97, 0),  # insulting comments
)
OWN_ACTIONS = (0, 0, 0, 0, 1, 1, 1, 1)  # an agent hides what it reads as insulting
RATES = {"linear": (0.1, 0.3, 1.0), "mlp": (0.01, 0.03, 0.1), "gru": (0.003, 0.01, 0.03),
         "transformer": (0.003, 0.01, 0.03)}  # fmt: skip
USUAL = {
    "baseline": "mean",
    "batch_size": 256,
    "n_iterations": 200,
    "width": 16,
    "sees": "readings",
    "seeds": 6,
    "seed": 0,
}


def cells() -> list[dict]:
    """The middle rate of learning for each architecture, then one entry changed at a time, from fewer seeds."""
    found = [{**USUAL, "architecture": name, "learning_rate": rates[1]} for name, rates in RATES.items()]
    others = [{"learning_rate": rate} for rate in (0, 2)]
    others += [{"sees": "actions"}, {"baseline": "none"}, {"batch_size": 32}, {"width": 4}]
    for change in others:
        for cell in found[: len(RATES)]:
            rates = RATES[cell["architecture"]]
            rate = rates[change.get("learning_rate", 1)]
            if not (cell["architecture"] == "linear" and "width" in change):
                found.append({**cell, **change, "learning_rate": rate, "seeds": 3})
    return found


def line(sees: str = "readings") -> TextLine:
    """Is this account merely cold (state 0), or insulting (1)? Action 1 hides it."""
    pools = [np.repeat(np.arange(8), counts) for counts in READINGS]
    return TextLine(pools, OWN_ACTIONS, [[0, 1], [2, 0]], discount=0.95, horizon=20, sees=sees)


def compute(architecture: str, learning_rate: float, sees: str, width: int, seeds: int, seed: int, **keywords) -> dict:
    """Gap with its interval, seed by seed, and learning curves as means of ten batches."""
    import torch

    torch.set_num_threads(1)
    task, gaps, curves, norms = line(sees), [], [], []
    for more in range(seeds):
        rng = np.random.default_rng(seed + more)
        net = network(architecture, task, width=width, rng=rng)
        trained = reinforce(task, net, learning_rate=learning_rate, rng=rng, **keywords)
        gap = optimality_gap(task, trained.policy, n_runs=10_000, rng=np.random.default_rng(1000)).relative
        gaps.append([round(float(number), 5) for number in gap])
        curves.append(trained.costs.reshape(-1, 10).mean(axis=1).round(4).tolist())
        norms.append(round(float(np.median(trained.gradient_norms[-50:])), 4))
    return {
        "gaps": gaps,
        "curves": curves,
        "gradient_norms": norms,
        "episodes": trained.n_episodes,
        "parameters": sum(p.numel() for p in net.parameters()),
        "optimum": round(float(np.mean(solve(task.problem).value(task.prior))), 6),
    }
