"""Choice data: who chose what in which state of which environment, from counts, long tables or probabilities.

Axes: counts[m, x, a] of environment m, state x, action a; choice probabilities p_m(a | x); the prior over states, and
the joint laws J_m(x, a) = prior(x) p_m(a | x) on which every test of attention works.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class ChoiceData:
    """State-dependent stochastic choice in one or more environments.

    Parameters
    ----------
    choice_probabilities : array-like of shape (M, X, A)
        p_m(a | x); rows sum to 1. Actions may be chosen never.
    prior : array-like of shape (X,) or (M, X)
        Prior over states: one for all environments, or one for each.

    Notes
    -----
    Chapter `one-agent/ribum`.

    Examples
    --------
    >>> data = ChoiceData.from_counts([[[15, 5], [5, 15]], [[19, 1], [1, 19]]])
    >>> data.choice_probabilities[1]
    array([[0.95, 0.05],
           [0.05, 0.95]])
    """

    choice_probabilities: ArrayLike
    prior: ArrayLike

    def __post_init__(self) -> None:
        choices = _validate.probabilities("choice_probabilities", self.choice_probabilities, (None, None, None))
        n_environments, n_states, _ = choices.shape
        shape = (n_states,) if np.ndim(self.prior) == 1 else (n_environments, n_states)
        object.__setattr__(self, "choice_probabilities", choices)
        object.__setattr__(self, "prior", _validate.probabilities("prior", self.prior, shape))

    @classmethod
    def from_counts(cls, counts: ArrayLike, prior: ArrayLike | None = None) -> ChoiceData:
        """Data from counts of shape (M, X, A), every state seen in every environment.

        Without a `prior`, each environment's own shares of the states are used: equal for a balanced design; if they
        differ, `check` will ask for the one prior that the agent was told.
        """
        counts = checked_counts(counts)
        return cls(counts / counts.sum(axis=2, keepdims=True), state_shares(counts) if prior is None else prior)

    @classmethod
    def from_table(cls, table: pd.DataFrame | str, prior: ArrayLike | None = None) -> ChoiceData:
        """Data from a long table (environment, state, action[, count]): a DataFrame or the path of a CSV file."""
        return cls.from_counts(counts_from_table(table), prior)

    @cached_property
    def joint(self) -> np.ndarray:
        """J_m(x, a) of shape (M, X, A)."""
        return np.atleast_2d(self.prior)[:, :, None] * self.choice_probabilities

    @property
    def common_prior(self) -> np.ndarray:
        """The one prior of all environments, of shape (X,); refuses if they differ."""
        return common_prior(self.prior)


def checked_counts(counts: ArrayLike) -> np.ndarray:
    """Counts of shape (M, X, A): whole, not negative, every state seen in every environment."""
    counts = _whole("counts", _validate.real_array("counts", counts, (None, None, None)))
    unseen = np.argwhere(counts.sum(axis=2) == 0)
    if len(unseen):
        environment, state = unseen[0].tolist()
        raise ValueError(
            f"`counts` must hold every state in every environment. Got no choice in state {state} of environment "
            f"{environment}; collect some, or leave the state out everywhere."
        )
    return counts


def _whole(name: str, counts: np.ndarray) -> np.ndarray:
    wrong = counts[(counts < 0) | (counts != np.round(counts))]
    if wrong.size:
        raise ValueError(f"`{name}` must hold whole numbers, 0 or more. Got {wrong[0]:g}.")
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

    Notes
    -----
    Chapter `one-agent/hate-speech`.

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
    times = np.ones(len(frame))
    if "count" in frame.columns:
        times = _whole("count", _validate.real_array("count", frame["count"], (None,)))
    counts = np.zeros(shape)
    np.add.at(counts, tuple(codes), times)
    return counts
