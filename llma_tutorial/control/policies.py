r"""Policies that learn: thresholds by simultaneous perturbation, networks by REINFORCE; judged by the optimality gap.

Primitives: a stopping problem (see `stopping`); a policy with parameters theta and expected cost J(theta).

Threshold policies (`ThresholdPolicy`). With scores g that rise strictly from state to state and a threshold t,

    stop  iff  g'pi > t,        g = (0, 1, 1 + theta_1^2, ...) scaled to [0, 1],    t = sin^2(theta_last)

An expectation of a rising score rises with the belief in the monotone likelihood ratio order, so that the policy is
monotone whatever the parameters; two states leave one sin^2 threshold. Soft: logistic in the log-odds of g'pi and t.

Simultaneous perturbation (`spsa`). All parameters move at once by signs d_i = +-1, so that two evaluations suffice:

    theta <- theta - a_k (J(theta + c_k d) - J(theta - c_k d)) / (2 c_k) d
    a_k = a / (k + 1 + S)^0.602,    c_k = c / (k + 1)^0.101

Both evaluations meet the same random numbers; the result is the average of the last iterates.

REINFORCE (`reinforce`). A line of reading agents (`TextLine`) shows its platform what was read, z_1..z_t, not the
state. A network gives probabilities of going on and of stopping with each action; with costs to go G_t,

    grad J  =  E sum_t (G_t - b_t) grad log p(d_t | z_1..z_t),     b_t the mean of G_t over the other lines alive at t

Optimality gap (`optimality_gap`): extra cost over the certified optimum, in the same worlds.

Sources: Spall (1992, 1998) for the perturbations and the gains; Krishnamurthy, Partially Observed Markov Decision
Processes (CUP), for linear threshold policies; Williams (1992) for REINFORCE. Chapters: `control/policy-gradient`,
`control/neural-policies`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from llma_tutorial import _validate
from llma_tutorial.control.gaps import Gap, median_interval, optimality_gap
from llma_tutorial.control.reinforce import NetworkPolicy, Training, network, reinforce
from llma_tutorial.control.text_line import Episodes, TextLine

__all__ = [
    "Descent",
    "Episodes",
    "Gap",
    "NetworkPolicy",
    "PerturbedPair",
    "TextLine",
    "ThresholdPolicy",
    "Training",
    "median_interval",
    "network",
    "optimality_gap",
    "reinforce",
    "spsa",
]

INSIDE = 1e-12  # scores and thresholds of soft policies are kept this far from 0 and 1, where log-odds are infinite


@dataclass(frozen=True, eq=False)
class ThresholdPolicy:
    """Stop where the expected score of the belief exceeds a threshold; any parameters give a monotone policy.

    Parameters
    ----------
    theta : array-like of shape (X - 1,) or (m, X - 1), or a number for two states
        Parameters of one policy, or of a family of m. The threshold is sin^2 of the last; score steps are 1 and then
        1, squares of the others. With two states the score is the belief in state `end`.
    end : {0, -1}
        The extreme state, first or last, near which the policy stops.
    softness : float
        0 for a hard threshold. Otherwise the probability of stopping is logistic, with this scale in log-odds: one
        symbol moves the belief by its log-likelihood ratio, so that is the unit to compare with.

    Notes
    -----
    Calling the policy with beliefs (n, X) returns what
    `stopping.evaluate` and `stopping.simulate` want: booleans or probabilities of shape (n,), or (m, n).

    Examples
    --------
    >>> policy = ThresholdPolicy(np.pi / 3)  # stop where the belief in state 0 exceeds 3/4
    >>> policy(np.array([[0.7, 0.3], [0.8, 0.2]]))
    array([False,  True])
    >>> policy.soft(0.5)(np.array([[0.7, 0.3], [0.8, 0.2]])).round(2)
    array([0.38, 0.64])
    """

    theta: np.ndarray
    end: int = 0
    softness: float = 0.0

    def __post_init__(self) -> None:
        theta = np.atleast_1d(np.asarray(self.theta))
        object.__setattr__(self, "theta", _validate.real_array("theta", theta, (None,) * min(max(theta.ndim, 1), 2)))
        if isinstance(self.end, bool) or self.end not in (0, -1):
            raise ValueError(f"`end` must be 0 (stop near the first state) or -1 (near the last). Got {self.end!r}.")
        object.__setattr__(self, "softness", _validate.number("softness", self.softness, 0))

    @property
    def threshold(self) -> np.ndarray:
        """Threshold of the scaled score, between 0 and 1; shape () or (m,)."""
        return np.sin(self.theta[..., -1]) ** 2

    @property
    def scores(self) -> np.ndarray:
        """Score of each state, shape (X,) or (m, X): 1 at the state `end`, falling to 0 at the other end."""
        lead = self.theta.shape[:-1]
        first = np.ones((*lead, min(self.theta.shape[-1], 1)))
        steps = np.concatenate([np.zeros((*lead, 1)), first, self.theta[..., :-1] ** 2], axis=-1)
        scores = steps.cumsum(axis=-1)
        return (scores / scores[..., -1:])[..., :: 1 if self.end == -1 else -1]

    def soft(self, softness: float) -> ThresholdPolicy:
        """The same policy with another softness; 0 hardens it."""
        return replace(self, softness=softness)

    def __call__(self, beliefs: ArrayLike) -> np.ndarray:
        """Whether to stop at beliefs (n, X), or with what probability; (n,), or (m, n) for a family."""
        beliefs = np.asarray(beliefs, dtype=float)
        if beliefs.ndim != 2 or beliefs.shape[1] != self.theta.shape[-1] + 1:
            raise ValueError(
                f"`beliefs` must have shape (n, {self.theta.shape[-1] + 1}) for `theta` of shape {self.theta.shape}. "
                f"Got {beliefs.shape}; X states take X - 1 parameters."
            )
        score, threshold = self.scores @ beliefs.T, self.threshold[..., None]
        if self.softness == 0:
            return score > threshold
        odds = logit(np.clip(score, INSIDE, 1 - INSIDE)) - logit(np.clip(threshold, INSIDE, 1 - INSIDE))
        return expit(odds / self.softness)


GAIN_DECAY, PERTURBATION_DECAY = 0.602, 0.101
ADVICE = {
    "settled": "The iterates move around one place; judge the policy by its optimality gap.",
    "moving": "The iterates still travel in one direction: more iterations, or a larger gain.",
    "flat": "Most pairs cost the same, so there is no slope: soften the policy, widen the perturbation, or simulate "
    "more runs in each evaluation.",
    "jumping": "Steps are longer than the perturbation that measured them: a smaller gain, or more runs in each "
    "evaluation.",
}


@dataclass(frozen=True, eq=False)
class Descent:
    """What `spsa` did, iteration by iteration.

    Attributes
    ----------
    theta : numpy.ndarray of the shape of `theta0`
        Average of the last iterates: the result.
    thetas : numpy.ndarray of shape (n_iterations + 1, *theta0.shape)
        Iterates, the start first.
    gradients : numpy.ndarray of shape (n_iterations, *theta0.shape)
        Estimates of the gradient.
    costs : numpy.ndarray of shape (n_iterations, 2)
        The objective at the two perturbed points.
    gains, perturbations : numpy.ndarray of shape (n_iterations,)
        The sequences a_k and c_k.
    n_evaluations : int
        Calls of the objective, those that chose the gain included.
    """

    theta: np.ndarray
    thetas: np.ndarray
    gradients: np.ndarray
    costs: np.ndarray
    gains: np.ndarray
    perturbations: np.ndarray
    n_evaluations: int

    @property
    def diagnosis(self) -> str:
        """ "settled", "moving", "flat" or "jumping", from the second half of the trace."""
        half = len(self.costs) // 2
        late = self.thetas[half:].reshape(len(self.thetas) - half, -1)
        steps = np.abs(np.diff(late, axis=0)).max(axis=1)
        if np.mean(self.costs[:, 0] == self.costs[:, 1]) > 0.5:
            return "flat"
        if np.median(steps / self.perturbations[half:]) > 1:
            return "jumping"
        travelled = np.abs(late[-1] - late[0]).max()
        if travelled > max(0.5 * steps.sum(), self.perturbations[-1]):
            return "moving"
        return "settled"

    @property
    def advice(self) -> str:
        """What the diagnosis means and what to change."""
        return ADVICE[self.diagnosis]


def spsa(
    objective: Callable,
    theta0: ArrayLike,
    *,
    rng: np.random.Generator,
    n_iterations: int = 100,
    gain: float | None = None,
    perturbation: float = 0.1,
    stability: float | None = None,
    average: float = 0.5,
    common: bool = True,
    pilots: int = 10,
) -> Descent:
    """Minimise a noisy function by simultaneous perturbation stochastic approximation.

    Parameters
    ----------
    objective : callable
        ``objective(theta, rng)`` returns a noisy cost; ``objective(theta)`` if it has no noise.
    theta0 : array-like
        Start, of any shape; whole numbers are fine, and it is never changed.
    rng : numpy.random.Generator
    n_iterations : int
        Steps; each evaluates the objective twice.
    gain : float, optional
        a in a_k = a / (k + 1 + S)^0.602. By default so that the first step is about as long as the perturbation, as
        estimated from `pilots` pairs at the start: a careful choice, slow from far away.
    perturbation : float
        c in c_k = c / (k + 1)^0.101.
    stability : float, optional
        S; a tenth of the iterations by default.
    average : float
        Share of the last iterates whose mean is the result; 0 for the last iterate alone.
    common : bool
        Whether both points of a pair meet the same random numbers.
    pilots : int
        Pairs that choose the gain, when it is not given.

    Returns
    -------
    Descent
        With `.theta`, the trace, `.diagnosis` and `.advice`.

    Raises
    ------
    ValueError
        If the objective returns what is not a finite number, or no pilot finds a slope.

    Examples
    --------
    >>> found = spsa(lambda theta: ((theta - [1, -2]) ** 2).sum(), [0, 0], gain=1, rng=np.random.default_rng(0))
    >>> found.theta.round(2).tolist(), found.diagnosis
    ([1.0, -2.0], 'settled')
    """
    rng = _validate.generator(rng)
    theta = np.array(_validate.real_array("theta0", theta0, (None,) * np.ndim(theta0)))
    n_iterations = _validate.integer("n_iterations", n_iterations, 2)
    perturbation = _validate.positive("perturbation", perturbation)
    stability = n_iterations / 10 if stability is None else _validate.number("stability", stability, 0)
    share = _validate.number("average", average, 0, 1)
    pilots = _validate.integer("pilots", pilots, 1)
    pair = PerturbedPair(objective, common, rng)
    if gain is None:
        gain = _chosen_gain(pair, theta, perturbation, stability, pilots)
    gains = _validate.positive("gain", gain) / (np.arange(1, n_iterations + 1) + stability) ** GAIN_DECAY
    perturbations = perturbation / np.arange(1, n_iterations + 1) ** PERTURBATION_DECAY
    thetas, gradients, costs = [theta], [], []
    for a, c in zip(gains, perturbations, strict=True):
        gradient, cost = pair(theta, c)
        theta = theta - a * gradient
        thetas.append(theta)
        gradients.append(gradient)
        costs.append(cost)
    kept = max(round(share * n_iterations), 1)
    mean = np.mean(thetas[-kept:], axis=0)
    return Descent(mean, *map(np.array, (thetas, gradients, costs)), gains, perturbations, pair.n_evaluations)


class PerturbedPair:
    """Two evaluations of the objective and the gradient that they suggest."""

    def __init__(self, objective: Callable, common: bool, rng: np.random.Generator) -> None:
        if common not in (True, False):
            raise ValueError(f"`common` must be True or False. Got {common!r}.")
        self.objective, self.common, self.rng, self.n_evaluations = objective, common, rng, 0
        places = inspect.signature(objective).parameters.values()
        needed = [p for p in places if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
        self.noisy = len(needed) > 1

    def __call__(self, theta: np.ndarray, c: float) -> tuple[np.ndarray, tuple[float, float]]:
        """Estimate of the gradient at theta, and the costs at theta + c d and theta - c d."""
        signs = self.rng.choice([-1.0, 1.0], theta.shape)
        first, second = self.rng.integers(2**63, size=2)
        ahead = self.cost(theta + c * signs, first)
        behind = self.cost(theta - c * signs, first if self.common else second)
        return (ahead - behind) / (2 * c) * signs, (ahead, behind)

    def cost(self, theta: np.ndarray, seed: int) -> float:
        """The objective at theta, with the random numbers of a seed."""
        self.n_evaluations += 1
        cost = self.objective(theta, np.random.default_rng(seed)) if self.noisy else self.objective(theta)
        cost = np.asarray(cost, dtype=float)
        if cost.ndim or not np.isfinite(cost):
            raise ValueError(f"`objective` must return one finite number. Got {cost} at {theta}; try a smaller gain.")
        return float(cost)


def _chosen_gain(pair: PerturbedPair, theta: np.ndarray, perturbation: float, stability: float, pilots: int) -> float:
    """The gain with which the first step is as long as the perturbation, on average over a few pairs."""
    slope = np.mean([np.abs(pair(theta, perturbation)[0]).mean() for _ in range(pilots)])
    if slope == 0:
        raise ValueError(
            f"`gain` must be given where no slope can be measured. Got none, and {pilots} pairs around theta0 cost "
            f"the same. {ADVICE['flat']}"
        )
    return perturbation / slope * (1 + stability) ** GAIN_DECAY
