"""Language models that score answers: one protocol, whatever stands behind it.

    LanguageModel         the protocol: score(texts, questions, options) -> log-probabilities
    classroom             the small models that come with this package: nothing to download
    hub                   any causal model of transformers, by name or from a folder
    chat                  any model behind an OpenAI-compatible endpoint
    record, replay        every call once, in a file; answered from it again

Modules beside them: `training` and `inattentive` make the two classroom models, `architectures` readers like them.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "LanguageModel": "_protocol",
    "classroom": "_classroom",
    "hub": "_hub",
    "chat": "_chat",
    "record": "transcript",
    "replay": "transcript",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
