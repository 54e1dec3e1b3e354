"""Product reviews with twenty ratings a sentence: invented sentences in the published layout, and numbers of the real.

No sentence of the real files may stand here, be printed or show in a failure: tests on them compare counts alone.
"""

import itertools
import re

import numpy as np
import pytest

from llma_tutorial import fetch
from llma_tutorial.reading import corpora
from llma_tutorial.reading.corpora import rated_reviews

BOM = b"\xef\xbb\xbf"
GOOD, BAD, CALM, TORN = [3] * 20, [-2] * 19 + [0], [1] * 10 + [0] * 10, [4] * 14 + [-1] * 6
# In the order of the published file, which is not that of the reviews.
SENTENCES = [
    ("99_2", " Sharp even at dusk. ", GOOD),
    ("99_1", "The strap is woven.", CALM),
    ("99_4", "It is light.", TORN),
    ("1_1", "Stops after ten minutes.", BAD),
    ("175_1", "It is light.", GOOD),  # in the words of 99_4
    ("176_1", "Calls drop on the stairs.", BAD),
    ("309_1", "“Loud” enough, I’d say.", GOOD),
]


def write(folder, sentences=SENTENCES, text_lines=None, rating_lines=None):
    """The two files as published: CRLF, no header, no last line end, a byte-order mark before the ratings."""
    means = [np.mean(ratings) for _, _, ratings in sentences]
    texts = [f"{name}\t{mean}\t{text}" for (name, text, _), mean in zip(sentences, means, strict=True)]
    rows = [f"{name}\t{mean}\t0.5\t{ratings}" for (name, _, ratings), mean in zip(sentences, means, strict=True)]
    texts, rows = text_lines or texts, rating_lines or rows[::-1]
    (folder / rated_reviews.SENTENCES).write_bytes("\r\n".join(texts).encode())
    (folder / rated_reviews.RATINGS_FILE).write_bytes(BOM + "\r\n".join(rows).encode())
    return folder


def test_sentences(tmp_path):
    corpus = corpora.human_reviews(write(tmp_path))
    frame = corpus.frame
    assert frame["id"].tolist() == ["1_1", "99_2", "99_4", "176_1", "309_1"]
    assert frame["state"].tolist() == [0, 1, 1, 0, 1]
    assert frame["text"][1] == "Sharp even at dusk."
    assert frame["product"].tolist() == ["dvd player", "first camera", "first camera", "phone", "music player"]
    assert frame[["review", "sentence"]].to_numpy().tolist() == [[1, 1], [99, 2], [99, 4], [176, 1], [309, 1]]
    assert frame["mean_rating"].tolist() == [-1.9, 3, 2.5, -1.9, 3]
    assert frame[rated_reviews.RATINGS].to_numpy()[0].tolist() == BAD
    assert frame["environment"].eq(0).all()
    assert corpus.dropped == {
        "the words of an earlier sentence": 1,
        "ambiguous sentence, its mean rating within 0.5 of 0": 1,
    }
    assert corpus.noted == {
        "numbers from 1 to 309 that no review has": 304,
        "numbers of sentences that reviews pass over": 1,
        "sentences of which at least 4 raters each say good and bad": 1,
    }
    assert corpus.rows_read == len(SENTENCES)


def test_printed_it_shows_numbers_and_no_sentence(tmp_path):
    shown = str(corpora.human_reviews(write(tmp_path)))
    assert not any(text.strip() in shown for _, text, _ in SENTENCES)
    for piece in ("7 read, 5 kept", "states   0: 2, 1: 3", "MIT", "Hutto and Gilbert (2014)", "Hu and Liu (2004)"):
        assert piece in shown


def test_whole_reviews_join_their_sentences_in_order(tmp_path):
    corpus = corpora.human_reviews(write(tmp_path), whole_reviews=True)
    frame = corpus.frame
    assert frame["text"][1] == "The strap is woven. Sharp even at dusk. It is light."
    assert frame["id"].tolist() == frame["review"].tolist() == [1, 99, 175, 176, 309]
    assert frame["sentences"].tolist() == [1, 3, 1, 1, 1]
    assert frame["mean_rating"][1] == pytest.approx((0.5 + 3 + 2.5) / 3)
    assert (corpus.rows_read, corpus.merged, len(frame)) == (7, 2, 5)


def test_margin_moves_what_is_ambiguous(tmp_path):
    folder = write(tmp_path)
    assert corpora.human_reviews(folder, margin=0.4).dropped == {"the words of an earlier sentence": 1}
    assert corpora.human_reviews(folder, margin=2.5).frame["id"].tolist() == ["99_2", "309_1"]


@pytest.mark.parametrize(("whole", "states"), [(False, [0, 1, 1, 1]), (True, [0, 1, 1])])
def test_the_product_is_the_state(tmp_path, whole, states):
    corpus = corpora.human_reviews(write(tmp_path), state="product", whole_reviews=whole)
    assert corpus.frame["state"].tolist() == states
    assert set(corpus.frame["product"]) == {"dvd player", "first camera"} | ({"second camera"} if whole else set())
    what = "review" if whole else "sentence"
    assert corpus.dropped[f"{what} on a product that is neither"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"state": "stars"}, '`state` must be one of "sentence", "product"'),
        ({"state": "product", "margin": 0.5}, '`margin` must be left out for state="product"'),
        ({"margin": 4.5}, "`margin` must be a number from 0 to 4"),
    ],
)
def test_arguments_are_checked(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        corpora.human_reviews(write(tmp_path), **arguments)


SECRET = "nobody may see this"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ({"text_lines": [f"1_1\t3.0\t{SECRET}\tmore"]}, "must have 3 fields, .* Got 4 fields in line 1"),
        ({"text_lines": [f"one\t3.0\t{SECRET}"]}, "the first like 12_3"),
        ({"text_lines": [f"1_1\t3.0\t{SECRET}"] * 2}, "every sentence once. Got 1_1 again in line 2"),
        ({"text_lines": [f"1_1\t3.0\t{SECRET}"]}, "must hold the same sentences"),
        ({"rating_lines": ["1_1\t3.0\t0"]}, "must have 4 fields"),
    ],
)
def test_a_table_of_another_form_is_refused(tmp_path, lines, message):
    with pytest.raises(ValueError, match=message) as caught:
        corpora.human_reviews(write(tmp_path, **lines))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("ratings", [[3] * 19, [3] * 19 + [5], [3.0] * 20, "3", "[3, 3", [2] * 20])
def test_other_ratings_are_refused(tmp_path, ratings):
    lines = {"text_lines": [f"1_1\t3.0\t{SECRET}"], "rating_lines": [f"1_1\t3.0\t0\t{ratings}"]}
    with pytest.raises(ValueError, match=r"must list 20 whole ratings from -4 to 4.*Got something else for 1_1"):
        corpora.human_reviews(write(tmp_path, **lines))


def test_a_review_of_no_product_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must hold reviews 1 to 309\. Got review 310"):
        corpora.human_reviews(write(tmp_path, [("310_1", SECRET, GOOD)]))


def test_other_bytes_are_refused(tmp_path):
    folder = write(tmp_path)
    (folder / rated_reviews.SENTENCES).write_bytes(b"1_1\t3.0\tcaf\xe9")
    with pytest.raises(ValueError, match=r"must be UTF-8\. Got other bytes at 11"):
        corpora.human_reviews(folder)
    (folder / rated_reviews.SENTENCES).write_bytes(b"\x1f\x8b packed")
    with pytest.raises(ValueError, match="must be plain text"):
        corpora.human_reviews(folder)
    (folder / rated_reviews.SENTENCES).unlink()
    with pytest.raises(FileNotFoundError, match="`path` must name a file"):
        corpora.human_reviews(folder)


def test_not_fetched_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMA_TUTORIAL_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="python -m llma_tutorial fetch reviews"):
        corpora.human_reviews()


# --- the real files: numbers only -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reviews():
    try:
        fetch.fetched("reviews")
    except FileNotFoundError:
        pytest.skip("the reviews are not fetched")
    return lambda **arguments: corpora.human_reviews(**arguments)


def test_counts_of_the_real_sentences(reviews):
    corpus = reviews()
    assert corpus.rows_read == 3708
    assert list(corpus.dropped.values()) == [11, 762]
    assert list(corpus.noted.values()) == [9, 31, 40]
    assert corpus.frame["state"].value_counts().to_dict() == {1: 1719, 0: 1216}
    frame = corpus.frame
    assert (frame[rated_reviews.RATINGS].mean(axis=1) - frame["mean_rating"]).abs().max() < 1e-9
    assert list(reviews(margin=0).noted.values()) == [9, 31, 205]  # 214 with duplicates and means of 0


def test_counts_of_the_real_reviews(reviews):
    corpus = reviews(whole_reviews=True, margin=0)
    assert (corpus.merged, len(corpus.frame), corpus.frame["sentences"].sum()) == (3408, 299, 3708 - 1)
    assert corpus.frame["sentences"].median() == 9
    # Reviews with a mean above 0: few of the DVD player's, most of either camera's.
    good = corpus.frame.groupby("product")["state"].mean().round(2).to_dict()
    assert good == {
        "dvd player": 0.35, "first camera": 0.87, "second camera": 0.88, "phone": 0.8, "music player": 0.61,
    }  # fmt: skip


def test_real_products_as_the_state(reviews):
    corpus = reviews(state="product", whole_reviews=True)
    assert corpus.frame["state"].value_counts().to_dict() == {0: 98, 1: 72}


WORDS = {
    "dvd player": r"dvd|apex|\bdiscs?\b",
    "first camera": r"canon|\bg3\b|powershot",
    "second camera": r"nikon|coolpix|4300",
    "camera": r"camera|photo|picture|lens",
    "phone": r"phone|nokia|6610|t-mobile|ring ?tone",
    "music player": r"mp3|ipod|zen|creative|jukebox|nomad|songs?\b|player",
}


@pytest.fixture(scope="module")
def words(reviews):
    """How often the words of a product stand in a review, and in how many there are: counts, never a text."""
    frames = [reviews(whole_reviews=True, margin=0).frame, reviews(whole_reviews=True, state="product").frame]
    texts = {row.review: row.text.lower() for frame in frames for row in frame.itertuples()}
    counts = {key: {review: len(re.findall(word, texts[review])) for review in texts} for key, word in WORDS.items()}
    return lambda key, first, last: [counts[key][review] for review in range(first, last + 1) if review in texts]


def test_blocks_follow_on_one_another():
    bounds = list(rated_reviews.PRODUCTS.values())
    assert all(first == last + 1 for (_, last), (first, _) in itertools.pairwise(bounds))


@pytest.mark.parametrize(
    ("here", "first", "last", "elsewhere"),
    [
        ("dvd player", 94, 98, "camera"),
        ("camera", 99, 103, "dvd player"),
        ("camera", 171, 175, "phone"),
        ("phone", 176, 180, "camera"),
        ("phone", 211, 215, "music player"),
        ("music player", 216, 220, "phone"),
    ],
)
def test_either_side_of_a_boundary_speaks_of_its_own_product(words, here, first, last, elsewhere):
    assert min(words(here, first, last)) > 0
    assert sum(words(here, first, last)) > 5 * sum(words(elsewhere, first, last))


def test_names_of_makers_split_the_cameras(words):
    first, last = 99, 175
    missing = [120, 121, 122, 123, 124]
    numbers = [review for review in range(first, last + 1) if review not in missing]
    leaning = np.sign(np.subtract(words("first camera", first, last), words("second camera", first, last)))
    leaning = dict(zip(numbers, leaning.tolist(), strict=True))
    assert [leaning[review] for review in range(140, 146)] == [1, 1, 1, 0, 0, -1]  # 143 and 144 name neither
    before, after = ([leaning[review] for review in numbers if (review < 143) == side] for side in (True, False))
    assert (before.count(1), before.count(-1)) == (29, 2)
    assert (after.count(1), after.count(-1)) == (2, 21)
