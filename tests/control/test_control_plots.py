"""Figures of stopping problems show what they are given."""

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from control.problems import ABSTAIN, W

from llma_tutorial import plots
from llma_tutorial.control.stopping import solve

LINE = np.linspace(0, 1, 401)
BELIEFS = np.stack([1 - LINE, LINE], axis=1)


@pytest.fixture(autouse=True)
def close_figures():
    plots.use_style()
    yield
    plt.close("all")


@pytest.mark.parametrize(("problem", "bands"), [(W, 2), (ABSTAIN, 3)])
def test_value_is_drawn_with_one_band_for_each_stopping_interval(problem, bands):
    solution = solve(problem)
    figure, ax = plots.panels()
    value, names = solution.value(BELIEFS)[1], ["a", "b", "c"][: problem.stop_cost.shape[1]]
    plots.stopping_value(ax, LINE, BELIEFS @ problem.stop_cost, value, solution.policy(BELIEFS), actions=names)
    assert len(ax.patches) == bands
    assert ax.lines[-1].get_ydata().tolist() == value.tolist()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["stop", *names, "optimal cost"]
    figure.canvas.draw()


def test_paths_end_in_a_marker_and_thresholds_are_lines():
    _, ax = plots.panels()
    plots.belief_paths(ax, [np.array([0.5, 0.7, 0.84]), np.array([0.5, 0.3])], np.array([1, 0]), np.array([0.25, 0.75]))
    assert [line.get_ydata()[0] for line in ax.lines[:2]] == [0.25, 0.75]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["true state 0", "true state 1"]


def test_every_belief_of_the_triangle_is_drawn_once():
    beliefs = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.2, 0.3, 0.5]])
    words = np.array(["stop", "continue", "undecided", "stop"])
    curve = np.array([[0.5, 0.5, 0], [np.nan] * 3])
    _, ax = plots.panels()
    plots.simplex_policy(ax, beliefs, words, curve, names=["x", "y", "z"], title="t")
    drawn = {line.get_label(): len(line.get_xdata()) for line in ax.lines[1:]}
    assert drawn == {"stop": 2, "continue": 1, "undecided": 1, "switching curve": 1}
    assert [text.get_text() for text in ax.texts] == ["x", "y", "z"]
