"""Figures show what they are given, in colours that differ in grey."""

import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.colors import to_rgb

from llma_tutorial import plots
from llma_tutorial.many_agents.social import SocialLearning, cascade_region, simulate


def luminance(colour):
    """Relative luminance by WCAG 2."""
    channels = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], channels))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.fixture(autouse=True)
def close_figures():
    plots.use_style()
    yield
    plt.close("all")


def test_style_is_opaque_and_reads_in_grey():
    assert plt.rcParams["figure.facecolor"] == plt.rcParams["savefig.facecolor"] == "white"
    assert contrast(plots.PALETTE[0], plots.PALETTE[1]) > 3  # the two colours used most differ without hue
    assert all(contrast(colour, "white") > 2 for colour in plots.PALETTE)
    assert len({str(line) for line in plots.LINES}) == len(set(plots.MARKERS)) == len(plots.PALETTE)


def test_live_figures_have_the_colours_of_the_drawn_ones():
    sheet = (Path(__file__).resolve().parents[1] / "book/_static/explorables.css").read_text()
    light = dict(re.findall(r"--action-(\d): (#\w{6});", sheet[: sheet.index("data-theme")]))
    assert list(light.values()) == list(plots.PALETTE[:3])


def test_figures_show_what_they_are_given():
    society = SocialLearning([[0.7, 0.3], [0.3, 0.7]], np.eye(2), [0.5, 0.5])
    runs = simulate(society, 12, 30, rng=np.random.default_rng(1))
    figure, (left, right) = plots.panels(2)
    plots.cascade_bands(left, [cascade_region(society, a) for a in (0, 1)])
    plots.belief_staircase(left, runs.public_beliefs[0, :, 1], runs.actions[0], runs.observations[0])
    assert len(left.patches) == 2
    assert left.lines[0].get_ydata().tolist() == runs.public_beliefs[0, :, 1].tolist()
    plots.fan_of_runs(right, runs.public_beliefs[:, :, 1], runs.states, ["state 0", "state 1"])
    assert len(right.lines) == 30 + 2
    figure.canvas.draw()


def test_fan_draws_forty_runs_and_the_median_of_all():
    runs = np.arange(60)[:, None] + np.zeros((60, 5))
    _, ax = plots.panels()
    plots.fan(ax, runs, xlabel="k", ylabel="v")
    assert len(ax.lines) == 41
    assert ax.lines[-1].get_ydata().tolist() == [29.5] * 5


def test_matrix_writes_every_number_and_intervals_every_label():
    _, (left, right) = plots.panels(2)
    plots.matrix(left, np.array([[0.25, 0.75]]), rows=["x"], columns=["a", "b"], xlabel="y", ylabel="x")
    assert [text.get_text() for text in left.texts] == ["0.25", "0.75"]
    plots.intervals(right, ["one", "two"], np.array([1, 2]), np.array([0, 1]), np.array([2, 3]), xlabel="z")
    assert [label.get_text() for label in right.get_yticklabels()] == ["one", "two"]
    plots.curves(right, np.arange(3), {"a": np.ones(3), "b": np.zeros(3)}, xlabel="k", ylabel="p")
    assert right.lines[-1].get_linestyle() != right.lines[-2].get_linestyle()


def test_an_empty_region_draws_no_band():
    society = SocialLearning([[0.7, 0.3], [0.3, 0.7]], [[1, 0], [1, 0]], [0.5, 0.5], tie_break="first")
    _, ax = plots.panels()
    plots.cascade_bands(ax, [cascade_region(society, 1)])
    assert len(ax.patches) == 0


def test_grid_has_a_cell_for_each_number_and_a_name_for_each_line():
    figure, ax = plots.panels()
    plots.grid(ax, np.eye(3)[:2], rows=["a", "b"], columns=["x", "y", "z"])
    shades = ax.collections[0].get_array().ravel()
    assert shades.tolist() == [1, 0, 0, 0, 1, 0]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["x", "y", "z"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b"]
    figure.canvas.draw()
