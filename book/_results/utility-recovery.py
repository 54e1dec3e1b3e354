"""How far recovered payoffs lie from the true ones: Shannon agents, three restrictions, more and more environments."""

import numpy as np

from llma_tutorial.one_agent.attention import solve
from llma_tutorial.one_agent.recovery import distance, max_margin, sparsest
from llma_tutorial.one_agent.ribum import ChoiceData

STUDY = {"title": "Recovered against true payoffs", "chapter": "one-agent/recovering-utility"}
PROBE = {"cell": {"restriction": "shared", "n_environments": 2, "samples": 0}, "digits": 6}
PRICE = 0.1


def cells():
    """Restrictions by number of environments, and by samples for each state (0: exact probabilities)."""
    sizes = [(m, 0) for m in (2, 4, 8)] + [(4, samples) for samples in (40, 400)]
    return [
        {
            "restriction": restriction,
            "n_environments": m,
            "samples": samples,
            "repetitions": 20,
            "seed": 7 + m + samples,
        }
        for restriction in ("free", "diagonal", "shared")
        for m, samples in sizes
    ]


def truth(restriction, n_environments, rng):
    """True payoffs that obey the restriction, with the scales known to whoever asks for "shared"."""
    scales = np.linspace(0.25, 1, n_environments)
    table = rng.uniform(0.2, 1, (n_environments, 3, 3))
    if restriction == "diagonal":
        return table * np.eye(3), None
    return (scales[:, None, None] * table[0], scales) if restriction == "shared" else (table, None)


def compute(restriction, n_environments, samples, repetitions, seed):
    """Mean distance of the max-margin and the sparsest payoffs from the truth, and the share with a positive margin."""
    rng = np.random.default_rng(seed)
    prior = np.full(3, 1 / 3)
    distances, passed = [], 0
    for _ in range(repetitions):
        true, scales = truth(restriction, n_environments, rng)
        choices = solve(true, prior, PRICE).choice_probabilities
        if samples:
            choices = rng.multinomial(samples, choices) / samples
        data = ChoiceData(choices, prior)
        best = max_margin(data, restriction, scales=scales)
        passed += best.passed
        if best.passed:
            sparse = sparsest(data, best.margin / 2, restriction, scales=scales)
            distances.append([distance(found.utility, true) for found in (best, sparse)])
    mean = np.mean(distances, axis=0) if distances else [None, None]
    return {"max_margin": mean[0], "sparsest": mean[1], "passed": passed / repetitions}
