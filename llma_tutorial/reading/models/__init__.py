"""Language models that score answers: one protocol, whatever stands behind it.

    LanguageModel         the protocol: score(texts, questions, options) -> log-probabilities
    classroom             the small models that come with this package: nothing to download
    pretrained            a small model trained on ordinary text, once it has been fetched
    hub                   any causal model of transformers, by name or from a folder
    chat                  any model behind an OpenAI-compatible endpoint
    record, replay        every call once, in a file; answered from it again

These are functions; a module of the same name would hide them, so their modules are called `classroom_models`,
`pretrained_models`, `hub_models`, `chat_models` and `transcript`. Beside them: `protocol`, what all models share;
`prefix_tree`, how the networks among them are read; `training`, `inattentive` and `architectures`, how the small ones
are made.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "LanguageModel": "protocol",
    "classroom": "classroom_models",
    "pretrained": "pretrained_models",
    "hub": "hub_models",
    "chat": "chat_models",
    "record": "transcript",
    "replay": "transcript",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
