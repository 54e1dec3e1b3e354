"""The proposition of the chapter `practice/is-my-model-bayesian`, with a case in which its hypothesis is broken."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit


def stated(level: float, noise: np.ndarray) -> float:
    return expit(level + noise).mean()


@given(
    level=st.floats(0.01, 12),
    sizes=st.lists(st.floats(0, 8), min_size=1, max_size=6).filter(lambda sizes: max(sizes) > 0.05),
)
def test_noise_looks_like_conservatism(level, sizes):
    noise = np.array([*sizes, *(-size for size in sizes)])  # symmetric, with equal weights
    closed = 0.5 + 0.5 * (np.sinh(level) / (np.cosh(level) + np.cosh(noise))).mean()
    assert stated(level, noise) == pytest.approx(closed, abs=1e-12)
    assert 0.5 < stated(level, noise) < expit(level)
    assert 1 - stated(-level, noise) == pytest.approx(stated(level, noise))  # and towards one half from below as well


def test_noise_that_leans_can_look_like_the_opposite():
    """The hypothesis broken: noise that is zero on average but not symmetric pushes an answer away from one half."""
    noise = np.array([1.0, 1.0, 1.0, -3.0])
    assert noise.mean() == 0
    assert stated(0.1, noise) > expit(0.1)
