r"""The classroom models: small decoders that come with the package, trained on the texts of its three worlds.

Primitives: a text z, a question q, three options. The model is a transformer that reads left to right,

    P(token | tokens before)  =  softmax(W h),        h the last hidden state after  <s> z <ask> q

and an answer is one token, `<yes>`, `<no>` or `<unsaid>`, which no ordinary text contains. `score` gives their
log-probabilities, normalised over the options asked for. All questions about a text are branches of one tree
(`prefix_tree`), so that the text is read once, however many there are.

A classroom model is a *closed-world* reader: it knows the sentences of the three grammars and few others, and says yes
or no with confidence where it should not. Measure its observation matrix in the world where you use it.
Trained by `make model` (`training`, `inattentive`). Chapter: `reading/llm-as-sensor`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM, PreTrainedModel
from transformers.utils import logging

from llma_tutorial import _validate, beliefs
from llma_tutorial.reading.corpora.grammar import ANSWERS
from llma_tutorial.reading.models.prefix_tree import plant, states_at
from llma_tutorial.reading.models.protocol import checked_request, normalised

START, ASK, PADDING = "<s>", "<ask>", "<pad>"
ANSWER_TOKENS = {answer: f"<{answer}>" for answer in ANSWERS}
CHECKPOINTS = Path(str(files(__package__))) / "checkpoints"


@dataclass(frozen=True, eq=False)
class ClassroomModel:
    """A small decoder with its tokenizer, made by `classroom`.

    Attributes
    ----------
    name : str
        Which checkpoint it is.
    network : transformers.PreTrainedModel
        The transformer itself, in float32 on the processor.
    tokenizer : tokenizers.Tokenizer
        Byte-pair encoding of lower-cased text; answer tokens written out in a text stay plain text.
    folder : pathlib.Path
        Where config, weights and tokenizer lie, in the form that `transformers` reads.
    """

    name: str
    network: PreTrainedModel = field(repr=False)
    tokenizer: Tokenizer = field(repr=False)
    folder: Path = field(repr=False)

    @property
    def parameters(self) -> dict[str, str]:
        """All that answers depend on: the hashes of config, weights and tokenizer."""
        return json.loads((self.folder / "training.json").read_text(encoding="utf-8"))["sha256"]

    def score(
        self,
        texts: Sequence[str],
        questions: Sequence[str],
        options: Sequence[str] = ANSWERS,
        *,
        batch: int = 32,
    ) -> np.ndarray:
        """Log-probabilities of the options.

        Parameters
        ----------
        texts : sequence of str
            What is read.
        questions : sequence of str
            What is asked about each; see `World.prompts` for the wordings that the model knows.
        options : sequence of {"yes", "no", "unsaid"}
            At least two of the three.
        batch : int
            Texts in one pass; results do not depend on it beyond rounding.

        Returns
        -------
        numpy.ndarray of shape (texts, questions, options)
            Natural logarithms, normalised over the options.

        Raises
        ------
        ValueError
            If an option is not one of the three, or a text with its questions is longer than the model can read.

        Notes
        -----
        Chapter: `reading/llm-as-sensor`.

        Examples
        --------
        >>> model = classroom("reader")
        >>> model.score(["Broke after two days."], ["does it last?"]).argmax().item()  # of yes, no, unsaid
        1
        """
        texts, questions, options = checked_request(texts, questions, options)
        batch = _validate.integer("batch", batch, 1)
        unknown = [option for option in options if option not in ANSWER_TOKENS]
        if unknown:
            raise ValueError(f"`options` of a classroom model must be among {', '.join(ANSWERS)}. Got {unknown[0]!r}.")
        trunks, branches = self.trunks(texts), [encoding.ids for encoding in self.tokenizer.encode_batch(questions)]
        longest = max((len(trunk) for trunk in trunks), default=0) + max(map(len, branches))
        if longest > self.network.config.max_position_embeddings:
            raise ValueError(
                f"`texts` must fit {self.network.config.max_position_embeddings} tokens with each question. "
                f"Got {longest}; cut the text, or split it."
            )
        answers = [self.tokenizer.token_to_id(ANSWER_TOKENS[option]) for option in options]
        scores = np.empty((len(texts), len(questions), len(options)))
        order = sorted(range(len(texts)), key=lambda i: len(trunks[i]))  # like lengths together: little padding
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            tree = plant([trunks[i] for i in rows], [branches] * len(rows), self.tokenizer.token_to_id(PADDING))
            with torch.inference_mode():
                (states,) = states_at(self.network, tree, [tree.ends])
                logits = self.network.lm_head(states)[:, answers]
            scores[rows] = logits.double().numpy().reshape(len(rows), len(questions), len(options))
        return normalised(scores)

    def trunks(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens of each text from `<s>` to `<ask>`, where the questions branch off."""
        start, ask = self.tokenizer.token_to_id(START), self.tokenizer.token_to_id(ASK)
        return [[start, *encoding.ids, ask] for encoding in self.tokenizer.encode_batch(texts)]

    def write(self, n: int, *, longest: int = 128, temperature: float = 1.0, rng: np.random.Generator) -> list[str]:
        """Let the model write texts of its own, token by token.

        Parameters
        ----------
        n : int
            How many.
        longest : int
            Most tokens in a text.
        temperature : float
            Above 0; 1 is the model's own law, less is closer to its likeliest token.
        rng : numpy.random.Generator
            Source of every draw.

        Returns
        -------
        list of str

        Notes
        -----
        Chapter: `reading/llm-as-sensor`.
        """
        n, longest = _validate.integer("n", n, 1), _validate.integer("longest", longest, 1)
        if _validate.number("temperature", temperature, 0) == 0:
            raise ValueError("`temperature` must be above 0. Got 0.")
        rng = _validate.generator(rng)
        start, ask = self.tokenizer.token_to_id(START), self.tokenizer.token_to_id(ASK)
        written, cache_ = np.full((n, 1), start), None
        with torch.inference_mode():
            for _ in range(longest):
                out = self.network(torch.from_numpy(written[:, -1:]), past_key_values=cache_, use_cache=True)
                cache_ = out.past_key_values
                law = torch.softmax(out.logits[:, -1].double() / temperature, dim=1).numpy()
                written = np.column_stack([written, beliefs.draw(law, rng.random(n))])
                if (written == ask).any(axis=1).all():
                    break
        ended = [row[1:].tolist() for row in written]
        return [self.tokenizer.decode(row[: row.index(ask)] if ask in row else row).strip() for row in ended]


@cache
def classroom(name: str = "reader") -> ClassroomModel:
    """A language model that comes with the package; nothing is downloaded.

    Parameters
    ----------
    name : {"reader", "inattentive"}
        ``"reader"`` answers questions about texts of the three worlds; ``"inattentive"`` reads reviews and buys or
        leaves, with payoffs and prices of information that `inattentive.PROMPTS` state.

    Returns
    -------
    ClassroomModel

    Raises
    ------
    ValueError
        If there is no model of that name, or its files are not those that were trained.

    Notes
    -----
    Chapters: `reading/llm-as-sensor`, `one-agent/inattentive-agent`.

    Examples
    --------
    >>> classroom("reader")
    ClassroomModel(name='reader')
    """
    names = sorted(path.name for path in CHECKPOINTS.iterdir() if path.is_dir())
    return load(CHECKPOINTS / _validate.one_of("name", name, names))


def load(folder: str | Path) -> ClassroomModel:
    """A classroom model from a folder that `training.save` wrote, its files checked against their hashes."""
    folder = Path(folder)
    about = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    for file, expected in about["sha256"].items():
        found = hashlib.sha256((folder / file).read_bytes()).hexdigest()
        if found != expected:
            raise ValueError(
                f"`{file}` of the classroom model {folder.name!r} must have the hash {expected[:12]}.... "
                f"Got {found[:12]}...; install the package again, or train the model anew with `make model`."
            )
    with without_bars():
        network = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens(list(ANSWER_TOKENS.values()))
    tokenizer.encode_special_tokens = True  # an answer token written out in a text stays plain text
    return ClassroomModel(folder.name, network, tokenizer, folder)


@contextmanager
def without_bars() -> Iterator[None]:
    """No progress bar of `transformers` for a load of milliseconds: it would stand in every notebook."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
