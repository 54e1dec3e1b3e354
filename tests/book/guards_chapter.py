"""Guards over the build of a chapter: what opens it, what closes it, its exercises and its check cells."""

import ast
import re

import nbformat
from book.pages import Directive, Page, directives, has_image, headings, tags

SORTS = ("By hand:", "By code:", "By experiment:")
CLOSING = ("What can go wrong", "Exercises", "References", "In the package")


def missing_parts(page: Page) -> list[str]:
    """A chapter opens with aims, prerequisites and minutes, sets the style, and closes with four sections."""
    first = next((number for number, cell in enumerate(page.cells) if cell.cell_type == "code"), len(page.cells))
    opening = "\n".join(cell.source for cell in page.cells[:first]).lower()
    wanted = {
        "what you will learn": "what you will learn",
        "prerequisite": "prerequisites",
        r"\d+ minutes|minutes\W+\d+": "minutes",
    }
    found = [f"{page.path}: opens without {name}" for sign, name in wanted.items() if not re.search(sign, opening)]
    titles = headings(page.text)
    if [level for level, _ in titles].count(1) != 1:
        found.append(f"{page.path}: must have one title")
    sections = [title for level, title in titles if level == 2]
    found += [f'{page.path}: has no section "{title}"' for title in CLOSING if title not in sections]
    draws = any(has_image(output) for _, cell in page.code for output in cell.outputs)
    if draws and "use_style()" not in page.code[0][1].source:
        found.append(f"{page.path}: the first code cell does not call `plots.use_style()`")
    return found


def unchecked_sections(page: Page) -> list[str]:
    """Sections with code but without a folded cell that asserts what they claim; check cells that print."""
    sections, found = {}, []
    title = None
    for cell in page.cells:
        if cell.cell_type == "markdown":
            title = next((name for level, name in reversed(headings(cell.source)) if level == 2), title)
        elif cell.source.strip() and title:
            sections.setdefault(title, []).append(cell)
    for name, cells in sections.items():
        if name != "Exercises" and not any(is_check(cell) for cell in cells):
            found.append(f'{page.path}: section "{name}" has code but no check cell')
    return found + [f"{place}: a check cell prints" for place, cell in page.code if is_check(cell) and cell.outputs]


def is_check(cell: nbformat.NotebookNode) -> bool:
    """Whether a code cell is folded and asserts something."""
    return "hide-cell" in tags(cell) and any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cell.source)))


def sequence(page: Page) -> list[tuple[str, Directive | nbformat.NotebookNode]]:
    """Directives and code cells of a page in order, each with its place."""
    found = []
    for number, cell in enumerate(page.cells):
        items = [cell] if cell.cell_type == "code" else directives(cell.source)
        found += [(f"{page.path}, cell {number}", item) for item in items]
    return found


def exercise_faults(page: Page) -> list[str]:
    """A chapter has five exercises or more, of all three sorts, each with a hint and a hidden solution that runs."""
    items = sequence(page)
    found, titles, labels = [], [], []
    for at, (place, item) in enumerate(items):
        if isinstance(item, Directive) and item.name in ("exercise", "exercise-start"):
            label = item.options.get("label", "")
            titles.append(item.argument)
            labels.append(label)
            following = [other for _, other in items[at + 1 :] if getattr(other, "name", "") != "exercise-end"]
            if not (following and is_hint(following[0])):
                found.append(f"{place}: no folded hint directly after exercise {label}")
            found += solution_faults(items, place, label, needs_code=not item.argument.startswith(SORTS[0]))
    if len(titles) < 5:
        found.append(f"{page.path}: {len(titles)} exercises, fewer than 5")
    found += [f'{page.path}: no exercise "{sort} ..."' for sort in SORTS if not any(t.startswith(sort) for t in titles)]
    found += [f'{page.path}: exercise "{title}" names no sort' for title in titles if not title.startswith(SORTS)]
    return found + [
        f"{place}: solution of an unknown exercise" for place, label in solutions(items) if label not in labels
    ]


def is_hint(item: Directive | nbformat.NotebookNode) -> bool:
    """Whether an item is a folded admonition that gives a hint."""
    return (
        isinstance(item, Directive)
        and (item.name, item.argument.split(":")[0].strip()) == ("admonition", "Hint")
        and "dropdown" in item.options.get("class", "")
    )


def solutions(items: list) -> list[tuple[str, str]]:
    """Place and label of each solution."""
    named = [(place, item) for place, item in items if getattr(item, "name", "") in ("solution", "solution-start")]
    return [(place, item.argument) for place, item in named]


def solution_faults(items: list, place: str, label: str, needs_code: bool) -> list[str]:
    """What is wrong with the solution of one exercise."""
    starts = [
        at for at, (_, item) in enumerate(items)
        if getattr(item, "name", "") in ("solution", "solution-start") and item.argument == label
    ]  # fmt: skip
    if len(starts) != 1:
        return [f"{place}: exercise {label or 'without a label'} has {len(starts)} solutions"]
    start = items[starts[0]][1]
    found = [] if "dropdown" in start.options.get("class", "") else [f"{place}: solution of {label} is not folded"]
    rest = [item for _, item in items[starts[0] + 1 :]] if start.name == "solution-start" else []
    end = next((at for at, item in enumerate(rest) if getattr(item, "name", "") == "solution-end"), None)
    if start.name == "solution-start" and end is None:
        found.append(f"{place}: solution of {label} does not end")
    cells = [item for item in rest[:end] if not isinstance(item, Directive)]
    if needs_code and not cells:
        found.append(f"{place}: solution of {label} has no code cell")
    folds = [cell.metadata.get("jupyter", {}) for cell in cells]
    if not all(fold.get("source_hidden") and fold.get("outputs_hidden") for fold in folds):
        found.append(f"{place}: a cell in the solution of {label} is not folded in JupyterLab")
    return found
