r"""Transcripts: every call to a model made once, kept in a file, and answered from it again.

One line of JSON for each call:

    hash         SHA-256 of model, parameters, text, question, options and draw: what the answer depends on
    prompt       text, question and draw; options; model; parameters; reading (how results become log-probabilities)
    result       what came back, as in `protocol`
    date         when it came, UTC

A line is written and synchronised with the disk before the next call begins, so that a process that dies loses at most
the calls under way: one, or as many as a `chat` model makes at once. Whether such a call was paid nobody can know; it
is made again. A line that was cut off in writing is taken away, with a warning, when the file is next opened to
record. One process at a time can write.
Chapter: `practice/your-own-model`.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from llma_tutorial.reading.models.protocol import (
    AskedByCalls,
    Call,
    Estimate,
    LanguageModel,
    Result,
    checked_request,
    combined,
)

TEXTS_AT_ONCE = 32  # what a model that scores in batches may lose when the process dies


class UnseenPrompt(LookupError):
    """A replayed model was asked something that its transcript does not hold."""


@dataclass(eq=False)
class Transcript:
    """The lines of a file by their hash; `refresh` reads what was added since."""

    path: Path
    results: dict[str, Result] = field(default_factory=dict)
    draws: dict[tuple[str, str, tuple[str, ...]], list[str]] = field(default_factory=dict)
    head: dict[str, Any] = field(default_factory=dict)
    read: int = 0

    def refresh(self, mend: bool) -> None:
        """Read lines added since the last time; with `mend`, repair a line that was cut off in writing."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self.read)
            data = file.read()
        whole, _, torn = data.rpartition(b"\n")
        for line in whole.split(b"\n") if whole else []:
            self._take(line)
            self.read += len(line) + 1
        if torn:
            self._torn(torn, mend)

    def _torn(self, line: bytes, mend: bool) -> None:
        try:
            json.loads(line)
        except ValueError:
            warnings.warn(f"The last line of {self.path.name} was cut off in writing and does not count.", stacklevel=5)
            if mend:
                os.truncate(self.path, self.read)
            return
        self._take(line)  # whole but for its end of line
        if mend:
            _append(self.path, b"\n")
            self.read += len(line) + 1

    def _take(self, line: bytes) -> None:
        place = f"line {len(self.results) + 1} of {self.path.name}"
        try:
            entry = json.loads(line)
            text, question, draw = (entry["prompt"][name] for name in ("text", "question", "draw"))
            options, result = tuple(entry["options"]), entry["result"]
            expected = request_hash(entry["model"], entry["parameters"], (text, question, draw), options)
            matches = entry["hash"] == expected and isinstance(result, dict)
        except (ValueError, KeyError, TypeError):
            matches = False
        if not matches:
            raise ValueError(f"`path` must be a transcript as it was written. Got a change in {place}.")
        if entry["hash"] in self.results:
            raise ValueError(f"`path` must hold every call once. Got one again in {place}.")
        self.head = {name: entry[name] for name in ("model", "parameters", "reading")}
        self.results[entry["hash"]] = result
        self.draws.setdefault((text, question, options), []).append(entry["hash"])

    def add(self, entry: dict[str, Any]) -> None:
        """Write one line, to the disk itself."""
        line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        _append(self.path, line)
        self._take(line)
        self.read += len(line)


def _append(path: Path, data: bytes) -> None:
    new = not path.exists()
    with path.open("ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if new and os.name == "posix":  # a new name is only safe when its folder is
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def request_hash(model: str, parameters: dict[str, Any], call: Call, options: Sequence[str]) -> str:
    """Name of a call: what its answer depends on, hashed."""
    content = json.dumps([model, parameters, *call, list(options)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Recorded:
    """A model whose calls are kept, made by `record`."""

    model: LanguageModel
    path: Path
    transcript: Transcript = field(repr=False)

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.model.name

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the model."""
        return self.model.parameters

    def score(self, texts: Sequence[str], questions: Sequence[str], options: Sequence[str]) -> np.ndarray:
        """Log-probabilities of shape (texts, questions, options); only what is not in the transcript is asked."""
        texts, questions, options = checked_request(texts, questions, options)
        calls, hashes = self._requested(texts, questions, options)
        with self.writing():
            missing = {h: call for h, call in zip(hashes, calls, strict=True) if h not in self.transcript.results}
            for call, result in self._answers(list(missing.values()), options):
                self.transcript.add(self._entry(call, result, options))
        results = [self.transcript.results[h] for h in hashes]
        draws = len(calls) // max(1, len(texts) * len(questions))
        grouped = [results[i : i + draws] for i in range(0, len(results), draws or 1)]
        return combined(grouped, options, **_reading(self.model)).reshape(len(texts), len(questions), len(options))

    def unseen(self, texts: Sequence[str], questions: Sequence[str], options: Sequence[str]) -> list[Call]:
        """The calls (text, question, draw) that `score` would make now."""
        calls, hashes = self._requested(*checked_request(texts, questions, options))
        self.transcript.refresh(mend=False)
        missing = {h: call for h, call in zip(hashes, calls, strict=True) if h not in self.transcript.results}
        return list(missing.values())

    def estimate(
        self,
        texts: Sequence[str],
        questions: Sequence[str],
        options: Sequence[str],
        *,
        price: tuple[float, float] | None = None,
    ) -> Estimate:
        """What is still to pay: the estimate of a `chat` model for the calls that are not in the transcript."""
        if not isinstance(self.model, AskedByCalls):
            raise TypeError(f"`model` must be one that is asked by calls, as `chat` makes it. Got {self.name!r}.")
        return self.model.estimate_calls(self.unseen(texts, questions, options), options, price)

    def _requested(self, texts: list[str], questions: list[str], options: list[str]) -> tuple[list[Call], list[str]]:
        if isinstance(self.model, AskedByCalls):
            calls = self.model.calls(texts, questions)
        else:
            calls = [(text, question, 0) for text in texts for question in questions]
        return calls, [request_hash(self.name, self.parameters, call, options) for call in calls]

    def _answers(self, calls: list[Call], options: list[str]) -> Iterator[tuple[Call, Result]]:
        """Results of calls as they come: one by one where the model can, else in batches of texts asked the same."""
        if isinstance(self.model, AskedByCalls):
            for i, result in self.model.answers(calls, options):
                yield calls[i], result
            return
        asked: dict[str, list[str]] = {}
        for text, question, _ in calls:
            asked.setdefault(text, []).append(question)
        alike: dict[tuple[str, ...], list[str]] = {}
        for text, questions in asked.items():
            alike.setdefault(tuple(questions), []).append(text)
        for questions, texts in alike.items():
            for first in range(0, len(texts), TEXTS_AT_ONCE):
                batch = texts[first : first + TEXTS_AT_ONCE]
                scores = self.model.score(batch, questions, options)
                for t, text in enumerate(batch):
                    for q, question in enumerate(questions):
                        yield (text, question, 0), {"scores": scores[t, q].tolist()}

    def _entry(self, call: Call, result: Result, options: list[str]) -> dict[str, Any]:
        return {
            "hash": request_hash(self.name, self.parameters, call, options),
            "prompt": dict(zip(("text", "question", "draw"), call, strict=True)),
            "options": options,
            "result": result,
            "model": self.name,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "parameters": self.parameters,
            "reading": _reading(self.model),
        }

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the file alone, up to date and of this model."""
        lock = FileLock(f"{self.path}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RuntimeError(f"`path` must be written by one process at a time. Got {self.path}, in use.") from None
        try:
            self.transcript.refresh(mend=True)
            self._refuse_another_model()
            yield
        finally:
            lock.release()

    def _refuse_another_model(self) -> None:
        if not self.transcript.head:
            return
        mine, theirs = (
            {"model": head["model"], **json.loads(json.dumps(head["parameters"]))}
            for head in ({"model": self.name, "parameters": self.parameters}, self.transcript.head)
        )
        differing = {key: theirs.get(key) for key in mine | theirs if mine.get(key) != theirs.get(key)}
        if differing:
            raise ValueError(f"`path` must be a transcript of this model with these parameters. Got {differing}.")


def _reading(model: LanguageModel) -> dict[str, Any]:
    return model.reading if isinstance(model, AskedByCalls) else {"pseudocount": 0.5, "incomplete": "raise"}


def record(model: LanguageModel, path: str | Path) -> Recorded:
    """Keep every call to a model in a file, and never make one twice.

    Parameters
    ----------
    model : LanguageModel
        With a `name` and with `parameters`, a dict of all else that its answers depend on.
    path : str or Path
        The transcript; made if it does not exist, gone on with if it does.

    Returns
    -------
    Recorded
        A `LanguageModel`, with `unseen` and `estimate` for what a request would still cost.

    Raises
    ------
    ValueError
        If the file is a transcript of another model or of other parameters, or was changed.

    Notes
    -----
    Chapter `practice/your-own-model`.

    Examples
    --------
    >>> class Fair:
    ...     name, parameters = "fair", {}
    ...     def score(self, texts, questions, options):
    ...         return np.full((len(texts), len(questions), len(options)), -np.log(len(options)))
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "fair.jsonl"
    >>> record(Fair(), path).score(["It broke."], ["Does it last?"], ["yes", "no"]).round(3).tolist()
    [[[-0.693, -0.693]]]
    >>> replay(path).score(["It broke."], ["Does it last?"], ["yes", "no"]).round(3).tolist()
    [[[-0.693, -0.693]]]
    """
    if not isinstance(getattr(model, "name", None), str) or not isinstance(getattr(model, "parameters", None), dict):
        raise TypeError(
            "`model` must have a string `name` and a dict `parameters`, all that its answers depend on, so that two "
            f"models are never taken for one. Got {type(model).__name__}."
        )
    found = Recorded(model, Path(path), Transcript(Path(path)))
    with found.writing():
        return found


@dataclass(frozen=True, eq=False)
class Replayed:
    """A model that answers from a transcript, made by `replay`."""

    path: Path
    name: str
    parameters: dict[str, Any]
    reading: dict[str, Any]
    transcript: Transcript = field(repr=False)

    def score(self, texts: Sequence[str], questions: Sequence[str], options: Sequence[str]) -> np.ndarray:
        """Log-probabilities of shape (texts, questions, options), as they were recorded."""
        texts, questions, options = checked_request(texts, questions, options)
        grouped = [self._results(text, question, options) for text in texts for question in questions]
        return combined(grouped, options, **self.reading).reshape(len(texts), len(questions), len(options))

    def _results(self, text: str, question: str, options: list[str]) -> list[Result]:
        hashes = self.transcript.draws.get((text, question, tuple(options)))
        if hashes is None:
            raise UnseenPrompt(
                f"`texts`, `questions` and `options` must be in {self.path.name}. Got {text[:60]!r}, {question!r}, "
                f"{options}. Record it with the model itself: record(model, path)."
            )
        return [self.transcript.results[h] for h in hashes]


def replay(path: str | Path) -> Replayed:
    """Answer from a transcript, with no model and no key.

    Parameters
    ----------
    path : str or Path
        A file written by `record`.

    Returns
    -------
    Replayed
        A `LanguageModel` that raises `UnseenPrompt` on anything it was not asked then.

    Notes
    -----
    Chapter `practice/your-own-model`; an example stands with `record`.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"`path` must be a transcript written by `record`. Got {str(path)!r}.")
    transcript = Transcript(Path(path))
    transcript.refresh(mend=False)
    if not transcript.results:
        raise ValueError(f"`path` must hold at least one call. Got {str(path)!r}, with none.")
    head = transcript.head
    return Replayed(Path(path), head["model"], head["parameters"], head["reading"], transcript)
