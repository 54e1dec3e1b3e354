r"""Any causal language model of transformers as a `LanguageModel`, attention or recurrent, by name or by folder.

An option is scored as the text it is: with p the tokens of the prompt and c_1..c_m those of the written option,

    "sum"    log P(option) = sum_j log P(c_j | p, c_1..c_{j-1})          what the model says of this very text
    "mean"   the same divided by m                                      does not punish long options

and then normalised over the options. Five choices decide what is measured, so they are arguments and stand in every
transcript: the words of the prompt, how an option is written (the leading space above all: " yes" and "yes" are
different tokens), examples before the text, whether the model's chat template goes round the prompt, and the
normalisation. What all prompts of a request begin with alike is read once (`prefix_tree`).

Nothing is downloaded unless you say so, only safetensors and GGUF are read, and no code that comes with a model is run.
Chapter: `practice/your-own-model`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import HfApi
from huggingface_hub.utils import validate_repo_id
from transformers import AutoModelForCausalLM, AutoTokenizer

from llma_tutorial import _validate
from llma_tutorial.reading.models.classroom_models import without_bars
from llma_tutorial.reading.models.prefix_tree import can_branch, continuation_scores, price_of_a_call
from llma_tutorial.reading.models.protocol import (
    BETWEEN_EXAMPLES,
    COMPLETION,
    CONVERSATION,
    Examples,
    checked_examples,
    checked_request,
    checked_wording,
    normalised,
    refuse_other_examples,
    turns,
    warn_of_little_mass,
)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
NEEDED = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
SUFFIXES = tuple(pattern[1:] for pattern in NEEDED)
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
    examples: Examples = field(default=(), repr=False)

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
        } | ({"examples": [list(example) for example in self.examples]} if self.examples else {})

    def score(self, texts: Sequence[str], questions: Sequence[str], options: Sequence[str]) -> np.ndarray:
        """Log-probabilities of shape (texts, questions, options), normalised over the options.

        Warns where the options hold less than half of the probability: the model wants to say something else.
        """
        scores, lengths = self._scores(texts, questions, options)
        warn_of_little_mass(_mass(scores, self._written(options)))
        return normalised(scores / lengths if self.length == "mean" else scores)

    def unnormalised(self, texts: Sequence[str], questions: Sequence[str], options: Sequence[str]) -> np.ndarray:
        """Log-probabilities of the written options as the model gives them, shape (texts, questions, options)."""
        return self._scores(texts, questions, options)[0]

    def mass(self, texts: Sequence[str], questions: Sequence[str], options: Sequence[str]) -> np.ndarray:
        """Probability that the model goes on with one of the options at all, shape (texts, questions)."""
        return _mass(self._scores(texts, questions, options)[0], self._written(options))

    def _scores(
        self, texts: Sequence[str], questions: Sequence[str], options: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log-probabilities of the written options, and how many tokens they have."""
        texts, questions, options = checked_request(texts, questions, options)
        refuse_other_examples(self.examples, questions, options)
        shape = (len(texts), len(questions), len(options))
        if not texts:
            return np.empty(shape), np.ones(shape)
        self._refuse_control_tokens(texts, questions)
        strings = [self._rendered(text, question, options) for text in texts for question in questions]
        special = not self.chat_template  # a chat template writes the beginning of a sequence itself
        tokens = self.tokenizer(strings, add_special_tokens=special, return_attention_mask=False)["input_ids"]
        if special:
            tokens = [self._open_ended(prompt) for prompt in tokens]
        written, known = self._written(options), {}
        for tail in {string[-TAIL:] for string in strings}:
            known[tail] = [self._continuation(tail, answer) for answer in written]
        branches = [known[string[-TAIL:]] for string in strings]
        self._refuse_too_long(tokens, branches)
        scores = continuation_scores(
            self.network,
            tokens,
            branches,
            shared=self.shares_beginnings,
            batch_tokens=self.batch_tokens,
            call=price_of_a_call(self.network),
        )
        return scores.reshape(shape), np.array([[*map(len, branch)] for branch in branches]).reshape(shape)

    def _written(self, options: Sequence[str]) -> list[str]:
        return [self.answer.format(option=option) for option in options]

    def _rendered(self, text: str, question: str, options: Sequence[str]) -> str:
        said = turns(self.prompt, self.answer, self.examples, text, question, options)
        if not self.chat_template:
            shown = [prompt + answer + BETWEEN_EXAMPLES for prompt, answer in zip(said[::2], said[1::2], strict=False)]
            return "".join([*shown, said[-1]])
        messages = [{"role": ("user", "assistant")[i % 2], "content": part} for i, part in enumerate(said)]
        return self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

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
        shown = [text for text, _ in self.examples]
        for name, strings in (("texts", texts), ("questions", questions), ("examples", shown)):
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


def _mass(scores: np.ndarray, written: Sequence[str]) -> np.ndarray:
    """Probability of the options together; one that only goes on from another adds nothing."""
    own = [not any(option != other and option.startswith(other) for other in written) for option in written]
    return np.exp(scores[..., own]).sum(axis=-1)


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
    examples: Sequence[tuple[str, str]] = (),
) -> HubModel:
    """Open a causal language model of transformers.

    Parameters
    ----------
    name_or_folder : str or Path
        Name on the Hugging Face hub, or a folder that holds config, tokenizer and safetensors; or a GGUF file, or a
        folder with one, whose weights are expanded to `dtype`.
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
        Most tokens held at once, shared ones included; lower it if memory runs out.
    revision : str, optional
        Commit of the hub.
    download : bool
        Whether a model that is not on this machine is fetched.
    examples : sequence of (text, answer)
        Texts whose answer, one of the options, is known; each stands before the text, asked the same question. They
        answer one question, so a request may hold no other.

    Returns
    -------
    HubModel

    Raises
    ------
    FileNotFoundError
        If the model is not on this machine; says what to run and how big it is.
    ValueError
        If it holds neither safetensors nor GGUF, or needs code of its own.

    Notes
    -----
    Chapter `practice/your-own-model`.

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
    source, weights = _found(str(name_or_folder), revision)
    tokenizer, network = _opened(source, weights, revision, download, DTYPES[dtype])
    if chat_template is None:
        chat_template = tokenizer.chat_template is not None
    if chat_template and tokenizer.chat_template is None:
        raise ValueError("`chat_template` must be False for a model that has none. Got True.")
    usual = CONVERSATION if chat_template else COMPLETION
    prompt, answer = (given if given is not None else own for given, own in zip((prompt, answer), usual, strict=True))
    checked_wording(prompt, answer)
    network = network.to(device).eval()
    return HubModel(
        name=Path(name_or_folder).name if Path(name_or_folder).exists() else str(name_or_folder),
        prompt=prompt,
        answer=answer,
        chat_template=chat_template,
        length=length,
        shares_beginnings=can_branch(network),
        batch_tokens=batch_tokens,
        network=network,
        tokenizer=tokenizer,
        examples=checked_examples(examples),
    )


def _found(source: str, revision: str | None) -> tuple[str, str | None]:
    """The folder, or name on the hub, and the file of GGUF weights in it, if that is what it holds."""
    path = Path(source)
    if not path.exists():
        return source, None
    if revision is not None:
        raise ValueError(f"`revision` must be left out for files on this machine. Got {revision!r}.")
    if path.is_file():
        if path.suffix != ".gguf":
            raise ValueError(f"`name_or_folder` must be a folder, or a file that ends in .gguf. Got {source!r}.")
        return str(path.parent), path.name
    weights = sorted(file.name for file in path.glob("*.gguf"))
    if list(path.glob("*.safetensors")):
        return source, None
    if not weights:
        raise ValueError(f"`name_or_folder` must hold safetensors or GGUF; other formats can run code. Got {source!r}.")
    if len(weights) > 1:
        raise ValueError(f"`name_or_folder` must name one of several GGUF files. Got a folder with {weights}.")
    return source, weights[0]


def _opened(
    source: str, weights: str | None, revision: str | None, download: bool, dtype: torch.dtype
) -> tuple[Any, Any]:
    """Tokenizer and network from a folder or from the files of the hub that are here."""
    careful: dict[str, Any] = {"revision": revision, "local_files_only": not download, "trust_remote_code": False}
    form = {"use_safetensors": True} if weights is None else {}
    careful |= {} if weights is None else {"gguf_file": weights}
    try:
        with nullcontext() if download else without_bars():
            tokenizer = AutoTokenizer.from_pretrained(source, **careful)
            network = AutoModelForCausalLM.from_pretrained(source, dtype=dtype, **form, **careful)
    except (OSError, ValueError) as error:
        if "trust_remote_code" in str(error):
            reason = "must be an architecture of transformers; code of a model is never run"
        elif isinstance(error, OSError) and not Path(source).is_dir():
            raise absent(source, revision) from None
        else:
            reason = "must hold a whole causal model"
        raise ValueError(f"`name_or_folder` {reason}. Got {source!r}: {error}") from None
    return tokenizer, network


def absent(name: str, revision: str | None = None) -> FileNotFoundError:
    """The error to raise for a model that is not here."""
    try:
        validate_repo_id(name)
        folder = Path(name).is_absolute() or name.startswith((".", "~"))
    except ValueError:
        folder = True
    if folder:
        return FileNotFoundError(f"`name_or_folder` must be a folder with a model, or a name on the hub. Got {name!r}.")
    at = f" --revision {revision}" if revision else ""
    include = " ".join(f'--include "{pattern}"' for pattern in NEEDED)
    return FileNotFoundError(
        f"`name_or_folder` must be a model that is on this machine. Got {name!r}, {size(name, revision)}. "
        f"Fetch it with\n    hf download {name}{at} {include}\nor pass download=True."
    )


def size(name: str, revision: str | None = None) -> str:
    """How big a model is: asked of the hub, else guessed from its name and said so."""
    try:
        files = HfApi().model_info(name, revision=revision, files_metadata=True, timeout=5).siblings or []
        return f"{sum(file.size or 0 for file in files if file.rfilename.endswith(SUFFIXES)) / 1e9:.2f} GB"
    except Exception as error:  # whatever stands in the way, the first message must come through
        reason = "the hub knows no such model" if "404" in str(error) else "the hub cannot be asked"
    parameters = re.search(r"(?<![\w.])(\d+(?:\.\d+)?)([mb])(?![a-z])", name.lower())
    if parameters is None:
        return f"of unknown size ({reason})"
    billions = float(parameters[1]) * (1 if parameters[2] == "b" else 1e-3)
    return f"about {2 * billions:.2f} GB in half precision by its name ({reason})"
