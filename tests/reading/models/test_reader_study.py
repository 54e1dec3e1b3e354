"""The saved study of readers and sentence patterns: its smallest reader trained again, and what the chapter says."""

import numpy as np
import pytest
from results import load_study
from test_package import ROOT

from llma_tutorial import results

NAME = "reader-breadth"
WORLDS = ("reviews", "comments", "headlines")


@pytest.fixture(scope="module")
def cells():
    return results.load(NAME)["cells"]


def test_the_smallest_reader_can_be_trained_again(cells):
    """Numbers of sentences and parameters are exact. Trained bits are not the same on every machine: accuracies are
    shares of 600 texts of another reader then, so they are compared within four standard errors of a difference."""
    cell = min(cells, key=lambda cell: cell["arguments"]["texts"])
    assert cell["arguments"]["texts"] == 1_000
    found = load_study(ROOT / f"book/_results/{NAME}.py").compute(**cell["arguments"])
    assert found.keys() == cell["result"].keys()
    for key, saved in cell["result"].items():
        if key in ("patterns", "parameters"):
            assert found[key] == saved
        else:
            assert found[key] == pytest.approx(saved, abs=4 * (2 * 0.25 / 600) ** 0.5)


def test_a_reader_of_few_texts_does_not_read(cells):
    """The fault that the comparison above must see: the smallest reader is no usual one, at home least of all."""
    at_home = [(cell["arguments"]["texts"], cell["result"][f"{name} none"][1]) for cell in cells for name in WORLDS]
    small, usual = (np.mean([value for n, value in at_home if (n == 1_000) == few]) for few in (True, False))
    assert usual > small + 4 * (2 * 0.25 / 600) ** 0.5
