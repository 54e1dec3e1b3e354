"""Corpora: labelled texts, as published or of your own, in one tidy frame (text, state, environment, id).

    measuring_hate_speech, civil_comments, amazon_reviews, fnspid_news, fnspid_prices     published data sets
    human_reviews, goemotions                                                             texts with many raters each
    from_csv                                                                              your own table
    honest_test                                                                           texts from no grammar
    world, generate, World                                                                invented texts, law known

Each loader reads a file that you have, or fetches it from the Hugging Face hub, and returns a `Corpus` that prints
as numbers (rows read, kept, dropped and why, licence, citation), never as text. Described in `reference/data-sets`.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Corpus": "texts",
    "World": "worlds",
    "amazon_reviews": "amazon",
    "civil_comments": "civil",
    "fnspid_news": "fnspid",
    "fnspid_prices": "fnspid",
    "from_csv": "texts",
    "generate": "worlds",
    "goemotions": "goemotions_ratings",
    "honest_test": "worlds",
    "human_reviews": "rated_reviews",
    "measuring_hate_speech": "hate_speech",
    "world": "worlds",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
