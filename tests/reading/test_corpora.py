"""Every layout that a loader accepts, on invented text; and the genuine samples."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from reading import corpora_files as files

from llma_tutorial.reading import corpora
from llma_tutorial.reading.corpora import amazon, civil, fnspid, hate_speech
from llma_tutorial.reading.corpora import files as reading
from llma_tutorial.reading.corpora.amazon import without_markup

TIDY = ["text", "state", "environment", "id"]
SLURS = ["Blorp", "Zarg", "Kind words", "Lovely", "fool"]


def printed(corpus: corpora.Corpus) -> str:
    """What the user sees, after checking that it shows no text and that the rows add up."""
    shown = str(corpus)
    assert shown == repr(corpus)
    assert not any(word in shown for word in SLURS)
    assert corpus.rows_read == len(corpus.frame) + corpus.merged + sum(corpus.dropped.values())
    assert corpus.about.licence in shown
    assert corpus.about.citation in shown
    assert corpus.source in shown
    return shown


def test_loading_is_lazy():
    code = (
        "import sys; import llma_tutorial.reading.corpora as c; c.__all__; "
        "assert not {'pandas', 'tqdm', 'pyarrow', 'huggingface_hub'} & set(sys.modules); "
        "c.amazon_reviews; assert 'pandas' in sys.modules; assert 'pyarrow.parquet' not in sys.modules; "
        "assert 'huggingface_hub' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        corpora.nonsense  # noqa: B018


@pytest.mark.parametrize("name", corpora.__all__)
def test_every_public_name_is_there(name):
    assert getattr(corpora, name).__name__ == name


# --- Measuring Hate Speech ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["parquet", "csv", "index", "windows", "gzip", "zip"])
def test_hate_speech_annotations_become_comments(tmp_path, how):
    corpus = corpora.measuring_hate_speech(files.write_table(files.annotations(), tmp_path, how))
    frame = corpus.frame
    assert list(frame.columns) == [*TIDY, "platform", "score", *files.ITEMS, "n_annotations"]
    # Median of 0, 1, 2, 2 is 1.5; -4.01 | -4 lies below and at the first edge, 2.5 at the last.
    assert frame["id"].tolist() == [7, 9, 11, 30]
    assert frame["state"].tolist() == [1, 5, 0, 1]
    assert frame["insult"].tolist() == [0, 1, 2, 1.5]
    assert frame["n_annotations"].tolist() == [1, 1, 1, 4]
    assert frame["text"].tolist() == ["NA", 'All Zargs "sing" badly', "Kind words", "The Blorps\nsmell, of soup URL"]
    assert frame["environment"].eq(0).all()
    assert "7 read, 4 kept" in printed(corpus)
    assert corpus.merged == 3
    assert "CC BY 4.0" in printed(corpus)


def test_hate_speech_counts_what_it_drops(tmp_path):
    frame = pd.concat([files.annotations(), files.annotations().tail(1)])
    extra = files.annotations().tail(2).assign(comment_id=[50, 51], text=["  ", "Zarg"])
    extra["hate_speech_score"] = [1.0, np.nan]
    corpus = corpora.measuring_hate_speech(files.write_table(pd.concat([frame, extra]), tmp_path, "csv"))
    assert corpus.dropped == {"no text": 1, "no score": 1, "exact duplicate of an earlier row": 1}
    assert "1: no score" in printed(corpus)
    assert len(corpus.frame) == 4


def test_hate_speech_medians_per_comment_already(tmp_path):
    english = files.annotations().drop_duplicates("comment_id")
    english = english[["comment_id", *files.ITEMS, "hate_speech_score", "text"]].assign(insult=0.5)
    corpus = corpora.measuring_hate_speech(files.write_table(english, tmp_path, "index"))
    assert corpus.frame["insult"].eq(0.5).all()
    assert corpus.frame["id"].tolist() == [30, 7, 9, 11]
    assert "n_annotations" not in corpus.frame
    printed(corpus)


def test_edges_are_the_readers_choice(tmp_path):
    path = files.write_table(files.annotations(), tmp_path, "parquet")
    # The card's cuts: below -1 supportive, above 0.5 approximately hate speech.
    assert corpora.measuring_hate_speech(path, edges=(-1, 0.5)).frame["state"].tolist() == [0, 2, 0, 1]
    for edges in [(1, 0), (0, 0)]:
        with pytest.raises(ValueError, match=r"`edges` must rise from each to the next. Got \["):
            corpora.measuring_hate_speech(path, edges=edges)


# --- Civil Comments -------------------------------------------------------------------------------------------------

CIVIL = {
    "hub": (files.civil_hub(), "parquet"),
    "hub as csv": (files.civil_hub(), "index"),
    "train": (files.kaggle("target"), "csv"),
    "train, as Kaggle packs it": (files.kaggle("target"), "zip"),
    "test_public_expanded": (files.kaggle("toxicity"), "windows"),
}


@pytest.mark.parametrize("layout", CIVIL)
def test_civil_layouts_agree(tmp_path, layout):
    corpus = corpora.civil_comments(files.write_table(*CIVIL[layout][:1], tmp_path, CIVIL[layout][1]))
    frame = corpus.frame
    assert frame["text"].tolist() == files.COMMENTS
    assert frame["state"].tolist() == [1, 0, 1, 0]
    assert frame["toxicity"].tolist() == files.TOXICITY
    assert frame["insult"].round(4).eq(0.0213).all()
    assert frame["id"].is_unique
    assert corpus.noted == {"rows whose text stands under more than one id": 2}
    assert "CC0 1.0" in printed(corpus)


def test_civil_edge_at_a_score_that_single_precision_misses(tmp_path):
    assert float(np.float32(0.7)) < 0.7  # the trap
    for layout in CIVIL:
        path = files.write_table(*CIVIL[layout][:1], tmp_path, CIVIL[layout][1])
        assert corpora.civil_comments(path, edges=(0.7,)).frame["state"].tolist() == [1, 0, 0, 0]


def test_civil_keeps_what_kaggle_adds(tmp_path):
    path = files.write_table(files.kaggle().assign(split="train", spans="[0, 3]"), tmp_path, "csv")
    frame = corpora.civil_comments(path).frame
    assert frame["created_date"].dt.year.eq(2015).all()
    assert frame["parent_id"].isna().tolist() == [True, False, True, True]
    assert frame["white"].isna().sum() == 2
    assert frame["rating"].tolist()[0] == "rejected"
    assert "spans" not in frame


def test_civil_drops_a_row_that_stands_twice(tmp_path):
    frame = files.kaggle()
    corpus = corpora.civil_comments(files.write_table(pd.concat([frame, frame.tail(1)]), tmp_path, "csv"))
    assert corpus.dropped == {"exact duplicate of an earlier row": 1}
    assert "5 read, 4 kept" in printed(corpus)


# --- Amazon reviews -------------------------------------------------------------------------------------------------

AMAZON = ["2014", "2018", "2023", "2023 quick start", "2023 early"]


@pytest.mark.parametrize("layout", AMAZON)
@pytest.mark.parametrize("name", ["reviews.json", "reviews.jsonl.gz"])
def test_amazon_layouts_agree(tmp_path, layout, name):
    corpus = corpora.amazon_reviews(files.write_reviews(tmp_path, files.review(layout), name=name))
    (row,) = corpus.frame.itertuples()
    assert (row.text, row.state, row.environment, row.id) == ("Boils fast.", 1, 4, 1)
    assert (row.product, row.title, row.user, row.helpful) == ("0528881469", "Good", "A1", 3)
    milliseconds = 0 if layout < "2023" else 923
    assert row.date == pd.Timestamp("2016-02-08", tz="UTC") + pd.Timedelta(milliseconds, "ms")
    assert corpus.frame["verified"].isna().all() if layout == "2014" else bool(row.verified)
    assert "none stated" in printed(corpus)


def test_amazon_seconds_in_the_new_layout_are_seconds(tmp_path):
    path = files.write_reviews(tmp_path, files.review("2023", timestamp=files.DAY))
    assert corpora.amazon_reviews(path).frame["date"][0] == pd.Timestamp("2016-02-08", tz="UTC")


def test_amazon_product_without_a_parent_is_itself(tmp_path):
    path = files.write_reviews(tmp_path, files.review("2023 early", parent_asin=None))
    assert corpora.amazon_reviews(path).frame["product"].tolist() == ["B07G584SHG"]


def test_amazon_counts_duplicates_and_missing_texts(tmp_path):
    records = [
        files.review("2018", reviewText=None),
        files.review("2018", vote="1,913"),
        files.review("2018", vote=None, verified=False, style=None, overall=1),
        files.review("2018", vote="1,913"),
        files.review("2018", reviewText=" \n", reviewerID="A2"),
        files.review("2018", overall=None, reviewerID="A3"),
        files.review("2018", asin=None, reviewerID="A4"),
    ]
    path = files.write_reviews(tmp_path, *records)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n\r\n").rstrip())  # BOM, CRLF, blank lines
    corpus = corpora.amazon_reviews(path)
    assert corpus.dropped == {"exact duplicate of an earlier row": 1, "no text": 2, "no stars": 1, "no product": 1}
    assert corpus.frame["id"].tolist() == [3, 5]  # lines of the file, blank ones counted
    assert corpus.frame["helpful"].tolist() == [1913, pd.NA]
    assert corpus.frame["verified"].tolist() == [True, False]
    assert "7 read, 2 kept" in printed(corpus)


def test_amazon_state_is_the_mean_of_stars_unless_products_are_named(tmp_path):
    stars = [("B1", 5), ("B1", 3), ("B2", 5), ("B2", 2), ("B3", 1)]
    records = [files.review("2018", asin=asin, overall=star, reviewerID=f"{star}") for asin, star in stars]
    path = files.write_reviews(tmp_path, *records)
    assert corpora.amazon_reviews(path).frame["state"].tolist() == [1, 1, 0, 0, 0]
    assert corpora.amazon_reviews(path, good_from=3.5).frame["state"].tolist() == [1, 1, 1, 1, 0]
    named = corpora.amazon_reviews(path, products={"B1": 0, "B3": 1})
    assert named.frame["state"].tolist() == [0, 0, 1]
    assert named.frame["environment"].tolist() == [5, 3, 1]
    assert named.dropped == {"a product that is not among `products`": 2}


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("It leaks.<br />Avoid<BR>it", "It leaks.\nAvoid\nit"),
        ("5&#34; wide &amp; quiet", '5" wide & quiet'),
        ('<div id="video"><input type="hidden">Nice</div>', "Nice"),
        ("[[VIDEOID:ab12cd]] It hums", " It hums"),
        ("Like [[ASIN:B000123456 the old one]] but new", "Like the old one but new"),
        ("I <3 it, 2 < 3 and 5 > 4, a[[1]]", "I <3 it, 2 < 3 and 5 > 4, a[[1]]"),
        ("typed &lt;br&gt; by hand", "typed <br> by hand"),
    ],
)
def test_amazon_markup(tmp_path, raw, clean):
    assert without_markup(raw) == clean
    corpus = corpora.amazon_reviews(files.write_reviews(tmp_path, files.review("2023", text=raw, title=raw)))
    assert corpus.frame["text"][0] == corpus.frame["title"][0] == clean
    assert sum(corpus.noted.values()) == (raw != clean)


# --- FNSPID ---------------------------------------------------------------------------------------------------------

ROWS = [
    files.news_row("2020-03-13 00:00:00 UTC", "Late news", article='He said "no",\r\nthen left.'),
    files.news_row("2020-03-09 06:30:54 UTC", "Early news"),
    files.news_row("2020-03-14 00:00:00 UTC", "Early news", url="https://example.org/2"),
    files.news_row("2020-03-10 00:00:00 UTC", "Other news", symbol="XYZ"),
    files.news_row("2020-03-10 00:00:00 UTC", "Other news", symbol="XYZ"),
    files.news_row("someday", "Undated"),
    files.news_row("2020-03-10 00:00:00 UTC", " "),
]


def test_a_title_is_repeated_within_one_share_only(tmp_path):
    rows = [files.news_row("2020-03-09", "Same", symbol=symbol) for symbol in ("ABC", "XYZ")]
    assert not corpora.fnspid_news(files.write_news(tmp_path, *rows)).frame["repeated_title"].any()


@pytest.mark.parametrize("index", [False, True], ids=["All_external", "nasdaq_exteral_data"])
def test_news_layouts(tmp_path, index):
    corpus = corpora.fnspid_news(files.write_news(tmp_path, *ROWS, index=index))
    frame = corpus.frame
    extra = ["date", "title", "url", "publisher", "clock", "repeated_title"]
    assert set(frame.columns) == {*TIDY, *extra}
    assert frame["text"].tolist() == ["Early news", "Late news", "Early news", "Other news"]
    assert frame["environment"].tolist() == ["ABC", "ABC", "ABC", "XYZ"]
    assert frame["id"].tolist() == [2, 1, 3, 4]
    assert frame["clock"].tolist() == ["8 h early", "no clock", "no clock", "no clock"]
    assert frame["repeated_title"].tolist() == [False, False, True, False]
    assert frame["state"].isna().all()
    assert corpus.dropped == {"exact duplicate of an earlier row": 1, "no headline": 1, "no readable date": 1}
    assert list(corpus.noted.values()) == [3, 1, 1]
    assert "CC BY-NC 4.0" in printed(corpus)


def test_news_articles_span_lines(tmp_path):
    corpus = corpora.fnspid_news(files.write_news(tmp_path, *ROWS), text="article", symbols=["ABC"])
    assert corpus.frame["text"].tolist() == ['He said "no",\nthen left.']
    assert corpus.frame["title"].tolist() == ["Late news"]
    assert corpus.dropped["a share that is not among `symbols`"] == 2
    assert corpus.dropped["no article"] == 4


def test_news_take_their_state_after_their_day(tmp_path):
    # Monday 9 to Monday 16 March 2020. The state of a day: does the close rise from it to the next trading day?
    table = files.prices(d2020_03_09=5, d2020_03_10=4, d2020_03_13=3, d2020_03_16=7, d2020_03_17=6)
    path = tmp_path / "ABC.csv"
    table.to_csv(path, index=False)
    days = corpora.fnspid_prices(path)
    assert days.frame["state"].tolist() == [0, 0, 1, 0, pd.NA]
    corpus = corpora.fnspid_news(files.write_news(tmp_path, *ROWS), prices=days)
    assert corpus.frame["state"].tolist() == [0, 1, 1]  # 9th falls; Friday 13th and Saturday 14th rise on Monday
    assert corpus.dropped["no price of the share on, or after, the date"] == 1  # XYZ
    printed(corpus)
    late = files.news_row("2020-03-17 00:00:00 UTC", "Last day"), files.news_row("2020-06-17 00:00:00 UTC", "Far")
    corpus = corpora.fnspid_news(files.write_news(tmp_path, ROWS[0], *late), prices=days)
    assert corpus.frame["text"].tolist() == ["Late news"]  # after the 17th nothing is known: never the move of the day
    assert corpus.dropped == {"no price of the share on, or after, the date": 2}
    files.prices(d2020_03_09=5, d2020_05_04=4, d2020_05_05=3).to_csv(path, index=False)  # trading suspended
    with pytest.raises(ValueError, match="1 with no price of the share on"):
        corpora.fnspid_news(files.write_news(tmp_path, late[0]), prices=corpora.fnspid_prices(path))


def test_price_layouts(tmp_path):
    hub = files.prices(d2020_03_09=5, d2020_03_10=4, d2020_03_11=6)
    hub.to_csv(tmp_path / "abc.csv", index=False)
    repository = hub[::-1].rename(columns=str.title).rename(columns={"Adj Close": "Adj close"})
    repository["Date"] += " 00:00:00-05:00"
    repository = repository[["Date", "Open", "High", "Low", "Close", "Adj close", "Volume"]].assign(News_flag=0)
    (tmp_path / "other").mkdir()
    repository.to_csv(tmp_path / "other" / "abc.csv", index=False)
    corpus = corpora.fnspid_prices(tmp_path / "abc.csv")
    assert_frame_equal(corpus.frame, corpora.fnspid_prices(tmp_path / "other" / "abc.csv").frame)
    assert corpus.frame["date"].is_monotonic_increasing
    assert corpus.frame["adj_close"].tolist() == [5, 4, 6]
    assert corpus.frame["close"].tolist() == [10, 8, 12]
    assert corpus.frame["environment"].eq("ABC").all()
    assert corpora.fnspid_prices(tmp_path / "abc.csv", symbols="Q").frame["id"][0] == "Q 2020-03-09"
    with pytest.raises(
        ValueError, match=r"`symbols` must name one share for a single file, `abc.csv`. Got \['A', 'B'\]"
    ):
        corpora.fnspid_prices(tmp_path / "abc.csv", symbols=["A", "B"])
    printed(corpus)


def test_prices_from_the_zip(tmp_path):
    path = tmp_path / "full_history.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("full_history/", "")
        for symbol, close in [("ABC", 5), ("xyz", 6), ("OTHER", 7)]:
            archive.writestr(f"full_history/{symbol}.csv", files.prices(d2020_03_09=close).to_csv(index=False))
    corpus = corpora.fnspid_prices(path, symbols=["XYZ", "ABC"])
    assert corpus.frame[["environment", "adj_close"]].to_numpy().tolist() == [["XYZ", 6], ["ABC", 5]]
    with pytest.raises(ValueError, match=r"`symbols` must name the shares to read from `full_history.zip`. Got \[\]"):
        corpora.fnspid_prices(path)
    with pytest.raises(ValueError, match=r"among the 3 shares of `full_history.zip`. Got \['NONE'\]"):
        corpora.fnspid_prices(path, symbols=["NONE"])


def test_prices_drop_days_without_a_price(tmp_path):
    frame = files.prices(d2020_03_09=5, d2020_03_10=4).astype({"date": object})
    frame = pd.concat([frame, frame.tail(1), frame.assign(date=["2020-03-12", "?"], close=[np.nan, 1])])
    frame.to_csv(tmp_path / "ABC.csv", index=False)
    corpus = corpora.fnspid_prices(tmp_path / "ABC.csv")
    assert corpus.dropped == {"no readable date": 1, "no close": 1, "exact duplicate of an earlier row": 1}
    assert len(corpus.frame) == 2


def test_dates_that_are_dates_already(tmp_path):
    table = files.prices(d2020_03_09=5, d2020_03_10=4, d2020_03_11=6)
    typed = files.write_table(table.assign(date=pd.to_datetime(table["date"])), tmp_path, "parquet")
    days = corpora.fnspid_prices(typed, symbols="ABC")
    news = pd.DataFrame([files.news_row("2020-03-10", "t")], columns=files.NEWS)
    news["Date"] = pd.to_datetime(news["Date"]).astype("datetime64[s]")
    corpus = corpora.fnspid_news(files.write_table(news, tmp_path, "parquet"), prices=days, symbols="ABC")
    assert corpus.frame["state"].tolist() == [1]
    assert corpus.frame["clock"].tolist() == ["no clock"]


# --- Own data -------------------------------------------------------------------------------------------------------

OWN = pd.DataFrame(
    {
        "Text": ["upper", "upper"],
        "text": ["None", "two,\nlines"],
        "how bad": [1, 0],
        "word": ["bad", "good"],
        "prompt": ["a", "b"],
        "key": ["007", "08"],
    }
)


@pytest.mark.parametrize("how", ["csv", "index", "windows", "gzip", "zip", "parquet"])
def test_own_data(tmp_path, how):
    path = files.write_table(OWN, tmp_path, how)
    corpus = corpora.from_csv(path, text="text", state="how bad")
    assert corpus.frame.to_numpy().tolist() == [["None", 1, 0, 1], ["two,\nlines", 0, 0, 2]]
    assert list(corpus.frame.columns) == TIDY
    full = corpora.from_csv(path, text="text", state="word", environment="prompt", id="key", states=["good", "bad"])
    assert full.frame.to_numpy().tolist() == [["None", 1, "a", "007"], ["two,\nlines", 0, "b", "08"]]
    assert "yours to state" in printed(corpus)


def test_own_data_counts_blank_fields(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("t,s,e,i\na,0,x,1\n,0,x,2\nb,,x,3\nc,1,,4\nd,1,x,\na,0,x,1\n")
    corpus = corpora.from_csv(path, text="t", state="s", environment="e", id="i")
    assert corpus.dropped == dict.fromkeys(
        ["no text", "no state", "no identifier", "exact duplicate of an earlier row", "no environment"], 1
    )
    printed(corpus)


# --- Streams --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["csv", "gzip", "parquet"])
def test_chunks_change_nothing(tmp_path, how, monkeypatch):
    path = files.write_table(OWN.loc[[0, 1, 0, 1, 1]], tmp_path, how)
    whole = corpora.from_csv(path, text="text", state="how bad").frame
    monkeypatch.setattr(reading, "CHUNK", 2)
    assert [len(chunk) for chunk in reading.tables(path, ["text"])] == [2, 2, 1]
    assert_frame_equal(whole, corpora.from_csv(path, text="text", state="how bad").frame)
    assert whole["id"].tolist() == [1, 2, 3, 4, 5]


def test_long_reads_move_a_progress_bar(tmp_path, monkeypatch):
    moved = []

    class Bar(reading.tqdm):
        def __init__(self, **options):
            super().__init__(**{**options, "disable": True})
            moved.append(options["total"])
            assert options["delay"] > 0  # short reads stay silent

        def update(self, n=1):
            moved[0] -= n

    monkeypatch.setattr(reading, "tqdm", Bar)
    corpora.amazon_reviews(files.write_reviews(tmp_path, *[files.review("2018")] * 5000, name="reviews.json.gz"))
    assert moved == [0]


# --- Genuine samples: counts from the description of the data ---------------------------------------------------------


def test_genuine_amazon_2018():
    corpus = corpora.amazon_reviews(files.sample("amazon/2018/Appliances_5_sample300.json.gz"))
    assert corpus.rows_read == 300
    assert corpus.dropped == {"exact duplicate of an earlier row": 94}
    assert corpus.frame["product"].nunique() == 48
    assert corpus.frame["user"].nunique() == 47
    assert (corpus.frame["date"].dt.normalize() == corpus.frame["date"]).all()


@pytest.mark.parametrize(
    ("name", "rows"),
    [("amazon/2023/released_keys_doc_rows.jsonl", 2), ("derived/amazon2023_released_keys_13.jsonl.gz", 13)],
)
def test_genuine_amazon_2023(name, rows):
    frame = corpora.amazon_reviews(files.sample(name)).frame
    assert len(frame) == rows
    assert frame["date"].dt.year.between(1998, 2023).all()
    assert frame["user"].str.len().eq(28).all()


def test_genuine_civil_comments():
    frame = corpora.civil_comments(files.sample("civil_comments/jigsaw_kaggle/train.csv")).frame
    assert frame["id"].tolist() == [59848, 59849, 59852, 59855, 59856]
    assert frame["state"].tolist() == [0, 0, 0, 0, 1]
    assert frame["toxicity"].iloc[-1] == 0.893617  # 0.8936170212765957 in the file


def test_genuine_civil_scores_of_the_hub(tmp_path):
    table = pd.read_csv(files.sample("civil_comments/hf_columns_notext_300.csv"))
    path = files.write_table(table.assign(text=[f"invented {row}" for row in range(300)]), tmp_path, "csv")
    frame = corpora.civil_comments(path).frame
    assert frame["state"].tolist() == (table["toxicity"] >= 0.5).astype(int).tolist()


def test_genuine_hate_speech_annotations(tmp_path):
    table = pd.read_csv(files.sample("measuring_hate_speech/annotations_notext_200.csv"))
    path = files.write_table(table.assign(text="invented"), tmp_path, "csv")
    frame = corpora.measuring_hate_speech(path).frame.set_index("id")
    table = table.set_index("comment_id")  # every comment once
    assert frame["score"].to_dict() == table["hate_speech_score"].to_dict()
    assert frame["insult"].to_dict() == table["insult"].to_dict()
    bounds = np.array([-np.inf, -4, 0, 1, 2, 2.5, np.inf])
    assert ((bounds[frame["state"]] <= frame["score"]) & (frame["score"] < bounds[frame["state"] + 1])).all()
    assert set(frame["state"]) == set(range(6))


def test_genuine_hate_speech_parquet():
    corpus = corpora.measuring_hate_speech(files.sample("derived/measuring_hate_speech_first22_mild.parquet"))
    assert len(corpus.frame) == 54
    assert not any(text in str(corpus) for text in corpus.frame["text"])


def test_genuine_news():
    corpus = corpora.fnspid_news(files.sample("fnspid/All_external_head4.csv"))
    assert corpus.frame["date"].is_monotonic_increasing  # the file is newest first
    assert corpus.frame["clock"].eq("8 h early").all()


@pytest.mark.parametrize(
    ("name", "rows"), [("fnspid/full_history_AADR_head4.csv", 4), ("derived/fnspid_full_history_AAPL_300.csv", 300)]
)
def test_genuine_prices(name, rows):
    frame = corpora.fnspid_prices(files.sample(name)).frame
    assert len(frame) == rows
    assert frame["date"].is_monotonic_increasing
    rises = frame["adj_close"].diff().shift(-1) > 0
    assert frame["state"].dropna().tolist() == rises.astype(int).tolist()[:-1]


def test_the_reference_page_names_every_loader_and_licence():
    page = (Path(__file__).parents[2] / "book/reference/data-sets.md").read_text(encoding="utf-8")
    for name in corpora.__all__:
        if name != "Corpus":
            assert f"`{name}`" in page
    for about in (amazon.ABOUT, civil.ABOUT, fnspid.ABOUT, hate_speech.ABOUT):
        assert about.name in page
        assert re.match(r"none stated|[\w .-]+ \d\.\d", about.licence)[0] in page
