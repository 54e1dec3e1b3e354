"""Many agents: social learning, cascades, word of mouth, audits (the book's part of the same name)."""

from importlib import import_module
from types import ModuleType

__all__ = ["audit", "bandits", "estimates", "gaussian", "logs", "social"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
