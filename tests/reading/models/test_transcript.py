"""Transcripts: nothing lost, nothing doubled, whatever happens to the process, the file or the server."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from filelock import FileLock
from reading.models.fault_server import FaultServer

from llma_tutorial.reading.models import chat, record, replay
from llma_tutorial.reading.models.chat_models import ChatError
from llma_tutorial.reading.models.transcript import UnseenPrompt

OPTIONS = ["yes", "no", "unsaid"]
TEXTS = ["it broke", "it lasts", 'käse 🙂\n"quoted"']
QUESTIONS = ["does it last", "is it broken"]


class Counting:
    """A model that notes what it is asked, and what its transcript holds at that time."""

    name = "counting"

    def __init__(self, parameters=None, path=None):
        self.parameters = parameters or {}
        self.asked, self.path, self.held = [], path, []

    def score(self, texts, questions, options):
        self.asked += [(text, question) for text in texts for question in questions]
        if self.path is not None:
            self.held.append(len(self.path.read_bytes().splitlines()) if self.path.exists() else 0)
        sizes = [[[len(t) + 2 * len(q) + 3 * len(o) for o in options] for q in questions] for t in texts]
        scores = np.array(sizes, dtype=float) / 7
        return scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True)


def test_what_is_recorded_is_replayed(tmp_path):
    model = Counting({"size": 3})
    expected = Counting().score(TEXTS, QUESTIONS, OPTIONS)
    recorded = record(model, tmp_path / "t.jsonl")
    assert recorded.score(TEXTS, QUESTIONS, OPTIONS) == pytest.approx(expected, abs=1e-12)
    assert recorded.score(TEXTS[::-1], QUESTIONS, OPTIONS) == pytest.approx(expected[::-1], abs=1e-12)
    assert model.asked == [(text, question) for text in TEXTS for question in QUESTIONS]  # each once
    again = replay(tmp_path / "t.jsonl")
    assert again.score(TEXTS[1:], QUESTIONS[::-1], OPTIONS) == pytest.approx(expected[1:, ::-1], abs=1e-12)
    assert (again.name, again.parameters) == ("counting", {"size": 3})


def test_a_line_says_everything(tmp_path):
    record(Counting({"size": 3}), tmp_path / "t.jsonl").score(TEXTS[:1], QUESTIONS[:1], OPTIONS)
    line = json.loads((tmp_path / "t.jsonl").read_text())
    assert line.keys() == {"hash", "prompt", "options", "result", "model", "date", "parameters", "reading"}
    assert line["prompt"] == {"text": "it broke", "question": "does it last", "draw": 0}
    assert (line["model"], line["parameters"], line["options"]) == ("counting", {"size": 3}, OPTIONS)
    assert line["date"].endswith("+00:00")
    assert len(line["hash"]) == 64


def test_only_what_is_missing_is_asked(tmp_path):
    model = Counting()
    recorded = record(model, tmp_path / "t.jsonl")
    recorded.score(TEXTS[:2], QUESTIONS[:1], OPTIONS)
    assert len(recorded.unseen(TEXTS, QUESTIONS, OPTIONS)) == 4
    later = Counting()
    record(later, tmp_path / "t.jsonl").score(TEXTS, QUESTIONS, OPTIONS)
    assert sorted(model.asked + later.asked) == sorted((text, question) for text in TEXTS for question in QUESTIONS)
    record(later, tmp_path / "t.jsonl").score(TEXTS * 2, QUESTIONS, OPTIONS)  # the same text twice is one call
    assert len(later.asked) == 4
    assert recorded.unseen(TEXTS, QUESTIONS, OPTIONS) == []  # lines of others are read as well
    assert len(recorded.unseen(TEXTS, QUESTIONS, OPTIONS[::-1])) == 6  # the order of options may matter to a model


def test_an_unseen_prompt_raises(tmp_path):
    record(Counting(), tmp_path / "t.jsonl").score(TEXTS[:1], QUESTIONS, OPTIONS)
    again = replay(tmp_path / "t.jsonl")
    for texts, questions, options in (
        (["never asked"], QUESTIONS, OPTIONS),
        (TEXTS[:1], ["never asked"], OPTIONS),
        (TEXTS[:1], QUESTIONS, ["yes", "no"]),
    ):
        with pytest.raises(UnseenPrompt, match=r"must be in t.jsonl. Got .* Record it with the model itself"):
            again.score(texts, questions, options)


def test_every_batch_is_on_disk_before_the_next_begins(tmp_path):
    path = tmp_path / "t.jsonl"
    model = Counting(path=path)
    record(model, path).score([str(i) for i in range(70)], QUESTIONS, OPTIONS)
    assert model.held == [0, 64, 128]  # 32 texts of two questions at a time


def test_lines_are_synchronised_with_the_disk(tmp_path, monkeypatch):
    synced = []
    kept = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.fstat(file).st_size), kept(file)))
    record(Counting(), tmp_path / "t.jsonl").score(TEXTS, QUESTIONS, OPTIONS)
    sizes = np.cumsum([len(line) for line in (tmp_path / "t.jsonl").read_bytes().splitlines(keepends=True)])
    assert set(sizes.tolist()) <= set(synced)  # at every length that the file has had


# --- A file that was cut off, changed, mixed or is in use ------------------------------------------------------------


def test_a_torn_last_line_is_asked_again_wherever_it_was_torn(tmp_path):
    path = tmp_path / "t.jsonl"
    record(Counting(), path).score(TEXTS, QUESTIONS[:1], OPTIONS)
    whole = path.read_bytes()
    last = len(whole) - len(whole.splitlines(keepends=True)[-1])
    expected = Counting().score(TEXTS, QUESTIONS[:1], OPTIONS)
    for length in (*range(last + 1, len(whole) - 2, 17), len(whole) - 2):  # one byte, some, all but the closing brace
        path.write_bytes(whole[:length])
        model = Counting()
        with pytest.warns(UserWarning, match=r"The last line of t.jsonl was cut off in writing"):
            recorded = record(model, path)
        assert recorded.score(TEXTS, QUESTIONS[:1], OPTIONS) == pytest.approx(expected, abs=1e-12)
        assert model.asked == [(TEXTS[2], QUESTIONS[0])]
        assert len(path.read_bytes().splitlines()) == 3


def test_a_whole_line_without_its_end_is_kept(tmp_path):
    path = tmp_path / "t.jsonl"
    record(Counting(), path).score(TEXTS, QUESTIONS[:1], OPTIONS)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert len(replay(path).transcript.results) == 3
    model = Counting()
    record(model, path).score(TEXTS, QUESTIONS[:1], OPTIONS)
    assert model.asked == []
    assert path.read_bytes() == whole


def test_replay_reads_past_a_torn_line_and_changes_nothing(tmp_path):
    path = tmp_path / "t.jsonl"
    record(Counting(), path).score(TEXTS, QUESTIONS[:1], OPTIONS)
    torn = path.read_bytes()[:-30]
    path.write_bytes(torn)
    with pytest.warns(UserWarning, match="was cut off"):
        again = replay(path)
    assert again.score(TEXTS[:2], QUESTIONS[:1], OPTIONS).shape == (2, 1, 3)
    assert path.read_bytes() == torn


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [lines[0], lines[1].replace("it lasts", "it lusts"), lines[2]], "Got a change in line 2 of"),
        (lambda lines: [lines[0][:40], *lines[1:]], "Got a change in line 1 of"),
        (lambda lines: [*lines, lines[0]], "Got one again in line 4 of"),
        (lambda lines: [lines[0], "", *lines[1:]], "Got a change in line 2 of"),
        (lambda lines: ['["a list"]', *lines], "Got a change in line 1 of"),
    ],
)
def test_a_changed_file_is_refused(tmp_path, change, message):
    path = tmp_path / "t.jsonl"
    record(Counting(), path).score(TEXTS, QUESTIONS[:1], OPTIONS)
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(change(lines)) + "\n", encoding="utf-8")
    for opened in (replay, lambda path: record(Counting(), path)):
        with pytest.raises(ValueError, match=message):
            opened(path)


def test_another_model_or_other_parameters_are_refused(tmp_path):
    path = tmp_path / "t.jsonl"
    record(Counting({"size": 3, "words": "few"}), path).score(TEXTS, QUESTIONS, OPTIONS)
    with pytest.raises(ValueError, match=r"`path` must be a transcript of this model.* Got \{'size': 3\}"):
        record(Counting({"size": 4, "words": "few"}), path)
    other = Counting({"size": 3, "words": "few"})
    other.name = "another"
    with pytest.raises(ValueError, match=r"Got \{'model': 'counting'\}"):
        record(other, path)


def test_only_what_is_asked_by_calls_is_priced(tmp_path):
    with pytest.raises(
        TypeError, match=r"`model` must be one that is asked by calls, as `chat` makes it. Got 'counting'"
    ):
        record(Counting(), tmp_path / "t.jsonl").estimate(TEXTS, QUESTIONS, OPTIONS)


def test_one_process_at_a_time(tmp_path):
    recorded = record(Counting(), tmp_path / "t.jsonl")
    with FileLock(f"{tmp_path / 't.jsonl'}.lock"), pytest.raises(RuntimeError, match="by one process at a time"):
        recorded.score(TEXTS, QUESTIONS, OPTIONS)
    assert recorded.score(TEXTS, QUESTIONS, OPTIONS).shape == (3, 2, 3)  # and free again


def test_models_that_do_not_say_who_they_are_and_files_that_are_none(tmp_path):
    class Nameless:
        def score(self, texts, questions, options):
            raise NotImplementedError

    with pytest.raises(TypeError, match=r"`model` must have a string `name` and a dict `parameters`.* Got Nameless"):
        record(Nameless(), tmp_path / "t.jsonl")
    with pytest.raises(FileNotFoundError, match="`path` must be a transcript written by `record`"):
        replay(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(ValueError, match="`path` must hold at least one call"):
        replay(tmp_path / "empty.jsonl")


# --- Transcripts of a server --------------------------------------------------------------------------------------


def endpoint(server, **changes):
    return chat("m", server.url, **{"retries": 0, "timeout": 20, **changes})


@pytest.mark.parametrize("fault", [(429, 9), 500, "cut", "refuse", "truncated", b"[]"])
def test_a_run_that_failed_goes_on_where_it_stopped(server, tmp_path, fault):
    path = tmp_path / "t.jsonl"
    texts = [f"text {i}" for i in range(12)]
    server.script["text 7\n"] = [fault]
    with pytest.raises(ChatError, match=r"Call 8 of 12 failed"):
        record(endpoint(server, concurrency=3), path).score(texts, ["q"], OPTIONS)
    kept = len(path.read_bytes().splitlines())
    assert kept == server.answered.total() >= 7  # all that was answered, calls under way included
    recorded = record(endpoint(server), path)
    assert recorded.estimate(texts, ["q"], OPTIONS).calls == 12 - kept
    found = recorded.score(texts, ["q"], OPTIONS)
    assert set(server.answered.values()) == {1}
    assert server.asked.total() == 13  # one more than needed: the call that failed
    assert replay(path).score(texts, ["q"], OPTIONS) == pytest.approx(found, abs=1e-12)


def test_more_draws_go_on_from_those_that_are_there(server, tmp_path):
    path = tmp_path / "t.jsonl"
    record(endpoint(server, method="sample", draws=3), path).score(["a", "b"], ["q"], OPTIONS)
    server.content = "no"
    found = record(endpoint(server, method="sample", draws=5), path).score(["a", "b"], ["q"], OPTIONS)
    assert server.asked.total() == 10
    assert np.exp(found) == pytest.approx(np.tile(np.array([3.5, 2.5, 0.5]) / 6.5, (2, 1, 1)))
    assert replay(path).score(["a"], ["q"], OPTIONS) == pytest.approx(found[:1])


def test_a_reply_that_names_no_option_is_kept_and_not_paid_twice(server, tmp_path):
    path = tmp_path / "t.jsonl"
    server.content = "perhaps"
    with pytest.raises(ValueError, match="name none of"):
        record(endpoint(server, method="sample", draws=2), path).score(["a"], ["q"], OPTIONS)
    server.content = "yes"
    lenient = record(endpoint(server, method="sample", draws=3, incomplete="accept"), path)
    with pytest.warns(UserWarning, match="2 of 3 replies named no option"):
        lenient.score(["a"], ["q"], OPTIONS)
    assert server.asked.total() == 3


def test_the_key_is_in_no_transcript(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", "very-secret")
    server.content = "very-secret"
    recorded = record(endpoint(server, key_variable="MY_KEY", method="sample", draws=1), tmp_path / "t.jsonl")
    with pytest.raises(ValueError, match=r"\[MY_KEY\]"):
        recorded.score(["a"], ["q"], OPTIONS)
    written = (tmp_path / "t.jsonl").read_text()
    assert "[MY_KEY]" in written
    assert "secret" not in written
    assert server.headers[0]["authorization"] == "Bearer very-secret"


RUN = """
import sys
from llma_tutorial.reading.models import chat, record
url, path, concurrency = sys.argv[1:]
model = record(chat("m", url, concurrency=int(concurrency), timeout=60, retries=0), path)
model.score([f"text {i}" for i in range(1000)], ["q"], ["yes", "no", "unsaid"])
"""


@pytest.mark.parametrize("concurrency", [1, 4])
def test_killed_in_the_middle_of_a_thousand_calls(tmp_path, concurrency):
    """SIGKILL while calls are under way; afterwards no call that was answered is made again."""
    server = FaultServer(close_after=500)
    path = tmp_path / "t.jsonl"
    command = [sys.executable, "-c", RUN, server.url, str(path), str(concurrency)]
    try:
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 120
        while (server.waiting < concurrency or lines(path) < 500) and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read().decode()
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        assert server.waiting == concurrency  # calls under way that never were answered
        assert lines(path) == server.answered.total() == 500
        server.open_gate.set()
        subprocess.run(command, check=True, timeout=120)
        assert server.answered.total() == lines(path) == 1000
        assert set(server.answered.values()) == {1}
        assert server.asked.total() == 1000 + concurrency
    finally:
        process.kill()
        process.wait(10)
        process.stderr.close()
        server.close()


def lines(path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0
