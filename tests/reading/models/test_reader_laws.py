"""Laws of the reader that the chapter proves: softmax as a regularised choice, in its heads too, and the tree mask."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaForCausalLM

from llma_tutorial.reading.models import classroom


def softmax(scores, price):
    weights = np.exp((scores - scores.max()) / price)
    return weights / weights.sum()


def entropy(law):
    return -sum(p * np.log(p) for p in law if p > 0)


@given(
    st.lists(st.floats(-5, 5), min_size=2, max_size=6),
    st.floats(0.1, 5),
    st.floats(1.01, 5),
    st.integers(0, 2**32 - 1),
)
@settings(deadline=None)
def test_softmax_is_the_regularised_choice(scores, price, factor, seed):
    scores, chosen = np.array(scores), softmax(np.array(scores), price)
    best = price * np.log(np.exp(scores / price).sum())
    assert chosen @ scores + price * entropy(chosen) == pytest.approx(best, abs=1e-9)
    for rival in np.random.default_rng(seed).dirichlet(np.ones(scores.size), 50):
        lost = price * sum(p * np.log(p / q) for p, q in zip(rival, chosen, strict=True) if p > 0)
        assert best - (rival @ scores + price * entropy(rival)) == pytest.approx(lost, abs=1e-9)
        assert lost >= -1e-12
    dearer = softmax(scores, price * factor)
    assert entropy(dearer) >= entropy(chosen) - 1e-12
    assert dearer @ scores <= chosen @ scores + 1e-12


def test_without_entropy_softmax_is_no_maximiser():
    scores = np.array([1.0, 0.0])
    assert softmax(scores, 1.0) @ scores < scores.max() - 0.2


def test_a_sampled_answer_is_no_regularised_choice():
    """At temperature 1/2 the law of two tokens, one by one, is not the softmax over whole answers; at 1 it is."""
    first, second = np.array([0.5, 0.5]), np.array([[1.0, 0.0], [0.5, 0.5]])
    whole = first[:, None] * second
    for temperature, equal in ((1.0, True), (0.5, False)):
        steps = first ** (1 / temperature) / (first ** (1 / temperature)).sum()
        after = second ** (1 / temperature)
        sampled = steps[:, None] * after / after.sum(axis=1, keepdims=True)
        chosen = whole ** (1 / temperature) / (whole ** (1 / temperature)).sum()
        assert (np.abs(sampled - chosen).max() < 1e-12) == equal


def test_the_weights_of_a_head_are_softmax_of_its_scores():
    """Second route: queries and keys turned by their positions in plain loops, for every head of the last layer."""
    reader = classroom("reader")
    network = LlamaForCausalLM.from_pretrained(reader.folder, dtype=torch.float32, attn_implementation="eager").eval()
    ids = reader.tokenizer.encode("The lid broke.").ids
    with torch.inference_mode():
        out = network(torch.tensor([ids]), output_attentions=True, output_hidden_states=True)
        layer = network.model.layers[-1]
        states = layer.input_layernorm(out.hidden_states[-2])
        queries, keys = (f(states)[0].double().numpy() for f in (layer.self_attn.q_proj, layer.self_attn.k_proj))
    d, half = 24, 12

    def turned(vector, place):
        result = np.empty(d)
        for i in range(half):
            angle = place * 10_000 ** (-i / half)
            result[i] = vector[i] * np.cos(angle) - vector[i + half] * np.sin(angle)
            result[i + half] = vector[i + half] * np.cos(angle) + vector[i] * np.sin(angle)
        return result

    last = len(ids) - 1
    for head in range(4):
        mine = slice(head * d, (head + 1) * d)
        query = turned(queries[last, mine], last)
        scores = np.array([query @ turned(keys[j, mine], j) for j in range(len(ids))])
        weights = out.attentions[-1][0, head, -1].numpy()
        np.testing.assert_allclose(softmax(scores, np.sqrt(d)), weights, atol=1e-4)
        if entropy(weights) > 0.1:  # the planted fault: another price
            assert np.abs(softmax(scores, 1.0) - weights).max() > 1e-3


def test_the_tree_mask_is_needed():
    """The planted fault of the tree: questions that see each other are answered otherwise."""
    reader = classroom("reader")
    start, ask = (reader.tokenizer.token_to_id(token) for token in ("<s>", "<ask>"))
    questions = [reader.tokenizer.encode(q).ids for q in ("does it have defects?", "is it recommended?")]
    trunk = [start, *reader.tokenizer.encode("Mine arrived with a bent lid. Still going strong!").ids, ask]
    answers = [reader.tokenizer.token_to_id(f"<{option}>") for option in ("yes", "no", "unsaid")]
    with torch.inference_mode():
        alone, behind = (
            torch.log_softmax(reader.network(torch.tensor([ids])).logits[0, -1, answers], 0).numpy()
            for ids in (trunk + questions[1], trunk + questions[0] + questions[1])
        )
    asked = ["does it have defects?", "is it recommended?"]
    inside = reader.score(["Mine arrived with a bent lid. Still going strong!"], asked)[0, 1]
    assert np.abs(inside - alone).max() < 1e-4
    assert np.abs(behind - alone).max() > 0.05
