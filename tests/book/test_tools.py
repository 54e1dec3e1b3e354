"""The tools behind `make`: saved outputs that stay the same, benchmarks that fail, mathematics without a network."""

import io

import bench
import execute
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import slim_site
from book.pages import ROOT
from PIL import Image

from book import browser

SITE = ROOT / "_build/html"
FORMULAE = """MathJax.startup.promise.then(() => [
    document.querySelectorAll("span.math, div.math").length,
    document.querySelectorAll("mjx-container").length,
    document.querySelectorAll("mjx-merror").length,
    [...document.fonts].filter((font) => font.status == "loaded" && font.family.startsWith("MJX")).length,
])"""


def stream(text, name="stdout"):
    return nbformat.v4.new_output("stream", name=name, text=text)


def test_saved_notebooks_do_not_depend_on_the_run():
    cell = nbformat.v4.new_code_cell(
        "print()",
        outputs=[stream("a"), stream("b"), stream("c", "stderr"), stream("d")],
        metadata={"execution": {"t": "1"}},
    )
    notebook = nbformat.v4.new_notebook(
        cells=[cell],
        metadata={"widgets": {}, "language_info": {"name": "python", "version": "3.11.7"}, "llma": {"a": 1}},
    )
    stable = execute.stable(notebook)
    assert [output.text for output in stable.cells[0].outputs] == ["ab", "c", "d"]
    assert stable.cells[0].metadata == {}
    assert stable.metadata == {"kernelspec": execute.KERNEL, "language_info": {"name": "python"}, "llma": {"a": 1}}


@pytest.mark.parametrize(("value", "status"), [(1.0, 0), (2.0, 0), (2.1, 1)])
def test_a_benchmark_over_its_limit_fails(tmp_path, capsys, value, status):
    (tmp_path / "bench_planted.py").write_text(f"def measure():\n    return [('planted', {value}, 's', 2.0)]\n")
    assert bench.main(tmp_path) == status
    assert ("OVER" in capsys.readouterr().out) == bool(status)


def test_figures_get_a_palette_that_nobody_sees(tmp_path):
    figure, axes = plt.subplots(figsize=(4, 3), facecolor="white")
    axes.pcolormesh(np.add.outer(np.arange(30), np.arange(30)), cmap="viridis")
    figure.savefig(tmp_path / "a.png")
    plt.close(figure)
    data = (tmp_path / "a.png").read_bytes()
    small = slim_site.small_png(data)
    before, after = (np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=float) for png in (data, small))
    assert len(small) < 0.5 * len(data)
    assert np.quantile(np.abs(before - after), 0.999) < 25  # of 255
    assert slim_site.small_png(small) == small


def test_pictures_that_shine_through_are_left_alone(tmp_path):
    Image.new("RGBA", (5, 5), (0, 0, 0, 100)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    assert slim_site.small_png(data) == data


def test_the_site_carries_only_the_mathjax_that_it_uses():
    files = [path for path in (SITE / "_static/mathjax").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".js", ".woff"}
    assert sum(path.stat().st_size for path in files) < 2_500_000


@pytest.mark.skipif(browser.EXECUTABLE is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("page", ["book/many-agents/cascades.html", "book/reference/notation.html"])
def test_mathematics_is_set_from_the_files_alone(tmp_path, page):
    with browser.opened(tmp_path) as opened:
        opened.requests((SITE / page).as_uri())
        answer = opened.call("Runtime.evaluate", expression=FORMULAE, awaitPromise=True, returnByValue=True)
    written, shown, wrong, fonts = answer["result"]["value"]
    assert written == shown > 0
    assert wrong == 0
    assert fonts > 0
