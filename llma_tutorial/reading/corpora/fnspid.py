"""FNSPID: headlines and articles on listed companies, and the daily prices of their shares.

Two facts decide what may be done with it. Most dates of the news are midnight, which means a day without a clock; and
the clock times that there are proved 8 hours early wherever they could be compared with their source. So nobody can
say whether a headline came before or after the close of its day, and a join on the calendar day looks ahead.
The state used here starts at the close of the day of the news: 1 where the adjusted close rises from the last trading
day up to the date to the next one, 0 where it does not. News of the evening lies inside it; `reading.returns` has a
window that begins after it.
Source: Dong, Fan and Peng (2024). Described in `reference/data-sets`.
"""

from __future__ import annotations

from collections.abc import Collection
from os import PathLike
from pathlib import Path

import pandas as pd

from llma_tutorial import _validate
from llma_tutorial.reading.corpora import files
from llma_tutorial.reading.corpora.texts import DUPLICATE, About, Corpus, Tally

ABOUT = About(
    name="FNSPID",
    licence="CC BY-NC 4.0 by its licence file (its README differs); articles belong to their publishers",
    citation="Dong, Fan and Peng (2024), FNSPID: A Comprehensive Financial News Dataset in Time Series, "
    "arXiv 2402.06698",
)
REPOSITORY = "Zihan1004/FNSPID"
NEWS_FILES = {
    "All_external": ("Stock_news/All_external.csv", "5.7 GB"),
    "nasdaq": ("Stock_news/nasdaq_exteral_data.csv", "23 GB"),
}
PRICE_FILE = ("Stock_price/full_history.zip", "590 MB")
NO_CLOCK, EARLY = "no clock", "8 h early"
LONGEST_GAP = pd.Timedelta(days=7)  # of trading days around a date: holidays are shorter, a delisting longer
PRICES = ["open", "high", "low", "close", "adj_close"]


def fnspid_news(
    path: str | PathLike[str] | None = None,
    *,
    symbols: Collection[str] | None = None,
    text: str = "title",
    prices: Corpus | None = None,
    part: str | None = None,
) -> Corpus:
    """News of FNSPID, one row per headline, oldest first within each share.

    Parameters
    ----------
    path : path, optional
        `All_external.csv` or `nasdaq_exteral_data.csv` (or a piece of either that has their columns); fetched from
        the hub if omitted.
    symbols : collection of str, optional
        Shares to keep; all if omitted.
    text : {"title", "article"}
        What to take as the text: the headline, or the article where there is one.
    prices : Corpus, optional
        What `fnspid_prices` returned: gives each row its state. Without it `state` is missing in every row.
    part : {"All_external", "nasdaq"}, optional
        Which file to fetch from the hub, "All_external" if omitted.

    Returns
    -------
    Corpus
        ``environment`` is the share, ``id`` the record in the file. Extra columns: ``date`` (UTC), ``clock`` ("no
        clock" for midnight, else "8 h early": do not use the time of day), ``title``, ``publisher``, ``url`` and
        ``repeated_title`` (the share has an earlier row with this headline).

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "invented.csv")
    >>> row = "2020-03-09 00:00:00 UTC,Shares of a company move,ABC,https://example.org/1\\r\\n"
    >>> _ = path.write_text("Date,Article_title,Stock_symbol,Url\\r\\n" + row)
    >>> fnspid_news(path).frame[["environment", "clock"]]
      environment     clock
    0         ABC  no clock
    """
    _validate.one_of("text", text, ("title", "article"))
    file = NEWS_FILES[_validate.one_of("part", "All_external" if part is None else part, tuple(NEWS_FILES))]
    files.refuse_with_path(path, "part", part)
    symbols = _listed(symbols)
    path = files.from_hub(REPOSITORY, *file) if path is None else Path(path)
    columns = files.columns_of(path)
    files.layout_of(path, columns, "fnspid_news")
    wanted = ["date", "article_title", "stock_symbol", "url", "publisher", *["article"] * (text == "article")]
    tally = Tally()
    frame = pd.concat(
        _of_symbols(chunk.rename(columns=files.canonical), symbols, tally)
        for chunk in files.tables(path, [name for name in columns if files.canonical(name) in wanted])
    )
    frame = frame.assign(id=frame.index + 1).rename(columns={"article_title": "title", "stock_symbol": "environment"})
    frame = tally.drop(frame, frame.duplicated(frame.columns.difference(["id"])), DUPLICATE)
    frame["text"] = frame[text]
    frame = tally.drop_untold(frame, "text", "headline" if text == "title" else "article")
    frame = frame.drop(columns="article", errors="ignore")
    frame["date"] = pd.to_datetime(
        frame["date"].astype(str).str.removesuffix(" UTC"), format="ISO8601", utc=True, errors="coerce"
    )
    frame = tally.drop(frame, frame["date"].isna(), "no readable date")
    frame = frame.sort_values(["environment", "date"], kind="stable")
    midnight = frame["date"] == frame["date"].dt.normalize()
    frame["clock"] = midnight.map({True: NO_CLOCK, False: EARLY})
    frame["repeated_title"] = frame.duplicated(["environment", "title"])
    frame["state"] = pd.array([pd.NA] * len(frame), dtype="Int64")
    if prices is not None:
        frame = _with_states(frame, prices, tally)
    tally.noted["midnight dates: a day without a clock"] = int((frame["clock"] == NO_CLOCK).sum())
    tally.noted["clock times, 8 hours early where they could be compared"] = int((frame["clock"] == EARLY).sum())
    tally.noted["headlines that the same share had before"] = int(frame["repeated_title"].sum())
    return tally.corpus(frame, ABOUT, path)


def _listed(symbols: Collection[str] | None) -> list[str]:
    """Symbols as a list, empty if the argument was left out; one alone may come without a list."""
    listed = [symbols] if isinstance(symbols, str) else list(symbols or [])
    if symbols is not None and not listed:
        raise ValueError("`symbols` must name at least one share, or be left out. Got none.")
    return listed


def _of_symbols(chunk: pd.DataFrame, symbols: list[str], tally: Tally) -> pd.DataFrame:
    tally.read += len(chunk)
    chunk = tally.drop_untold(chunk, "stock_symbol", "symbol")
    if not symbols:
        return chunk
    return tally.drop(chunk, ~chunk["stock_symbol"].isin(symbols), "a share that is not among `symbols`")


def _with_states(news: pd.DataFrame, prices: Corpus, tally: Tally) -> pd.DataFrame:
    """`news` with the state of the last trading day up to each date; a day without a next one gives none."""
    days = prices.frame[["environment", "date", "state"]].sort_values("date")
    left = news.drop(columns="state").assign(day=news["date"].dt.normalize()).sort_values("day", kind="stable")
    joined = pd.merge_asof(
        left.reset_index(names="record"),
        days.rename(columns={"date": "day"}),
        on="day",
        by="environment",
        tolerance=LONGEST_GAP,
    )
    joined = joined.sort_values(["environment", "date"], kind="stable").set_index("record").drop(columns="day")
    return tally.drop(joined, joined["state"].isna(), "no price of the share on, or after, the date")


def fnspid_prices(path: str | PathLike[str] | None = None, *, symbols: Collection[str] | None = None) -> Corpus:
    """Daily prices of FNSPID, one row per share and trading day, oldest first.

    Parameters
    ----------
    path : path, optional
        `full_history.zip`, or one of its files such as `AAPL.csv` (in the layout of the hub or of the authors'
        repository); the zip is fetched from the hub if omitted.
    symbols : collection of str, optional
        Shares to read from the zip, which needs them named; a single file is one share, named like the file if
        no symbol is given.

    Returns
    -------
    Corpus
        No ``text``. ``state`` is 1 where the adjusted close rises to the next trading day, 0 where it does not,
        missing on the last; ``environment`` is the share and ``id`` share and day. Extra columns: ``date`` (UTC
        midnight), ``open``, ``high``, ``low``, ``close``, ``adj_close``, ``volume``.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "ABC.csv")
    >>> rows = "2020-03-10,9,4,5,3,5,5\\n2020-03-09,9,4,5,3,4,4\\n"
    >>> _ = path.write_text("date,volume,open,high,low,close,adj close\\n" + rows)
    >>> fnspid_prices(path).frame[["state", "id"]]
       state              id
    0      1  ABC 2020-03-09
    1   <NA>  ABC 2020-03-10
    """
    symbols, tally = _listed(symbols), Tally()
    path = files.from_hub(REPOSITORY, *PRICE_FILE) if path is None else Path(path)
    if files.kind_of(path) != "zip":
        symbols = symbols or [path.name.split(".")[0].upper()]
        if len(symbols) > 1:
            raise ValueError(f"`symbols` must name one share for a single file, `{path.name}`. Got {symbols}.")
        return tally.corpus(_share(path, None, symbols[0], tally), ABOUT, path)
    if not symbols:
        raise ValueError(f"`symbols` must name the shares to read from `{path.name}`. Got {symbols!r}.")
    members = {Path(name).stem.upper(): name for name in files.members(path) if name.lower().endswith(".csv")}
    missing = [symbol for symbol in symbols if symbol.upper() not in members]
    if missing:
        raise ValueError(f"`symbols` must be among the {len(members):,} shares of `{path.name}`. Got {missing}.")
    shares = [_share(path, members[symbol.upper()], symbol.upper(), tally) for symbol in symbols]
    return tally.corpus(pd.concat(shares), ABOUT, path)


def _share(path: Path, member: str | None, symbol: str, tally: Tally) -> pd.DataFrame:
    """Prices of one share in order, each day with its state."""
    columns = files.columns_of(path, member)
    files.layout_of(path, columns, "fnspid_prices")
    wanted = ["date", *PRICES, "volume"]
    frame = files.table(path, [name for name in columns if files.canonical(name) in wanted], member)
    frame = frame.rename(columns=files.canonical)[wanted]
    tally.read += len(frame)
    # The calendar day is what counts: some copies add midnight and an offset to it.
    frame["date"] = pd.to_datetime(frame["date"].astype(str).str[:10], format="%Y-%m-%d", utc=True, errors="coerce")
    frame = tally.drop(frame, frame["date"].isna(), "no readable date")
    for name in [*PRICES, "volume"]:
        frame = tally.drop_untold(frame, name, name)
        frame[name] = files.numbers(frame[name], name, path)
    frame["id"] = symbol + " " + frame["date"].dt.strftime("%Y-%m-%d")
    frame = tally.drop_duplicate_ids(frame, "id", path).sort_values("date")
    later = frame["adj_close"].shift(-1)
    frame["state"] = (later > frame["adj_close"]).astype("Int64").mask(later.isna())
    return frame.assign(environment=symbol)
