"""A plugin of pytest that keeps what nbval executes: `pytest -p keep_executed --nbval-lax ...`.

A notebook of which every cell was run and none failed goes into the cache from which the site takes its outputs, so
that `make test` executes no notebook twice.
"""

from collections.abc import Iterator

import execute
import nbformat
import pytest
from nbval.plugin import IPyNbCell, IPyNbFile

OUTPUTS = pytest.StashKey[dict[int, list]]()  # what each cell gave, None if it failed


def pytest_sessionstart(session: pytest.Session) -> None:
    """Empty the cache if it belongs to another state, before any worker starts."""
    if not hasattr(session.config, "workerinput"):
        execute.cache()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator:
    """Note the outputs of a cell."""
    report = yield
    if isinstance(item, IPyNbCell) and report.when == "call" and report.passed:
        item.parent.stash.setdefault(OUTPUTS, {})[item.cell_num] = item.test_outputs
    return report


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """After the last cell of a notebook: keep it if it is whole."""
    if isinstance(item, IPyNbCell) and (nextitem is None or nextitem.parent is not item.parent):
        notebook = whole(item.parent)
        if notebook is not None:
            execute.keep(execute.get_cache(execute.CACHE), item.parent.path, notebook)


def whole(file: IPyNbFile) -> nbformat.NotebookNode | None:
    """The notebook with the outputs of this run; None if a cell was left out or failed."""
    found, notebook = file.stash.get(OUTPUTS, {}), nbformat.read(file.path, 4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if sorted(found) != list(range(len(cells))):
        return None
    for number, cell in enumerate(cells):
        outputs = [nbformat.from_dict(output) for output in found[number]]
        if cell.source.rstrip().endswith(
            ";"
        ):  # nbval asks without history, so that the kernel cannot see the semicolon
            outputs = [output for output in outputs if output.output_type != "execute_result"]
        cell.outputs, cell.execution_count = outputs, number + 1
    return execute.stable(notebook)
