"""Checks at the boundary of the package, with one form of message.

Every public function passes its arguments through these helpers once, at the top. What comes back is a fresh
read-only array, so no caller's input is ever changed, and what is wrong is named the same way everywhere:
what must hold, then what was found and where.

    `prior` must sum to 1 in every row. Got 1.2 in row 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

SUM_TOLERANCE = 1e-8


def real_array(name: str, values: Any, shape: Sequence[int | None]) -> np.ndarray:
    """Finite float copy of `values`, read-only, whose shape matches `shape` (None matches any positive length)."""
    try:
        array = np.array(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must be an array of numbers. Got {values!r}.") from error
    fits = array.ndim == len(shape) and all(
        length > 0 and wanted in (None, length) for length, wanted in zip(array.shape, shape, strict=False)
    )
    if not fits:
        wanted_shape = "(" + ", ".join("any" if length is None else str(length) for length in shape) + ")"
        raise ValueError(f"`{name}` must have shape {wanted_shape}. Got {array.shape}.")
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"`{name}` must be finite. Got {array[place]} at {place}.")
    array.flags.writeable = False
    return array


def probabilities(name: str, values: Any, shape: Sequence[int | None]) -> np.ndarray:
    """Read-only array of distributions along the last axis: non-negative, summing to 1 in every row."""
    array = real_array(name, values, shape)
    if (array < 0).any():
        place = tuple(int(i) for i in np.argwhere(array < 0)[0])
        raise ValueError(f"`{name}` must not be negative. Got {array[place]:.6g} at {place}.")
    sums = array.sum(axis=-1)
    wrong = np.abs(sums - 1) > SUM_TOLERANCE
    if array.ndim == 1 and wrong:
        raise ValueError(f"`{name}` must sum to 1. Got {sums:.10g}.")
    if wrong.any():
        row = tuple(int(i) for i in np.argwhere(wrong)[0])
        label = row[0] if len(row) == 1 else row
        raise ValueError(f"`{name}` must sum to 1 in every row. Got {sums[row]:.10g} in row {label}.")
    return array


def integer(name: str, value: Any, minimum: int, maximum: int | None = None) -> int:
    """`value` as an int between `minimum` and `maximum` (both included)."""
    span = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < minimum or (maximum is not None and value > maximum):
        raise ValueError(f"`{name}` must be a whole number {span}. Got {value!r}.")
    return int(value)


def integers(name: str, values: Any, upper: int) -> np.ndarray:
    """Array of whole numbers in 0..upper-1."""
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise ValueError(f"`{name}` must hold whole numbers. Got an array of {array.dtype}.")
    if array.size and (array.min() < 0 or array.max() >= upper):
        wrong = array[(array < 0) | (array >= upper)].flat[0]
        raise ValueError(f"`{name}` must be from 0 to {upper - 1}. Got {wrong}.")
    return array


def number(name: str, value: Any, minimum: float = -np.inf, maximum: float = np.inf) -> float:
    """`value` as a finite float between `minimum` and `maximum` (both included)."""
    numeric = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not numeric or not np.isfinite(value) or not minimum <= value <= maximum:
        raise ValueError(f"`{name}` must be a number from {minimum:g} to {maximum:g}. Got {value!r}.")
    return float(value)


def positive(name: str, value: Any) -> float:
    """`value` as a finite float above zero."""
    if number(name, value, 0) == 0:
        raise ValueError(f"`{name}` must be positive. Got 0.")
    return float(value)


def one_of(name: str, value: Any, options: Sequence[str]) -> str:
    """`value`, which must be one of `options`."""
    if value not in options:
        listed = ", ".join(f'"{option}"' for option in options)
        raise ValueError(f"`{name}` must be one of {listed}. Got {value!r}.")
    return value


def read_only(array: np.ndarray | None) -> np.ndarray | None:
    """A result that its owner cannot change by accident; None stays None."""
    if array is not None:
        array.flags.writeable = False
    return array


def smallest(size: int) -> type:
    """The type of whole numbers that holds 0..size-1 in the least memory."""
    return np.int8 if size <= 127 else np.int64


def generator(rng: Any) -> np.random.Generator:
    """`rng`, which must be a numpy Generator: seeds and global state are refused so that every run can be repeated."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"`rng` must be a numpy Generator, as made by np.random.default_rng(seed). Got {rng!r}.")
    return rng
