"""The package as a whole: what an import loads, what the lock holds, which version it says it is."""

import importlib
import json
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest

import llma_tutorial

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "transformers", "cvxpy", "pandas", "scipy.optimize", "matplotlib", "seaborn", "pyarrow")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def loaded_by(statement: str) -> set[str]:
    """The heavy modules that a fresh interpreter holds after a statement."""
    program = f"import sys; {statement}; print([name for name in {HEAVY} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    return set(json.loads(out.replace("'", '"')))


def test_import_loads_nothing_heavy():
    assert loaded_by("import llma_tutorial") == set()


def test_import_check_sees_a_heavy_module():
    assert "matplotlib" in loaded_by("from llma_tutorial import plots")


def subpackages() -> list:
    """The package and its rooms, whose `__init__` files are lazy."""
    return [llma_tutorial, *(importlib.import_module(f"llma_tutorial.{path.parent.name}") for path in rooms())]


def rooms() -> list[Path]:
    return sorted((ROOT / "llma_tutorial").glob("[a-z]*/__init__.py"))


def test_lazy_names_resolve():
    for package in subpackages():
        for name in package.__all__:
            assert getattr(package, name) is not None


def long_modules(*folders: Path) -> list[str]:
    """Modules beyond the 350 lines that CONTRIBUTING.md allows."""
    files = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    return [path.name for path in files if len(path.read_text(encoding="utf-8").splitlines()) > 350]


def test_modules_are_short(tmp_path):
    (tmp_path / "long.py").write_text("\n" * 351)
    assert long_modules(tmp_path) == ["long.py"]
    assert long_modules(ROOT / "llma_tutorial", ROOT / "book/_tools") == []


def test_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        llma_tutorial.no_such_name  # noqa: B018


def test_one_version():
    citation = (ROOT / "CITATION.cff").read_text()
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r'^version: "?([^"\n]+)"?$', citation, re.MULTILINE)[1] == llma_tutorial.__version__
    assert PROJECT["version"] == llma_tutorial.__version__
    assert re.search(r"^## ([\d.]+)", changelog, re.MULTILINE)[1] == llma_tutorial.__version__


def canonical(requirement: str) -> str:
    """Name of a requirement as package indexes spell it."""
    return re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", requirement)[0]).lower()


def not_pinned(project: dict, lock: str) -> set[str]:
    """Requirements of the project, with those of its extras, that the lock does not hold at one exact version."""
    wanted = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    pinned = {canonical(line) for line in lock.splitlines() if re.match(r"[A-Za-z0-9._-]+==", line)}
    return {canonical(requirement) for requirement in wanted} - pinned


def test_lock_holds_every_requirement():
    assert not_pinned(PROJECT, (ROOT / "requirements.txt").read_text()) == set()


def test_lock_check_sees_a_missing_and_a_loose_requirement():
    project = {"dependencies": ["numpy>=1", "scipy"], "optional-dependencies": {"book": ["jupyter_book==1.0.4.post1"]}}
    assert not_pinned(project, "numpy>=1\njupyter-book==1.0.4.post1") == {"numpy", "scipy"}


def test_lock_is_only_pins():
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and line[0] != "#"]
    assert lines
    assert [line for line in lines if not re.match(r"[A-Za-z0-9._\[\],-]+==\S+", line)] == []
