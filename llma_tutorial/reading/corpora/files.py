"""Reading files as published: compression, encoding, layout; what is wrong is named with its file and place.

A table (CSV or parquet) comes in chunks whose index counts the records from 0; JSON Lines come line by line. Nothing
but the header is read twice, nothing is held but the columns asked for. CSV values arrive as text, so that an
identifier such as `0528881469` keeps its zero and a comment that says "NA" stays a comment; `numbers` turns into
numbers what must be.
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from tqdm import tqdm

CHUNK = 20_000  # rows of a table held at a time: 200 MB of FNSPID articles
BOM = b"\xef\xbb\xbf"
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"PAR1": "parquet",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
_SUFFIXES = {".gz": "gzip", ".zip": "zip", ".parquet": "parquet"}
_PLAIN = "plain text"

# What tells the layouts apart: columns that a file must have, by loader and layout. The first that fits is taken.
LAYOUTS = {
    "measuring_hate_speech": {
        "annotations": ("comment_id", "annotator_id", "sentiment", "hatespeech", "hate_speech_score", "text"),
        "englishcomments": ("comment_id", "sentiment", "hatespeech", "hate_speech_score", "text"),
    },
    "civil_comments": {
        "Kaggle train": ("id", "target", "comment_text", "severe_toxicity", "identity_attack"),
        "Kaggle test_expanded": ("id", "toxicity", "comment_text", "severe_toxicity", "identity_attack"),
        "hub": ("text", "toxicity", "severe_toxicity", "identity_attack"),
    },
    "amazon_reviews": {
        "2018": ("overall", "verified", "reviewerID", "asin", "unixReviewTime"),
        "2014": ("overall", "helpful", "reviewerID", "asin", "unixReviewTime"),
        "2023": ("rating", "title", "text", "asin", "user_id", "timestamp"),
        "2023 quick start": ("rating", "title", "text", "asin", "user_id", "sort_timestamp"),
        "2023 early": ("rating", "title", "text", "asin", "sortTimestamp"),
    },
    "fnspid_news": {"news": ("Date", "Article_title", "Stock_symbol", "Url")},
    "goemotions": {
        "full data set": ("text", "id", "subreddit", "rater_id", "example_very_unclear", "admiration", "neutral"),
    },
    "fnspid_prices": {"prices": ("date", "open", "high", "low", "close", "adj close", "volume")},
}


def canonical(column: str) -> str:
    """Column name in lower case with underscores: published copies differ in both."""
    return column.strip().lower().replace(" ", "_")


def kind_of(path: str | PathLike[str]) -> str:
    """What a file is by its first bytes ("plain text", "gzip", "zip" or "parquet"), which its name must confirm."""
    path = Path(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing there"
        raise FileNotFoundError(f"`path` must name a file. Got {str(path)!r}: {found}.")
    with path.open("rb") as stream:
        head = stream.read(8)
    if not head.strip(BOM):
        raise ValueError(f"`{path.name}` must hold data. Got an empty file.")
    found = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), _PLAIN)
    wanted = _SUFFIXES.get(path.suffix.lower(), _PLAIN)
    if found != wanted:
        raise ValueError(
            f"`{path.name}` must be {wanted}, as its name says. Got {found}: "
            f"rename it if it is one of .csv, .json, .jsonl, .csv.gz, .json.gz, .zip, .parquet; else save it as UTF-8."
        )
    return found


class _Metered(io.FileIO):
    """A file that moves a progress bar as it is read."""

    def __init__(self, path: Path, bar: tqdm):
        super().__init__(path)
        self._bar = bar

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        self._bar.update(count)
        return count


@contextmanager
def opened(path: Path, member: str | None = None) -> Iterator[BinaryIO]:
    """Unpacked bytes of a file (or of a member of a zip), with a progress bar after three seconds."""
    kind = kind_of(path)
    with ExitStack() as stack:
        bar = stack.enter_context(
            tqdm(total=path.stat().st_size, unit="B", unit_scale=True, desc=path.name, delay=3, leave=False)
        )
        stream = stack.enter_context(io.BufferedReader(_Metered(path, bar)))
        try:
            if kind == "gzip":
                stream = stack.enter_context(gzip.GzipFile(fileobj=stream))
            elif kind == "zip":
                archive = stack.enter_context(zipfile.ZipFile(stream))
                stream = stack.enter_context(archive.open(member or _only_member(path)))
            yield stream
        except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
            raise ValueError(
                f"`{path.name}` must be a whole {kind} file. Got one that is damaged or cut off "
                f"({type(error).__name__}): fetch it again."
            ) from error


def members(path: Path) -> list[str]:
    """Names of the files in a zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name for name in archive.namelist() if not name.endswith("/")]
    except zipfile.BadZipFile as error:
        raise ValueError(f"`{path.name}` must be a whole zip file. Got one that is damaged: fetch it again.") from error


def _only_member(path: Path) -> str:
    names = members(path)
    if len(names) != 1:
        raise ValueError(f"`{path.name}` must hold one file. Got {len(names)}: unpack it and name the one you mean.")
    return names[0]


def columns_of(path: Path, member: str | None = None) -> list[str]:
    """Column names of a table, without the index that pandas exports (`Unnamed: 0`)."""
    if kind_of(path) == "parquet":
        names = _parquet(path).schema_arrow.names
    else:
        with opened(path, member) as stream, _table_errors(path, member):
            names = list(pd.read_csv(stream, nrows=0).columns)
    return [name for name in names if not name.startswith("Unnamed: ")]


def tables(path: Path, columns: Iterable[str], member: str | None = None) -> Iterator[pd.DataFrame]:
    """Chunks of a table with the given columns; the index counts the records."""
    columns = list(columns)
    if kind_of(path) == "parquet":
        start = 0
        for batch in _parquet(path).iter_batches(CHUNK, columns=columns):
            chunk = batch.to_pandas()
            chunk.index = pd.RangeIndex(start, start + len(chunk))
            start += len(chunk)
            yield chunk
        return
    with opened(path, member) as stream, _table_errors(path, member):
        chunks = pd.read_csv(
            stream,
            dtype=str,
            keep_default_na=False,
            na_values=[""],
            chunksize=CHUNK,
        )
        for chunk in chunks:
            if not isinstance(chunk.index, pd.RangeIndex):
                raise ValueError(
                    f"`{path.name}` must have as many fields in its records as in its first line. "
                    "Got more: quote the fields that hold a comma."
                )
            # Not `usecols`: with it pandas cuts records with too many fields short instead of refusing them.
            yield chunk[columns]


def table(path: Path, columns: Iterable[str], member: str | None = None) -> pd.DataFrame:
    """All chunks of a table in one."""
    return pd.concat(tables(path, columns, member))


def _parquet(path: Path) -> Any:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    try:
        return parquet.ParquetFile(path)
    except (arrow.ArrowInvalid, OSError) as error:
        raise ValueError(f"`{path.name}` must be a whole parquet file. Got a damaged one: fetch it again.") from error


@contextmanager
def _table_errors(path: Path, member: str | None) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        with opened(path, member) as stream:
            number = next(number for number, line in enumerate(stream, 1) if not _is_utf8(line))
        raise ValueError(f"`{path.name}` must be UTF-8. Got other bytes in line {number}: save it as UTF-8.") from error
    except pd.errors.EmptyDataError as error:
        raise ValueError(f"`{path.name}` must start with a line of column names. Got no columns.") from error
    except pd.errors.ParserError as error:
        what = str(error).strip().removeprefix("Error tokenizing data. ").removeprefix("C error: ")
        what = what.replace("EOF inside string starting at row", "a quotation mark never closed, opened in record")
        raise ValueError(
            f"`{path.name}` must be a CSV table with commas, and quotation marks around texts that hold a comma, "
            f"a quotation mark or a line end. Got {what}."
        ) from error


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def json_lines(path: Path) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    """Number (from 1), bytes and object of each line of a JSON Lines file; blank lines are passed over."""
    with opened(path) as stream:
        for number, line in enumerate(stream, 1):
            line = line.strip().removeprefix(BOM) if number == 1 else line.strip()
            if not line:
                continue
            try:
                record = json.loads(line.decode())
            except UnicodeDecodeError as error:
                raise ValueError(f"`{path.name}` must be UTF-8. Got other bytes in line {number}.") from error
            except (ValueError, RecursionError) as error:
                where = f" ({error.msg}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
                raise ValueError(
                    f"`{path.name}` must hold one JSON object in every line. Got none in line {number}{where}."
                ) from error
            if not isinstance(record, dict):
                kind = type(record).__name__
                raise ValueError(
                    f"`{path.name}` must hold one JSON object in every line. Got a {kind} in line {number}."
                )
            yield number, line, record


def layout_of(path: Path, columns: Iterable[str], loader: str) -> str:
    """Name of the layout of `loader` that a file has, or an error that says which there are and what is missing."""
    columns = list(columns)
    found = {canonical(column) for column in columns}
    missing = {
        (function, name): [column for column in required if canonical(column) not in found]
        for function, layouts in LAYOUTS.items()
        for name, required in layouts.items()
    }
    for name in LAYOUTS[loader]:
        if not missing[loader, name]:
            return name
    accepted = "; ".join(f"{name} ({', '.join(required)}, ...)" for name, required in LAYOUTS[loader].items())
    other = next((function for (function, _), lacking in missing.items() if not lacking), None)
    closest = min(LAYOUTS[loader], key=lambda name: len(missing[loader, name]))
    lacking = ", ".join(f"`{column}`" for column in missing[loader, closest])
    advice = f"this file is one for corpora.{other}" if other else f"for the layout {closest}, {lacking} is missing"
    # A file without a header shows a text as a name: only what looks like a name is repeated.
    names = [column for column in columns if column.replace("_", "").isalnum() and len(column) <= 40]
    names = ", ".join(names[:12]) + ", ..." * (len(names) > 12)
    raise ValueError(
        f"`{path.name}` must have the columns of a layout that corpora.{loader} reads: {accepted}. "
        f"Got {names}: {advice}."
    )


def numbers(
    values: pd.Series,
    column: str,
    path: Path,
    lower: float = -np.inf,
    upper: float = np.inf,
    *,
    whole: bool = False,
    place: str = "record",
) -> pd.Series:
    """`values` as floats between `lower` and `upper`, missing ones as NaN; anything else is refused with its place."""
    result = pd.to_numeric(values, errors="coerce").astype(float)
    fits = np.isfinite(result) & result.between(lower, upper) & (not whole or result % 1 == 0)
    span = f" from {lower:g} to {upper:g}" if upper < np.inf else f" of at least {lower:g}" if lower > -np.inf else ""
    refuse(values, values.notna() & ~fits, column, f"a {'whole ' * whole}number{span}", path, place)
    return result


def refuse(values: pd.Series, wrong: pd.Series, column: str, wanted: str, path: Path, place: str = "record") -> None:
    """Raise at the first of the `wrong` values, if there is one."""
    if wrong.any():
        index = wrong.idxmax()
        raise ValueError(
            f"`{column}` must be {wanted} in every {place} of `{path.name}`. "
            f"Got {shown(values[index])} in {place} {index + 1}."
        )


def shown(value: Any) -> str:
    """A value for an error message; longer text is described, not repeated, since it may be a stray comment."""
    return repr(value) if len(str(value)) <= 12 else f"text of {len(str(value)):,} characters"


def refuse_with_path(path: object, name: str, value: object) -> None:
    """Refuse an argument that says what to fetch where there is a file already: it would be ignored."""
    if path is not None and value is not None:
        raise ValueError(f"`{name}` must be left out with a file of your own, which is read whole. Got {value!r}.")


def from_hub(repository: str, file: str, size: str) -> Path:
    """Path of a file of a data set on the Hugging Face hub, fetched unless it is there already."""
    command = f"hf download {repository} {file} --repo-type dataset"
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as error:
        raise ImportError(
            f"`huggingface_hub` must be installed to fetch {file!r}. Run: pip install huggingface_hub"
        ) from error
    try:
        return Path(hf_hub_download(repository, file, repo_type="dataset"))
    except (OSError, HfHubHTTPError) as error:
        raise FileNotFoundError(
            f"`path` must be given when the hub cannot be reached. Got {type(error).__name__} for {file!r} of "
            f"{repository} ({size}). On a machine with a network run `{command}`, then pass the path that it prints."
        ) from error
