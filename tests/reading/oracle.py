"""A reader that knows the answers: it looks every text up, and errs as often as it is told to."""

import numpy as np

from llma_tutorial.reading.corpora.grammar import ANSWERS


class Oracle:
    """Scores the true answers of a generated corpus; each answer is replaced by another with probability `noise`."""

    def __init__(self, world, corpus, *, noise=0.0, confidence=0.9, rng):
        self.places = {wording: q for q, name in enumerate(world.questions) for wording in world.wordings[name]}
        answers = true_answers(world, corpus)
        wrong = rng.random(answers.shape) < noise
        answers = np.where(wrong, (answers + rng.integers(1, 3, answers.shape)) % 3, answers)
        self.answers = dict(zip(corpus.frame["text"], answers, strict=True))
        self.confidence = confidence

    def score(self, texts, questions, options):
        assert tuple(options) == ANSWERS
        columns = [self.places[question] for question in questions]
        answers = np.array([self.answers[text][columns] for text in texts]).reshape(len(texts), len(columns))
        return np.log(np.where(np.arange(3) == answers[:, :, None], self.confidence, (1 - self.confidence) / 2))


def true_answers(world, corpus):
    """What the texts say, as places in ANSWERS (yes, no, unsaid)."""
    words = corpus.frame[list(world.questions)].to_numpy()
    return np.select([words == answer for answer in ANSWERS], range(3))
