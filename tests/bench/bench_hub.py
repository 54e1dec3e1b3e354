"""Run times of `hub` on a GPT-2-like model: what sharing saves, and what the package adds to the forward passes."""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from reading.models import tiny
from timing import shortest
from transformers import AutoModelForCausalLM, GPT2Config

from llma_tutorial.reading.corpora import generate, world
from llma_tutorial.reading.models import hub

OPTIONS = ["yes", "no", "unsaid"]


def _model(folder: str):
    words = tiny.tokenizer()
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(
        GPT2Config(
            vocab_size=len(words), n_embd=256, n_layer=4, n_head=8, n_positions=512, bos_token_id=0, eos_token_id=1
        )
    ).save_pretrained(folder)
    words.save_pretrained(folder)
    return hub(folder, chat_template=False)


def _one_prompt_per_option(model, texts, questions):
    """What one would write by hand: every text, question and option a prompt of its own, padded to batches of 32."""
    strings = [model.prompt.format(text=t, question=q) + f" {o}" for t in texts for q in questions for o in OPTIONS]
    ids = sorted((model.tokenizer(string)["input_ids"] for string in strings), key=len)
    with torch.inference_mode():
        for first in range(0, len(ids), 32):
            batch = ids[first : first + 32]
            width = max(map(len, batch))
            model.network(torch.tensor([row + [0] * (width - len(row)) for row in batch])).logits.log_softmax(-1)


def measure() -> list[tuple[str, float, str, float]]:
    """Rows (what, value, unit, limit)."""
    texts = generate(world("reviews"), 24, rng=np.random.default_rng(0)).frame["text"].tolist()
    questions = list(world("reviews").prompts)
    with tempfile.TemporaryDirectory() as folder:
        model = _model(str(Path(folder)))
    inside = [0.0]
    forward = model.network.forward

    def timed(*arguments, **named):
        start = time.perf_counter()
        result = forward(*arguments, **named)
        inside[-1] += time.perf_counter() - start
        return result

    shared = shortest(lambda: model.score(texts, questions, OPTIONS))
    by_hand = shortest(lambda: _one_prompt_per_option(model, texts, questions))
    model.network.forward = timed
    ratios = []
    for _ in range(3):
        inside.append(0.0)
        start = time.perf_counter()
        model.score(texts, questions, OPTIONS)
        ratios.append((time.perf_counter() - start) / inside[-1])
    return [
        ("hub: 24 texts, 4 questions, 3 options, 3 million parameters", 1e3 * shared, "ms", float("inf")),
        ("hub: time against one prompt per option (at most a half)", shared / by_hand, "times", 0.5),
        ("hub: time against the bare forward passes it needs", min(ratios), "times", 1.1),
    ]
