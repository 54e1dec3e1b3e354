"""Problems that several tests share: the reference instances of the theory, and random ones."""

import numpy as np
from hypothesis import strategies as st
from strategies import distributions

from llma_tutorial.control.stopping import StoppingProblem, quickest_detection, wald

SYMMETRIC = [[0.7, 0.3], [0.3, 0.7]]
W = wald(SYMMETRIC, [[0, 20], [20, 0]], 0.99)
ABSTAIN = wald(SYMMETRIC, [[0, 20, 5], [20, 0, 5]], 0.99)
Q = quickest_detection([[0.7, 0.3], [0.2, 0.8]], 0.05, 10, 1, 0.999)
H = StoppingProblem([[0.7, 0.3], [0.1, 0.9]], [1, 0], [0, 7], 0.99)


def tilted(n_states, n_symbols, tilt):
    """A TP2 matrix: rows are exponential tilts of one law."""
    weights = np.exp(tilt * np.outer(np.arange(n_states), np.arange(n_symbols)))
    return weights / weights.sum(axis=1, keepdims=True)


@st.composite
def stopping_problems(draw, n_states=(2, 3), n_stops=(1, 3), discounts=(0.2, 0.5, 0.7), moving=None):
    """A stopping problem with coarse random numbers: zeros and ties really occur."""
    states, symbols, stops = draw(st.integers(*n_states)), draw(st.integers(2, 3)), draw(st.integers(*n_stops))
    rows = lambda width: np.stack([draw(distributions(width)) for _ in range(states)])  # noqa: E731
    cost = st.integers(-4, 8)
    transition = rows(states) if (draw(st.booleans()) if moving is None else moving) else None
    return StoppingProblem(
        rows(symbols),
        [draw(cost) for _ in range(states)],
        [[draw(cost) for _ in range(stops)] for _ in range(states)],
        draw(st.sampled_from(discounts)),
        transition,
    )
