"""Results of the studies that are too slow for a page.

A study is a module `book/_results/<name>.py`; `make results` computes its cells and writes them, with their arguments,
the package version and a hash of the code, to `book/_results/<name>.json`. Chapters read that file, recompute one
cell live and compare; a test recomputes another. A wheel of the package carries the files. Chapter: `how-to-use`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parent
_FOLDERS = (_PACKAGE.parent / "book" / "_results", _PACKAGE / "_results")


def load(name: str) -> dict[str, Any]:
    """Saved result of one study.

    Parameters
    ----------
    name : str
        Name of the study, without suffix.

    Returns
    -------
    dict
        ``title``, ``chapter``, ``function``, ``cells`` (each with ``arguments`` and ``result``), ``package_version``,
        ``seconds``, ``code_hash``.

    Notes
    -----
    Chapter `how-to-use`.

    Examples
    --------
    >>> load("no-such-study")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    FileNotFoundError: `name` must be a saved study. Got 'no-such-study'...
    """
    for folder in _FOLDERS:
        path = folder / f"{name}.json"
        if path.is_file():
            return json.loads(path.read_text(encoding="utf-8"))
    known = ", ".join(sorted({path.stem for folder in _FOLDERS for path in folder.glob("*.json")})) or "none"
    raise FileNotFoundError(
        f"`name` must be a saved study. Got {name!r}; saved are {known}. `make results` saves them."
    )
