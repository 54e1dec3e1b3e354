"""The file under a transcript: lines of JSON, appended to the disk itself, read again and checked."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llma_tutorial.reading.models._answers import Call, Result


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
