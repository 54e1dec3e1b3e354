"""Readers of three architectures: trees, equal training, the two propositions of the chapter, and its saved study."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from results import load_study
from test_package import ROOT

from llma_tutorial import results
from llma_tutorial.one_agent.ribum import ChoiceData, check
from llma_tutorial.reading.corpora import world
from llma_tutorial.reading.models import architectures, training
from llma_tutorial.reading.models.architectures import ARCHITECTURES, SMALL, new_network, train_alike
from llma_tutorial.reading.models.classroom_models import ClassroomModel

REVIEWS = world("reviews")
TEXTS = ["It broke after a day.", "A fine lamp. I would buy it again, and again!", "Blue."]


@pytest.fixture(scope="module")
def tokenizer():
    found = training.examples([REVIEWS], replace(SMALL, texts=300), np.random.default_rng(0))
    return training.new_tokenizer(found, SMALL)


def fresh(architecture, tokenizer):
    return ClassroomModel(architecture, new_network(architecture, SMALL, tokenizer).eval(), tokenizer, ROOT)


def test_one_recipe_gives_about_as_many_parameters(tokenizer):
    sizes = [new_network(name, SMALL, tokenizer).num_parameters() for name in ARCHITECTURES]
    assert sizes[0] == 1_000 * 64 + 3 * (4 * 64**2 + 3 * 64 * 170 + 2 * 64) + 64
    assert sizes[1] == (1_000 + 192) * 64 + 3 * (12 * 64**2 + 13 * 64) + 2 * 64
    assert max(sizes) / min(sizes) < 1.1


def test_an_unknown_architecture_is_refused(tokenizer):
    with pytest.raises(ValueError, match="`architecture` must be one of"):
        new_network("lstm", SMALL, tokenizer)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_branch_is_as_good_as_a_question_asked_alone(name, tokenizer):
    reader = fresh(name, tokenizer)
    together = reader.score(TEXTS, REVIEWS.prompts)
    alone = [reader.score([text], [asked])[0, 0] for text in TEXTS for asked in REVIEWS.prompts]
    assert np.abs(together - np.reshape(alone, together.shape)).max() < 1e-5
    assert np.ptp(together, axis=1).min() > 1e-3  # questions are told apart


def gru_by_hand(network, tokens):
    """Plain loops over tokens and layers, from the weights: what a path of tokens leaves at its end."""
    sigmoid = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
    layers, path = network.model, network.model.embedding.weight.detach().double().numpy()[tokens]

    def normed(x, norm):
        scaled = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + norm.eps)
        return scaled * norm.weight.detach().numpy() + norm.bias.detach().numpy()

    for layer in layers.layers:
        w, v, b, c = (p.detach().double().numpy() for p in layer.gru.parameters())
        h, out = np.zeros(v.shape[1]), layer.out.weight.detach().double().numpy()
        read = []
        for x in normed(path, layer.norm):
            (r, z, n), (s, t, m) = np.split(w @ x + b, 3), np.split(v @ h + c, 3)
            keep = sigmoid(z + t)
            h = keep * h + (1 - keep) * np.tanh(n + sigmoid(r + s) * m)
            read.append(out @ h)
        path = path + np.array(read)
    return normed(path, layers.norm)[-1] @ network.lm_head.weight.detach().double().numpy().T


def test_the_recurrent_reader_equals_plain_loops(tokenizer):
    reader = fresh("gru", tokenizer)
    special = {token: tokenizer.token_to_id(token) for token in ("<s>", "<ask>", "<yes>", "<no>", "<unsaid>")}
    scores = reader.score(TEXTS, REVIEWS.prompts)
    for text, rows in zip(TEXTS, scores, strict=True):
        for asked, row in zip(REVIEWS.prompts, rows, strict=True):
            words, question = tokenizer.encode(text).ids, tokenizer.encode(asked).ids
            logits = gru_by_hand(reader.network, [special["<s>"], *words, special["<ask>"], *question])
            three = logits[[special["<yes>"], special["<no>"], special["<unsaid>"]]]
            assert row == pytest.approx(three - np.log(np.exp(three).sum()), abs=1e-4)


def test_a_recurrent_reader_that_does_not_fork_hears_the_questions_before(tokenizer, monkeypatch):
    """The fault: the state runs on from question to question."""
    reader = fresh("gru", tokenizer)
    right = reader.score(TEXTS, REVIEWS.prompts)
    none = torch.zeros((0, 4), dtype=torch.long)
    monkeypatch.setattr(architectures, "_paths", lambda visible: (visible.shape[1], none))
    wrong = reader.score(TEXTS, REVIEWS.prompts)
    assert wrong[:, 0] == pytest.approx(right[:, 0], abs=1e-5)
    assert np.abs(wrong[:, 1:] - right[:, 1:]).max() > 1e-3


def test_all_are_trained_on_the_same_rows(monkeypatch):
    seen, plant = [], training.plant

    def watched(*arguments):
        tree = plant(*arguments)
        seen[-1].append(tree.tokens)
        return tree

    monkeypatch.setattr(training, "plant", watched)
    recipe = replace(SMALL, texts=96)
    for name in ARCHITECTURES:
        seen.append([])
        train_alike(name, recipe, [REVIEWS])
    assert len(seen[0]) == 3
    for rows in zip(*seen, strict=True):
        assert all(torch.equal(rows[0], other) for other in rows[1:])


# --- the propositions -----------------------------------------------------------------------------------------------


def information(prior, matrix):
    joint = prior[:, None] * matrix
    return sum(p * np.log(p / (prior[x] * joint[:, y].sum())) for (x, y), p in np.ndenumerate(joint) if p > 0)


def gain(prior, matrix, assumed):
    """Mean log of belief over prior in the true state, of an engine that uses `assumed`."""
    joint = prior[:, None] * assumed
    belief = joint / joint.sum(axis=0)
    return (prior[:, None] * matrix * np.log(belief / prior[:, None])).sum()


def test_yeses_hold_all_that_a_text_says_about_its_product():
    """Statements are drawn given the state and words given the statements, so the statements bound every reader."""
    prior = np.full(2, 0.5)
    yes = (np.array([said for _, said in REVIEWS.texts]) == 0) @ [8, 4, 2, 1]
    statements = REVIEWS.text_probabilities()
    yeses = np.array([np.bincount(yes, row, 16) for row in statements])
    assert information(prior, yeses) == pytest.approx(information(prior, statements), abs=1e-12)
    assert information(prior, yeses) < np.log(2)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_no_reader_gains_more_than_was_written(seed):
    rng = np.random.default_rng(seed)
    prior, written = rng.dirichlet(np.ones(2)), rng.dirichlet(np.ones(5), 2)
    reader, assumed = rng.dirichlet(np.ones(4), 5), rng.dirichlet(np.ones(4), 2)
    matrix = written @ reader
    lost = 0.0
    for y in range(4):
        true, believed = (prior * m[:, y] / (prior @ m[:, y]) for m in (matrix, assumed))
        lost += (prior @ matrix[:, y]) * (true * np.log(true / believed)).sum()
    assert gain(prior, matrix, assumed) == pytest.approx(information(prior, matrix) - lost, abs=1e-9)
    assert gain(prior, matrix, assumed) <= information(prior, written) + 1e-12


def test_a_reader_of_what_stands_between_the_lines_gains_more():
    """The hypothesis broken: paper that smells of the state, and a reader with a nose."""
    prior, yeses = np.array([0.5, 0.5]), np.array([[0.8, 0.2], [0.3, 0.7]])
    smell = np.array([[0.9, 0.1], [0.1, 0.9]])
    both = (yeses[:, :, None] * smell[:, None]).reshape(2, 4)
    assert gain(prior, both, both) > information(prior, yeses) + 0.1


def choices(matrices, assumed, utility, prior):
    """p_m(a | x) of an engine that uses `assumed[m]` while symbols follow `matrices[m]`."""
    found = []
    for true, believed, payoff in zip(matrices, assumed, utility, strict=True):
        best = ((prior[:, None] * believed).T @ payoff).argmax(axis=1)
        found.append(np.stack([true[:, best == a].sum(axis=1) for a in range(payoff.shape[1])], axis=1))
    return ChoiceData(found, prior)


@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.integers(2, 3))
@settings(max_examples=60, deadline=None)
def test_whoever_knows_its_eyes_passes_whatever_they_are(seed, m, x):
    rng = np.random.default_rng(seed)
    prior, eyes, utility = rng.dirichlet(np.ones(x)), rng.dirichlet(np.ones(5), x), rng.normal(size=(m, x, 3))
    assert check(choices([eyes] * m, [eyes] * m, utility, prior), utility).passed


def test_whoever_is_wrong_about_its_eyes_can_fail():
    prior, blurred, sharp = np.array([0.5, 0.5]), np.full((2, 2), 0.5), np.array([[0.9, 0.1], [0.1, 0.9]])
    utility = np.array([[[0, -loss], [0, 1]] for loss in (0.2, 1, 5)])
    assert check(choices([blurred] * 3, [blurred] * 3, utility, prior), utility).passed
    assert check(choices([blurred] * 3, [sharp] * 3, utility, prior), utility).nias_slack < 0


def test_whoever_looks_worse_where_more_is_at_stake_fails():
    prior, sharp, dull = np.array([0.5, 0.5]), np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([[0.6, 0.4], [0.4, 0.6]])
    utility = np.array([1, 4])[:, None, None] * np.eye(2)
    assert check(choices([dull, sharp], [dull, sharp], utility, prior), utility).passed
    failed = check(choices([sharp, dull], [sharp, dull], utility, prior), utility)
    assert failed.nias_slack >= 0 > failed.niac_slack


# --- the study ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cells():
    return results.load("architectures")["cells"]


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_tiny_readers_can_be_trained_again(cells, name):
    """Sizes are exact; losses are sums of rounded steps, which another machine may round otherwise."""
    (cell,) = (c for c in cells if c["arguments"]["texts"] == 640 and c["arguments"]["architecture"] == name)
    found = load_study(ROOT / "book/_results/architectures.py").compute(**cell["arguments"])
    assert found.keys() == cell["result"].keys()
    assert found["parameters"] == cell["result"]["parameters"]
    assert found["answer_losses"] == pytest.approx(cell["result"]["answer_losses"], abs=0.02)
    other = next(c for c in cells if c["arguments"] == {**cell["arguments"], "architecture": "gru"})
    assert np.abs(np.subtract(other["result"]["answer_losses"], cell["result"]["answer_losses"])).max() > 0.1


def test_what_the_chapter_says(cells):
    """Order of the transformers at home, recurrent trainings that differ, verdicts that are the same for all."""
    usual = [c for c in cells if c["arguments"]["texts"] == SMALL.texts and c["arguments"]["learning_rate"] == 2e-3]
    of = {name: [c["result"] for c in usual if c["arguments"]["architecture"] == name] for name in ARCHITECTURES}
    assert [len(found) for found in of.values()] == [3, 3, 3]
    last = {name: [run["answer_losses"][-1] for run in found] for name, found in of.items()}
    assert max(last["llama"]) < min(last["gpt2"])
    assert np.ptp(last["gru"]) > 5 * max(np.ptp(last["llama"]), np.ptp(last["gpt2"]))
    fail = {"obeys", "abroad, eyes measured at home", "careless"}
    others = []
    for run in (run for found in of.values() for run in found):
        assert len(run["answers"]["home"]) == len(run["answers"]["lost 60"]) == 1_200
        assert all(run["judged"][agent]["p_value"] <= 0.05 for agent in fail)
        others += [seen["p_value"] <= 0.05 for agent, seen in run["judged"].items() if agent not in fail]
    assert sum(others) <= 2  # of 27: matrices are measured, not known
