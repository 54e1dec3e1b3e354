"""`record.py CHAPTER`: a chapter run once with a hosted model, then by anybody without it."""

import json

import numpy as np
import pytest
import record
from reading.models import fault_server

from llma_tutorial.reading import models

CELLS = [
    ("code", {}, "%matplotlib inline\nfrom llma_tutorial.reading.models import classroom\nmodel = classroom()\n"),
    ("markdown", {}, "this is no code"),
    ("code", {}, ["import numpy as np\n", "q, o = ['does it last'], ['yes', 'no', 'unsaid']\n", "1"]),
    ("code", {}, "scores = model.score(['it broke', 'it lasts', 'it broke'], q, o)"),
    ("code", {"tags": ["hide-cell"]}, "assert False, 'figures of the classroom model'"),
    ("code", {"jupyter": {"source_hidden": True}}, "assert False, 'a solution'"),
    ("code", {}, "display(scores); again = model.score(['it lasts'], q, o); later = model.score(['new'], q, o)"),
]


@pytest.fixture
def server():
    made = fault_server.FaultServer()
    yield made
    made.close()


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    """Name of a chapter below ./book, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "book" / "practice" / "chapter.ipynb", CELLS)
    return "practice/chapter"


def write(path, cells):
    path.parent.mkdir(parents=True, exist_ok=True)
    made = [{"cell_type": kind, "metadata": metadata, "source": source} for kind, metadata, source in cells]
    path.write_text(json.dumps({"cells": made}), encoding="utf-8")


def test_a_chapter_is_recorded_once_and_replayed(server, chapter, capsys):
    command = [chapter, "--model", "m", "--base-url", server.url]
    assert record.main(command) == 0
    said = capsys.readouterr().out
    assert said == '3 calls are in chapter.jsonl. In the chapter: model = models.replay("chapter.jsonl")\n'
    assert record.main(command) == 0
    assert server.asked.total() == 3
    found = models.replay("chapter.jsonl").score(["new", "it broke"], ["does it last"], ["yes", "no", "unsaid"])
    assert np.exp(found[:, 0]) == pytest.approx(np.tile(np.array([0.7, 0.2, 0.06]) / 0.96, (2, 1)))


def test_an_estimate_sends_nothing_and_counts_what_a_run_sends(server, chapter, capsys):
    command = [chapter, "--model", "m", "--base-url", server.url, "--method", "sample", "--draws", "2"]
    assert record.main([*command, "--estimate", "--price", "1", "2"]) == 0
    assert server.asked.total() == 0
    estimate = capsys.readouterr().out
    assert record.main(command) == 0
    assert server.asked.total() == 6
    assert estimate.startswith("6 calls, about ")
    assert ": about 0.000" in estimate


def test_a_chapter_that_stops_keeps_what_was_paid(server, chapter, tmp_path, capsys):
    write(tmp_path / "book" / "practice" / "chapter.ipynb", [*CELLS[:4], ("code", {}, "1 / 0"), CELLS[6]])
    assert record.main([chapter, "--model", "m", "--base-url", server.url, "--transcript", "t.jsonl"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert (tmp_path / "t.jsonl").read_bytes().count(b"\n") == 2
    write(tmp_path / "book" / "practice" / "chapter.ipynb", CELLS)
    assert record.main([chapter, "--model", "m", "--base-url", server.url, "--transcript", "t.jsonl"]) == 0
    assert server.asked.total() == 3


def test_what_is_refused(chapter, capsys, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert record.main(["no/such-chapter", "--model", "m"]) == 1
    assert "`chapter` must be a notebook, or a chapter below ./book. Got 'no/such-chapter'" in capsys.readouterr().err
    assert record.main([chapter, "--model", "m"]) == 1
    assert "Got OPENAI_API_KEY, unset" in capsys.readouterr().err
