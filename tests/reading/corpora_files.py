"""Files in every published layout, with invented text, and the genuine samples where they are."""

import gzip
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

SAMPLES = Path(__file__).parents[2].parent / "shared" / "data"


def sample(name: str) -> Path:
    path = SAMPLES / name
    if not path.is_file():
        pytest.skip(f"the genuine sample {name} is not beside this repository")
    return path


# --- Measuring Hate Speech: 131 columns -----------------------------------------------------------------------------

ITEMS = ["sentiment", "respect", "insult", "humiliate", "status", "dehumanize", "violence", "genocide"]
ITEMS += ["attack_defend", "hatespeech"]
GROUPS = {
    "target_race": "asian black latinx middle_eastern native_american pacific_islander white other",
    "target_religion": "atheist buddhist christian hindu jewish mormon muslim other",
    "target_origin": "immigrant migrant_worker specific_country undocumented other",
    "target_gender": "men non_binary transgender_men transgender_unspecified transgender_women women other",
    "target_sexuality": "bisexual gay lesbian straight other",
    "target_age": "children teenagers young_adults middle_aged seniors other",
    "target_disability": "physical cognitive neurological visually_impaired hearing_impaired unspecific other",
    "annotator_gender": "men women non_binary prefer_not_to_say self_describe",
    "annotator": "transgender cisgender transgender_prefer_not_to_say",
    "annotator_education": "some_high_school high_school_grad some_college college_grad_aa college_grad_ba "
    "professional_degree masters phd",
    "annotator_income": "<10k 10k-50k 50k-100k 100k-200k >200k",
    "annotator_ideology": "extremeley_conservative conservative slightly_conservative neutral slightly_liberal "
    "liberal extremeley_liberal no_opinion",
    "annotator_race": "asian black latinx middle_eastern native_american pacific_islander white other",
    "annotator_religion": "atheist buddhist christian hindu jewish mormon muslim nothing other",
    "annotator_sexuality": "bisexual gay straight other",
}
FLAGS = [f"{group}_{member}" for group, members in GROUPS.items() for member in members.split()]
FLAGS += [group for group in GROUPS if group.startswith("target")]


def annotations() -> pd.DataFrame:
    """Seven annotations of four invented comments; the first has an even number, so that halves occur."""
    frame = pd.DataFrame(
        {
            "comment_id": np.array([30, 30, 30, 30, 7, 9, 11], dtype="int32"),
            "annotator_id": np.array([1, 2, 3, 4, 1, 2, 2], dtype="int32"),
            "platform": np.array([2, 2, 2, 2, 0, 1, 1], dtype="int8"),
            **{item: np.array([0, 1, 2, 2, 0, 1, 2], dtype=float) for item in ITEMS},
            "hate_speech_score": [-0.5, -0.5, -0.5, -0.5, -4.0, 2.5, -4.01],
            "text": ["The Blorps\nsmell, of soup URL"] * 4 + ["NA", 'All Zargs "sing" badly', "Kind words"],
            **dict.fromkeys(["infitms", "outfitms", "annotator_severity", "std_err"], 1.0),
            **dict.fromkeys(["annotator_infitms", "annotator_outfitms", "hypothesis"], 0.5),
            **dict.fromkeys(FLAGS, False),
            **dict.fromkeys(["annotator_gender", "annotator_trans", "annotator_educ"], "some"),
            **dict.fromkeys(["annotator_income", "annotator_ideology"], "some"),
            "annotator_age": [18.0, 81.0, np.nan, 30.0, 30.0, 30.0, 30.0],
        }
    )
    assert frame.shape[1] == 131
    return frame


def write_table(frame: pd.DataFrame, folder: Path, how: str) -> Path:
    """`frame` as a file: csv, index (csv with pandas' index), windows (BOM and CRLF), gzip, zip or parquet."""
    if how == "parquet":
        path = folder / "table.parquet"
        frame.to_parquet(path)
        return path
    text = frame.to_csv(index=how == "index", lineterminator="\r\n" if how == "windows" else "\n")
    content = text.encode("utf-8-sig" if how == "windows" else "utf-8")
    path = folder / {"gzip": "table.csv.gz", "zip": "table.csv.zip"}.get(how, "table.csv")
    if how == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("table.csv", content)
    else:
        path.write_bytes(gzip.compress(content) if how == "gzip" else content)
    return path


# --- Civil Comments -------------------------------------------------------------------------------------------------

KINDS = ["severe_toxicity", "obscene", "identity_attack", "insult", "threat"]
IDENTITIES = (
    "asian atheist bisexual black buddhist christian female heterosexual hindu homosexual_gay_or_lesbian "
    "intellectual_or_learning_disability jewish latino male muslim other_disability other_gender "
    "other_race_or_ethnicity other_religion other_sexual_orientation physical_disability "
    "psychiatric_or_mental_illness transgender white"
)
COMMENTS = ["You Blorp,\nyou fool", "null", "Lovely weather", "Lovely weather"]
TOXICITY = [0.7, 0.499999, 0.5, 0.0]


def kaggle(score: str = "target") -> pd.DataFrame:
    """The 45 columns of Kaggle's train.csv, or, with the score called `toxicity`, of test_*_expanded.csv."""
    frame = pd.DataFrame(
        {
            "id": [59848, 59849, 59852, 59855],
            score: TOXICITY,
            "comment_text": COMMENTS,
            **dict.fromkeys(KINDS, 0.021276595744680847),
            **{identity: [np.nan, np.nan, 0.25, 0.0] for identity in IDENTITIES.split()},
            "created_date": ["2015-09-29 10:50:41.987077+00"] * 3 + ["2015-09-29 10:50:42+00"],
            "publication_id": 2,
            "parent_id": [np.nan, 59848.0, np.nan, np.nan],
            "article_id": 2006,
            "rating": ["rejected", "approved", "approved", "approved"],
            **dict.fromkeys(["funny", "wow", "sad", "likes", "disagree"], 0),
            "sexual_explicit": 0.0,
            "identity_annotator_count": [0, 0, 4, 4],
            "toxicity_annotator_count": 4,
        }
    )
    assert frame.shape[1] == 45
    return frame if score == "target" else frame[["id", "comment_text", *frame.columns.drop(["id", "comment_text"])]]


def civil_hub() -> pd.DataFrame:
    scores = dict.fromkeys([*KINDS, "sexual_explicit"], np.float32(0.0212766))
    return pd.DataFrame({"text": COMMENTS, "toxicity": np.array(TOXICITY, dtype="float32"), **scores})


# --- Amazon reviews -------------------------------------------------------------------------------------------------

DAY = 1454889600  # 8 February 2016, midnight UTC, in seconds


def review(layout: str, **changes: object) -> dict[str, object]:
    """One invented review in the keys of a layout; a change to None leaves the key out."""
    old = {
        "reviewerID": "A1",
        "asin": "0528881469",
        "reviewText": "Boils fast.",
        "overall": 4.0,
        "summary": "Good",
        "unixReviewTime": DAY,
        "reviewTime": "02 8, 2016",
    }
    new = {
        "rating": 4.0,
        "title": "Good",
        "text": "Boils fast.",
        "images": [],
        "asin": "B07G584SHG",
        "parent_asin": "0528881469",
        "user_id": "A1",
    }
    milliseconds = DAY * 1000 + 923
    record = {
        "2014": {**old, "helpful": [3, 4]},
        "2018": {**old, "verified": True, "style": {"Size:": " 6-Foot"}, "vote": "3"},
        "2023": {**new, "timestamp": milliseconds, "helpful_vote": 3, "verified_purchase": True},
        "2023 quick start": {**new, "sort_timestamp": milliseconds, "helpful_votes": 3, "verified_purchase": True},
        "2023 early": {**new, "sortTimestamp": milliseconds, "helpfulVotes": 3, "verifiedPurchase": True},
    }[layout]
    return {key: value for key, value in {**record, **changes}.items() if value is not None}


def write_reviews(folder: Path, *records: dict[str, object], name: str = "reviews.jsonl") -> Path:
    content = "".join(json.dumps(record) + "\n" for record in records).encode()
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


# --- FNSPID ---------------------------------------------------------------------------------------------------------

NEWS = ["Date", "Article_title", "Stock_symbol", "Url", "Publisher", "Author", "Article"]
NEWS += ["Lsa_summary", "Luhn_summary", "Textrank_summary", "Lexrank_summary"]
PRICE_COLUMNS = ["date", "volume", "open", "high", "low", "close", "adj close"]


def news_row(date: str, title: str, symbol: str = "ABC", article: str = "", url: str = "") -> list[str]:
    return [date, title, symbol, url or f"https://example.org/{title}", "Someone", "", article, "", "", "", ""]


def write_news(folder: Path, *rows: list[str], index: bool = False) -> Path:
    """News as published: CRLF; with the float index of nasdaq_exteral_data.csv if asked."""
    frame = pd.DataFrame(rows, columns=NEWS)
    if index:
        frame.insert(0, "Unnamed: 0", np.arange(len(frame), dtype=float) + 1173)
    path = folder / "news.csv"
    path.write_bytes(frame.to_csv(index=False, lineterminator="\r\n").encode())
    return path


def prices(**closes: float) -> pd.DataFrame:
    """Newest first, in the hub's columns; keys are days such as d2020_03_09."""
    rows = [[day[1:].replace("_", "-"), 100, 4.0, 5.0, 3.0, 2 * close, close] for day, close in closes.items()]
    return pd.DataFrame(rows[::-1], columns=PRICE_COLUMNS)
