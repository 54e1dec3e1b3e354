"""A transcript for a class: `python -m llma_tutorial record CHAPTER --model NAME`.

The chapter's code runs from top to bottom with the hosted model in the place of `classroom("reader")`, and every call
is kept. Whoever has the file answers from it with `replay`, without key, network or cost. Cells that only check the
figures of the classroom model (tagged `hide-cell`) and hidden solutions are left out. With `--estimate` nothing is
sent: a stand-in answers, and the size of what would have been sent is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from llma_tutorial.reading import models
from llma_tutorial.reading.models._estimate import estimated
from llma_tutorial.reading.models._protocol import LanguageModel, checked_request
from llma_tutorial.reading.models._wording import worded


def add_parser(commands: Any) -> None:
    """Add the command `record` to the command line."""
    parser = commands.add_parser("record", help="a transcript of a chapter, for a class", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("chapter", help="notebook, or name of a chapter such as practice/your-own-model")
    parser.add_argument("--model", required=True, help="name of the model at the endpoint")
    parser.add_argument("--base-url", metavar="URL", help="the endpoint (default: OpenAI's own)")
    parser.add_argument("--key-variable", metavar="NAME", help="environment variable that holds the key")
    parser.add_argument("--method", default="logprobs", choices=["logprobs", "sample", "structured"])
    parser.add_argument("--draws", type=int, default=20, help="answers for each prompt, where they are drawn")
    parser.add_argument("--transcript", metavar="FILE", help="where it goes (default: CHAPTER.jsonl)")
    parser.add_argument("--estimate", action="store_true", help="only say how much would be sent")
    parser.add_argument("--price", nargs=2, type=float, metavar=("IN", "OUT"), help="for a million tokens each")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Record or estimate; 0 if the chapter ran to its end."""
    names = ("base_url", "key_variable", "method", "draws")
    try:
        notebook = found(chosen.chapter)
        model = models.chat(chosen.model, **{name: getattr(chosen, name) for name in names})
        path = Path(chosen.transcript or f"{notebook.stem}.jsonl")
        stand_in = Planned() if chosen.estimate else models.record(model, path)
        with in_place_of_the_reader(stand_in):
            execute(notebook)
    except Exception as error:  # code of a chapter may raise anything; what was paid for is in the transcript
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if chosen.estimate:
        prompts = [worded(model.prompt, text, question, options) for text, question, options in stand_in.asked]
        print(estimated(prompts * model.draws, model.max_tokens, chosen.price))
    else:
        calls = len(stand_in.transcript.results)
        print(f'{calls} calls are in {path}. In the chapter: model = models.replay("{path.name}")')
    return 0


def found(chapter: str) -> Path:
    """The notebook of a chapter."""
    for path in (Path(chapter), Path("book") / f"{chapter}.ipynb"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"`chapter` must be a notebook, or a chapter below ./book. Got {chapter!r}.")


class Planned:
    """Stands in for a model: holds every option equally likely and notes what was asked."""

    def __init__(self):
        self.name, self.parameters = "planned", {}  # a chapter may record it
        self.asked: dict[tuple[str, str, tuple[str, ...]], None] = {}

    def score(self, texts: Sequence[str], questions: Sequence[str], options: Sequence[str]) -> np.ndarray:
        """Equal log-probabilities of shape (texts, questions, options)."""
        texts, questions, options = checked_request(texts, questions, options)
        self.asked |= dict.fromkeys((text, question, tuple(options)) for text in texts for question in questions)
        return np.full((len(texts), len(questions), len(options)), -np.log(len(options)))


@contextmanager
def in_place_of_the_reader(model: LanguageModel) -> Iterator[None]:
    """Within, `classroom("reader")` gives `model`."""
    kept = models.classroom
    models.classroom = lambda name="reader": model if name == "reader" else kept(name)
    try:
        yield
    finally:
        models.classroom = kept


def execute(notebook: Path) -> None:
    """Run the code of a chapter, without its checks and solutions, in a namespace of its own."""
    import matplotlib

    matplotlib.use("Agg")
    names: dict[str, Any] = {"__name__": "__main__", "display": lambda *_: None}
    for number, cell in enumerate(json.loads(notebook.read_text(encoding="utf-8"))["cells"], start=1):
        folded = cell["metadata"].get("jupyter", {}).get("source_hidden", False)
        if cell["cell_type"] == "code" and not folded and "hide-cell" not in cell["metadata"].get("tags", []):
            lines = "".join(cell["source"]).splitlines(keepends=True)
            code = "".join(line for line in lines if not line.startswith(("%", "!")))
            exec(compile(code, f"{notebook.name}, cell {number}", "exec"), names)
