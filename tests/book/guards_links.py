"""Guards over what pages point to: the table of contents, links, labels and citations."""

import re
from pathlib import Path
from urllib.parse import unquote

from book.pages import ROOT, Page, directives, headings, page_files, parse, read_page

PROOFS = ("theorem", "lemma", "proposition", "corollary", "definition", "assumption", "example", "remark", "algorithm")
ROLE = re.compile(r"\{(?P<role>[\w:]+)\}`(?P<target>[^`]+)`")


def toc_files(toc: dict) -> list[str]:
    """Names in a table of contents, without endings."""
    found = [toc[key] for key in ("root", "file") if key in toc]
    for value in toc.values():
        found += [name for entry in value if isinstance(value, list) for name in toc_files(entry)]
    return found


def toc_faults(toc: dict, root: Path = ROOT) -> list[str]:
    """Pages that the table of contents leaves out, entries without a page, entries named twice."""
    pages = {path.relative_to(root).with_suffix("").as_posix() for path in page_files(root)}
    listed = toc_files(toc)
    found = [f"{name}: not in _toc.yml" for name in sorted(pages - set(listed))]
    found += [f"_toc.yml: {name} does not exist" for name in listed if name not in pages]
    found += [f"_toc.yml: {name} stands twice" for name in sorted(set(listed)) if listed.count(name) > 1]
    bad = [name for name in sorted(pages) if not re.fullmatch(r"[a-z0-9/-]+", name)]
    return found + [f"{name}: page names are lower case with hyphens" for name in bad]


def words_only(text: str) -> str:
    """Text without code: what is left may hold links and roles."""
    lines = []
    for part in parse(text):
        if isinstance(part, str):
            lines.append(part)
        elif part.name and part.name not in ("code-block", "code", "math"):
            lines += [part.argument, words_only(part.body)]
    role_or_code = r"(\{[\w:]+\}`[^`]+`)|(`+)(?:(?!\2).)+\2"
    return re.sub(role_or_code, lambda match: match[1] or "", "\n".join(lines), flags=re.DOTALL)


def slug(title: str) -> str:
    """Anchor that MyST gives to a heading."""
    plain = re.sub(r"\{[^}]*\}`([^`]*)`|[`*]|\[([^\]]*)\]\([^)]*\)", r"\1\2", title.lower())
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def targets(page: Page) -> set[str]:
    """Labels that {ref} and {numref} reach, and in-page anchors."""
    found = set(re.findall(r"(?m)^\s*\(([^)\s]+)\)=\s*$", page.text))
    for directive in directives(page.text):
        if not directive.name.startswith("prf:"):
            found |= {directive.options.get("label"), directive.options.get("name")}
    found |= {cell.metadata.get("mystnb", {}).get("figure", {}).get("name") for _, cell in page.code}
    return found - {None, ""}


def proof_labels(page: Page, kinds: tuple[str, ...] = PROOFS) -> list[str]:
    """Labels of theorem-like blocks; one without a label counts as an empty name."""
    named = [directive for directive in directives(page.text) if directive.name in {f"prf:{kind}" for kind in kinds}]
    return [directive.options.get("label", "") for directive in named]


def broken_links(page: Page, root: Path = ROOT) -> list[str]:
    """Links to files or headings that do not exist."""
    found = []
    for place, cell in page.markdown:
        for link in re.findall(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)", words_only(cell.source)):
            name, _, anchor = unquote(link).partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            file = (root / Path(page.path).parent / name).resolve() if name else root / page.path
            if name and not file.exists():
                found.append(f"{place}: link to {link}, which does not exist")
            elif anchor and anchor not in anchors(file, page if not name else None):
                found.append(f"{place}: link to {link}, which has no such heading")
    return found


def anchors(file: Path, page: Page | None) -> set[str]:
    """Anchors of a page, read from its file unless it is given."""
    page = page or read_page(file, file.parent)
    return {slug(title) for _, title in headings(page.text)} | targets(page)


def broken_references(pages: list[Page], bibliography: str) -> list[str]:
    """References to labels, theorems, pages or citations that do not exist, and labels given twice."""
    labels = [label for page in pages for label in targets(page)]
    proofs = [label for page in pages for label in proof_labels(page) if label]
    keys = re.findall(r"(?m)^\s*@\w+\{\s*([^,\s]+)\s*,", bibliography)
    known = {"ref": labels, "numref": labels, "prf:ref": proofs, "cite": keys}
    found = [f"label {name} is given twice" for name in sorted({n for n in labels if labels.count(n) > 1})]
    found += [f"label {name} is given twice" for name in sorted({n for n in proofs if proofs.count(n) > 1})]
    for page in pages:
        for place, cell in page.markdown:
            for role, target in ROLE.findall(words_only(cell.source)):
                role = role.split(":")[0] if role.startswith("cite") else role
                names = [re.sub(r".*<(.*)>", r"\1", name).strip() for name in target.split(",")]
                wrong = [name for name in names if role in known and name not in known[role]]
                found += [f"{place}: {{{role}}} to {name}, which does not exist" for name in wrong]
    return found


def raw_directives(page: Page) -> list[str]:
    """Directives and roles left in a plain notebook, which Colab would show as they are."""
    pattern = r"(?m)^\s*(?::{3,}|`{3,})\{[^}]+\}|\{[\w:]+\}`|^\s*\([\w-]+\)=\s*$"
    return [f"{place}: {match.strip()}" for place, cell in page.markdown for match in re.findall(pattern, cell.source)]
