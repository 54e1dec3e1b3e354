"""Reliability diagrams: bins by hand, intervals, and what calibrated and overconfident sources look like."""

import matplotlib
import numpy as np
import pytest
from scipy.stats import beta

matplotlib.use("Agg")

from llma_tutorial import plots
from llma_tutorial.reading.agents import reliability


def test_bins_by_hand():
    diagram = reliability([0.0, 0.05, 0.15, 0.95, 1.0, 1.0], [False, True, False, True, True, False], n_bins=10)
    assert diagram.counts.tolist() == [2, 1, 3]
    assert diagram.stated == pytest.approx([0.025, 0.15, 2.95 / 3])
    assert diagram.observed == pytest.approx([1 / 2, 0, 2 / 3])
    assert diagram.error == pytest.approx((2 * 0.475 + 0.15 + 3 * (2.95 - 2) / 3) / 6)
    assert diagram.low[2] == pytest.approx(beta(2.5, 1.5).ppf(0.025))
    assert diagram.high[1] == pytest.approx(beta(0.5, 1.5).ppf(0.975))


def test_a_calibrated_source_keeps_to_the_diagonal_and_an_overconfident_one_does_not():
    rng = np.random.default_rng(1)
    truth = rng.beta(1, 1, 20_000)
    events = rng.random(20_000) < truth
    honest = reliability(truth, events)
    assert ((honest.low <= honest.stated) & (honest.stated <= honest.high)).sum() >= 8
    assert honest.error < 0.02
    doubled = truth**2 / (truth**2 + (1 - truth) ** 2)  # log-odds twice too large
    loud = reliability(doubled, events)
    assert (loud.observed[:3] > loud.stated[:3]).all()
    assert (loud.observed[-3:] < loud.stated[-3:]).all()
    assert loud.error > 0.05
    # Honesty is not knowledge: the base rate is calibrated and says nothing.
    assert reliability(np.full(20_000, events.mean()), events).error < 1e-12


def test_the_diagram_draws_what_was_observed():
    diagram = reliability([0.1, 0.1, 0.9, 0.9], [0, 1, 1, 1])
    _, ax = plots.panels()
    plots.reliability(ax, {"agent": diagram}, event="rain")
    assert ax.collections[1].get_offsets().tolist() == [[0.1, 0.5], [0.9, 1.0]]
    ends = ax.collections[0].get_segments()[0][:, 1]
    assert ends.tolist() == pytest.approx([diagram.low[0], diagram.high[0]])
    matplotlib.pyplot.close("all")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reliability([1.2], [1]), "`probabilities` must be from 0 to 1. Got 1.2"),
        (lambda: reliability([0.5, 0.5], [1]), r"`events` must have one entry for each probability. Got \(1,\)"),
        (lambda: reliability([0.5], [2]), "`events` must be from 0 to 1. Got 2"),
        (lambda: reliability([0.5], [1], n_bins=0), "`n_bins` must be a whole number at least 1"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
