"""The payer's problem: pay and learn, or let them herd."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.control._agents import Agents
from llma_tutorial.control._exact import evaluate
from llma_tutorial.control._problem import Policy, StoppingProblem


@dataclass(frozen=True, eq=False)
class PayerProblem(StoppingProblem):
    """Pay and learn, or let them herd; made by `payer_problem`. `solve_from`, `evaluate` and `simulate` take it.

    Attributes
    ----------
    price : float
        Cost to the payer of one unit of payment, in units of the agents' losses.
    """

    agents: Agents = None
    price: float = 1.0

    @property
    def linear_cost(self) -> bool:
        """Expected payments are not linear in the belief."""
        return False

    @property
    def cost_range(self) -> tuple[float, float]:
        """Bounds on the discounted cost of every policy; a payment is at most the span of utilities."""
        low, high = super().cost_range
        return low, high + self.price * float(np.ptp(self.agents.utility)) / (1 - self.discount)

    def running_cost(self, beliefs: ArrayLike) -> np.ndarray:
        """Expected loss of a revealing agent plus the price of its expected payment, at beliefs of shape (n, X)."""
        return super().running_cost(beliefs) + self.price * self.expected_payment(np.atleast_2d(beliefs))

    def realised_cost(self, beliefs: np.ndarray, states: np.ndarray, observations: np.ndarray) -> np.ndarray:
        """Loss of the revealing action in the state, plus the price of what was paid for it."""
        loss = self.agents.loss[states, self.agents.revealing[observations]]
        paid = self.agents.contrarian(beliefs)[np.arange(len(beliefs)), observations]
        return loss + self.price * np.where(paid, self.agents.incentive(beliefs), 0)

    def expected_payment(self, beliefs: np.ndarray) -> np.ndarray:
        """Expected payment at beliefs of shape (n, X) when the agent is paid to reveal."""
        probability, _ = self.agents.private(beliefs)
        return self.agents.incentive(beliefs) * (probability * self.agents.contrarian(beliefs)).sum(axis=1)


def payer_problem(
    observation_matrix: ArrayLike,
    utility: ArrayLike,
    discount: float,
    price: float = 1.0,
    revealing_action: ArrayLike | None = None,
) -> PayerProblem:
    """The problem of a payer who cares for the agents' losses: pay and learn, or let them herd.

    Parameters
    ----------
    observation_matrix : array-like of shape (X, Y)
    utility : array-like of shape (X, A)
        The loss of action a in state x is max_b u(x, b) - u(x, a).
    discount : float
        From 0 to below 1.
    price : float
        Cost to the payer of one unit of payment, at least 0: sweep it to trace budget against accuracy.
    revealing_action : array-like of shape (Y,), optional
        As in `revealing_incentive`.

    Returns
    -------
    PayerProblem
        A stopping problem: "continue" pays what it takes and learns the agent's observation, "stop" leaves a herd.

    Raises
    ------
    ValueError
        If an array is malformed.

    Notes
    -----
    Where agents reveal for nothing, stopping is never better than continuing, so only cascades are left alone.
    A threshold policy ("pay while the belief is below a threshold") is a special case: hand it to
    `stopping.evaluate`. Derived in the chapter `control/incentives`. The state is fixed.

    Examples
    --------
    >>> from llma_tutorial.control import stopping
    >>> problem = payer_problem([[0.7, 0.3], [0.3, 0.7]], [[1, 0], [0, 1]], 0.9)
    >>> best = stopping.solve_from(problem)
    >>> paid = stopping.evaluate(problem, best.policy)
    >>> bool(best.lower - 1e-6 <= paid.lower <= best.upper + 1e-6)
    True
    """
    agents = Agents.checked(observation_matrix, utility, revealing_action, None)
    price = _validate.number("price", price, 0)
    if _validate.number("discount", discount, 0, 1) == 1:
        raise ValueError("`discount` must be below 1, or a herd for ever has no finite cost. Got 1.0.")
    revealing_loss = (agents.observation_matrix * agents.loss[:, agents.revealing]).sum(axis=1)
    herd_loss = agents.loss / (1 - discount)
    return PayerProblem(agents.observation_matrix, revealing_loss, herd_loss, discount, agents=agents, price=price)


@dataclass(frozen=True, eq=False)
class Budget:
    """What a payer's policy buys; arrays have a leading axis for a family of policies. Made by `budget`.

    Attributes
    ----------
    payments, losses : numpy.ndarray of shape ()
        Expected discounted payments, and expected discounted losses of all agents.
    accuracy : numpy.ndarray of shape ()
        Probability that the herd left behind takes a best action of the state.
    mean_stop_time : numpy.ndarray of shape ()
        Mean number of agents before the herd is left alone.
    """

    payments: np.ndarray
    losses: np.ndarray
    accuracy: np.ndarray
    mean_stop_time: np.ndarray


def budget(problem: PayerProblem, policy: Policy, belief: ArrayLike | None = None, *, horizon: int = 500) -> Budget:
    """Payments against losses and accuracy of a payer's policy, exactly.

    Parameters
    ----------
    problem : PayerProblem
    policy : callable
        As in `stopping.evaluate`; a family of policies is evaluated at once.
    belief : array-like of shape (X,), optional
        First public belief; uniform if omitted.
    horizon : int
        Number of agents after which the herd is left alone in any case.

    Returns
    -------
    Budget

    Raises
    ------
    ValueError
        If an argument is malformed.

    Notes
    -----
    The frontier of the chapter `control/incentives` is made of these numbers.

    Examples
    --------
    >>> problem = payer_problem([[0.7, 0.3], [0.3, 0.7]], [[1, 0], [0, 1]], 0.9)
    >>> free = budget(problem, lambda beliefs: np.abs(beliefs[:, 1] - 0.5) > 0.2 + 1e-9)
    >>> round(float(free.payments), 6), round(float(free.accuracy), 6)
    (0.0, 0.844828)
    """
    free, dear = (evaluate(replace(problem, price=price), policy, belief, horizon=horizon) for price in (0.0, 1.0))
    right = np.where(problem.agents.loss == 0, free.outcome, 0).sum(axis=(-1, -2))
    return Budget(dear.running_cost - free.running_cost, free.lower, right, free.mean_stop_time)
