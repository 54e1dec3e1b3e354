"""Planted faults in pages: each guard is silent on a clean page and finds exactly the fault that is put there."""

import nbformat.v4 as nb
import pytest
from book.pages import Page, directives, parse

from book import guards_chapter, guards_links, guards_notebook, guards_numbers

ALT = "Two lines rise from one half and part after the third agent: the upper one reaches the correct herd."
PICTURE = nb.new_output("display_data", {"image/png": "aGVyZA==", "text/plain": "<Figure size 1x1 with 1 Axes>"})


def text(source):
    return nb.new_markdown_cell(source)


def code(source="run()", *outputs, tags=(), count=1, **metadata):
    return nb.new_code_cell(
        source, outputs=list(outputs), execution_count=count, metadata={"tags": list(tags), **metadata}
    )


def page(*cells, definitions=(), path="book/many-agents/planted.ipynb"):
    return Page(path, list(cells), tuple(definitions))


def prints(words, tags=("nbval-check-output",), **keywords):
    return code("show()", nb.new_output("stream", name="stdout", text=words), tags=tags, **keywords)


def returns(words, *others, tags=("nbval-check-output",)):
    return code("show()", nb.new_output("execute_result", {"text/plain": words}), *others, tags=tags)


def figure(caption="The belief of the society, agent by agent.", name="fig-belief", alt=ALT):
    return code("draw()", PICTURE, mystnb={"figure": {"caption": caption, "name": name}, "image": {"alt": alt}})


def found(guard, *arguments, **keywords):
    return " | ".join(guard(*arguments, **keywords))


FAILED = nb.new_output("error", ename="ValueError", evalue="no", traceback=[])
WARNED = nb.new_output("stream", name="stderr", text="careful")
CELL_FAULTS = [
    (guards_notebook.stored_errors, code(count=None), "run as number None"),
    (guards_notebook.stored_errors, code(count=7), "run as number 7"),
    (guards_notebook.stored_errors, code("run()", FAILED), "stores an error"),
    (guards_notebook.stored_errors, code("run()", WARNED), "writes to stderr"),
    (guards_notebook.shell_and_network, code("!ls"), "shell escape"),
    (guards_notebook.shell_and_network, code("x = 1\n%pip install numpy"), "magic"),
    (guards_notebook.shell_and_network, code("import requests"), "imports requests"),
    (guards_notebook.shell_and_network, code("from urllib.request import urlopen"), "imports urllib.request"),
    (guards_notebook.shell_and_network, code("from urllib import request"), "imports urllib.request"),
    (guards_notebook.shell_and_network, code("read('https://example.invalid/a.csv')"), "names another host"),
    (guards_notebook.page_randomness, code("import numpy as np\nnp.random.normal(3)"), "np.random.normal"),
    (guards_notebook.page_randomness, code("np.random.seed(1)"), "np.random.seed"),
    (guards_notebook.page_randomness, code("rng = np.random.default_rng()"), "without a seed"),
    (guards_notebook.page_randomness, code("rng = np.random.default_rng(None)"), "without a seed"),
    (guards_notebook.page_randomness, code("from random import choice"), "`random`"),
    (guards_notebook.page_randomness, code("torch.randn(3)"), "torch.randn"),
    (guards_notebook.long_functions, code("def f():\n" + "    x = 1\n" * 10), "`f` has 11 lines"),
    (guards_notebook.figures_without_words, code("draw()", PICTURE), "without a caption"),
    (guards_notebook.figures_without_words, figure(caption=" "), "without a caption"),
    (guards_notebook.figures_without_words, figure(name=""), "without a name"),
    (guards_notebook.figures_without_words, figure(alt="A line."), "fewer than 60"),
    (guards_notebook.figures_without_words, figure(caption=ALT.upper()), "repeats the caption"),
    (guards_notebook.figures_without_words, figure(caption="Two lines rise from one half"), "repeats the caption"),
    (guards_notebook.figures_without_words, figure(caption=ALT.replace("third", "2nd")), "repeats the caption"),
    (guards_notebook.figures_without_words, code("draw()", PICTURE, PICTURE), "2 pictures"),
    (guards_notebook.unheld_outputs, prints("0.58", tags=()), "no tag holds"),
    (guards_notebook.unheld_outputs, prints("0.58", tags=("nbval-ignore-output",)), "without a reason"),
    (guards_notebook.unheld_outputs, prints("0", tags=("nbval-ignore-output",), nbval_reason="time"), "a reason"),
    (guards_notebook.unheld_outputs, returns("<Axes: xlabel='agent'>", PICTURE), "leaks an object"),
    (guards_notebook.unheld_outputs, returns("Text(0.5, 0, 'agent')", PICTURE), "leaks an object"),
    (guards_notebook.unheld_outputs, returns("[<matplotlib.lines.Line2D at 0x1>]"), "leaks an object"),
    (guards_notebook.glued, text("The chance is {glue:text}`chance:.2f`."), "{glue:text}"),
    (guards_notebook.glued, text("The chance is {eval}`chance`."), "{eval}"),
    (guards_notebook.glued, code("glue('chance', 0.58)"), "calls glue"),
    (guards_numbers.unheld_numbers, text("They herd with chance 0.58."), "0.58 is neither"),
    (guards_numbers.unheld_numbers, text("They herd in 58 % of runs, or 58%."), "58% is neither"),
    (guards_numbers.unheld_numbers, text(":::{note} About .58\nof all runs\n:::"), ".58 is neither"),
    (guards_numbers.unheld_numbers, text("See [0.58](a.md) and 2.5x."), "2.5 is neither"),
    (guards_numbers.unheld_numbers, figure(caption="Herds form with chance 0.58."), "caption: 0.58 is neither"),
    (guards_links.broken_links, text("See [cascades](no-such-page.ipynb)."), "does not exist"),
    (guards_links.broken_links, text("# Ties\n\nSee [below](#no-such-heading)."), "no such heading"),
    (guards_links.raw_directives, text(":::{note}\nHello\n:::"), ":::{note}"),
    (guards_links.raw_directives, text("see {ref}`here`"), "{ref}`"),
]  # fmt: skip
CLEAN = page(
    text("# Ties\n\nOf all runs 58 % herd, that is .58 or 0.580; at $q=0.7$ and `q = 0.9` it drops by 1.25 to −0.30."),
    text("See [below](#ties), <https://example.invalid/0.77>, arXiv 2411.01271, 10.1234/5.6 and Python 3.11 or 0.1.0."),
    text("```python\nx = 0.123\n```\n\n$$\nx = 0.456\n$$\n\n:::{figure} a.svg\n:width: 0.789\nA herd.\n:::"),
    code("import numpy as np\nrng = np.random.default_rng(1)", count=1),
    code("def f():\n" + "    x = 1\n" * 9, count=2),
    prints("0.5800 -0.3 -1.2549", count=3),
    code("draw()", PICTURE, count=4, mystnb={"figure": {"caption": "A herd.", "name": "fig-a"}, "image": {"alt": ALT}}),
    code("torch.randn(3, generator=g); chat(base_url='http://localhost:8000/v1')", count=5),
    code("clock()", nb.new_output("stream", name="stdout", text="3 s"), tags=["nbval-ignore-output"], count=6,
         nbval_reason="a run time differs between machines"),
)  # fmt: skip


@pytest.mark.parametrize(("guard", "cell", "fault"), CELL_FAULTS)
def test_a_planted_cell_is_found(guard, cell, fault):
    findings = guard(page(cell))
    assert sum(fault in finding for finding in findings) == 1
    assert all("book/many-agents/planted.ipynb" in finding for finding in findings)


@pytest.mark.parametrize("guard", dict.fromkeys(guard for guard, _, _ in CELL_FAULTS), ids=lambda guard: guard.__name__)
def test_a_clean_page_passes(guard):
    plain = page(*[cell for cell in CLEAN.cells if ":::" not in cell.source])
    assert guard(plain if guard is guards_links.raw_directives else CLEAN) == []


@pytest.mark.parametrize(
    ("sentence", "printed", "held"),
    [
        ("0.58", "0.5849", True),
        ("0.58", "0.586", False),
        ("0.125", "0.12", False),
        ("0.12", "0.125", True),  # half to even
        ("0.13", "0.125", True),  # half up
        ("0.7", "-0.7", True),  # "falls by 0.7"
        ("-0.7", "0.7", False),
        ("a fall of −0.7", "-0.68", True),
        ("84.5 %", "0.84483", True),
        ("84.5 percent", "84.49", True),
        ("84.5 %", "0.8439", False),
        ("1,234.5", "1234.49", True),
        ("1.5e-4", "0.000151", True),
        ("0.3, 0.7", "[0.3 0.7]", True),
        ("0.3,0.7", "[0.3]", False),
        ("between 0.2-0.4", "0.2 0.4", True),
        ("58", "", True),  # plain integers are free
    ],
)
def test_prose_is_compared_to_the_digits_shown(sentence, printed, held):
    assert (guards_numbers.unheld_numbers(page(text(sentence + "."), prints(printed))) == []) is held


def test_definitions_hold_numbers_and_must_be_used():
    stated = page(text("Signals are right with chance 0.7, costs are 5 %."), definitions=("0.7", "5 %", "0.95"))
    assert guards_numbers.unheld_numbers(stated) == []
    assert guards_numbers.unused_definitions(stated) == ["book/many-agents/planted.ipynb: definition 0.95 is not used"]
    near = page(text("With chance 0.7."), definitions=("0.68",))
    assert len(guards_numbers.unheld_numbers(near)) == 1


def test_figure_names_are_unique():
    assert (
        found(guards_notebook.figure_names_used_twice, [page(figure()), page(figure(), path="b.ipynb")]).count("taken")
        == 1
    )
    assert guards_notebook.figure_names_used_twice([page(figure()), page(figure(name="fig-other"))]) == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import numpy\ndef f():\n    return numpy.random.rand()", "global randomness"),
        ('def f():\n    """Draw.\n\n    >>> np.random.default_rng()\n    """', "without a seed"),
        ("import random", "`random`"),
        ("def f(rng):\n    return rng.normal() + np.random.default_rng(3).normal()", ""),
        ("torch.manual_seed(0)\ntorch.rand(3)", ""),
    ],
)
def test_unseeded_package_code_is_found(source, fault):
    assert found(guards_notebook.unseeded, source).count(fault or "seed") == bool(fault)


# --- chapters ---------------------------------------------------------------------------------------------------------

OPENING = "# Herds\n\n**What you will learn**: why.\n\n**Prerequisites**: none. **Minutes**: 30"
CHECK = {"tags": ("hide-cell",)}
HINT = ":::{admonition} Hint\n:class: dropdown\nCount.\n:::"
FOLDED = {"source_hidden": True, "outputs_hidden": True}
OPEN_HINT = HINT.replace("dropdown", "tip")


def exercise(title, label, hint=HINT):
    return f":::{{exercise}} {title}\n:label: {label}\nDo it.\n:::\n\n{hint}"


def solution(label, *cells):
    start = f":::{{solution-start}} {label}\n:class: dropdown\n:::"
    return [text(start), *(cells or [code("run()", jupyter=FOLDED)]), text(":::{solution-end}\n:::")]


def exercises():
    sorts = ["By hand: a", "By hand: b", "By code: c", "By code: d", "By experiment: e"]
    cells = [text("## Exercises")]
    for number, title in enumerate(sorts):
        cells += [text(exercise(title, f"ex-{number}")), *solution(f"ex-{number}")]
    return cells


def chapter(**changes):
    """A clean chapter, with cells replaced by position: 0 opening, 1 set-up, 2 section, 3 figure, 4 check, the rest."""
    cells = [
        text(OPENING), code("plots.use_style()"), text("## Ties"), figure(), code("assert herd", **CHECK),
        text("## What can go wrong"), *exercises(), text("## References\n\n## In the package"),
    ]  # fmt: skip
    for place, cell in changes.items():
        cells[int(place[1:])] = cell
    return page(*cells)


CHAPTER_FAULTS = [
    (guards_chapter.missing_parts, {"c0": text(OPENING.replace("will", "may"))}, "without what you will learn"),
    (guards_chapter.missing_parts, {"c0": text(OPENING.replace("Prereq", "Req"))}, "without prerequisites"),
    (guards_chapter.missing_parts, {"c0": text(OPENING.replace("30", "some"))}, "without minutes"),
    (guards_chapter.missing_parts, {"c0": text(OPENING[1:])}, "one title"),
    (guards_chapter.missing_parts, {"c5": text("Nothing can go wrong.")}, 'no section "What can go wrong"'),
    (guards_chapter.missing_parts, {"c-1": text("## References")}, 'no section "In the package"'),
    (guards_chapter.missing_parts, {"c1": code("import numpy")}, "use_style"),
    (guards_chapter.unchecked_sections, {"c4": code("herd")}, "no check cell"),
    (guards_chapter.unchecked_sections, {"c4": code("assert herd")}, "no check cell"),
    (guards_chapter.unchecked_sections, {"c4": code("assert herd", PICTURE, **CHECK)}, "prints"),
    (guards_chapter.exercise_faults, {"c7": text(exercise("By hand: a", "ex-0", hint=""))}, "no folded hint"),
    (guards_chapter.exercise_faults, {"c7": text(exercise("By hand: a", "ex-0", OPEN_HINT))}, "no folded hint"),
    (guards_chapter.exercise_faults, {"c7": text(exercise("Count", "ex-0"))}, "names no sort"),
    (guards_chapter.exercise_faults, {"c8": text(":::{solution-start} ex-0\n:::")}, "not folded"),
    (guards_chapter.exercise_faults, {"c-2": text("")}, "ex-4 does not end"),
    (guards_chapter.exercise_faults, {"c-3": text("Run it.")}, "ex-4 has no code cell"),
    (guards_chapter.exercise_faults, {"c-3": code("run()")}, "ex-4 is not folded in JupyterLab"),
    (guards_chapter.exercise_faults, {"c-3": code("run()", jupyter={"source_hidden": True})}, "ex-4 is not folded"),
    (guards_chapter.exercise_faults, {"c-5": text(exercise("By hand: e", "ex-4"))}, 'no exercise "By experiment:'),
]  # fmt: skip


@pytest.mark.parametrize(("guard", "changes", "fault"), CHAPTER_FAULTS)
def test_a_fault_in_a_chapter_is_found(guard, changes, fault):
    assert found(guard, chapter(**changes)).count(fault) == 1
    assert guard(chapter()) == []


def test_missing_solutions_and_exercises_are_found():
    four = page(*exercises()[:-4])
    assert "4 exercises, fewer than 5" in found(guards_chapter.exercise_faults, four)
    stray = page(*exercises(), *solution("ex-9"))
    assert found(guards_chapter.exercise_faults, stray).count("unknown exercise") == 1
    unsolved = page(*exercises()[:-3])
    assert (
        found(guards_chapter.exercise_faults, unsolved)
        == "book/many-agents/planted.ipynb, cell 17: exercise ex-4 has 0 solutions"
    )


def test_directives_are_read_as_myst_reads_them():
    inside = ":::{exercise} Inner\n---\nlabel: ex-1\n---\n:::"
    source = f"::::{{note}} A title\n:class: tip\n\nText\n{inside}\n::::\n```\n:::{{no}}\n```"
    outer, inner = directives(source)
    assert (outer.name, outer.argument, outer.options) == ("note", "A title", {"class": "tip"})
    assert (inner.name, inner.options) == ("exercise", {"label": "ex-1"})
    assert [part.name for part in parse(source)] == ["note", ""]


FOLD = {"mystnb": {"code_prompt_show": "Show the set-up"}}
DRAW = "figure, ax = plots.panels()\nax.plot(path)"


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ([code("import numpy", tags=["hide-input"], **FOLD)], ""),
        ([code("import numpy")], "the set-up is not folded"),
        ([code("import numpy", tags=["hide-input"])], "without the words `Show the set-up`"),
        ([code(DRAW, PICTURE)], "the drawing is not folded"),
        ([code("path = simulate(society)\nshare = path.mean()\nprint(share)\n" + DRAW, PICTURE)], ""),
        ([code("path = simulate(society)\n" + DRAW, PICTURE), code("path.mean()")], ""),
        ([code(DRAW, PICTURE, tags=["hide-input"], mystnb={"code_prompt_show": "Show the drawing"})], ""),
        ([code(DRAW, PICTURE, jupyter={"source_hidden": True})], ""),
        ([code("solve()", tags=["hide-input"])], "folded, but it draws nothing"),
    ],
)
def test_set_up_and_drawing_are_folded(cells, fault):
    if "import" not in cells[0].source:
        cells = [code("import numpy", tags=["hide-input"], **FOLD), *cells]
    findings = guards_notebook.unfolded(page(*cells))
    assert [fault in finding for finding in findings] == [True] * bool(fault)
