r"""News against returns: which window a date allows, thirteen effects at once, and what a blurred sensor does to them.

Primitives: headlines i with a date; attributes a_i in {0, 1}^k, read from the text; prices of trading days; log returns
r_i over a window that `returns_after` lays beside the date. A date is a day without a clock, so three windows differ
in what they can know, with day j the last trading day up to the date:

    same day      close j-1  ->  close j        begins before the headline: it may report this very return
    next close    close j    ->  close j+1      begins before the headline if that came after the close of day j
    next open     open j+1   ->  close j+1      begins after the end of the day of the date

Equation. Effects are coefficients of r on the attributes, by least squares with an intercept; under normal errors
estimate / standard error has Student's law, and with k of them read at once Holm (1979) and Benjamini & Hochberg (1995)
correct the p-values. A sensor that reads y instead of a, with errors that have nothing to do with the return, gives

    naive effects  ->  Lambda beta,      Lambda = Cov(y, y)^-1 Cov(y, a)      `attenuation`, from labelled headlines

and `AttributeEffects.corrected` divides it out. Chapter: `one-agent/financial-news`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr

from llma_tutorial import _validate

if TYPE_CHECKING:
    import pandas as pd

    from llma_tutorial.reading.corpora import Corpus

__all__ = ["AttributeEffects", "attenuation", "attribute_effects", "holm", "returns_after"]

# First and last price of a window: which trading day, counted from the last one up to the date, and which price.
WINDOWS = {
    "same day": ((-1, "adj_close"), (0, "adj_close")),
    "next close": ((0, "adj_close"), (1, "adj_close")),
    "next open": ((1, "open"), (1, "close")),  # of one day, so that no dividend or split comes between
}
LONGEST_GAP = np.timedelta64(7, "D")  # of the days of a window around the date, as in the loader


def returns_after(news: Corpus, prices: Corpus, window: str = "next open") -> pd.DataFrame:
    """Log return over a window beside the date of each headline.

    Parameters
    ----------
    news : Corpus
        What `corpora.fnspid_news` returned.
    prices : Corpus
        What `corpora.fnspid_prices` returned, with the shares of the news.
    window : {"next open", "next close", "same day"}
        See the module; only the first begins after every moment that the date can mean.

    Returns
    -------
    pandas.DataFrame
        Rows and index of `news.frame`; ``return`` (log) and ``day``, share and trading day on which the window ends:
        headlines with one ``day`` share one return. Both are missing where prices do not reach or are a week away.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from llma_tutorial.reading.corpora import fnspid_news, fnspid_prices
    >>> folder = tempfile.TemporaryDirectory()
    >>> news, prices = Path(folder.name, "news.csv"), Path(folder.name, "ABC.csv")
    >>> row = "2020-03-09,Shares of a company move,ABC,https://example.org/1"
    >>> _ = news.write_text("Date,Article_title,Stock_symbol,Url\\n" + row)
    >>> days = "2020-03-09,9,4,5,3,4,4\\n2020-03-10,9,4,5,3,5,5\\n"
    >>> _ = prices.write_text("date,volume,open,high,low,close,adj close\\n" + days)
    >>> returns_after(fnspid_news(news), fnspid_prices(prices)).round(4)
       return             day
    0  0.2231  ABC 2020-03-10
    """
    (first, opening), (last, closing) = WINDOWS[_validate.one_of("window", window, list(WINDOWS))]
    found = news.frame[["environment"]].assign(**{"return": np.nan, "day": None})
    dates = news.frame["date"].dt.tz_localize(None).to_numpy().astype("datetime64[D]")
    for share, traded in prices.frame.sort_values("date").groupby("environment"):
        days = traded["date"].dt.tz_localize(None).to_numpy().astype("datetime64[D]")
        place = np.searchsorted(days, dates, side="right") - 1
        start, end = place + first, place + last
        usable = (news.frame["environment"] == share).to_numpy() & (start >= 0) & (end < len(days)) & (place >= 0)
        rows = np.flatnonzero(usable)
        rows = rows[(dates[rows] - days[start[rows]] <= LONGEST_GAP) & (days[end[rows]] - dates[rows] <= LONGEST_GAP)]
        before, after = traded[opening].to_numpy()[start[rows]], traded[closing].to_numpy()[end[rows]]
        if rows.size and min(before.min(), after.min()) <= 0:
            raise ValueError(f"`prices` of {share} must be positive. Got {min(before.min(), after.min()):g}.")
        found.iloc[rows, 1] = np.log(after / before)
        found.iloc[rows, 2] = traded["id"].to_numpy()[end[rows]]
    return found.drop(columns="environment")


@dataclass(frozen=True, eq=False)
class AttributeEffects:
    """Effects of k attributes on a return, read at once; made by `attribute_effects`.

    Attributes
    ----------
    estimates : numpy.ndarray of shape (k,)
        Return with the attribute less return without it, other attributes equal.
    covariance : numpy.ndarray of shape (k, k)
        Of the estimates.
    n_observations : int
        Rows after those of one day were put together.
    r_squared : float
        Share of the variance of returns that the attributes take up; k / (n - 1) on average where nothing is there.
    """

    estimates: np.ndarray
    covariance: np.ndarray
    n_observations: int
    r_squared: float

    @property
    def degrees_of_freedom(self) -> int:
        """Observations less coefficients, intercept included."""
        return self.n_observations - self.estimates.size - 1

    @property
    def standard_errors(self) -> np.ndarray:
        """Of shape (k,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def p_values(self) -> np.ndarray:
        """Two-sided, of each attribute on its own: uniform where its effect is zero and errors are normal."""
        return 2 * stdtr(self.degrees_of_freedom, -np.abs(self.estimates / self.standard_errors))

    def corrected(self, attenuation: ArrayLike) -> AttributeEffects:
        """Effects of what the texts say from effects of what a sensor read; `attenuation` is taken as known."""
        k = self.estimates.size
        inverse = np.linalg.inv(_validate.real_array("attenuation", attenuation, (k, k)))
        covariance = inverse @ self.covariance @ inverse.T
        return AttributeEffects(inverse @ self.estimates, covariance, self.n_observations, self.r_squared)


def attribute_effects(values: ArrayLike, returns: ArrayLike, days: ArrayLike | None = None) -> AttributeEffects:
    """Effects of all attributes on a return, by least squares.

    Parameters
    ----------
    values : array-like of bool or number, shape (n, k)
        Attributes of each headline.
    returns : array-like of shape (n,)
        Return that belongs to each.
    days : array-like of shape (n,), optional
        What `returns_after` calls ``day``. Headlines of one day have one return, so they are one observation: it has
        an attribute if one of them has. Every row stands for itself if omitted.

    Returns
    -------
    AttributeEffects

    Examples
    --------
    >>> found = attribute_effects([[1], [1], [0], [0], [1]], [0.03, 0.01, -0.01, 0.0, 0.02])
    >>> found.estimates.round(4).tolist(), found.p_values.round(3).tolist()
    ([0.025], [0.058])
    """
    values = _validate.real_array("values", values, (None, None))
    returns = _validate.real_array("returns", returns, (len(values),))
    if days is not None:
        values, returns = _by_day(values, returns, np.asarray(days))
    n, k = values.shape
    if n < k + 2:
        raise ValueError(f"`values` must have at least {k + 2} days for {k} attributes. Got {n}; ask fewer questions.")
    centred, apart = _centred("values", values), returns - returns.mean()
    inverse = np.linalg.inv(centred.T @ centred)
    estimates = inverse @ centred.T @ apart
    rest = ((apart - centred @ estimates) ** 2).sum()
    taken_up = float(1 - rest / (apart**2).sum()) if (apart**2).sum() > 0 else 0.0
    return AttributeEffects(estimates, inverse * rest / (n - k - 1), n, taken_up)


def attenuation(labels: ArrayLike, readings: ArrayLike) -> np.ndarray:
    """What a sensor makes of effects: the matrix Lambda, estimated from labelled headlines.

    Parameters
    ----------
    labels, readings : array-like of bool or number, shape (n, k)
        What the texts say, and what the sensor read.

    Returns
    -------
    numpy.ndarray of shape (k, k)
        Coefficients of the labels (columns) on the readings (rows). For one question P(a = 1 | y = 1) less
        P(a = 1 | y = 0).

    Examples
    --------
    >>> attenuation([[1], [1], [1], [0], [0], [0]], [[1], [1], [0], [0], [0], [0]]).round(3).tolist()
    [[0.75]]
    """
    labels = _validate.real_array("labels", labels, (None, None))
    readings = _centred("readings", _validate.real_array("readings", readings, labels.shape))
    return np.linalg.solve(readings.T @ readings, readings.T @ labels)


def holm(p_values: ArrayLike) -> np.ndarray:
    """Holm's adjusted p-values: reject those up to alpha, and the chance of any false one is at most alpha.

    Parameters
    ----------
    p_values : array-like of shape (m,)
        One for each hypothesis, however they depend on each other.

    Returns
    -------
    numpy.ndarray of shape (m,)
        In the order of `p_values`; for Benjamini & Hochberg's see `scipy.stats.false_discovery_control`.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = _validate.real_array("p_values", p_values, (None,))
    if p.min() < 0 or p.max() > 1:
        raise ValueError(f"`p_values` must be from 0 to 1. Got {p[(p < 0) | (p > 1)][0]:.6g}.")
    order = np.argsort(p)
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)))
    return adjusted


def _by_day(values: np.ndarray, returns: np.ndarray, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One row for each day: the largest value of each attribute, and the return that its headlines share."""
    if days.shape != returns.shape:
        raise ValueError(f"`days` must have one entry for each of the {returns.size} returns. Got {days.shape}.")
    names, first, place = np.unique(days.astype(str), return_index=True, return_inverse=True)
    differs = np.flatnonzero(returns != returns[first][place])
    if differs.size:
        raise ValueError(f"`returns` must agree within a day. Got two on {days[differs[0]]}.")
    merged = np.full((len(names), values.shape[1]), -np.inf)
    np.maximum.at(merged, place, values)
    return merged, returns[first]


def _centred(name: str, values: np.ndarray) -> np.ndarray:
    """Columns less their means, refused if one is constant or they depend on each other."""
    centred = values - values.mean(axis=0)
    constant = np.flatnonzero(np.ptp(values, axis=0) == 0)
    if constant.size:
        raise ValueError(f"`{name}` must vary in every column. Got one value in column {constant[0]}; leave it out.")
    rank = np.linalg.matrix_rank(centred)
    if rank < values.shape[1]:
        raise ValueError(f"`{name}` must have independent columns. Got rank {rank} of {values.shape[1]}; drop some.")
    return centred
