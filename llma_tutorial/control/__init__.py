"""Control: when to stop revealing, what to pay for it, policies that learn (the book's part)."""

from importlib import import_module
from types import ModuleType

__all__ = ["diagnostics", "incentives", "policies", "stopping"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
