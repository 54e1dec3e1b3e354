"""Exact law against simulation on fifty random models, judged together: the largest |z| under Bonferroni's bound."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from llma_tutorial.many_agents.social import (
    MixedLine,
    PartialView,
    SocialLearning,
    exact_law,
    simulate,
    simulate_view,
    view_law,
)

N_MODELS, N_AGENTS, N_RUNS = 50, 10, 20_000
LEVEL = 0.01


def random_society(rng):
    """At most three states, signals and actions; a third of the states move, a quarter of the agents are mistaken."""
    n_states, n_signals, n_actions = (int(size) for size in rng.integers(2, 4, 3))
    keywords = {}
    if rng.random() < 1 / 3:
        keywords["transition_matrix"] = 0.2 * rng.dirichlet(np.ones(n_states), n_states) + 0.8 * np.eye(n_states)
    if rng.random() < 1 / 4:
        keywords["assumed_prior"] = rng.dirichlet(np.ones(n_states))
        keywords["assumed_observation_matrix"] = rng.dirichlet(np.ones(n_signals), n_states)
    rules = ["first", "random"] + (["signal"] if n_signals == n_actions else [])
    return SocialLearning(
        rng.dirichlet(np.ones(n_signals), n_states), rng.integers(-2, 3, (n_states, n_actions)),
        rng.dirichlet(np.ones(n_states)), tie_break=str(rng.choice(rules)), **keywords,
    )  # fmt: skip


def size_of_z(happened, probability):
    """|z| of a count of independent runs, from its exact binomial p-value, so that rare events count rightly."""
    if min(probability, 1 - probability) < 1e-12:
        return 0.0 if happened.mean() == round(probability) else np.inf
    p_value = binomtest(int(happened.sum()), happened.size, min(probability, 1.0)).pvalue
    return float(norm.isf(max(p_value, 1e-300) / 2))


def differences(society, seed, bias=0.0):
    """|z| of right actions and of cascades of every agent, and of right herds; `bias` plants a fault."""
    law, n_runs = exact_law(society, N_AGENTS, tolerance=1e-9), N_RUNS
    runs = simulate(society, N_AGENTS, n_runs, rng=np.random.default_rng(seed))
    states = np.broadcast_to(runs.states.reshape(n_runs, -1), (n_runs, N_AGENTS))
    right = society.correct[states, runs.actions]
    found = [size_of_z(right[:, k], law.correct_action_probability[k] + bias) for k in range(N_AGENTS)]
    if society.transition_matrix is None:
        begun = (runs.cascade_start[:, None] >= 0) & (runs.cascade_start[:, None] <= np.arange(N_AGENTS))
        found += [size_of_z(begun[:, k], law.cascade_probability[k]) for k in range(N_AGENTS)]
    at = np.maximum(runs.cascade_start, 0)
    rightly = (runs.cascade_start >= 0) & society.correct[states[np.arange(n_runs), at], runs.cascade_action]
    return [*found, size_of_z(rightly, law.correct_cascade_probability)]


def bound(count):
    return norm.isf(LEVEL / (2 * count))


def test_largest_z_of_fifty_models():
    rng, z = np.random.default_rng(7), []
    for model in range(N_MODELS):
        z += differences(random_society(rng), seed=model)
    assert len(z) > 15 * N_MODELS
    assert max(z) < bound(len(z))


def test_the_bound_sees_a_law_that_is_off():
    """Planted fault: a law that is off by one in fifty goes beyond the same bound at once."""
    society = SocialLearning([[0.7, 0.3], [0.3, 0.7]], np.eye(2), [0.5, 0.5])
    assert max(differences(society, seed=1)) < bound(20 * N_MODELS) < max(differences(society, seed=1, bias=0.02))


@pytest.mark.parametrize("which", ["last", "random"])
def test_largest_z_of_partial_views(which):
    rng, z = np.random.default_rng(8), []
    for model in range(15):
        society = random_society(rng)
        view = PartialView(society, int(rng.integers(0, 4)), which)
        law, runs = view_law(view, N_AGENTS), simulate_view(view, N_AGENTS, N_RUNS, rng=np.random.default_rng(model))
        states = np.broadcast_to(runs.states.reshape(N_RUNS, -1), (N_RUNS, N_AGENTS))
        right = society.correct[states, runs.actions]
        z += [size_of_z(right[:, k], law.correct_action_probability[k]) for k in range(N_AGENTS)]
    assert max(z) < bound(len(z))


def test_largest_z_of_mixed_lines():
    rng, z = np.random.default_rng(9), []
    for model in range(15):
        kinds = [random_society(rng)]
        n_states, shared = kinds[0].prior.size, ("prior", "transition_matrix", "assumed_prior")
        keywords = {name: getattr(kinds[0], name) for name in shared}
        matrix, utility = rng.dirichlet(np.ones(3), n_states), rng.integers(-2, 3, (n_states, 2))
        kinds.append(SocialLearning(matrix, utility, tie_break="first", **keywords))
        line = MixedLine(kinds, rng.integers(0, 2, 3), opening=rng.integers(0, 2, 2))
        law, runs = exact_law(line, 8), simulate(line, 8, N_RUNS, rng=np.random.default_rng(model))
        states = np.broadcast_to(runs.states.reshape(N_RUNS, -1), (N_RUNS, 8))
        for k, place in enumerate(line.places(8)):
            right = kinds[place].correct[states[:, k], runs.actions[:, k]]
            z.append(size_of_z(right, law.correct_action_probability[k]))
    assert max(z) < bound(len(z))
