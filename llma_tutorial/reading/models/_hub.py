r"""Any causal language model of transformers as a `LanguageModel`, attention or recurrent, by name or by folder.

An option is scored as the text it is: with p the tokens of the prompt and c_1..c_m those of the written option,

    "sum"    log P(option) = sum_j log P(c_j | p, c_1..c_{j-1})          what the model says of this very text
    "mean"   the same divided by m                                      does not punish long options

and then normalised over the options. Four choices decide what is measured, so they are arguments and stand in every
transcript: the words of the prompt, how an option is written (the leading space above all: " yes" and "yes" are
different tokens), whether the model's chat template goes round the prompt, and the normalisation.

Nothing is downloaded unless you say so, only safetensors are read, and no code that comes with a model is run.
Chapter: `practice/your-own-model`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from llma_tutorial import _validate
from llma_tutorial.reading.models._absent import absent
from llma_tutorial.reading.models._branches import branch_scores, can_branch
from llma_tutorial.reading.models._classroom import _without_bars
from llma_tutorial.reading.models._protocol import checked_request, normalised
from llma_tutorial.reading.models._wording import COMPLETION, CONVERSATION, checked_wording, worded

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
TAIL = 64  # characters of a prompt that can touch how what follows it is cut into tokens


@dataclass(frozen=True, eq=False)
class HubModel:
    """A causal model of transformers, made by `hub`.

    Attributes
    ----------
    name : str
        Name on the hub, or of the folder.
    prompt, answer : str
        Templates of the prompt and of a written option.
    chat_template : bool
        Whether the model's chat template goes round the prompt.
    length : {"sum", "mean"}
        What becomes of options of several tokens.
    shares_beginnings : bool
        Whether what prompts begin with alike is read once; false for architectures whose state cannot be branched.
    """

    name: str
    prompt: str
    answer: str
    chat_template: bool
    length: str
    shares_beginnings: bool
    batch_tokens: int = field(repr=False)
    network: Any = field(repr=False)
    tokenizer: Any = field(repr=False)

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """All that the scores depend on besides text, question and options; the weights by their hash."""
        weights = hashlib.sha256()
        for name, tensor in sorted(self.network.state_dict().items()):
            weights.update(name.encode())
            weights.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return {
            "prompt": self.prompt,
            "answer": self.answer,
            "chat_template": self.tokenizer.chat_template if self.chat_template else None,
            "length": self.length,
            "dtype": str(self.network.dtype).removeprefix("torch."),
            "weights": weights.hexdigest(),
        }

    def score(self, texts: Sequence[str], questions: Sequence[str], options: Sequence[str]) -> np.ndarray:
        """Log-probabilities of shape (texts, questions, options), normalised over the options."""
        texts, questions, options = checked_request(texts, questions, options)
        if not texts:
            return np.empty((0, len(questions), len(options)))
        self._refuse_control_tokens(texts, questions)
        strings = [self._rendered(worded(self.prompt, text, q, options)) for text in texts for q in questions]
        special = not self.chat_template  # a chat template writes the beginning of a sequence itself
        tokens = self.tokenizer(strings, add_special_tokens=special, return_attention_mask=False)["input_ids"]
        if special:
            tokens = [self._open_ended(prompt) for prompt in tokens]
        written = [self.answer.format(option=option) for option in options]
        known: dict[str, list[list[int]]] = {}
        for string in strings:
            if string[-TAIL:] not in known:
                known[string[-TAIL:]] = [self._continuation(string[-TAIL:], answer) for answer in written]
        branches = [known[string[-TAIL:]] for string in strings]
        self._refuse_too_long(tokens, branches)
        k = len(questions)
        scores = branch_scores(
            self.network,
            [tokens[i : i + k] for i in range(0, len(tokens), k)],
            [branches[i : i + k] for i in range(0, len(tokens), k)],
            shared=self.shares_beginnings,
            batch_tokens=self.batch_tokens,
        )
        if self.length == "mean":
            lengths = np.array([[len(option) for option in branch] for branch in branches])
            scores = scores / lengths.reshape(scores.shape)
        return normalised(scores)

    def _rendered(self, prompt: str) -> str:
        if not self.chat_template:
            return prompt
        message = [{"role": "user", "content": prompt}]
        return self.tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)

    def _open_ended(self, tokens: list[int]) -> list[int]:
        """Without the end-of-sequence token that some tokenizers add."""
        return tokens[:-1] if len(tokens) > 1 and tokens[-1] == self.tokenizer.eos_token_id else tokens

    def _continuation(self, tail: str, answer: str) -> list[int]:
        """Tokens that `answer` adds to a prompt that ends in `tail`."""
        encode = self.tokenizer.encode
        before, after = encode(tail, add_special_tokens=False), encode(tail + answer, add_special_tokens=False)
        if len(after) == len(before) or after[: len(before)] != before:
            raise ValueError(
                "`answer` must begin a new token after `prompt`: end `prompt` without a space and begin `answer` with "
                f"one, or the other way round. Got the end {tail[-12:]!r} and the answer {answer!r}."
            )
        if self.tokenizer.unk_token_id in (tokens := after[len(before) :]):
            raise ValueError(f"`options` must be words that the tokenizer can write. Got {answer!r}.")
        return tokens

    def _refuse_control_tokens(self, texts: list[str], questions: list[str]) -> None:
        control = {token for token in self.tokenizer.all_special_tokens if token.strip()}
        added = [token.content for token in self.tokenizer.added_tokens_decoder.values()]
        control |= {token for token in added if token[:1] in ("<", "[") and len(token) > 1}
        for name, strings in (("texts", texts), ("questions", questions)):
            for i, string in enumerate(strings):
                found = next((token for token in sorted(control) if token in string), None)
                if found is not None:
                    raise ValueError(
                        f"`{name}` must not hold a control token of the model, which would be obeyed and not read. "
                        f"Got {found!r} in number {i}."
                    )

    def _refuse_too_long(self, tokens: list[list[int]], branches: list[list[list[int]]]) -> None:
        limit = getattr(self.network.config.get_text_config(), "max_position_embeddings", None)
        for prompt, options in zip(tokens, branches, strict=True):
            length = len(prompt) + max(map(len, options))
            if limit is not None and length > limit:
                raise ValueError(f"`texts` must fit into the model's {limit} tokens. Got {length} with question.")


def hub(
    name_or_folder: str | Path,
    *,
    prompt: str | None = None,
    answer: str | None = None,
    chat_template: bool | None = None,
    length: str = "sum",
    device: str = "cpu",
    dtype: str = "float32",
    batch_tokens: int = 16_384,
    revision: str | None = None,
    download: bool = False,
) -> HubModel:
    """Open a causal language model of transformers.

    Parameters
    ----------
    name_or_folder : str or Path
        Name on the Hugging Face hub, or a folder that holds config, tokenizer and safetensors.
    prompt : str, optional
        Template with ``{text}`` and ``{question}``, perhaps ``{options}``.
    answer : str, optional
        How an option is written after the prompt; ``" {option}"`` after a plain prompt, ``"{option}"`` after a chat
        template, if omitted.
    chat_template : bool, optional
        Whether the model's chat template goes round the prompt; if omitted, whether it has one.
    length : {"sum", "mean"}
        Log-probability of an option as a whole, or per token.
    device : str
        "cpu", "cuda", "cuda:1", "mps".
    dtype : {"float32", "bfloat16", "float16"}
        Precision in which the model computes.
    batch_tokens : int
        Most tokens read at once, shared ones included; lower it if memory runs out.
    revision : str, optional
        Commit of the hub.
    download : bool
        Whether a model that is not on this machine is fetched.

    Returns
    -------
    HubModel

    Raises
    ------
    FileNotFoundError
        If the model is not on this machine; says what to run and how big it is.
    ValueError
        If it holds no safetensors, needs code of its own, or an argument is out of range.

    Notes
    -----
    Used in the chapter `practice/your-own-model`.

    Examples
    --------
    >>> hub("no-such-folder/")
    Traceback (most recent call last):
        ...
    FileNotFoundError: `name_or_folder` must be a folder with a model, or a name on the hub. Got 'no-such-folder/'.
    """
    _validate.one_of("length", length, ["sum", "mean"])
    _validate.one_of("dtype", dtype, list(DTYPES))
    _validate.integer("batch_tokens", batch_tokens, 1)
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f'`device` must be one that this machine has; "cpu" always is. Got {device!r}.')
    tokenizer, network = _opened(str(name_or_folder), revision, download, DTYPES[dtype])
    if chat_template is None:
        chat_template = tokenizer.chat_template is not None
    if chat_template and tokenizer.chat_template is None:
        raise ValueError("`chat_template` must be False for a model that has none. Got True.")
    usual = CONVERSATION if chat_template else COMPLETION
    prompt, answer = prompt or usual[0], answer or usual[1]
    checked_wording(prompt, answer)
    network = network.to(device).eval()
    name = Path(name_or_folder).name if Path(name_or_folder).is_dir() else str(name_or_folder)
    return HubModel(name, prompt, answer, chat_template, length, can_branch(network), batch_tokens, network, tokenizer)


def _opened(source: str, revision: str | None, download: bool, dtype: torch.dtype) -> tuple[Any, Any]:
    """Tokenizer and network from a folder or from the files of the hub that are here."""
    careful = {"revision": revision, "local_files_only": not download, "trust_remote_code": False}
    if Path(source).is_dir() and not list(Path(source).glob("*.safetensors")):
        raise ValueError(f"`name_or_folder` must hold safetensors; other formats can run code. Got {source!r}.")
    try:
        with nullcontext() if download else _without_bars():
            tokenizer = AutoTokenizer.from_pretrained(source, **careful)
            network = AutoModelForCausalLM.from_pretrained(source, use_safetensors=True, dtype=dtype, **careful)
    except (OSError, ValueError) as error:
        if "trust_remote_code" in str(error):
            reason = "must be an architecture of transformers; code of a model is never run"
        elif isinstance(error, OSError) and not Path(source).is_dir():
            raise absent(source, revision) from None
        else:
            reason = "must hold a whole causal model"
        raise ValueError(f"`name_or_folder` {reason}. Got {source!r}: {error}") from None
    return tokenizer, network
