"""Where solutions may hide: every byte that is published, unpacked, searched for canaries and for solutions."""

import html
import io
import re
import tarfile
import zipfile
from pathlib import Path

import master as masters

CANARY = "LLMA" + "CANARY"  # one word, written so that this file holds none
STEM = CANARY.lower()[:-1]  # as a search index writes it


def files(path: Path):
    """Name and bytes of every file under a path, those inside archives too."""
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        yield from _opened(str(file.relative_to(path.parent)), file.read_bytes())


def _opened(name, content):
    if name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for inner in archive.namelist():
                yield from _opened(f"{name}/{inner}", archive.read(inner))
    elif name.endswith(".tar.gz"):
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in (m for m in archive.getmembers() if m.isfile()):
                yield from _opened(f"{name}/{member.name}", archive.extractfile(member).read())
    else:
        yield name, content


def solutions() -> list[str]:
    """The lines of code that stand in solutions and nowhere in what students get, without spaces."""
    found = set()
    for name in masters.names():
        master = masters.read(name)
        secret = [q.answer for q in master.questions.values()] + [q.hidden for q in master.questions.values()]
        lines = {_bare(line) for text in secret for line in text.splitlines() if len(_bare(line)) > 45}
        public = [masters.stub(q.answer) for q in master.questions.values()] + [master.setup]
        public += [q.public for q in master.questions.values()]
        found |= {line for line in lines if not any(line in _bare(text) for text in public)}
    return sorted(found)


def _bare(text: str) -> str:
    return "".join(text.split()).replace('"', "").replace("\\", "")


def leaks(*paths: Path) -> list[str]:
    """Published files that hold a canary or a line of a solution."""
    lines, found = solutions(), []
    for path in paths:
        for name, content in files(path):
            text = content.decode("utf-8", errors="ignore")
            if STEM in text.lower():
                found.append(f"{name}: holds a canary")
            if Path(name).suffix in (".py", ".ipynb", ".md", ".html", ".js", ".txt", ".json"):
                shown = html.unescape(re.sub(r"<[^>]+>", "", text)) if name.endswith(".html") else text
                bare = _bare(shown.replace("\\n", "\n"))
                found += [f"{name}: holds {line!r}" for line in lines if line in bare]
    return found
