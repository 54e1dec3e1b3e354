"""Texts with their states: `Corpus`, the result of every loader, the account of its rows, and your own table.

Every row of a source is kept, merged into another or dropped, and counted by reason (`Tally`); rows that do not add up
are an error. Printed, a corpus shows numbers and no text. Described in `reference/data-sets`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.reading.corpora import files

TIDY = ["text", "state", "environment", "id"]
LONGEST_TEXT = 1_000_000  # characters; the longest article seen in any of the data sets has 79,401
DUPLICATE = "exact duplicate of an earlier row"


@dataclass(frozen=True)
class About:
    """What a data set is, under which licence, and how to cite it."""

    name: str
    licence: str
    citation: str


@dataclass(frozen=True, eq=False, repr=False)
class Corpus:
    """Labelled texts in a tidy frame, with an account of every row that was read.

    Attributes
    ----------
    frame : pandas.DataFrame
        Columns ``text``, ``state`` (whole numbers from 0), ``environment``, ``id``, then those of the data set.
    about : About
        Name, licence and citation of the data set.
    source : str
        File, or file on the hub, from which the rows come.
    rows_read : int
        Rows in the source: always ``len(frame) + merged + sum(dropped.values())``.
    merged : int
        Rows that were merged into another one (annotations of the same comment).
    dropped : mapping of str to int
        Rows left out, by reason.
    noted : mapping of str to int
        Rows kept although something about them is worth knowing.
    """

    frame: pd.DataFrame
    about: About
    source: str
    rows_read: int
    merged: int
    dropped: Mapping[str, int]
    noted: Mapping[str, int]

    def __repr__(self) -> str:
        states = self.frame["state"].value_counts(dropna=False).sort_index()
        lines = [("rows", f"{self.rows_read:,} read, {len(self.frame):,} kept")]
        lines += [("merged", f"{self.merged:,} into rows that are kept")] * bool(self.merged)
        lines += [("dropped", f"{count:,}: {reason}") for reason, count in self.dropped.items()]
        lines += [("noted", f"{count:,}: {what}") for what, count in self.noted.items()]
        lines += [("states", ", ".join(f"{state}: {count:,}" for state, count in states.items()))]
        lines += [("source", self.source), ("licence", self.about.licence), ("cite", self.about.citation)]
        return "\n".join([self.about.name, *(f"  {label:<8} {value}" for label, value in lines)])


@dataclass
class Tally:
    """Rows read, merged, dropped and noted so far, by reason."""

    read: int = 0
    merged: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)

    def drop(self, frame: pd.DataFrame, mask: pd.Series, reason: str) -> pd.DataFrame:
        """`frame` without the rows of `mask`, which are counted under `reason`."""
        self.dropped[reason] += int(mask.sum())
        return frame[~mask].copy() if mask.any() else frame

    def drop_untold(self, frame: pd.DataFrame, column: str, what: str) -> pd.DataFrame:
        """`frame` without the rows whose `column` is missing or blank."""
        values = frame[column]
        blank = values.isna() | (values.astype(str).str.strip() == "")
        return self.drop(frame, blank, f"no {what}")

    def drop_duplicate_ids(self, frame: pd.DataFrame, column: str, path: Path) -> pd.DataFrame:
        """`frame` without exact duplicate rows; the same id on rows that differ is refused."""
        frame = self.drop(frame, frame.duplicated(), DUPLICATE)
        repeated = frame[column].duplicated(keep=False)
        if repeated.any():
            value = frame.loc[repeated, column].iloc[0]
            records = [int(record) + 1 for record in frame.index[frame[column] == value][:2]]
            raise ValueError(
                f"`{column}` must be different in every row of `{path.name}`. "
                f"Got {value} in records {records[0]} and {records[1]}, which are not the same: keep one of them."
            )
        return frame

    def corpus(self, frame: pd.DataFrame, about: About, path: Path) -> Corpus:
        """The result, once its texts have been checked and its rows add up."""
        if "text" in frame.columns:
            texts = frame["text"].astype(str)
            _check_lengths(texts, path)
            frame = frame.assign(text=texts.str.replace("\r\n", "\n"))
        dropped = {reason: count for reason, count in self.dropped.items() if count}
        if frame.empty:
            reasons = ", ".join(f"{count:,} with {reason}" for reason, count in dropped.items())
            raise ValueError(f"`{path.name}` must hold at least one usable row. Got {self.read:,} rows: {reasons}.")
        extra = [column for column in frame.columns if column not in TIDY]
        frame = frame[[column for column in TIDY if column in frame.columns] + extra].reset_index(drop=True)
        if self.read != len(frame) + self.merged + sum(dropped.values()):
            raise AssertionError(f"Rows do not add up: {self.read} read, {len(frame)} kept, {self}.")
        noted = {what: count for what, count in self.noted.items() if count}
        return Corpus(frame, about, str(path), self.read, self.merged, dropped, noted)


def _check_lengths(texts: pd.Series, path: Path) -> None:
    """Refuse giant texts: in a table they mean a quotation mark that was never closed."""
    lengths = texts.str.len()
    if (lengths > LONGEST_TEXT).any():
        raise ValueError(
            f"`text` must have at most {LONGEST_TEXT:,} characters in every record of `{path.name}`. "
            f"Got {int(lengths.max()):,} in record {lengths.idxmax() + 1}: is a quotation mark there never closed?"
        )


def score_bins(scores: pd.Series, edges: ArrayLike) -> np.ndarray:
    """State of each score: the number of `edges` at or below it, so that a bin contains its lower edge."""
    edges = _validate.real_array("edges", edges, (None,))
    if (np.diff(edges) <= 0).any():
        raise ValueError(f"`edges` must rise from each to the next. Got {edges.tolist()}.")
    return np.digitize(scores, edges)


OWN = About("Own data", licence="yours to state", citation="yours to state")


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
    if states is not None and (isinstance(states, str) or len(set(states)) < len(states)):
        raise ValueError(f"`states` must be a list of different words. Got {states!r}.")
    names = {"text": text, "state": state, "environment": environment, "id": id}
    names = {tidy: name for tidy, name in names.items() if name is not None}
    columns = files.columns_of(path)
    for tidy, name in names.items():
        if name not in columns:
            raise ValueError(f"`{tidy}` must name a column of `{path.name}`. Got {name!r}, but there are {columns}.")
    table = files.table(path, set(names.values()))
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
    return tally.corpus(frame, OWN, path)


def _coded(values: pd.Series, column: str, states: Sequence[str] | None, path: Path) -> pd.Series:
    if states is None:
        return files.numbers(values, column, path, lower=0, whole=True).astype(int)
    codes = values.astype(str).map({word: code for code, word in enumerate(states)})
    files.refuse(values, codes.isna(), column, f"one of {list(states)}", path)
    return codes.astype(int)
