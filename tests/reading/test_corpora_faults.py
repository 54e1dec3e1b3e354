"""Planted faults: each bad file gets a message that names the file, the place, and what would have been right."""

import gzip
import json
from pathlib import Path

import huggingface_hub
import numpy as np
import pandas as pd
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError
from reading import corpora_files as files

from llma_tutorial.reading import corpora
from llma_tutorial.reading.corpora import files as reading
from llma_tutorial.reading.corpora.texts import About, Tally


def own(path):
    return corpora.from_csv(path, text="text", state="state")


def refused(load, path, *pieces):
    """The one error of loading, in the one form, with every piece in its message."""
    with pytest.raises(ValueError, match=r"must .* Got ") as caught:
        load(path)
    message = str(caught.value)
    for piece in (path.name, *pieces):
        assert piece in message, message
    return message


def write(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# --- Files ----------------------------------------------------------------------------------------------------------

LOADERS = [
    corpora.measuring_hate_speech,
    corpora.civil_comments,
    corpora.amazon_reviews,
    corpora.fnspid_news,
    corpora.fnspid_prices,
    own,
]


@pytest.mark.parametrize("load", LOADERS)
def test_no_file(tmp_path, load):
    with pytest.raises(FileNotFoundError, match=r"`path` must name a file. Got '.*none.csv': nothing there"):
        load(tmp_path / "none.csv")
    with pytest.raises(FileNotFoundError, match=r"`path` must name a file. Got '.*': a folder"):
        load(tmp_path)


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_empty_file(tmp_path, load, content):
    refused(load, write(tmp_path, "empty.csv", content), "`empty.csv` must hold data. Got an empty file")


@pytest.mark.parametrize("load", LOADERS)
def test_wrong_compression(tmp_path, load):
    plain = write(tmp_path, "plain.csv.gz", "text,state\na,1\n")
    refused(load, plain, "`plain.csv.gz` must be gzip, as its name says. Got plain text: rename it")
    packed = write(tmp_path, "packed.csv", gzip.compress(b"text,state\na,1\n"))
    refused(load, packed, "`packed.csv` must be plain text, as its name says. Got gzip: rename it")


@pytest.mark.parametrize(
    ("magic", "kind"), [(b"BZh91AY", "bzip2"), (b"\xfd7zXZ\x00", "xz"), ("text".encode("utf-16"), "UTF-16 text")]
)
def test_other_packing_and_encoding(tmp_path, magic, kind):
    refused(own, write(tmp_path, "mine.csv", magic), f"must be plain text, as its name says. Got {kind}", "UTF-8")


@pytest.mark.parametrize("load", LOADERS)
def test_truncated_gzip(tmp_path, load):
    noise = np.random.default_rng(0).integers(0, 10**9, 20_000)
    if load is corpora.amazon_reviews:
        content = "\n".join(json.dumps(files.review("2018", reviewText=str(value))) for value in noise)
    else:
        head = {
            corpora.measuring_hate_speech: ",".join(["comment_id", "hate_speech_score", "text", *files.ITEMS]),
            corpora.civil_comments: "text,toxicity,severe_toxicity,identity_attack",
            corpora.fnspid_news: ",".join(files.NEWS),
            corpora.fnspid_prices: ",".join(files.PRICE_COLUMNS),
            own: "text,state",
        }[load]
        content = head + "\n" + "\n".join(",".join([f"0.{value}"] * (head.count(",") + 1)) for value in noise)
    packed = gzip.compress(content.encode())
    path = write(tmp_path, "cut.gz", packed[: len(packed) // 2])
    refused(load, path, "`cut.gz` must be a whole gzip file", "cut off (EOFError): fetch it again")
    path = write(tmp_path, "bad.gz", packed[:-8] + bytes(8))  # wrong checksum
    refused(load, path, "`bad.gz` must be a whole gzip file", "damaged")


def test_damaged_parquet_and_zip(tmp_path):
    refused(
        own, write(tmp_path, "t.parquet", b"PAR1 and nothing else"), "must be a whole parquet file", "fetch it again"
    )
    refused(own, write(tmp_path, "t.zip", b"PK\x03\x04 and nothing else"), "must be a whole zip file", "fetch it again")
    refused(
        lambda path: corpora.fnspid_prices(path, symbols=["A"]),
        write(tmp_path, "t.zip", b"PK\x03\x04 and nothing else"),
        "must be a whole zip file",
    )


def test_zip_with_several_files(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", "text,state\n")
        archive.writestr("b.csv", "text,state\n")
    refused(own, tmp_path / "two.zip", "`two.zip` must hold one file. Got 2")


# --- Layouts --------------------------------------------------------------------------------------------------------

TABLES = {
    "measuring_hate_speech": files.annotations(),
    "civil_comments": files.kaggle(),
    "fnspid_news": pd.DataFrame([files.news_row("2020-03-09", "News")], columns=files.NEWS),
    "fnspid_prices": files.prices(d2020_03_09=5),
}


@pytest.mark.parametrize("loader", TABLES)
@pytest.mark.parametrize("given", TABLES)
def test_wrong_data_set(tmp_path, loader, given):
    if loader != given:
        path = files.write_table(TABLES[given], tmp_path, "csv")
        message = refused(getattr(corpora, loader), path, f"this file is one for corpora.{given}")
        for layout, columns in reading.LAYOUTS[loader].items():
            assert f"{layout} ({', '.join(columns)}, ...)" in message


@pytest.mark.parametrize(
    ("loader", "column"),
    [
        (loader, column)
        for loader, layouts in reading.LAYOUTS.items()
        if loader in TABLES
        for column in next(iter(layouts.values()))
        if (loader, column) != ("measuring_hate_speech", "annotator_id")  # without it: a row per comment
    ],
)
def test_missing_column(tmp_path, loader, column):
    path = files.write_table(TABLES[loader].drop(columns=column), tmp_path, "csv")
    refused(getattr(corpora, loader), path, f"`{column}` is missing")


def test_genuine_files_without_their_texts():
    path = files.sample("measuring_hate_speech/annotations_notext_200.csv")
    refused(corpora.measuring_hate_speech, path, "for the layout annotations, `text` is missing")
    path = files.sample("civil_comments/hf_columns_notext_300.csv")
    refused(corpora.civil_comments, path, "for the layout hub, `text` is missing")


def test_amazon_wrong_layouts(tmp_path):
    path = files.write_reviews(tmp_path, files.review("2018", overall=None))
    refused(corpora.amazon_reviews, path, "for the layout 2018, `overall` is missing")
    path = write(tmp_path, "ratings.csv", "user_id,parent_asin,rating,timestamp\nA,B,5,1\n")
    refused(corpora.amazon_reviews, path, "one JSON object in every line. Got none in line 1")
    path = write(tmp_path, "array.json", json.dumps([files.review("2018")]))
    refused(corpora.amazon_reviews, path, "one JSON object in every line. Got a list in line 1")


def test_kaggle_test_file_has_no_labels(tmp_path):
    path = files.write_table(files.kaggle()[["id", "comment_text"]], tmp_path, "csv")
    refused(corpora.civil_comments, path, "`severe_toxicity`, `identity_attack` is missing")


def test_own_column_that_is_not_there(tmp_path):
    path = write(tmp_path, "mine.csv", "words,quality\na,1\n")
    with pytest.raises(
        ValueError, match=r"`text` must name a column of `mine.csv`. Got 'text', but there are \['words', 'quality'\]"
    ):
        own(path)


def test_a_headerless_file_is_not_repeated_in_the_message(tmp_path):
    path = write(tmp_path, "t.csv", "0,All Zargs sing badly,3\n1,Blorps smell,2\n")
    message = refused(corpora.measuring_hate_speech, path, "`text`")
    assert "Zargs" not in message


# --- Records --------------------------------------------------------------------------------------------------------


def test_numbers_as_text(tmp_path):
    frame = files.annotations().astype({"hate_speech_score": object})
    good = files.write_table(frame.assign(hate_speech_score=" 1.50 "), tmp_path, "csv")
    assert corpora.measuring_hate_speech(good).frame["score"].eq(1.5).all()
    frame.loc[2, "hate_speech_score"] = "0,5"
    path = files.write_table(frame, tmp_path, "csv")
    refused(corpora.measuring_hate_speech, path, "`hate_speech_score` must be a number", "Got '0,5' in record 3")
    path = files.write_table(files.kaggle().assign(target="high"), tmp_path, "csv")
    refused(corpora.civil_comments, path, "`toxicity` must be a number from 0 to 1", "Got 'high' in record 1")
    path = files.write_table(files.prices(d2020_03_09=5).assign(close="$5"), tmp_path, "csv")
    refused(corpora.fnspid_prices, path, "`close` must be a number", "Got '$5' in record 1")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"overall": "five"}, "`stars` must be a whole number from 1 to 5 in every line"),
        ({"overall": 4.5}, "`stars` must be a whole number from 1 to 5 in every line"),
        ({"overall": 6}, "`stars` must be a whole number from 1 to 5 in every line"),
        ({"unixReviewTime": "today"}, "`timestamp` must be a whole number from 0"),
        ({"verified": "yes"}, "`verified` must be true or false in every line"),
        ({"vote": "many"}, "`vote` must be a whole number in every line"),
        ({"vote": []}, "`vote` must be a whole number in every line"),
        ({"reviewText": 5}, "`reviewText` must be text in every line"),
    ],
)
def test_amazon_values(tmp_path, changes, message):
    path = files.write_reviews(tmp_path, files.review("2018"), files.review("2018", **changes))
    refused(corpora.amazon_reviews, path, message, "in line 2")
    path = files.write_reviews(tmp_path, files.review("2018", overall="4.0", unixReviewTime=str(files.DAY)))
    assert corpora.amazon_reviews(path).frame["environment"].tolist() == [4]


@pytest.mark.parametrize("line", ['{"overall": 1', "{'overall': 1}", "5", "null", "[" * 100_000, '{"a": 1}{"b": 2}'])
def test_a_line_that_is_no_object(tmp_path, line):
    path = files.write_reviews(tmp_path, files.review("2018"))
    path.write_text(path.read_text() + line + "\n")
    refused(corpora.amazon_reviews, path, "must hold one JSON object in every line", "in line 2")


@pytest.mark.parametrize("load", [corpora.amazon_reviews, own])
def test_bytes_that_are_not_utf8(tmp_path, load):
    if load is own:
        content = b"text,state\ngood,1\n" + "caf\u00e9,0\n".encode("latin-1")
    else:
        lines = [json.dumps(files.review("2018", reviewText=text), ensure_ascii=False) for text in "abc"]
        content = "\n".join(lines).replace('"c"', '"\u00e9"').encode("latin-1")
    path = write(tmp_path, "latin.csv", content)
    refused(load, path, "`latin.csv` must be UTF-8. Got other bytes in line 3")


def test_duplicate_ids(tmp_path):
    frame = files.kaggle().assign(id=[1, 2, 3, 2])
    path = files.write_table(frame, tmp_path, "csv")
    refused(corpora.civil_comments, path, "`id` must be different in every row", "Got 2 in records 2 and 4")
    english = files.annotations()[["comment_id", *files.ITEMS, "hate_speech_score", "text"]]
    path = files.write_table(english, tmp_path, "csv")
    refused(corpora.measuring_hate_speech, path, "`id` must be different in every row", "Got 30 in records 1 and 2")
    table = pd.concat([files.prices(d2020_03_09=5), files.prices(d2020_03_09=6)])
    table.to_csv(tmp_path / "ABC.csv", index=False)
    refused(corpora.fnspid_prices, tmp_path / "ABC.csv", "Got ABC 2020-03-09 in records 1 and 2")
    path = write(tmp_path, "mine.csv", "text,state,id\na,1,x\nb,1,x\n")
    refused(lambda path: corpora.from_csv(path, text="text", state="state", id="id"), path, "Got x in records 1 and 2")


def test_own_states(tmp_path):
    path = write(tmp_path, "mine.csv", "text,state\na,1\nb,good\n")
    refused(own, path, "`state` must be a whole number of at least 0 in", "Got 'good' in record 2")
    for value in ("0.5", "-1", "inf"):
        refused(own, write(tmp_path, "mine.csv", f"text,state\na,{value}\n"), f"Got '{value}' in record 1")
    path = write(tmp_path, "mine.csv", "text,state\na,1\nb,good\n")
    refused(
        lambda path: corpora.from_csv(path, text="text", state="state", states=["bad", "good"]),
        path,
        "`state` must be one of ['bad', 'good'] in every record",
        "Got '1' in record 1",
    )


def test_a_stray_text_is_described_and_not_repeated(tmp_path):
    path = write(tmp_path, "mine.csv", "text,state\na,All Zargs sing badly\n")
    assert "Zargs" not in refused(own, path, "Got text of 20 characters in record 1")


def test_ten_million_characters(tmp_path):
    path = write(tmp_path, "mine.csv", 'text,state\nfine,1\n"' + "word, word\n" * 1_000_000 + '",1\n')
    refused(own, path, "`text` must have at most 1,000,000 characters", "in record 2", "quotation mark")
    path = files.write_reviews(tmp_path, files.review("2018", reviewText="x" * 10_000_000))
    refused(corpora.amazon_reviews, path, "Got 10,000,000 in record 1")
    path = files.write_news(tmp_path, files.news_row("2020-03-09", "t", article="x" * 10_000_000))
    refused(lambda path: corpora.fnspid_news(path, text="article"), path, "Got 10,000,000 in record 1")


def test_quotes_and_commas(tmp_path):
    path = write(tmp_path, "mine.csv", 'text,state\na,1\n"never closed,1\nb,1\n')
    refused(own, path, "must be a CSV table with commas, and quotation marks", "never closed, opened in record 2")
    path = write(tmp_path, "mine.csv", "text,state\na,1\nb, c,1\n")
    refused(own, path, "must be a CSV table with commas", "line 3, saw 3")
    path = write(tmp_path, "mine.csv", "text,state\na, b,1\nc, d,1\n")
    refused(own, path, "as many fields in its records as in its first line. Got more")
    path = write(tmp_path, "mine.csv", "text;state\na;1\n")
    with pytest.raises(ValueError, match=r"Got 'text', but there are \['text;state'\]"):
        own(path)
    refused(own, write(tmp_path, "mine.csv", "\n\n"), "must start with a line of column names")


@pytest.mark.parametrize("loader", TABLES)
def test_nothing_but_a_header(tmp_path, loader):
    path = files.write_table(TABLES[loader].head(0), tmp_path, "csv")
    refused(getattr(corpora, loader), path, "must hold at least one usable row. Got 0 rows")


def test_nothing_left(tmp_path):
    path = write(tmp_path, "mine.csv", "text,state\n,1\n,0\nc,\n")
    refused(own, path, "must hold at least one usable row. Got 3 rows: 2 with no text, 1 with no state")
    path = files.write_reviews(tmp_path, files.review("2018"))
    refused(lambda path: corpora.amazon_reviews(path, products={"B9": 1}), path, "not among `products`")
    path = files.write_news(tmp_path, files.news_row("2020-03-09", "t"))
    refused(lambda path: corpora.fnspid_news(path, symbols=["XYZ"]), path, "not among `symbols`")


def test_rows_that_do_not_add_up_are_a_bug_and_say_so(tmp_path):
    frame = pd.DataFrame({"text": ["a"], "state": [0], "environment": [0], "id": [1]})
    with pytest.raises(AssertionError, match="Rows do not add up: 2 read, 1 kept"):
        Tally(read=2).corpus(frame, About("", "", ""), tmp_path)


def test_arguments():
    with pytest.raises(ValueError, match=r'`split` must be one of "train", "validation", "test". Got \'all\''):
        corpora.civil_comments("t.csv", split="all")
    with pytest.raises(ValueError, match=r'`text` must be one of "title", "article"'):
        corpora.fnspid_news("t.csv", text="body")
    with pytest.raises(ValueError, match=r'`part` must be one of "All_external", "nasdaq"'):
        corpora.fnspid_news(part="all")
    with pytest.raises(ValueError, match=r"`products` must be a whole number at least 0. Got 'good'"):
        corpora.amazon_reviews("t.json", products={"B1": "good"})
    with pytest.raises(ValueError, match=r"`good_from` must be a number from 1 to 5. Got 9"):
        corpora.amazon_reviews("t.json", good_from=9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: corpora.civil_comments("t.csv", split="train"), "`split` must be left out with a file of your own"),
        (lambda: corpora.fnspid_news("t.csv", part="nasdaq"), "`part` must be left out with a file of your own"),
        (lambda: corpora.amazon_reviews("t.json", category="Books"), "`category` must be left out with a file"),
        (lambda: corpora.amazon_reviews(products={"B1": 1}, good_from=3), "`good_from` must be left out where"),
        (lambda: corpora.fnspid_news("t.csv", symbols=[]), "`symbols` must name at least one share, or be left out"),
        (lambda: corpora.from_csv("t.csv", text="t", state="s", states=["a", "a"]), "must be a list of different"),
        (lambda: corpora.from_csv("t.csv", text="t", state="s", states="ab"), "`states` must be a list of different"),
    ],
)
def test_an_argument_that_would_be_ignored_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- The hub --------------------------------------------------------------------------------------------------------

HUB = {
    "measuring_hate_speech": (
        "ucberkeley-dlab/measuring-hate-speech",
        ["measuring-hate-speech.parquet"],
        "some tens of MB",
    ),
    "civil_comments": (
        "google/civil_comments",
        ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
        "190 MB",
    ),
    "amazon_reviews": ("McAuley-Lab/Amazon-Reviews-2023", ["raw/review_categories/Appliances.jsonl"], "1 GB"),
    "fnspid_news": ("Zihan1004/FNSPID", ["Stock_news/All_external.csv"], "5.7 GB"),
    "fnspid_prices": ("Zihan1004/FNSPID", ["Stock_price/full_history.zip"], "590 MB"),
}


@pytest.mark.parametrize("loader", HUB)
def test_hub_files(tmp_path, loader, monkeypatch):
    """The right files are asked for, and what comes is loaded."""
    asked = []

    def download(repository, file, repo_type):
        asked.append((repository, file, repo_type))
        table = {**TABLES, "civil_comments": files.civil_hub()}.get(loader)
        if loader == "amazon_reviews":
            return str(files.write_reviews(tmp_path, files.review("2023"), name=Path(file).name))
        if loader == "fnspid_prices":
            import zipfile

            with zipfile.ZipFile(tmp_path / "full_history.zip", "w") as archive:
                archive.writestr("full_history/ABC.csv", table.to_csv(index=False))
            return str(tmp_path / "full_history.zip")
        return str(files.write_table(table, tmp_path, "parquet" if file.endswith("parquet") else "csv"))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    options = {"symbols": ["ABC"]} if loader == "fnspid_prices" else {}
    corpus = getattr(corpora, loader)(**options)
    repository, names, _ = HUB[loader]
    assert asked == [(repository, name, "dataset") for name in names]
    assert corpus.rows_read == {"measuring_hate_speech": 7, "civil_comments": 8}.get(loader, 1)
    assert corpus.frame["id"].is_unique


@pytest.mark.parametrize("loader", HUB)
@pytest.mark.parametrize("error", [LocalEntryNotFoundError("offline"), ConnectionError("no route")])
def test_hub_out_of_reach(loader, error, monkeypatch):
    def download(*args, **options):
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    repository, names, size = HUB[loader]
    with pytest.raises(FileNotFoundError, match=r"`path` must be given when the hub cannot be reached") as caught:
        getattr(corpora, loader)()
    for piece in (type(error).__name__, f"`hf download {repository} {names[0]} --repo-type dataset`", size):
        assert piece in str(caught.value)


def test_hub_in_its_real_offline_mode(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"Got LocalEntryNotFoundError for 'measuring-hate-speech.parquet'"):
        corpora.measuring_hate_speech()


def test_hub_without_its_client(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"`huggingface_hub` must be installed to fetch .*pip install"):
        corpora.measuring_hate_speech()
