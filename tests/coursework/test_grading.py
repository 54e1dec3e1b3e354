"""The grader on work that is right, wrong, broken and hostile: marks as designed, twice the same."""

import json
import time
from pathlib import Path

import editions
import grade as grading
import master as masters
import mutants
import nbformat
import psutil
import pytest
import school

MASTER = masters.read("problem-set-1")
FULL = {question.name: question.points for question in MASTER.questions.values()}
LIMITS = grading.LIMITS | {"seconds": 3}
HOSTILE = [  # in front of question 2, one cell each
    "1 / 0",
    'while True:\n    print("x" * 100_000)',
    'import os\nfor _ in range(50):\n    os.write(1, b"x" * 10_000_000)',
    "hoard = bytearray(1 << 36)",
    'f = open("large", "wb")\nwhile True:\n    f.write(bytes(1 << 24))',
    "import subprocess\nsubprocess.Popen(['sleep', '987'], start_new_session=True)",
    "from pathlib import Path\nfor path in Path('tests').glob('*.py'):\n    path.write_text('points = 100')",
    'import shutil\nshutil.rmtree(".", ignore_errors=True)',
    "exit()",
    "while True:\n    pass",
]


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory):
    """A small class: everything that can go wrong and leaves a kernel alive is in one notebook."""
    folder = tmp_path_factory.mktemp("submissions")
    answers = {"q3": "def symbols(*_):\n    while True:\n        pass", "q4": MASTER.questions["q4"].alternatives[1]}
    hostile = school.submission(MASTER, "hostile", answers)
    for code in HOSTILE[::-1]:
        hostile = school.before(hostile, "## Question 2.", code)
    renamed = school.submission(MASTER, "renamed", {"q2": MASTER.questions["q2"].answer.replace("posterior", "bayes")})
    renamed = school.reordered(renamed)
    renamed.cells += [nbformat.v4.new_code_cell(cell.source) for cell in renamed.cells if "def symbols" in cell.source]
    copied = school.submission(MASTER, "somebody-else", {"q6": MASTER.questions["q6"].alternatives[1]})
    for name, notebook in {"hostile": hostile, "renamed": renamed, "copied": copied}.items():
        nbformat.write(notebook, folder / f"{name}.ipynb")
    (folder / "damaged.ipynb").write_text("{]")
    gone = school.before(school.submission(MASTER, "gone", {}), "## Question 2.", "import os\nos._exit(0)")
    (folder / "gone").mkdir()
    nbformat.write(gone, folder / "gone/any name.ipynb")
    return folder


@pytest.fixture(scope="module")
def graded(handed_in):
    work = grading.submissions(handed_in)
    return {name: grading.grade(name, path, "open", limits=LIMITS) for name, path in work.items()}


def points(found):
    return {name: question["points"] for name, question in found["questions"].items()}


def test_hostile_cells_cost_only_the_question_that_is_wrong(graded):
    assert points(graded["hostile"]) == FULL | {"q3": 0}
    words = " ".join(cell["words"] for cell in graded["hostile"]["stopped"])
    for sign in ("ZeroDivisionError", "prints more than it may", "MemoryError", "File too large", "did not end within"):
        assert sign in words
    assert any("Is there a loop" in case["words"] for case in graded["hostile"]["questions"]["q3"]["cases"])
    assert graded["hostile"]["notes"] == [
        "changed or deleted the files of the tests; they were put back before grading"
    ]


def test_nothing_that_a_submission_started_is_left(graded):
    assert graded
    time.sleep(0.2)
    assert not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "987"]]


def test_reordered_and_doubled_cells_work_and_renamed_ones_say_what_to_do(graded):
    assert points(graded["renamed"]) == FULL | {"q2": 0}
    cases = graded["renamed"]["questions"]["q2"]["cases"]
    assert all("`posterior` does not exist. Give your answer this name" in case["words"] for case in cases)


def test_a_copied_notebook_has_the_numbers_of_somebody_else(graded):
    assert points(graded["copied"]) == mutants.scores(MASTER, "copied", owner="somebody-else")
    assert points(graded["copied"])["q1"] == 0
    assert graded["copied"]["notes"] == ["the notebook says STUDENT = 'somebody-else'"]


def test_what_cannot_be_graded_says_why(graded):
    assert graded["damaged"]["notes"] == ["the file is no notebook: it may be damaged, or only renamed"]
    assert "Kernel died" in graded["gone"]["notes"][0]
    assert grading.total(graded["damaged"]) == grading.total(graded["gone"]) == 0


def test_marks_are_written_and_the_same_the_second_time(graded, handed_in, tmp_path):
    again = grading.grade("copied", handed_in / "copied.ipynb", "open", limits=LIMITS)
    assert json.dumps(again) == json.dumps(graded["copied"])
    grading.write(list(graded.values()), tmp_path)
    table = (tmp_path / "problem-set-1.csv").read_text().splitlines()
    assert table[0] == "student,q1,q2,q3,q4,q5,q6,q7,total,possible,note"
    assert table[3].startswith("hostile,4,4,0,4,3,5,7,27,30,changed or deleted")
    report = (tmp_path / "reports/renamed.md").read_text()
    assert "**26 of 30 points.**" in report
    assert "- FAILS: the rule: `posterior` does not exist." in report


def test_time_limits_end_a_submission(handed_in):
    found = grading.grade("copied", handed_in / "copied.ipynb", "open", limits=LIMITS | {"wall_seconds": 2})
    assert found["notes"][0] == "the notebook was ended because it ran too long or took too much memory"
    assert grading.total(found) == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "no notebook"),
        ('{"metadata": {}, "cells": [1]}', "does not say which problem set"),
        ('{"metadata": {"llma": {"problem_set": "problem-set-1"}}, "cells": []}', "empty"),
    ],
)
def test_files_that_are_no_submissions(tmp_path, content, words):
    path = tmp_path / "ada.ipynb"
    path.write_text(content)
    assert words in grading.grade("ada", path, "open")["notes"][0]


def test_a_folder_must_hold_one_notebook_for_each_student(tmp_path):
    with pytest.raises(SystemExit, match="must name a folder"):
        grading.submissions(tmp_path / "nowhere")
    with pytest.raises(SystemExit, match="must hold notebooks"):
        grading.submissions(tmp_path)
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada.ipynb").write_text("")
    (tmp_path / "ada/other.ipynb").write_text("")
    with pytest.raises(SystemExit, match="one notebook"):
        grading.submissions(tmp_path)


def test_homework_runs_unanswered_and_work_begun_is_kept(tmp_path):
    from nbclient import NotebookClient

    assert editions.lay_out(MASTER, tmp_path, "open")
    folder = tmp_path / MASTER.name
    notebook = nbformat.read(folder / f"{MASTER.name}.ipynb", 4)
    notebook.cells = [cell for cell in notebook.cells if "corpora.generate" not in cell.source]
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(folder)}}).execute()
    said = [output.text for cell in notebook.cells for output in cell.get("outputs", []) if output.get("text")]
    assert sum("public checks hold" in text and "FAILS" in text for text in said) == len(FULL)
    nbformat.write(notebook, folder / f"{MASTER.name}.ipynb")
    before = (folder / f"{MASTER.name}.ipynb").read_text()
    assert not editions.lay_out(MASTER, tmp_path, "another")
    assert (folder / f"{MASTER.name}.ipynb").read_text() == before
    assert 'COURSE = "another"' in (folder / "kit.py").read_text()


def test_the_class_has_every_kind_of_trouble(tmp_path):
    expected = school.build(MASTER, tmp_path, 30)
    assert len(expected) == len(grading.submissions(tmp_path)) == 30
    kinds = {name.split("-")[0] for name in expected}
    assert kinds == {"trouble", "mutant", "right", "reordered"}
    wrong = [{"student": "right-0", "questions": {"q1": {"points": 1}}, "notes": []}]
    assert school.differences(expected, wrong)
    assert Path(tmp_path / "trouble-loops.ipynb").exists()
