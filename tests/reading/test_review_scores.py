"""The saved scores of the pretrained model on human reviews: numbers of the right kind, found again when asked anew."""

import numpy as np
import pytest

from llma_tutorial import fetch, results
from llma_tutorial.reading import corpora
from llma_tutorial.reading.models import pretrained


@pytest.fixture(scope="module")
def cells():
    saved = results.load("review-scores")["cells"]
    return {(cell["arguments"]["name"], cell["arguments"].get("first")): cell for cell in saved}


def labels(cells):
    """Mean rating of each sentence, and which of them raters agree on."""
    means = np.mean(cells["texts", None]["result"]["ratings"], axis=1)
    return means, np.abs(means) > 0.5


def test_every_wording_has_every_sentence(cells):
    texts = cells["texts", None]["result"]
    assert len(texts["ids"]) == len(set(texts["ids"])) == 3_697  # 3,708 of which 11 are repeated
    assert {len(ratings) for ratings in texts["ratings"]} == {20}
    assert len({cell["result"]["weights"] for key, cell in cells.items() if key[0] != "texts"}) == 1
    for (name, first), cell in cells.items():
        if name != "texts":
            shape = (len(cell["arguments"]["questions"]), first or 3_697)
            assert np.shape(cell["result"]["log_odds"]) == np.shape(cell["result"]["mass"]) == shape
            assert 0 <= np.min(cell["result"]["mass"]) <= np.max(cell["result"]["mass"]) <= 1


def test_no_text_is_kept(cells):
    """Only the wordings, which are invented, and the names of the products hold words."""
    texts = cells["texts", None]["result"]
    words = [value for key, values in texts.items() for value in values if isinstance(value, str) and key != "ids"]
    assert set(words) == {"dvd player", "first camera", "second camera", "phone", "music player"}
    assert all(set(identity) <= set("0123456789_") for identity in texts["ids"])
    strings = {
        type(value) for key, cell in cells.items() if key[0] != "texts" for value in cell["result"]["log_odds"][0]
    }
    assert strings <= {float, int}


def test_examples_make_a_sensor_of_a_coin(cells):
    """Areas under the curve, by ranks: with four examples far above the barest question."""
    means, agreed = labels(cells)

    def area(name, row=0):
        odds = np.array(cells[name, None]["result"]["log_odds"][row])
        good, bad = odds[agreed & (means > 0)], odds[agreed & (means < 0)]
        return (good[:, None] > bad).mean() + 0.5 * (good[:, None] == bad).mean()

    assert area("four examples") > area("plain, yes or no") + 0.1
    assert area("four examples") > 0.8


@pytest.mark.skipif(bool(fetch.check(["smollm2", "reviews"])), reason="model and reviews are not fetched")
@pytest.mark.parametrize(
    ("name", "place"), [("one example", 200), ("plain, yes or no", 1_500), ("chat, yes or no", 3_000)]
)
def test_saved_scores_are_found_again(cells, name, place):
    cell = cells[name, None]
    wording = {key: cell["arguments"].get(key) for key in ("prompt", "answer", "chat_template")}
    model = pretrained("smollm2", **wording, examples=cell["arguments"].get("examples", ()))
    frame = corpora.human_reviews(state="five products").frame.iloc[place : place + 5]
    assert frame["id"].tolist() == cells["texts", None]["result"]["ids"][place : place + 5]
    arguments = frame["text"].tolist(), cell["arguments"]["questions"], cell["arguments"]["options"]
    scores = model.unnormalised(*arguments)
    saved = np.array(cell["result"]["log_odds"]).T[place : place + 5]
    assert scores[..., 0] - scores[..., 1] == pytest.approx(saved, abs=2e-3)
