"""Civil Comments: public comments with the fraction of raters who saw toxicity and six kinds of it.

Three layouts: the hub's parquet (text and seven scores, no ids), and the two Kaggle ones, `train.csv` (the score is
called `target`) and `test_public_expanded.csv` or `test_private_expanded.csv` (`toxicity`). Scores are rounded to six
decimals, because the hub stores them in single precision: 0.7 would otherwise fall below an edge at 0.7.
Source: Borkan et al. (2019). Described in `reference/data-sets`.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import pandas as pd

from llma_tutorial import _validate
from llma_tutorial.reading.corpora import files
from llma_tutorial.reading.corpora.texts import About, Corpus, Tally, score_bins

ABOUT = About(
    name="Civil Comments",
    licence="CC0 1.0 (labels and texts; a copy from Kaggle also comes under the rules of its competition)",
    citation="Borkan, Dixon, Sorensen, Thain and Vasserman (2019), Nuanced Metrics for Measuring Unintended Bias, "
    "arXiv 1903.04561",
)
REPOSITORY = "google/civil_comments"
SHARDS = {
    "train": (("data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"), "about 190 MB"),
    "validation": (("data/validation-00000-of-00001.parquet",), "about 20 MB"),
    "test": (("data/test-00000-of-00001.parquet",), "about 20 MB"),
}
KINDS = ["toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack", "sexual_explicit"]
# fmt: off
IDENTITIES = [
    "asian", "atheist", "bisexual", "black", "buddhist", "christian", "female", "heterosexual", "hindu",
    "homosexual_gay_or_lesbian", "intellectual_or_learning_disability", "jewish", "latino", "male", "muslim",
    "other_disability", "other_gender", "other_race_or_ethnicity", "other_religion", "other_sexual_orientation",
    "physical_disability", "psychiatric_or_mental_illness", "transgender", "white",
]
COUNTS = [
    "publication_id", "parent_id", "article_id", "funny", "wow", "sad", "likes", "disagree",
    "identity_annotator_count", "toxicity_annotator_count",
]
# fmt: on


def civil_comments(
    path: str | PathLike[str] | None = None, *, split: str | None = None, edges: Sequence[float] = (0.5,)
) -> Corpus:
    """Comments of Civil Comments, also known as Jigsaw Unintended Bias.

    Parameters
    ----------
    path : path, optional
        A file in one of the three layouts; fetched from the hub if omitted.
    split : {"train", "validation", "test"}, optional
        Which part to fetch from the hub, "train" if omitted; a file is taken whole.
    edges : sequence of float
        Where the toxicity score (0 to 1) is cut into states; a bin contains its lower edge. The published rule, the
        default, calls a comment toxic from one half on.

    Returns
    -------
    Corpus
        Extra columns: ``toxicity`` and the six kinds; with Kaggle's layouts also ``created_date`` (UTC), ``rating``,
        the 24 identities (missing unless a rater looked for them) and the counts. One environment, 0.

    Notes
    -----
    The same text may stand under several ids with different scores: such rows are kept and counted. The texts hold
    slurs: print numbers.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "invented.csv")
    >>> head = "id,target,comment_text,severe_toxicity,identity_attack\\n"
    >>> _ = path.write_text(head + "3,0.1,I agree.,0,0\\n4,0.8,What a fool you are.,0,0\\n")
    >>> civil_comments(path).frame[["state", "id", "toxicity"]]
       state  id  toxicity
    0      0   3       0.1
    1      1   4       0.8
    """
    shards, size = SHARDS[_validate.one_of("split", "train" if split is None else split, tuple(SHARDS))]
    files.refuse_with_path(path, "split", split)
    paths = [files.from_hub(REPOSITORY, file, size) for file in shards] if path is None else [Path(path)]
    path = paths[0]
    columns = files.columns_of(path)
    layout = files.layout_of(path, columns, "civil_comments")
    wanted = ["id", "text", "comment_text", "target", *KINDS, *IDENTITIES, *COUNTS, "created_date", "rating"]
    columns = [name for name in columns if name in wanted]
    frame = pd.concat((files.table(shard, columns) for shard in paths), ignore_index=True)
    frame = frame.rename(columns={"comment_text": "text", "target": "toxicity"})
    tally = Tally(read=len(frame))
    frame = tally.drop_untold(frame, "text", "text")
    frame = tally.drop_untold(frame, "toxicity", "toxicity score")
    for name in frame.columns.intersection([*KINDS, *IDENTITIES]):
        frame[name] = files.numbers(frame[name], name, path, 0, 1).round(6)
    for name in frame.columns.intersection(COUNTS):
        frame[name] = files.numbers(frame[name], name, path, lower=0, whole=True).astype("Int64")
    if layout == "hub":
        frame["id"] = frame.index + 1
    else:
        frame["id"] = files.numbers(frame["id"], "id", path, lower=0, whole=True).astype("int64")
        frame = tally.drop_duplicate_ids(frame, "id", path)
    if "created_date" in frame:
        frame["created_date"] = pd.to_datetime(frame["created_date"], format="ISO8601", utc=True, errors="coerce")
    tally.noted["rows whose text stands under more than one id"] = int(frame["text"].duplicated(keep=False).sum())
    return tally.corpus(frame.assign(state=score_bins(frame["toxicity"], edges), environment=0), ABOUT, path)
