"""Studies that are too slow for a page: `book/_results/<name>.py` computes, `<name>.json` keeps.

A study is a module with
    STUDY      {"title": ..., "chapter": ...}
    PROBE      {"cell": {...}, "digits": ...}: arguments that pick out a cell which takes seconds, and the number of
               decimals to which its numbers are the study's word, one for all or one for each entry of the result
    cells()    a list of keyword arguments, the seed among them
    compute()  takes one of them, returns a dict

A saved study is fresh while the code that made it is the same: the study and every module of the package that it
imports, directly or through others; comments and docstrings do not count. Where code has changed, the probe decides:
it is computed again, and if it finds the saved numbers the record takes the new hash and says so ("probed"). Only
other numbers make a study stale, and then every cell is computed again. Where only cells were added, the saved ones
stay and the others are computed.

    python book/_tools/results.py [--force] [name ...]     mends or computes what is not fresh
"""

import argparse
import ast
import hashlib
import importlib.util
import json
import re
import time
from pathlib import Path
from types import ModuleType

from joblib import Parallel, delayed

import llma_tutorial

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "book/_results"
BEGUN = ROOT / "_build/results"


def load_study(script: Path) -> ModuleType:
    """The study as a module."""
    spec = importlib.util.spec_from_file_location(script.stem.replace("-", "_"), script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- freshness ------------------------------------------------------------------------------------------------------


def imported(script: Path) -> list[Path]:
    """The script and the modules of the package it imports, transitively; `__init__` files hold names only."""
    found, waiting = set(), [script]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [_file(name) for name in _imports(path) if _file(name)]
    return sorted(found, key=lambda path: (path != script, path.as_posix()))


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _file(name):
    path = ROOT / f"{name.replace('.', '/')}.py"
    return path if name.startswith("llma_tutorial.") and path.is_file() else None


def code_hash(script: Path) -> str:
    """Hash of the code that a study runs: lines without docstrings, comment lines and blank lines."""
    digest = hashlib.sha256()
    for path in imported(script):
        text = path.read_text(encoding="utf-8")
        skipped = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                skipped.update(range(node.lineno, node.end_lineno + 1))
        for number, line in enumerate(text.splitlines(), start=1):
            if number not in skipped and line.strip() and not line.strip().startswith("#"):
                digest.update(line.rstrip().encode() + b"\n")
    return digest.hexdigest()


def is_fresh(path: Path) -> bool:
    """Whether the saved study `path` (`<name>.json`) was made by the code that stands beside it (`<name>.py`)."""
    path = Path(path)
    if not path.is_file():
        return False
    return json.loads(path.read_text(encoding="utf-8"))["code_hash"] == code_hash(path.with_suffix(".py"))


# --- the probe ------------------------------------------------------------------------------------------------------


def differences(found: object, saved: object, digits: int | dict, place: str = "result") -> list[str]:
    """Where two results differ: numbers beyond half a unit of the last of `digits` decimals, all else at all."""
    if isinstance(found, dict) and isinstance(saved, dict) and found.keys() == saved.keys():
        decimals = digits if isinstance(digits, dict) else dict.fromkeys(saved, digits)
        return [d for key in saved for d in differences(found[key], saved[key], decimals[key], f"{place}[{key!r}]")]
    if isinstance(found, list) and isinstance(saved, list) and len(found) == len(saved):
        return [
            d
            for i, pair in enumerate(zip(found, saved, strict=True))
            for d in differences(*pair, digits, f"{place}[{i}]")
        ]
    if isinstance(found, float) and isinstance(saved, int | float):
        same = abs(found - saved) <= 0.5 * 10.0**-digits
    else:
        same = found == saved
    return [] if same else [f"{place} is {found!r}, saved is {saved!r}"]


def probe(path: Path) -> list[str]:
    """What differs when the probe of a saved study is computed again."""
    study = load_study(path.with_suffix(".py"))
    saved = json.loads(path.read_text(encoding="utf-8"))["cells"]
    number = next((i for i, c in enumerate(saved) if study.PROBE["cell"].items() <= c["arguments"].items()), None)
    if number is None or saved[number]["arguments"] not in json.loads(written(study.cells())):
        return ["the probe is another cell"]
    cell = saved[number]
    found = json.loads(written(study.compute(**cell["arguments"])))
    return differences(found, cell["result"], study.PROBE["digits"], f"cell {number}")


def mend(path: Path) -> tuple[list[str], list[dict]]:
    """Give a study whose probe still holds the hash of today's code; else say what differs.

    Also the cells that are still to be computed: none, those that were added, or all.
    """
    study = load_study(path.with_suffix(".py"))
    cells = json.loads(written(study.cells()))
    if wrong := probe(path) if path.exists() else ["it was never computed"]:
        return wrong, cells
    record = json.loads(path.read_text(encoding="utf-8"))
    waiting = [cell for cell in cells if cell not in [old["arguments"] for old in record["cells"]]]
    if not waiting:
        kept = [cell for cell in record["cells"] if cell["arguments"] in cells]
        record |= {"code_hash": code_hash(path.with_suffix(".py")), "probed": study.PROBE, "cells": kept}
        path.write_text(written(record) + "\n", encoding="utf-8")
    return [], waiting


def written(record):
    """JSON with one line for each list of numbers."""
    text = json.dumps(record, indent=1, default=lambda value: value.tolist())
    return re.sub(r"\[\n[\s\d.,eE+-]+\]", lambda found: "[" + " ".join(found[0][1:-1].split()) + "]", text)


# --- computing ------------------------------------------------------------------------------------------------------


def write(name: str, folder: Path = FOLDER, n_jobs: int = 1, keep: bool = False) -> Path:
    """Compute the cells of one study and save them with what is needed to repeat them; `keep` those saved before.

    Cells are kept in `_build` as they come, so that a run that was ended goes on where it was, if the code is the same.
    """
    script = folder / f"{name}.py"
    study, now = load_study(script), code_hash(script)
    cells = json.loads(written(study.cells()))
    path, kept, before = script.with_suffix(".json"), Kept(BEGUN / f"{name}.jsonl", now), {}
    if keep:
        before = json.loads(path.read_text(encoding="utf-8"))
        for cell in before["cells"]:
            kept.found[json.dumps(cell["arguments"], sort_keys=True)] = cell["result"], 0.0
    waiting = [cell for cell in cells if kept.find(cell) is None]
    runs = Parallel(n_jobs=n_jobs, return_as="generator")(delayed(_compute)(script, cell) for cell in waiting)
    for cell, (result, seconds) in zip(waiting, runs, strict=True):
        kept.add(cell, result, seconds)
        print(f"{name}: cell {len(kept.found)} of {len(cells)} took {seconds:.0f} s", flush=True)
    found = [kept.find(cell) for cell in cells]
    record = {
        **study.STUDY,
        "function": f"book/_results/{script.name}:compute",
        "package_version": llma_tutorial.__version__,
        "seconds": round(before.get("seconds", 0.0) + sum(seconds for _, seconds in found), 1),
        "code_hash": now,
        "cells": [{"arguments": cell, "result": result} for cell, (result, _) in zip(cells, found, strict=True)],
    }
    path.write_text(written(record) + "\n", encoding="utf-8")
    kept.path.unlink(missing_ok=True)
    return path


class Kept:
    """Cells that a run of a study has computed, in a file of lines."""

    def __init__(self, path: Path, code: str):
        self.path, self.code, self.found = path, code, {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                record = json.loads(line)
                if record["code"] == code:
                    self.found[json.dumps(record["cell"], sort_keys=True)] = record["result"], record["seconds"]

    def find(self, cell: dict) -> tuple[dict, float] | None:
        """Result and seconds of a cell, None if it is still to be computed."""
        return self.found.get(json.dumps(cell, sort_keys=True))

    def add(self, cell: dict, result: dict, seconds: float) -> None:
        """Keep a cell."""
        record = {"code": self.code, "cell": cell, "result": result, "seconds": seconds}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, default=lambda value: value.tolist()) + "\n")
        self.found[json.dumps(cell, sort_keys=True)] = json.loads(written(result)), seconds


def _compute(script, cell):
    """One cell and its seconds; the study is loaded by its path, because a worker cannot import it by name."""
    start = time.perf_counter()
    return load_study(script).compute(**cell), time.perf_counter() - start


def main() -> None:
    """Mend or compute the named studies, or all, that are not fresh."""
    parser = argparse.ArgumentParser(description="Bring the studies in book/_results up to date.")
    parser.add_argument("names", nargs="*", help="studies to look at; all if none is named")
    parser.add_argument("--force", action="store_true", help="compute all cells, also of fresh ones")
    parser.add_argument("--n-jobs", type=int, default=2, help="processes over the cells of a study")
    arguments = parser.parse_args()
    for name in arguments.names or sorted(path.stem for path in FOLDER.glob("*.py")):
        path = FOLDER / f"{name}.json"
        if not arguments.force and is_fresh(path):
            print(f"{name}: fresh", flush=True)
            continue
        wrong, waiting = (["all of it, as you wish"], None) if arguments.force else mend(path)
        if wrong or waiting:
            print(f"{name}: {wrong[0] if wrong else f'{len(waiting)} cells were added'}", flush=True)
            written_to = write(name, n_jobs=arguments.n_jobs, keep=not wrong)
            print(f"{name}: wrote {written_to.relative_to(ROOT)}", flush=True)
        else:
            print(f"{name}: the code has changed, the numbers have not", flush=True)


if __name__ == "__main__":
    main()
