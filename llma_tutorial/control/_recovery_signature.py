"""Failed recovery: is it the behaviour, the design, or the number of choices?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.one_agent.choice_data import checked_counts, common_prior, state_shares
from llma_tutorial.one_agent.recovery import distance, max_margin
from llma_tutorial.one_agent.ribum import ChoiceData, FiniteSampleTest, PassRate, finite_sample_test, random_pass_rate

LEVEL, WANTED_POWER, TOO_EASY = 0.05, 0.8, 0.2
ADVICE = {
    "not rational": "No rationally inattentive agent with these payoffs explains the choices: look at the largest "
    "violation, and do not recover payoffs from them.",
    "weak design": "Random behaviour would pass even with endless data: more environments, payoffs that differ more.",
    "too little data": "The test would let random behaviour pass at this sample size: more choices for each state.",
    "no objection": "The test could have failed, and did not.",
}


@dataclass(frozen=True, eq=False)
class RecoverySignature:
    """What choices can say about a rational explanation, made by `recovery_signature`.

    Attributes
    ----------
    test : FiniteSampleTest
        The verdict on the counts.
    power : float
        Share of random agents, with as many choices, that the same test rejects.
    pass_rate : PassRate
        How often random behaviour passes if probabilities are known, as with endless data.
    """

    test: FiniteSampleTest
    power: float
    pass_rate: PassRate

    @property
    def cause(self) -> str:
        """ "not rational", "weak design", "too little data" or "no objection"; a rational agent is rejected in 5 %."""
        if self.test.p_value <= LEVEL:
            return "not rational"
        if self.power >= WANTED_POWER:
            return "no objection"
        return "weak design" if self.pass_rate.both > TOO_EASY else "too little data"

    @property
    def advice(self) -> str:
        """What the cause means and what to change."""
        return ADVICE[self.cause]


def recovery_signature(
    counts: ArrayLike,
    utility: ArrayLike,
    *,
    rng: np.random.Generator,
    n_agents: int = 100,
    n_draws: int = 199,
) -> RecoverySignature:
    """Find out why choices cannot be explained, or whether an explanation means anything.

    Parameters
    ----------
    counts : array-like of shape (M, X, A)
        How often each action was taken in each state of each environment.
    utility : array-like of shape (X, A) or (M, X, A)
        Payoffs in utils.
    rng : numpy.random.Generator
    n_agents : int
        Random agents, p_m(. | x) uniform on the simplex, on whom the test is tried.
    n_draws : int
        Noise draws of each test.

    Returns
    -------
    RecoverySignature
        With `.test`, `.power`, `.cause` and `.advice`.

    Raises
    ------
    ValueError
        If `finite_sample_test` refuses the counts or the payoffs.

    Notes
    -----
    Used in the chapter `control/failure-signatures`.

    Examples
    --------
    >>> stakes = [[[1, 0], [0, 1]], [[3, 0], [0, 3]]]
    >>> few = recovery_signature([[[3, 2], [2, 3]], [[4, 1], [1, 4]]], stakes, rng=np.random.default_rng(0))
    >>> few.cause
    'too little data'
    """
    n_agents, rng = _validate.integer("n_agents", n_agents, 1), _validate.generator(rng)
    counts = checked_counts(counts)
    prior, sizes, rejected = common_prior(state_shares(counts)), counts.sum(axis=2).astype(int), 0
    test = finite_sample_test(counts, utility, n_draws=n_draws, rng=rng)
    for _ in range(n_agents):
        drawn = rng.multinomial(sizes, rng.dirichlet(np.ones(counts.shape[2]), sizes.shape))
        rejected += finite_sample_test(drawn, utility, n_draws=n_draws, rng=rng).p_value <= LEVEL
    tables = np.broadcast_to(np.asarray(utility, dtype=float), counts.shape)
    passes = random_pass_rate(tables, prior, n_draws=4000, rng=rng)
    return RecoverySignature(test, rejected / n_agents, passes)


def recovery_spread(
    counts: ArrayLike,
    restriction: str = "diagonal",
    *,
    rng: np.random.Generator,
    n_draws: int = 20,
    scales: ArrayLike | None = None,
) -> np.ndarray:
    """How far recovered payoffs move when the choices are drawn again from their own shares.

    Parameters
    ----------
    counts : array-like of shape (M, X, A)
    restriction : {"free", "shared", "diagonal"}
        As in `recovery.max_margin`.
    rng : numpy.random.Generator
    n_draws : int
        Each solves a linear program.
    scales : array-like of shape (M,), optional
        Needed by "shared".

    Returns
    -------
    numpy.ndarray of shape (n_draws,)
        `recovery.distance` of each to the payoffs from the counts as they are: 0 for the same, 1 for unrelated ones.
        Payoffs that make all actions equally good count as unrelated.

    Raises
    ------
    ValueError
        If `recovery.max_margin` refuses, or the counts as they are recover no preference at all.

    Notes
    -----
    Used in the chapter `control/failure-signatures`. A large spread is proof of too little data (or of payoffs that
    are not identified); a small one is no proof of rationality.

    Examples
    --------
    >>> counts = [[[30, 10], [10, 30]], [[38, 2], [2, 38]]]
    >>> spread = recovery_spread(counts, "shared", scales=[1, 3], n_draws=5, rng=np.random.default_rng(0))
    >>> spread.shape
    (5,)
    """
    counts, rng = checked_counts(counts), _validate.generator(rng)
    prior, sizes = common_prior(state_shares(counts)), counts.sum(axis=2).astype(int)

    def recover(drawn: np.ndarray) -> np.ndarray:
        return max_margin(ChoiceData.from_counts(drawn, prior), restriction, scales=scales).utility

    found, distances = recover(counts), []
    for _ in range(_validate.integer("n_draws", n_draws, 1)):
        again = recover(rng.multinomial(sizes, counts / sizes[..., None]))
        indifferent = np.ptp(again, axis=2).max() == 0
        distances.append(1.0 if indifferent else distance(again, found))
    return np.array(distances)
