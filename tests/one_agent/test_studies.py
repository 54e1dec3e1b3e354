"""The saved studies of this part: one cell of each computed again."""

import pytest
from results import load_study
from test_package import ROOT

from llma_tutorial import results


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("ribum-size-and-power", {"agent": "reversed attention", "n_states": 2, "samples": 20}),
        ("utility-recovery", {"restriction": "shared", "n_environments": 2, "samples": 0}),
    ],
)
def test_a_saved_cell_can_be_repeated(name, chosen):
    cell = next(cell for cell in results.load(name)["cells"] if chosen.items() <= cell["arguments"].items())
    study = load_study(ROOT / f"book/_results/{name}.py")
    assert study.compute(**cell["arguments"]) == pytest.approx(cell["result"])


def test_the_saved_test_keeps_its_size():
    study = results.load("ribum-size-and-power")
    rational = ("Shannon", "same attention", "no attention")
    rates = [cell["result"]["test"] for cell in study["cells"] if cell["arguments"]["agent"] in rational]
    assert len(rates) == 24
    assert max(rates) <= 0.05 + 2 * (0.05 * 0.95 / 1000) ** 0.5
