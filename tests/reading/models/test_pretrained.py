"""The fetched model: made into an ordinary folder once, whole or not at all, with the numbers of its file."""

import errno
import hashlib
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
from gguf import GGMLQuantizationType
from gguf.quants import dequantize
from reading.models import tiny, tiny_gguf
from safetensors import SafetensorError

from llma_tutorial import fetch
from llma_tutorial.reading.models import hub, pretrained, pretrained_models

FILE = pretrained_models.FILES["smollm2"]


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """A tiny model in the place of the fetched one; its packed weights."""
    monkeypatch.setenv("LLMA_TUTORIAL_CACHE", str(tmp_path))
    (tmp_path / "smollm2").mkdir()
    path = tmp_path / "smollm2" / FILE
    weights = tiny_gguf.save(path)
    pin(path, monkeypatch)
    return weights


def pin(path, monkeypatch) -> None:
    """Hold the fetched model to what its file holds now."""
    content = path.read_bytes()
    member = fetch.Member((FILE,), FILE, len(content), hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(fetch.SOURCES, "smollm2", replace(fetch.SOURCES["smollm2"], members=(member,)))


def scores(model) -> np.ndarray:
    return model.score(tiny.TEXTS, tiny.QUESTIONS[:2], tiny.OPTIONS[:2])


def test_the_folder_holds_the_numbers_of_the_file(packed):
    folder = pretrained_models.converted("smollm2")
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    for name, place in {"token_embd": "embed_tokens", "blk.0.attn_v": "layers.0.self_attn.v_proj"}.items():
        wanted = dequantize(packed[name], GGMLQuantizationType.Q4_1)
        np.testing.assert_array_equal(weights[f"model.{place}.weight"].numpy(), wanted)
    assert "lm_head.weight" not in weights  # the embedding, once more
    config = json.loads((folder / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["tie_word_embeddings"]


def test_it_reads_like_the_file_itself(packed, tmp_path):
    model = pretrained("smollm2")
    direct = hub(tmp_path / "smollm2" / FILE)
    assert model.name == "smollm2"
    assert model.parameters == direct.parameters
    np.testing.assert_array_equal(scores(model), scores(direct))


def test_it_is_converted_once(packed, monkeypatch, tmp_path):
    pretrained()
    monkeypatch.setattr(fetch, "place", None)
    assert pretrained(chat_template=False, dtype="bfloat16").parameters["dtype"] == "bfloat16"
    assert not list(tmp_path.glob("*.partial-*"))
    assert len(list(tmp_path.glob("smollm2-float32-*/config.json"))) == 1


def test_another_file_gets_another_folder(packed, monkeypatch):
    first = pretrained_models.converted()
    path = fetch.cache_folder() / "smollm2" / FILE
    path.write_bytes(path.read_bytes() + b"\0")
    pin(path, monkeypatch)
    assert pretrained_models.converted() != first


def test_a_damaged_file_is_not_converted(packed, tmp_path):
    path = tmp_path / "smollm2" / FILE
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # as long as before, and no size tells
    path.write_bytes(content)
    with pytest.raises(FileNotFoundError, match=r"with another SHA-256.*\n.*llma_tutorial fetch smollm2"):
        pretrained()
    assert not list(tmp_path.glob("smollm2-float32-*/"))


@pytest.mark.parametrize("message", ["I/O error: No space left on device (os error 28)", "something else"])
def test_a_full_disk_is_named_and_nothing_half_written_is_used(packed, monkeypatch, tmp_path, message):
    def full(weights, target, metadata):
        target.write_bytes(b"half")
        raise SafetensorError(message)

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(OSError, match="`LLMA_TUTORIAL_CACHE` must name a folder") as caught:
        pretrained()
    assert ("of free space" in str(caught.value)) == ("28" in message)
    assert caught.value.__cause__.errno == (errno.ENOSPC if "28" in message else errno.EIO)
    assert not [path for path in tmp_path.iterdir() if path.is_dir() and path.name != "smollm2"]


def test_two_processes_convert_once(packed, tmp_path):
    program = (
        "import sys; from pathlib import Path; from llma_tutorial import fetch; from dataclasses import replace; "
        "import hashlib; path = Path(sys.argv[1]); content = path.read_bytes(); "
        "member = fetch.Member((path.name,), path.name, len(content), hashlib.sha256(content).hexdigest()); "
        "fetch.SOURCES['smollm2'] = replace(fetch.SOURCES['smollm2'], members=(member,)); "
        "from llma_tutorial.reading.models import pretrained; pretrained()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "smollm2" / FILE)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)]
    printed = [process.communicate(timeout=120)[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    assert len(list(tmp_path.glob("smollm2-float32-*/config.json"))) == 1


@pytest.mark.parametrize("argument", [{"revision": "main"}, {"download": True}])
def test_arguments_without_meaning_are_refused(packed, argument):
    with pytest.raises(ValueError, match=f"`{next(iter(argument))}` must be left out"):
        pretrained("smollm2", **argument)


def test_other_names_are_refused(packed):
    with pytest.raises(ValueError, match='`name` must be one of "smollm2"'):
        pretrained("gpt-9")


def test_not_fetched_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMA_TUTORIAL_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="python -m llma_tutorial fetch smollm2"):
        pretrained("smollm2")


def test_the_real_model():
    try:
        fetch.fetched("smollm2")
    except FileNotFoundError:
        pytest.skip("the model is not fetched")
    examples = [
        ("Works as promised, every day.", "positive"),
        ("It broke at once.", "negative"),
        ("I would buy it again.", "positive"),
        ("A waste of money.", "negative"),
    ]
    wording = {"prompt": "Review: {text}\n{question}", "answer": " {option}", "chat_template": False}
    model = pretrained("smollm2", **wording, examples=examples)
    # SHA-256 of names and float32 weights in order, as first converted with transformers 5.23 and gguf 0.19.
    assert model.parameters["weights"] == "3c5fdee91060c09a103a3ace048e09657659253dda455eaa5b13bcd2d5525f3b"
    texts = ["I use it every morning and love it.", "The handle broke after two days."]
    found = np.exp(model.score(texts, ["Sentiment:"], ["negative", "positive"]))[:, 0]
    assert (found.argmax(axis=1) == [1, 0]).all()
    assert len(model.tokenizer("12345")["input_ids"]) == 5  # one token a digit, as it was trained
