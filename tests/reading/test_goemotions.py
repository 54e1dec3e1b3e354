"""GoEmotions, one row for each rater: invented comments in the published layout, and every fault."""

import re

import pandas as pd
import pytest

from llma_tutorial.reading import corpora
from llma_tutorial.reading.corpora.goemotions_ratings import EMOTIONS

HEAD = ["text", "id", "author", "subreddit", "link_id", "parent_id", "created_utc", "rater_id", "example_very_unclear"]


def judgement(comment: str, rater: int, *marked: str, text: str = "A Blorp, again", unclear: bool = False) -> list:
    about = [text, comment, "somebody_real", "tea", "t3_a", "t1_b", 1548381039.0, rater, unclear]
    return about + [int(emotion in marked) for emotion in EMOTIONS]


ROWS = [
    judgement("c1", 1, "anger"),
    judgement("c1", 2, "annoyance", "disgust"),
    judgement("c1", 37, "neutral"),
    judgement("c2", 1, "joy", text="Lovely, a Zarg"),
    judgement("c2", 2, "anger", text="Lovely, a Zarg"),
    judgement("c3", 2, "joy", text='NA, "they" said'),
    judgement("c3", 1, text='NA, "they" said', unclear=True),
]


def write(folder, rows=ROWS, name="goemotions_1.csv", **columns):
    frame = pd.DataFrame(rows, columns=[*HEAD, *EMOTIONS]).assign(**columns)
    frame.to_csv(folder / name, index=False)
    return folder / name


def test_one_row_for_each_rater(tmp_path):
    corpus = corpora.goemotions(write(tmp_path))
    frame = corpus.frame
    assert frame["id"].tolist() == ["c1 1", "c1 2", "c1 37", "c2 1", "c2 2", "c3 2"]
    assert frame["state"].tolist() == [1, 1, 1, 1, 1, 0]  # half of the raters are enough
    assert frame["marked"].tolist() == [1, 1, 0, 0, 1, 0]
    assert frame["votes"].tolist() == [2, 2, 2, 1, 1, 0]
    assert frame["raters"].tolist() == [3, 3, 3, 2, 2, 1]
    assert frame["rater"].tolist() == [1, 2, 37, 1, 2, 2]
    assert frame["text"].iloc[-1] == 'NA, "they" said'
    assert frame[EMOTIONS].to_numpy().sum() == 7
    assert corpus.dropped == {"marked as very unclear by the rater": 1}
    assert corpus.noted == {"rows whose comment has one rater only": 1}
    assert "7 read, 6 kept" in str(corpus)
    assert "CC BY 4.0" in str(corpus)
    assert not any(word in str(corpus) for word in ("Blorp", "Zarg", "somebody_real"))


def test_authors_are_never_kept(tmp_path):
    frame = corpora.goemotions(write(tmp_path)).frame
    assert "author" not in frame
    assert not frame.astype(str).eq("somebody_real").any().any()
    without = write(tmp_path, name="without.csv")
    pd.read_csv(without, dtype=str, keep_default_na=False).drop(columns="author").to_csv(without, index=False)
    assert len(corpora.goemotions(without).frame) == 6


def test_other_emotions_make_another_state(tmp_path):
    frame = corpora.goemotions(write(tmp_path), emotions=["joy"]).frame
    assert frame["state"].tolist() == [0, 0, 0, 1, 1, 1]
    with pytest.raises(ValueError, match="`emotions` must be one of"):
        corpora.goemotions(write(tmp_path), emotions=["rage"])
    with pytest.raises(ValueError, match=re.escape("`emotions` must name at least one emotion. Got none.")):
        corpora.goemotions(write(tmp_path), emotions=[])


def test_several_files_are_one_corpus(tmp_path):
    paths = [write(tmp_path, ROWS[:2]), write(tmp_path, ROWS[1:], name="goemotions_2.csv")]
    corpus = corpora.goemotions(paths)
    assert corpus.dropped["exact duplicate of an earlier row"] == 1
    assert corpus.frame["votes"].tolist() == [2, 2, 2, 1, 1, 0]
    with pytest.raises(ValueError, match="`paths` must name at least one file"):
        corpora.goemotions([])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joy": 2}, "`joy` must be a whole number from 0 to 1 in every record of `goemotions_1.csv`. Got '2'"),
        ({"joy": None}, "`joy` must be 0 or 1 in every record"),
        ({"rater_id": -1}, "`rater_id` must be a whole number of at least 0"),
        ({"example_very_unclear": "maybe"}, "`example_very_unclear` must be True or False"),
    ],
)
def test_values_are_checked(tmp_path, change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        corpora.goemotions(write(tmp_path, **change))


def test_two_judgements_of_one_rater_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"different for every judgement of a comment\. Got 'c1 1'"):
        corpora.goemotions(write(tmp_path, [*ROWS, judgement("c1", 1, "joy")]))


def test_gaps_are_dropped_and_counted(tmp_path):
    rows = [*ROWS, judgement(None, 4, "joy"), judgement("c9", 4, "joy", text="  ")]
    assert corpora.goemotions(write(tmp_path, rows)).dropped == {
        "no text": 1,
        "no comment": 1,
        "marked as very unclear by the rater": 1,
    }


def test_the_split_without_raters_is_refused(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("text,labels,id\nKind words,3,c1\n")
    with pytest.raises(ValueError, match=r"corpora\.goemotions reads: full data set") as caught:
        corpora.goemotions(path)
    assert "Kind" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="`path` must name a file"):
        corpora.goemotions(tmp_path / "nothing.csv")
