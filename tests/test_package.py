"""The package as a whole: what an import loads, what the lock holds, which version it says it is."""

import ast
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


# --- the house ------------------------------------------------------------------------------------------------------


def modules(root: Path) -> dict[str, Path]:
    """Every module below a folder by its dotted name; a package is its `__init__`."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def private_modules(root: Path) -> list[str]:
    """Modules whose name begins with one underscore."""
    return [name for name in modules(root) if re.match(r"_(?!_)", name.split(".")[-1])]


def imports(path: Path, known: dict[str, Path]) -> dict[str, set[str]]:
    """Modules of the package that a file imports, anywhere in it, each with the names taken from it."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in known:
                    found.setdefault(alias.name, set())
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if name in known:
                    found.setdefault(name, set())
                else:
                    found.setdefault(node.module, set()).add(alias.name)
    return found


def circles(root: Path) -> list[str]:
    """Modules that import themselves, directly or through others; lazy `__init__` files import nothing."""
    known = modules(root)
    arrows = {name: set(imports(path, known)) for name, path in known.items()}

    def reached(name: str) -> set[str]:
        seen, waiting = set(), set(arrows[name])
        while waiting:
            seen |= (now := {waiting.pop()})
            waiting |= arrows[now.pop()] - seen
        return seen

    return [name for name in known if name in reached(name)]


def reaches(root: Path, files: list[Path]) -> list[str]:
    """Files that take a private name out of a module of the package, by import or as an attribute."""
    known, found = modules(root), []
    for path in files:
        taken = {(module, name) for module, names in imports(path, known).items() for name in names}
        local = {name.split(".")[-1]: name for name in imports(path, known)}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in local:
                taken.add((local[node.value.id], node.attr))
        found += [f"{path.name}: {module}.{name}" for module, name in sorted(taken) if re.match(r"_(?!_)", name)]
    return [place for place in found if not place.endswith("._validate")]


PACKAGE = ROOT / "llma_tutorial"


def test_only_the_checks_of_arguments_are_private():
    assert private_modules(PACKAGE) == ["llma_tutorial._validate"]


def test_no_module_imports_itself():
    assert circles(PACKAGE) == []


def test_nobody_reaches_into_a_module():
    assert reaches(PACKAGE, sorted(PACKAGE.rglob("*.py"))) == []
    assert reaches(PACKAGE, sorted((ROOT / "tests").rglob("*.py"))) == []


def test_faults_of_a_house_are_seen(tmp_path):
    house = tmp_path / "house"
    for name, text in {
        "__init__": "",
        "_hidden": "",
        "ground": "def _own(): ...",
        "up": "from house import down",
        "down": "def late():\n    from house.up import _inner",
        "guest": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.host import Host",
        "host": "import house.guest",
        "thief": "from house import ground\nground._own()",
    }.items():
        (house / f"{name}.py").parent.mkdir(exist_ok=True)
        (house / f"{name}.py").write_text(text)
    assert private_modules(house) == ["house._hidden"]
    assert circles(house) == ["house.down", "house.guest", "house.host", "house.up"]
    assert reaches(house, sorted(house.glob("*.py"))) == [
        "down.py: house.up._inner",
        "thief.py: house.ground._own",
    ]


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
