r"""Incentives: what must be paid so that an autonomous agent's action reveals its observation.

Primitives: public belief pi; observations B[x, y]; utility u[x, a]; the revealing action r(y) (action y if not given);
private belief eta(pi, y)(x) = B[x, y] (P'pi)(x) / sigma(pi, y).

Equations
    revealing incentive   p(pi) = max over y, b of  sum_x eta(pi, y)(x) [u(x, b) - u(x, r(y))],   at least 0
    contract              whoever takes an action other than the herd's, argmax_a (P'pi)'u(., a), is paid p(pi)
    expected payment      p(pi) P(r(y) is not the herd's action)
    payer's problem       V(pi) = min{ loss of a herd for ever,  loss of a revealing agent + price * expected payment
                                       + rho sum_y V(T(pi, y)) sigma(pi, y) }

Ties are resolved for revealing: an agent that is paid exactly p reveals. With two states, symbols and actions, action y
best in state y and symbol y likelier there, p is convex; the belief of paid, revealing agents is a martingale; so p is
a submartingale: the longer one waits, the dearer a herd is to prevent. The expected payment is convex, not concave, in
the belief: the payer's problem is solved by backward induction on the reachable beliefs (`stopping.solve_from`).

Source: Bhatt & Krishnamurthy, IEEE Transactions on Automatic Control (2020); Jain & Krishnamurthy, IEEE Access (2025);
neither text was at hand, the statements are derived here. Chapter: `control/incentives`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.control._agents import Agents
from llma_tutorial.control._offers import Market, simulate_offers
from llma_tutorial.control._payer import Budget, PayerProblem, budget, payer_problem

__all__ = [
    "Budget",
    "Contract",
    "Market",
    "PayerProblem",
    "budget",
    "contract",
    "expected_next_incentive",
    "payer_problem",
    "revealing_incentive",
    "simulate_offers",
]


def revealing_incentive(
    belief: ArrayLike,
    observation_matrix: ArrayLike,
    utility: ArrayLike,
    revealing_action: ArrayLike | None = None,
    transition_matrix: ArrayLike | None = None,
) -> float | np.ndarray:
    """Smallest payment at which every observation's revealing action is a best response.

    Parameters
    ----------
    belief : array-like of shape (..., X)
        Public belief, or many of them.
    observation_matrix : array-like of shape (X, Y)
        ``B[x, y]``.
    utility : array-like of shape (X, A)
        ``u[x, a]``, in utils; the payment is in utils too.
    revealing_action : array-like of shape (Y,), optional
        ``r(y)``: the action that reveals each observation; action y if omitted (needs A >= Y).
    transition_matrix : array-like of shape (X, X), optional
        ``P[x, x']``; the identity if omitted.

    Returns
    -------
    float or numpy.ndarray of shape (...)
        Zero where agents reveal for nothing.

    Raises
    ------
    ValueError
        If an array is malformed, or two observations share a revealing action.

    Notes
    -----
    Derived in the chapter `control/incentives`. Observations that are impossible at a belief are left out.

    Examples
    --------
    >>> round(revealing_incentive([0.1, 0.9], [[0.7, 0.3], [0.3, 0.7]], [[1, 0], [0, 1]]), 6)
    0.588235
    """
    model = Agents.checked(observation_matrix, utility, revealing_action, transition_matrix)
    beliefs = _validate.probabilities("belief", belief, (*np.shape(belief)[:-1], model.n_states))
    payment = model.incentive(beliefs.reshape(-1, model.n_states))
    return payment.reshape(beliefs.shape[:-1]) if beliefs.ndim > 1 else float(payment[0])


@dataclass(frozen=True, eq=False)
class Contract:
    """What is offered at one public belief; made by `contract`.

    Attributes
    ----------
    payment : float
        Paid to whoever takes an action other than the herd's.
    herd_action : int
        The best action at the public belief alone.
    contrarian_probability : float
        Probability that the agent's observation is revealed by another action.
    expected_payment : float
    reveals : bool
        Whether every observation's revealing action is a best response under this contract. False is possible with
        more than two actions: the payment then also tempts agents whose observation agrees with the herd.
    """

    payment: float
    herd_action: int
    contrarian_probability: float
    expected_payment: float
    reveals: bool


def contract(
    belief: ArrayLike,
    observation_matrix: ArrayLike,
    utility: ArrayLike,
    revealing_action: ArrayLike | None = None,
    transition_matrix: ArrayLike | None = None,
) -> Contract:
    """Contract that pays the revealing incentive for actions against the herd, and what it costs on average.

    Parameters
    ----------
    belief : array-like of shape (X,)
    observation_matrix, utility, revealing_action, transition_matrix
        As in `revealing_incentive`.

    Returns
    -------
    Contract

    Raises
    ------
    ValueError
        If an array is malformed.

    Notes
    -----
    Derived in the chapter `control/incentives`.

    Examples
    --------
    >>> offer = contract([0.1, 0.9], [[0.7, 0.3], [0.3, 0.7]], [[1, 0], [0, 1]])
    >>> round(offer.payment, 6), round(offer.expected_payment, 6), offer.reveals
    (0.588235, 0.2, True)
    """
    model = Agents.checked(observation_matrix, utility, revealing_action, transition_matrix)
    beliefs = _validate.probabilities("belief", belief, (model.n_states,))[None]
    payment = model.incentive(beliefs)
    probability, _ = model.private(beliefs)
    chance = float((probability * model.contrarian(beliefs)).sum())
    reveals = bool(((model.responses(beliefs, payment) == model.revealing) | (probability <= 0)).all())
    herd = int(model.herd_action(beliefs)[0])
    return Contract(float(payment[0]), herd, chance, float(payment[0]) * chance, reveals)


def expected_next_incentive(
    belief: ArrayLike,
    observation_matrix: ArrayLike,
    utility: ArrayLike,
    revealing_action: ArrayLike | None = None,
    transition_matrix: ArrayLike | None = None,
) -> float | np.ndarray:
    """Expected incentive of the next agent, when this one reveals: to be compared with `revealing_incentive`.

    Parameters
    ----------
    belief : array-like of shape (..., X)
    observation_matrix, utility, revealing_action, transition_matrix
        As in `revealing_incentive`.

    Returns
    -------
    float or numpy.ndarray of shape (...)
        Expectation of p(next public belief) under the public belief.

    Raises
    ------
    ValueError
        If an array is malformed.

    Notes
    -----
    The submartingale theorem of the chapter `control/incentives` says when it is at least the incentive now.

    Examples
    --------
    >>> pair = [[0.7, 0.3], [0.3, 0.7]], [[1, 0], [0, 1]]
    >>> bool(expected_next_incentive([0.1, 0.9], *pair) > revealing_incentive([0.1, 0.9], *pair))
    True
    """
    model = Agents.checked(observation_matrix, utility, revealing_action, transition_matrix)
    beliefs = _validate.probabilities("belief", belief, (*np.shape(belief)[:-1], model.n_states))
    probability, following = model.private(beliefs.reshape(-1, model.n_states))
    later = model.incentive(following.reshape(-1, model.n_states)).reshape(probability.shape)
    mean = (probability * later).sum(axis=1)
    return mean.reshape(beliefs.shape[:-1]) if beliefs.ndim > 1 else float(mean[0])
