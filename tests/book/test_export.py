"""Plain notebooks: every construct of the book becomes Markdown, and what is unknown is refused."""

import io
import re
from base64 import b64encode

import export
import nbformat
import pytest
from PIL import Image

RAW = re.compile(r"^\s*(:::|```+\{)|\{[\w:]+\}`|^\([\w-]+\)=|^\+\+\+", re.MULTILINE)

PAGE = """# A page

See {doc}`other`, {prf:ref}`thm-a`, {eq}`eq-a`, {ref}`the rule <sec-a>`, {ref}`ex-a`, [other](other.ipynb#part) and
[the notes](notes.md).

(sec-a)=
## A section

::::{prf:theorem} Herds start
:label: thm-a

With $p \\in (0, 1)$,

$$
a = b
$$ (eq-a)

:::{note}
Nested.
:::
::::

:::{prf:proof}
By {eq}`eq-a`.
:::

```python
kept = "{ref}`as it is`"
```

:::{exercise} By hand: one
:label: ex-a

Do it.
:::

:::{admonition} Hint
:class: dropdown

Try.
:::

:::{solution-start} ex-a
:class: dropdown
:::

Words of {math}`x`.

:::{solution-end}
:::
"""


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book of two notebooks and a page of Markdown."""
    monkeypatch.setattr(export, "ROOT", tmp_path)
    monkeypatch.setattr(export, "repository", lambda: "https://github.com/owner/name")
    figure = nbformat.v4.new_code_cell(
        "draw()",
        id="drawing",
        metadata={"mystnb": {"figure": {"caption": "It falls, by {prf:ref}`thm-a`.", "name": "fig-a"}}},
    )
    pages = {
        "page": [nbformat.v4.new_markdown_cell(PAGE), figure, nbformat.v4.new_markdown_cell("In {numref}`fig-a`.")],
        "other": [
            nbformat.v4.new_markdown_cell("# Another page\n\nSee {prf:ref}`thm-a`, {numref}`Figure %s <fig-a>`.")
        ],
    }
    folder = tmp_path / "book/part"
    folder.mkdir(parents=True)
    for name, cells in pages.items():
        nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / f"{name}.ipynb")
    (folder / "notes.md").write_text("# Notes\n")
    return tmp_path / "book"


def text_of(book, name):
    copy = export.export(book / f"part/{name}.ipynb", export.read_labels(book))
    return "\n\n".join(cell.source for cell in copy.cells if cell.cell_type == "markdown")


def test_no_raw_directive_remains(book):
    assert "{ref}`as it is`" in text_of(book, "page")
    assert RAW.findall(text_of(book, "page").replace("{ref}`as it is`", "")) == []


def test_search_for_raw_directives_sees_them():
    for raw in (":::{note}", "```{code-cell}", "by {prf:ref}`thm-a`", "(sec-a)=", "+++", "  :::"):
        assert RAW.search(f"text\n{raw}\n"), raw


@pytest.mark.parametrize(
    "expected",
    [
        "See [Another page](other.ipynb), Theorem (Herds start), (1), the rule, Exercise (By hand: one), ",
        "**Theorem (Herds start).** With $p \\in (0, 1)$,\n\n$$\na = b \\tag{1}\n$$",
        "> **Note**\n>\n> Nested.",
        "**Proof.** By (1).",
        "**Exercise (By hand: one).** Do it.",
        "<details><summary><b>Hint</b> (click to open)</summary>\n\nTry.\n\n</details>",
        "<details><summary><b>Solution</b> (click to open)</summary>\n\nWords of $x$.\n\n</details>",
        "*Figure 1.* It falls, by Theorem (Herds start).\n\nIn Figure 1.",
        "[other](other.ipynb) and\n[the notes](https://owner.github.io/name/book/part/notes.html).\n\n## A section",
    ],
)
def test_what_becomes_of_each_construct(book, expected):
    assert expected in text_of(book, "page")


def test_references_to_another_page_name_it(book):
    assert "Theorem (Herds start) of [A page](page.ipynb), Figure 1 of [A page](page.ipynb)." in text_of(book, "other")


def test_first_cell_installs_only_what_is_missing(book):
    source = export.export(book / "part/page.ipynb", export.read_labels(book)).cells[0].source
    assert "find_spec" in source
    assert "    %pip install --quiet git+https://github.com/owner/name" in source


def solved(book, end=True):
    """A page whose one solution has code that prints, words between, and a page that goes on behind it."""
    cells = [
        nbformat.v4.new_markdown_cell("# P\n\n:::{solution-start} ex-a\n:class: dropdown\n:::\n\nFirst."),
        nbformat.v4.new_code_cell("print(1)", outputs=[nbformat.v4.new_output("stream", text="the answer\n")]),
        nbformat.v4.new_markdown_cell("::::{note}\nThen.\n::::"),
        nbformat.v4.new_code_cell("draw()", metadata={"mystnb": {"figure": {"caption": "A herd."}}}),
        nbformat.v4.new_markdown_cell(":::{solution-end}\n:::\n\nOn." if end else "On."),
        nbformat.v4.new_code_cell("draw()", metadata={"mystnb": {"figure": {"caption": "Another."}}}),
    ]
    path = book / "part/page.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


SPOILS = re.compile(r"(?s)<details>.*?</details>")


def test_a_solution_is_folded_with_its_code_and_what_that_prints(book):
    cells = export.export(solved(book), export.read_labels(book)).cells
    assert [(cell.cell_type, cell.source) for cell in cells[1::2]] == [
        ("markdown", "# P"),
        ("code", "draw()"),
    ]
    solution = cells[2].source
    assert solution.startswith("<details><summary><b>Solution</b> (click to open)</summary>\n\nFirst.")
    for part in ("```python\nprint(1)\n```", "```text\nthe answer\n```", "> Then.", "*It draws:* A herd."):
        assert part in solution, part
    assert solution.endswith("</details>\n\nOn.")
    assert cells[4].source == "*Figure 2.* Another."


def test_a_solution_without_end_is_refused(book):
    with pytest.raises(ValueError, match=r"Every solution must end. Got none for: 'ex-a'"):
        export.export(solved(book, end=False), export.read_labels(book))


def spoilt(notebook, original):
    """Code and printed lines of solutions that stand openly in a copy: in a cell to run, in an output, or as words."""
    inside, secret = False, []
    for cell in original.cells:
        if cell.cell_type == "markdown":
            gates = re.findall(r"\{solution-(start|end)\}", cell.source)
            inside = gates[-1] == "start" if gates else inside
        elif inside:
            secret.append(cell)
    shown = "\n".join(SPOILS.sub("", cell.source) for cell in notebook.cells)
    outputs = [output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])]
    return [cell.source for cell in secret if cell.source in shown] + [
        output.text
        for cell in secret
        for output in cell.outputs
        if output.output_type == "stream" and output.text in outputs
    ]


def test_no_copy_shows_a_solution(tmp_path):
    book = export.ROOT / "book"
    paths = [path for path in export.pages(book, ".ipynb") if path.parent.name != "coursework"]
    copies = export.write_all(paths, book, tmp_path)
    for path, copy in zip(paths, copies, strict=True):
        original, notebook = nbformat.read(path, 4), nbformat.read(copy, 4)
        assert "<summary><b>Solution</b>" in "".join(cell.source for cell in notebook.cells)
        assert spoilt(notebook, original) == [], path.name


def test_an_open_solution_is_seen(book):
    original = nbformat.read(solved(book), 4)
    assert spoilt(original, original) == ["print(1)", "draw()", "the answer\n"]


def test_accents_of_authors():
    text = export.plain("{cite:t}`smith2000`, {cite:p}`matejka2015`", export.ROOT / "book/page.ipynb", export.Labels())
    assert text.startswith("[Smith and Sørensen (2000)]")
    assert "([Matějka and McKay, 2015]" in text


def test_citations():
    labels = export.Labels()
    path = export.ROOT / "book/page.ipynb"
    text = export.plain("{cite:t}`bikhchandani1992` and {cite:p}`caplin2015,sims2003`", path, labels)
    assert text == (
        "[Bikhchandani et al. (1992)](https://doi.org/10.1086/261849) and "
        "([Caplin and Dean, 2015](https://doi.org/10.1257/aer.20140117); "
        "[Sims, 2003](https://doi.org/10.1016/S0304-3932(03)00029-1))"
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (":::{no-such}\n:::", "A directive must be one that the export of notebooks knows. Got 'no-such'"),
        ("{no-such}`x`", "A role must be one that the export of notebooks knows. Got 'no-such'"),
        ("{prf:ref}`thm-no-such`", "A reference must lead to a label of the book. Got 'thm-no-such'"),
        ("[x](no-such.ipynb)", "A link must lead to a page of the book. Got 'no-such.ipynb'"),
        ("{cite:t}`no-such`", "A citation must be in book/references.bib. Got 'no-such'"),
        (":::{note}\nopen", "Every fence must be closed"),
    ],
)
def test_refusals(book, source, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        export.plain(source, book / "part/page.ipynb", export.read_labels(book))


def test_the_book_has_no_raw_directive_in_its_copies(tmp_path):
    book = export.ROOT / "book"
    copies = export.write_all(export.pages(book, ".ipynb"), book, tmp_path)
    for copy in copies:
        for cell in nbformat.read(copy, 4).cells:
            assert cell.cell_type != "markdown" or not RAW.search(cell.source), (copy.name, cell.source)


def test_pictures_are_small_or_left_out(tmp_path):
    picture = io.BytesIO()
    Image.effect_noise((60, 60), 50).convert("RGB").save(picture, "PNG", compress_level=0)
    outputs = [
        nbformat.v4.new_output("display_data", {"image/png": b64encode(picture.getvalue()).decode()}),
        nbformat.v4.new_output("stream", text="0.5"),
    ]
    (tmp_path / "part").mkdir()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("draw()", outputs=outputs)])
    nbformat.write(notebook, tmp_path / "part/drawn.ipynb")
    labels = export.read_labels(tmp_path)
    kept = export.export(tmp_path / "part/drawn.ipynb", labels).cells[1].outputs
    assert 0 < len(kept[0].data["image/png"]) < len(outputs[0].data["image/png"])
    assert kept[1].text == "0.5"
    left = export.export(tmp_path / "part/drawn.ipynb", labels, pictures=False).cells[1].outputs
    assert [output.output_type for output in left] == ["stream"]
