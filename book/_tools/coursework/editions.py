"""The editions of the coursework: one master in `book/coursework/instructor`, three things made of it.

    python book/_tools/coursework/editions.py pages         pages of the book and the figures to expect
    python book/_tools/coursework/editions.py homework      student editions; work that was begun is never touched
    python book/_tools/coursework/editions.py instructor    instructor editions, in _build/coursework/instructor

Homework goes to `homework/` unless a folder is named. COURSE=name in the environment is part of every draw of numbers.
"""

import os
import re
import shutil
import sys
from pathlib import Path

import master as masters
import nbformat
from master import ROOT, SECRET, Master, tags

sys.path.append(str(ROOT / "book/_tools"))  # where the site's own exporter lives
import export

TOOLS = Path(__file__).resolve().parent
FIGURES = ROOT / "book/_static"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
START = """\
# {name}

Open `{name}.ipynb` in JupyterLab, put your student id into its first cell, and run the cells from the top.

In a clone of {repository}, `make homework` does all that is needed. Without one, install once

    pip install "llma-tutorial[book] @ git+{repository}"

and then, in this folder, `jupyter lab`.
"""
HOW_TO = """\
```{{admonition}} How to work on it
:class: tip
In a clone of the repository, `make homework` opens JupyterLab on a folder with this problem set as a notebook. Put your
student id in its first cell: it decides your numbers. Then `check("q1")` tells you at once, offline, whether your
answer has the right form. The checks that earn points run when your work is graded.
```
"""


def student(master: Master) -> nbformat.NotebookNode:
    """The notebook that a student fills in: no solution, no test, no rubric."""
    cells = []
    for number, cell in enumerate(master.cells):
        kinds = tags(cell)
        if cell.cell_type == "code" and kinds & {"answer", "figure"}:
            source = masters.stub(cell.source)
        elif kinds & SECRET:
            continue
        else:
            source = _plain(cell)
        make = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
        cells.append(make(source, id=f"{master.name}-{number}"))
    return _notebook(cells, master)


def instructor(master: Master, table: str = "") -> nbformat.NotebookNode:
    """The notebook for those who teach: solutions, rubric, common mistakes, tests, and what the mutants showed."""
    cells = []
    for number, cell in enumerate(master.cells):
        source = _plain(cell)
        make = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
        if cell.cell_type == "raw":
            source = f"**Grading**\n\n```yaml\n{source}\n```"
        elif tags(cell) & {"alternative", "tests", "hidden"}:
            make, title = nbformat.v4.new_markdown_cell, sorted(tags(cell) & {"alternative", "tests", "hidden"})[0]
            names = {"alternative": "Another correct answer", "tests": "Public tests", "hidden": "Tests kept back"}
            source = f"**{names[title]}**\n\n```python\n{source}\n```"
        cells.append(make(source, id=f"{master.name}-{number}"))
    if table:
        cells.append(nbformat.v4.new_markdown_cell(f"## How the tests were tested\n\n{table}", id=f"{master.name}-end"))
    return _notebook(cells, master)


def page(master: Master) -> str:
    """The page of the book: the questions in words, what is handed over, and the figures to expect."""
    parts, total = [], [sum(getattr(q, key) for q in master.questions.values()) for key in ("points", "minutes")]
    for cell in master.cells:
        kinds = tags(cell)
        if cell.cell_type == "code" and "answer" in kinds:
            parts.append(f"```python\n{masters.stub(cell.source)}\n```")
        elif cell.cell_type == "markdown" and not kinds & SECRET:
            parts.append(cell.source.strip())
    head, *rest = parts
    summary = f"**{len(master.questions)} questions, {total[0]} points, about {total[1]} minutes.**"
    front = f"---\ndefinitions: [{', '.join(map(repr, master.definitions))}]\n---" if master.definitions else ""
    return "\n\n".join(filter(None, [front, head, summary, HOW_TO.format().strip(), *rest])) + "\n"


def _plain(cell: nbformat.NotebookNode) -> str:
    """A cell for a notebook that stands alone: hints fold in any Jupyter, figures lie beside it, links lead nowhere."""
    if cell.cell_type != "markdown":
        return cell.source
    source = re.sub(r"!\[([^\]]*)\]\(\.\./_static/([\w.-]+)\)", r"![\1](\2)", cell.source)
    source = re.sub(r"(?<!!)\[([^\]]+)\]\([\w./-]+\.(?:ipynb|md)\)", r"*\1*", source)
    return export.plain(source, ROOT / "book/coursework", export.Labels())


def _notebook(cells, master):
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}, "llma": {"problem_set": master.name}}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def kit(course: str) -> str:
    """The text of `kit.py` for a course."""
    if not re.fullmatch(r"[\w.-]+", course):
        raise ValueError(f"COURSE must be made of letters, digits, dots and hyphens. Got {course!r}.")
    text = (TOOLS / "kit.py").read_text(encoding="utf-8")
    return text.replace('COURSE = "open"', f'COURSE = "{course}"', 1)


def lay_out(master: Master, folder: Path, course: str) -> bool:
    """Write the student edition; a notebook that is there stays as it is. Says whether it was new."""
    target = folder / master.name
    (target / "tests").mkdir(parents=True, exist_ok=True)
    (target / "kit.py").write_text(kit(course), encoding="utf-8")
    start = START.format(name=master.name, repository=export.repository())
    (target / "README.md").write_text(start, encoding="utf-8")
    for question in master.questions.values():
        (target / "tests" / f"{question.name}.py").write_text(master.tests(question, hidden=False), encoding="utf-8")
    for figure in sorted(FIGURES.glob(f"{master.name}-*.png")):
        shutil.copy(figure, target)
    notebook = target / f"{master.name}.ipynb"
    if notebook.exists():
        return False
    nbformat.write(student(master), notebook)
    return True


def draw_figures(master: Master) -> None:
    """Draw the figure of each question that asks for one, with the numbers of the student "sample"."""
    import matplotlib

    matplotlib.use("agg")
    for question in master.questions.values():
        if question.figure:
            scope = run(f"{master.solution()}\n\n{question.figure}")
            target = FIGURES / f"{master.name}-{question.name}.png"
            scope["figure"].savefig(target, dpi=110, metadata={"Software": None})
            print(f"drew {target.relative_to(ROOT)}")


def run(code: str) -> dict:
    """Names that a piece of code leaves behind."""
    scope = {"__name__": "__main__"}
    exec(compile(code, "<answers>", "exec"), scope)
    return scope


def main(command: str, *rest: str) -> None:
    """Write the editions that the command names."""
    course = os.environ.get("COURSE") or "open"
    for name in masters.names():
        master = masters.read(name)
        if command == "pages":
            draw_figures(master)
            (ROOT / f"book/coursework/{name}.md").write_text(page(master), encoding="utf-8")
        elif command == "homework":
            folder = Path(rest[0]) if rest else ROOT / "homework"
            new = lay_out(master, folder, course)
            print(f"{'laid out' if new else 'kept your'} {folder / name / name}.ipynb")
        elif command == "instructor":
            import mutants

            target = ROOT / "_build/coursework/instructor"
            target.mkdir(parents=True, exist_ok=True)
            nbformat.write(instructor(master, mutants.table(master)), target / f"{name}.ipynb")
            print(f"wrote {target / name}.ipynb")
        else:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["help"]))
