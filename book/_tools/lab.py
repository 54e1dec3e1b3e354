"""What `make lab` opens: the book laid out for JupyterLab, in the reader's own folder and in the order of the book.

JupyterLab with MyST sets theorems and exercises, but sees one page at a time and shows what a cell prints as soon as it
has run. So references to other pages and to the bibliography become links in words, a solution is one folded block
that "Run All" does not compute, set-up, checks and drawing are folded, and captions follow their figures. A page that
its reader has changed is kept; delete it to get a fresh one.

    python book/_tools/lab.py            lays the book out in lab/
    python book/_tools/lab.py folder     the same, elsewhere
"""

import json
import re
import shutil
import sys
from hashlib import sha256
from os.path import relpath
from pathlib import Path

import export
import nbformat
import yaml

LAID_OUT = ".laid-out.json"  # in the folder: hashes of what was put there, to tell what its reader has changed
WITHIN_A_PAGE = ("prf:ref", "ref", "eq")  # roles that JupyterLab resolves there


def places(contents: dict) -> dict[str, str]:
    """Where each page of the table of contents goes, without suffix: numbered folders, numbered pages."""
    found = {contents["root"].removeprefix("book/"): "intro"}
    folders: list[str] = []
    for entry in (entry for part in contents["parts"] for entry in _flat(part["chapters"])):
        folder, _, name = entry["file"].removeprefix("book/").rpartition("/")
        if not folder:
            found[name] = name
            continue
        if folder not in folders:
            folders.append(folder)
        number = 1 + sum(place.startswith(f"{folders.index(folder) + 1}-") for place in found.values())
        found[f"{folder}/{name}"] = f"{folders.index(folder) + 1}-{folder}/{number:02}-{name}"
    return found


def _flat(chapters: list[dict]) -> list[dict]:
    return [one for chapter in chapters for one in (chapter, *_flat(chapter.get("sections", [])))]


class Layout:
    """The book as its reader gets it: the pages, where they go, and what their labels are called in words."""

    def __init__(self, book: Path, contents: dict):
        self.book, self.labels = book, export.read_labels(book)
        self.places = places(contents)

    def place(self, path: Path) -> Path:
        """Place of a page below the reader's folder."""
        name = path.relative_to(self.book).with_suffix("").as_posix()
        return Path(self.places[name]).with_suffix(path.suffix)

    def text(self, source: str, path: Path) -> str:
        """Markdown with its directives, in which what leads to other pages is a link in words; code is left alone."""
        pieces = re.split(r"(?ms)^(```\w*\n.*?^```$)", source)
        return "".join(piece if odd % 2 else self._inline(piece, path) for odd, piece in enumerate(pieces))

    def _inline(self, text: str, path: Path) -> str:
        linked = export.LINK.sub(lambda match: self._link(match, path), text)
        return export.ROLE.sub(lambda match: self._role(match, path), linked)

    def _link(self, match: re.Match, path: Path) -> str:
        target = (path.parent / match["page"]).resolve() if match["page"] else path
        if target == path or target not in self.labels.titles:
            return match[0]
        return self._way(path, target, match["text"])

    def _way(self, path: Path, target: Path, words: str = "") -> str:
        """A link from one page to another as they lie in the reader's folder."""
        way = Path(relpath(self.place(target), self.place(path).parent)).as_posix()
        return f"[{words or self.labels.titles[target]}]({way})"

    def _role(self, match: re.Match, path: Path) -> str:
        name, content = match["name"], match["content"]
        words, _, label = content.rstrip(">").rpartition("<")
        if name.startswith("cite"):
            return export.citation(name, content)
        if name.startswith("py:"):
            return f"`{content}`"
        if name == "doc":
            return self._way(path, (path.parent / export.with_suffix(path, label)).resolve(), words.strip())
        if name not in (*WITHIN_A_PAGE, "numref") or label not in self.labels.words:
            return match[0]
        home, own_words = self.labels.words[label]
        words = own_words if "%" in words else words.strip() or own_words
        if home == path:
            return words if name == "numref" else match[0]
        return f"{words} of {self._way(path, home)}"

    def notebook(self, path: Path) -> str:
        """A notebook with its figures, whose solutions, set-up, checks and drawing are folded."""
        notebook = nbformat.read(path, 4)
        drawn = [
            cell.id
            for cell in notebook.cells
            if cell.cell_type == "code" and "figure" in cell.metadata.get("mystnb", {})
        ]
        cells = []
        for cell in export.fold_solutions(notebook.cells):
            cells.append(cell)
            if cell.cell_type == "markdown":
                cell.source = self.text(cell.source, path)
                continue
            if export.FOLDED & set(cell.metadata.get("tags", [])):
                cell.metadata["jupyter"] = {"source_hidden": True}
            if caption := cell.metadata.get("mystnb", {}).get("figure", {}).get("caption"):
                words = f"*Figure {drawn.index(cell.id) + 1}.* {self.text(caption, path)}"
                cells.append(nbformat.v4.new_markdown_cell(words, id=f"{cell.id}-caption"))
        notebook.cells = cells
        return nbformat.writes(notebook) + "\n"

    def page(self, path: Path) -> str:
        """What a page of the reader's folder holds."""
        return self.notebook(path) if path.suffix == ".ipynb" else self.text(path.read_text(encoding="utf-8"), path)


def lay_out(book: Path, contents: dict, target: Path) -> list[Path]:
    """Put the book into the folder `target`; the pages that were kept because their reader has changed them."""
    layout, record = Layout(book, contents), target / LAID_OUT
    before = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    hashes, kept = {}, []
    for path in export.pages(book, ".ipynb", ".md"):
        if path.relative_to(book).with_suffix("").as_posix() not in layout.places:
            continue
        place = layout.place(path)
        copy = target / place
        if copy.exists() and _hash(copy.read_text(encoding="utf-8")) != before.get(place.as_posix()):
            kept.append(place)
            continue
        text = layout.page(path)
        hashes[place.as_posix()] = _hash(text)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text, encoding="utf-8")
    shutil.copytree(book / "_static", target / "_static", dirs_exist_ok=True)
    record.write_text(json.dumps(hashes, indent=1), encoding="utf-8")
    return kept


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def main(folder: str = "lab") -> None:
    """Lay the book out and say what was kept."""
    contents = yaml.safe_load((export.ROOT / "_toc.yml").read_text(encoding="utf-8"))
    for place in lay_out(export.ROOT / "book", contents, export.ROOT / folder):
        print(f"kept your {folder}/{place}; delete it to get a fresh one")


if __name__ == "__main__":
    main(*sys.argv[1:])
