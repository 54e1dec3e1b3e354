r"""A restricted Boltzmann machine as the law of answers: exact normalisation, exact gradient, no sampling.

Primitives: answers a_q in {0..V-1}; V - 1 visible bits for each question, v = [a_q <= t] for t = 0..V-2 (with yes, no,
unsaid: *yes* and *said*); hidden bits h_1..h_J that are summed out. In state x

    P(a | x)  =  exp F_x(v(a)) / Z_x,      F_x(v)  =  b_x' v + sum_j log(1 + exp(c_xj + W_j' v))
    Z_x       =  sum over all V^k patterns of answers of exp F_x

The state shifts the biases b_x and c_x; the weights W, which tie answers to each other, are the same in all states,
because which statements go together is a matter of language more than of the state, and every text helps to learn it.
With W = 0 this is naive Bayes. Z_x is a plain sum (at most 12 visible bits), so that log-likelihood and gradient are
exact: with D[x, a] the share of texts and R = D - D(x) P(a | x),

    dL/db_x = sum_a R v,     dL/dc_x = sum_a R s,     dL/dW = sum_{x, a} R v s',      s_j = P(h_j = 1 | v, x).

L-BFGS maximises L - (penalty / 2n) |W, b, c|^2 from several small random starts, since L has more than one top.
Source: Smolensky's machine, as used for observation likelihoods by Jain & Krishnamurthy (2025); exact sums instead of
Gibbs samples are ours. Chapter: `reading/bayesian-engine`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax, logsumexp

from llma_tutorial import _validate
from llma_tutorial.reading.likelihoods import Likelihood, checked_sample, encode, patterns

MAX_BITS = 12


@dataclass(frozen=True, eq=False)
class Boltzmann(Likelihood):
    """A law of answers with hidden bits, made by `fit_boltzmann`.

    Attributes
    ----------
    n_questions, n_answers : int
        k and V.
    visible_bias : numpy.ndarray of shape (X, k (V - 1))
    hidden_bias : numpy.ndarray of shape (X, J)
    weights : numpy.ndarray of shape (k (V - 1), J)
    largest_gradient : float or None
        Certificate of a fit: largest entry of the gradient of its objective (nats per text), near zero at a top.
    """

    n_questions: int
    n_answers: int
    visible_bias: ArrayLike
    hidden_bias: ArrayLike
    weights: ArrayLike
    largest_gradient: float | None = None

    def __post_init__(self) -> None:
        bits = _count_bits(self.n_questions, self.n_answers)
        visible = _validate.real_array("visible_bias", self.visible_bias, (None, bits))
        hidden = _validate.real_array("hidden_bias", self.hidden_bias, (len(visible), None))
        weights = _validate.real_array("weights", self.weights, (bits, hidden.shape[1]))
        for name, value in {"visible_bias": visible, "hidden_bias": hidden, "weights": weights}.items():
            object.__setattr__(self, name, value)

    n_states = property(lambda self: len(self.visible_bias), doc="X.")

    @cached_property
    def log_partition(self) -> np.ndarray:
        """log Z_x, shape (X,), summed over all patterns of answers."""
        return logsumexp(self._scores(patterns(self.n_questions, self.n_answers)), axis=0)

    def _scores(self, answers: np.ndarray) -> np.ndarray:
        bits = visible_bits(answers, self.n_answers)
        fields = (bits @ self.weights)[:, None] + self.hidden_bias
        return bits @ self.visible_bias.T + np.logaddexp(0, fields).sum(axis=2)

    def _logs(self, answers: np.ndarray) -> np.ndarray:
        return self._scores(answers) - self.log_partition


def fit_boltzmann(
    states: ArrayLike,
    answers: ArrayLike,
    n_states: int,
    n_answers: int = 3,
    *,
    n_hidden: int = 4,
    penalty: float = 1.0,
    n_starts: int = 3,
    rng: np.random.Generator,
) -> Boltzmann:
    """Learn the law of answers by exact maximum likelihood of a restricted Boltzmann machine.

    Parameters
    ----------
    states, answers, n_states, n_answers
        As for `fit_counts`; ``k (V - 1)`` is 12 at most.
    n_hidden : int
        Hidden bits J.
    penalty : float
        Precision of a normal prior on every parameter, above zero; its weight fades as texts grow in number.
    n_starts : int
        Random starts, of which the best fit to these texts is kept.
    rng : numpy.random.Generator
        Source of the starts: the same generator state gives the same fit.

    Returns
    -------
    Boltzmann

    Raises
    ------
    RuntimeError
        If no start converges.

    Examples
    --------
    >>> together = [[0, 0], [1, 1]] * 400 + [[0, 1], [1, 0]] * 100
    >>> model = fit_boltzmann([0] * 1000, together, 1, n_answers=2, rng=np.random.default_rng(1))
    >>> model.observation_matrix.round(1)
    array([[0.4, 0.1, 0.1, 0.4]])
    """
    from scipy.optimize import minimize

    states, answers, n_states, n_answers = checked_sample(states, answers, n_states, n_answers)
    n_hidden, n_starts = _validate.integer("n_hidden", n_hidden, 1), _validate.integer("n_starts", n_starts, 1)
    penalty = _validate.number("penalty", penalty, 0)
    if penalty == 0:
        raise ValueError("`penalty` must be above 0, so that answers never seen keep a probability. Got 0.")
    rng, n_questions = _validate.generator(rng), answers.shape[1]
    n_bits = _count_bits(n_questions, n_answers)
    bits = visible_bits(patterns(n_questions, n_answers), n_answers)
    place = states * len(bits) + encode(answers, n_answers)
    shares = np.bincount(place, minlength=n_states * len(bits)).reshape(n_states, -1) / len(states)
    sizes = (n_states * n_bits, n_states * n_hidden, n_bits * n_hidden)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = value_and_gradient(parameters, bits, shares, n_hidden)
        shrink = penalty / len(states)
        return shrink / 2 * parameters @ parameters - value, shrink * parameters - gradient

    starts = rng.normal(scale=0.3, size=(n_starts, sum(sizes)))
    options = {"maxiter": 5_000, "maxfun": 20_000, "ftol": 1e-10, "gtol": 1e-5}
    fits = [minimize(loss, start, jac=True, method="L-BFGS-B", options=options) for start in starts]
    fits = [fit for fit in fits if fit.success]
    if not fits:
        raise RuntimeError(f"`penalty` must be large enough for the fit to converge. Got {penalty:g}.")
    best = min(fits, key=lambda fit: fit.fun)
    fitted = _unpack(best.x, n_states, n_bits, n_hidden)
    return Boltzmann(n_questions, n_answers, *fitted, float(np.abs(best.jac).max()))


def value_and_gradient(
    parameters: np.ndarray, bits: np.ndarray, shares: np.ndarray, n_hidden: int
) -> tuple[float, np.ndarray]:
    """Nats per text and their gradient at `parameters`; `shares` (X, patterns) sum to 1 over all."""
    visible, hidden, weights = _unpack(parameters, len(shares), bits.shape[1], n_hidden)
    fields = bits @ weights + hidden[:, None]  # (X, patterns, J)
    small = np.exp(-np.abs(fields))  # one exponential serves log(1 + e^f) and its slope
    scores = visible @ bits.T + (np.log1p(small) + np.maximum(fields, 0)).sum(axis=2)
    logs = log_softmax(scores, axis=1)
    residual = shares - shares.sum(axis=1, keepdims=True) * np.exp(logs)
    pull = residual[:, :, None] * np.where(fields > 0, 1, small) / (1 + small)
    gradient = [residual @ bits, pull.sum(axis=1), bits.T @ pull.sum(axis=0)]
    return float((shares * logs).sum()), np.concatenate([part.ravel() for part in gradient])


def _unpack(
    parameters: np.ndarray, n_states: int, n_bits: int, n_hidden: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Visible biases (X, bits), hidden biases (X, J) and weights (bits, J) from one vector."""
    visible, hidden, weights = np.split(parameters, np.cumsum([n_states * n_bits, n_states * n_hidden]))
    return visible.reshape(n_states, n_bits), hidden.reshape(n_states, n_hidden), weights.reshape(n_bits, n_hidden)


def visible_bits(answers: np.ndarray, n_answers: int) -> np.ndarray:
    """Visible bits (texts, k (V - 1)): yes and said, where answers are yes, no and unsaid."""
    return (answers[:, :, None] <= np.arange(n_answers - 1)).reshape(len(answers), -1).astype(float)


def _count_bits(n_questions: int, n_answers: int) -> int:
    bits = n_questions * (n_answers - 1)
    if bits > MAX_BITS:
        raise ValueError(
            f"`answers` must make at most {MAX_BITS} visible bits, so that the partition function is a plain sum. "
            f"Got {bits}: {n_questions} questions with {n_answers} answers. Use `fit_naive_bayes`."
        )
    return bits
