"""The book as its guards see it: pages made of cells, and the directives and the prose inside them."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import yaml

ROOT = Path(__file__).parents[2]
CHAPTER_PARTS = ("reading", "one-agent", "many-agents", "control", "practice")
FENCE = re.compile(r"^\s*(?P<fence>:{3,}|`{3,}|~{3,})(?:\{(?P<name>[^}]+)\})?[ \t]*(?P<argument>.*)$")
OPTION = re.compile(r"^\s*:(?P<key>[\w-]+):[ \t]*(?P<value>.*)$")


@dataclass(frozen=True)
class Page:
    """A page: a notebook, or a text page seen as one cell of Markdown."""

    path: str
    cells: list = field(repr=False)
    definitions: tuple[str, ...] = ()

    def of_type(self, cell_type: str) -> list[tuple[str, nbformat.NotebookNode]]:
        """Cells of one type, each with the place that a finding names."""
        return [
            (f"{self.path}, cell {number}", cell)
            for number, cell in enumerate(self.cells)
            if cell.cell_type == cell_type and cell.source.strip()
        ]

    @property
    def code(self) -> list:
        return self.of_type("code")

    @property
    def markdown(self) -> list:
        return self.of_type("markdown")

    @property
    def text(self) -> str:
        return "\n\n".join(cell.source for _, cell in self.markdown)

    @property
    def is_chapter(self) -> bool:
        return self.path.endswith(".ipynb") and Path(self.path).parts[1] in CHAPTER_PARTS


@dataclass(frozen=True)
class Directive:
    """A fenced block. The name of a plain code fence is empty."""

    name: str
    argument: str
    options: dict[str, str]
    body: str


def read_page(path: Path, root: Path = ROOT) -> Page:
    """A page of the book from its file."""
    name = path.relative_to(root).as_posix()
    if path.suffix == ".ipynb":
        notebook = nbformat.read(path, as_version=4)
        return Page(name, notebook.cells, tuple(map(str, notebook.metadata.get("llma", {}).get("definitions", ()))))
    text, front = path.read_text(encoding="utf-8"), {}
    if match := re.match(r"---\n(.*?)\n---\n", text, re.DOTALL):
        front, text = yaml.safe_load(match[1]) or {}, text[match.end() :]
    return Page(name, [nbformat.v4.new_markdown_cell(text)], tuple(map(str, front.get("definitions", ()))))


def page_files(root: Path = ROOT) -> list[Path]:
    """Every notebook and text page of the book; marked folders and the masters of problem sets hold no pages."""
    found = [path for path in (root / "book").rglob("*") if path.suffix in (".ipynb", ".md")]
    found = [path for path in found if path.parent != root / "book/coursework/instructor"]
    return sorted(p for p in found if not any(part[0] in "._" for part in p.relative_to(root).parts))


def read_book(root: Path = ROOT) -> list[Page]:
    """All pages of the book."""
    return [read_page(path, root) for path in page_files(root)]


def parse(text: str) -> list[str | Directive]:
    """Lines of plain text and top-level fenced blocks, in order."""
    parts, lines, at = [], text.splitlines(), 0
    while at < len(lines):
        opening = FENCE.match(lines[at])
        if opening is None:
            parts.append(lines[at])
            at += 1
            continue
        fence = opening["fence"]
        closing = re.compile(rf"^\s*{fence[0]}{{{len(fence)},}}\s*$")
        end = next((j for j in range(at + 1, len(lines)) if closing.match(lines[j])), len(lines))
        options, body = _split_options(lines[at + 1 : end])
        parts.append(Directive(opening["name"] or "", opening["argument"].strip(), options, body))
        at = end + 1
    return parts


def _split_options(lines: list[str]) -> tuple[dict[str, str], str]:
    """Options at the head of a block, as `:key: value` lines or between two `---`, and the body below them."""
    if lines and lines[0].strip() == "---":
        end = next((j for j in range(1, len(lines)) if lines[j].strip() == "---"), len(lines))
        return yaml.safe_load("\n".join(lines[1:end])) or {}, "\n".join(lines[end + 1 :])
    count = next((j for j, line in enumerate(lines) if not OPTION.match(line)), len(lines))
    matches = [OPTION.match(line) for line in lines[:count]]
    return {match["key"]: match["value"].strip() for match in matches}, "\n".join(lines[count:])


def directives(text: str) -> list[Directive]:
    """All directives, those inside others after the one that holds them; plain code fences hold none."""
    found = []
    for part in parse(text):
        if isinstance(part, Directive) and part.name:
            found += [part, *directives(part.body)]
    return found


def headings(text: str) -> list[tuple[int, str]]:
    """Level and title of each Markdown heading."""
    lines = [part for part in parse(text) if isinstance(part, str)]
    matches = [re.match(r"(#{1,6})\s+(.+?)\s*#*$", line) for line in lines]
    return [(len(match[1]), match[2]) for match in matches if match]


def tags(cell: nbformat.NotebookNode) -> list[str]:
    """Tags of a cell."""
    return cell.metadata.get("tags", [])


def has_image(output: nbformat.NotebookNode) -> bool:
    """Whether an output shows a picture."""
    return any(kind.startswith("image/") for kind in output.get("data", {}))


def printed_text(cell: nbformat.NotebookNode) -> list[str]:
    """Text that a code cell prints or returns, leaving out what stands behind a picture."""
    streams = [output.text for output in cell.outputs if output.output_type == "stream"]
    returned = [
        output.data["text/plain"]
        for output in cell.outputs
        if "text/plain" in output.get("data", {}) and not has_image(output)
    ]
    return streams + returned
