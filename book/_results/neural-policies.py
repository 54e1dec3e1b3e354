"""Networks that decide when a line of readers has read enough: gap to the optimum by architecture and setting.

`READINGS` holds how often each pattern of answers was read in 600 comments of each state; the chapter reads them again.
Every cell trains from several seeds; the deterministic policy that results is judged in the same worlds as the
certified one.
"""

import numpy as np

from llma_tutorial.control._gap import optimality_gap
from llma_tutorial.control._reinforce import network, reinforce
from llma_tutorial.control._text_line import TextLine
from llma_tutorial.control.stopping import solve

STUDY = {"title": "Networks that control a line of readers", "chapter": "control/neural-policies"}
QUESTIONS = ("insulting", "humiliating", "respectful")
READINGS = (
    (0, 10, 0, 163, 0, 44, 17, 366),  # cold comments
    (0, 97, 0, 387, 0, 22, 2, 92),  # insulting comments
)
OWN_ACTIONS = (1, 1, 1, 1, 0, 0, 0, 0)  # an agent hides what it reads as insulting
RATES = {"linear": (0.1, 0.3, 1.0), "mlp": (0.01, 0.03, 0.1), "gru": (0.003, 0.01, 0.03),
         "transformer": (0.003, 0.01, 0.03)}  # fmt: skip
USUAL = {"baseline": "mean", "batch_size": 256, "n_iterations": 200, "width": 16, "sees": "readings", "seeds": 8}


def cells() -> list[dict]:
    """Rates of learning for each architecture, then one entry changed at a time at the middle rate."""
    found = [
        {**USUAL, "architecture": name, "learning_rate": rates[place]}
        for place in (1, 0, 2)
        for name, rates in RATES.items()
    ]
    changes = [{"sees": "actions"}, {"baseline": "none"}, {"batch_size": 32}, {"width": 4}]
    found += [
        {**USUAL, "architecture": name, "learning_rate": rates[1], "seeds": 6, **change}
        for change in changes
        for name, rates in RATES.items()
        if not (name == "linear" and "width" in change)
    ]
    return found


def line(sees: str = "readings") -> TextLine:
    """Is this account merely cold (state 0), or insulting (1)? Action 1 hides it."""
    pools = [np.repeat(np.arange(8), counts) for counts in READINGS]
    return TextLine(pools, OWN_ACTIONS, [[0, 1], [2, 0]], discount=0.95, horizon=20, sees=sees)


def compute(architecture: str, learning_rate: float, sees: str, width: int, seeds: int, **keywords) -> dict:
    """Gap with its interval, seed by seed, and learning curves as means of ten batches."""
    import torch

    torch.set_num_threads(1)
    task, gaps, curves, norms = line(sees), [], [], []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
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
