"""What a problem set needs beside the package: numbers of your own, instant checks, and the form of its tests.

A copy stands as `kit.py` beside every problem set. `check("q1")` hands the tests in `tests/q1.py` to otter-grader and
prints one line for each: nothing is sent anywhere. The tests that count are added when your work is graded.
"""

import copy
import hashlib
import os
import signal
import sys
import threading
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import numpy as np
from otter.execute import Checker
from otter.nbmeta_config import NBMetadataConfig
from otter.test_files.exception_test import test_case

COURSE = "open"  # the name of the course is part of every draw, so that next year's numbers differ
SECONDS = 10  # longest time of one test
ENDLESS = []  # answers that did not end once are not waited for again
MARK = "Hint: "  # the name of the error, as otter-grader writes it


class Hint(AssertionError):
    """What a test says when it fails."""


class TookTooLong(BaseException):
    """Raised inside an answer that does not come to an end; no `except Exception` catches it."""


class Draw:
    """Numbers that depend on the course, the problem set and the student, and on nothing else."""

    def __init__(self, problem_set: str, student: str):
        name = f"{COURSE}/{problem_set}/{str(student).strip().lower()}"
        self.rng = np.random.default_rng(int(hashlib.sha256(name.encode()).hexdigest(), 16))

    def number(self, low: float, high: float, step: float) -> float:
        """One of low, low + step, ..., high."""
        return round(low + step * int(self.rng.integers(round((high - low) / step) + 1)), 10)

    def integer(self, low: int, high: int) -> int:
        """One of low, ..., high."""
        return int(self.rng.integers(low, high + 1))

    def seed(self) -> int:
        """A seed for an experiment of your own."""
        return int(self.rng.integers(10**6))


def check(question: str) -> None:
    """Run the public tests of a question on what the notebook holds now, and print what they say."""
    if os.environ.get("COURSEWORK_GRADING"):
        return
    path = Path("tests") / f"{question}.py"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.py"))) or "none: is the folder complete?"
        print(f"There is no question {question!r} here. There is {known}")
        return
    scope = sys._getframe(1).f_globals
    results = Checker.check(str(path), NBMetadataConfig(), global_env=scope).test_case_results
    passed = sum(result.passed for result in results)
    print(f"{question}: {passed} of {len(results)} public checks hold. More are run when your work is graded.")
    for result in results:
        words = f": {message(result)}" if not result.passed else ""
        print(f"  {'holds' if result.passed else 'FAILS'}  {result.test_case.name}{words}")


def message(result) -> str:
    """What a failed test says to the student, without the code of the test."""
    text = result.message or ""
    return text.split(MARK, 1)[1].strip() if MARK in text else "The check itself stopped. Show this to your instructor."


# --- the form of a test ----------------------------------------------------------------------------------------------


def expect(holds: bool, words: str) -> None:
    """Fail with `words` unless `holds`."""
    if not np.all(holds):
        raise Hint(words)


def numbers(value: object, shape: tuple, name: str) -> np.ndarray:
    """`value` as finite numbers of the given shape, or a hint that says what it is instead."""
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise Hint(f"`{name}` must be numbers. Got {type(value).__name__}.") from None
    if array.shape != tuple(shape):
        wanted = "a single number" if shape == () else f"an array of shape {tuple(shape)}"
        raise Hint(f"`{name}` must be {wanted}. Got shape {array.shape}.")
    if not np.isfinite(array).all():
        raise Hint(f"`{name}` holds a number that is infinite or not a number. What was divided by zero?")
    return array


def close(value: object, wanted: object, tolerance: float = 1e-6) -> bool:
    """Whether two arrays of one shape agree."""
    return bool(np.allclose(value, wanted, rtol=0, atol=tolerance))


class Answers:
    """The names of a notebook as a test sees them: missing ones, unfinished ones and errors are explained."""

    def __init__(self, scope: dict):
        self._scope = scope

    @property
    def student(self) -> str:
        """Whose work this is: the grader's word, or `STUDENT` in the notebook."""
        return os.environ.get("COURSEWORK_STUDENT") or str(self._scope.get("STUDENT", "sample"))

    def __getattr__(self, name: str) -> object:
        if name not in self._scope:
            raise Hint(f"`{name}` does not exist. Give your answer this name, and run every cell from the top.")
        value = self._scope[name]
        if value is Ellipsis:
            raise Hint(f"`{name}` is still `...`: there is no answer yet.")
        return Called(name, value) if callable(value) else value


class Called:
    """A function of the student: called on copies, its errors told in one line."""

    def __init__(self, name: str, function: object):
        self.name, self.function = name, function

    def __call__(self, *arguments: object) -> object:
        """What the function makes of these arguments."""
        given = _copies(arguments)
        if self.function in ENDLESS:
            raise TookTooLong
        try:
            result = self.function(*given)
        except TookTooLong:
            ENDLESS.append(self.function)
            raise
        except Hint:
            raise
        except NotImplementedError:
            raise Hint(f"`{self.name}` is not written yet.") from None
        except Exception as error:
            raise Hint(f"`{self.name}` stopped with {type(error).__name__}: {str(error)[:160]}") from None
        if result is None:
            raise Hint(f"`{self.name}` returned nothing. Does it end with `return`?")
        if not all(_same(a, b) for a, b in zip(given, arguments, strict=True)):
            raise Hint(f"`{self.name}` changes what it is given. Work on a copy.")
        return result

    def raises(self, error: type, *arguments: object) -> bool:
        """Whether the function refuses these arguments with this error."""
        try:
            self.function(*_copies(arguments))
        except error:
            return True
        except Exception:
            return False
        return False


def _copies(arguments: tuple) -> tuple:
    """Copies, except of generators, which must move on."""
    return tuple(a if isinstance(a, np.random.Generator) else copy.deepcopy(a) for a in arguments)


def _same(a: object, b: object) -> bool:
    arrays = isinstance(a, np.ndarray | list | tuple | float | int)
    return not arrays or np.array_equal(np.asarray(a, dtype=object), np.asarray(b, dtype=object))


def case(title: str, points: float = 0, hidden: bool = False, refuses: tuple = (), seconds: float = SECONDS):
    """Make an otter test case of a function of the answers."""

    def wrap(function):
        def run(env):
            try:
                with _refused(refuses, env), _limited(seconds):
                    function(Answers(env))
            except TookTooLong:
                raise Hint(f"No answer after {seconds:g} seconds. Is there a loop that does not end?") from None
            except Hint as hint:
                raise Hint(" ".join(str(hint).split())) from None

        return test_case(name=title, points=points, hidden=hidden)(run)

    return wrap


@contextmanager
def _limited(seconds):
    usable = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if not usable:  # Windows: an answer that does not end must be stopped by hand
        yield
        return

    def stop(*_):
        raise TookTooLong

    timers = ((signal.ITIMER_PROF, signal.SIGPROF, 1), (signal.ITIMER_REAL, signal.SIGALRM, 10))  # work, and waiting
    before = [signal.signal(sign, stop) for _, sign, _ in timers]
    try:
        for timer, _, factor in timers:
            signal.setitimer(timer, factor * seconds)
        yield
    finally:
        for (timer, sign, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(sign, handler)


@contextmanager
def _refused(names, env):
    """Replace functions of the package that a question asks for, in the package and in the notebook."""
    swapped = []
    for name in names:
        home, _, attribute = name.rpartition(".")
        module = import_module(home)
        original = getattr(module, attribute)
        places = [(vars(module), attribute)] + [(env, key) for key, value in env.items() if value is original]
        for place, key in places:
            swapped.append((place, key, original))
            place[key] = _refusal(attribute)
    try:
        yield
    finally:
        for place, key, original in swapped:
            place[key] = original


def _refusal(attribute):
    def refuse(*_, **__):
        raise Hint(f"`{attribute}` of the package does what this question asks for. Write it yourself.")

    return refuse
