"""Readers of three architectures, trained alike on reviews: their answers, and verdicts on agents with their eyes.

All readers of a seed see the same texts in the same order, and all readers of the study are tried on the same texts.
Answers are kept, a character for each text; the chapter computes accuracies, matrices and herds from them.
"""

import numpy as np
import pandas as pd

from llma_tutorial.one_agent.ribum import finite_sample_test
from llma_tutorial.reading.agents import estimate_observation_matrix, reliability
from llma_tutorial.reading.corpora import generate, honest_test, world
from llma_tutorial.reading.corpora.grammar import ANSWERS
from llma_tutorial.reading.models.architectures import ARCHITECTURES, SMALL, train_alike

STUDY = {"title": "Readers of three architectures, trained alike", "chapter": "practice/architectures"}
PROBE = {"cell": {"texts": 640, "architecture": "llama"}, "digits": 2}
LOST = (20, 40, 60)  # words that are lost, in a hundred
SIZES = (20, 50, 100, 200)
SUBSETS = 40
LOSSES = (0.2, 1, 5)  # what a bad product costs, in three environments
STAKES = (1, 2, 4)
PRIOR = np.array([0.5, 0.5])


def cells() -> list[dict]:
    """Tiny readers, trained again in seconds; the comparison; two of the readers at twice the rate of learning."""
    tiny = {"texts": 640, "tested": 100, "learning_rate": SMALL.learning_rate, "seed": 0}
    usual = tiny | {"texts": SMALL.texts, "tested": 1_200}
    found = [tiny | {"architecture": name} for name in ARCHITECTURES]
    found += [usual | {"architecture": name, "seed": seed} for seed in range(3) for name in ARCHITECTURES]
    faster = usual | {"learning_rate": 2 * SMALL.learning_rate}
    return found + [faster | {"architecture": name} for name in ARCHITECTURES[1:]]


def compute(architecture: str, texts: int, tested: int, learning_rate: float, seed: int) -> dict:
    """Train one reader and try it; accuracies of the tiny readers are those of readers that have learned little."""
    from dataclasses import replace

    import torch

    torch.set_num_threads(1)
    recipe = replace(SMALL, texts=texts, learning_rate=learning_rate, seed=seed)
    reviews = world("reviews")
    reader, losses = train_alike(architecture, recipe, [reviews])
    answers, calibration = {}, {}
    for kind, frame in tests(tested).items():
        scores = reader.score(frame["text"].tolist(), reviews.prompts)
        answers[kind] = scores.argmax(axis=2)
        truth = np.stack([frame[question].map(ANSWERS.index) for question in reviews.questions], axis=1)
        sure = np.exp(scores.max(axis=2)).ravel()
        diagram = reliability(np.minimum(sure, 1), (answers[kind] == truth).ravel())
        calibration[kind] = [np.round(part, 4).tolist() for part in (diagram.stated, diagram.observed, diagram.counts)]
    return {
        "parameters": reader.network.num_parameters(),
        "answer_losses": np.round([part.mean() for part in np.array_split(losses, 20)], 3).tolist(),
        "answers": {kind: written(found) for kind, found in answers.items()},
        "calibration": calibration,
        "judged": judged(answers, np.arange(tested) % 2, np.random.default_rng(seed)),
    }


def tests(n: int) -> dict[str, pd.DataFrame]:
    """The texts on which every reader is tried: states in turn, then whole texts that have lost some of their words."""
    rng = np.random.default_rng(1_000)
    states = np.arange(n) % 2
    found = {"home": generate(world("reviews"), n, states=states, rng=rng).frame}
    found["new sentences"] = generate(world("reviews"), n, states=states, held_out="patterns", rng=rng).frame
    found["honest test"] = honest_test("reviews").frame
    for lost in LOST:
        words = [" ".join(w for w in text.split() if rng.random() >= lost / 100) for text in found["home"]["text"]]
        found[f"lost {lost}"] = found["home"].assign(text=words)
    return found


def written(answers: np.ndarray) -> str:
    """A character for each text: answers as digits to the base of three, the first question in front."""
    return "".join(chr(ord("!") + code) for code in answers @ 3 ** np.arange(answers.shape[1])[::-1])


def judged(answers: dict, states: np.ndarray, rng: np.random.Generator) -> dict:
    """For six agents the p-value on half of the texts, and the share of small subsets on which each is rejected."""
    learn, act = np.arange(len(states)) < len(states) // 2, np.arange(len(states)) >= len(states) // 2
    symbols = {kind: (found == 0) @ [8, 4, 2, 1] for kind, found in answers.items() if len(found) == len(states)}

    def beliefs(kind, measured_on):
        law = estimate_observation_matrix(states[learn], symbols[measured_on][learn], 2, 16).mean
        joint = PRIOR[:, None] * law[:, symbols[kind][act]]
        return (joint / joint.sum(axis=0)).T

    payoffs = np.array([[[0, -loss], [0, 1]] for loss in LOSSES])
    stakes = np.array(STAKES)[:, None, None] * np.eye(2)
    careful = ("lost 60", "lost 20", "home")
    guesses = {kind: beliefs(kind, kind).argmax(axis=1) for kind in careful}
    obeys = (answers["home"][act, 3] == 0).astype(int)
    agents = {
        "knows its eyes": ((beliefs("home", "home") @ payoffs).argmax(axis=2), payoffs),
        "obeys": (np.tile(obeys, (3, 1)), payoffs),
        "abroad, eyes measured there": ((beliefs("new sentences", "new sentences") @ payoffs).argmax(axis=2), payoffs),
        "abroad, eyes measured at home": ((beliefs("new sentences", "home") @ payoffs).argmax(axis=2), payoffs),
        "careful": (np.array([guesses[kind] for kind in careful]), stakes),
        "careless": (np.array([guesses[kind] for kind in careful[::-1]]), stakes),
    }
    found = {}
    for name, (actions, utility) in agents.items():
        whole = np.arange(actions.shape[1])
        rejected = {}
        for n in (n for n in SIZES if n < len(whole)):
            halves = [rng.permuted(np.tile(whole[x::2], (SUBSETS, 1)), axis=1)[:, : n // 2] for x in (0, 1)]
            chosen = np.concatenate(halves, axis=1)
            values = [p_value(actions, states[act], utility, few, 99, rng) for few in chosen]
            rejected[str(n)] = round(float(np.mean(np.array(values) <= 0.05)), 3)
        found[name] = {"p_value": p_value(actions, states[act], utility, whole, 499, rng), "rejected": rejected}
    return found


def p_value(actions, states, utility, chosen, n_draws, rng) -> float:
    """Of the test whose units are texts: each was read in every environment."""
    m, place = (each.ravel() for each in np.indices((len(actions), len(chosen))))
    text = chosen[place]
    taken = pd.Categorical(actions[m, text], categories=range(utility.shape[2]))  # one that is never taken counts too
    table = pd.DataFrame({"environment": m, "state": states[text], "text": text, "action": taken})
    return round(finite_sample_test(table, utility, prior=PRIOR, n_draws=n_draws, rng=rng).p_value, 4)
