"""Plain copies of the book's notebooks, for Colab, VS Code and classic Jupyter, which do not know MyST.

Theorems, exercises and admonitions become Markdown with bold headings, hints and solutions fold in <details>, code
and outputs of a solution included, references become words and links, the caption of a figure follows it as a cell
of its own, and the first cell installs the package where it is missing. Whatever this module does not know it
refuses, so that no reader ever meets a raw directive.

    python book/_tools/export.py     writes _build/notebooks/<part>/<name>.ipynb
"""

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from functools import cache
from os.path import relpath
from pathlib import Path

import nbformat
import yaml
from pybtex.database import parse_file
from slim_site import small_png

ROOT = Path(__file__).resolve().parents[2]
THEOREMS = ("theorem", "lemma", "proposition", "corollary", "definition", "assumption", "example", "remark", "proof")
ADMONITIONS = ("admonition", "note", "tip", "hint", "important", "warning", "caution", "seealso")
GATES = ("exercise-end",)
FOLDED = {"hide-cell", "hide-input"}  # tags of cells whose code a reader opens when he wants it

FENCE = re.compile(r"\s*(?P<fence>:{3,}|`{3,}|~{3,})(?:\{(?P<name>[\w:-]+)\})?\s*(?P<title>.*)")
OPTION = re.compile(r":(?P<key>[\w-]+):\s*(?P<value>.*)")
ROLE = re.compile(r"\{(?P<name>[\w:-]+)\}`(?P<content>[^`]+)`")
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<page>[\w./-]+\.(?:ipynb|md))?(?:#(?P<label>[\w.-]+))?\)")
LABEL = re.compile(r"\((?P<label>[\w-]+)\)=")
EQUATION = re.compile(r"\$\$(?P<body>[^$]+)\$\$\s*\((?P<label>[\w-]+)\)")


@dataclass
class Directive:
    """One directive: its name, what stands on its first line, its options, and the lines inside."""

    name: str
    title: str
    options: dict[str, str]
    body: list[str]


@dataclass
class Labels:
    """What the labels of all pages are called in plain words, and the titles of the pages."""

    titles: dict[Path, str] = field(default_factory=dict)
    words: dict[str, tuple[Path, str]] = field(default_factory=dict)


def pages(book: Path, *suffixes: str) -> list[Path]:
    """The pages of the book with the given suffixes, in a fixed order."""
    found = (path for path in sorted(book.glob("**/*")) if path.suffix in suffixes)
    found = (path for path in found if path.parent != book / "coursework/instructor")  # masters are no pages
    return [path for path in found if not any(part[0] in "._" for part in path.relative_to(book).parts)]


@cache
def repository() -> str:
    """The address of the repository, from `_config.yml`, the only place that names it."""
    return yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]


@cache
def references() -> dict:
    """The entries of the bibliography."""
    return parse_file(str(ROOT / "book/references.bib")).entries


# --- reading MyST ---------------------------------------------------------------------------------------------------


def split(lines: list[str]) -> list[str | Directive | list[str]]:
    """Cut lines of MyST into plain lines, directives, and code blocks (lists of lines, to be left alone)."""
    parts, rest = [], list(lines)
    while rest:
        line = rest.pop(0)
        opening = FENCE.fullmatch(line)
        if not opening:
            parts.append(line)
            continue
        fence, inside = opening["fence"], []
        while rest and not re.fullmatch(rf"\s*{fence[0]}{{{len(fence)},}}\s*", rest[0]):
            inside.append(rest.pop(0))
        if not rest:
            raise ValueError(f"Every fence must be closed. Got none for: {line!r}.")
        closing = rest.pop(0)
        if opening["name"] is None:
            parts.append([line, *inside, closing])
            continue
        options = {}
        while inside and (option := OPTION.fullmatch(inside[0].strip())):
            options[option["key"]] = option["value"]
            inside.pop(0)
        parts.append(Directive(opening["name"], opening["title"].strip(), options, inside))
    return parts


def heading(directive: Directive) -> str:
    """The heading of a theorem or exercise, which are also the words that refer to it."""
    kind = directive.name.removeprefix("prf:").removesuffix("-start").capitalize()
    return f"{kind} ({directive.title})" if directive.title else kind


def read_labels(book: Path) -> Labels:
    """Scan all pages for titles and for labels of theorems, exercises, equations, figures and sections."""
    labels = Labels()
    for path in pages(book, ".ipynb", ".md"):
        figures = equations = 0
        for cell in _cells(path):
            if cell.cell_type == "code":
                figures += bool(_figure(cell))
                if name := _figure(cell).get("name"):
                    labels.words[name] = path, f"Figure {figures}"
                continue
            if cell.cell_type != "markdown":
                continue
            title = re.search(r"^# (.+)$", cell.source, re.MULTILINE)
            if title:
                labels.titles.setdefault(path, title[1])
            for match in EQUATION.finditer(cell.source):
                equations += 1
                labels.words[match["label"]] = path, f"({equations})"
            for match in re.finditer(LABEL.pattern + r"\s*\n+#* *(?P<heading>.+)", cell.source):
                labels.words[match["label"]] = path, match["heading"]
            _label_directives(split(cell.source.splitlines()), path, labels)
    return labels


def _label_directives(parts, path, labels):
    for part in parts:
        if isinstance(part, Directive):
            label = part.options.get("label") or part.options.get("name")
            if label:
                labels.words[label] = path, heading(part)
            _label_directives(split(part.body), path, labels)


def _cells(path):
    if path.suffix == ".md":
        return [nbformat.v4.new_markdown_cell(path.read_text())]
    return nbformat.read(path, 4).cells


def _figure(cell):
    return cell.metadata.get("mystnb", {}).get("figure", {})


# --- writing Markdown -----------------------------------------------------------------------------------------------


def plain(source: str, path: Path, labels: Labels) -> str:
    """The Markdown cell `source` of the page `path` without MyST."""
    return _blocks(source.splitlines(), path, labels).strip()


def _blocks(lines, path, labels):
    parts, written, text = split(lines), [], []

    def flush():
        written.append(_inline("\n".join(text), path, labels))
        text.clear()

    while parts:
        part = parts.pop(0)
        if isinstance(part, str):
            if not (LABEL.fullmatch(part.strip()) or part.startswith(("+++", "% "))):
                text.append(part)
            continue
        flush()
        if isinstance(part, list):
            written.append("\n".join(part))
        else:
            written.append(_directive(part, path, labels))
    flush()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(written))


def _lines(part):
    if isinstance(part, str):
        return [part]
    if isinstance(part, list):
        return part
    options = [f":{key}: {value}" for key, value in part.options.items()]
    inner = max((len(match[1]) for line in part.body if (match := re.match(r"\s*(:{3,})", line))), default=7)
    fence = ":" * max(8, inner + 1)
    return [f"{fence}{{{part.name}}} {part.title}".rstrip(), *options, *part.body, fence]


def _directive(directive, path, labels):
    name = directive.name
    body = _blocks(directive.body, path, labels).strip()
    title = _inline(directive.title, path, labels)
    if name in GATES:
        return "\n"
    if name == "solution":
        return _details("Solution", body)
    if (name.startswith("prf:") and name.removeprefix("prf:") in THEOREMS) or name in ("exercise", "exercise-start"):
        return f"\n**{_inline(heading(directive), path, labels)}.** {body}\n"
    if name == "math":
        return f"\n$$\n{body}\n$$\n"
    if name in ADMONITIONS:
        title = title or name.capitalize()
        if "dropdown" in directive.options.get("class", ""):
            return _details(title, body)
        quoted = "\n".join(f"> {line}".rstrip() for line in body.splitlines())
        return f"\n> **{title}**\n>\n{quoted}\n"
    raise ValueError(f"A directive must be one that the export of notebooks knows. Got {name!r} in {path.name}.")


def _details(summary, body):
    return f"\n<details><summary><b>{summary}</b> (click to open)</summary>\n\n{body.strip()}\n\n</details>\n"


def _inline(text, path, labels):
    def equation(match):
        number = labels.words[match["label"]][1]
        return f"$${match['body'].rstrip()} \\tag{{{number.strip('()')}}}\n$$"

    def role(match):
        return _role(match["name"], match["content"], path, labels)

    def link(match):
        return _link(match["text"], match["page"], match["label"], path, labels)

    return LINK.sub(link, ROLE.sub(role, EQUATION.sub(equation, text)))


def _role(name, content, path, labels):
    if name in ("cite:t", "cite:p", "cite"):
        return citation(name, content)
    if name == "math":
        return f"${content}$"
    words, _, target = content.rpartition("<")
    words, target = (words.strip(), target.rstrip(">")) if words else ("", content)
    if name in ("prf:ref", "ref", "numref", "eq"):
        return _refer(target, "" if "%" in words else words, path, labels)
    if name == "doc":
        return _link(words, with_suffix(path, target), None, path, labels)
    raise ValueError(f"A role must be one that the export of notebooks knows. Got {name!r} in {path.name}.")


def _refer(label, words, path, labels):
    if label not in labels.words:
        raise ValueError(f"A reference must lead to a label of the book. Got {label!r} in {path.name}.")
    page, own_words = labels.words[label]
    if page == path:
        return words or own_words
    return f"{words or own_words} of {_link('', relpath(page, path.parent), None, path, labels)}"


def _link(words, page, label, path, labels):
    """A link that works outside the book: to the plain copy of a notebook, else to the page of the site."""
    if page is None:
        return _refer(label, words, path, labels) if label in labels.words else words
    target = (path.parent / page).resolve()
    if target not in labels.titles:
        raise ValueError(f"A link must lead to a page of the book. Got {page!r} in {path.name}.")
    if target.suffix == ".md":
        owner, name = repository().rstrip("/").split("/")[-2:]
        page = f"https://{owner}.github.io/{name}/{target.relative_to(ROOT).with_suffix('.html').as_posix()}"
    return f"[{words or labels.titles[target]}]({page})"


def with_suffix(path: Path, target: str) -> str:
    """The target of a reference to a page, seen from `path`, with the suffix of its file."""
    for suffix in ("", ".ipynb", ".md"):
        if (path.parent / f"{target}{suffix}").is_file():
            return f"{target}{suffix}"
    return target


def citation(name: str, content: str) -> str:
    """What a citation says, each work with its address."""
    cited = [_cite(key.strip(), parentheses=name == "cite:t") for key in content.split(",")]
    return ", ".join(cited) if name == "cite:t" else f"({'; '.join(cited)})"


def _cite(key, parentheses):
    if key not in references():
        raise ValueError(f"A citation must be in book/references.bib. Got {key!r}.")
    entry = references()[key]
    people = entry.persons["author"]
    names = [" ".join(map(str, (*person.rich_prelast_names, *person.rich_last_names))) for person in people]
    authors = " and ".join(names) if len(names) < 3 else f"{names[0]} et al."
    year = entry.fields["year"]
    words = f"{authors} ({year})" if parentheses else f"{authors}, {year}"
    address = f"https://doi.org/{entry.fields['doi']}" if "doi" in entry.fields else entry.fields.get("url")
    return f"[{words}]({address})" if address else words


# --- notebooks ------------------------------------------------------------------------------------------------------


def install_cell() -> nbformat.NotebookNode:
    """The first cell of every copy: does nothing where the package is installed."""
    source = (
        "# Installs the book's package where it is missing, for example on Colab.\n"
        "import importlib.util\n\n"
        'if importlib.util.find_spec("llma_tutorial") is None:\n'
        f"    %pip install --quiet git+{repository()}"
    )
    return nbformat.v4.new_code_cell(source, id="install")


def fold_solutions(cells: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The cells with each solution as one block of Markdown, its code and what that prints included.

    A solution is nothing to run then: "Run All" neither computes it nor shows what comes out.
    """
    folded, solution = [], None
    for cell in cells:
        if cell.cell_type != "markdown":
            if solution is None:
                folded.append(cell)
            else:
                solution.body += _as_text(cell)
            continue
        lines, gate = [], "{solution-start}" in cell.source or solution is not None
        for part in split(cell.source.splitlines()) if gate else ():
            name = part.name if isinstance(part, Directive) else ""
            if name == "solution-start":
                solution = Directive("solution", part.title, {"class": "dropdown"}, [])
            elif name == "solution-end" and solution is not None:
                lines += ["", *_lines(solution), ""]
                solution = None
            else:
                (lines if solution is None else solution.body).extend(_lines(part))
        if gate:
            cell.source = "\n".join(lines).strip()
        if cell.source:
            folded.append(cell)
    if solution is not None:
        raise ValueError(f"Every solution must end. Got none for: {solution.title!r}.")
    return folded


def _as_text(cell: nbformat.NotebookNode) -> list[str]:
    """A code cell with its saved outputs as Markdown; of a figure its caption."""
    lines = ["", "```python", *cell.source.splitlines(), "```", ""]
    for output in cell.outputs:
        drawn = "image/png" in output.get("data", {})
        text = output.get("text") or ("" if drawn else output.get("data", {}).get("text/plain", ""))
        lines += ["```text", *text.rstrip().splitlines(), "```", ""] if text.strip() else []
    caption = _figure(cell).get("caption")
    return [*lines, f"*It draws:* {caption}", ""] if caption else lines


def export(path: Path, labels: Labels, pictures: bool = True) -> nbformat.NotebookNode:
    """The plain copy of one notebook, with its saved outputs, or without those that are pictures."""
    notebook = nbformat.read(path, 4)
    drawn = [cell.id for cell in notebook.cells if cell.cell_type == "code" and _figure(cell)]
    cells = [install_cell()]
    for cell in fold_solutions(notebook.cells):
        if cell.cell_type == "markdown":
            cell.source = plain(cell.source, path, labels)
        caption = _figure(cell).get("caption") if cell.cell_type == "code" else None
        cell.metadata = {"jupyter": {"source_hidden": True}} if FOLDED & set(cell.metadata.get("tags", [])) else {}
        for output in [output for output in cell.get("outputs", []) if "image/png" in output.get("data", "")]:
            if pictures:
                output.data["image/png"] = b64encode(small_png(b64decode(output.data["image/png"]))).decode()
            else:
                cell.outputs.remove(output)
        if cell.source:
            cells.append(cell)
        if caption:
            words = f"*Figure {drawn.index(cell.id) + 1}.* {plain(caption, path, labels)}"
            cells.append(nbformat.v4.new_markdown_cell(words, id=f"{cell.id}-caption"))
    notebook.cells = cells
    notebook.metadata.pop("llma", None)
    return notebook


def write_all(paths: list[Path], book: Path, target: Path, pictures: bool = True) -> list[Path]:
    """Write the plain copies of notebooks of `book` below `target`, in the same folders; returns what was written."""
    labels, copies = read_labels(book), {path: target / path.relative_to(book) for path in paths}
    for path, copy in copies.items():
        copy.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(export(path, labels, pictures), copy)
    return list(copies.values())


if __name__ == "__main__":
    for copy in write_all(pages(ROOT / "book", ".ipynb"), ROOT / "book", ROOT / "_build/notebooks"):
        print(f"wrote {copy.relative_to(ROOT)}")
