"""Your own labelled texts, from a table with any column names."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import pandas as pd

from llma_tutorial.reading.corpora import _files
from llma_tutorial.reading.corpora._corpus import About, Corpus, Tally

ABOUT = About("Own data", licence="yours to state", citation="yours to state")


def from_csv(
    path: str | PathLike[str],
    *,
    text: str,
    state: str,
    environment: str | None = None,
    id: str | None = None,
    states: Sequence[str] | None = None,
) -> Corpus:
    """Labelled texts from a CSV file (plain, gzip or zip) or a parquet file with your column names.

    Parameters
    ----------
    path : path
        The table; its first line names the columns.
    text, state : str
        Columns with the text and with its true state.
    environment : str, optional
        Column with the environment (prompt, payoff, noise level, ...); all rows are in environment 0 if omitted.
    id : str, optional
        Column with an identifier, different in every row; the record's number if omitted.
    states : sequence of str, optional
        The words in the column `state`, in the order of their numbers 0, 1, ...; without it the column must hold
        these numbers.

    Returns
    -------
    Corpus
        No extra columns.

    Raises
    ------
    ValueError
        If the file is damaged, a column is missing, a state is none of those allowed, or an identifier stands on
        rows that differ.
    FileNotFoundError
        If there is no such file.

    Notes
    -----
    Described in `reference/data-sets`.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "mine.csv")
    >>> _ = path.write_text("review,quality\\nDied in a week.,bad\\nStill going.,good\\n")
    >>> from_csv(path, text="review", state="quality", states=["bad", "good"]).frame
                  text  state  environment  id
    0  Died in a week.      0            0   1
    1     Still going.      1            0   2
    """
    path = Path(path)
    names = {"text": text, "state": state, "environment": environment, "id": id}
    names = {tidy: name for tidy, name in names.items() if name is not None}
    columns = _files.columns_of(path)
    for tidy, name in names.items():
        if name not in columns:
            raise ValueError(f"`{tidy}` must name a column of `{path.name}`. Got {name!r}, but there are {columns}.")
    table = _files.table(path, set(names.values()))
    frame = pd.DataFrame({tidy: table[name] for tidy, name in names.items()})
    tally = Tally(read=len(frame))
    frame = tally.drop_untold(frame, "text", "text")
    frame = tally.drop_untold(frame, "state", "state")
    if id is None:
        frame["id"] = frame.index + 1
    else:
        frame = tally.drop_duplicate_ids(tally.drop_untold(frame, "id", "identifier"), "id", path)
    if environment is None:
        frame["environment"] = 0
    else:
        frame = tally.drop_untold(frame, "environment", "environment")
    frame["state"] = _coded(frame["state"], state, states, path)
    return tally.corpus(frame, ABOUT, path)


def _coded(values: pd.Series, column: str, states: Sequence[str] | None, path: Path) -> pd.Series:
    if states is None:
        return _files.numbers(values, column, path, lower=0, whole=True).astype(int)
    codes = values.astype(str).map({word: code for code, word in enumerate(states)})
    _files.refuse(values, codes.isna(), column, f"one of {list(states)}", path)
    return codes.astype(int)
