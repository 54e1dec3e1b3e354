"""Are the graders any good? Every question meets its solution, other correct answers, and mutants: wrong in one idea.

A mutant is the solution with one expression replaced. A trial says what the tests of the question made of an answer,
and whether its result has the type and the shape of the right one.

    python book/_tools/coursework/mutants.py       prints the table; fails if a right answer fails or a mutant passes
"""

import contextlib
import io
import os
import sys
from dataclasses import dataclass

import kit
import master as masters
import numpy as np
from master import Master, Question
from otter.test_files.exception_test import ExceptionTestFile

OTHER = "a-student"  # whose numbers are not those of the sample


@dataclass(frozen=True)
class Trial:
    """What became of one answer."""

    question: str
    kind: str
    idea: str
    score: float
    points: float
    same_form: bool
    failed: tuple[tuple[str, str], ...]

    @property
    def passed(self) -> bool:
        """Whether every test holds."""
        return not self.failed


def trials(master: Master, student: str = OTHER) -> list[Trial]:
    """Every answer that the master knows, right and wrong, under all tests."""
    scope = _quiet(master.solution().replace('STUDENT = "sample"', f'STUDENT = "{student}"'), {"__name__": "__main__"})
    found = []
    for question in master.questions.values():
        answers = [("solution", "the solution of the master", question.answer)]
        answers += [("alternative", f"another way, {n}", a) for n, a in enumerate(question.alternatives, 1)]
        answers += [("mutant", m["idea"], masters.mutated(question, m)) for m in question.mutants]
        right = _form(scope, question.probe)
        for kind, idea, code in answers:
            env = _quiet(code, dict(scope))
            form = _form(env, question.probe)
            found.append(_trial(master, question, kind, idea, env, form == right))
    return found


def _quiet(code: str, scope: dict) -> dict:
    """Names after running `code`; warnings of wrong answers and printed lines are nobody's business here."""
    sys.modules["kit"] = kit
    with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
        exec(compile(code, "<answers>", "exec"), scope)
    return scope


def _form(scope: dict, probe: str) -> tuple:
    """Type and shape of what a probe gives."""
    with np.errstate(all="ignore"):
        value = eval(probe, scope)
    array = np.asarray(value, dtype=float)
    return array.shape, type(value).__name__


def scores(master: Master, student: str, owner: str = "", **replaced: str) -> dict[str, float]:
    """Points of each question for a notebook with these answers, handed in by `student` with the numbers of `owner`."""
    scope = _quiet(master.solution(**replaced).replace('STUDENT = "sample"', f'STUDENT = "{owner or student}"'), {})
    os.environ["COURSEWORK_STUDENT"] = student
    try:
        questions = master.questions.values()
        return {q.name: _trial(master, q, "", "", scope, True).score for q in questions}
    finally:
        del os.environ["COURSEWORK_STUDENT"]


def _trial(master, question: Question, kind, idea, env, same_form) -> Trial:
    tests = ExceptionTestFile.from_string(master.tests(question, hidden=True))
    with np.errstate(all="ignore"):
        tests.run(env)
    failed = [(r.test_case.name, kit.message(r)) for r in tests.test_case_results if not r.passed]
    return Trial(question.name, kind, idea, tests.score, tests.possible, same_form, tuple(failed))


def table(master: Master, found: list[Trial] | None = None) -> str:
    """The trials as a table in Markdown; they are run unless given."""
    lines = ["| question | answer | right form | points | what the student reads |", "|---|---|---|---|---|"]
    for trial in found or trials(master):
        words = "; ".join(f"*{name}*: {text}" for name, text in trial.failed[:1]) or "all tests hold"
        form = "yes" if trial.same_form else "no"
        lines.append(f"| {trial.question} | {trial.idea} | {form} | {trial.score:g} of {trial.points:g} | {words} |")
    return "\n".join(lines)


def main() -> int:
    """Print every trial; the exit status says whether one came out wrong."""
    wrong = 0
    for name in masters.names():
        found = trials(masters.read(name))
        for trial in found:
            good = trial.passed != (trial.kind == "mutant")
            wrong += not good
            words = trial.failed[0][1] if trial.failed else "all tests hold"
            what = f"{trial.question} {trial.kind}: {trial.idea}" + " [other form]" * (not trial.same_form)
            print(f"{what}: {trial.score:g}/{trial.points:g}: {words}" + "   <-- WRONG" * (not good))
        mutants = [trial for trial in found if trial.kind == "mutant"]
        print(f"{name}: {sum(not t.passed for t in mutants)} of {len(mutants)} mutants caught")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
