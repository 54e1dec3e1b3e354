"""Real product reviews whose sentences were rated one by one, by twenty people each.

300 reviews of five products, 3,708 sentences, which Hu and Liu (2004) took from Amazon and Hutto and Gilbert (2014)
had rated from -4 (extremely negative) to 4 (extremely positive). Two tables, tab-separated, without a header; a
sentence is called `review_sentence`. The order of the twenty ratings carries no identity: nobody can be followed from
one sentence to the next, so there is "a rater" here and no matrix for each of them.

The products are in no file. Reviews come in blocks, told apart by the words in them (`PRODUCTS`); of the cameras,
"Canon" and "G3" rule up to review 142, "Nikon" from 145 on, and 143 and 144, which name no maker, speak like those
after them. Nobody may pass the sentences on: print numbers, and show a reader the call that prints one.
Described in `reference/data-sets`.
"""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from llma_tutorial import _validate, fetch
from llma_tutorial.reading.corpora import files
from llma_tutorial.reading.corpora.texts import About, Corpus, Tally

ABOUT = About(
    name="Product reviews, rated sentence by sentence",
    licence="MIT (the archive; the sentences belong to the customers who wrote them: do not pass them on)",
    citation="Hutto and Gilbert (2014), VADER, ICWSM; sentences of Hu and Liu (2004), Mining and Summarizing Customer "
    "Reviews, KDD",
)
SENTENCES, RATINGS_FILE = "amazonReviewSnippets_GroundTruth.txt", "amazonReviewSnippets_anonDataRatings.txt"
N_RATERS = 20
RATINGS = [f"rating_{number}" for number in range(1, N_RATERS + 1)]
PRODUCTS = {  # first and last review of each
    "dvd player": (1, 98),
    "first camera": (99, 142),
    "second camera": (143, 175),
    "phone": (176, 215),
    "music player": (216, 309),
}
STATES = {
    "product": {"dvd player": 0, "first camera": 1, "second camera": 1},  # bad, good, good
    "five products": {product: number for number, product in enumerate(PRODUCTS)},
}
MARGIN = 0.5
SPLIT = 4  # of the twenty raters, on either side


def human_reviews(
    folder: str | PathLike[str] | None = None,
    *,
    state: str = "sentence",
    whole_reviews: bool = False,
    margin: float | None = None,
) -> Corpus:
    """Sentences of product reviews with twenty human ratings each, or whole reviews.

    Parameters
    ----------
    folder : path, optional
        Where the two files lie; those of `python -m llma_tutorial fetch reviews` if omitted.
    state : {"sentence", "product", "five products"}
        "sentence": 1 where the mean rating exceeds `margin`, 0 where it is below ``-margin``; what lies between is
        dropped and counted. "product": 1 for a review of one of the two cameras, which most customers like, 0 for the
        DVD player, which most do not; other products are dropped and counted. "five products": which of the five, in
        the order of `PRODUCTS`; no review is dropped.
    whole_reviews : bool
        One row for each review, its sentences joined in their order, in place of one for each sentence.
    margin : float, optional
        For state "sentence", from 0 to 4; 0.5 if omitted.

    Returns
    -------
    Corpus
        ``id`` is ``review_sentence``, or the review's number; one environment, 0. Extra columns: ``review``,
        ``sentence`` (its number, from 1), ``product``, ``mean_rating`` (-4 to 4) and ``rating_1`` to ``rating_20``,
        whose order carries no identity. Of whole reviews: ``review``, ``sentences`` (how many), ``product`` and
        ``mean_rating``, the mean over its sentences.

    Raises
    ------
    FileNotFoundError
        If the reviews have not been fetched; says what to run.

    Notes
    -----
    Sentences in the same words as an earlier one are dropped ("Great phone!" says as much of any phone), except within
    whole reviews. Spaces at both ends are taken off.
    """
    _validate.one_of("state", state, ["sentence", *STATES])
    if margin is not None and state != "sentence":
        raise ValueError(f'`margin` must be left out for state="{state}". Got {margin!r}.')
    margin = MARGIN if margin is None else _validate.number("margin", margin, 0, 4)
    folder = fetch.fetched("reviews", every_byte=True) if folder is None else Path(folder)
    path = folder / SENTENCES
    frame = _sentences(folder)
    tally = Tally(read=len(frame))
    first, last = next(iter(PRODUCTS.values()))[0], [*PRODUCTS.values()][-1][1]
    tally.noted[f"numbers from {first} to {last} that no review has"] = last - first + 1 - frame["review"].nunique()
    largest = frame.groupby("review")["sentence"].max()
    tally.noted["numbers of sentences that reviews pass over"] = int(largest.sum()) - len(frame)
    if whole_reviews:
        frame = _joined(frame)
        tally.merged = tally.read - len(frame)
    else:
        frame = tally.drop(frame, frame["text"].duplicated(), "the words of an earlier sentence")
    what = "review" if whole_reviews else "sentence"
    if state in STATES:
        states = STATES[state]
        frame = tally.drop(frame, ~frame["product"].isin(list(states)), f"{what} on a product that is neither")
        frame["state"] = frame["product"].map(states)
    else:
        ambiguous = frame["mean_rating"].abs() <= margin
        frame = tally.drop(frame, ambiguous, f"ambiguous {what}, its mean rating within {margin:g} of 0")
        frame["state"] = (frame["mean_rating"] > 0).astype(int)
    if not whole_reviews:
        ratings = frame[RATINGS]
        split = np.minimum((ratings > 0).sum(axis=1), (ratings < 0).sum(axis=1)) >= SPLIT
        tally.noted[f"sentences of which at least {SPLIT} raters each say good and bad"] = int(split.sum())
    return tally.corpus(frame.assign(environment=0), ABOUT, path)


def _sentences(folder: Path) -> pd.DataFrame:
    """All sentences in the order of reviews, with their ratings."""
    texts, ratings = _lines(folder / SENTENCES, 3), _lines(folder / RATINGS_FILE, 4)
    if texts.keys() != ratings.keys():
        raise ValueError(f"`{SENTENCES}` and `{RATINGS_FILE}` must hold the same sentences. Got others in one of them.")
    rows, lists = [], []
    for name, (mean, text) in texts.items():
        review, sentence = (int(number) for number in name.split("_"))
        product = next((key for key, (first, last) in PRODUCTS.items() if first <= review <= last), None)
        if product is None:
            raise ValueError(f"`{SENTENCES}` must hold reviews 1 to 309. Got review {review}.")
        rows.append((review, sentence, name, text.strip(), product, float(mean)))
        lists.append(_ratings(name, mean, *ratings[name]))
    frame = pd.DataFrame(rows, columns=["review", "sentence", "id", "text", "product", "mean_rating"])
    frame = frame.join(pd.DataFrame(np.array(lists, dtype=np.int8), columns=RATINGS))
    return frame.sort_values(["review", "sentence"], ignore_index=True)


def _lines(path: Path, n_fields: int) -> dict[str, list[str]]:
    """Fields of every line by the first, the sentence's name; one of the files begins with a byte-order mark."""
    if files.kind_of(path) != "plain text":
        raise ValueError(f"`{path.name}` must be plain text, as it was published. Got another kind of file.")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"`{path.name}` must be UTF-8. Got other bytes at {error.start}.") from error
    found: dict[str, list[str]] = {}
    for number, line in enumerate(text.replace("\r\n", "\n").rstrip("\n").split("\n"), 1):
        name, *fields = line.split("\t")
        review, _, sentence = name.partition("_")
        if len(fields) != n_fields - 1 or not review.isdecimal() or not sentence.isdecimal():
            raise ValueError(
                f"`{path.name}` must have {n_fields} fields, separated by tabs, the first like 12_3, in every line. "
                f"Got {len(fields) + 1} fields in line {number}."
            )
        if name in found:
            raise ValueError(f"`{path.name}` must hold every sentence once. Got {name} again in line {number}.")
        found[name] = fields
    return found


def _ratings(name: str, mean: str, again: str, spread: str, listed: str) -> list[int]:
    """The twenty ratings of a sentence, which must have the means that both files state."""
    try:
        values = json.loads(listed)
        right = len(values) == N_RATERS and all(type(value) is int and -4 <= value <= 4 for value in values)
        right = right and float(mean) == float(again) and abs(np.mean(values) - float(mean)) < 1e-9
    except (TypeError, ValueError):
        right = False
    if not right:
        raise ValueError(
            f"`{RATINGS_FILE}` must list {N_RATERS} whole ratings from -4 to 4, with the mean that both files state, "
            f"of every sentence. Got something else for {name}."
        )
    return values


def _joined(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each review, its sentences in their order."""
    reviews = frame.groupby("review", as_index=False).agg(
        text=("text", " ".join), sentences=("text", "size"), product=("product", "first"), mean=("mean_rating", "mean")
    )
    return reviews.rename(columns={"mean": "mean_rating"}).assign(id=reviews["review"])
