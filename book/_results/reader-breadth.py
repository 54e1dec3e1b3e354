"""How well readers read what they were not trained on, against the number of sentence patterns in their training.

Every reader has the same recipe but for what its cell says. Patterns are drawn at random, one at least of every kind.
"""

from dataclasses import replace

import numpy as np

from llma_tutorial.reading import corpora
from llma_tutorial.reading.corpora.grammar import ANSWERS, Grammar
from llma_tutorial.reading.models.training import WORLDS, Recipe, train_reader

STUDY = {"title": "Reading of unseen sentences against the number of patterns", "chapter": "reading/llm-as-sensor"}
PROBE = {"cell": {"texts": 1000}, "digits": 2}
TESTED = 600  # texts of each kind
ALL = sum(
    len(p) for name in WORLDS for (_, held_out), p in corpora.world(name).grammar.patterns.items() if not held_out
)


def cells() -> list[dict]:
    """A small reader first; the curve, three readers a point; then readers that differ in one thing."""
    usual = {"n_patterns": ALL, "texts": 40_000, "change": {}}
    curve = [usual | {"n_patterns": n} for n in (100, 300, 1_000, ALL)]
    changes = [usual | {"change": change} for change in ({"noise": 0.0}, {"hidden": 160, "feed_forward": 432})]
    small = {"n_patterns": 100, "texts": 1_000, "change": {}, "seed": 0}
    without = usual | {"change": {"sentence_loss": 0.0}, "seed": 0}
    return [small, *(row | {"seed": seed} for row in curve + changes for seed in range(3)), without]


def compute(n_patterns: int, texts: int, change: dict, seed: int) -> dict:
    """Train one reader; accuracy and balanced accuracy in each world on each split."""
    rng = np.random.default_rng(seed)
    worlds = [corpora.world(name) for name in WORLDS]
    fewer = [replace(world, grammar=thinned(world.grammar, n_patterns / ALL, rng)) for world in worlds]
    reader = train_reader(Recipe(texts=texts, seed=seed, **change), fewer, progress=False)
    used = sum(len(p) for world in fewer for (_, held_out), p in world.grammar.patterns.items() if not held_out)
    found = {"patterns": used, "parameters": reader.network.num_parameters()}
    for world, thin in zip(worlds, fewer, strict=True):
        for split in ("none", "patterns", "words", "both"):
            source = thin if split in ("none", "words") else world
            frame = corpora.generate(source, TESTED, held_out=split, rng=np.random.default_rng(seed + 1_000)).frame
            found[f"{world.name} {split}"] = accuracies(reader, world, frame)
    return found


def thinned(grammar: Grammar, share: float, rng: np.random.Generator) -> Grammar:
    """The grammar with a share of its training sentences, one at least of each section."""
    kept = {}
    for (section, held_out), lines in grammar.patterns.items():
        n = len(lines) if held_out else max(1, round(share * len(lines)))
        kept[section, held_out] = [lines[i] for i in sorted(rng.permutation(len(lines))[:n])]
    return Grammar(kept, grammar.words)


def accuracies(reader, world, frame) -> list[float]:
    """Share of right answers, and its mean over the three true answers."""
    truth = np.stack([frame[question].map(ANSWERS.index) for question in world.questions], axis=1)
    right = reader.score(list(frame["text"]), world.prompts).argmax(axis=2) == truth
    recalls = [right[truth == answer].mean() for answer in range(len(ANSWERS))]
    return [round(float(right.mean()), 4), round(float(np.mean(recalls)), 4)]
