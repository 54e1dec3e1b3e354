"""One agent: is it a rationally inattentive Bayesian utility maximiser? (The book's part of the same name.)"""

from importlib import import_module
from types import ModuleType

__all__ = ["attention", "choice_data", "finite_samples", "inequalities", "one_sensor", "recovery", "ribum"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
