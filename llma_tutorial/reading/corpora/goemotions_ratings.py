"""GoEmotions: comments from Reddit, each read by several raters who marked which of 28 emotions it expresses.

The full data set, `goemotions_1.csv` to `goemotions_3.csv`, has one row for each rater of a comment, so that raters can
be told apart and followed. A comment's state comes from its raters: 1 where at least half of them marked one of the
`emotions` asked for. So a rater has a share in the state; judge a rater by a state that the others made (`votes`).
Source: Demszky et al. (2020). Described in `reference/data-sets`.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import pandas as pd

from llma_tutorial import _validate
from llma_tutorial.reading.corpora import files
from llma_tutorial.reading.corpora.texts import DUPLICATE, About, Corpus, Tally

ABOUT = About(
    name="GoEmotions, one row for each rater",
    licence="CC BY 4.0",
    citation="Demszky, Movshovitz-Attias, Ko, Cowen, Nemade and Ravi (2020), GoEmotions, ACL, arXiv 2005.00547",
)
# fmt: off
EMOTIONS = [
    "admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire",
    "disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief", "joy",
    "love", "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness", "surprise", "neutral",
]
# fmt: on
HOSTILE = ("anger", "annoyance", "disapproval", "disgust")
UNCLEAR = "example_very_unclear"


def goemotions(
    paths: str | PathLike[str] | Sequence[str | PathLike[str]], *, emotions: Sequence[str] = HOSTILE
) -> Corpus:
    """Judgements of GoEmotions, one row for each rater of a comment, from your own copy.

    Parameters
    ----------
    paths : path or sequence of paths
        One or more of the three CSV files of the full data set (the published split has no raters).
    emotions : sequence of str
        A comment has state 1 where at least half of its raters marked one of these.

    Returns
    -------
    Corpus
        ``id`` is comment and rater, one environment, 0. Extra columns: ``comment``, ``rater``, ``marked`` (whether this
        rater marked one of `emotions`), ``raters`` and ``votes`` (how many read the comment, how many of them marked),
        ``subreddit``, and the 28 emotions, 0 or 1. The author of a comment is never read.

    Notes
    -----
    The comments hold slurs: print numbers.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "invented.csv")
    >>> head = ["text", "id", "author", "subreddit", "link_id", "parent_id", "created_utc", "rater_id", UNCLEAR]
    >>> row = ["You again.", "c1", "somebody", "tea", "t3_a", "t1_b", "1.5e9", "7", "False"]
    >>> marks = ["1" if emotion == "annoyance" else "0" for emotion in EMOTIONS]
    >>> _ = path.write_text("\\n".join([",".join(head + EMOTIONS), ",".join(row + marks)]))
    >>> goemotions(path).frame[["state", "id", "rater", "marked", "raters"]]
       state    id  rater  marked  raters
    0      1  c1 7      7       1       1
    """
    paths = [Path(path) for path in ([paths] if isinstance(paths, str | PathLike) else paths)]
    if not paths:
        raise ValueError("`paths` must name at least one file. Got none.")
    emotions = [_validate.one_of("emotions", emotion, EMOTIONS) for emotion in emotions]
    if not emotions:
        raise ValueError("`emotions` must name at least one emotion. Got none.")
    tally = Tally()
    frame = pd.concat([_judgements(path, tally) for path in paths], ignore_index=True)
    frame = tally.drop(frame, frame.duplicated(), DUPLICATE)
    twice = frame["id"].duplicated()
    if twice.any():
        raise ValueError(
            f"`rater_id` must be different for every judgement of a comment. Got {frame.loc[twice, 'id'].iloc[0]!r}, "
            "comment and rater, with two judgements: keep one of them."
        )
    frame = tally.drop(frame, frame.pop("unclear"), "marked as very unclear by the rater")
    frame["marked"] = frame[emotions].max(axis=1)
    votes = frame.groupby("comment")["marked"]
    frame = frame.assign(raters=votes.transform("size"), votes=votes.transform("sum"), environment=0)
    frame["state"] = (2 * frame["votes"] >= frame["raters"]).astype(int)
    alone = frame["raters"] == 1
    tally.noted["rows whose comment has one rater only"] = int(alone.sum())
    extra = ["comment", "rater", "marked", "raters", "votes", "subreddit", *EMOTIONS]
    return tally.corpus(frame[["text", "state", "environment", "id", *extra]], ABOUT, paths[0])


def _judgements(path: Path, tally: Tally) -> pd.DataFrame:
    """The rows of one file, without the author."""
    columns = files.columns_of(path)
    files.layout_of(path, columns, "goemotions")
    frame = files.table(path, ["text", "id", "subreddit", "rater_id", UNCLEAR, *EMOTIONS])
    tally.read += len(frame)
    for column, what in (("text", "text"), ("id", "comment"), ("rater_id", "rater")):
        frame = tally.drop_untold(frame, column, what)
    for emotion in EMOTIONS:
        marks = files.numbers(frame[emotion], emotion, path, 0, 1, whole=True)
        files.refuse(marks, marks.isna(), emotion, "0 or 1", path)
        frame[emotion] = marks.astype("int8")
    unclear = frame[UNCLEAR].astype(str).str.lower()
    files.refuse(frame[UNCLEAR], ~unclear.isin(["true", "false"]), UNCLEAR, "True or False", path)
    rater = files.numbers(frame["rater_id"], "rater_id", path, lower=0, whole=True).astype("int64")
    frame = frame.rename(columns={"id": "comment"}).drop(columns=["rater_id", UNCLEAR])
    name = frame["comment"].astype(str) + " " + rater.astype(str)
    return frame.assign(rater=rater, unclear=unclear == "true", id=name)
