"""How often tests reject: rational agents (size), boundary ones included, and others (power), by sample size."""

import numpy as np

from llma_tutorial.one_agent.attention import solve
from llma_tutorial.one_agent.ribum import ChoiceData, check, finite_sample_test

STUDY = {"title": "Size and power of the test for counts", "chapter": "one-agent/can-the-test-fail"}
PROBE = {"cell": {"agent": "reversed attention", "n_states": 2, "samples": 20}, "digits": 6}
AGENTS = ("Shannon", "same attention", "no attention", "reversed attention", "wrong actions", "random")
DESIGNS = {2: [1.0, 2.0], 3: [1.0, 2.0, 4.0]}  # states and actions -> stakes, one environment for each
PRICE = 0.8


def cells():
    """Every agent in every design at every sample size."""
    return [
        {"agent": agent, "n_states": n, "samples": samples, "repetitions": 1000, "seed": 100 * n + samples + i}
        for n in DESIGNS
        for i, agent in enumerate(AGENTS)
        for samples in (20, 40, 100, 400)
    ]


def behaviour(agent, utility, prior, rng):
    """Choice probabilities (M, X, A) of one agent."""
    shannon = solve(utility, prior, PRICE).choice_probabilities
    if agent == "random":
        return rng.dirichlet(np.ones(shannon.shape[2]), shannon.shape[:2])
    return {
        "Shannon": shannon,
        "same attention": np.stack([shannon[0]] * len(shannon)),
        "no attention": np.full_like(shannon, 1 / shannon.shape[2]),
        "reversed attention": shannon[::-1],
        "wrong actions": np.roll(shannon, 1, axis=2),
    }[agent]


def compute(agent, n_states, samples, repetitions, seed):
    """Share of repetitions in which the test for counts (at 5 %) and the point test reject."""
    rng = np.random.default_rng(seed)
    utility = np.array(DESIGNS[n_states])[:, None, None] * np.eye(n_states)
    prior = np.full(n_states, 1 / n_states)
    rejected = np.zeros(2)
    for _ in range(repetitions):
        counts = rng.multinomial(samples, behaviour(agent, utility, prior, rng))
        rejected[0] += finite_sample_test(counts, utility, n_draws=199, rng=rng).p_value <= 0.05
        rejected[1] += not check(ChoiceData(counts / samples, prior), utility).passed
    test, point = rejected / repetitions
    return {"test": test, "point": point}
