"""Writers: what they are trained on, how they score, write and read, and the study of writers fed with writers."""

import numpy as np
import pytest
import torch
from results import load_study
from test_package import ROOT

from llma_tutorial import results
from llma_tutorial.reading import writers
from llma_tutorial.reading.writers import KINDS, Sentences, lineage, train_writer, true_sentences


@pytest.fixture(scope="module")
def trained():
    """A writer of twelve patterns' worth of sentences, trained until it knows them."""
    rng = np.random.default_rng(5)
    sentences = true_sentences(60, rng=rng)
    vocabulary = tuple(sorted({word for words in sentences.words for word in words}))
    return train_writer(sentences, vocabulary, steps=200, hidden=32, rng=rng), sentences


def test_true_sentences_are_of_their_kinds():
    sentences = true_sentences(800, rng=np.random.default_rng(1))
    assert np.bincount(sentences.kinds, minlength=4).min() > 150
    assert all("{" not in word for words in sentences.words for word in words)
    # "recommend, no" and "recommend, yes" sentences differ; no sentence has both kinds.
    said = [
        {words for kind, words in zip(sentences.kinds, sentences.words, strict=True) if kind == k} for k in range(4)
    ]
    assert not said[2] & said[3]
    assert not said[0] & said[1]


def test_log_probability_is_the_sum_over_words(trained):
    """Against one forward pass for each word, without batches or padding."""
    writer, sentences = trained
    place = {word: writers.FIRST_WORD + number for number, word in enumerate(writer.vocabulary)}
    for number in (0, 7):
        row = [writers.FIRST_KIND + sentences.kinds[number], *(place[w] for w in sentences.words[number]), writers.END]
        total = 0.0
        with torch.no_grad():
            for end in range(1, len(row)):
                scores = writer.network(input_ids=torch.tensor([row[:end]])).logits[0, -1]
                total += float(scores.log_softmax(-1)[row[end]])
        assert writer.log_probability(sentences)[number] == pytest.approx(total, abs=1e-3)


def test_reading_is_bayes_rule(trained):
    writer, sentences = trained
    both = [Sentences(sentences.kinds // 2 * 2 + answer, sentences.words) for answer in (0, 1)]
    no, yes = (np.exp(writer.log_probability(one)) for one in both)
    assert writer.read(sentences) == pytest.approx(yes / (no + yes), abs=1e-6)
    # What it was trained on it reads rightly, and a writer of swapped answers reads it wrongly.
    assert ((writer.read(sentences) > 0.5) == sentences.kinds % 2).mean() > 0.95
    swapped = Sentences(sentences.kinds ^ 1, sentences.words)
    assert ((writer.read(swapped) > 0.5) == swapped.kinds % 2).mean() < 0.05


def test_writing_follows_the_model_and_repeats(trained):
    writer, _ = trained
    written, again = (writer.write(200, rng=np.random.default_rng(2)) for _ in range(2))
    assert written.words == again.words
    assert (written.kinds == again.kinds).all()
    # First words come as often as the model says, whatever the kind; and what it writes is likelier than its reverse.
    with torch.no_grad():
        kinds = torch.arange(len(KINDS))[:, None] + writers.FIRST_KIND
        law = writer.network(input_ids=kinds).logits[:, 0].softmax(-1).numpy()[written.kinds]
    likeliest = law.argmax(axis=1)
    hits = [
        words[:1] == (writer.vocabulary[t - writers.FIRST_WORD],)
        for words, t in zip(written.words, likeliest, strict=True)
    ]
    chance = law.max(axis=1)
    assert abs(np.sum(hits) - chance.sum()) < 4 * np.sqrt((chance * (1 - chance)).sum())
    backwards = Sentences(written.kinds, tuple(words[::-1] for words in written.words))
    assert writer.log_probability(written).mean() > writer.log_probability(backwards).mean() + 5


def test_training_leaves_no_trace_in_global_randomness():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    lineage(20, 0, steps=2, rng=np.random.default_rng(0))
    assert torch.equal(torch.rand(2), expected)


def test_a_lineage_on_true_text_only_stays_where_it_is_and_on_own_text_does_not():
    """Fresh share 1 trains each generation on the truth; nobody's own text enters."""
    fed = lineage(60, 1, fresh=1.0, steps=100, rng=np.random.default_rng(1))
    own = lineage(60, 1, steps=100, rng=np.random.default_rng(1))
    assert abs(fed.surprise[1] - fed.surprise[0]) < 0.5
    assert own.surprise[1] > own.surprise[0] + 0.5
    assert own.vocabulary[1] < own.vocabulary[0]
    assert [len(lines) for lines in own.samples] == [3, 3]


def test_what_does_not_fit_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"`fresh` must be 0 if sentences accumulate"):
        lineage(20, 1, fresh=0.5, accumulate=True, rng=rng)
    with pytest.raises(ValueError, match=r"`vocabulary` must hold every word of the sentences. Got 'unheard'"):
        train_writer(Sentences(np.array([0]), (("unheard",),)), ("of",), steps=1, rng=rng)
    with pytest.raises(ValueError, match=r"`n` must be a whole number at least 1"):
        true_sentences(0, rng=rng)
    with pytest.raises(ValueError, match=r"`hidden` must be a multiple of 8, four heads of even width. Got 12"):
        train_writer(true_sentences(2, rng=rng), ("of",), hidden=12, rng=rng)
    assert len(KINDS) == 4


def test_a_saved_cell_can_be_computed_again():
    """The second small cell; other processors round otherwise, so the measures are compared within their scatter."""
    study = load_study(ROOT / "book/_results/self-trained-writers.py")
    cell = results.load("self-trained-writers")["cells"][1]
    assert cell["arguments"] == study.cells()[1]
    again, saved = study.compute(**cell["arguments"]), cell["result"]
    assert again.keys() == saved.keys()
    assert again["surprise"] == pytest.approx(saved["surprise"], abs=0.4)
    assert again["accuracy"] == pytest.approx(saved["accuracy"], abs=0.1)
    assert again["vocabulary"] == pytest.approx(saved["vocabulary"], rel=0.2)


def test_the_saved_study_holds_what_the_chapter_claims():
    cells = [cell for cell in results.load("self-trained-writers")["cells"] if cell["arguments"]["n_sentences"] == 600]
    ends = {}
    for cell in cells:
        ends.setdefault(cell["arguments"]["diet"], []).append({k: v[-1] for k, v in cell["result"].items()})
    for name in ("accuracy", "vocabulary", "entropy"):
        highest = max(end[name] for end in ends["own text"])
        for diet in ("half fresh", "all text kept", "true text only"):
            assert min(end[name] for end in ends[diet]) > highest
    lowest = min(end["surprise"] for end in ends["own text"])
    for diet in ("half fresh", "all text kept", "true text only"):
        assert max(end["surprise"] for end in ends[diet]) < lowest / 2
