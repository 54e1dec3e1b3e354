"""Fetching: from archives to the cache, whole or not at all; every fault that a network, a disk or a user can bring."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import made_archives as made
import pytest

from llma_tutorial import fetch
from llma_tutorial.__main__ import main

TESTS = Path(__file__).parent


@pytest.fixture
def archives(tmp_path, monkeypatch) -> Path:
    """Folder with both archives, which pip takes for the whole package index; the cache is empty."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setattr(fetch, "SOURCES", made.sources(folder))
    monkeypatch.setenv("LLMA_TUTORIAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def in_cache(folder: Path) -> dict[str, bytes]:
    """Every file below the cache but the locks."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


WHOLE = {"model/weights.bin": made.WEIGHTS, "texts/texts.txt": made.TEXTS, "texts/lexicon.txt": made.LEXICON}


def refused(kind: type[Exception], message: str, names: str = "model") -> str:
    """What `fetch` says as it refuses; nothing may have come into the cache."""
    with pytest.raises(kind, match=message) as caught:
        fetch.fetch(names)
    assert in_cache(fetch.cache_folder()) == {}
    assert not list(fetch.cache_folder().glob("*.partial-*"))
    with pytest.raises(FileNotFoundError, match="must have been fetched"):
        fetch.fetched(names)
    return str(caught.value)


# --- what it does ---------------------------------------------------------------------------------------------------


def test_members_come_into_the_cache_and_nothing_else(archives, capsys):
    fetch.fetch()
    assert in_cache(fetch.cache_folder()) == WHOLE
    assert not (archives / "setup.py was run").exists()
    assert fetch.fetched("texts", every_byte=True) == fetch.cache_folder() / "texts"
    printed = capsys.readouterr().out
    for piece in ("toy-model 1.0", "0.0 MB to download", "none needed", "Nobody (2026)", str(fetch.cache_folder())):
        assert piece in printed


def test_plain_pip_would_run_the_archives_own_code(archives, tmp_path):
    command = [*fetch.PIP, "download", "--no-deps", "--no-build-isolation", "--dest", str(tmp_path), "toytexts==1.0"]
    subprocess.run(command, capture_output=True, check=False)
    assert (archives / "setup.py was run").exists()


def test_second_call_does_nothing_and_says_so(archives, monkeypatch, capsys):
    fetch.fetch()
    monkeypatch.setattr(fetch, "PIP", ["there is no such program"])
    monkeypatch.setattr(fetch, "place", None)  # nothing is written, so a cache that only others may write will do
    capsys.readouterr()
    fetch.fetch()
    assert capsys.readouterr().out.count("already there") == 2


def test_one_name_or_several(archives):
    fetch.fetch("texts")
    assert {name.split("/")[0] for name in in_cache(fetch.cache_folder())} == {"texts"}
    with pytest.raises(ValueError, match=r'`names` must be one of "model", "texts". Got \'nonsense\'.'):
        fetch.fetch(["model", "nonsense"])
    with pytest.raises(ValueError, match="`name` must be one of"):
        fetch.fetched("nonsense")


def test_cache_folder_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LLMA_TUTORIAL_CACHE", "~/elsewhere")
    assert fetch.cache_folder() == Path("~/elsewhere").expanduser()
    monkeypatch.setenv("LLMA_TUTORIAL_CACHE", "here")
    assert fetch.cache_folder() == Path.cwd() / "here"
    monkeypatch.setenv("LLMA_TUTORIAL_CACHE", "")
    assert fetch.cache_folder().name == "llma_tutorial"


def test_not_fetched_names_the_command(archives):
    with pytest.raises(FileNotFoundError, match=r"(?s)`texts` must have been fetched.*llma_tutorial fetch texts$"):
        fetch.fetched("texts")


def test_pins_name_plain_files():
    for source in fetch.SOURCES.values():
        assert re.fullmatch("[0-9a-f]{64}", source.sha256)
        names = [member.name for member in source.members]
        assert len(set(names)) == len(names)
        for member in source.members:
            assert re.fullmatch("[0-9a-f]{64}", member.sha256)
            assert Path(member.name).name == member.name  # no path comes out of an archive


# --- what the index may serve ---------------------------------------------------------------------------------------


def test_another_archive_is_refused_before_it_is_opened(archives):
    made.source_archive(archives, **{"pyproject.toml": b"[build-system]\nrequires = []\nbuild-backend = 'setup'\n"})
    message = refused(ValueError, "`toytexts` 1.0 must have the SHA-256", "texts")
    assert "nothing of it is used" in message
    assert not (archives / "setup.py was run").exists()


def test_half_an_archive_is_refused(archives):
    path = archives / "toy_model-1.0-py3-none-any.whl"
    path.write_bytes(path.read_bytes()[:2000])
    refused((ValueError, OSError), "`toy-model` 1.0 must have the SHA-256|`pip` must be able to download")


def test_another_archive_is_refused_even_if_pip_takes_it(archives, monkeypatch):
    pip = made.misbehaving_pip(archives, "copies", archives / "toytexts-1.0.tar.gz")
    monkeypatch.setattr(fetch, "PIP", pip)
    refused(ValueError, "`toytexts-1.0.tar.gz` must have the SHA-256")


def pinned(monkeypatch, name: str, archive: Path, *members: fetch.Member) -> None:
    """Pin an archive as it is, with these members."""
    monkeypatch.setitem(fetch.SOURCES, name, made.described(archive, members))


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": made.sha256(b"other")},
        {"size": len(made.TEXTS) - 1},  # the member goes on where it should end
        {"size": len(made.TEXTS) + 1},
    ],
)
def test_another_member_is_refused(archives, monkeypatch, change):
    source = fetch.SOURCES["texts"]
    members = (replace(source.members[0], **change), source.members[1])
    monkeypatch.setitem(fetch.SOURCES, "texts", replace(source, members=members))
    refused(ValueError, "`inner/texts.txt` must have .* bytes and the SHA-256", "texts")


def test_a_member_that_is_missing_or_no_plain_file_is_refused(archives, monkeypatch):
    for path in (("toytexts-1.0/none.txt",), ("toytexts-1.0/inner.tar.gz", "inner/none.txt")):
        pinned(monkeypatch, "texts", archives / "toytexts-1.0.tar.gz", made.member(made.TEXTS, "texts.txt", *path))
        refused(ValueError, f"must hold {path[-1]}", "texts")
    pinned(monkeypatch, "model", archives / "toy_model-1.0-py3-none-any.whl", made.member(b"", "none", "none"))
    refused(ValueError, "must hold none")
    wanted = made.member(made.TEXTS, "texts.txt", "toytexts-1.0/inner.tar.gz", "inner/texts.txt")
    inner = made.tar({}, links={"inner/texts.txt": "/etc/hostname"})
    pinned(monkeypatch, "texts", made.source_archive(archives, **{"inner.tar.gz": inner}), wanted)
    refused(ValueError, "no plain file", "texts")


def test_a_damaged_archive_inside_is_refused(archives, monkeypatch):
    wanted = fetch.SOURCES["texts"].members[0]
    for inner in (b"", b"\x1f\x8b", made.tar({"inner/texts.txt": made.TEXTS * 500})[:100]):
        pinned(monkeypatch, "texts", made.source_archive(archives, **{"inner.tar.gz": inner}), wanted)
        refused(ValueError, "or a damaged one", "texts")


# --- what pip may do ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("breaks off", r"(?s)`pip` must be able to download toy-model==1.0. Got exit status 1:.*the line went dead"),
        ("brings two", "`pip` must bring one archive of toy-model. Got 2"),
    ],
)
def test_a_pip_that_fails_is_named(archives, monkeypatch, how, message):
    monkeypatch.setattr(fetch, "PIP", made.misbehaving_pip(archives, how, archives / "toy_model-1.0-py3-none-any.whl"))
    refused(OSError, message)


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ("/usr/bin/python: No module named pip", "`pip` must be in this environment.*ensurepip"),
        (
            "OSError: [Errno 28] No space left on device",
            "`LLMA_TUTORIAL_CACHE` must name a folder that has .* MB of free",
        ),
    ],
)
def test_what_pip_says_is_understood(archives, monkeypatch, says, message):
    monkeypatch.setenv("PIP_SAYS", says)
    monkeypatch.setattr(fetch, "PIP", made.misbehaving_pip(archives, "says", archives))
    refused(OSError, message)


def test_an_index_without_the_package_is_named(archives):
    (archives / "toy_model-1.0-py3-none-any.whl").unlink()
    message = refused(OSError, "`pip` must be able to download toy-model==1.0")
    assert "No matching distribution" in message
    assert "PIP_FIND_LINKS" in message


# --- what the disk may do -------------------------------------------------------------------------------------------


def test_a_full_disk_is_named(archives, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(fetch.os, "fsync", full)
    message = refused(OSError, "`LLMA_TUTORIAL_CACHE` must name a folder that has .* MB of free space")
    assert str(fetch.cache_folder()) in message
    assert "Nothing half-written is kept" in message


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_is_named(archives, monkeypatch, number):
    def closed(self, *arguments, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fetch.Path, "mkdir", closed)
    message = refused(OSError, "`LLMA_TUTORIAL_CACHE` must name a folder that you may write")
    assert os.strerror(number) in message


def test_a_cache_below_a_file_is_named(archives, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LLMA_TUTORIAL_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(OSError, match=r"must name a folder that you may write. Got .*file/cache"):
        fetch.fetch("texts")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(archives, tmp_path):
    (tmp_path / "cache").mkdir(mode=0o555)
    with pytest.raises(OSError, match="must name a folder that you may write"):
        fetch.fetch("texts")


def test_damage_in_the_cache_is_seen_and_mended(archives, capsys):
    fetch.fetch()
    path, size = fetch.cache_folder() / "texts" / "texts.txt", len(made.TEXTS)
    path.write_bytes(made.TEXTS[:-1] + b"?")  # as long as before
    fetch.fetched("texts")
    with pytest.raises(FileNotFoundError, match=r"texts\.txt with another SHA-256"):
        fetch.fetched("texts", every_byte=True)
    assert fetch.check() == ["texts: texts.txt with another SHA-256"]
    path.write_bytes(made.TEXTS[:-1])
    with pytest.raises(FileNotFoundError, match=rf"texts\.txt of {size - 1} bytes instead of {size}"):
        fetch.fetched("texts")
    path.unlink()
    assert "no texts.txt" in fetch.check("texts")[0]
    fetch.fetch()
    assert in_cache(fetch.cache_folder()) == WHOLE
    assert fetch.check() == []
    assert capsys.readouterr().out.count("whole, in") == 3  # the model twice


# --- interrupted, killed, two at once -------------------------------------------------------------------------------

DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import made_archives as made
from llma_tutorial import fetch
from llma_tutorial.__main__ import main
folder, how = Path(sys.argv[2]), sys.argv[3]
fetch.SOURCES = made.sources(folder)
fetch.PIP = made.misbehaving_pip(folder, how, folder / "toy_model-1.0-py3-none-any.whl")
print("ready", flush=True)
sys.stdin.readline()
sys.exit(main(["fetch", "model"]))
"""


def started(archives: Path, how: str) -> subprocess.Popen:
    """Another process, about to fetch with a pip that behaves like `how`."""
    command = [sys.executable, "-c", DRIVER, str(TESTS), str(archives), how]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(command, text=True, **pipes)
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen) -> None:
    process.stdin.write("go\n")
    process.stdin.flush()


def wait_for(found) -> None:
    for _ in range(600):
        if found():
            return
        time.sleep(0.05)
    raise AssertionError("nothing happened for half a minute")


def half_way(archives: Path) -> subprocess.Popen:
    """A process whose pip has written half a file and hangs."""
    process = started(archives, "hangs")
    go(process)
    wait_for(lambda: list(fetch.cache_folder().glob("model.partial-*/archive/half")))
    return process


def test_an_interrupted_run_leaves_nothing(archives):
    process = half_way(archives)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "nothing half-fetched is kept" in errors
    assert not list(fetch.cache_folder().glob("*.partial-*"))
    fetch.fetch("model")
    assert in_cache(fetch.cache_folder()) == {"model/weights.bin": made.WEIGHTS}


def test_what_a_killed_run_left_is_not_used_and_removed(archives):
    process = half_way(archives)
    process.kill()
    process.communicate(timeout=30)
    assert list(fetch.cache_folder().glob("model.partial-*"))
    with pytest.raises(FileNotFoundError, match="must have been fetched"):
        fetch.fetched("model")
    fetch.fetch("model")
    assert in_cache(fetch.cache_folder()) == {"model/weights.bin": made.WEIGHTS}


def test_of_two_processes_one_fetches_and_the_other_waits(archives):
    processes = [started(archives, "slow") for _ in range(2)]
    for process in processes:
        go(process)
    printed = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert (archives / "calls").read_text() == "called\n"
    assert sum("another process is at it; waiting" in text for text in printed) == 1
    assert sum("another process has fetched it" in text for text in printed) == 1
    assert in_cache(fetch.cache_folder()) == {"model/weights.bin": made.WEIGHTS}


# --- the command ----------------------------------------------------------------------------------------------------


def test_command_fetches_checks_and_refuses(archives, capsys):
    assert main(["fetch", "--check"]) == 1
    assert main(["fetch", "texts", "model"]) == 0
    assert main(["fetch", "--check"]) == 0
    assert main(["fetch", "nonsense"]) == 1
    assert '`names` must be one of "model", "texts"' in capsys.readouterr().err


# --- nothing else opens a connection --------------------------------------------------------------------------------

GUARD = """
import sys
def guard(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname"):
        raise SystemExit(f"connection: {event}")
    if event == "subprocess.Popen" and "pip" in str(arguments):
        raise SystemExit("pip was called")
sys.addaudithook(guard)
"""
READERS = """
from llma_tutorial.reading import corpora, models
for door in (corpora.human_reviews, models.pretrained):
    try:
        door()
    except FileNotFoundError as error:
        assert "python -m llma_tutorial fetch" in str(error)
"""
USE = """
from llma_tutorial.reading import corpora, models
corpora.human_reviews()
model = models.pretrained(chat_template=False)
print(model.score(["An invented sentence."], ["Good?"], ["yes", "no"]).shape)
"""


def guarded(program: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", GUARD + program], capture_output=True, text=True, check=False)


def test_doors_without_files_open_no_connection(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMA_TUTORIAL_CACHE", str(tmp_path))
    done = guarded(READERS)
    assert (done.returncode, done.stderr) == (0, "")


def test_doors_with_files_open_no_connection():
    try:
        fetch.fetched("reviews")
        fetch.fetched("smollm2")
    except FileNotFoundError:
        pytest.skip("not fetched")
    done = guarded(USE)
    assert done.returncode == 0, done.stderr
    assert "(1, 1, 2)" in done.stdout


@pytest.mark.parametrize(
    "program",
    [
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/')",
        "import socket; socket.create_connection(('localhost', 9))",
        "from huggingface_hub import hf_hub_download; hf_hub_download('no/such', 'file', cache_dir='nowhere')",
        "from llma_tutorial import fetch; fetch.fetch('reviews')",
    ],
)
def test_guard_sees_a_connection(tmp_path, monkeypatch, program):
    monkeypatch.setenv("LLMA_TUTORIAL_CACHE", str(tmp_path))
    done = guarded(program)
    assert done.returncode == 1
    assert "connection: " in done.stderr or "pip was called" in done.stderr
