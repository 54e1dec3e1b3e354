"""The honest test: texts that come from no grammar, each written on its own, with labels.

What the labels mean stands in `honest/README.md`. Nobody who tunes a grammar or a model looks at these texts.
"""

from __future__ import annotations

from importlib.resources import as_file, files

import pandas as pd

from llma_tutorial import _validate
from llma_tutorial.reading.corpora._corpus import About, Corpus
from llma_tutorial.reading.corpora._settings import SETTINGS


def honest_test(name: str) -> Corpus:
    """Labelled texts on which to try a reader that was trained on the sentences of a grammar.

    Parameters
    ----------
    name : {"reviews", "comments", "headlines"}
        Which of the three.

    Returns
    -------
    Corpus
        Like those of `generate`: ``environment`` holds the stars of reviews, else 0, and there is one column for each
        question of the world of that name, "yes", "no" or "unsaid".

    Raises
    ------
    ValueError
        If there is no test of that name.

    Notes
    -----
    132 reviews, 138 comments and 154 headlines, written and labelled by one hand; every name is invented, and every
    answer occurs often enough for a balanced accuracy. Chapter: `reading/llm-as-sensor`.

    Examples
    --------
    >>> len(honest_test("reviews").frame)
    132
    """
    settings = SETTINGS[_validate.one_of("name", name, list(SETTINGS))]
    with as_file(files(__package__) / "honest" / f"{name}.csv") as path:
        frame = pd.read_csv(path)
    frame.insert(2, "environment", frame.pop("stars") if "stars" in frame else 0)
    frame.insert(3, "id", range(1, len(frame) + 1))
    frame = frame[["text", "state", "environment", "id", *settings["questions"]]]
    about = About(f"Honest test of {name}", licence="MIT, like the package", citation="llma_tutorial")
    return Corpus(frame, about, f"honest/{name}.csv of the package", len(frame), 0, {}, {})
