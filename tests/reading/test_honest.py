"""The honest test keeps its promises: counts, balance, labels, no near-duplicates, invented groups only."""

import csv
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from llma_tutorial.reading import corpora

HERE = Path(corpora.__file__).parent / "honest"
ANSWERS = {"yes", "no", "unsaid"}
QUESTIONS = {
    "reviews": ["defects", "durable", "expectations", "recommend"],
    "comments": ["insulting", "dehumanizing", "humiliating", "violence", "genocide", "respectful"],
    "headlines": [
        "earnings_beat", "earnings_miss", "guidance_raised", "guidance_cut", "product_launch", "product_problem",
        "lawsuit", "regulator", "acquisition", "executive_leaves", "layoffs", "analyst_upgrade", "analyst_downgrade",
    ],
}  # fmt: skip
STATES = {"reviews": 2, "comments": 6, "headlines": 2}
LEAST = {  # how often each answer to each question occurs at least
    "reviews": {"yes": 25, "no": 25, "unsaid": 25},
    "comments": {"yes": 8, "no": 8, "unsaid": 8},
    "headlines": {"yes": 8, "no": 8},
}
EXCLUSIVE = [("earnings_beat", "earnings_miss"), ("guidance_raised", "guidance_cut")]
GROUPS = {
    "aubreck", "brunnish", "calloqui", "dulvani", "fendric", "gharulin", "hesk", "hesker", "kessarine", "marnish",
    "nimbrian", "oskander", "ottrey", "palluvian", "quorran", "sennefolk", "tiblin", "torvane", "torvaner", "velmari",
    "wottler", "zhumian",
}  # fmt: skip
OTHER_CAPITALS = {"I", "ME", "Ilka", "Mill", "Lane"}  # a person and a street, invented as well


def rows(corpus: str) -> list[dict[str, str]]:
    with (HERE / f"{corpus}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def label_faults(corpus: str, table: list[dict[str, str]]) -> list[str]:
    """Rows whose columns, state, stars or answers are not allowed, or whose text is not one clean line."""
    found = []
    columns = ["text", "state", *(["stars"] if corpus == "reviews" else []), *QUESTIONS[corpus]]
    for number, row in enumerate(table, start=1):
        if list(row) != columns or None in row.values():
            found.append(f"row {number}: columns must be {columns}")
            continue
        if row["state"] not in map(str, range(STATES[corpus])) or row.get("stars", "1") not in set("12345"):
            found.append(f"row {number}: state or stars out of range")
        if not {row[question] for question in QUESTIONS[corpus]} <= ANSWERS:
            found.append(f"row {number}: answers must be among {sorted(ANSWERS)}")
        if not row["text"] or row["text"] != " ".join(row["text"].split()):
            found.append(f"row {number}: text must be one line without stray spaces")
    return found


def balance_faults(corpus: str, table: list[dict[str, str]]) -> list[str]:
    """States that are not exactly balanced, and answers that are too rare."""
    states = Counter(row["state"] for row in table)
    found = [] if len(states) == STATES[corpus] and len(set(states.values())) == 1 else [f"states: {dict(states)}"]
    for question in QUESTIONS[corpus]:
        counts = Counter(row[question] for row in table)
        found += [f"{question}: {counts[a]} {a}" for a, least in LEAST[corpus].items() if counts[a] < least]
    return found


def near_duplicates(texts: list[str], limit: float = 0.8) -> list[tuple[str, str]]:
    """Pairs of texts whose sets of words overlap by `limit` or more (Jaccard)."""
    bags = [frozenset(re.findall(r"\w+", text.lower())) for text in texts]
    return [
        (texts[i], texts[j])
        for i, j in combinations(range(len(texts)), 2)
        if len(bags[i] & bags[j]) >= limit * len(bags[i] | bags[j])
    ]


def unknown_names(text: str) -> list[str]:
    """Capitalised words inside a sentence that are not invented; or all of them, if no invented group is named."""
    capitals = re.findall(r"(?<=[\w,;)] )[A-Z]\w*", text)
    strange = [word for word in capitals if not is_group(word) and word not in OTHER_CAPITALS]
    named = any(is_group(word) for word in re.findall(r"\w+", text))
    return strange if named else [*strange, "no invented group"]


def is_group(word: str) -> bool:
    """Whether a word is the name of an invented group, singular or plural."""
    return word.lower() in GROUPS or word.lower().removesuffix("s") in GROUPS


@pytest.mark.parametrize("corpus", QUESTIONS)
def test_texts_are_many_and_labelled(corpus):
    table = rows(corpus)
    assert len(table) >= 120
    assert label_faults(corpus, table) == []


@pytest.mark.parametrize("corpus", QUESTIONS)
def test_states_balance_and_answers_are_frequent(corpus):
    assert balance_faults(corpus, rows(corpus)) == []


def test_no_text_is_near_another():
    assert near_duplicates([row["text"] for corpus in QUESTIONS for row in rows(corpus)]) == []


def test_comments_name_invented_groups_only():
    assert [(row["text"], unknown_names(row["text"])) for row in rows("comments") if unknown_names(row["text"])] == []


def test_stars_follow_the_state_mostly_but_not_always():
    table = rows("reviews")
    assert {row["stars"] for row in table} == set("12345")
    clear = [(int(row["stars"]) > 3) == (row["state"] == "1") for row in table if row["stars"] != "3"]
    assert 0.9 < sum(clear) / len(clear) < 1


def test_harm_is_the_highest_level_and_no_other():
    for row in rows("comments"):
        assert (row["state"] == "5") == ("yes" in (row["violence"], row["genocide"])), row["text"]


@pytest.mark.parametrize("pair", EXCLUSIVE)
def test_opposites_exclude_each_other(pair):
    for row in rows("headlines"):
        answers = [row[question] for question in pair]
        assert "yes" not in answers or set(answers) == {"yes", "no"}, row["text"]


def test_readme_counts_the_texts():
    told = dict(re.findall(r"^\| `(\w+)\.csv` \| (\d+) \|", (HERE / "README.md").read_text(encoding="utf-8"), re.M))
    assert told == {corpus: str(len(rows(corpus))) for corpus in QUESTIONS}


@pytest.mark.parametrize("change", [{"durable": "maybe"}, {"state": "2"}, {"stars": "6"}, {"text": "two  spaces"}])
def test_a_planted_label_is_found(change):
    good = rows("reviews")[0]
    assert label_faults("reviews", [good]) == []
    assert len(label_faults("reviews", [good | change])) == 1
    assert len(label_faults("reviews", [good | {"price": "3"}])) == 1


def test_a_planted_imbalance_is_found():
    table = rows("comments")
    assert balance_faults("comments", table[1:])[0].startswith("states")
    silent = [row | {"genocide": "unsaid"} for row in table]
    assert balance_faults("comments", silent) == ["genocide: 0 yes", "genocide: 0 no"]


def test_a_planted_near_duplicate_is_found():
    text = rows("headlines")[0]["text"]
    assert len(near_duplicates([text, text + " again", "Something else"])) == 1


@pytest.mark.parametrize("text", ["Not the Velmari, the Martians.", "Nobody in particular is meant."])
def test_a_planted_name_is_found(text):
    assert unknown_names(text)
    assert unknown_names("Not the Velmari, the tiblins.") == []
