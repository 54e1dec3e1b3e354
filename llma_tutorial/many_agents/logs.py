r"""Decision logs: the format and its reader, and simulated families whose truth is known, to try an audit on.

A log is a long table with one row for each decision: `run`, `order`, `action`, and perhaps `signal` and `truth`. It is
checked row by row and becomes arrays with the history of every decision (`read_log`). Rows are counted from 1, the
header not included. What is wrong is refused with the first row in which it shows.

Families. The right action x is 0 or 1 with even odds; agent k sees a signal y that equals x with probability q and all
actions before its own.
    exact Bayesian       the line of agents of `llma_tutorial.many_agents.social`, ties to the own signal
    logit                log-odds of action 1:  w_own (2 y - 1) + w lead,  the lead #1 - #0 cut at +- `reach`
    mixed precision      Bayesian agents whose q differs; each knows its own, everybody knows the shares
    common cause         nobody looks at anybody; all agents of a run share an unknown rate, uniform on (0, 1)
    urn                  action 1 with probability (1 + #1) / (2 + k): pure copying, with the law of the common cause

`n_runs` is the number of runs, `n_agents` that of the decisions in each. Each family says itself when the own signal
stops mattering: in the first and third, never again able to change the action; in the second, moving its probability by
less than a stated margin. That the last two have the same law is proved in the chapter.
Chapter: `many-agents/audit-a-log`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from llma_tutorial import _validate
from llma_tutorial.many_agents.social import SocialLearning, simulate

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
    frame = _checked_frame(log)
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


def _checked_frame(log: Any) -> pd.DataFrame:
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


def bayesian(
    n_runs: int, n_agents: int, precision: float = 0.7, tie_break: str | None = None, *, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    """Log of exact Bayesian agents.

    Parameters
    ----------
    n_runs, n_agents : int
    precision : float
        Probability q that a signal is right.
    tie_break : {"signal", "first", "random"} or None
        What indifferent agents do, see the head of `llma_tutorial.beliefs`.
    rng : numpy.random.Generator

    Returns
    -------
    tuple of pandas.DataFrame and numpy.ndarray of shape (n_runs,)
        The log (run, order, action, signal, truth), and the first agent in a cascade, -1 if there is none.

    Examples
    --------
    >>> log, onset = bayesian(2, 3, rng=np.random.default_rng(0))
    >>> log.columns.tolist()
    ['run', 'order', 'action', 'signal', 'truth']
    """
    q = _validate.number("precision", precision, 0.5, 1)
    society = SocialLearning([[q, 1 - q], [1 - q, q]], np.eye(2), [0.5, 0.5], tie_break=tie_break)
    runs = simulate(society, n_agents, n_runs, keep=("actions", "observations"), rng=rng)
    return table(runs.actions, runs.observations, runs.states), runs.cascade_start


def logit(
    n_runs: int, n_agents: int, own: float = 1.0, predecessor: float = 1.2, precision: float = 0.7, reach: int = 3,
    margin: float = 0.1, *, rng: np.random.Generator,
) -> tuple[pd.DataFrame, np.ndarray]:  # fmt: skip
    """Log of agents that weigh signal and predecessors in the log-odds.

    Parameters
    ----------
    n_runs, n_agents : int
    own, predecessor : float
        Weights of the own signal and of one predecessor.
    precision : float
        Probability q that a signal is right.
    reach : int
        The lead counts up to this many predecessors.
    margin : float
        The onset is the first agent whose signal moves the probability of its action by less than this.
    rng : numpy.random.Generator

    Returns
    -------
    tuple of pandas.DataFrame and numpy.ndarray of shape (n_runs,)
        The log (run, order, action, signal, truth), and the onset, -1 if there is none.

    Examples
    --------
    >>> log, onset = logit(5, 20, predecessor=0, rng=np.random.default_rng(0))
    >>> onset.tolist()
    [-1, -1, -1, -1, -1]
    """
    n_runs, n_agents = _validate.integer("n_runs", n_runs, 1), _validate.integer("n_agents", n_agents, 1)
    own, predecessor = _validate.number("own", own), _validate.number("predecessor", predecessor)
    reach, margin = _validate.integer("reach", reach, 1), _validate.number("margin", margin, 0, 1)
    truth, signals = _signals(n_runs, n_agents, np.array([_validate.number("precision", precision, 0.5, 1)]), rng)[:2]
    actions, onset = np.zeros((n_runs, n_agents), dtype=np.int8), np.full(n_runs, -1)
    lead = np.zeros(n_runs)
    for k in range(n_agents):
        public = predecessor * np.clip(lead, -reach, reach)
        moved = np.abs(expit(public + own) - expit(public - own))
        onset[(onset < 0) & (moved < margin)] = k
        actions[:, k] = rng.random(n_runs) < expit(public + own * (2 * signals[:, k] - 1))
        lead += 2 * actions[:, k] - 1
    return table(actions, signals, truth), onset


def mixed_precision(
    n_runs: int, n_agents: int, precisions: tuple[float, ...] = (0.6, 0.8), *, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    """Log of Bayesian agents of several precisions, in equal shares.

    Parameters
    ----------
    n_runs, n_agents : int
    precisions : tuple of float
        The kinds of agents; each agent knows its own precision, the log does not hold it.
    rng : numpy.random.Generator

    Returns
    -------
    tuple of pandas.DataFrame and numpy.ndarray of shape (n_runs,)
        The log (run, order, action, signal, truth), and the first agent whose signal could not change its action
        whatever its kind, -1 if there is none.

    Examples
    --------
    >>> log, onset = mixed_precision(50, 30, rng=np.random.default_rng(0))
    >>> bool((onset >= 3).all())
    True
    """
    n_runs, n_agents = _validate.integer("n_runs", n_runs, 1), _validate.integer("n_agents", n_agents, 1)
    q = np.array([_validate.number("precisions", value, 0.5, 0.999) for value in precisions])
    if not q.size:
        raise ValueError("`precisions` must be one precision for each kind of agent. Got none.")
    truth, signals, kinds = _signals(n_runs, n_agents, q, rng)
    strength = np.log(q / (1 - q))  # log-odds that a signal of each kind is worth
    actions, onset = np.zeros((n_runs, n_agents), dtype=np.int8), np.full(n_runs, -1)
    public = np.zeros(n_runs)
    for k in range(n_agents):
        free = np.abs(public)[:, None] <= strength + 1e-9  # kinds that still follow their signal, ties included
        onset[(onset < 0) & ~free.any(axis=1)] = k
        follows = free[np.arange(n_runs), kinds[:, k]]
        actions[:, k] = np.where(follows, signals[:, k], public > 0)
        herd = np.where(free, 0.0, (public > 0)[:, None])
        p_one = np.stack([(herd + free * rate).mean(axis=1) for rate in (1 - q, q)])  # P(action 1 | x)
        seen = np.where(actions[:, k] == 1, p_one, 1 - p_one)
        public = public + np.log(seen[1] / seen[0])
    return table(actions, signals, truth), onset


def common_cause(n_runs: int, n_agents: int, *, rng: np.random.Generator) -> pd.DataFrame:
    """Log of agents that look at nobody, each run with an unknown rate of its own, uniform on (0, 1).

    Parameters
    ----------
    n_runs, n_agents : int
    rng : numpy.random.Generator

    Returns
    -------
    pandas.DataFrame
        Columns run, order, action.

    Examples
    --------
    >>> common_cause(2, 3, rng=np.random.default_rng(0)).shape
    (6, 3)
    """
    n_runs, n_agents = _validate.integer("n_runs", n_runs, 1), _validate.integer("n_agents", n_agents, 1)
    rng = _validate.generator(rng)
    return table(rng.random((n_runs, n_agents)) < rng.random((n_runs, 1)))


def urn(n_runs: int, n_agents: int, *, rng: np.random.Generator) -> pd.DataFrame:
    """Log of agents that only copy: action 1 with probability (1 + #1) / (2 + k) after k predecessors.

    Parameters
    ----------
    n_runs, n_agents : int
    rng : numpy.random.Generator

    Returns
    -------
    pandas.DataFrame
        Columns run, order, action.

    Examples
    --------
    >>> urn(2, 3, rng=np.random.default_rng(0)).shape
    (6, 3)
    """
    n_runs, n_agents = _validate.integer("n_runs", n_runs, 1), _validate.integer("n_agents", n_agents, 1)
    rng = _validate.generator(rng)
    actions, ones = np.zeros((n_runs, n_agents), dtype=np.int8), np.zeros(n_runs)
    for k in range(n_agents):
        actions[:, k] = rng.random(n_runs) < (1 + ones) / (2 + k)
        ones += actions[:, k]
    return table(actions)


def _signals(n_runs, n_agents, precisions, rng):
    """Truth (n_runs,), signals and kinds of agents (n_runs, n_agents)."""
    rng = _validate.generator(rng)
    truth = rng.integers(2, size=n_runs)
    kinds = rng.integers(len(precisions), size=(n_runs, n_agents))
    right = rng.random((n_runs, n_agents)) < precisions[kinds]
    return truth, np.where(right, truth[:, None], 1 - truth[:, None]), kinds


def table(actions: np.ndarray, signals: np.ndarray | None = None, truth: np.ndarray | None = None) -> pd.DataFrame:
    """The log of equally long runs: actions and signals of shape (n_runs, n_agents), truth of shape (n_runs,)."""
    import pandas as pd

    run, order = np.indices(actions.shape)
    columns = {"run": run.ravel(), "order": order.ravel(), "action": actions.ravel().astype(int)}
    if signals is not None:
        columns["signal"] = signals.ravel().astype(int)
    if truth is not None:
        columns["truth"] = np.repeat(truth.astype(int), actions.shape[1])
    return pd.DataFrame(columns)
