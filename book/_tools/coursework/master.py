"""Masters of problem sets: one notebook holds questions, solutions, tests, alternatives, mutants, rubric and mistakes.

The tags of a cell say who sees it. What carries none is for everybody.

    answer, figure     code with its solution between BEGIN SOLUTION and END SOLUTION, or in front of `# SOLUTION`
    parameters         the function that draws a student's own numbers; copied into the tests too
    tests, hidden      public tests, and those that run when work is graded
    alternative        a correct answer of another kind
    grading            a raw cell of YAML: refuses, probe, mutants (idea, replace, by)
    rubric, mistakes   for instructors
"""

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import yaml

ROOT = Path(__file__).resolve().parents[3]
MASTERS = ROOT / "book/coursework/instructor"
HEADING = re.compile(r"^## Question (?P<number>\d+)\. (?P<sort>By hand|By code|By experiment): (?P<title>.+)$", re.M)
WEIGHT = re.compile(r"^\*(?P<points>\d+) points, (?P<minutes>\d+) minutes\*$", re.M)
SECRET = {"answer", "figure", "tests", "hidden", "alternative", "grading", "rubric", "mistakes"}
TEST_HEAD = """\
from functools import partial
from types import SimpleNamespace

import numpy as np
from kit import Draw, case, close, expect, numbers

OK_FORMAT = False
name = {name!r}
case = partial(case, refuses={refuses!r})
"""


@dataclass
class Question:
    """One question of a master; code is kept as text."""

    name: str
    sort: str
    title: str
    points: int
    minutes: int
    answer: str = ""
    figure: str = ""
    public: str = ""
    hidden: str = ""
    alternatives: list[str] = field(default_factory=list)
    refuses: tuple[str, ...] = ()
    probe: str = ""
    mutants: list[dict] = field(default_factory=list)


@dataclass
class Master:
    """A problem set: its cells, and its questions by name."""

    name: str
    cells: list
    setup: str
    parameters: str
    questions: dict[str, Question]
    definitions: tuple[str, ...] = ()

    def solution(self, **replaced: str) -> str:
        """Code of the whole set with every answer filled in; `replaced` gives other answers by question."""
        answers = [replaced.get(q.name, q.answer) for q in self.questions.values()]
        return "\n\n".join([self.setup, *answers])

    def tests(self, question: Question, hidden: bool) -> str:
        """The test file of a question, with or without the tests that are kept back."""
        head = TEST_HEAD.format(name=question.name, refuses=question.refuses)
        return "\n\n".join([head, self.parameters, question.public] + [question.hidden] * hidden) + "\n"


def names() -> list[str]:
    """The problem sets that have a master."""
    return sorted(path.stem for path in MASTERS.glob("problem-set-*.ipynb"))


def tags(cell: nbformat.NotebookNode) -> set[str]:
    """Tags of a cell."""
    return set(cell.metadata.get("tags", []))


def read(name: str, folder: Path = MASTERS) -> Master:
    """Read a master by its name."""
    notebook = nbformat.read(folder / f"{name}.ipynb", as_version=4)
    definitions = tuple(notebook.metadata.get("llma", {}).get("definitions", ()))
    master = Master(name, notebook.cells, "", "", {}, definitions)
    question, setup = None, []
    for cell in notebook.cells:
        heading = HEADING.search(cell.source) if cell.cell_type == "markdown" else None
        if heading:
            weight = WEIGHT.search(cell.source)
            if weight is None:
                raise ValueError(f'Every question must say "*4 points, 15 minutes*". Got none in {heading[0]!r}.')
            question = Question(f"q{heading['number']}", heading["sort"], heading["title"], *map(int, weight.groups()))
            master.questions[question.name] = question
        elif cell.cell_type != "markdown":
            _sort_in(cell, question, master, setup)
    master.setup = "\n\n".join(setup)
    return master


def _sort_in(cell, question, master, setup):
    """Put the text of one code or raw cell where it belongs."""
    kinds, source = tags(cell), cell.source.strip()
    if "parameters" in kinds:
        master.parameters = source
    if "grading" in kinds:
        settings = yaml.safe_load(source)
        question.refuses, question.probe = tuple(settings.get("refuses", ())), settings["probe"]
        question.mutants = settings["mutants"]
    elif "alternative" in kinds:
        question.alternatives.append(source)
    elif "tests" in kinds:
        question.public = source
    elif "hidden" in kinds:
        question.hidden = source
    elif "figure" in kinds:
        question.figure = source
    elif "answer" in kinds:
        question.answer = "\n\n".join(filter(None, [question.answer, source]))
    elif cell.cell_type == "code" and not source.startswith("check("):
        setup.append(source)


def mutated(question: Question, mutant: dict) -> str:
    """The answer with one idea changed."""
    changed = question.answer
    for old, new in zip(*(_list(mutant[key]) for key in ("replace", "by")), strict=True):
        if changed.count(old) != 1:
            raise ValueError(
                f"`replace` must stand once in the answer of {question.name}. Got {old!r}, {changed.count(old)} times."
            )
        changed = changed.replace(old, new)
    return changed


def _list(value):
    return value if isinstance(value, list) else [value]


def stub(source: str) -> str:
    """What a student gets instead of an answer: names and docstrings stay, solutions go."""
    lines, rest = [], source.splitlines()
    function = ""
    while rest:
        line = rest.pop(0)
        if defined := re.match(r"def (\w+)", line):
            function = defined[1]
        if line.rstrip().endswith("# SOLUTION"):
            lines.append(f"{line.split('=', 1)[0].rstrip()} = ...  # your answer")
        elif line.strip() == "# BEGIN SOLUTION":
            indent = line[: len(line) - len(line.lstrip())]
            block = []
            while rest[0].strip() != "# END SOLUTION":
                block.append(rest.pop(0))
            rest.pop(0)
            lines += _left(block, indent, function)
        else:
            lines.append(line)
    return "\n".join(lines)


def _left(block, indent, function):
    """Lines that stand for a removed block: an error inside a function, empty answers outside."""
    if indent:
        return [f"{indent}# your answer", f'{indent}raise NotImplementedError("{function} is not written yet")']
    tree = ast.parse("\n".join(block))
    targets = [t.id for node in tree.body if isinstance(node, ast.Assign) for t in node.targets if hasattr(t, "id")]
    return [f"{name} = ...  # your answer" for name in targets if re.match(r"q\d", name)] or ["# your figure"]
