"""A line of reading agents as a platform sees it: readings go by, each pays, until the platform says what all do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.control.bounds import Solution, solve
from llma_tutorial.control.gaps import Gap, paired_gap
from llma_tutorial.control.problems import Policy, StoppingProblem, stop_probability
from llma_tutorial.control.stopping import StoppingRuns

HistoryPolicy = Callable[[np.ndarray], np.ndarray]
SEES = ("readings", "actions")


@dataclass(frozen=True, eq=False)
class Episodes:
    """Lines of agents, drawn in advance: what each would reveal and cost, were it reached.

    Attributes
    ----------
    states : numpy.ndarray of shape (n,)
        Hidden state of each line, which no policy sees.
    seen : numpy.ndarray of shape (n, horizon)
        What the platform sees of each agent.
    step_costs : numpy.ndarray of shape (n, horizon)
        Discounted cost of letting each agent reveal.
    stop_costs : numpy.ndarray of shape (n, horizon + 1, A)
        Discounted cost of stopping before each agent with each final action.
    """

    states: np.ndarray
    seen: np.ndarray
    step_costs: np.ndarray
    stop_costs: np.ndarray


@dataclass(frozen=True, eq=False)
class TextLine:
    """Agents read one text each of a source with a fixed hidden state, and act on it, until all are told to herd.

    Parameters
    ----------
    readings : sequence of array-like of int
        One pool for each state: the symbols that the agents' sensor read from texts of that state.
    own_actions : array-like of int, shape (Y,)
        The action that an agent takes on each symbol.
    misclassification_cost : array-like of shape (X, A)
        ``c[x, a]``, paid by every agent.
    discount : float
        From above 0 to below 1.
    delay_cost : array-like of shape (X,), optional
        Cost in each state of every step that the decision is put off; 0 if omitted.
    prior : array-like of shape (X,), optional
        From which the state is drawn; uniform if omitted.
    horizon : int
        Agents after which the platform must decide.
    sees : {"readings", "actions"}
        What a revealing agent shows to the platform.

    Notes
    -----
    Readings are drawn from the pool with replacement, so that their law, and with it the optimum, is known exactly.
    A policy of histories takes what was seen, shape (n, t), and gives decisions of shape (n, t + 1) before each agent
    and after the last: 0 to go on, 1 + a to stop with action a.

    Examples
    --------
    >>> line = TextLine([[0, 0, 0, 1], [0, 1, 1, 1]], [0, 1], [[0, 1], [1, 0]], 0.9)
    >>> line.problem.observation_matrix
    array([[0.75, 0.25],
           [0.25, 0.75]])
    >>> runs = line.simulate(lambda seen: np.ones((len(seen), seen.shape[1] + 1), int), 4, rng=np.random.default_rng(0))
    >>> sorted(set(runs.costs.round(6).tolist()))  # everybody takes action 0 at once: for ever right, or wrong
    [0.0, 10.0]
    """

    readings: tuple[np.ndarray, ...]
    own_actions: np.ndarray
    misclassification_cost: np.ndarray
    discount: float
    delay_cost: np.ndarray = None
    prior: np.ndarray = None
    horizon: int = 40
    sees: str = "readings"

    def __post_init__(self) -> None:
        n_states = len(self.readings)
        cost = _validate.real_array("misclassification_cost", self.misclassification_cost, (n_states, None))
        own = _validate.integers("own_actions", self.own_actions, cost.shape[1]).copy()
        if own.ndim != 1:
            raise ValueError(f"`own_actions` must have one action for each symbol. Got shape {own.shape}.")
        shapes = [np.shape(pool) for pool in self.readings]
        if n_states < 2 or not all(len(shape) == 1 and shape[0] for shape in shapes):
            raise ValueError(
                f"`readings` must be a row of symbols for each of at least 2 states, none empty. Got shapes {shapes}."
            )
        pools = tuple(_validate.integers("readings", pool, own.size).copy() for pool in self.readings)
        if not 0 < _validate.number("discount", self.discount, 0, 1) < 1:
            raise ValueError(f"`discount` must be above 0 and below 1. Got {self.discount:g}.")
        delay = np.zeros(n_states) if self.delay_cost is None else self.delay_cost
        prior = np.full(n_states, 1 / n_states) if self.prior is None else self.prior
        checked = {
            "readings": pools,
            "own_actions": own,
            "misclassification_cost": cost,
            "delay_cost": _validate.real_array("delay_cost", delay, (n_states,)),
            "prior": _validate.probabilities("prior", prior, (n_states,)),
            "horizon": _validate.integer("horizon", self.horizon, 1),
            "sees": _validate.one_of("sees", self.sees, SEES),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def n_seen(self) -> int:
        """How many different things the platform can see: Y symbols, or A actions."""
        return self.own_actions.size if self.sees == "readings" else self.n_actions

    @property
    def n_actions(self) -> int:
        """Number of final actions A."""
        return self.misclassification_cost.shape[1]

    @cached_property
    def problem(self) -> StoppingProblem:
        """The stopping problem of one who knows the law of the readings: its optimum is the measure of every policy."""
        symbols = np.array([np.bincount(pool, minlength=self.own_actions.size) / pool.size for pool in self.readings])
        acting = symbols @ np.eye(self.n_actions)[self.own_actions]
        going = (acting * self.misclassification_cost).sum(axis=1) + self.delay_cost
        stopping = self.misclassification_cost / (1 - self.discount)
        return StoppingProblem(symbols if self.sees == "readings" else acting, going, stopping, self.discount)

    def draw(self, n_episodes: int, *, rng: np.random.Generator) -> Episodes:
        """Lines of agents, as far as the horizon; the same seed gives every policy the same world."""
        n_episodes, rng = _validate.integer("n_episodes", n_episodes, 1), _validate.generator(rng)
        states = rng.choice(len(self.readings), n_episodes, p=self.prior)
        sizes = np.array([pool.size for pool in self.readings])
        places = (rng.random((n_episodes, self.horizon)) * sizes[states, None]).astype(int)
        symbols = np.concatenate(self.readings)[places + (sizes.cumsum() - sizes)[states, None]]
        actions = self.own_actions[symbols]
        weights = self.discount ** np.arange(self.horizon + 1)
        running = self.misclassification_cost[states[:, None], actions] + self.delay_cost[states, None]
        stopping = self.misclassification_cost[states] / (1 - self.discount)
        return Episodes(
            states,
            symbols if self.sees == "readings" else actions,
            running * weights[:-1],
            stopping[:, None] * weights[:, None],
        )

    def price(self, decisions: np.ndarray, episodes: Episodes) -> StoppingRuns:
        """What decisions cost in episodes; whoever has not stopped at the horizon takes the action decided there.

        A policy that still says "go on" at the horizon is refused: it must name a final action.
        """
        n, steps = episodes.seen.shape
        decisions = np.asarray(decisions)
        if decisions.shape != (n, steps + 1) or decisions.dtype.kind not in "iu":
            raise ValueError(
                f"`policy` must return whole numbers of shape ({n}, {steps + 1}), one decision before each agent and "
                f"one after the last. Got {decisions.dtype} of shape {decisions.shape}."
            )
        stops = decisions > 0
        if not stops.any(axis=1).all() or decisions.min() < 0 or decisions.max() > self.n_actions:
            raise ValueError(
                f"`policy` must stop at the horizon at the latest, with a decision from 1 to {self.n_actions}. "
                f"Got {decisions[~stops.any(axis=1)][:1].tolist() or decisions.max()}."
            )
        time, rows = stops.argmax(axis=1), np.arange(n)
        actions = decisions[rows, time] - 1
        spent = np.concatenate([np.zeros((n, 1)), episodes.step_costs.cumsum(axis=1)], axis=1)[rows, time]
        return StoppingRuns(spent + episodes.stop_costs[rows, time, actions], spent, time, episodes.states, actions)

    def simulate(self, policy: HistoryPolicy, n_runs: int, *, rng: np.random.Generator) -> StoppingRuns:
        """Simulated runs of a policy of histories."""
        episodes = self.draw(_validate.integer("n_runs", n_runs, 2), rng=rng)
        return self.price(policy(episodes.seen), episodes)

    def beliefs(self, seen: ArrayLike) -> np.ndarray:
        """Beliefs (n, t + 1, X) of one who knows the law of the readings, given what was seen (n, t)."""
        seen = _validate.integers("seen", seen, self.n_seen)
        if seen.ndim != 2:
            raise ValueError(f"`seen` must have shape (n, t). Got {seen.shape}.")
        with np.errstate(divide="ignore"):
            logs = np.log(self.problem.observation_matrix).T[seen]
            odds = np.concatenate([np.zeros((len(seen), 1, self.prior.size)), logs.cumsum(axis=1)], axis=1)
            odds = odds + np.log(self.prior)
        weights = np.exp(odds - odds.max(axis=2, keepdims=True))
        return weights / weights.sum(axis=2, keepdims=True)

    def with_beliefs(self, policy: Policy) -> HistoryPolicy:
        """The policy of histories that computes beliefs and asks a policy of beliefs, which must be deterministic."""

        def decide(seen: np.ndarray) -> np.ndarray:
            beliefs = self.beliefs(seen)
            decisions, alive = np.zeros(beliefs.shape[:2], dtype=np.int64), np.arange(len(seen))
            for step in range(beliefs.shape[1]):  # beliefs of lines that have stopped need no decision
                now = beliefs[alive, step]
                chance = stop_probability(policy, now, 1)[0] if step < self.horizon else np.ones(len(now))
                if not np.isin(chance, (0, 1)).all():
                    raise ValueError("`policy` must be deterministic, for histories. Got probabilities of stopping.")
                stops = chance == 1
                decisions[alive[stops], step] = 1 + self.problem.stop_action(now[stops])
                alive = alive[~stops]
                if not alive.size:
                    break
            return decisions

        return decide

    def gap(self, policy: HistoryPolicy, n_runs: int, level: float, tolerance: float, rng: np.random.Generator) -> Gap:
        """See `optimality_gap`. Lines that the certified policy leaves open at the horizon pay its cost from there."""
        solution: Solution = solve(self.problem, tolerance=tolerance)
        episodes = self.draw(_validate.integer("n_runs", n_runs, 2), rng=rng)
        costs = self.price(policy(episodes.seen), episodes).costs
        certified = self.price(self.with_beliefs(solution.policy)(episodes.seen), episodes)
        open_still = certified.stop_times == self.horizon
        last = self.beliefs(episodes.seen[open_still])[:, -1]
        later = self.discount**self.horizon * np.atleast_1d(solution.value(last)[0]) if open_still.any() else 0.0
        optimal = certified.costs.copy()
        optimal[open_still] = certified.running_costs[open_still] + later
        return paired_gap(costs, optimal, solution.value(self.prior), solution.width, level)
