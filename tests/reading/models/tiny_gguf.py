"""A tiny Llama in a GGUF file, weights of four bits and a scale for each block, as the fetched model comes."""

import json
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize
from reading.models import tiny

WIDTH, HEADS, INNER = 32, 4, 64
SHAPES = {
    "attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH, WIDTH), "attn_v": (WIDTH, WIDTH), "attn_output": (WIDTH, WIDTH),
    "ffn_gate": (INNER, WIDTH), "ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER),
}  # fmt: skip


def save(path: Path) -> dict[str, np.ndarray]:
    """Write the file; what comes back are the packed embedding and one packed weight, for an independent reading."""
    words, rng = tiny.tokenizer(), np.random.default_rng(7)
    model = json.loads(words.backend_tokenizer.to_str())["model"]
    tokens = words.convert_ids_to_tokens(range(len(words)))
    file = GGUFWriter(path, "llama")
    file.add_context_length(512)
    file.add_embedding_length(WIDTH)
    file.add_block_count(1)
    file.add_feed_forward_length(INNER)
    file.add_head_count(HEADS)
    file.add_head_count_kv(HEADS)
    file.add_rope_dimension_count(WIDTH // HEADS)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_vocab_size(len(words))
    file.add_tokenizer_model("gpt2")
    file.add_token_list(tokens)
    file.add_token_types([3 if token in words.all_special_tokens else 1 for token in tokens])
    file.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]])
    file.add_bos_token_id(words.bos_token_id)
    file.add_eos_token_id(words.eos_token_id)
    file.add_chat_template(tiny.TEMPLATE)
    packed = {}
    shapes = {"token_embd": (len(words), WIDTH)} | {f"blk.0.{name}": shape for name, shape in SHAPES.items()}
    for name, shape in shapes.items():
        values = rng.normal(0, shape[1] ** -0.5, shape).astype(np.float32)
        packed[name] = quantize(values, GGMLQuantizationType.Q4_1)
        file.add_tensor(f"{name}.weight", packed[name], raw_dtype=GGMLQuantizationType.Q4_1)
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        file.add_tensor(f"{name}.weight", np.ones(WIDTH, dtype=np.float32))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return packed
