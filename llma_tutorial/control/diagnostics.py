r"""What has gone wrong: one small diagnostic for each failure of a system of reading agents.

Each answers one question, from what you have at hand, and says what to change.

Premature herding (`herding_signature`). The *fuse* of an action is how many agents in a row must take it until nobody
heeds a signal. With two states, two signals, log-odds l_0 of the public belief, l* where actions are equally good and
weights w_y = log B[1,y]/B[0,y], w_0 < 0 < w_1, action 1 has the fuse

    min { n >= 0 :  l_0 + n w_1 + w_0  >  l* }          (at equality the tie rule decides)

A fuse of 0 is a prior that outweighs every signal, a fuse of 1 a signal that the next one cannot undo. The culprit is
the assumption whose correction lengthens the fuse.

A gradient that leads nowhere (`probe_gradient`). For J = theta'H theta / 2 and a step along d,

    theta - a (d'H theta) d      lowers J   iff   0 < a < 2 / d'Hd          (where d'H theta != 0)

so triples of costs at theta + cd, theta, theta - cd give the slope, its noise, and the largest gain.

Failed recovery (`recovery_signature`, `recovery_spread`). A verdict on rationality counts for as much as its power:
the share of random agents that the same test, with as many choices, would reject.

Sensor shift (`same_law`, `fits_law`). Two samples of one law can be exchanged. Given the pooled counts, the split of
every row is hypergeometric, so that

    p  =  (1 + number of R random splits at least as uneven) / (1 + R)

is at most alpha with probability at most alpha, for every size of sample. Without labels the test watches pi'B; with
labels it watches every row of B, whatever pi.

Sources: Fisher's exact test and its Monte Carlo form; Bronars (1987) for power against random behaviour; Spall (1992)
for the perturbations. Chapter: `control/failure-signatures`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.control.policies import PerturbedPair
from llma_tutorial.many_agents.public_beliefs import PublicBeliefs
from llma_tutorial.many_agents.societies import SocialLearning
from llma_tutorial.one_agent.choice_data import checked_counts, common_prior, state_shares
from llma_tutorial.one_agent.recovery import distance, max_margin
from llma_tutorial.one_agent.ribum import ChoiceData, FiniteSampleTest, PassRate, finite_sample_test, random_pass_rate

HERDING_ADVICE = {
    "none": "Enough agents speak before the line falls silent.",
    "assumed prior": "Agents hold a prior that is not the base rate: give them the base rate, or an even prior.",
    "assumed matrix": "Agents misjudge their sensor: measure its observation matrix and give it to them.",
    "assumptions": "Prior and matrix are both wrong, and correcting one alone does not help: measure both.",
    "ties": "Ties are resolved for one action: let tied agents follow their own signal, or toss a coin.",
    "prior": "The base rate itself outweighs one signal: let each agent read more, or pay for revealing.",
    "signals": "One action tells more than the next signal can undo: let several agents act unseen first, show "
    "beliefs instead of actions, or pay for revealing.",
}


@dataclass(frozen=True, eq=False)
class HerdingSignature:
    """How soon a line falls silent, and why; made by `herding_signature`.

    Attributes
    ----------
    fuses : numpy.ndarray of shape (A,)
        How many agents in a row must take the action until no agent heeds its signal: 0 if the first already does not,
        infinite if that never happens.
    corrected : dict of str to numpy.ndarray
        The fuses after each correction of what the agents assume.
    cause : str
        "none", "assumed prior", "assumed matrix", "assumptions", "ties", "prior" or "signals".
    """

    fuses: np.ndarray
    corrected: dict[str, np.ndarray]
    cause: str

    @property
    def advice(self) -> str:
        """What to change."""
        return HERDING_ADVICE[self.cause]


def herding_signature(society: SocialLearning, least: int = 2, longest: int = 200) -> HerdingSignature:
    """Find out whether a line of agents falls silent too soon, and which assumption is to blame.

    Parameters
    ----------
    society : SocialLearning
    least : int
        A fuse shorter than this is premature.
    longest : int
        Fuses longer than this count as infinite.

    Returns
    -------
    HerdingSignature
        With `.fuses`, `.cause` and `.advice`. Of several corrections that help, the first in the order of `corrected`
        is named.

    Examples
    --------
    >>> from llma_tutorial.many_agents.social import SocialLearning
    >>> matrix, even = [[0.7, 0.3], [0.3, 0.7]], [0.5, 0.5]
    >>> herding_signature(SocialLearning(matrix, np.eye(2), even)).fuses
    array([2., 2.])
    >>> sure = SocialLearning(matrix, np.eye(2), even, assumed_prior=[0.25, 0.75])
    >>> herding_signature(sure).fuses, herding_signature(sure).cause
    (array([0., 0.]), 'assumed prior')
    """
    least = _validate.integer("least", least, 1)
    longest = _validate.integer("longest", longest, least)
    prior, matrix = {"assumed_prior": society.prior}, {"assumed_observation_matrix": society.observation_matrix}
    changes = {"assumed prior": prior, "assumed matrix": matrix, "assumptions": prior | matrix}
    changes["ties"] = {"tie_break": "random"}
    fuses = _fuses(society, longest)
    corrected = {name: _fuses(replace(society, **change), longest) for name, change in changes.items()}
    if fuses.min() >= least:
        cause = "none"
    else:
        helps = [name for name, after in corrected.items() if after.min() > fuses.min()]
        cause = helps[0] if helps else "signals" if fuses.min() else "prior"
    return HerdingSignature(_validate.read_only(fuses), corrected, cause)


def _fuses(society: SocialLearning, longest: int) -> np.ndarray:
    return np.array([_fuse(society, action, longest) for action in range(society.utility.shape[1])])


def _fuse(society: SocialLearning, action: int, longest: int) -> float:
    """Steps of one action until the belief lies in a cascade region."""
    line = PublicBeliefs(society)
    front = line.start()
    for length in range(longest + 1):
        choices = line.choices(line.move(front.beliefs))
        if choices.cascade[0] >= 0:
            return float(length)
        if choices.likelihood[0] @ choices.law[0, :, action] <= 0:  # nobody would take it here
            return inf
        front, _ = line.step(front, choices, np.array([0]), np.array([action]))
    return inf


LEVEL = 0.05
GRADIENT_ADVICE = {
    "clear": "There is a slope to follow; keep the gain below `largest_gain`.",
    "noisy": "The slope is lost in noise: more runs in each evaluation, common random numbers, a wider perturbation. "
    "Or theta is a minimum already.",
    "flat": "Most pairs cost the same: soften the policy, or widen the perturbation.",
}


@dataclass(frozen=True, eq=False)
class GradientProbe:
    """Slope and curvature of an objective at one place, made by `probe_gradient`.

    Attributes
    ----------
    slopes : numpy.ndarray of shape (n_pairs, *theta.shape)
        One estimate of the gradient from each pair.
    curvatures : numpy.ndarray of shape (n_pairs,)
        d'Hd for each pair's signs d, with H the matrix of second derivatives.
    flat_share : float
        Share of the pairs whose two costs were equal.
    """

    slopes: np.ndarray
    curvatures: np.ndarray
    flat_share: float

    @property
    def mean(self) -> np.ndarray:
        """Estimated gradient."""
        return self.slopes.mean(axis=0)

    @property
    def error(self) -> np.ndarray:
        """Its standard errors."""
        return self.slopes.std(axis=0, ddof=1) / np.sqrt(len(self.slopes))

    @property
    def verdict(self) -> str:
        """ "flat", "noisy" or "clear"; without any slope, "clear" comes in at most 5 % of probes."""
        from scipy.stats import t

        if self.flat_share > 0.5:
            return "flat"
        critical = t.ppf(1 - LEVEL / 2 / self.mean.size, len(self.slopes) - 1)
        return "clear" if (np.abs(self.mean) > critical * self.error).any() else "noisy"

    @property
    def largest_gain(self) -> float:
        """Steps a_k above this overshoot; infinite if no upward curvature was found."""
        middle = self.curvatures.mean()
        error = self.curvatures.std(ddof=1) / np.sqrt(len(self.curvatures))
        return float(2 / middle) if middle > 2 * error else inf

    @property
    def pairs_needed(self) -> float:
        """How many pairs bring the length of the mean gradient to twice its standard error."""
        noise = self.slopes.reshape(len(self.slopes), -1).var(axis=0, ddof=1).sum()
        signal = (self.mean**2).sum() - noise / len(self.slopes)  # the noise lengthens the mean; take that out
        return float(4 * noise / signal) if signal > 0 else inf

    @property
    def advice(self) -> str:
        """What the verdict means and what to change."""
        return GRADIENT_ADVICE[self.verdict]


def probe_gradient(
    objective: Callable,
    theta: ArrayLike,
    *,
    rng: np.random.Generator,
    perturbation: float = 0.1,
    n_pairs: int = 30,
    common: bool = True,
) -> GradientProbe:
    """Measure slope, noise and curvature of an objective where a search is to begin.

    Parameters
    ----------
    objective : callable
        ``objective(theta, rng)``, or ``objective(theta)`` if it has no noise, as `policies.spsa` takes it.
    theta : array-like
        Where to look.
    rng : numpy.random.Generator
    perturbation : float
        c: costs are compared at theta + cd, theta and theta - cd.
    n_pairs : int
        Each evaluates the objective three times.
    common : bool
        Whether the three meet the same random numbers.

    Returns
    -------
    GradientProbe
        With `.verdict`, `.advice`, `.largest_gain` and `.pairs_needed`.

    Notes
    -----
    Probe where the search begins: at a minimum there is no slope, and there should be none.

    Examples
    --------
    >>> probe = probe_gradient(lambda theta: 3 * theta[0] ** 2, [1.0], rng=np.random.default_rng(0))
    >>> probe.mean.round(6), probe.verdict, round(probe.largest_gain, 6)
    (array([6.]), 'clear', 0.333333)
    """
    rng = _validate.generator(rng)
    theta = _validate.real_array("theta", theta, (None,) * np.ndim(theta))
    c, n_pairs = _validate.positive("perturbation", perturbation), _validate.integer("n_pairs", n_pairs, 2)
    cost = PerturbedPair(objective, common, rng).cost
    slopes, curvatures, flat = [], [], 0
    for _ in range(n_pairs):
        signs = rng.choice([-1.0, 1.0], theta.shape)
        seeds = rng.integers(2**63, size=3)
        seeds = seeds[[0, 0, 0]] if common else seeds
        ahead, here, behind = (cost(theta + c * k * signs, seed) for k, seed in zip((1, 0, -1), seeds, strict=True))
        slopes.append((ahead - behind) / (2 * c) * signs)
        curvatures.append((ahead - 2 * here + behind) / c**2)
        flat += ahead == behind
    return GradientProbe(np.array(slopes), np.array(curvatures), float(flat / n_pairs))


WANTED_POWER, TOO_EASY = 0.8, 0.2
RECOVERY_ADVICE = {
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
        return RECOVERY_ADVICE[self.cause]


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
    A large spread is proof of too little data (or of payoffs that are not identified); a small one is no proof of
    rationality.

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


ROUNDING = 1e-9  # statistics that differ by less are the same table


@dataclass(frozen=True, eq=False)
class LawTest:
    """Verdict on counts of symbols, made by `same_law` or `fits_law`. Prints as a line.

    Attributes
    ----------
    p_value : float
        At most alpha with probability at most alpha if nothing has changed, for every size of sample.
    distances : numpy.ndarray of shape (rows,)
        Total variation between the shares of the two sides, row by row; NaN where a row was not seen.
    statistic : float
        Sum over rows of Pearson's chi-squared.
    n_draws : int
    """

    p_value: float
    distances: np.ndarray
    statistic: float
    n_draws: int

    def __str__(self) -> str:
        moved = ", ".join(f"{distance:.2f}" for distance in self.distances)
        return f"p-value {self.p_value:.3f}, distance {moved} ({self.n_draws} draws)"


def same_law(reference: ArrayLike, counts: ArrayLike, *, n_draws: int = 999, rng: np.random.Generator) -> LawTest:
    """Test whether two samples of symbols come from the same law, row by row.

    Parameters
    ----------
    reference, counts : array-like of int, shape (Y,) or (X, Y)
        How often each symbol came then and now; one row if the states are unknown, else one for each state.
    n_draws : int
        Random splits of the pooled counts.
    rng : numpy.random.Generator

    Returns
    -------
    LawTest

    Raises
    ------
    ValueError
        If shapes differ, or no row was seen in both samples.

    Examples
    --------
    >>> test = same_law([[60, 40], [20, 80]], [[30, 20], [25, 25]], rng=np.random.default_rng(0))
    >>> print(test)
    p-value 0.002, distance 0.00, 0.30 (999 draws)
    """
    reference = _counts("reference", reference)
    counts = _counts("counts", counts)
    if reference.shape != counts.shape:
        raise ValueError(f"`counts` must have the shape of `reference`, {reference.shape}. Got {counts.shape}.")
    n_draws, rng = _validate.integer("n_draws", n_draws, 19), _validate.generator(rng)
    sizes, both = counts.sum(axis=1), reference + counts
    seen = np.flatnonzero((sizes > 0) & (reference.sum(axis=1) > 0))
    if not seen.size:
        raise ValueError("`counts` must share a row with `reference` in which both saw something. Got none.")
    observed, noise = 0.0, np.zeros(n_draws)
    for row in seen:
        expected = both[row] / both[row].sum() * sizes[row]
        rest = both[row].sum() - sizes[row]
        scale = 1 + sizes[row] / rest  # both halves of the two-sample table at once
        draws = rng.multivariate_hypergeometric(both[row], sizes[row], n_draws)
        observed += scale * _chi_squared(counts[row], expected)
        noise += scale * _chi_squared(draws, expected)
    return _verdict(observed, noise, _distances(counts, reference))


def fits_law(counts: ArrayLike, law: ArrayLike, *, n_draws: int = 999, rng: np.random.Generator) -> LawTest:
    """Test whether a sample of symbols (or of states) comes from a law that somebody assumed.

    Parameters
    ----------
    counts : array-like of int, shape (Y,) or (X, Y)
        How often each symbol came, one row or one for each state.
    law : array-like of the same shape
        The assumed law of each row, such as a prior or an observation matrix. If it was estimated, use `same_law`.
    n_draws : int
        Samples drawn from the law.
    rng : numpy.random.Generator

    Returns
    -------
    LawTest

    Examples
    --------
    >>> print(fits_law([52, 48], [0.5, 0.5], rng=np.random.default_rng(0)).p_value > 0.5)
    True
    """
    counts = _counts("counts", counts)
    law = _validate.probabilities("law", np.atleast_2d(np.asarray(law)), counts.shape)
    n_draws, rng = _validate.integer("n_draws", n_draws, 19), _validate.generator(rng)
    sizes = counts.sum(axis=1)
    if not sizes.any():
        raise ValueError("`counts` must hold something. Got zeros only.")
    expected = law * sizes[:, None]
    draws = rng.multinomial(sizes, law, (n_draws, len(sizes)))
    observed, noise = _chi_squared(counts, expected).sum(), _chi_squared(draws, expected).sum(axis=1)
    return _verdict(observed, noise, _distances(counts, law * (sizes > 0)[:, None]))


def _counts(name: str, counts: ArrayLike) -> np.ndarray:
    counts = np.atleast_2d(np.asarray(counts))
    if counts.ndim != 2 or counts.dtype.kind not in "iu" or counts.size == 0 or counts.min() < 0:
        raise ValueError(f"`{name}` must be whole numbers from 0 of shape (Y,) or (X, Y). Got {counts.tolist()!r:.60}.")
    return counts.astype(np.int64)


def _chi_squared(counts: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Pearson's distance along the last axis; infinite where something came that cannot."""
    squares = (counts - expected) ** 2
    fallback = np.where(squares > 0, np.inf, 0.0)
    return np.divide(squares, expected, out=fallback, where=expected > 0).sum(axis=-1)


def _distances(counts: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Total variation of the shares in each row."""
    with np.errstate(invalid="ignore"):
        shares = [side / side.sum(axis=1, keepdims=True) for side in (counts, others)]
    return np.abs(shares[0] - shares[1]).sum(axis=1) / 2


def _verdict(observed: float, noise: np.ndarray, distances: np.ndarray) -> LawTest:
    as_uneven = (noise >= observed * (1 - ROUNDING)).sum()
    p_value = float((1 + as_uneven) / (1 + noise.size))
    return LawTest(p_value, _validate.read_only(distances), float(observed), noise.size)
