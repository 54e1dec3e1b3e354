"""A class that never was: eighty submissions whose marks are known in advance, to try the grader on.

Correct ones, one for each mutant, some that stop, loop, print without end, write without end, take all memory, delete
files, edit the tests, quit, hand in a damaged file, or copy a neighbour's work.

    python book/_tools/coursework/school.py FOLDER [SIZE]     builds, grades twice and compares, all inside FOLDER
"""

import sys
from pathlib import Path

import editions
import master as masters
import mutants
import nbformat
from master import Master

TROUBLE = {  # kind: (code of a cell, where it stands, points as designed)
    "stops": ("1 / 0", "before q3", "all"),
    "loops": ("while True:\n    pass", "for q3", "all but q3"),
    "loops in an answer": ("def {function}(*_):\n    while True:\n        pass", "for q3", "all but q3"),
    "prints gigabytes": ('while True:\n    print("x" * 100_000)', "before q3", "all"),
    "prints past the cap": ('import os\nfor _ in range(200):\n    os.write(1, b"x" * 10_000_000)', "before q3", "all"),
    "takes all memory": ("hoard = [bytearray(1 << 30) for _ in range(64)]", "before q3", "all"),
    "writes gigabytes": ('f = open("large", "wb")\nwhile True:\n    f.write(bytes(1 << 24))', "before q3", "all"),
    "deletes files": ('import shutil\nshutil.rmtree(".", ignore_errors=True)', "before q3", "all, noted"),
    "edits the tests": (
        "from pathlib import Path\nfor path in Path('tests').glob('*.py'):\n"
        '    path.write_text("OK_FORMAT = False\\nname = \'q3\'\\npoints = 100")',
        "for q3", "all but q3, noted",
    ),
    "edits the kit": ('open("kit.py", "w").write("def check(*_): pass")', "before q3", "all, noted"),
    "quits": ("exit()", "before q3", "all"),
    "ends the process": ("import os\nos._exit(0)", "before q3", "none"),
    "leaves a process behind": (
        "import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)",
        "before q3", "all",
    ),
}  # fmt: skip


def submission(master: Master, student: str, answers: dict[str, str]) -> nbformat.NotebookNode:
    """A student's notebook with these answers in place of the stubs, the master's where none is given."""
    notebook = editions.student(master)
    by_id = {f"{master.name}-{number}": cell for number, cell in enumerate(master.cells)}
    question, done = None, set()
    for cell in notebook.cells:
        question = _question(cell) or question
        kinds = masters.tags(by_id[cell.id])
        if "answer" in kinds:
            cell.source = "pass" if question in done else answers.get(question, master.questions[question].answer)
            done.add(question)
        elif "figure" in kinds:
            cell.source = "pass"
        cell.source = cell.source.replace('STUDENT = "sample"', f'STUDENT = "{student}"')
    return notebook


def _question(cell):
    heading = masters.HEADING.search(cell.source) if cell.cell_type == "markdown" else None
    return f"q{heading['number']}" if heading else None


def reordered(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with its questions in reverse order, the cells of each as they were."""
    blocks = [[]]
    for cell in notebook.cells:
        if _question(cell):
            blocks.append([])
        blocks[-1].append(cell)
    notebook.cells = [cell for block in (blocks[0], *blocks[:0:-1]) for cell in block]
    return notebook


def before(notebook: nbformat.NotebookNode, heading: str, code: str) -> nbformat.NotebookNode:
    """The notebook with a cell of code put in front of a question."""
    at = next(i for i, cell in enumerate(notebook.cells) if heading in cell.source)
    notebook.cells.insert(at, nbformat.v4.new_code_cell(code, id=f"trouble-{len(notebook.cells)}"))
    return notebook


def build(master: Master, folder: Path, size: int = 80) -> dict[str, dict]:
    """Write the class; the points of each question, as designed, and whether a note is due, by student."""
    folder.mkdir(parents=True, exist_ok=True)
    full = {q.name: q.points for q in master.questions.values()}
    expected = {}

    def hand_in(student, notebook, points, noted=False):
        nbformat.write(notebook, folder / f"{student}.ipynb")
        expected[student] = {"points": points, "noted": noted}

    for kind, (code, where, design) in TROUBLE.items():
        student = "trouble-" + kind.replace(" ", "-")
        answers = {"q3": code.format(function=master.questions["q3"].probe.split("(")[0])} if where == "for q3" else {}
        notebook = submission(master, student, answers)
        if where != "for q3":
            notebook = before(notebook, "## Question 3.", code)
        points = dict.fromkeys(full, 0) if design == "none" else dict(full)
        points["q3"] = 0 if "but q3" in design else points["q3"]
        hand_in(student, notebook, points, noted="noted" in design or design == "none")
    (folder / "trouble-damaged.ipynb").write_text("no notebook at all")
    expected["trouble-damaged"] = {"points": {}, "noted": True}
    copied = mutants.scores(master, "trouble-copied", owner="somebody-else")
    hand_in("trouble-copied", submission(master, "somebody-else", {}), copied, noted=True)
    hand_in("reordered", reordered(submission(master, "reordered", {})), full)
    for question in master.questions.values():
        for number, mutant in enumerate(question.mutants):
            student = f"mutant-{question.name}-{number}"
            if len(expected) < size - 8:
                answers = {question.name: masters.mutated(question, mutant)}
                points = mutants.scores(master, student, **answers)
                hand_in(student, submission(master, student, answers), points)
    number = 0
    while len(expected) < size:
        other = {q.name: q.alternatives[number % len(q.alternatives)] for q in master.questions.values()}
        hand_in(f"right-{number}", submission(master, f"right-{number}", other if number % 2 else {}), full)
        number += 1
    return expected


def differences(expected: dict[str, dict], results: list[dict]) -> list[str]:
    """Where marks or notes are not as designed."""
    found = []
    for result in results:
        wanted = expected[result["student"]]
        points = {name: question["points"] for name, question in result["questions"].items()}
        if any(points.get(q, 0) != p for q, p in wanted["points"].items()):
            found.append(f"{result['student']}: {points} instead of {wanted['points']}: {result['notes']}")
        if wanted["noted"] and not result["notes"]:
            found.append(f"{result['student']}: must carry a note")
    return found


def main(folder: str, size: str = "80") -> int:
    """Build the class, grade it twice, and compare with the design."""
    import time

    import grade

    expected = build(masters.read("problem-set-1"), Path(folder) / "submissions", int(size))
    written = []
    for turn in ("first", "second"):
        start = time.perf_counter()
        results = grade.grade_all(Path(folder) / "submissions", "open")
        print(f"{len(results)} submissions in {(time.perf_counter() - start) / 60:.1f} minutes")
        grade.write(results, Path(folder) / turn)
        written.append({path.name: path.read_text() for path in sorted((Path(folder) / turn).rglob("*.*"))})
        wrong = differences(expected, results)
        print("\n".join(wrong) or "marks exactly as designed")
    print("twice the same" if written[0] == written[1] else "the second time differs")
    return int(bool(wrong) or written[0] != written[1])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
