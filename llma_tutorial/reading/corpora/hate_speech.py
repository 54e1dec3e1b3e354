"""Measuring Hate Speech: comments with a continuous hatefulness score, from ten survey items and many annotators.

Published as one row per annotation; a comment is one text, so annotations are merged by `comment_id`: the median of
each item (halves occur), the score as it is (it is the same in every row of a comment). The state is the bin of the
score: 0 below -4, then [-4, 0), [0, 1), [1, 2), [2, 2.5), and 5 from 2.5 on; the higher, the more hateful.
Source: Kennedy, Bacon, Sahn and von Vacano (2020); Sachdeva et al. (2022). Described in `reference/data-sets`.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import pandas as pd

from llma_tutorial.reading.corpora import files
from llma_tutorial.reading.corpora.texts import DUPLICATE, About, Corpus, Tally, score_bins

# fmt: off
ITEMS = [
    "sentiment", "respect", "insult", "humiliate", "status", "dehumanize", "violence", "genocide", "attack_defend",
    "hatespeech",
]
# fmt: on
ABOUT = About(
    name="Measuring Hate Speech",
    licence="CC BY 4.0",
    citation="Sachdeva et al. (2022), The Measuring Hate Speech Corpus, NLPerspectives; Kennedy et al. (2020), "
    "arXiv 2009.10277",
)
HUB = ("ucberkeley-dlab/measuring-hate-speech", "measuring-hate-speech.parquet", "some tens of MB")


def measuring_hate_speech(
    path: str | PathLike[str] | None = None, *, edges: Sequence[float] = (-4, 0, 1, 2, 2.5)
) -> Corpus:
    """Comments of the Measuring Hate Speech corpus, one row per comment.

    Parameters
    ----------
    path : path, optional
        The published parquet file, a CSV export of it, or `englishcomments.csv` (medians per comment already);
        fetched from the hub if omitted.
    edges : sequence of float
        Where the score is cut into states; a bin contains its lower edge.

    Returns
    -------
    Corpus
        Extra columns: ``score``, the ten items from 0 to 4 (``hatespeech``: 0 to 2; higher is always more hateful),
        ``n_annotations`` and, where published, ``platform``. One environment, 0.

    Notes
    -----
    The texts hold strong slurs: print numbers.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "invented.csv")
    >>> head = "comment_id,annotator_id,sentiment,hatespeech,hate_speech_score,text\\n"
    >>> _ = path.write_text(head + "7,1,0,0,-5.2,Well said.\\n7,2,1,0,-5.2,Well said.\\n")
    >>> measuring_hate_speech(path).frame[["text", "state", "id", "sentiment"]]
             text  state  id  sentiment
    0  Well said.      0   7        0.5
    """
    path = files.from_hub(*HUB) if path is None else Path(path)
    columns = files.columns_of(path)
    layout = files.layout_of(path, columns, "measuring_hate_speech")
    wanted = {"comment_id", "annotator_id", "platform", *ITEMS, "hate_speech_score", "text"}
    frame = files.table(path, [name for name in columns if files.canonical(name) in wanted])
    frame = frame.rename(columns=files.canonical).rename(columns={"comment_id": "id", "hate_speech_score": "score"})
    tally = Tally(read=len(frame))
    frame = tally.drop_untold(frame, "text", "text")
    frame = tally.drop_untold(frame, "score", "score")
    frame = frame.assign(
        id=files.numbers(frame["id"], "comment_id", path, lower=0, whole=True).astype("int64"),
        score=files.numbers(frame["score"], "hate_speech_score", path),
        **{item: files.numbers(frame[item], item, path, 0, 4) for item in ITEMS if item in frame},
    )
    frame = _merge(frame, tally) if layout == "annotations" else tally.drop_duplicate_ids(frame, "id", path)
    return tally.corpus(frame.assign(state=score_bins(frame["score"], edges), environment=0), ABOUT, path)


def _merge(annotations: pd.DataFrame, tally: Tally) -> pd.DataFrame:
    annotations = tally.drop(annotations, annotations.duplicated(), DUPLICATE)
    comments = annotations.groupby("id")
    medians = comments[[item for item in ["score", *ITEMS] if item in annotations]].median()
    firsts = comments[[column for column in ("text", "platform") if column in annotations]].first()
    frame = firsts.join(medians).assign(n_annotations=comments.size()).reset_index()
    tally.merged = len(annotations) - len(frame)
    return frame
