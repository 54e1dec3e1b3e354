"""Amazon reviews in the layouts of 2014, 2018 and 2023: stars as environments, the product's quality as the state.

The quality of a product is in no file. Either name the products that you know to be good or bad (`products`), or take
the default, which is a proxy and no more: a product is good (state 1) when the mean of its stars over the rows that
are kept is at least `good_from`. Sources: Ni, Li and McAuley (2019) for 2018, Hou et al. (2024) for 2023.
Described in `reference/data-sets`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from hashlib import blake2b
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from llma_tutorial import _validate
from llma_tutorial.reading.corpora import files
from llma_tutorial.reading.corpora.texts import DUPLICATE, About, Corpus, Tally

ABOUT = About(
    name="Amazon Reviews",
    licence="none stated: use for research, cite, do not redistribute",
    citation="Ni, Li and McAuley (2019), EMNLP (layouts of 2014 and 2018); Hou et al. (2024), arXiv 2403.03952 (2023)",
)
REPOSITORY = "McAuley-Lab/Amazon-Reviews-2023"

_OLD = ("reviewText", "overall", "asin", "summary", "reviewerID", "unixReviewTime", "verified")
_NEW = ("text", "rating", "parent_asin", "title", "user_id")
# Keys of: text, environment (stars), product, title, user, date, verified, helpful.
KEYS = {
    "2014": (*_OLD, "helpful"),
    "2018": (*_OLD, "vote"),
    "2023": (*_NEW, "timestamp", "verified_purchase", "helpful_vote"),
    "2023 quick start": (*_NEW, "sort_timestamp", "verified_purchase", "helpful_votes"),
    "2023 early": (*_NEW, "sortTimestamp", "verifiedPurchase", "helpfulVotes"),
}
COLUMNS = ["id", "text", "environment", "product", "title", "user", "date", "verified", "helpful"]
MILLISECONDS_FROM = 1e11  # seconds from there on would lie after the year 5000

_TAGS = "a|b|br|div|em|font|h[1-6]|i|iframe|img|input|li|ol|p|span|strong|u|ul|video"
_TAG = re.compile(rf"</?(?:{_TAGS})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_LINK = re.compile(r"\[\[[A-Z]+:[^\s\]]*\s*([^\]]*)\]\]")


def amazon_reviews(
    path: str | PathLike[str] | None = None,
    *,
    products: Mapping[str, int] | None = None,
    good_from: float | None = None,
    category: str | None = None,
) -> Corpus:
    """Product reviews, one row per review; exact duplicate lines are dropped and counted.

    Parameters
    ----------
    path : path, optional
        A JSON Lines file of 2014, 2018 or 2023, plain or gzip; fetched from the hub (2023) if omitted.
    products : mapping of str to int, optional
        State of each product to keep, by its number (`asin`; of 2023: `parent_asin`). Other products are dropped.
    good_from : float, optional
        Without `products`: the mean of stars from which a product counts as good, 4 if omitted.
    category : str, optional
        Which category to fetch from the hub, "Appliances" if omitted.

    Returns
    -------
    Corpus
        ``environment`` is the number of stars, ``id`` the line in the file. Extra columns: ``product``, ``title``,
        ``user``, ``date`` (UTC; before 2023 always midnight), ``verified`` and ``helpful`` (missing where the
        layout has none). Texts and titles are free of HTML and video markup.

    Examples
    --------
    >>> import json, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "invented.jsonl")
    >>> review = dict(rating=2, title="No", text="It leaks.<br />Avoid.", asin="B0", user_id="U", timestamp=1.6e12)
    >>> _ = path.write_text(json.dumps(review))
    >>> amazon_reviews(path, products={"B0": 0}).frame[["text", "state", "environment"]]
                    text  state  environment
    0  It leaks.\\nAvoid.      0            2
    """
    files.refuse_with_path(path, "category", category)
    if products is not None and good_from is not None:
        raise ValueError(f"`good_from` must be left out where `products` says what is good. Got {good_from!r}.")
    good_from = 4.0 if good_from is None else _validate.number("good_from", good_from, 1, 5)
    if path is None:
        file = f"raw/review_categories/{category or 'Appliances'}.jsonl"
        path = files.from_hub(REPOSITORY, file, "about half a kilobyte a review, so roughly 1 GB for Appliances")
    path = Path(path)
    if products is not None:
        products = {product: _validate.integer("products", state, 0) for product, state in products.items()}
    tally = Tally()
    frame = pd.DataFrame(_reviews(path, products, tally), columns=COLUMNS)
    frame.index = frame["id"] - 1
    frame["environment"] = files.numbers(frame["environment"], "stars", path, 1, 5, whole=True, place="line")
    clock = files.numbers(frame["date"], "timestamp", path, 0, 1e14, whole=True, place="line")
    frame = frame.assign(
        date=pd.to_datetime(clock.where(clock >= MILLISECONDS_FROM, clock * 1000), unit="ms", utc=True),
        verified=frame["verified"].astype("boolean"),
        helpful=frame["helpful"].astype("Int64"),
    )
    frame = tally.drop_untold(frame, "environment", "stars")
    frame = tally.drop_untold(frame, "product", "product")
    if products is None:
        means = frame.groupby("product")["environment"].transform("mean")
        frame["state"] = (means >= good_from).astype(int)
    else:
        frame["state"] = frame["product"].map(products)
    frame["environment"] = frame["environment"].astype(int)
    return tally.corpus(frame, ABOUT, path)


def _reviews(path: Path, products: Mapping[str, int] | None, tally: Tally) -> list[tuple[Any, ...]]:
    """One tuple per review that is kept, in the order of `COLUMNS`."""
    rows, seen = [], set()
    keys: tuple[str, ...] = ()
    for number, line, record in files.json_lines(path):
        keys = keys or KEYS[files.layout_of(path, record, "amazon_reviews")]
        tally.read += 1
        text, stars, product, title, user, time, verified, helpful = map(record.get, keys)
        product = product or record.get("asin")
        if products is not None and product not in products:
            tally.dropped["a product that is not among `products`"] += 1
            continue
        digest = blake2b(line, digest_size=16).digest()
        if digest in seen:
            tally.dropped[DUPLICATE] += 1
            continue
        seen.add(digest)
        if not isinstance(text, str | None):
            raise ValueError(f"`{keys[0]}` must be text in every line of `{path.name}`. Got a number in line {number}.")
        if text is None or text == "" or text.isspace():
            tally.dropped["no text"] += 1
            continue
        clean = without_markup(text)
        tally.noted["HTML or video markup taken out of the text"] += clean != text
        title = without_markup(title) if isinstance(title, str) else title
        verified = _boolean(verified, keys[6], number, path)
        rows.append(
            (number, clean, stars, product, title, user, time, verified, _votes(helpful, keys[7], number, path))
        )
    return rows


def without_markup(text: str) -> str:
    """`text` with line ends for `<br />`, without HTML tags and video links, and with entities as characters.

    Examples
    --------
    >>> without_markup("Quiet.<br />5&#34; wide, I <3 it [[VIDEOID:abc]]")
    'Quiet.\\n5" wide, I <3 it '
    """
    if "<" in text:
        text = _TAG.sub("", _BREAK.sub("\n", text))
    if "[[" in text:
        text = _LINK.sub(r"\1", text)
    return html.unescape(text) if "&" in text else text


def _boolean(value: Any, key: str, number: int, path: Path) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise ValueError(
        f"`{key}` must be true or false in every line of `{path.name}`. Got {files.shown(value)} in line {number}."
    )


def _votes(value: Any, key: str, number: int, path: Path) -> int | None:
    """Helpful votes: a number, text with thousands commas (2018), or the pair of helpful and all votes (2014)."""
    if value is None or type(value) is int:
        return value
    try:
        return int(value.replace(",", "") if isinstance(value, str) else value[0])
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(
            f"`{key}` must be a whole number in every line of `{path.name}`. Got {files.shown(value)} in line {number}."
        ) from error
