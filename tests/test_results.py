"""Saved studies: where the package finds them, and when they are out of date."""

import json

import pytest
import results as studies

from llma_tutorial import results

SCRIPT = '''"""A study."""
from llma_tutorial.many_agents import social

STUDY = {"title": "Squares", "chapter": "none"}


def cells():
    return [{"value": 2, "seed": 0}, {"value": 3, "seed": 1}]


def compute(value, seed):
    return {"square": value**2}
'''


@pytest.fixture
def study(tmp_path):
    (tmp_path / "squares.py").write_text(SCRIPT)
    return studies.write("squares", tmp_path)


def test_a_saved_study_says_how_it_was_made(study):
    saved = json.loads(study.read_text())
    assert [cell["result"]["square"] for cell in saved["cells"]] == [4, 9]
    assert saved["cells"][1]["arguments"] == {"value": 3, "seed": 1}
    assert {"title", "chapter", "function", "package_version", "seconds", "code_hash"} < set(saved)


def test_hash_covers_the_package_transitively(study):
    names = {path.name for path in studies.imported(study.with_suffix(".py"))}
    assert {"squares.py", "social.py", "beliefs.py", "_validate.py"} <= names


def test_comments_and_docstrings_leave_a_study_fresh(study):
    assert studies.is_fresh(study)
    study.with_suffix(".py").write_text(SCRIPT.replace("A study.", "One study.\n\nMore.") + "\n# a remark\n")
    assert studies.is_fresh(study)


def test_changed_code_makes_a_study_stale(study):
    study.with_suffix(".py").write_text(SCRIPT.replace("value**2", "value**3"))
    assert not studies.is_fresh(study)


def test_a_missing_study_is_not_fresh(tmp_path):
    assert not studies.is_fresh(tmp_path / "squares.json")


def test_load_finds_a_study(study, monkeypatch):
    monkeypatch.setattr(results, "_FOLDERS", (study.parent,))
    assert results.load("squares")["title"] == "Squares"


def test_load_names_what_there_is(study, monkeypatch):
    monkeypatch.setattr(results, "_FOLDERS", (study.parent,))
    with pytest.raises(FileNotFoundError, match=r"`name` must be a saved study\. Got 'cubes'; saved are squares"):
        results.load("cubes")
