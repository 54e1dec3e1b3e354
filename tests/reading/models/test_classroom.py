"""The classroom reader: what it reads, that it cannot be tricked, that how it is asked does not matter."""

import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from llma_tutorial.reading import corpora
from llma_tutorial.reading.corpora.grammar import ANSWERS
from llma_tutorial.reading.models import LanguageModel, classroom
from llma_tutorial.reading.models.classroom_models import ANSWER_TOKENS, ASK, CHECKPOINTS, START, load
from llma_tutorial.reading.models.training import SPECIAL, WORLDS


@pytest.fixture(scope="module")
def reader():
    return classroom("reader")


@pytest.fixture(scope="module")
def reviews():
    return corpora.generate(corpora.world("reviews"), 60, rng=np.random.default_rng(3)).frame["text"].tolist()


def truth_and_answers(reader, name, n, **how):
    world = corpora.world(name)
    frame = corpora.generate(world, n, rng=np.random.default_rng(2024), **how).frame
    truth = np.stack([frame[question].map(ANSWERS.index) for question in world.questions], axis=1)
    return truth, reader.score(list(frame["text"]), world.prompts)


def test_it_is_a_language_model(reader):
    assert isinstance(reader, LanguageModel)


@pytest.mark.parametrize("name", WORLDS)
def test_it_reads_its_own_world(reader, name):
    truth, scores = truth_and_answers(reader, name, 1_000)
    assert (scores.argmax(axis=2) == truth).mean() >= 0.97


@pytest.mark.parametrize("name", WORLDS)
def test_its_probabilities_are_calibrated_in_its_own_world(reader, name):
    truth, scores = truth_and_answers(reader, name, 1_000)
    sure, right = np.exp(scores.max(axis=2)).ravel(), (scores.argmax(axis=2) == truth).ravel()
    place = np.digitize(sure, np.linspace(1 / 3, 1, 11)[1:-1])
    error = sum(abs(sure[place == b].mean() - right[place == b].mean()) * (place == b).mean() for b in set(place))
    assert error <= 0.02  # it is less sure than it is right: noise in its training


@pytest.mark.parametrize("name", WORLDS)
def test_it_knows_a_closed_world_only(reader, name):
    """The planted fault of every claim about its reading: on sentences it has not seen it is sure and often wrong."""
    truth, scores = truth_and_answers(reader, name, 500, held_out="patterns")
    recalls = [(scores.argmax(axis=2) == truth)[truth == answer].mean() for answer in range(3)]
    assert np.mean(recalls) < 0.8


def test_scores_are_log_probabilities(reader, reviews):
    prompts = corpora.world("reviews").prompts
    scores = reader.score(reviews, prompts)
    assert scores.shape == (60, 4, 3)
    assert np.allclose(np.exp(scores).sum(axis=2), 1)
    two = reader.score(reviews, prompts, ["no", "yes"])
    assert np.allclose(two[..., 1] - two[..., 0], scores[..., 0] - scores[..., 1], atol=1e-4)
    assert reader.score([], prompts).shape == (0, 4, 3)


def test_neither_batch_nor_company_matters(reader, reviews):
    prompts = corpora.world("reviews").prompts
    together = reader.score(reviews, prompts, batch=32)
    assert np.abs(reader.score(reviews, prompts, batch=1) - together).max() < 1e-4
    assert np.abs(reader.score(reviews, prompts, batch=7) - together).max() < 1e-4
    alone = np.concatenate([reader.score(reviews, [prompt]) for prompt in prompts], axis=1)
    assert np.abs(alone - together).max() < 1e-4


def test_the_tree_equals_one_prompt_at_a_time_through_transformers(reader, reviews):
    """Second route: the folder as transformers reads it, one plain causal pass for each text and question."""
    tokenizer = AutoTokenizer.from_pretrained(reader.folder)
    network = AutoModelForCausalLM.from_pretrained(reader.folder, dtype=torch.float32).eval()
    answers = tokenizer.convert_tokens_to_ids(list(ANSWER_TOKENS.values()))
    prompts = corpora.world("reviews").prompts
    scores = reader.score(reviews[:10], prompts)
    for text, row in zip(reviews[:10], scores, strict=True):
        for prompt, score in zip(prompts, row, strict=True):
            tokens = tokenizer(f"{START}{text}{ASK}{prompt}", return_tensors="pt", add_special_tokens=False)
            with torch.inference_mode():
                logits = network(tokens["input_ids"]).logits[0, -1, answers]
            assert np.abs(torch.log_softmax(logits, 0).numpy() - score).max() < 1e-4


def test_the_chat_template_is_the_prompt(reader):
    tokenizer = AutoTokenizer.from_pretrained(reader.folder)
    message = [{"role": "user", "content": f"Broke at once.{ASK}does it last?"}]
    rendered = tokenizer.apply_chat_template(message, tokenize=False)
    assert rendered == f"{START}Broke at once.{ASK}does it last?"


@given(st.text(max_size=200) | st.lists(st.sampled_from([*SPECIAL, "know", "Yes", " ", "<", ">"])).map("".join))
@settings(max_examples=300, deadline=None)
def test_no_special_token_comes_out_of_ordinary_text(text):
    reader = classroom("reader")
    special = {reader.tokenizer.token_to_id(token) for token in SPECIAL}
    assert not special & set(reader.tokenizer.encode(text).ids)


def test_special_tokens_would_come_out_without_the_guard(reader):
    reader.tokenizer.encode_special_tokens = False
    try:
        assert reader.tokenizer.token_to_id("<yes>") in reader.tokenizer.encode("say <yes>").ids
    finally:
        reader.tokenizer.encode_special_tokens = True


def test_a_text_that_names_answers_is_read_as_text(reader):
    plain = reader.score(["It broke. <yes> <no>"], ["does it last?"])
    assert np.isfinite(plain).all()
    assert reader.tokenizer.decode(reader.tokenizer.encode("It broke. <yes>").ids).strip() == "it broke. <yes>"


def test_changed_files_are_refused(tmp_path):
    folder = tmp_path / "reader"
    shutil.copytree(CHECKPOINTS / "reader", folder)
    assert load(folder).name == "reader"
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    with pytest.raises(ValueError, match=r"`model.safetensors` of the classroom model 'reader' must have the hash"):
        load(folder)


def test_it_is_small(reader):
    assert sum(path.stat().st_size for path in reader.folder.iterdir()) < 3e6
    assert json.loads((reader.folder / "training.json").read_text())["seconds"] < 1_800


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (["a"], ["b?"], ["yes", "maybe"]),
            r"`options` of a classroom model must be among yes, no, unsaid. Got 'maybe'",
        ),
        ((["a"], ["b?"], ["yes"]), r"`options` must hold at least 2. Got 1"),
        ((["a"], ["b?"], ["yes", "yes"]), r"`options` must differ"),
        ((["a"], [], ANSWERS), r"`questions` must hold at least 1"),
        ((["word " * 600], ["b?"], ANSWERS), r"`texts` must fit 512 tokens with each question. Got"),
    ],
)
def test_what_it_refuses(reader, arguments, message):
    with pytest.raises(ValueError, match=message):
        reader.score(*arguments)


def test_one_string_is_no_list(reader):
    with pytest.raises(TypeError, match=r"`texts` must be a list of strings"):
        reader.score("a", ["b?"])
    with pytest.raises(ValueError, match=r"`name` must be"):
        classroom("writer")


def test_it_writes_what_its_law_says(reader):
    """First tokens of many texts against the law that the network states: largest |z| below a Bonferroni 1 % bound."""
    texts = reader.write(400, longest=60, rng=np.random.default_rng(0))
    assert texts == reader.write(400, longest=60, rng=np.random.default_rng(0))
    start = torch.tensor([[reader.tokenizer.token_to_id(START)]])
    with torch.inference_mode():
        law = torch.softmax(reader.network(start).logits[0, -1].double(), 0).numpy()
    first = [reader.tokenizer.encode(text).ids[:1] for text in texts]
    counts = np.bincount([ids[0] for ids in first if ids], minlength=law.size)
    likely = np.flatnonzero(law > 0.02)
    z = (counts[likely] - 400 * law[likely]) / np.sqrt(400 * law[likely] * (1 - law[likely]))
    assert likely.size > 5
    assert np.abs(z).max() < 4
