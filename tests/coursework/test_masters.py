"""Masters of the problem sets: built as promised, and their tests caught every wrong answer and no right one."""

import copy
import re
from dataclasses import replace

import editions
import kit
import master as masters
import mutants
import nbformat
import pytest
from coursework.leaks import CANARY

NAMES = masters.names()
MASTERS = {name: masters.read(name) for name in NAMES}
QUESTIONS = [(name, question) for name, master in MASTERS.items() for question in master.questions.values()]
each_question = pytest.mark.parametrize(("name", "question"), QUESTIONS, ids=lambda v: getattr(v, "name", v))
each_set = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def trials():
    found = {}

    def of(name):
        if name not in found:
            found[name] = mutants.trials(MASTERS[name])
        return found[name]

    return of


@pytest.fixture(scope="module")
def solved():
    """Names that a notebook with all right answers leaves behind, run once for each set."""
    found = {}

    def of(name):
        if name not in found:
            found[name] = mutants._quiet(MASTERS[name].solution(), {"__name__": "__main__"})
        return dict(found[name])

    return of


def chosen(trials, name, question, *kinds):
    return [trial for trial in trials(name) if trial.question == question.name and trial.kind in kinds]


@each_set
def test_a_set_has_questions_of_all_sorts(name):
    questions = MASTERS[name].questions.values()
    assert 5 <= len(questions) <= 8
    assert {question.sort for question in questions} == {"By hand", "By code", "By experiment"}
    assert [question.name for question in questions] == [f"q{n}" for n in range(1, len(questions) + 1)]
    assert any(question.figure for question in questions)
    assert "draw." in MASTERS[name].parameters


@each_question
def test_right_answers_earn_all_points(name, question, trials):
    right = chosen(trials, name, question, "solution", "alternative")
    assert len(right) >= 2
    for trial in right:
        assert trial.failed == ()
        assert trial.score == trial.points == question.points


@each_question
def test_every_mutant_is_caught(name, question, trials):
    mutants = chosen(trials, name, question, "mutant")
    assert len({trial.idea for trial in mutants}) >= 6
    assert [trial.idea for trial in mutants if trial.passed or trial.score >= question.points] == []
    assert sum(trial.same_form for trial in mutants) >= 4


@each_question
def test_words_help_and_give_nothing_away(name, question, trials):
    secret = [line.strip() for line in question.answer.splitlines() if len(line.strip()) > 12]
    secret = [line for line in secret if line not in masters.stub(question.answer)]
    for trial in chosen(trials, name, question, "mutant"):
        assert "stopped with" not in trial.failed[0][1], (trial.idea, "a mutant runs without an error")
        for title, words in trial.failed:
            assert len(words) > 30, (trial.idea, title, words)
            assert "The check itself stopped" not in words, (trial.idea, title)
            assert not any(line in words for line in secret), (trial.idea, words)


@each_question
def test_public_tests_never_show_the_answer(name, question, solved):
    scope = solved(name)
    values = [scope[key] for key in scope if re.match(rf"{question.name}_", key)]
    decimals = re.findall(r"\d+\.\d{3,}", question.public)
    for value in (number for v in values for number in (v if isinstance(v, tuple | list) else [v])):
        assert not any(abs(float(text) - value) < 1e-3 for text in decimals)
    assert question.answer not in question.public


@each_question
def test_an_unanswered_question_earns_nothing_and_says_so(name, question, solved):
    scope = mutants._quiet(masters.stub(question.answer), solved(name))
    trial = mutants._trial(MASTERS[name], question, "stub", "", scope, True)
    assert trial.score == 0
    assert len(trial.failed) >= 1
    assert any(re.search("not written yet|no answer yet", words) for _, words in trial.failed)


@each_question
def test_what_the_package_does_is_refused_by_name(name, question, solved):
    for refused in question.refuses:
        home, _, attribute = refused.rpartition(".")
        function = re.findall(r"^def (\w+)\((.*?)\)", question.answer, re.MULTILINE)[0][0]
        code = f"def {function}(*args):\n    from {home} import {attribute}\n    return {attribute}(*args)"
        scope = mutants._quiet(code, solved(name))
        trial = mutants._trial(MASTERS[name], question, "refused", "", scope, True)
        assert trial.score == 0
        assert any(
            f"`{attribute}` of the package does what this question asks for" in words for _, words in trial.failed
        )


@each_set
def test_cells_that_are_kept_back_carry_a_canary(name):
    for cell in MASTERS[name].cells:
        kinds = masters.tags(cell) & masters.SECRET
        if kinds and not kinds & {"tests", "mistakes"}:
            assert CANARY in cell.source, cell.source[:80]
        if kinds & {"answer", "figure"}:
            assert CANARY not in masters.stub(cell.source)
            assert "SOLUTION" not in masters.stub(cell.source)


@each_set
def test_pages_are_what_the_masters_give(name):
    assert (editions.ROOT / f"book/coursework/{name}.md").read_text() == editions.page(MASTERS[name])
    for question in MASTERS[name].questions.values():
        assert (editions.FIGURES / f"{name}-{question.name}.png").exists() == bool(question.figure)


@each_set
def test_instructors_get_everything(name, trials):
    edition = editions.instructor(MASTERS[name], mutants.table(MASTERS[name], trials(name)))
    text = "\n".join(cell.source for cell in edition.cells)
    count = len(MASTERS[name].questions)
    assert text.count("**Rubric**") == text.count("**Common mistakes.**") == count
    assert all(mutant["idea"] in text for q in MASTERS[name].questions.values() for mutant in q.mutants)
    nbformat.validate(edition)


def test_a_mutant_that_is_right_is_found():
    master = copy.copy(MASTERS["problem-set-1"])
    question = master.questions["q2"]
    harmless = {"idea": "harmless", "replace": "total = joint.sum()", "by": "total = np.sum(joint)"}
    master.questions = {"q2": replace(question, mutants=[harmless])}
    assert [trial.passed for trial in mutants.trials(master) if trial.kind == "mutant"] == [True]


def test_a_mutant_must_change_one_place():
    question = replace(MASTERS["problem-set-1"].questions["q2"])
    with pytest.raises(ValueError, match="must stand once"):
        masters.mutated(question, {"replace": "joint", "by": "j"})
    with pytest.raises(ValueError, match="must stand once"):
        masters.mutated(question, {"replace": "nowhere", "by": "j"})


def test_a_question_without_points_is_refused(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("## Question 1. By hand: nothing")])
    nbformat.write(notebook, tmp_path / "planted.ipynb")
    with pytest.raises(ValueError, match="Every question must say"):
        masters.read("planted", tmp_path)


def test_numbers_depend_on_student_set_and_course(monkeypatch):
    def draw(problem_set, student):
        return kit.Draw(problem_set, student).number(0, 1, 0.001)

    assert draw("problem-set-1", "ada") == draw("problem-set-1", " Ada ")
    others = {draw("problem-set-1", f"student-{n}") for n in range(50)}
    assert len(others) > 40
    before = draw("problem-set-1", "ada")
    monkeypatch.setattr(kit, "COURSE", "another")
    assert draw("problem-set-1", "ada") != before


def test_stub_keeps_names_and_docstrings():
    answer = "    # BEGIN SOLUTION\n    return x + 1\n    # END SOLUTION"
    source = f'def f(x):\n    """Words."""\n{answer}\n\n\nq1_a = 3  # SOLUTION'
    expected = 'def f(x):\n    """Words."""\n    # your answer\n    raise NotImplementedError("f is not written yet")'
    assert masters.stub(source) == f"{expected}\n\n\nq1_a = ...  # your answer"


def test_instructors_are_told_the_true_counts():
    page = (editions.ROOT / "book/coursework/for-instructors.md").read_text()
    for name, master in MASTERS.items():
        questions = master.questions.values()
        counts = [len(questions)] + [sum(getattr(q, key) for q in questions) for key in ("points", "minutes")]
        counts += [sum(len(getattr(q, key)) for q in questions) for key in ("alternatives", "mutants")]
        assert f"({name}.md) | " + " | ".join(map(str, counts)) + " |" in page


def test_slides_hold_the_statements_and_figures_of_a_chapter():
    import slides

    labels = slides.export.read_labels(editions.ROOT / "book")
    path = editions.ROOT / "book/many-agents/cascades.ipynb"
    cells = slides.slides(path, labels).cells
    text = "\n".join(cell.source for cell in cells)
    source = "\n".join(cell.source for cell in nbformat.read(path, 4).cells)
    assert cells[0].source.startswith("# Why agents herd")
    assert text.count("**Theorem") == source.count(":::{prf:theorem}") > 2
    assert sum("attachments" in cell for cell in cells) > 3
    assert ":::" not in text
    assert all(cell.metadata["slideshow"] == {"slide_type": "slide"} for cell in cells)
