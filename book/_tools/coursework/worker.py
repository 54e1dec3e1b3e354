"""Grade one submission: run by `grade.py` in a process and a folder of its own.

    python worker.py JOB      JOB is a JSON file: submission, results, set, course, limits

The submission is copied, stripped of outputs, given the two cells of `guard.py`, and handed to otter-grader
(`otter run`). The results are written as JSON: points, words and whatever stopped.
"""

import json
import os
import resource
import sys
import zipfile
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
FIRST = "import guard as _g; _g.start(get_ipython(), {seconds}, {characters}); del _g"
LAST = "import guard as _g; _g.finish({tests!r}, {kit!r}, print); del _g"


def limit(limits: dict) -> None:
    """Bound what this process and its children may take."""
    megabyte = 1 << 20
    for kind, value in (
        (resource.RLIMIT_CPU, limits["cpu_seconds"]),
        (resource.RLIMIT_AS, limits["memory_mb"] * megabyte),
        (resource.RLIMIT_FSIZE, limits["file_mb"] * megabyte),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))


def prepare(job: dict, folder: Path) -> tuple[Path, Path]:
    """The notebook to run and the archive of the tests, both in `folder`."""
    import editions
    import guard
    import master
    import nbformat

    master = master.read(job["set"])
    tests = {question.name: master.tests(question, hidden=True) for question in master.questions.values()}
    kit = editions.kit(job["course"])
    notebook = nbformat.read(job["submission"], as_version=4)
    cells = [nbformat.v4.new_code_cell(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
    first = nbformat.v4.new_code_cell(FIRST.format(**job["limits"]))
    last = nbformat.v4.new_code_cell(LAST.format(tests=tests, kit=kit))
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = folder / f"{job['student']}.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[first, *cells, last], metadata=metadata), path)
    archive = folder / "autograder.zip"
    with zipfile.ZipFile(archive, "w") as bundle:
        for name in tests:
            bundle.writestr(f"tests/{name}.py", guard.PLACEHOLDER.format(name=name))
        bundle.writestr("files/kit.py", kit)
        bundle.writestr("files/guard.py", (TOOLS / "guard.py").read_text())
        bundle.writestr("otter_config.json", json.dumps({"show_hidden": True, "print_summary": False}))
    return path, archive


def outcome(results: object) -> dict:
    """Points and words of each question, and the cells that stopped, from what otter-grader found."""
    import guard
    import kit

    questions = {}
    for name, file in sorted(results.results.items()):
        cases = [
            {"name": r.test_case.name, "passed": r.passed, "words": "" if r.passed else kit.message(r)}
            for r in file.test_case_results
        ]
        questions[name] = {"points": file.score, "possible": file.possible, "cases": cases}
    stopped, notes = [], []
    for cell in results.notebook.cells if results.notebook else []:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                lines = cell.source.strip().splitlines() or [""]
                stopped.append({"begins": lines[0][:80], "words": f"{output.ename}: {output.evalue[:200]}"})
            elif guard.ALTERED in output.get("text", ""):
                notes.append("changed or deleted the files of the tests; they were put back before grading")
    if results.catastrophic_error:
        notes.append("the notebook ended before it could be graded")
    return {"questions": questions, "stopped": stopped, "notes": notes}


def main(job_file: str) -> None:
    """Grade, and write what was found, or what stopped it."""
    job, folder = json.loads(Path(job_file).read_text()), Path(job_file).parent
    limit(job["limits"])
    sys.path.insert(0, str(TOOLS))
    os.environ |= {"COURSEWORK_GRADING": "1", "COURSEWORK_STUDENT": job["student"]}
    try:
        import otter.api

        path, archive = prepare(job, folder)
        found = outcome(otter.api.grade_submission(str(path), ag_path=str(archive), quiet=True))
    except Exception as error:
        (folder / "error.txt").write_text(f"{type(error).__name__}: {error}"[:200])
        raise
    Path(job["results"]).write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
