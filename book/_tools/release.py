"""What a release consists of: the package, the site as an archive, plain notebooks, and checksums of them all.

    python book/_tools/release.py           builds into _build/release, from a built site, and checks what it built
    python book/_tools/release.py v0.1.0    the same, and refuses if the tag is not that of the version
    python book/_tools/release.py check     checks the files that are there

The archives hold the same bytes whenever the same files go in: names are sorted and times fixed.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import export

ROOT = Path(__file__).resolve().parents[2]
SUMS = "SHA256SUMS"
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the first time that a zip file can hold
MASTERS = "coursework/instructor/"  # masters of the problem sets, with their solutions


def version(root: Path = ROOT) -> str:
    """The version in `pyproject.toml`."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def names(number: str) -> list[str]:
    """The files of a release, but for the list of checksums."""
    package = "llma_tutorial"
    archives = [f"{package}-{number}-py3-none-any.whl", f"{package}-{number}.tar.gz"]
    return [*archives, f"book-html-{number}.zip", f"notebooks-{number}.zip"]


def archive(folder: Path, target: Path) -> None:
    """Zip a folder, below one folder that bears the name of the archive."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(f"{target.stem}/{path.relative_to(folder).as_posix()}", LONG_AGO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, path.read_bytes())


def checksums(folder: Path, files: list[str]) -> str:
    """Lines as `sha256sum --check` reads them."""
    return "".join(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in files)


def build(root: Path, target: Path) -> list[str]:
    """Write all files of the release of `root` into the folder `target`, in place of what was there."""
    site = root / "_build/html"
    if not (site / "index.html").is_file():
        raise FileNotFoundError("The site must be built before a release. Got none: run `make book`.")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(target.resolve())]
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)
    files = names(version(root))
    archive(site, target / files[2])
    with TemporaryDirectory() as folder:  # with their figures, which the site's copies leave out for their weight
        export.write_all(export.pages(root / "book", ".ipynb"), root / "book", Path(folder))
        archive(Path(folder), target / files[3])
    (target / SUMS).write_text(checksums(target, files), encoding="utf-8")
    return files


def members(path: Path) -> set[str]:
    """Names of the files in an archive, without the folder that a source or zip archive puts them in."""
    if path.suffix == ".whl":
        return set(zipfile.ZipFile(path).namelist())
    if path.suffix == ".zip":
        found = zipfile.ZipFile(path).namelist()
    else:
        with tarfile.open(path) as packed:
            found = [member.name for member in packed.getmembers() if member.isfile()]
    return {name.partition("/")[2] for name in found}


def wanted(root: Path) -> list[set[str]]:
    """What the package, the source archive, the site and the notebooks must hold at least, in the order of `names`."""
    package = [
        path for path in (root / "llma_tutorial").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    results = [path.name for path in (root / "book/_results").glob("*.json")]
    chapters = [path.relative_to(root / "book") for path in export.pages(root / "book", ".ipynb")]
    inside = {path.relative_to(root).as_posix() for path in package}
    site = {f"book/{path.with_suffix('.html').as_posix()}" for path in chapters} | {"index.html", "book/intro.html"}
    source = inside | {f"book/{path.as_posix()}" for path in chapters} | {f"book/_results/{name}" for name in results}
    return [
        inside | {f"llma_tutorial/_results/{name}" for name in results},
        source | {"pyproject.toml", "README.md", "LICENSE", "Makefile", "requirements.txt"},
        site,
        {path.as_posix() for path in chapters},
    ]


def faults(root: Path, folder: Path) -> list[str]:
    """What is wrong with the release in a folder: files, checksums, and what the archives hold."""
    files = names(version(root))
    there = {path.name for path in folder.glob("*")} if folder.is_dir() else set()
    found = [f"{name} is missing" for name in (*files, SUMS) if name not in there]
    found += [f"{name} does not belong to version {version(root)}" for name in sorted(there - {*files, SUMS})]
    if found:
        return found
    listed = dict(line.split("  ")[::-1] for line in (folder / SUMS).read_text(encoding="utf-8").splitlines())
    found += [f"{SUMS} does not list {name}" for name in files if name not in listed]
    for line in checksums(folder, files).splitlines():
        checksum, name = line.split("  ")
        if listed.get(name, checksum) != checksum:
            found.append(f"{name} is not what {SUMS} says")
    for name, needed in zip(files, wanted(root), strict=True):
        held = members(folder / name)
        found += [f"{name} lacks {member}" for member in sorted(needed - held)]
        found += [f"{name} holds {member}" for member in sorted(held) if MASTERS in member]
    return found


def main(command: str = "") -> int:
    """Build, unless only a check is asked for, and check; the number of faults."""
    target, tag = ROOT / "_build/release", f"v{version()}"
    if command not in ("", "check", tag):
        print(f"The tag must be that of the version, {tag}. Got {command}.")
        return 1
    if command != "check":
        build(ROOT, target)
    found = faults(ROOT, target)
    for line in found or (f"{(target / name).stat().st_size / 1e6:8.2f} MB  {name}" for name in names(version())):
        print(line)
    return len(found)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
