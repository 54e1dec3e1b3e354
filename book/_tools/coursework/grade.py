"""Grade a folder of submissions: marks as CSV, one readable report per student, the same every time.

    python book/_tools/coursework/grade.py SUBMISSIONS [MARKS]     (make grade SUBMISSIONS=folder [MARKS=folder])

A submission is `SUBMISSIONS/<student>.ipynb` or `SUBMISSIONS/<student>/<any name>.ipynb`; the student's id is taken
from there and decides the numbers that are expected. SET names the problem set of notebooks that have lost their
metadata, COURSE the course that the numbers were drawn for.

Each submission runs in a process, a folder and a home of its own, with limits on processor time, memory, file size,
output and waiting time, and everything that it started is ended with it. The threats that this is made for are listed
on the page `coursework/for-instructors`.
"""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import master as masters
import psutil

TOOLS = Path(__file__).resolve().parent
LIMITS = {
    "seconds": 20,
    "characters": 200_000,
    "cpu_seconds": 150,
    "memory_mb": 4096,
    "file_mb": 50,
    "wall_seconds": 600,
}
LARGEST_MB = 20  # notebooks that are larger are not opened
KEPT = ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "SYSTEMROOT")
ENDED = {
    -signal.SIGKILL: "was ended because it ran too long or took too much memory",
    -signal.SIGXCPU: "was ended because it used too much processor time",
}


def submissions(folder: Path) -> dict[str, Path]:
    """The notebook of each student."""
    if not folder.is_dir():
        raise SystemExit(f"SUBMISSIONS must name a folder of notebooks. Got {str(folder)!r}.")
    found = {path.stem: path for path in sorted(folder.glob("*.ipynb"))}
    for path in sorted(folder.glob("*/*.ipynb")):
        if path.parent.name in found:
            raise SystemExit(f"Each student must hand in one notebook. Got {found[path.parent.name]} and {path}.")
        found[path.parent.name] = path
    if not found:
        raise SystemExit(f"SUBMISSIONS must hold notebooks, as <student>.ipynb. Got none in {str(folder)!r}.")
    return dict(sorted(found.items()))


def problem_set(path: Path, fallback: str | None) -> tuple[str | None, str]:
    """The problem set that a notebook belongs to, or None and the reason why it cannot be graded."""
    if path.stat().st_size > LARGEST_MB << 20:
        return None, f"the file is larger than {LARGEST_MB} MB: clear its outputs and hand it in again"
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        name = notebook["metadata"].get("llma", {}).get("problem_set") or fallback
        cells = notebook["cells"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, "the file is no notebook: it may be damaged, or only renamed"
    if name not in masters.names():
        return None, "the notebook does not say which problem set it is: grade it with SET=problem-set-1"
    if not cells:
        return None, "the notebook is empty"
    return name, ""


def grade(student: str, path: Path, course: str, fallback: str | None = None, limits: dict = LIMITS) -> dict:
    """What one submission earns, and why; never raises because of what is in it."""
    name, reason = problem_set(path, fallback)
    if name is None:
        return {"student": student, "set": fallback, "questions": {}, "stopped": [], "notes": [reason]}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = Path(place).resolve()
        (folder / "home").mkdir()
        job = {"submission": str(path.resolve()), "results": str(folder / "results.json"), "set": name}
        job |= {"course": course, "student": student, "limits": limits}
        (folder / "job.json").write_text(json.dumps(job))
        code, words = _run(folder, limits)
        if (folder / "results.json").exists():
            found = json.loads((folder / "results.json").read_text())
        else:
            reason = f"the notebook {ENDED.get(code, 'stopped the grader: ' + words)}"
            found = {"questions": {}, "stopped": [], "notes": [reason]}
    said = _student_of(path)
    if said and said.strip().lower() != student.lower():
        found["notes"].append(f"the notebook says STUDENT = {said!r}")
    return {"student": student, "set": name} | found


def _run(folder: Path, limits: dict) -> tuple[int, str]:
    """Run the worker in `folder`, end everything that it started, and return its status and last words."""
    env = {key: os.environ[key] for key in KEPT if key in os.environ}
    env |= {"HOME": str(folder / "home"), "TMPDIR": str(folder), "MPLBACKEND": "agg", "PYTHONHASHSEED": "0"}
    env |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "COURSEWORK_JOB": str(folder)}
    command = [sys.executable, str(TOOLS / "worker.py"), str(folder / "job.json")]
    quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    process = subprocess.Popen(command, cwd=folder, env=env, start_new_session=True, **quiet)
    try:
        code = process.wait(limits["wall_seconds"])
    except subprocess.TimeoutExpired:
        code = -signal.SIGKILL
    finally:
        _end(process, folder)
    error = folder / "error.txt"
    return code, error.read_text() if error.exists() else f"status {code}"


def _end(process: subprocess.Popen, folder: Path) -> None:
    """End the process group, and whatever has left it but still carries the mark of this job."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for other in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if other.environ().get("COURSEWORK_JOB") == str(folder):
                other.kill()
    process.wait()


def _student_of(path: Path) -> str:
    """What a notebook gives as STUDENT, read without running it."""
    import ast

    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell.get("cell_type") != "code":
            continue
        for line in "".join(cell["source"]).splitlines():
            if line.startswith("STUDENT = "):
                try:
                    return str(ast.literal_eval(line.split("=", 1)[1].split("#")[0].strip()))
                except (ValueError, SyntaxError):
                    return ""
    return ""


def report(found: dict) -> str:
    """What a student reads."""
    master = masters.read(found["set"]) if found["set"] else None
    title = f"{found['set'] or 'A problem set'}, {found['student']}"
    lines = [f"# {title}", "", f"**{total(found):g} of {possible(found['set']):g} points.**"]
    lines += [f"Note: {note}." for note in found["notes"]]
    for name, question in master.questions.items() if master else ():
        earned = found["questions"].get(name, {"points": 0, "cases": []})
        lines += ["", f"## {name}. {question.title}: {earned['points']:g} of {question.points}", ""]
        for case in earned["cases"]:
            words = f": {case['words']}" if case["words"] else ""
            lines.append(f"- {'holds' if case['passed'] else 'FAILS'}: {case['name']}{words}")
        if not earned["cases"]:
            lines.append("- not graded")
    if found["stopped"]:
        lines += ["", "## Cells that stopped", "", "They were skipped; what comes after them ran.", ""]
        lines += [f"- the cell that begins with `{cell['begins']}`: {cell['words']}" for cell in found["stopped"]]
    return "\n".join(lines) + "\n"


def total(found: dict) -> float:
    """Points earned."""
    return sum(question["points"] for question in found["questions"].values())


def possible(name: str | None) -> float:
    """Points of a problem set."""
    return sum(q.points for q in masters.read(name).questions.values()) if name else 0


def write(results: list[dict], marks: Path) -> None:
    """The reports, and one table of marks for each problem set."""
    (marks / "reports").mkdir(parents=True, exist_ok=True)
    for found in results:
        (marks / "reports" / f"{found['student']}.md").write_text(report(found), encoding="utf-8")
    for name in sorted({found["set"] for found in results}, key=str):
        questions = list(masters.read(name).questions) if name else []
        with (marks / f"{name or 'not-graded'}.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["student", *questions, "total", "possible", "note"])
            for found in (f for f in results if f["set"] == name):
                points = [f"{found['questions'].get(q, {'points': 0})['points']:g}" for q in questions]
                sums = [f"{total(found):g}", f"{possible(name):g}"]
                table.writerow([found["student"], *points, *sums, "; ".join(found["notes"])])


def grade_all(folder: Path, course: str, fallback: str | None = None, jobs: int | None = None) -> list[dict]:
    """Grade every submission, as many at a time as there are processors."""
    work = submissions(folder)
    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        runs = {name: pool.submit(grade, name, path, course, fallback) for name, path in work.items()}
        results = []
        for number, (name, run) in enumerate(runs.items(), 1):
            found = run.result()
            results.append(found)
            print(f"{number} of {len(runs)}: {name} {total(found):g} {'; '.join(found['notes'])}", flush=True)
    return results


def main(folder: str = "", marks: str = "") -> None:
    """Grade a folder and say where the marks are."""
    if not folder:
        raise SystemExit("Name the folder of submissions: make grade SUBMISSIONS=folder")
    target = Path(marks or "_build/marks")
    results = grade_all(Path(folder), os.environ.get("COURSE") or "open", os.environ.get("SET") or None)
    write(results, target)
    print(f"Marks are in {target}, reports in {target / 'reports'}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
