"""Interacting language-model agents: read, believe, decide; herd, and be steered.

The folders bear the names of the parts of the book:

    reading       text -> answers -> a low-dimensional observation
    one_agent     is one agent a rationally inattentive Bayesian utility maximiser?
    many_agents   social learning, cascades, word of mouth, audits
    control       optimal stopping, incentives, policy gradient

`beliefs` (Bayes' rule, best responses, orders), `plots` (figures), `results` (saved studies) and `exercises` (instant
checks) serve them all.
Everything loads on first use: `import llma_tutorial` alone is instant.
"""

from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"
__all__ = ["beliefs", "control", "exercises", "many_agents", "one_agent", "plots", "reading", "results"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
