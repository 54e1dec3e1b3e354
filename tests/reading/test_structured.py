"""Structured answers: strict means strict, a repair has a name, nothing is answered in part."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reading.corpora_files import sample

from llma_tutorial.reading.structured import REFUSED, RULES, STRICT, parse_answer, parse_answers

QUESTIONS = ("is_insulting", "is_respectful", "names_a_group")
fuzz = settings(derandomize=True, deadline=None, max_examples=300)

values = st.lists(st.booleans(), min_size=3, max_size=3).map(tuple)
pieces = st.sampled_from(
    [*(f'"{question}"' for question in QUESTIONS), "'is_insulting'", "is_insulting", "{", "}", "[", "]", ":", ",", " "]
    + [
        "true",
        "false",
        "True",
        "False",
        "null",
        "1",
        '"true"',
        "'",
        '"',
        "\\",
        "\n",
        "```json\n",
        "\n```",
        "Sure!",
        "é",
    ]
)


def as_json(answers) -> str:
    return json.dumps(dict(zip(QUESTIONS, answers, strict=True)))


def plainly_strict(text: str) -> bool:
    """Second route: what json itself makes of the whole answer."""
    pairs = []
    try:
        loaded = json.loads(text, object_pairs_hook=lambda found: pairs.extend(found) or dict(found))
    except (ValueError, RecursionError):
        return False
    return (
        isinstance(loaded, dict)
        and len(pairs) == len(QUESTIONS)
        and set(loaded) == set(QUESTIONS)
        and all(value is True or value is False for value in loaded.values())
    )


def check(text) -> None:
    """What holds for every answer, whatever it is."""
    answer = parse_answer(text, QUESTIONS)
    assert (answer.way == STRICT) == plainly_strict(text)
    assert set(answer.rules) <= set(RULES)
    if answer.values is None:
        assert answer.refusal
        assert answer.rules == ()
        assert answer.way == REFUSED
    else:
        assert not answer.refusal
        assert len(answer.values) == len(QUESTIONS)
        for question, value in zip(QUESTIONS, answer.values, strict=True):
            assert isinstance(value, bool)
            key = "".join(rf"(?:{re.escape(letter)}|\\u{ord(letter):04x})" for letter in question)
            assert re.search(rf"""["']{key}["']\s*:\s*["']?{value}""", text, re.IGNORECASE), text  # nobody invented it


@fuzz
@given(st.text())
def test_any_text(text):
    check(text)


@fuzz
@given(st.lists(pieces, max_size=30).map("".join))
def test_any_heap_of_pieces(text):
    check(text)


@fuzz
@given(values, st.lists(st.tuples(st.integers(0, 90), st.integers(0, 3), pieces), max_size=3))
def test_any_edit_of_a_right_answer(answers, edits):
    text = as_json(answers)
    for start, length, piece in edits:
        text = text[:start] + piece + text[start + length :]
    check(text)


@fuzz
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)
       | st.dictionaries(st.sampled_from(QUESTIONS) | st.text(), inner, max_size=4)))  # fmt: skip
@example({question: True for question in QUESTIONS})
def test_any_json(value):
    check(json.dumps(value))
    check("Here it is: " + json.dumps(value, indent=1))


@given(values)
@fuzz
def test_strict_answers_in_any_order_of_keys(answers):
    pairs = dict(zip(QUESTIONS, answers, strict=True))
    for order in itertools.permutations(QUESTIONS):
        answer = parse_answer(" " + json.dumps({key: pairs[key] for key in order}, indent=2) + "\n", QUESTIONS)
        assert answer.way == STRICT
        assert answer.values == answers


DEFORMATIONS = {
    "code fence": lambda text: f"```json\n{text}\n```",
    "text around the object": lambda text: f"Sure, 'here' it is:\n{text}\n\nIt's true that \"False\" is: false.",
    "single quotes": lambda text: text.replace('"', "'"),
    "trailing comma": lambda text: text.replace("}", " ,\n}"),
    "capital True and False": lambda text: text.replace("true", "True").replace("false", "FALSE"),
    "quoted true and false": lambda text: re.sub(r":\s*(\w+)", r': "\1"', text),
}


def test_every_rule_has_its_deformation():
    assert list(DEFORMATIONS) == list(RULES)


@pytest.mark.parametrize(
    "subset", [s for n in range(7) for s in itertools.combinations(DEFORMATIONS, n)], ids=" + ".join
)
def test_each_set_of_deformations_is_repaired_under_its_names(subset):
    for answers in itertools.product([True, False], repeat=3):
        text = as_json(answers)
        for name in reversed(DEFORMATIONS):  # from the inside out
            if name in subset:
                text = DEFORMATIONS[name](text)
        answer = parse_answer(text, QUESTIONS)
        assert answer.values == answers
        expected = list(subset)
        if "quoted true and false" in subset and "capital True and False" in subset:
            expected.remove("capital True and False")  # inside quotation marks one rule does for both
        assert answer.way == (" + ".join(expected) or STRICT)


RIGHT = as_json([True, False, True])


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        (None, "no text"),
        (float("nan"), "no text"),
        ("", "no JSON object alone"),
        ("I would rather not say.", "no JSON object alone"),
        (RIGHT[:-1], "no JSON object alone"),  # cut off by a limit of tokens
        (RIGHT[: len(RIGHT) // 2], "no JSON object alone"),
        (RIGHT + "\n" + RIGHT, "no JSON object alone"),  # which of the two?
        ("Answer in the form {...}. " + RIGHT, "no JSON object alone"),  # the prompt, echoed
        ("[" * 100_000, "no JSON object alone"),
        ('{"is_insulting": ' + "9" * 5000 + "}", "no JSON object alone"),
        (f"[{RIGHT}, {RIGHT}]", "no JSON object alone"),
        ("true", "no JSON object alone"),
        ("{}", "not exactly the questions"),
        ('{"is_insulting": true, "is_respectful": false}', "not exactly the questions"),
        (RIGHT.replace("}", ', "sure": true}'), "not exactly the questions"),
        (RIGHT.replace("}", ', "is_insulting": false}'), "not exactly the questions"),  # contradicts itself
        (RIGHT.replace("names_a_group", "Names_a_group"), "not exactly the questions"),
        ('{"answers": ' + RIGHT + "}", "not exactly the questions"),
        (RIGHT.replace("false", "null"), "a value is neither true nor false"),
        (RIGHT.replace("false", "0"), "a value is neither true nor false"),
        (RIGHT.replace("false", '"no"'), "a value is neither true nor false"),
        (RIGHT.replace("false", "None"), "no JSON object alone"),
        (RIGHT.replace("false", '"true or false"'), "a value is neither true nor false"),
        (RIGHT.replace("false", "[false]"), "a value is neither true nor false"),
    ],
)
def test_refused(text, refusal):
    answer = parse_answer(text, QUESTIONS)
    assert answer.values is None
    assert answer.rules == ()
    assert answer.refusal == refusal


def test_no_rule_touches_the_inside_of_a_string():
    question = "says 'True', }"
    answer = parse_answer(f"{{'x': 1}} {json.dumps({question: True})}", [question])
    assert answer.values is None
    assert parse_answer(f"Well: {json.dumps({question: True})[:-1]},}}", [question]).values == (True,)


@pytest.mark.parametrize("start", ["", "```", "{", '{"'])
@pytest.mark.parametrize(
    "piece", ['\\"', "{", '{"a":', "'", "\n", ",", ", ", " ", "{}", '"', "\\", "True", '"true"', "```\n"]
)
def test_long_answers_take_linear_time(start, piece):
    check(start + piece * 50_000)  # with backtracking, minutes


def test_counts_by_state():
    texts = [RIGHT, "Sure: " + RIGHT, "no", RIGHT.replace("true", "True"), None]
    answers = parse_answers(texts, QUESTIONS, [2, 2, 2, 0, 0])
    assert answers.counts.columns.tolist() == [
        "strict", "text around the object", "capital True and False", "refused"
    ]  # fmt: skip
    assert answers.counts.index.tolist() == [0, 2]
    assert answers.counts.to_numpy().tolist() == [[0, 0, 1, 1], [1, 1, 0, 1]]
    assert answers.frame["is_insulting"].tolist() == [True, True, pd.NA, True, pd.NA]
    assert answers.frame["refusal"].tolist() == ["", "", "no JSON object alone", "", "no text"]
    assert answers.indicators.tolist() == [[1, 0, 1]] * 3


def test_strict_and_refused_are_counted_even_where_there_are_none():
    assert parse_answers(["?"], QUESTIONS, [0]).counts.to_numpy().tolist() == [[0, 1]]
    assert parse_answers([], QUESTIONS, []).counts.columns.tolist() == ["strict", "refused"]


def test_arguments():
    with pytest.raises(ValueError, match=r"`questions` must be different names, at least one. Got \[\]"):
        parse_answers([], [], [])
    with pytest.raises(ValueError, match=r"`questions` must be different names, at least one. Got \['a', 'a'\]"):
        parse_answers([], ["a", "a"], [])
    with pytest.raises(ValueError, match=r"`states` must have one entry per text, shape \(1,\). Got \(2,\)"):
        parse_answers(["x"], ["a"], [0, 1])


def test_the_reference_page_lists_the_rules_in_their_order():
    page = (Path(__file__).parents[2] / "book/reference/data-sets.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([^`]+)` \|", page.split("## Structured answers")[1], re.MULTILINE) == list(RULES)


# 240 answers of Mistral-7B-Instruct-v0.1 at temperature 0.7, 40 per state, and the labels that their authors published.


def test_240_published_answers():
    raw = pd.read_csv(sample("measuring_hate_speech/llm_raw_json_blocks_240.csv"))
    published = pd.read_csv(sample("measuring_hate_speech/output_csv_cleaned.csv"))
    questions = list(published.columns[1:])
    answers = parse_answers(raw["response"], questions, raw["state"])
    prose, both = "text around the object", "text around the object + capital True and False"
    assert answers.counts.columns.tolist() == [STRICT, prose, both, REFUSED]
    assert answers.counts[STRICT].tolist() == [0] * 6  # all go on in prose
    assert answers.counts[prose].tolist() == [34, 4, 1, 0, 0, 0]
    assert answers.counts[both].tolist() == [6, 36, 39, 40, 40, 40]
    assert answers.counts[REFUSED].tolist() == [0] * 6
    np.testing.assert_array_equal(answers.indicators, published[questions])
    np.testing.assert_array_equal(answers.frame["state"], published["state"])


def test_240_published_objects_alone():
    raw = pd.read_csv(sample("measuring_hate_speech/llm_raw_json_blocks_240.csv"))
    blocks = raw["response"].str.extract(r"(\{[^}]*\})", expand=False)
    questions = list(json.loads(blocks[0]))
    counts = parse_answers(blocks, questions, raw["state"]).counts
    assert counts[STRICT].tolist() == [34, 4, 1, 0, 0, 0]
    assert counts["capital True and False"].sum() == 201
