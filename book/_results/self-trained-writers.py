"""What becomes of small language models that are trained on what models before them wrote.

Five diets: all text replaced by the model's own, with a tenth or a half of fresh true text, all text kept, and
true text only. The first cells are small, for the page and the test to compute again.
"""

import numpy as np

from llma_tutorial.reading.writers import lineage

STUDY = {"title": "Language models trained on their own text", "chapter": "many-agents/model-collapse"}
PROBE = {"cell": {"n_sentences": 100, "n_generations": 2}, "digits": 2}
DIETS = {"own text": 0.0, "a tenth fresh": 0.1, "half fresh": 0.5, "all text kept": 0.0, "true text only": 1.0}


def cells():
    """Diets by seeds."""
    full = [
        {"diet": diet, "n_sentences": 600, "n_generations": 6, "steps": 750, "seed": seed}
        for seed in range(2)
        for diet in DIETS
    ]
    small = [
        {"diet": "own text", "n_sentences": 100, "n_generations": generations, "steps": 150, "seed": 9}
        for generations in (1, 2)
    ]
    return small + full


def compute(diet, n_sentences, n_generations, steps, seed):
    """Measures of every generation, from the writer trained on true text on, and three sentences of each."""
    found = lineage(
        n_sentences,
        n_generations,
        fresh=DIETS[diet],
        accumulate=diet == "all text kept",
        steps=steps,
        rng=np.random.default_rng(seed),
    )
    numbers = {
        name: np.round(getattr(found, name), 4).tolist()
        for name in ("distinct", "vocabulary", "entropy", "surprise", "accuracy")
    }
    return {**numbers, "samples": found.samples}
