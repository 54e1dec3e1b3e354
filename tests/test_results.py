"""Saved studies: where the package finds them, and when they are out of date."""

import json

import pytest
import results as studies

from llma_tutorial import results

SCRIPT = '''"""A study."""
from llma_tutorial.many_agents import social

STUDY = {"title": "Squares", "chapter": "none"}
PROBE = {"cell": {"value": 3}, "digits": 2}


def cells():
    return [{"value": 2, "seed": 0}, {"value": 3, "seed": 1}]


def compute(value, seed):
    return {"square": value**2, "half": [value / 2, None], "way": "by hand"}
'''


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setattr(studies, "BEGUN", tmp_path / "begun")
    (tmp_path / "squares.py").write_text(SCRIPT)
    return studies.write("squares", tmp_path)


def test_a_saved_study_says_how_it_was_made(study):
    saved = json.loads(study.read_text())
    assert [cell["result"]["square"] for cell in saved["cells"]] == [4, 9]
    assert saved["cells"][1]["arguments"] == {"value": 3, "seed": 1}
    assert {"title", "chapter", "function", "package_version", "seconds", "code_hash"} < set(saved)


def test_a_run_that_was_ended_goes_on_where_it_was(study, tmp_path):
    """The second cell stops the first run; the second run computes only that one, unless the code is another."""
    script, saved = study.with_suffix(".py"), study.read_text()
    assert not list((tmp_path / "begun").iterdir())
    asked = tmp_path / "asked"
    counted = SCRIPT.replace("    return {", f"    open({str(asked)!r}, 'a').write(str(value))\n    return {{")
    script.write_text(
        counted.replace(
            "    return {", "    assert not (value == 3 and __import__('os').environ.get('STOP'))\n    return {"
        )
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STOP", "1")
        with pytest.raises(AssertionError):
            studies.write("squares", tmp_path)
    studies.write("squares", tmp_path)
    assert asked.read_text() == "233"
    assert json.loads(study.read_text())["cells"] == json.loads(saved)["cells"]
    studies.write("squares", tmp_path)
    assert asked.read_text() == "23323"


def test_a_list_of_numbers_stands_on_one_line(study):
    record = {"a": [1, 2.5, -3e-05], "b": [[1, 2], [3]], "c": ["[1,  2]", None], "d": []}
    text = studies.written(record)
    assert json.loads(text) == record
    assert "[1, 2.5, -3e-05]" in text
    assert json.dumps("[1,  2]") in text


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


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("value**2", "value * value", None),
        ("value / 2", "value / 2 + 0.004", None),  # within half a unit of the second decimal
        ("value / 2", "value / 2 + 0.006", "cell 1['half'][0] is 1.506, saved is 1.5"),
        ("value**2", "value**2 + value - 3", None),  # the probe is one cell; that is what it cannot see
        ("value**2", "value**3", "cell 1['square'] is 27, saved is 9"),
        ("None", "0", "cell 1['half'][1] is 0, saved is None"),
        ("by hand", "by code", "cell 1['way'] is 'by code', saved is 'by hand'"),
        ('"half"', '"halved"', "cell 1 is {'square': 9, 'halved': [1.5, None], 'way': 'by hand'}, saved is "
         "{'square': 9, 'half': [1.5, None], 'way': 'by hand'}"),
        ('"value": 3', '"value": 4', "the probe is another cell"),
    ],
)  # fmt: skip
def test_only_other_numbers_make_a_study_stale(study, old, new, wrong):
    study.with_suffix(".py").write_text(SCRIPT.replace(old, new))
    saved = study.read_text()
    assert not studies.is_fresh(study)
    assert studies.mend(study)[0] == ([] if wrong is None else [wrong])
    assert studies.is_fresh(study) == (wrong is None)
    if wrong is None:
        after = json.loads(study.read_text())
        assert after["probed"] == {"cell": {"value": 3}, "digits": 2}
        assert after["cells"] == json.loads(saved)["cells"]
    else:
        assert study.read_text() == saved


def test_cells_that_were_added_are_computed_and_the_others_stay(study, tmp_path):
    added = SCRIPT.replace('{"value": 2, "seed": 0}', '{"value": 5, "seed": 0}').replace(
        "value / 2", "value / 2 + 0.004"
    )
    study.with_suffix(".py").write_text(added)
    assert studies.mend(study) == ([], [{"value": 5, "seed": 0}])
    assert not studies.is_fresh(study)
    studies.write("squares", tmp_path, keep=True)
    cells = json.loads(study.read_text())["cells"]
    assert [cell["arguments"]["value"] for cell in cells] == [5, 3]
    assert [cell["result"]["half"][0] for cell in cells] == [2.504, 1.5]
    assert studies.is_fresh(study)


def test_every_entry_may_have_decimals_of_its_own(study):
    found, saved = {"half": [1.52], "square": 9.0}, {"half": [1.5], "square": 9.004}
    assert studies.differences(found, saved, {"half": 1, "square": 2}) == []
    assert studies.differences(found, saved, {"half": 1, "square": 3}) == ["result['square'] is 9.0, saved is 9.004"]
    assert studies.differences(found, saved, {"half": 2, "square": 2}) == ["result['half'][0] is 1.52, saved is 1.5"]


def test_a_missing_study_is_not_fresh(tmp_path):
    assert not studies.is_fresh(tmp_path / "squares.json")


def test_load_finds_a_study(study, monkeypatch):
    monkeypatch.setattr(results, "_FOLDERS", (study.parent,))
    assert results.load("squares")["title"] == "Squares"


def test_load_names_what_there_is(study, monkeypatch):
    monkeypatch.setattr(results, "_FOLDERS", (study.parent,))
    with pytest.raises(FileNotFoundError, match=r"`name` must be a saved study\. Got 'cubes'; saved are squares"):
        results.load("cubes")
