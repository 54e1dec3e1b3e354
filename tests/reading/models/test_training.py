"""Training: trees, examples, and that a short run learns; no test depends on the bits of trained weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from llma_tutorial.reading import corpora
from llma_tutorial.reading.corpora.grammar import ANSWERS
from llma_tutorial.reading.models import training
from llma_tutorial.reading.models.classroom_models import load
from llma_tutorial.reading.models.prefix_tree import plant

SMALL = training.Recipe(texts=96, hidden=16, layers=2, heads=2, feed_forward=16, vocabulary=400, batch=16)
REVIEWS = [corpora.world("reviews")]


def test_a_tree_by_hand():
    tree = plant([[7, 8, 9], [7, 9]], [[[1, 2], [3]], [[1, 2], [3]]], padding=0)
    assert tree.tokens.tolist() == [[7, 8, 9, 1, 2, 3], [7, 9, 1, 2, 3, 0]]
    assert tree.positions.tolist() == [[0, 1, 2, 3, 4, 3], [0, 1, 2, 3, 2, 0]]
    assert tree.ends.tolist() == [[0, 4], [0, 5], [1, 3], [1, 4]]
    seen = [np.flatnonzero(row).tolist() for row in tree.visible[1, 0].numpy()]
    assert seen == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 4], [5]]  # padding sees itself, and nobody sees it


def test_examples_are_true():
    found = training.examples(REVIEWS, replace(SMALL, texts=300), np.random.default_rng(0))
    assert len(found) == 300
    kinds = REVIEWS[0].grammar.statements
    wording = {words: question for question, ways in REVIEWS[0].wordings.items() for words in ways}
    for example in found:
        stated = [kinds[kind] for kind in example.statements if kind < len(kinds)]
        said = dict(pair for statement in stated for pair in statement)
        for question, answer in zip(example.questions, example.answers, strict=True):
            assert ANSWERS[answer] == said.get(wording[question], "unsaid")
        assert example.ends[-1] == len(example.text)
        assert all(example.text[end] == " " for end in example.ends[:-1])
    short = found[:120]  # the first phase
    assert max(sum(kind < len(kinds) for kind in example.statements) for example in short) == 1


def test_sentence_ends_are_the_last_tokens_of_sentences():
    found = training.examples(REVIEWS, SMALL, np.random.default_rng(1))
    tokenizer = training.new_tokenizer(found, SMALL)
    quiet = replace(SMALL, noise=0.0)
    batch = next(iter(training.batches(found, tokenizer, quiet, np.random.default_rng(0))))
    decoded = {tokenizer.decode(batch.tree.tokens[row, : place + 1].tolist()).strip() for row, place in batch.ends}
    texts = {example.text.lower() for example in found}
    assert len(batch.ends) == len(batch.statements) > SMALL.batch
    assert all(any(text.startswith(part) for text in texts) for part in decoded)
    assert sum(part in texts for part in decoded) == SMALL.batch  # each text ends with its last sentence


def test_noise_changes_the_stated_share():
    rng = np.random.default_rng(0)
    tokens = np.arange(10, 60).tolist()
    changed = np.mean(
        [np.not_equal(training.noisy(tokens, replace(SMALL, noise=0.1), rng), tokens) for _ in range(500)]
    )
    assert changed == pytest.approx(0.1, abs=0.01)
    assert training.noisy(tokens, replace(SMALL, noise=0.0), rng) == tokens


def test_gradients_of_the_loss_are_right():
    """A central difference along a random direction; RMS norms of `transformers` compute in single precision."""
    found = training.examples(REVIEWS, SMALL, np.random.default_rng(1))
    tokenizer = training.new_tokenizer(found, SMALL)
    network = training.new_network(SMALL, tokenizer).double()
    reading = torch.nn.Linear(SMALL.hidden, 40).double()
    batch = next(iter(training.batches(found, tokenizer, SMALL, np.random.default_rng(0))))

    def loss():
        torch.manual_seed(0)
        return training.losses(network, reading, batch, SMALL)[0]

    loss().backward()
    parameters = list(network.parameters())
    torch.manual_seed(1)
    direction = [torch.randn_like(p) for p in parameters]
    slope = sum((p.grad * d).sum() for p, d in zip(parameters, direction, strict=True))
    with torch.no_grad():
        ends = []
        for step in (1e-3, -1e-3):
            for p, d in zip(parameters, direction, strict=True):
                p += step * d
            ends.append(loss())
            for p, d in zip(parameters, direction, strict=True):
                p -= step * d
    assert float((ends[0] - ends[1]) / 2e-3) == pytest.approx(float(slope), rel=2e-3)


def test_a_run_is_seeded_and_can_be_saved(tmp_path):
    first = training.train_reader(SMALL, REVIEWS, progress=False)
    again = training.train_reader(SMALL, REVIEWS, progress=False)
    other = training.train_reader(replace(SMALL, seed=1), REVIEWS, progress=False)
    texts, prompts = ["It broke.", "It lasts and lasts."], REVIEWS[0].prompts
    assert np.array_equal(first.score(texts, prompts), again.score(texts, prompts))
    assert not np.allclose(first.score(texts, prompts), other.score(texts, prompts))
    training.save(first, tmp_path / "tiny", {"recipe": "tests"})
    assert np.abs(load(tmp_path / "tiny").score(texts, prompts) - first.score(texts, prompts)).max() < 5e-3  # float16


def test_training_learns():
    """One pattern for each answer of one question: after a short run the answers are right, and wrong before it."""
    world = REVIEWS[0]
    few = {section: lines[:1] for section, lines in world.grammar.patterns.items()}
    small_world = replace(world, grammar=replace(world.grammar, patterns=few), longest=1)
    recipe = replace(SMALL, texts=8_000, hidden=32, feed_forward=64, noise=0.0, short=1.0, natural=0.0)
    reader = training.train_reader(recipe, [small_world], progress=False)
    frame = corpora.generate(small_world, 200, rng=np.random.default_rng(5)).frame
    truth = np.stack([frame[question].map(ANSWERS.index) for question in world.questions], axis=1)
    right = (reader.score(list(frame["text"]), world.prompts).argmax(axis=2) == truth).mean()
    blank = training.train_reader(replace(recipe, texts=16), [small_world], progress=False)
    before = (blank.score(list(frame["text"]), world.prompts).argmax(axis=2) == truth).mean()
    assert right > 0.9 > 0.8 > before
