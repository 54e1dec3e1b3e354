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

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.beliefs import condition, draw, tie_law
from llma_tutorial.control.problems import Policy, StoppingProblem
from llma_tutorial.control.stopping import evaluate


@dataclass(frozen=True, eq=False)
class Agents:
    """Primitives of the incentive problem; every method takes many public beliefs (n, X) at once."""

    observation_matrix: np.ndarray
    utility: np.ndarray
    revealing: np.ndarray
    transition_matrix: np.ndarray

    @classmethod
    def checked(
        cls,
        observation_matrix: ArrayLike,
        utility: ArrayLike,
        revealing_action: ArrayLike | None,
        transition_matrix: ArrayLike | None,
    ) -> Agents:
        """From arrays of any kind; action y reveals symbol y, and the state is fixed, if nothing else is said."""
        observation = _validate.probabilities("observation_matrix", observation_matrix, (None, None))
        n_states, n_symbols = observation.shape
        utility = _validate.real_array("utility", utility, (n_states, None))
        revealing = np.arange(n_symbols) if revealing_action is None else np.asarray(revealing_action)
        revealing = _validate.integers("revealing_action", revealing, utility.shape[1])
        if revealing.shape != (n_symbols,) or len(set(revealing.tolist())) < n_symbols:
            raise ValueError(
                f"`revealing_action` must name a different action for each of {n_symbols} symbols. "
                f"Got {revealing.tolist()}."
            )
        transition = np.eye(n_states) if transition_matrix is None else transition_matrix
        transition = _validate.probabilities("transition_matrix", transition, (n_states, n_states))
        return cls(observation, utility, revealing, transition)

    @property
    def n_states(self) -> int:
        """Number of states X."""
        return len(self.utility)

    @property
    def loss(self) -> np.ndarray:
        """Loss (X, A) of each action against the best one of the state."""
        return self.utility.max(axis=1, keepdims=True) - self.utility

    def private(self, beliefs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probability (n, Y) of each observation, and the private belief (n, Y, X) after it."""
        private, probability = condition((beliefs @ self.transition_matrix)[:, None, :] * self.observation_matrix.T)
        return probability, private

    def incentive(self, beliefs: np.ndarray) -> np.ndarray:
        """Smallest payments (n,) at which every symbol's revealing action is a best response."""
        _, private = self.private(beliefs)
        value = private @ self.utility
        revealing = np.take_along_axis(value, np.broadcast_to(self.revealing, value.shape[:2])[:, :, None], axis=2)
        return np.maximum((value - revealing).max(axis=(1, 2)), 0)

    def herd_action(self, beliefs: np.ndarray) -> np.ndarray:
        """Best actions (n,) at the public beliefs alone."""
        return (beliefs @ self.transition_matrix @ self.utility).argmax(axis=1)

    def contrarian(self, beliefs: np.ndarray) -> np.ndarray:
        """Whether (n, Y) the symbol's revealing action is not the herd's."""
        return self.herd_action(beliefs)[:, None] != self.revealing

    def responses(self, beliefs: np.ndarray, offers: np.ndarray) -> np.ndarray:
        """Best action (n, Y) after each symbol when every action but the herd's is paid `offers` (n,)."""
        _, private = self.private(beliefs)
        against = np.arange(self.utility.shape[1]) != self.herd_action(beliefs)[:, None]
        value = private @ self.utility + (against * offers[:, None])[:, None, :]
        return tie_law(value, "signal", scale=np.abs(self.utility).max(), own_action=self.revealing).argmax(axis=2)


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


@dataclass(frozen=True, eq=False)
class OfferRuns:
    """Simulated agents that accept or refuse; made by `simulate_offers`.

    Attributes
    ----------
    states : numpy.ndarray of shape (n_runs,)
    actions, payments, revealed : numpy.ndarray of shape (n_runs, n_agents)
        Actions taken, amounts paid, and whether the agent's choice depended on its observation one to one.
    public_beliefs : numpy.ndarray of shape (n_runs, n_agents + 1, X)
    """

    states: np.ndarray
    actions: np.ndarray
    payments: np.ndarray
    revealed: np.ndarray
    public_beliefs: np.ndarray


def simulate_offers(
    observation_matrix: ArrayLike,
    utility: ArrayLike,
    offer: Callable[[np.ndarray], np.ndarray],
    n_agents: int,
    n_runs: int,
    belief: ArrayLike | None = None,
    *,
    rng: np.random.Generator,
) -> OfferRuns:
    """Agents that decide for themselves whether an offer is worth acting against the herd.

    Parameters
    ----------
    observation_matrix : array-like of shape (X, Y)
    utility : array-like of shape (X, A)
        Agents maximise expected utility plus payment; action y reveals symbol y.
    offer : callable
        From public beliefs (n, X) to the amounts (n,) offered for any action but the herd's.
    n_agents, n_runs : int
    belief : array-like of shape (X,), optional
        First public belief; uniform if omitted.
    rng : numpy.random.Generator

    Notes
    -----
    Everybody knows the offers, so the public belief moves by what the actions taken reveal. Ties are resolved for
    revealing.

    Examples
    --------
    >>> from llma_tutorial.control.incentives import revealing_incentive
    >>> pair = [[0.7, 0.3], [0.3, 0.7]], [[1, 0], [0, 1]]
    >>> market = simulate_offers(
    ...     *pair, lambda beliefs: revealing_incentive(beliefs, *pair), 20, 100, rng=np.random.default_rng(1)
    ... )
    >>> bool(market.revealed.all())
    True
    """
    rng = _validate.generator(rng)
    model = Agents.checked(observation_matrix, utility, None, None)
    n_agents, n_runs = _validate.integer("n_agents", n_agents, 1), _validate.integer("n_runs", n_runs, 1)
    uniform = np.full(model.n_states, 1 / model.n_states)
    prior = _validate.probabilities("belief", uniform if belief is None else belief, (model.n_states,))
    states = draw(prior, rng.random(n_runs))
    beliefs, rows = np.tile(prior, (n_runs, 1)), np.arange(n_runs)
    actions = np.zeros((n_runs, n_agents), dtype=np.int64)
    payments, revealed = np.zeros((n_runs, n_agents)), np.zeros((n_runs, n_agents), dtype=bool)
    public = [beliefs]
    for k in range(n_agents):
        offered = _validate.real_array("offer", offer(beliefs), (n_runs,))
        if (offered < 0).any():
            raise ValueError(f"`offer` must not be negative. Got {offered.min():g}.")
        responses = model.responses(beliefs, offered)
        action = responses[rows, draw(model.observation_matrix, rng.random(n_runs), states)]
        actions[:, k] = action
        payments[:, k] = np.where(action == model.herd_action(beliefs), 0, offered)
        revealed[:, k] = (responses == model.revealing).all(axis=1)
        beliefs, _ = condition(beliefs * ((responses == action[:, None]) @ model.observation_matrix.T))
        public.append(beliefs)
    return OfferRuns(states, actions, payments, revealed, np.stack(public, axis=1))


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

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.agents, Agents):
            raise ValueError(f"`agents` must be given, as by payer_problem. Got {self.agents!r}.")
        for name in ("observation_matrix", "transition_matrix"):
            if not np.array_equal(getattr(self, name), getattr(self.agents, name)):
                raise ValueError(f"`{name}` must be that of `agents`. Got another one.")
        object.__setattr__(self, "price", _validate.number("price", self.price, 0))

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

    Notes
    -----
    Where agents reveal for nothing, stopping is never better than continuing, so only cascades are left alone.
    A threshold policy ("pay while the belief is below a threshold") is a special case: hand it to
    `stopping.evaluate`. The state is fixed.

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
    if not isinstance(problem, PayerProblem):
        raise ValueError(f"`problem` must be one made by payer_problem. Got a {type(problem).__name__}.")
    free, dear = (evaluate(replace(problem, price=price), policy, belief, horizon=horizon) for price in (0.0, 1.0))
    right = np.where(problem.agents.loss == 0, free.outcome, 0).sum(axis=(-1, -2))
    return Budget(dear.running_cost - free.running_cost, free.lower, right, free.mean_stop_time)
