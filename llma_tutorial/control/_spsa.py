"""Simultaneous perturbation: a gradient step from two evaluations, whatever the number of parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate

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
        If an argument is malformed, the objective returns what is not a finite number, or no pilot finds a slope.

    Notes
    -----
    Explained in the chapter `control/policy-gradient`.

    Examples
    --------
    >>> found = spsa(lambda theta: ((theta - [1, -2]) ** 2).sum(), [0, 0], gain=1, rng=np.random.default_rng(0))
    >>> found.theta.round(2).tolist(), found.diagnosis
    ([1.0, -2.0], 'settled')
    """
    rng = _validate.generator(rng)
    theta = np.array(_validate.real_array("theta0", theta0, (None,) * np.ndim(theta0)))
    n_iterations = _validate.integer("n_iterations", n_iterations, 2)
    perturbation = _positive("perturbation", perturbation)
    stability = n_iterations / 10 if stability is None else _validate.number("stability", stability, 0)
    share = _validate.number("average", average, 0, 1)
    pair = _Pair(objective, common, rng)
    if gain is None:
        gain = _chosen_gain(pair, theta, perturbation, stability, _validate.integer("pilots", pilots, 1))
    gains = _positive("gain", gain) / (np.arange(1, n_iterations + 1) + stability) ** GAIN_DECAY
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


class _Pair:
    """Two evaluations of the objective and the gradient that they suggest."""

    def __init__(self, objective: Callable, common: bool, rng: np.random.Generator) -> None:
        self.objective, self.common, self.rng, self.n_evaluations = objective, common, rng, 0
        places = inspect.signature(objective).parameters.values()
        needed = [p for p in places if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
        self.noisy = len(needed) > 1

    def __call__(self, theta: np.ndarray, c: float) -> tuple[np.ndarray, tuple[float, float]]:
        signs = self.rng.choice([-1.0, 1.0], theta.shape)
        first, second = self.rng.integers(2**63, size=2)
        ahead = self._cost(theta + c * signs, first)
        behind = self._cost(theta - c * signs, first if self.common else second)
        return (ahead - behind) / (2 * c) * signs, (ahead, behind)

    def _cost(self, theta: np.ndarray, seed: int) -> float:
        self.n_evaluations += 1
        cost = self.objective(theta, np.random.default_rng(seed)) if self.noisy else self.objective(theta)
        cost = np.asarray(cost, dtype=float)
        if cost.ndim or not np.isfinite(cost):
            raise ValueError(f"`objective` must return one finite number. Got {cost} at {theta}; try a smaller gain.")
        return float(cost)


def _chosen_gain(pair: _Pair, theta: np.ndarray, perturbation: float, stability: float, pilots: int) -> float:
    """The gain with which the first step is as long as the perturbation, on average over a few pairs."""
    slope = np.mean([np.abs(pair(theta, perturbation)[0]).mean() for _ in range(pilots)])
    if slope == 0:
        raise ValueError(
            f"`gain` must be given where no slope can be measured. Got none, and {pilots} pairs around theta0 cost "
            f"the same. {ADVICE['flat']}"
        )
    return perturbation / slope * (1 + stability) ** GAIN_DECAY


def _positive(name: str, value: float) -> float:
    if _validate.number(name, value, 0) == 0:
        raise ValueError(f"`{name}` must be positive. Got 0.")
    return float(value)
