"""Slides for teaching, from the chapters as they are: aims, statements, and figures with their captions.

python book/_tools/coursework/slides.py     writes _build/coursework/slides/<part>-<chapter>.ipynb
"""

import re
from pathlib import Path

import nbformat
from editions import export

TARGET = export.ROOT / "_build/coursework/slides"
PARTS = ("reading", "one-agent", "many-agents", "control", "practice")
STATEMENTS = ("theorem", "lemma", "proposition", "corollary", "definition", "assumption")


def slides(path: Path, labels: export.Labels) -> nbformat.NotebookNode:
    """The slides of one chapter: its title and aims, one for each section title, statement and figure."""
    notebook, made, title = nbformat.read(path, 4), [], ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            title, found = _words(cell.source, path, labels, title)
            made += found
        elif cell.cell_type == "code" and "mystnb" in cell.metadata:
            caption = cell.metadata["mystnb"].get("figure", {}).get("caption", "")
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    made.append(_figure(title, caption, output.data["image/png"]))
    for number, cell in enumerate(made):
        cell.id = f"slide-{number}"
        cell.metadata["slideshow"] = {"slide_type": "slide"}
    metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    return nbformat.v4.new_notebook(cells=made, metadata=metadata)


def _words(source, path, labels, title):
    """Title slide, section titles to stand over what follows, and statements of one Markdown cell."""
    made = []
    if heading := re.search(r"^# (.+)$", source, re.M):
        aims = re.search(r"\*\*What you will learn\*\*\s+((?:- .+\n?)+)", source)
        made.append(_text(export.plain(f"# {heading[1]}\n\n{aims[1] if aims else ''}", path, labels)))
    for part in export.split(source.splitlines()):
        if isinstance(part, str) and part.startswith("## "):
            title = part.removeprefix("## ")
        elif isinstance(part, export.Directive) and part.name.removeprefix("prf:") in STATEMENTS:
            statement = "\n".join([f":::{{{part.name}}} {part.title}", *part.body, ":::"])
            made.append(_text(f"## {title}\n\n{export.plain(statement, path, labels)}"))
    return title, made


def _text(source):
    return nbformat.v4.new_markdown_cell(source)


def _figure(title, caption, image):
    cell = nbformat.v4.new_markdown_cell(f"## {title}\n\n![{caption}](attachment:figure.png)\n\n{caption}")
    cell["attachments"] = {"figure.png": {"image/png": image}}
    return cell


def main() -> None:
    """Write the slides of every chapter."""
    TARGET.mkdir(parents=True, exist_ok=True)
    labels = export.read_labels(export.ROOT / "book")
    for path in export.pages(export.ROOT / "book", ".ipynb"):
        if path.parent.name in PARTS:
            target = TARGET / f"{path.parent.name}-{path.name}"
            nbformat.write(slides(path, labels), target)
            print(f"wrote {target.relative_to(export.ROOT)}")


if __name__ == "__main__":
    main()
