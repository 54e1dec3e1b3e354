"""Instant checks of exercises: right answers pass, near misses do not, and every name is that of an exercise."""

import numpy as np
import pytest
from book.pages import directives, read_book

from llma_tutorial import exercises

RIGHT = {
    "ex-bayes-cost": (0.9, 0.5),  # prior ignored; one in ten times nine in ten against nine in ten times one in ten
    "ex-cascades-tail": (next(m for m in range(99) if 0.42**m < 1e-3),),
    "ex-engine-echo": (next(m for m in range(99) if (7 / 3) ** m > 99),),
    "ex-social-against": (0.7, 0.49 / 0.58),
    "ex-structure-price": (0 - 10 * (1 - 0.999 * 0.95), 1 - 0),
}


@pytest.mark.parametrize("label", sorted(exercises.ANSWERS))
def test_right_answers_pass_and_near_misses_fail(label):
    right = np.array(RIGHT[label], dtype=float)
    assert exercises.check(label, right)
    assert exercises.check(label, np.round(right, 3))
    for place in range(len(right)):
        for wrong in (right[place] + 0.02, -right[place], 1 - right[place] + 0.1, 0.0):
            changed = right.copy()
            changed[place] = wrong
            assert not exercises.check(label, changed)


def test_every_name_is_that_of_an_exercise():
    labels = {d.options.get("label") for page in read_book() for d in directives(page.text) if "exercise" in d.name}
    assert set(exercises.ANSWERS) <= labels
    assert set(exercises.ANSWERS) == set(RIGHT)


def test_unknown_names_and_other_counts_are_refused():
    with pytest.raises(ValueError, match="`label` must be one of"):
        exercises.check("ex-nowhere", 1)
    with pytest.raises(ValueError, match=r"must hold 2 number\(s\) for ex-social-against. Got shape \(1,\)"):
        exercises.check("ex-social-against", 0.7)
