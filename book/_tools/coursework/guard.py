"""What runs beside a submission inside its own kernel: limits for cells and output, and the tests, put there last.

The grader adds two cells to the temporary copy of a submission: the first calls `start`, the last `finish`. Careless
work is stopped here, with words; what gets past this is stopped by the limits of the process (`worker.py`).
"""

import os
import signal
import sys
from pathlib import Path

PATIENCE = 10
TIMERS = ((signal.ITIMER_PROF, signal.SIGPROF, 1), (signal.ITIMER_REAL, signal.SIGALRM, PATIENCE))
PLACEHOLDER = "OK_FORMAT = False\nname = {name!r}\n"
ALTERED = "coursework: the files of the tests had been changed"


class CellTookTooLong(BaseException):
    """A cell ran longer than it may."""


class Capped:
    """A stream that refuses to print more than a number of characters."""

    def __init__(self, stream: object, left: list):
        self._stream, self._left = stream, left

    def write(self, text: str) -> int:
        """Print, or refuse."""
        self._left[0] -= len(text)
        if self._left[0] < 0:
            raise RuntimeError("This cell prints more than it may.")
        return self._stream.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def start(shell: object, seconds: float, characters: int) -> None:
    """Limit every cell to some seconds of work and some characters of output.

    Seconds are those of the processor, so that marks do not depend on what else the machine does; a cell that waits
    instead of working gets `PATIENCE` times as many by the clock.
    """

    def stop(*_):
        raise CellTookTooLong(f"This cell did not end within {seconds:g} seconds.")

    def begin(*_):
        left[0] = characters
        for timer, sign, limit in TIMERS:
            signal.signal(sign, stop)
            signal.setitimer(timer, limit * seconds)

    def end(*_):
        for timer, _, _ in TIMERS:
            signal.setitimer(timer, 0)

    shell.events.register("pre_run_cell", begin)
    shell.events.register("post_run_cell", end)
    for descriptor in (1, 2):  # what is written past Python's streams is lost; pipes would carry all of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    left = [characters]
    sys.stdout, sys.stderr = Capped(sys.stdout, left), Capped(sys.stderr, left)
    publish = shell.display_pub.publish

    def capped(data, *arguments, **keywords):
        left[0] -= sum(len(str(value)) for value in data.values())
        if left[0] < 0:
            raise RuntimeError("This cell shows more than it may.")
        return publish(data, *arguments, **keywords)

    shell.display_pub.publish = capped
    for name in ("exit", "quit"):
        shell.user_ns[name] = lambda *_: print("exit() is ignored here")


def finish(tests: dict[str, str], kit: str, output: object) -> None:
    """Put the tests in place, say whether anybody had been there before, and forget checks made on the way."""
    from otter.execute import Checker

    for timer, _, _ in TIMERS:
        signal.setitimer(timer, 0)
    folder = Path("tests")
    there = {path.stem: path.read_text() for path in folder.glob("*.py")} if folder.is_dir() else {}
    own = Path("kit.py")
    if there != {name: PLACEHOLDER.format(name=name) for name in tests} or not own.exists() or own.read_text() != kit:
        output(ALTERED)
    folder.mkdir(exist_ok=True)
    for name, text in tests.items():
        (folder / f"{name}.py").write_text(text)
    own.write_text(kit)
    Checker.clear_results()
    sys.modules.pop("kit", None)
