"""A transcript for a class.

    python book/_tools/coursework/record.py CHAPTER --model NAME [--estimate]

The chapter's code runs from top to bottom, with the hosted model wherever it says `classroom("reader")`, and every
call is kept. Whoever has the file answers from it with `replay`, without key, network or cost. Cells that only check
the figures of the classroom model (tagged `hide-cell`) and hidden solutions are left out. With `--estimate` nothing is
sent: a stand-in answers, and the size of what would have been sent is printed.
"""

import argparse
import ast
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llma_tutorial.reading import models
from llma_tutorial.reading.models.protocol import LanguageModel, checked_request, estimated, worded


def main(arguments: Sequence[str] | None = None) -> int:
    """Record or estimate; 0 if the chapter ran to its end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chapter", help="notebook, or name of a chapter such as practice/your-own-model")
    parser.add_argument("--model", required=True, help="name of the model at the endpoint")
    parser.add_argument("--base-url", metavar="URL", help="the endpoint (default: OpenAI's own)")
    parser.add_argument("--key-variable", metavar="NAME", help="environment variable that holds the key")
    parser.add_argument("--method", default="logprobs", choices=["logprobs", "sample", "structured"])
    parser.add_argument("--draws", type=int, default=20, help="answers for each prompt, where they are drawn")
    parser.add_argument("--transcript", metavar="FILE", help="where it goes (default: CHAPTER.jsonl)")
    parser.add_argument("--estimate", action="store_true", help="only say how much would be sent")
    parser.add_argument("--price", nargs=2, type=float, metavar=("IN", "OUT"), help="for a million tokens each")
    chosen = parser.parse_args(arguments)
    try:
        print(recorded(chosen))
    except Exception as error:  # code of a chapter may raise anything; what was paid for is in the transcript
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def recorded(chosen: argparse.Namespace) -> str:
    """Run the chapter with the model or its stand-in; what to say of it."""
    notebook = found(chosen.chapter)
    settings = {name: getattr(chosen, name) for name in ("base_url", "key_variable", "method", "draws")}
    model = models.chat(chosen.model, **settings)
    if chosen.estimate:
        planned = Planned()
        execute(notebook, planned)
        prompts = [worded(model.prompt, text, question, options) for text, question, options in planned.asked]
        return str(estimated(prompts * model.draws, model.max_tokens, chosen.price))
    path = Path(chosen.transcript or f"{notebook.stem}.jsonl")
    recording = models.record(model, path)
    execute(notebook, recording)
    calls = len(recording.transcript.results)
    return f'{calls} calls are in {path}. In the chapter: model = models.replay("{path.name}")'


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


class InPlaceOfTheReader(ast.NodeTransformer):
    """Puts the name `_recorded` where a chapter calls `classroom()` or `classroom("reader")`."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """One call."""
        self.generic_visit(node)
        if ast.unparse(node) in ("classroom()", "classroom('reader')", "models.classroom('reader')"):
            return ast.copy_location(ast.Name("_recorded", ast.Load()), node)
        return node


def execute(notebook: Path, model: LanguageModel) -> None:
    """Run the code of a chapter with `model`, without its checks and solutions, in a namespace of its own."""
    import matplotlib

    matplotlib.use("Agg")
    names: dict[str, Any] = {"__name__": "__main__", "display": lambda *_: None, "_recorded": model}
    for number, cell in enumerate(json.loads(notebook.read_text(encoding="utf-8"))["cells"], start=1):
        folded = cell["metadata"].get("jupyter", {}).get("source_hidden", False)
        if cell["cell_type"] == "code" and not folded and "hide-cell" not in cell["metadata"].get("tags", []):
            lines = "".join(cell["source"]).splitlines(keepends=True)
            code = ast.parse("".join(line for line in lines if not line.startswith(("%", "!"))))
            tree = ast.fix_missing_locations(InPlaceOfTheReader().visit(code))
            exec(compile(tree, f"{notebook.name}, cell {number}", "exec"), names)


if __name__ == "__main__":
    sys.exit(main())
