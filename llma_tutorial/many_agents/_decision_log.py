"""A decision log at the boundary: a long table, checked row by row, becomes arrays and the history of every decision.

Rows are counted from 1, the header not included. What is wrong is refused with the first row in which it shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

REQUIRED, OPTIONAL = ("run", "order", "action"), ("signal", "truth")
MOST_ACTIONS = 50
MOST_WHOLE = 2**53  # beyond it floats skip whole numbers


@dataclass(frozen=True, eq=False)
class DecisionLog:
    """Decisions sorted by run and order; `leader` is what most predecessors did, by `lead` more than the next.

    `run` and `position` count from 0; `counts[j]` says how many predecessors took action j. `leader` is the lowest of
    the tied when `lead` is 0. `signal` and `truth` are None where they were not logged.
    """

    run: np.ndarray
    position: np.ndarray
    action: np.ndarray
    signal: np.ndarray | None
    truth: np.ndarray | None
    labels: np.ndarray
    counts: np.ndarray
    leader: np.ndarray
    lead: np.ndarray

    @property
    def n_runs(self) -> int:
        """How many runs there are."""
        return len(self.labels)

    @property
    def n_actions(self) -> int:
        """How many actions there are."""
        return len(self.counts)

    def first(self, mask: np.ndarray) -> np.ndarray:
        """Position of the first decision of each run that is marked, -1 if none is."""
        found = np.full(self.n_runs, -1)
        runs, rows = np.unique(self.run[mask], return_index=True)
        found[runs] = self.position[mask][rows]
        return found


def read_log(log: pd.DataFrame | str) -> DecisionLog:
    """The log as arrays, or a refusal that names the row."""
    frame = _table(log)
    codes = {name: _whole(frame, name) for name in ("order", "action", *OPTIONAL) if name in frame.columns}
    for name in ("action", *OPTIONAL):
        if name in codes and codes[name].max() >= MOST_ACTIONS:
            row = int(codes[name].argmax())
            raise ValueError(
                f"`{name}` must be numbered from 0 to {MOST_ACTIONS - 1} at most. Got {codes[name][row]} in row "
                f"{row + 1}; number the actions 0, 1, ... without gaps."
            )
    labels, run = _runs(frame["run"])
    rows = np.lexsort((codes["order"], run))
    run, order = run[rows], codes["order"][rows]
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    _check_order(run, order, rows, starts, labels)
    kept = {name: codes[name][rows] for name in ("action", *OPTIONAL) if name in codes}
    if "truth" in kept:
        changed = np.flatnonzero(kept["truth"] != kept["truth"][starts][run])
        if changed.size:
            raise ValueError(
                "`truth` must be the same in all rows of a run: the audit is for a state that stays fixed. "
                f"Got {kept['truth'][changed[0]]} in row {rows[changed[0]] + 1}, run {labels[run[changed[0]]]}."
            )
    position = np.arange(run.size) - starts[run]
    n_actions = max(2, 1 + max(int(values.max()) for values in kept.values()))
    counts, leader, lead = _history(kept["action"], n_actions, starts, run)
    return DecisionLog(
        run, position, kept["action"], kept.get("signal"), kept.get("truth"), labels, counts, leader, lead
    )


def _table(log: Any) -> pd.DataFrame:
    import pandas as pd

    if isinstance(log, pd.DataFrame):
        frame, names = log, log.columns
    else:
        try:
            names = pd.Index(pd.read_csv(log, header=None, nrows=1, dtype=str).iloc[0])
            frame = pd.read_csv(log, dtype={"run": str}, low_memory=False)
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise ValueError(f"`log` must be a CSV file with as many fields in each line. Got: {error}") from error
        if not isinstance(frame.index, pd.RangeIndex):
            raise ValueError("`log` must be a CSV file with as many fields in each line. Got more in row 1 than names.")
    missing = [name for name in REQUIRED if name not in frame.columns]
    if missing:
        listed = ", ".join(map(str, names))
        raise ValueError(
            f"`log` must have the columns run, order, action. Got none called {missing[0]}, only {listed}."
        )
    twice = [name for name in (*REQUIRED, *OPTIONAL) if list(names).count(name) > 1]
    if twice:
        raise ValueError(f"`log` must have each column once. Got {twice[0]} more than once.")
    if frame.empty:
        raise ValueError("`log` must hold decisions. Got none.")
    for name in (*REQUIRED, *OPTIONAL):
        if name in frame.columns and frame[name].isna().any():
            row = int(frame[name].isna().to_numpy().argmax())
            hint = "; leave the column out if it was not logged." if name in OPTIONAL else "."
            raise ValueError(f"`{name}` must be filled in every row. Got a gap in row {row + 1}{hint}")
    return frame


def _whole(frame: pd.DataFrame, name: str) -> np.ndarray:
    """A column of whole numbers, 0 or more."""
    import pandas as pd

    column = frame[name]
    if not pd.api.types.is_numeric_dtype(column):
        numbers = pd.to_numeric(column, errors="coerce")
        words = np.array([isinstance(value, str) for value in column])
        wrong = numbers.isna().to_numpy() if numbers.isna().any() else words  # "1" among numbers is a word, too
        if wrong.any():
            row = int(wrong.argmax())
            kind = "a word" if words[row] else f"of type {type(column.iloc[row]).__name__}"
            raise ValueError(
                f"`{name}` must hold whole numbers from 0 in every row. Got {column.iloc[row]!r}, {kind}, in row "
                f"{row + 1}; number the choices 0, 1, ... first."
            )
        column = numbers
    values = column.to_numpy(dtype=float)
    wrong = ~((values >= 0) & (values == np.floor(values)) & (values < MOST_WHOLE))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"`{name}` must hold whole numbers from 0 in every row. Got {values[row]:g} in row {row + 1}.")
    return values.astype(np.int64)


def _runs(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the runs and the code of each row; any labels will do, but of one type."""
    import pandas as pd

    if column.dtype == object:
        words = np.array([isinstance(value, str) for value in column])
        odd = np.flatnonzero(words != words[0])
        if odd.size:
            raise ValueError(
                f"`run` must hold labels of one type. Got {column.iloc[0]!r} in row 1 and {column.iloc[odd[0]]!r} "
                f"in row {odd[0] + 1}."
            )
    codes, labels = pd.factorize(column)
    return np.asarray(labels), codes.astype(np.int64)


def _check_order(run, order, rows, starts, labels) -> None:
    """Within each run, orders must be consecutive from 0 (or, in all runs, from 1)."""
    again = np.flatnonzero((np.diff(run) == 0) & (np.diff(order) == 0))
    if again.size:
        first, second = sorted(int(rows[again[0] + step]) + 1 for step in (0, 1))
        raise ValueError(
            f"`order` must not repeat within a run. Got {order[again[0]]} of run {labels[run[again[0]]]} in row "
            f"{first} and again in row {second}."
        )
    base = min(int(order[starts].min()), 1)
    wrong = np.flatnonzero(order != np.arange(run.size) - starts[run] + base)
    if wrong.size:
        at = wrong[0]
        expected = at - starts[run[at]] + base
        raise ValueError(
            f"`order` must count 0, 1, 2, ... (or 1, 2, 3, ...) in each run, or predecessors are missing. Got "
            f"{order[at]} where {expected} was due in run {labels[run[at]]}, row {rows[at] + 1}."
        )


def _history(action, n_actions, starts, run):
    """How many predecessors took each action, which action leads, and by how much."""
    counts = np.empty((n_actions, action.size), dtype=np.int32)
    for j in range(n_actions):
        taken = action == j
        before = np.cumsum(taken) - taken
        counts[j] = before - before[starts][run]
    leader = counts.argmax(axis=0)
    top_two = np.partition(counts, n_actions - 2, axis=0)[-2:]
    return counts, leader, np.abs(top_two[1] - top_two[0])
