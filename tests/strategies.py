"""Random models for property tests: coarse numbers, so that ties and zeros really occur."""

import numpy as np
from hypothesis import strategies as st

from llma_tutorial.many_agents.social import SocialLearning


@st.composite
def distributions(draw, size, positive=False):
    """A distribution with small whole-number weights."""
    weights = draw(st.lists(st.integers(1 if positive else 0, 4), min_size=size, max_size=size).filter(sum))
    return np.array(weights) / sum(weights)


@st.composite
def societies(draw, moving=None, wrong=None, positive=False):
    """A society of at most three states, signals, actions; what agents assume is positive, so nothing is impossible."""
    n_states, n_signals, n_actions = (draw(st.integers(2, 3)) for _ in range(3))
    rows = lambda count, size, inside: np.stack([draw(distributions(size, inside)) for _ in range(count)])  # noqa: E731
    keywords = {}
    if draw(st.booleans()) if moving is None else moving:
        keywords["transition_matrix"] = rows(n_states, n_states, False)
    if draw(st.booleans()) if wrong is None else wrong:
        keywords["assumed_prior"] = draw(distributions(n_states, True))
        keywords["assumed_observation_matrix"] = rows(n_states, n_signals, True)
        if "transition_matrix" in keywords:
            keywords["transition_matrix"] = rows(n_states, n_states, True)
    utility = [[draw(st.integers(-2, 2)) for _ in range(n_actions)] for _ in range(n_states)]
    rules = ["first", "random"] + (["signal"] if n_signals == n_actions else [])
    matrix, prior = rows(n_states, n_signals, positive), draw(distributions(n_states, True))
    return SocialLearning(matrix, utility, prior, tie_break=draw(st.sampled_from(rules)), **keywords)
