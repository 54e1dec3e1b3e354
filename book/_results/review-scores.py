"""What a pretrained model says of human product reviews: every sentence, and every whole review, in many wordings.

Only numbers are kept: ids, human ratings, log-odds of the first option against the second, and the probability that the
model gives to the options at all. The texts stay where `python -m llma_tutorial fetch` has put them. The examples are
invented. Nothing is random; the seed is there because every study has one.
"""

import hashlib

import numpy as np
import pandas as pd

from llma_tutorial.reading import corpora
from llma_tutorial.reading.corpora.rated_reviews import RATINGS
from llma_tutorial.reading.models import pretrained

STUDY = {"title": "A pretrained model reads human reviews", "chapter": "reading/a-pretrained-model"}
PROBE = {"cell": {"name": "four examples", "first": 40}, "digits": 3}
PLAIN = {"prompt": "Review: {text}\n{question}", "answer": " {option}", "chat_template": False}
CHAT = {"prompt": "{text}\n\n{question}", "answer": "{option}", "chat_template": True}
EXAMPLES = (
    ("I have had it for a year and it still works like new.", "positive"),
    ("The handle came off in my hand on the first day.", "negative"),
    ("Setting it up took me two minutes, and my mother can use it too.", "positive"),
    ("They sent me the wrong one twice and never answered my letters.", "negative"),
    ("It forgets every setting as soon as you switch it off.", "negative"),
    ("Worth every cent, I have already bought a second one.", "positive"),
    ("The buttons are so small that I always press two of them.", "negative"),
    ("Nothing I owned before was this quiet.", "positive"),
)
SATISFIED = ["yes", "no"]
SENTIMENT = ["positive", "negative"]


def cells() -> list[dict]:
    """The texts in numbers, then one cell for all questions that share a prompt."""
    zero_shot = {
        "plain, yes or no": PLAIN
        | {
            "options": SATISFIED,
            "questions": [
                "Is the customer satisfied?\nAnswer:",
                "Is the customer satisfied (yes or no)?\nAnswer:",
                "Is the customer satisfied (no or yes)?\nAnswer:",
            ],
        },
        "plain, sentiment": PLAIN
        | {
            "options": SENTIMENT,
            "questions": ["Sentiment:", "Sentiment (positive or negative):", "Sentiment (negative or positive):"],
        },
        "chat, yes or no": CHAT
        | {
            "options": SATISFIED,
            "questions": [
                "Is the customer satisfied? Answer yes or no.",
                "Is the customer satisfied? Answer no or yes.",
            ],
        },
    }
    shots = {
        "four examples": EXAMPLES[:4],
        "one example": EXAMPLES[:1],
        "one example, negative": EXAMPLES[1:2],
        "two examples": EXAMPLES[:2],
        "eight examples": EXAMPLES,
        "four examples, other order": EXAMPLES[3::-1],
    }
    few_shot = {
        name: PLAIN | {"options": SENTIMENT, "questions": ["Sentiment:"], "examples": [list(e) for e in examples]}
        for name, examples in shots.items()
    }
    found = [{"name": "texts", "seed": 0}]
    found += [{"name": "four examples", "first": 40, **few_shot["four examples"], "seed": 0}]
    found += [{"name": name, **cell, "seed": 0} for name, cell in (few_shot | zero_shot).items()]
    return found


def compute(name: str, seed: int, first: int | None = None, whole_reviews: bool = False, **wording: list) -> dict:
    """Ids and human ratings for "texts"; else log-odds and mass of the options, one row for each question."""
    frame = corpora.human_reviews(state="five products", whole_reviews=whole_reviews).frame.iloc[:first]
    if name == "texts":
        return in_numbers(frame)
    questions, options = wording.pop("questions"), wording.pop("options")
    model = pretrained("smollm2", **wording)
    texts = frame["text"].tolist()
    scores = model.unnormalised(texts, questions, options)
    mass = np.exp(scores).sum(axis=-1)
    return {
        "weights": model.parameters["weights"],
        "ids": hashlib.sha256(" ".join(frame["id"].astype(str)).encode()).hexdigest(),
        "log_odds": np.round(scores[..., 0] - scores[..., 1], 4).T.tolist(),
        "mass": np.round(mass, 4).T.tolist(),
    }


def in_numbers(frame: pd.DataFrame) -> dict:
    """What may be kept of the texts: ids, products, lengths, and how the twenty people rated them."""
    ratings = frame[RATINGS].to_numpy()
    return {
        "ids": frame["id"].tolist(),
        "products": frame["product"].tolist(),
        "words": frame["text"].str.split().str.len().tolist(),
        "ratings": ratings.tolist(),
    }
