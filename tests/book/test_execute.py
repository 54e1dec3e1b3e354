"""One execution serves the pages, the site and the tests: the cache of executed notebooks, and what fills it."""

import os
import subprocess
import sys

import execute
import nbformat
import pytest
from book.pages import ROOT


def write(path, *sources, saved=()):
    cells = [nbformat.v4.new_code_cell(source, execution_count=1, outputs=list(saved)) for source in sources]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": execute.KERNEL})
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def notebooks(tmp_path):
    """A notebook that runs, one that stops, and one that gives another number than the saved one."""
    four = nbformat.v4.new_output("stream", name="stdout", text="4\n")
    right = write(tmp_path / "right.ipynb", "print(1)\nprint(2)", "3 + 4", "5;")
    stops = write(tmp_path / "stops.ipynb", "1 / 0")
    other = write(tmp_path / "other.ipynb", "# NBVAL_CHECK_OUTPUT\nprint(5)", saved=[four])
    return right, stops, other


def outputs(kept, path):
    _, notebook = kept.merge_match_into_notebook(nbformat.read(path, 4))
    return [[output.get("text") or output["data"]["text/plain"] for output in cell.outputs] for cell in notebook.cells]


def test_what_nbval_runs_is_kept_and_what_fails_is_not(notebooks, tmp_path):
    plugin = "import sys, pathlib, execute; execute.CACHE = pathlib.Path({!r}); from keep_executed import *"
    (tmp_path / "keep_here.py").write_text(plugin.format(str(tmp_path / "cache")))
    command = [
        "-m",
        "pytest",
        "-p",
        "keep_here",
        "-p",
        "no:cacheprovider",
        "--nbval-lax",
        "--nbval-current-env",
        "-c",
        os.devnull,
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "book/_tools")])}
    run = subprocess.run(
        [sys.executable, *command, *map(str, notebooks)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert "2 failed, 3 passed" in run.stdout
    kept = execute.get_cache(tmp_path / "cache")
    assert [execute.is_kept(kept, path) for path in notebooks] == [True, False, False]
    assert outputs(kept, notebooks[0]) == [["1\n2\n"], ["7"], []]
    assert outputs(kept, notebooks[0]) == [
        [output.get("text") or output["data"]["text/plain"] for output in cell.outputs]
        for cell in execute.execute(notebooks[0])[0].cells
    ]


def test_the_cache_belongs_to_one_state(notebooks, tmp_path):
    right = notebooks[0]
    kept = execute.cache(tmp_path / "cache", "now")
    execute.keep(kept, right, execute.execute(right)[0])
    assert execute.is_kept(execute.cache(tmp_path / "cache", "now"), right)
    write(right, "print(1)\nprint(2)", "3 + 5")
    assert not execute.is_kept(kept, right)
    write(right, "print(1)\nprint(2)", "3 + 4")
    assert not execute.is_kept(execute.cache(tmp_path / "cache", "later"), right)


def test_a_state_is_all_that_outputs_depend_on(tmp_path):
    for name in ("requirements.txt", "llma_tutorial/a.py", "llma_tutorial/read.md", "book/_results/b.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    before = execute.state(tmp_path)
    (tmp_path / "llma_tutorial/read.md").write_text("2")
    assert execute.state(tmp_path) == before
    for name in ("requirements.txt", "llma_tutorial/a.py", "book/_results/b.json"):
        (tmp_path / name).write_text("2")
        assert execute.state(tmp_path) != before
        before = execute.state(tmp_path)
