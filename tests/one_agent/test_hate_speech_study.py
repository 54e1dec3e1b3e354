"""The chapter `one-agent/hate-speech`: its propositions with counter-instances, its figures, and its one argument."""

import json
import re

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading.corpora_files import sample
from test_package import ROOT

from llma_tutorial.one_agent.recovery import cost_of_attention
from llma_tutorial.one_agent.ribum import ChoiceData, check
from llma_tutorial.reading import corpora
from llma_tutorial.reading.structured import parse_answers

# --- bins -----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), m=st.integers(1, 4), bins=st.integers(2, 3), a=st.integers(2, 3))
def test_bins_lose_nothing_that_has_no_price(seed, m, bins, a):
    rng = np.random.default_rng(seed)
    prior, choices = rng.dirichlet(np.ones(2 * bins)), rng.dirichlet(np.ones(a), (m, 2 * bins))
    utility = rng.normal(size=(m, bins, a))
    fine = ChoiceData(choices, prior)
    coarse_prior = prior.reshape(bins, 2).sum(axis=1)
    joint = fine.joint.reshape(m, bins, 2, a).sum(axis=2)
    coarse = ChoiceData(joint / coarse_prior[:, None], coarse_prior)
    found = check(fine, utility.repeat(2, axis=1)), check(coarse, utility)
    assert found[0].nias_slack == pytest.approx(found[1].nias_slack)
    if m > 1:
        assert found[0].niac_slack == pytest.approx(found[1].niac_slack)
    if found[0].passed:
        costs = cost_of_attention(fine, utility.repeat(2, axis=1), np.eye(2 * bins)).attention_costs
        assert costs == pytest.approx(cost_of_attention(coarse, utility, np.eye(bins)).attention_costs)


def test_bins_hide_what_has_a_price():
    """Payoffs that differ inside a bin: a perfect reader of four states looks like chance in two bins."""
    utility = np.eye(2)[[0, 1, 0, 1]]
    fine = ChoiceData([np.eye(2)[[1, 0, 1, 0]]], np.full(4, 1 / 4))  # always wrong
    coarse = ChoiceData([np.full((2, 2), 1 / 2)], [1 / 2, 1 / 2])
    assert not check(fine, utility).passed
    assert check(coarse, utility.reshape(2, 2, 2).mean(axis=1)).passed


# --- prices read off decisions ---------------------------------------------------------------------------------------


def payoffs(n: int, w: float, h: float) -> np.ndarray:
    x, a = np.indices((n, n))
    return -w * np.maximum(a - x, 0) - h * np.maximum(x - a, 0)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 4), sharp=st.booleans(), never=st.booleans())
def test_prices_that_explain_choices_are_an_interval_of_quantiles(seed, n, sharp, never):
    rng = np.random.default_rng(seed)
    choices = rng.dirichlet(np.ones(n), n) + 4 * sharp * np.eye(n)
    choices[:, -1] *= not never
    data = ChoiceData([choices / choices.sum(axis=1, keepdims=True)], rng.dirichlet(np.ones(n)))
    low, high = 0.0, 1.0
    for a in range(n):
        if (total := data.joint[0, :, a].sum()) > 0:  # plain sums, action by action
            low = max(low, data.joint[0, :a, a].sum() / total)
            high = min(high, data.joint[0, : a + 1, a].sum() / total)
    for r in rng.uniform(0.01, 0.99, 20):
        if min(abs(r - low), abs(r - high)) > 1e-6:
            scale = rng.uniform(0.1, 5)
            assert check(data, payoffs(n, scale * (1 - r), scale * r)).passed == (low < r < high)


def test_other_losses_have_other_intervals():
    """Losses that grow with the square of the step: the quantile is no longer best."""
    x, a = np.indices((3, 3))
    belief = np.array([0.55, 0.0, 0.45])
    assert (belief @ payoffs(3, 0.5, 0.5)).argmax() == 0  # the median
    assert (belief @ -((a - x) ** 2)).argmax() == 1  # near the mean


# --- noise ----------------------------------------------------------------------------------------------------------


def best_value(law: np.ndarray, utility: np.ndarray, prior: np.ndarray) -> float:
    return float((law.T @ (prior[:, None] * utility)).max(axis=1).sum())


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), first=st.floats(0, 1), then=st.floats(0, 1))
def test_noise_shrinks_what_can_be_chosen(seed, first, then):
    """All texts of two letters out of three, exactly."""
    rng = np.random.default_rng(seed)
    letter = lambda t: (1 - t) * np.eye(3) + t / 3  # noqa: E731
    text = lambda t: np.kron(letter(t), letter(t))  # noqa: E731
    second = 1 - (1 - first) * (1 - then)
    assert text(first) @ text(then) == pytest.approx(text(second))
    clean, prior = rng.dirichlet(np.full(9, 0.3), 2), rng.dirichlet(np.ones(2))
    utility, rule = rng.normal(size=(2, 3)), rng.dirichlet(np.ones(3), 9)
    imitated = text(then) @ rule  # how to choose from the cleaner text
    assert clean @ text(first) @ imitated == pytest.approx(clean @ text(second) @ rule)
    values = [best_value(clean @ text(t), utility, prior) for t in (first, second)]
    assert values[1] <= values[0] + 1e-9


def test_a_fixed_reader_may_be_helped_by_noise():
    """The counter-instance: a reader that is always wrong gets better."""
    clean, wrong = np.eye(2), np.eye(2)[::-1]
    right = [np.trace(clean @ ((1 - t) * np.eye(2) + t / 2) @ wrong) / 2 for t in (0, 0.5, 1)]
    assert right == pytest.approx([0, 0.25, 0.5])


def test_noise_that_goes_along_with_stakes_rejects_a_rational_agent():
    stakes = np.array([np.eye(2), 2 * np.eye(2)])
    rows = lambda q: [[q, 1 - q], [1 - q, q]]  # noqa: E731
    confounded = check(ChoiceData([rows(0.9), rows(0.6)], [0.5, 0.5]), stakes)
    assert confounded.nias_slack > 0
    assert confounded.niac_slack == pytest.approx(-0.15)
    assert check(ChoiceData([rows(0.6), rows(0.9)], [0.5, 0.5]), stakes).passed


# --- the published replies -------------------------------------------------------------------------------------------

QUESTIONS = ["insulting", "dehumanizing", "humiliating", "violence", "genocide", "respectful"]
PAGE = ROOT / "book/one-agent/hate-speech.ipynb"


def page_code() -> list[str]:
    """Code of the page before its exercises, without the folded checks."""
    cells = nbformat.read(PAGE, 4).cells
    end = next(i for i, cell in enumerate(cells) if "## What can go wrong" in cell.source)
    code = [cell for cell in cells[:end] if cell.cell_type == "code"]
    return [cell.source for cell in code if "hide-cell" not in cell.metadata.get("tags", [])]


def on_the_page(name: str) -> np.ndarray:
    """An array of whole numbers that stands on the page."""
    found = re.search(rf"^{name} = np\.array\((.*?)\n?\)", "\n".join(page_code()), re.DOTALL | re.MULTILINE)
    return np.array(json.loads(re.sub(r",(\s*\])", r"\1", found[1].strip().rstrip(","))))


def test_figures_of_the_7b_model():
    """The genuine replies: the table, the strict ones, and what they hold."""
    replies = pd.read_csv(sample("measuring_hate_speech/llm_raw_json_blocks_240.csv"))
    assert replies["response"].str.contains("}", regex=False).all()
    blocks = replies["response"].str.extract(r"(\{[^{}]*\})", expand=False)
    keys = list(json.loads(blocks[0]))
    whole = parse_answers(replies["response"].tolist(), keys, replies["state"])
    alone = parse_answers(blocks.tolist(), keys, replies["state"])
    strict = (alone.frame["way"] == "strict").to_numpy()
    assert whole.counts["strict"].sum() == 0
    assert whole.counts["refused"].sum() == 0
    assert alone.counts["strict"].tolist() == [34, 4, 1, 0, 0, 0]
    assert set(alone.frame["way"]) == {"strict", "capital True and False"}
    action = (alone.indicators[:, :5] * np.arange(1, 6)).max(axis=1)
    assert (action[strict] == 0).all()
    assert (action > 0).sum() == 193
    assert not strict[action > 0].any()
    table = np.zeros((6, 6), dtype=int)
    np.add.at(table, (replies["state"], action), 1)
    assert (on_the_page("published") == table).all()
    step, binned = np.array([0, 1, 1, 1, 2, 2]), np.zeros((3, 3), dtype=int)
    np.add.at(binned, (replies["state"][strict] // 2, step[action[strict]]), 1)
    assert (on_the_page("strict_7b") == binned).all()


# --- the one argument ------------------------------------------------------------------------------------------------


def run_page(own: corpora.Corpus | None, per_state: int) -> dict:
    """The page from its first cell to its last before the exercises, with another corpus."""
    code = "\n".join(page_code())
    changed, n = re.subn(r"^own = None.*$", "own = OWN", code, flags=re.MULTILINE)
    changed, k = re.subn(r"^per_state = \d+$", f"per_state = {per_state}", changed, flags=re.MULTILINE)
    assert (n, k) == (1, 1)  # one argument, and how many
    names = {"OWN": own}
    exec(compile(changed, PAGE.name, "exec"), names)
    plt.close("all")
    return names


def in_published_layout(path, n_per_level: int):
    """Generated comments as a file of Measuring Hate Speech."""
    levels = np.tile(np.arange(6), n_per_level)
    frame = corpora.generate(corpora.world("comments"), levels.size, states=levels, rng=np.random.default_rng(5)).frame
    scores = np.array([-5, -2, 0.5, 1.5, 2.2, 3])[frame["state"]]
    columns = {"comment_id": frame["id"], "annotator_id": 1, "sentiment": 0, "hatespeech": 0}
    pd.DataFrame({**columns, "hate_speech_score": scores, "text": frame["text"]}).to_csv(path, index=False)
    return path


def test_the_page_on_a_file_in_the_published_layout(tmp_path, capsys):
    own = corpora.measuring_hate_speech(in_published_layout(tmp_path / "own.csv", 60))
    names = run_page(own, per_state=50)
    assert set(names["comments"]["text"]) <= set(own.frame["text"].str.slice(stop=400))
    for level in (0.0, 0.1):
        assert names["verdict"](names["weighing"](level, level)).p_value > 0.05
        assert names["verdict"](names["literal"](level)).p_value <= 0.05
    shown = capsys.readouterr().out
    assert not any(text[:40] in shown for text in own.frame["text"])


def test_the_page_on_genuine_comments(capsys):
    path = sample("derived/measuring_hate_speech_first22_mild.parquet")
    own = corpora.measuring_hate_speech(path, edges=(-4, -3, -2.5, -2, -1))
    names = run_page(own, per_state=int(own.frame["state"].value_counts().min()))
    assert 0 < names["verdict"](names["literal"](0.0)).p_value <= 1
    shown = capsys.readouterr().out
    assert not any(text[:40] in shown for text in own.frame["text"])


def test_too_few_comments_of_a_level_are_refused(tmp_path):
    own = corpora.measuring_hate_speech(in_published_layout(tmp_path / "own.csv", 3))
    with pytest.raises(ValueError, match="`n_per_state` must be at most 3"):
        run_page(own, per_state=4)
