"""Counts and payoffs at the boundary: long tables become counts[m, x, a], and both are checked in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate

if TYPE_CHECKING:
    import pandas as pd


def checked_counts(counts: ArrayLike) -> np.ndarray:
    """Counts of shape (M, X, A): whole, not negative, every state seen in every environment."""
    counts = _validate.real_array("counts", counts, (None, None, None))
    if (counts < 0).any() or (counts != np.round(counts)).any():
        wrong = counts[(counts < 0) | (counts != np.round(counts))].flat[0]
        raise ValueError(f"`counts` must hold whole numbers, 0 or more. Got {wrong:g}.")
    unseen = np.argwhere(counts.sum(axis=2) == 0)
    if len(unseen):
        environment, state = unseen[0].tolist()
        raise ValueError(
            f"`counts` must hold every state in every environment. Got no choice in state {state} of environment "
            f"{environment}; collect some, or leave the state out everywhere."
        )
    return counts


def state_shares(counts: np.ndarray) -> np.ndarray:
    """Shares of the states, (X,) if they are the same in every environment, else (M, X)."""
    seen = counts.sum(axis=2)
    shares = seen / seen.sum(axis=1, keepdims=True)
    return shares[0] if np.allclose(shares, shares[0], rtol=0, atol=_validate.SUM_TOLERANCE) else shares


def common_prior(priors: np.ndarray) -> np.ndarray:
    """The one prior of all environments; refuses if they differ."""
    priors = np.atleast_2d(priors)
    apart = np.abs(priors - priors[0]).max(axis=1)
    if apart.max() > _validate.SUM_TOLERANCE:
        odd = int(apart.argmax())
        raise ValueError(
            "`prior` must be the same in every environment: NIAC compares attention across environments, and even "
            f"rational agents fail it when priors differ. Got {priors[0].round(4).tolist()} in environment 0 and "
            f"{priors[odd].round(4).tolist()} in environment {odd}; pass the one `prior` that the design states."
        )
    return priors[0]


def checked_utility(utility: ArrayLike, shape: tuple[int, int, int]) -> np.ndarray:
    """Payoffs as (M, X, A); one table of shape (X, A) serves every environment."""
    table = _validate.real_array("utility", utility, shape if np.ndim(utility) == 3 else shape[1:])
    return np.broadcast_to(table, shape)


def read_table(table: Any, extra: tuple[str, ...] = ()) -> pd.DataFrame:
    """The long table with the columns it must have; environment, state and action become codes from 0."""
    import pandas as pd

    frame = (table if isinstance(table, pd.DataFrame) else pd.read_csv(table)).copy()
    wanted = ("environment", "state", "action", *extra)
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise ValueError(f"`table` must have the columns {', '.join(wanted)}. Got none called {', '.join(missing)}.")
    empty = [name for name in wanted if frame[name].isna().any()]
    if empty or frame.empty:
        raise ValueError(f"`table` must be filled in every row. Got gaps in {', '.join(empty) or 'an empty table'}.")
    for name in wanted[:3]:
        column = frame[name]
        if pd.api.types.is_integer_dtype(column):
            frame[name] = _validate.integers(name, column.to_numpy(), upper=int(column.max()) + 1)
        else:
            frame[name] = column.astype("category").cat.codes
            if isinstance(column.dtype, pd.CategoricalDtype):
                frame.attrs[name] = len(column.cat.categories)  # categories never chosen keep their place
    return frame


def counts_from_table(table: pd.DataFrame | str) -> np.ndarray:
    """Counts[m, x, a] from a long table (environment, state, action[, count]).

    Parameters
    ----------
    table : pandas.DataFrame or str
        One row for each choice, or for each cell with a column `count`; or the path of a CSV file. Whole numbers are
        codes from 0; other labels are numbered in sorted order, a categorical column in the order of its categories.

    Returns
    -------
    numpy.ndarray of shape (M, X, A)

    Raises
    ------
    ValueError
        If a column is missing or has gaps.

    Notes
    -----
    Used in the chapter `one-agent/hate-speech`.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [("easy", "bad", "keep"), ("easy", "good", "keep"), ("hard", "bad", "drop"), ("hard", "good", "keep")]
    >>> counts_from_table(pd.DataFrame(rows, columns=["environment", "state", "action"]))[1]
    array([[1., 0.],
           [0., 1.]])
    """
    frame = read_table(table)
    codes = frame[["environment", "state", "action"]].to_numpy(dtype=int).T
    names = ("environment", "state", "action")
    shape = [frame.attrs.get(name, int(code.max()) + 1) for name, code in zip(names, codes, strict=True)]
    counts = np.zeros(shape)
    np.add.at(counts, tuple(codes), frame["count"].to_numpy(dtype=float) if "count" in frame.columns else 1.0)
    return counts
