"""Stopping problems: the model, the Bellman operator on it, the three problems of the book, and what a policy is.

Primitives: states x in {0..X-1}; a belief pi; observations B[x, y]; transitions P[x, x'] (the identity for a fixed
state); the cost c(x) of one more step; the cost S[x, a] of stopping with final action a; a discount rho < 1.

    V(pi) = min{ min_a S[:, a]'pi,  c'pi + rho sum_y V(T(pi, y)) sigma(pi, y) }
    T(pi, y)(x) = B[x, y] (P'pi)(x) / sigma(pi, y),    sigma(pi, y) = sum_x B[x, y] (P'pi)(x)

Central control of herding: "continue" makes the next agent reveal its observation, "stop" lets everybody herd.

A policy is a function of beliefs (n, X). It returns, for each of them, whether to stop (a bool), a probability of
stopping, or one of the words of `Solution.policy`; "undecided" counts as "stop". The return has shape (n,), or (m, n)
for a family of m policies, which is then evaluated at once, on the same beliefs or the same simulated paths.
Chapter: `control/optimal-stopping`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.beliefs import condition

Policy = Callable[[np.ndarray], np.ndarray]
Value = Callable[[np.ndarray], np.ndarray]  # from beliefs (n, X) to costs (n,)


@dataclass(frozen=True, eq=False)
class StoppingProblem:
    """Observe and pay, or stop and take the cheapest of A final actions.

    Parameters
    ----------
    observation_matrix : array-like of shape (X, Y)
        ``B[x, y] = P(y | x)``; rows sum to 1.
    continue_cost : array-like of shape (X,)
        Cost of one more step in each state.
    stop_cost : array-like of shape (X, A) or (X,)
        Cost of stopping with each final action; one column is one final action.
    discount : float
        From 0 to below 1.
    transition_matrix : array-like of shape (X, X), optional
        ``P[x, x']``; the identity (a fixed state) if omitted.

    Examples
    --------
    >>> problem = StoppingProblem([[0.7, 0.3], [0.3, 0.7]], [1, 1], [[0, 20], [20, 0]], 0.99)
    >>> problem.stopping_cost([[0.5, 0.5], [0.9, 0.1]])
    array([10.,  2.])
    """

    observation_matrix: np.ndarray
    continue_cost: np.ndarray
    stop_cost: np.ndarray
    discount: float
    transition_matrix: np.ndarray = None

    def __post_init__(self) -> None:
        observation = _validate.probabilities("observation_matrix", self.observation_matrix, (None, None))
        n_states = observation.shape[0]
        if n_states < 2:
            raise ValueError("`observation_matrix` must have a row for each of at least 2 states. Got 1.")
        stop = np.asarray(self.stop_cost)
        discount = _validate.number("discount", self.discount, 0, 1)
        if discount == 1:
            raise ValueError("`discount` must be below 1, or waiting for ever has no finite cost. Got 1.0.")
        transition = np.eye(n_states) if self.transition_matrix is None else self.transition_matrix
        checked = {
            "observation_matrix": observation,
            "continue_cost": _validate.real_array("continue_cost", self.continue_cost, (n_states,)),
            "stop_cost": _validate.real_array("stop_cost", stop[:, None] if stop.ndim == 1 else stop, (n_states, None)),
            "discount": discount,
            "transition_matrix": _validate.probabilities("transition_matrix", transition, (n_states, n_states)),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def linear_cost(self) -> bool:
        """Whether the cost of continuing is linear in the belief, as concavity of the optimal cost needs."""
        return True

    @property
    def cost_range(self) -> tuple[float, float]:
        """Bounds on the discounted cost of every policy, from every belief."""
        waiting = self.continue_cost / (1 - self.discount)
        return float(min(waiting.min(), self.stop_cost.min())), float(max(waiting.max(), self.stop_cost.max()))

    @property
    def n_states(self) -> int:
        """Number of states X."""
        return self.continue_cost.size

    @property
    def fixed_state(self) -> bool:
        """Whether the state never changes."""
        return bool((self.transition_matrix == np.eye(self.n_states)).all())

    def running_cost(self, beliefs: ArrayLike) -> np.ndarray:
        """Expected cost of one more step at beliefs of shape (..., X)."""
        return np.asarray(beliefs) @ self.continue_cost

    def realised_cost(self, beliefs: np.ndarray, states: np.ndarray, observations: np.ndarray) -> np.ndarray:
        """Cost of one more step in n runs: beliefs (n, X) before it, states (n,), observations (n,) made in it."""
        return self.continue_cost[states]

    def stopping_cost(self, beliefs: ArrayLike) -> np.ndarray:
        """Expected cost of stopping with the cheapest final action at beliefs of shape (..., X)."""
        return (np.asarray(beliefs) @ self.stop_cost).min(axis=-1)

    def stop_action(self, beliefs: ArrayLike) -> np.ndarray:
        """Cheapest final action at beliefs of shape (..., X); the lowest index if several tie."""
        return (np.asarray(beliefs) @ self.stop_cost).argmin(axis=-1)

    def successors(self, beliefs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probability (n, Y) of each observation and the belief (n, Y, X) after it.

        An impossible observation has probability zero and leaves the predicted belief, which then has no weight.
        """
        predicted = (beliefs @ self.transition_matrix)[:, None, :]
        following, probability = condition(predicted * self.observation_matrix.T)
        return probability, np.where(probability[..., None] > 0, following, predicted)


def quickest_herding(
    observation_matrix: ArrayLike,
    misclassification_cost: ArrayLike,
    delay_cost: ArrayLike,
    discount: float,
    privacy_cost: float = 0.0,
) -> StoppingProblem:
    """Central control of a line of agents: each reveals its observation, until all are told to herd.

    A revealing agent acts on its own symbol (A = Y); after stopping every agent takes the same action for ever.

    Parameters
    ----------
    observation_matrix : array-like of shape (X, Y)
        ``B[x, y]``.
    misclassification_cost : array-like of shape (X, Y)
        ``c[x, a]``: cost of action a in state x, paid by every agent.
    delay_cost : array-like of shape (X,)
        Cost in each state of every step that the decision is put off.
    discount : float
        From 0 to below 1.
    privacy_cost : float
        Cost of each revealed observation, at least 0.

    Returns
    -------
    StoppingProblem
        With continue_cost(x) = sum_y B[x, y] c[x, y] + delay(x) + privacy and stop_cost = c / (1 - discount).

    Examples
    --------
    >>> problem = quickest_herding([[0.7, 0.3], [0.1, 0.9]], [[0, 1], [1, 0]], [1, 0], 0.9)
    >>> problem.continue_cost
    array([1.3, 0.1])
    """
    observation = _validate.probabilities("observation_matrix", observation_matrix, (None, None))
    cost = _validate.real_array("misclassification_cost", misclassification_cost, observation.shape)
    delay = _validate.real_array("delay_cost", delay_cost, (observation.shape[0],))
    privacy = _validate.number("privacy_cost", privacy_cost, 0)
    revealing = (observation * cost).sum(axis=1) + delay + privacy
    if _validate.number("discount", discount, 0, 1) == 1:
        raise ValueError("`discount` must be below 1, or a herd for ever has no finite cost. Got 1.0.")
    return StoppingProblem(observation, revealing, cost / (1 - discount), discount)


def wald(
    observation_matrix: ArrayLike, error_cost: ArrayLike, discount: float, observation_cost: float = 1.0
) -> StoppingProblem:
    """Wald's problem: buy observations at a constant price, then name the state.

    Parameters
    ----------
    observation_matrix : array-like of shape (X, Y)
        ``B[x, y]``.
    error_cost : array-like of shape (X, A)
        Cost of the final decision a in state x; a further column can say "abstain".
    discount : float
        From 0 to below 1.
    observation_cost : float
        Price of one observation, at least 0.

    Examples
    --------
    >>> wald([[0.7, 0.3], [0.3, 0.7]], [[0, 20], [20, 0]], 0.99).continue_cost
    array([1., 1.])
    """
    error = _validate.real_array("error_cost", error_cost, (None, None))
    price = _validate.number("observation_cost", observation_cost, 0)
    return StoppingProblem(observation_matrix, np.full(error.shape[0], price), error, discount)


def quickest_detection(
    observation_matrix: ArrayLike,
    change_probability: float,
    false_alarm_cost: float,
    delay_cost: float,
    discount: float,
) -> StoppingProblem:
    """Quickest detection: the state jumps once from 0 to 1; raise the alarm soon after, not before.

    Parameters
    ----------
    observation_matrix : array-like of shape (2, Y)
        Row 0 before the change, row 1 after it.
    change_probability : float
        Probability of the change in each step, from 0 to 1.
    false_alarm_cost : float
        Cost of an alarm before the change.
    delay_cost : float
        Cost of each step after the change without an alarm.
    discount : float
        From 0 to below 1.

    Examples
    --------
    >>> quickest_detection([[0.7, 0.3], [0.2, 0.8]], 0.05, 10, 1, 0.999).transition_matrix
    array([[0.95, 0.05],
           [0.  , 1.  ]])
    """
    observation = _validate.probabilities("observation_matrix", observation_matrix, (2, None))
    change = _validate.number("change_probability", change_probability, 0, 1)
    alarm = _validate.number("false_alarm_cost", false_alarm_cost, 0)
    delay = _validate.number("delay_cost", delay_cost, 0)
    return StoppingProblem(observation, [0, delay], [alarm, 0], discount, [[1 - change, change], [0, 1]])


def cost_of_going_on(problem: StoppingProblem, beliefs: np.ndarray, value: Value) -> np.ndarray:
    """c'pi + rho sum_y V(T(pi, y)) sigma(pi, y) at beliefs (n, X), if V is `value`."""
    probability, following = problem.successors(beliefs)
    later = value(following.reshape(-1, problem.n_states)).reshape(probability.shape)
    return problem.running_cost(beliefs) + problem.discount * (probability * later).sum(axis=1)


def bellman_operator(problem: StoppingProblem, beliefs: np.ndarray, value: Value) -> np.ndarray:
    """The cheaper of stopping and of going on with `value` afterwards, at beliefs (n, X)."""
    return np.minimum(problem.stopping_cost(beliefs), cost_of_going_on(problem, beliefs, value))


def greedy(problem: StoppingProblem, value: Value) -> Policy:
    """The policy that stops where stopping costs at most what going on costs with `value` afterwards."""
    return lambda beliefs: problem.stopping_cost(beliefs) <= cost_of_going_on(problem, beliefs, value)


def stop_probability(policy: Policy, beliefs: np.ndarray, n_policies: int | None = None) -> np.ndarray:
    """Probabilities of stopping, of shape (m, n), that a policy gives at beliefs (n, X); m must be `n_policies`."""
    answer = np.asarray(policy(beliefs))
    if answer.dtype.kind in "US":
        going = answer == "continue"
        unknown = ~(going | (answer == "stop") | (answer == "undecided"))
        if unknown.any():
            raise ValueError(
                f'`policy` must return the words "stop", "continue" or "undecided". Got {str(answer[unknown][0])!r}.'
            )
        answer = ~going
    if answer.dtype.kind not in "bif" or answer.shape[-1:] != (len(beliefs),) or answer.ndim > 2:
        raise ValueError(
            f"`policy` must return shape (n,) or (m, n) for n beliefs. Got {answer.dtype} of shape {answer.shape} "
            f"for {len(beliefs)} beliefs."
        )
    if not ((answer >= 0) & (answer <= 1)).all():
        raise ValueError(f"`policy` must return probabilities of stopping. Got {answer.min():g} to {answer.max():g}.")
    answer = np.atleast_2d(answer).astype(float)
    if n_policies not in (None, len(answer)):
        raise ValueError(f"`policy` must stay a family of {n_policies} at all beliefs. Got {len(answer)} policies.")
    return answer


def start_belief(problem: StoppingProblem, belief: ArrayLike | None) -> np.ndarray:
    """`belief`, checked; uniform if there is none."""
    uniform = np.full(problem.n_states, 1 / problem.n_states)
    return _validate.probabilities("belief", uniform if belief is None else belief, (problem.n_states,))
