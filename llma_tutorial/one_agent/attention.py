r"""Shannon agents: attention bought at a price for each nat of information.

Primitives: states x with prior pi0; actions a with utility u[x, a]; a price lambda >= 0. The agent chooses p(a | x) to

    maximise   sum_x pi0(x) sum_a p(a | x) u(x, a)  -  lambda I(x; a)

Equations. With q the marginal law of actions and w(x, a) = exp(u(x, a) / lambda), the optimum is
p(a | x) = q(a) w(x, a) / sum_b q(b) w(x, b), so only q has to be found:

    maximise over q    sum_x pi0(x) log sum_b q(b) w(x, b)                                   (concave, on the simplex)
    certificate        g_a = sum_x pi0(x) w(x, a) / sum_b q(b) w(x, b) <= 1 for every a;  gap <= lambda log max_a g_a

The certificate is the test: every single action is a fixed point of the formula for p, but few have all g_a <= 1.

Algorithm. The classical iteration (Blahut-Arimoto) multiplies q by g; it needs thousands of rounds when an action is
about to drop out. Here each step is Newton's. Replace "q sums to 1" by the penalty (sum q)^2 / 2, which has the same
optimum; the quadratic model is then a non-negative least-squares problem, solved exactly, zeros included. Steps are
halved until the objective rises, and a last Blahut-Arimoto round makes p and its marginal agree. Stops when the gap
is below `tolerance` times the largest difference of payoffs within a state (at price 0: when log max_a g_a is).

Limits. At price 0, w is the mask of the best actions of each state; with ties this gives the least informative of the
optimal choices. All sums are kept relative to 1, so that prices many orders above the payoffs lose no digits.
Source: Matejka & McKay (2015). Chapter: `one-agent/rational-inattention`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import nnls

from llma_tutorial import _validate

MAX_STEPS = 200


@dataclass(frozen=True, eq=False)
class Attention:
    """The optimal attention of a Shannon agent, made by `solve`. With M environments every field has a first axis M.

    Attributes
    ----------
    choice_probabilities : numpy.ndarray of shape (X, A) or (M, X, A)
        p(a | x); rows sum to 1.
    action_marginal : numpy.ndarray of shape (A,) or (M, A)
        Probability of each action; exactly 0 for actions that have dropped out.
    mutual_information : float or numpy.ndarray of shape (M,)
        Information bought, in nats: I(x; a), or I(y; a) if the agent reads through an observation matrix.
    value : float or numpy.ndarray of shape (M,)
        Expected utility less price times information, in utils, of the choice returned.
    gap : float or numpy.ndarray of shape (M,)
        Certificate: no choice whatever is better than `value` by more than this, in utils.
    """

    choice_probabilities: np.ndarray
    action_marginal: np.ndarray
    mutual_information: float | np.ndarray
    value: float | np.ndarray
    gap: float | np.ndarray


def solve(
    utility: ArrayLike,
    prior: ArrayLike,
    information_price: ArrayLike,
    *,
    observation_matrix: ArrayLike | None = None,
    tolerance: float = 1e-10,
) -> Attention:
    """Optimal attention at a price for information, for one environment or many.

    Parameters
    ----------
    utility : array-like of shape (X, A) or (M, X, A)
        Payoff u[x, a] in utils.
    prior : array-like of shape (X,)
        Prior over states, the same in every environment.
    information_price : float or array-like of shape (M,)
        Price lambda >= 0 in utils for each nat. An array asks for one environment for each price.
    observation_matrix : array-like of shape (X, Y), optional
        If given, the agent sees the state only through y ~ B[x, :], and pays for information about y.
    tolerance : float
        Largest gap that is accepted, relative to the largest difference of payoffs within a state.

    Returns
    -------
    Attention

    Raises
    ------
    RuntimeError
        If the gap is still too large after 200 Newton steps.

    Notes
    -----
    Chapter `one-agent/rational-inattention`.

    Examples
    --------
    >>> agent = solve([[1, 0], [0, 1]], [0.5, 0.5], information_price=0.5)
    >>> agent.choice_probabilities.round(4)
    array([[0.8808, 0.1192],
           [0.1192, 0.8808]])
    >>> bool(agent.gap < 1e-9)
    True
    """
    utility = _validate.real_array("utility", utility, (None,) * (3 if np.ndim(utility) == 3 else 2))
    prior = _validate.probabilities("prior", prior, (utility.shape[-2],))
    prices = _validate.real_array("information_price", information_price, (None,) * min(np.ndim(information_price), 1))
    if (prices < 0).any():
        raise ValueError(f"`information_price` must not be negative. Got {prices.min():.6g}.")
    tolerance = _validate.number("tolerance", tolerance, 0)
    if utility.ndim == 3 and prices.ndim == 1 and prices.size != len(utility):
        raise ValueError(
            f"`information_price` must hold one price for each of the {len(utility)} environments. Got {prices.size}."
        )
    channel = np.eye(prior.size)
    if observation_matrix is not None:
        channel = _validate.probabilities("observation_matrix", observation_matrix, (prior.size, None))
    many = utility.ndim == 3 or prices.ndim == 1
    utilities, prices = np.broadcast_arrays(utility, np.reshape(prices, (-1, 1, 1)) if many else prices)
    if not many:
        return Attention(*_solve_one(utility, prior, float(prices.flat[0]), channel, tolerance))
    solved = [
        _solve_one(u, prior, float(p.flat[0]), channel, tolerance) for u, p in zip(utilities, prices, strict=True)
    ]
    return Attention(*(np.array(field) for field in zip(*solved, strict=True)))


def _solve_one(utility: np.ndarray, prior: np.ndarray, price: float, channel: np.ndarray, tolerance: float) -> tuple:
    """Solve one environment on what is seen (the state, or y), then express the choice by state."""
    joint = prior[:, None] * channel
    seen = joint.sum(axis=0)
    possible = seen > 0
    utility = (joint.T @ utility)[possible] / seen[possible, None]  # expected payoff given what is seen
    problem = _Dual(utility, seen[possible], price)
    marginal, log_certificate = _newton(problem, tolerance)
    attended = marginal * problem.weights
    choice = attended / attended.sum(axis=1, keepdims=True)
    marginal = problem.prior @ choice
    ratio = np.divide(choice, marginal, out=np.ones_like(choice), where=choice > 0)
    information = max(float(problem.prior @ (choice * np.log(ratio)).sum(axis=1)), 0.0)
    value = float(problem.prior @ (choice * utility).sum(axis=1)) - price * information
    full = np.tile(marginal, (channel.shape[1], 1))  # what is never seen is answered without information
    full[possible] = choice
    return channel @ full, marginal, information, value, price * log_certificate


class _Dual:
    """The concave problem in the marginal q, with w held twice: as it is, and as w - 1 for huge prices."""

    def __init__(self, utility: np.ndarray, prior: np.ndarray, price: float) -> None:
        losses = utility - utility.max(axis=1, keepdims=True)
        self.prior, self.price, self.scale = prior, price, max(-losses.min(), np.finfo(float).tiny)
        exponent = losses / price if price > 0 else np.where(losses >= -1e-12 * self.scale, 0.0, -np.inf)
        self.weights, self.excess = np.exp(exponent), np.expm1(exponent)
        expected = prior @ losses
        uninformed = expected >= expected.max() - 1e-12 * self.scale
        starts = [np.full(expected.size, 1 / expected.size), uninformed / uninformed.sum()]
        self.start = min(starts, key=self.log_certificate)

    def objective(self, q: np.ndarray) -> float:
        """sum_x pi0(x) log sum_b q(b) w(x, b)."""
        totals = self.weights @ q
        if totals.min() < 1e-280:
            return -np.inf
        near_one = np.where(totals < 0.5, 0.0, self.excess @ q)
        return float(self.prior @ np.where(totals < 0.5, np.log(totals), np.log1p(near_one)))

    def log_certificate(self, q: np.ndarray) -> float:
        """log max_a g_a, never below 0."""
        totals = (self.weights @ q)[:, None]
        if totals.min() < 1e-280:
            return np.inf
        above = np.where(totals < 0.5, self.weights - totals, self.excess - (self.excess @ q)[:, None])
        return max(float(np.log1p((self.prior @ (above / totals)).max())), 0.0)


def _newton(problem: _Dual, tolerance: float) -> tuple[np.ndarray, float]:
    """Best marginal q, with log max_a g_a."""
    q, unit = problem.start, problem.price / problem.scale if problem.price > 0 else 1.0
    roots = np.sqrt(problem.prior)
    for _ in range(MAX_STEPS):
        certificate = problem.log_certificate(q)
        if certificate * unit <= tolerance:
            return q, certificate
        likelihoods = problem.weights / (problem.weights @ q)[:, None]
        rows = np.vstack([roots[:, None] * likelihoods, np.ones(q.size)])
        proposal = nnls(rows, np.append(2 * roots, 0.0))[0]
        direction, now = proposal / proposal.sum() - q, problem.objective(q)
        # No state may lose more than nine tenths of its sum: from far below the optimum Newton's way back is long.
        step = min(1.0, 0.9 / max(-(likelihoods @ direction).min(), 0.9))
        while step > 1e-12 and problem.objective(q + step * direction) <= now:
            step /= 2
        # When the objective has no digit left, a round of Blahut-Arimoto still improves the certificate.
        q = np.maximum(q + step * direction, 0.0) if step > 1e-12 else q * (problem.prior @ likelihoods)
        q = q / q.sum()
    raise RuntimeError(
        f"The gap must fall below {tolerance:g} of the payoffs. Got {unit * problem.log_certificate(q):.3g} after "
        f"{MAX_STEPS} steps at `information_price` {problem.price:g}; raise `tolerance`."
    )
