"""How a text, a question and the options are put into words for a model, and how an option is written as its answer."""

from __future__ import annotations

from collections.abc import Sequence
from string import Formatter

COMPLETION = ("{text}\n\nQuestion: {question}\nAnswer:", " {option}")  # the space belongs to the word that follows
CONVERSATION = ("{text}\n\n{question}\nAnswer with one of: {options}.", "{option}")


def checked_wording(prompt: str, answer: str) -> None:
    """Refuse templates that lose the text, the question or the option, or ask for something else."""
    for name, template, needed, allowed in (
        ("prompt", prompt, {"text", "question"}, {"text", "question", "options"}),
        ("answer", answer, {"option"}, {"option"}),
    ):
        if not isinstance(template, str):
            raise TypeError(f"`{name}` must be a string. Got {type(template).__name__}.")
        try:
            fields = {field for _, field, _, _ in Formatter().parse(template) if field is not None}
        except ValueError as error:
            raise ValueError(f"`{name}` must be a template; double each brace meant as such. Got {error}.") from error
        if not needed <= fields <= allowed:
            wanted = " and ".join(f"{{{field}}}" for field in sorted(needed, reverse=True))
            raise ValueError(f"`{name}` must hold {wanted}. Got {template!r}.")


def worded(prompt: str, text: str, question: str, options: Sequence[str]) -> str:
    """The prompt for one text and one question."""
    return prompt.format(text=text, question=question, options=", ".join(options))
