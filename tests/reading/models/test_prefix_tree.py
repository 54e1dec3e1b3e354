"""One tree for all prompts of a request: scores are those of prompts read one by one, whatever they share."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading.models import tiny
from transformers.models.auto import AutoModelForCausalLM

from llma_tutorial.reading.models.prefix_tree import CALL, Row, can_branch, continuation_scores, grown, price_of_a_call

KINDS = ("llama", "gpt2", "mistral", "mamba", "mamba2")
WORDS = 50
HOLDERS: dict = {}


def network(kind):
    """A tiny network of one architecture, and whether it can branch; wide weights, so that a mix-up shows."""
    if kind not in HOLDERS:
        torch.manual_seed(3)
        made = AutoModelForCausalLM.from_config(tiny.SIZES[kind](WORDS)).eval()
        with torch.no_grad():
            for name, weight in made.named_parameters():
                if weight.ndim == 2 and "norm" not in name:
                    weight.normal_(0, 0.5 * weight.shape[1] ** -0.5)
        HOLDERS[kind] = made, can_branch(made)
    return HOLDERS[kind]


def one_by_one(model, prompts, continuations):
    """Log-probabilities of single sequences, one forward pass for each, no cache and no batch."""
    found = np.zeros((len(prompts), len(continuations[0])))
    for p, (prompt, options) in enumerate(zip(prompts, continuations, strict=True)):
        for o, option in enumerate(options):
            tokens = [*prompt, *option]
            with torch.inference_mode():
                logits = model(torch.tensor([tokens]), use_cache=False).logits[0].double().log_softmax(-1)
            found[p, o] = sum(logits[i - 1, tokens[i]].item() for i in range(len(prompt), len(tokens)))
    return found


TOKENS = st.integers(2, WORDS - 1)


@st.composite
def requests(draw):
    """Prompts that grow from one another at random places, so that trees of every shape come up."""
    prompts = [draw(st.lists(TOKENS, min_size=1, max_size=30))]
    for _ in range(draw(st.integers(0, 9))):
        old = draw(st.sampled_from(prompts))
        cut = draw(st.integers(0, len(old)))
        prompts.append((old[:cut] + draw(st.lists(TOKENS, max_size=25)))[:45] or [2])
    option = st.lists(TOKENS, min_size=1, max_size=3)
    n = draw(st.integers(2, 4))
    alike = draw(st.booleans())
    options = draw(st.lists(option, min_size=n, max_size=n))
    others = st.lists(option, min_size=n, max_size=n)
    return prompts, [options if alike else draw(others) for _ in prompts]


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_prompts_read_one_by_one(kind):
    model, branches = network(kind)
    assert branches == (kind != "mamba")

    @given(requests(), st.sampled_from([1, 20, 60, 200, 16_384]), st.sampled_from([1, 4, CALL]))
    @settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck), derandomize=True)
    def check(request, batch_tokens, call):
        expected = one_by_one(model, *request)
        for shared in {False, branches}:
            found = continuation_scores(model, *request, shared=shared, batch_tokens=batch_tokens, call=call)
            np.testing.assert_allclose(found, expected, atol=1e-4)

    check()


def counted(model, prompts, options, **arguments):
    """Tokens that are read, and how many at most are held at once, in the caches and in the rows."""
    read, held = [], []

    def note(_, given, kwargs):
        past = kwargs.get("past_key_values")
        rows, width = given[0].shape
        read.append(rows * width)
        held.append(rows * (width + (past.get_seq_length() if past is not None else 0)))

    handle = model.register_forward_pre_hook(note, with_kwargs=True)
    continuation_scores(model, prompts, [options] * len(prompts), shared=True, **{"batch_tokens": 16_384, **arguments})
    handle.remove()
    return sum(read), max(held)


def words(n, seed):
    return np.random.default_rng(seed).integers(2, WORDS, n).tolist()


def test_examples_are_read_once_and_a_history_line_by_line():
    model, _ = network("llama")
    shown, question = words(100, 0), words(5, 1)
    reviews = [shown + words(20, 10 + i) + question for i in range(30)]
    assert counted(model, reviews, [[5], [6]])[0] == 100 + 30 * 25
    line = [shown + words(200, 2)[: 10 * i] + words(20, 50 + i) + question for i in range(20)]
    apart = sum(map(len, line))
    assert counted(model, line, [[5], [6]], call=1)[0] < 100 + 190 + 20 * 25 + 20 * 10 < apart / 3


def test_a_prompt_that_comes_again_is_read_once():
    model, _ = network("llama")
    prompt = words(30, 0)
    assert counted(model, [prompt] * 9, [[5], [6]])[0] == 30
    found = continuation_scores(model, [prompt] * 3, [[[5], [6]]] * 2 + [[[6], [5]]], shared=True, batch_tokens=100)
    assert found[0] == pytest.approx(found[1], abs=1e-12)
    assert found[0] == pytest.approx(found[2, ::-1], abs=1e-5)


@pytest.mark.parametrize("budget", [150, 400, 1_000])
def test_the_budget_is_kept(budget):
    model, _ = network("llama")
    line = [words(200, 2)[: 10 * i] + words(20, 50 + i) for i in range(1, 11)]
    assert counted(model, line, [[5], [6]], batch_tokens=budget, call=1)[1] <= budget


def test_what_does_not_pay_is_not_shared():
    """A first token that all have in common, and texts that share nothing else: as without sharing, call by call."""
    model, _ = network("llama")
    prompts = [[1, *words(30, i)] for i in range(20)]
    assert counted(model, prompts, [[5], [6]])[0] == 20 * 31


def test_a_tree_by_hand():
    rows = [Row(tuple(tokens), len(tokens) - 1, []) for tokens in ([1, 2, 3, 4], [1, 2, 3, 5], [1, 2, 9, 9], [7, 7])]
    root = grown(rows)
    (two,) = root.nodes
    (three,) = two.nodes
    assert (root.depth, two.depth, three.depth) == (0, 2, 3)
    assert two.path == (1, 2)
    assert [row.tokens for row in three.rows] == [(1, 2, 3, 4), (1, 2, 3, 5)]
    assert [row.tokens for row in root.rows] == [(7, 7)]


def test_logits_at_chosen_places_or_at_all():
    """An architecture that does not offer to choose gives the same scores, from all its logits."""
    model, _ = network("llama")
    prompts = [words(12, 0) + words(i, i) for i in range(1, 9)]
    options = [[[5, 6], [7]]] * 8
    sizes = []

    class Plain:
        device, dtype, config = model.device, model.dtype, model.config

        def forward(self, tokens, use_cache=False, past_key_values=None):
            out = model(tokens, use_cache=use_cache, past_key_values=past_key_values)
            sizes.append(out.logits.shape[1])
            return out

        def __call__(self, *arguments, **named):
            return self.forward(*arguments, **named)

    chosen = []
    handle = model.register_forward_hook(lambda _, given, out: chosen.append(out.logits.shape[1]))
    expected = continuation_scores(model, prompts, options, shared=True, batch_tokens=400)
    handle.remove()
    found = continuation_scores(Plain(), prompts, options, shared=True, batch_tokens=400)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert max(sizes) == 12 > max(chosen)


def test_a_call_is_dearer_where_it_does_little():
    model, _ = network("llama")
    assert price_of_a_call(model) == CALL
    big = AutoModelForCausalLM.from_config(
        type(model.config)(vocab_size=50, hidden_size=512, intermediate_size=2048, num_hidden_layers=4)
    )
    assert 8 <= price_of_a_call(big) < 16
