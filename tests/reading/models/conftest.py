"""Models and servers that several tests share; every server runs on loopback, at a port that is free."""

import os
import queue
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from reading.models import fault_server, tiny

from llma_tutorial.reading.models import classroom


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Folder of a tiny model of a given architecture, made once."""
    made = {}

    def get(kind: str) -> Path:
        if kind not in made:
            made[kind] = tiny.save(tmp_path_factory.mktemp(kind), kind)
        return made[kind]

    return get


@pytest.fixture
def server():
    made = fault_server.FaultServer()
    yield made
    made.close()


@pytest.fixture(scope="session")
def reader_folder():
    """The classroom reader as it comes with the package."""
    return classroom("reader").folder


@pytest.fixture(scope="session")
def serving(reader_folder):
    """Address of `transformers serve` with the classroom reader, offline; its name there is the folder."""
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(reader_folder)]
    command += ["--host", "127.0.0.1", "--port", "0", "--device", "cpu", "--default-seed", "5"]
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    process = subprocess.Popen(command, env=offline, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield _address(process)
    finally:
        process.kill()
        process.wait(10)


def _address(process: subprocess.Popen) -> str:
    """Where the server says that it listens; its output is read on, so that it never waits for a reader."""
    found: queue.Queue = queue.Queue()

    def read():
        lines = []
        for line in process.stdout:
            lines.append(line)
            if address := re.search(r"running on (http://[\d.:]+)", line):
                found.put(address[1] + "/v1")
        found.put("".join(lines[-20:]))

    threading.Thread(target=read, daemon=True).start()
    address = found.get(timeout=120)
    assert address.startswith("http"), f"the server did not start:\n{address}"
    return address
