"""What the triangle of beliefs shows is what it was given."""

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from llma_tutorial import plots
from llma_tutorial.many_agents.social import SocialLearning, cascade_region, simulate

CORNERS = np.array([[0, 0], [0.5, np.sqrt(0.75)], [1, 0]])
NAMES = ("bad", "fair", "good")


@pytest.fixture(autouse=True)
def close_figures():
    plots.use_style()
    yield
    plt.close("all")


def regions(q=0.6, **keywords):
    matrix = np.full((3, 3), (1 - q) / 2) + (1.5 * q - 0.5) * np.eye(3)
    society = SocialLearning(matrix, np.eye(3), np.full(3, 1 / 3), **keywords)
    return society, [cascade_region(society, action) for action in range(3)]


def test_regions_and_path_lie_where_they_belong():
    society, three = regions()
    runs = simulate(society, 15, 1, rng=np.random.default_rng(5))
    _, ax = plots.panels()
    plots.simplex_regions(ax, three, names=NAMES)
    assert len(ax.patches) == 3
    for region, patch in zip(three, ax.patches, strict=True):
        assert patch.get_xy()[:-1] == pytest.approx(region.vertices @ CORNERS)
    assert {text.get_text() for text in ax.texts} == {*NAMES, "herd on 0", "herd on 1", "herd on 2"}
    before = len(ax.lines)
    plots.simplex_path(ax, runs.public_beliefs[0], runs.actions[0])
    path = ax.lines[before]
    assert np.stack(path.get_data(), axis=1) == pytest.approx(runs.public_beliefs[0] @ CORNERS)
    assert len(ax.lines) == before + 2 + np.unique(runs.actions[0]).size
    assert sum(len(line.get_xdata()) for line in ax.lines[before + 2 :]) == 15


def test_outlines_differ_in_dash_and_are_named_once():
    _, ax = plots.panels()
    for index, q in enumerate((0.5, 0.7)):
        plots.simplex_regions(ax, regions(q)[1], names=NAMES, outline=index, label=f"q = {q}")
    assert len(ax.patches) == 0
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["q = 0.5", "q = 0.7"]
    assert ax.lines[1].get_linestyle() != ax.lines[-1].get_linestyle()
    assert [text.get_text() for text in ax.texts] == list(NAMES)  # the triangle is drawn once


def test_an_empty_region_is_not_drawn():
    society = SocialLearning(np.full((3, 2), 0.5), [[1, 0]] * 3, np.full(3, 1 / 3), tie_break="first")
    _, ax = plots.panels()
    plots.simplex_regions(ax, [cascade_region(society, 1)], names=NAMES)
    assert len(ax.patches) == 0
