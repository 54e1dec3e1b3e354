"""Tiny language models with random weights and a tokenizer of their own, saved as folders."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BloomConfig,
    GPT2Config,
    LlamaConfig,
    Mamba2Config,
    MambaConfig,
    MistralConfig,
    PreTrainedTokenizerFast,
    RecurrentGemmaConfig,
)
from transformers.models.auto import AutoModelForCausalLM

QUESTIONS = ["does it have defects", "does it last", "was it as expected, or even better than that"]
OPTIONS = ["yes", "no", "unsaid", "hard to say"]
TEXTS = [
    "it broke after a week.",
    "works well, and the case is solid. my old one broke, this one did not.",
    "ok",
    "the zip jammed twice and then the seam came apart, so it went back to the shop on the very next day.",
    "no defects so far; would buy it again, yes.",
    "the box came late.",
    "it lasts and lasts",
]
TEMPLATE = "<s>{% for message in messages %}{{ message['content'] }}{% endfor %}"
SIZES = {
    "llama": lambda v: LlamaConfig(vocab_size=v, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=512),  # noqa: E501
    "gpt2": lambda v: GPT2Config(vocab_size=v, n_embd=32, n_layer=2, n_head=4, n_positions=512),
    "bloom": lambda v: BloomConfig(vocab_size=v, hidden_size=32, n_layer=2, n_head=4),
    "mistral": lambda v: MistralConfig(vocab_size=v, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, sliding_window=16),  # noqa: E501
    "mamba": lambda v: MambaConfig(vocab_size=v, hidden_size=32, num_hidden_layers=2, state_size=8),
    "mamba2": lambda v: Mamba2Config(vocab_size=v, hidden_size=32, num_hidden_layers=2, state_size=8, num_heads=8, head_dim=8, n_groups=2, chunk_size=16),  # noqa: E501
    "recurrent_gemma": lambda v: RecurrentGemmaConfig(vocab_size=v, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64, lru_width=32, attention_window_size=64),  # noqa: E501
}  # fmt: skip


def tokenizer(template: str | None = TEMPLATE) -> PreTrainedTokenizerFast:
    """Byte-level BPE, with `<ask>` and the answers as tokens that a decoded reply shows."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator([*TEXTS, *QUESTIONS, "Question: Answer: yes no unsaid Answer with one of"], trainer)
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    found = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")
    found.add_tokens(["<ask>", "<yes>", "<no>", "<unsaid>"])
    found.chat_template = template
    return found


def save(folder: Path, kind: str = "llama", template: str | None = TEMPLATE, spread: float = 0.5) -> Path:
    """A model of one architecture, seeded; weights wide enough that its answers differ."""
    words = tokenizer(template)
    torch.manual_seed(7)
    network = AutoModelForCausalLM.from_config(SIZES[kind](len(words)))
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim == 2 and "norm" not in name and kind != "recurrent_gemma":
                weight.normal_(0, spread * weight.shape[1] ** -0.5)
    ids = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id, "pad_token_id": words.eos_token_id}
    for key, value in ids.items():
        setattr(network.config, key, value)
        setattr(network.generation_config, key, value)
    network.generation_config.do_sample = True  # else a server decodes greedily, whatever temperature it is asked for
    network.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
