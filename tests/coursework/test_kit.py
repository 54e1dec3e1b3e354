"""The kit beside every problem set: what a student reads when something is missing, unfinished, endless or copied."""

import kit
import numpy as np
import pytest


def run(function, scope, **settings):
    """Message of one test on a notebook that holds `scope`; None if the test holds."""
    try:
        kit.case("a test", **settings)(function).call_func(scope)
    except kit.Hint as hint:
        return str(hint)


def test_missing_unfinished_and_failing_answers_say_what_to_do():
    def calls(answers):
        answers.f(np.ones(2))

    assert "`f` does not exist. Give your answer this name" in run(calls, {})
    assert "`f` is still `...`" in run(calls, {"f": ...})

    def unwritten(_):
        raise NotImplementedError

    assert run(calls, {"f": unwritten}) == "`f` is not written yet."
    assert "stopped with ZeroDivisionError" in run(calls, {"f": lambda _: 1 / 0})
    assert "returned nothing" in run(calls, {"f": lambda _: None})
    assert run(calls, {"f": lambda x: x}) is None


def test_an_answer_may_not_change_what_it_is_given():
    given = np.ones(2)

    def greedy(x):
        x += 1
        return x

    assert "changes what it is given" in run(lambda answers: answers.f(given), {"f": greedy})
    assert given.tolist() == [1, 1]


def test_an_endless_answer_is_stopped_even_if_it_catches_errors():
    def endless(_):
        while True:
            try:
                while True:
                    pass
            except Exception:
                continue

    words = run(lambda answers: answers.f(1), {"f": endless}, seconds=0.2)
    assert "Is there a loop that does not end?" in words


def test_functions_of_the_package_are_refused_and_come_back():
    from llma_tutorial import beliefs

    original, refuses = beliefs.bayes_update, ("llma_tutorial.beliefs.bayes_update",)
    ways = {
        "as a name": {"f": lambda *a: scope["mine"](*a), "mine": original},
        "through the module": {"f": lambda *a: beliefs.bayes_update(*a)},
        "behind another function": {"f": lambda p, q: beliefs.filter_step(p, np.column_stack([q, 1 - q]), 0)},
    }
    for scope in ways.values():
        words = run(lambda answers: answers.f(np.ones(2) / 2, np.ones(2) / 2), scope, refuses=refuses)
        assert "`bayes_update` of the package does what this question asks for" in words
    assert beliefs.bayes_update is original
    assert ways["as a name"]["mine"] is original


def test_numbers_explain_what_is_wrong():
    def wants(answers):
        kit.numbers(answers.x, (2,), "x")

    assert "must be numbers. Got str" in run(wants, {"x": "many"})
    assert "must be an array of shape (2,). Got shape (3,)" in run(wants, {"x": [1, 2, 3]})
    assert "infinite or not a number" in run(wants, {"x": [1, np.nan]})
    assert run(wants, {"x": (1, 2)}) is None


def test_the_grader_decides_whose_numbers_count(monkeypatch):
    assert kit.Answers({"STUDENT": "ada"}).student == "ada"
    monkeypatch.setenv("COURSEWORK_STUDENT", "bob")
    assert kit.Answers({"STUDENT": "ada"}).student == "bob"


def test_check_names_the_questions_that_there_are(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/q1.py").write_text("")
    kit.check("q9")
    assert "There is no question 'q9' here. There is q1" in capsys.readouterr().out
    monkeypatch.setenv("COURSEWORK_GRADING", "1")
    kit.check("q9")
    assert capsys.readouterr().out == ""


def test_draws_stay_within_their_range():
    draw = kit.Draw("a set", "ada")
    values = [draw.number(0.6, 0.8, 0.05) for _ in range(200)]
    assert set(values) == {0.6, 0.65, 0.7, 0.75, 0.8}
    assert {draw.integer(2, 4) for _ in range(100)} == {2, 3, 4}


@pytest.mark.parametrize("course", ["", "two words", 'x"; import os'])
def test_the_name_of_a_course_is_plain(course):
    import editions

    with pytest.raises(ValueError, match="COURSE must be made of"):
        editions.kit(course)
