"""Guards over every tracked file: secrets, words that hurt, paths of one machine; and over saved studies."""

import hashlib
import json
import re
import subprocess
from pathlib import Path

from book.pages import ROOT

SECRETS = {
    "an API key": r"\bsk-[A-Za-z0-9_-]{20,}",
    "a hub token": r"\bhf_[A-Za-z0-9]{20,}",
    "a GitHub token": r"\b(?:gh[opsur]_[A-Za-z0-9]{30,}|github_pat_\w{30,})",
    "a cloud key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a key in clear": r"(?i)\b(?:api_?key|secret|token|password)[\"']?\s*[:=]\s*[\"'][A-Za-z0-9_/+-]{12,}[\"']",
}
MACHINE_PATH = r"(?<![\w.:/-])/(?:home|work|Users|root)/[\w.-]+"
STUDY_FIELDS = {"function", "cells", "package_version", "seconds", "code_hash"}
BLOCK_LIST = ROOT / "tests/book/block_list.sha256"


def tracked_files(root: Path = ROOT) -> list[Path]:
    """Files that git tracks or would track; without git, all files outside hidden and built folders."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        names = subprocess.run(listing, cwd=root, capture_output=True, check=True, text=True).stdout.split("\0")
        files = [root / name for name in names if name]
    except (OSError, subprocess.CalledProcessError):
        skip = ("_build", "__pycache__", "dist")
        files = [p for p in root.rglob("*") if not any(q[0] == "." or q in skip for q in p.relative_to(root).parts)]
    return sorted(path for path in files if path.is_file())


def read_texts(files: list[Path]) -> dict[str, str]:
    """Contents of the files that hold text, by name; pictures inside notebooks are left out."""
    texts = {}
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        texts[path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name] = re.sub(
            r'"image/png": "[^"]*"', '""', text
        )
    return texts


def secrets(texts: dict[str, str]) -> list[str]:
    """Strings that look like a secret; the finding shows none of it."""
    return [
        f"{name}, line {text.count(chr(10), 0, match.start()) + 1}: holds what looks like {kind}"
        for name, text in texts.items() for kind, pattern in SECRETS.items() for match in re.finditer(pattern, text)
    ]  # fmt: skip


def machine_paths(texts: dict[str, str]) -> list[str]:
    """Absolute paths that exist on one machine only."""
    return [f"{name}: {match}" for name, text in texts.items() for match in re.findall(MACHINE_PATH, text)]


def blocked_words(texts: dict[str, str], block_list: Path = BLOCK_LIST) -> list[str]:
    """Words whose salted hash is in the block list; the finding says where, never which."""
    salt, *hashes = block_list.read_text(encoding="utf-8").split()
    found, known = [], {}
    for name, text in texts.items():
        for number, line in enumerate(text.lower().splitlines(), start=1):
            for word in re.findall(r"[^\W\d_]{3,}", line):
                if word not in known:
                    known[word] = hashlib.sha256((salt + word).encode()).hexdigest() in hashes
                if known[word]:
                    found.append(f"{name}, line {number}: holds a word of the block list")
    return found


def study_faults(path: Path, is_fresh) -> list[str]:
    """What is wrong with a saved study: missing fields, cells without seed or result, code that has changed."""
    study = json.loads(path.read_text(encoding="utf-8"))
    missing = sorted(STUDY_FIELDS - study.keys())
    found = [f"{path.name}: has no {', '.join(missing)}"] if missing else []
    for number, cell in enumerate(study.get("cells", [])):
        if "seed" not in cell.get("arguments", {}) or "result" not in cell:
            found.append(f"{path.name}, cell {number}: must hold its arguments with the seed, and its result")
    if not missing and not is_fresh(path):
        found.append(f"{path.name}: was computed by other code; `make results` computes it again")
    return found
