"""Run times of `hub`: what sharing saves, and what the package adds to the forward passes.

Ratios compare two ways within one run, turn by turn, in processor time on one thread: other work on the machine then
slows both alike.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from reading.models import tiny
from timing import shortest
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, LlamaForCausalLM

from llma_tutorial.reading.corpora import generate, world
from llma_tutorial.reading.models import hub
from llma_tutorial.reading.models.prefix_tree import continuation_scores, price_of_a_call

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


def _requests() -> dict[str, tuple[list[list[int]], float]]:
    """Prompts of one token for every word, and the largest part of the time of unshared reading that they may take."""
    rng = np.random.default_rng(0)

    def words(n):
        return rng.integers(2, 8_000, n).tolist()

    shown, question, history = words(100), words(8), words(200)
    texts = [words(int(n)) for n in rng.integers(10, 45, 80)]
    return {
        "80 reviews behind four examples": ([shown + text + question for text in texts], 1 / 2.5),
        "line of 20 readers, history grows": (
            [shown + history[: 8 * i] + words(25) + question for i in range(20)],
            1 / 2,
        ),
        "80 reviews that share nothing": (texts, 1.05),
        "80 reviews that share three words": ([shown[:3] + text for text in texts], 1.05),
        "30 reviews, 4 questions": ([text + words(8) for text in texts[:30] for _ in range(4)], 1.05),
        "40 texts of a few words": ([shown[:1] + text[:3] for text in texts[:40]], 1.05),
    }


def _shared_against_apart() -> list[tuple[str, float, str, float]]:
    torch.manual_seed(0)
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=8_000,
            hidden_size=384,
            intermediate_size=1_024,
            num_hidden_layers=6,
            num_attention_heads=6,
            num_key_value_heads=3,
            max_position_embeddings=1_024,
        )
    ).eval()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rows = []
    for what, (prompts, limit) in _requests().items():
        options, seconds = [[[5], [6]]] * len(prompts), {True: np.inf, False: np.inf}
        for _ in range(3 + 4_000 // sum(map(len, prompts))):  # short ones again and again
            for shared in seconds:
                start = time.process_time()
                continuation_scores(
                    network, prompts, options, shared=shared, batch_tokens=16_384, call=price_of_a_call(network)
                )
                seconds[shared] = min(seconds[shared], time.process_time() - start)
        rows.append((f"hub: {what}, time against unshared", seconds[True] / seconds[False], "times", limit))
    torch.set_num_threads(threads)
    return rows


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
        *_shared_against_apart(),
    ]
