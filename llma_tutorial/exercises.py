"""Instant checks for exercises of the book whose answer is a number: right or not, and never what it is.

Answers are kept as hashes of their rounded digits, so that nobody reads one by accident. An exercise that is not here
has an argument for an answer: compare it with the folded solution.
Chapter: `how-to-use`.
"""

from __future__ import annotations

from hashlib import sha256

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate

DIGITS = 3
ANSWERS = {
    "ex-bayes-cost": ("4e68547c36ecc76b", "79039f23bde4ed72"),
    "ex-cascades-tail": ("9ea2accc63244346",),
    "ex-engine-echo": ("ba78cb4909c6d498",),
    "ex-social-against": ("d4aeb4d68d354101", "e92a71e228286586"),
    "ex-structure-price": ("f308e3982ef3ca09", "b562f1628079e093"),
}


def check(label: str, answer: ArrayLike) -> bool:
    """Say at once whether the answer to an exercise is right.

    Parameters
    ----------
    label : str
        Name of the exercise, as its hint gives it.
    answer : float or array-like
        The number, or the numbers in the order in which the exercise asks for them; three decimals are enough.

    Returns
    -------
    bool

    Notes
    -----
    A unit in the last decimal is forgiven. Chapter `how-to-use`.

    Examples
    --------
    >>> check("ex-engine-echo", 5)
    False
    """
    _validate.one_of("label", label, list(ANSWERS))
    values = np.atleast_1d(np.asarray(answer, dtype=float))
    expected = ANSWERS[label]
    if values.shape != (len(expected),):
        raise ValueError(f"`answer` must hold {len(expected)} number(s) for {label}. Got shape {values.shape}.")
    return all(
        _hashes(label, place, value) & {right}
        for place, (value, right) in enumerate(zip(values, expected, strict=True))
    )


def _hashes(label: str, place: int, value: float) -> set[str]:
    """Hashes of a value and of its two neighbours in the last decimal."""
    steps = [round(value, DIGITS) + shift * 10**-DIGITS for shift in (-1, 0, 1)]
    texts = [f"{label}/{place}/{step + 0.0:.{DIGITS}f}" for step in steps]
    return {sha256(text.encode()).hexdigest()[:16] for text in texts}
