r"""A line of agents at a bandit: everybody pulls one arm, and sees what predecessors pulled, or also what they earned.

Primitives: a fixed state x with prior pi_0; arm a pays 1 with probability theta[x, a] (`arm_rates`) and else 0; agent
k = 0, 1, ... may hold a private signal y_k ~ B[x, :], knows the public history, and pulls one arm once.

    private belief   eta(x)      =  B[x, y] pi_k(x), normalised
    choice           myopic:       the arm with the largest expected rate, ties by the rule `tie_break`
                     Thompson:     each arm with the probability, under eta, that it is the best one
    exploration      with probability epsilon_k the agent pulls an arm drawn uniformly instead, unseen by the others
    public belief    pi_{k+1}    =  R_a f_r pi_k, normalised,   R_a(x) = sum_y B[x, y] P(a | pi_k, y),
                     f_r(x)      =  theta[x, a] if r = 1, 1 - theta[x, a] if r = 0; left out where rewards are not seen

If only actions are seen, a myopic line is social learning with the utility u = theta. If rewards are seen, it is the
bandit of reinforcement learning, one pull for each agent: nobody lives to enjoy what the pull has taught.

An agent is frozen if nothing that it can do or earn moves the public belief. With constant exploration that is for
ever.

`exact_law` carries the law of the public belief given each state forward and merges equal beliefs. A belief is keyed by
how often each piece of news came (an action, a reward): whole numbers, never rounded floats. News that cancels out,
such as a success of one of two mirrored arms and of the other, shares one count. Agents who choose by Thompson's rule
after a private signal make each action a new piece of news, so there beliefs are merged only if they are equal to the
last bit. `simulate` draws what `exact_law` computes.

Sources: Rothschild (1974) for myopic play that stops learning; Thompson (1933).
Chapter: `many-agents/continuous-states`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from llma_tutorial import _validate
from llma_tutorial.beliefs import condition, draw, tie_law, tie_rule
from llma_tutorial.many_agents.public_beliefs import NEGLIGIBLE, from_counts, gather, merge, refuse_dropped
from llma_tutorial.many_agents.social import repeated_observations
from llma_tutorial.many_agents.societies import first_states

SEES = ("rewards", "actions")
POLICIES = ("myopic", "thompson")
SAME = 1e-12  # news whose likelihoods differ by less, relatively, says nothing


@dataclass(frozen=True, eq=False)
class BanditLine:
    """A line of agents who each pull one arm of a bandit with Bernoulli rewards.

    Parameters
    ----------
    arm_rates : array-like of shape (X, A)
        ``arm_rates[x, a]``: probability that arm a pays 1 in state x.
    prior : array-like of shape (X,)
        Law of the state, positive everywhere.
    observation_matrix : array-like of shape (X, Y), optional
        ``B[x, y] = P(y | x)``, the law of each agent's private signal; no signal if omitted.
    sees : {"rewards", "actions"}
        What agents know of each predecessor: its arm and its reward, or its arm only.
    policy : {"myopic", "thompson"}
        Pull the arm with the largest expected rate, or each arm with the probability that it is the best.
    exploration : float or array-like of shape (n_agents,)
        Probability that an agent pulls a uniformly drawn arm instead: one number for all, or one for each agent and
        at least as many as act. Everybody knows the probability, nobody sees who explores; entries 0 and 1 make
        explorers known.
    tie_break : {"signal", "first", "random"} or None
        What an indifferent myopic agent does, see the head of `llma_tutorial.beliefs`; None is the rule of the book,
        and the only value for Thompson's agents.

    Examples
    --------
    An old product satisfies half of its buyers; a new one satisfies 30 % or 70 %, and reviews are public.

    >>> line = BanditLine([[0.5, 0.3], [0.5, 0.7]], [0.5, 0.5], tie_break="random")
    >>> law = exact_law(line, 200)
    >>> law.stuck_probability[-1].round(3).tolist()  # on the worse product for ever, in each state
    [0.0, 0.429]
    """

    arm_rates: ArrayLike
    prior: ArrayLike
    observation_matrix: ArrayLike | None = None
    sees: str = "rewards"
    policy: str = "myopic"
    exploration: ArrayLike = 0.0
    tie_break: str | None = None

    def __post_init__(self) -> None:
        prior = _validate.probabilities("prior", self.prior, (None,))
        if (prior == 0).any():
            raise ValueError(
                f"`prior` must be positive in every state. Got 0 in state {prior.argmin()}: leave that state out."
            )
        rates = _validate.real_array("arm_rates", self.arm_rates, (prior.size, None))
        matrix = np.ones((prior.size, 1)) if self.observation_matrix is None else self.observation_matrix
        matrix = _validate.probabilities("observation_matrix", matrix, (prior.size, None))
        shape = (None,) if np.ndim(self.exploration) else ()
        exploration = _validate.real_array("exploration", self.exploration, shape)
        for name, values in (("arm_rates", rates), ("exploration", exploration)):
            wrong = values[(values < 0) | (values > 1)]
            if wrong.size:
                raise ValueError(f"`{name}` must hold probabilities, from 0 to 1. Got {wrong[0]:.6g}.")
        for name, options in (("sees", SEES), ("policy", POLICIES)):
            _validate.one_of(name, getattr(self, name), options)
        checked = {"arm_rates": rates, "prior": prior, "observation_matrix": matrix, "exploration": exploration}
        if self.policy == "myopic":
            checked["tie_break"] = tie_rule(self.tie_break, matrix.shape[1], rates.shape[1])
        elif self.tie_break is not None:
            raise ValueError(
                "`tie_break` must be None where agents choose by Thompson's rule, which draws in any case. "
                f"Got {self.tie_break!r}."
            )
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def best(self) -> np.ndarray:
        """Mask of shape (X, A): the arms that are best in each state."""
        return self.arm_rates >= self.arm_rates.max(axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class BanditLaw:
    """What happens with which probability in each state, exactly, made by `exact_law`.

    Attributes
    ----------
    line : BanditLine
    arm_probability : numpy.ndarray of shape (n_agents, X, A)
        Probability that agent k pulls arm a in state x.
    frozen_probability : numpy.ndarray of shape (n_agents, X)
        Probability that nothing that agent k can do or earn moves the public belief.
    stuck_probability : numpy.ndarray of shape (n_agents, X)
        Probability that agent k is frozen and pulls an arm that is not best.
    expected_belief : numpy.ndarray of shape (n_agents, X, X)
        ``expected_belief[k, x, i]``: mean public belief in state i before agent k acts, if x is true.
    dropped_mass : numpy.ndarray of shape (X,)
        Probability that was dropped in each state. Each probability above is too small by at most this much.
    n_beliefs : int
        The largest number of distinct beliefs held at one time.
    """

    line: BanditLine
    arm_probability: np.ndarray
    frozen_probability: np.ndarray
    stuck_probability: np.ndarray
    expected_belief: np.ndarray
    dropped_mass: np.ndarray
    n_beliefs: int

    @cached_property
    def regret(self) -> np.ndarray:
        """Expected reward that agent k forgoes against the best arm in state x, of shape (n_agents, X)."""
        rates = self.line.arm_rates
        return np.einsum("kxa,xa->kx", self.arm_probability, rates.max(axis=1, keepdims=True) - rates)

    @cached_property
    def best_arm_probability(self) -> np.ndarray:
        """Probability that agent k pulls a best arm in state x, of shape (n_agents, X)."""
        return np.einsum("kxa,xa->kx", self.arm_probability, self.line.best)


def exact_law(line: BanditLine, n_agents: int, max_beliefs: int = 100_000, tolerance: float = 1e-6) -> BanditLaw:
    """Probabilities of choices, of frozen beliefs and of being stuck, agent by agent, without simulation.

    Parameters
    ----------
    line : BanditLine
    n_agents : int
        Horizon: agents 0..n_agents-1.
    max_beliefs : int
        At most this many distinct public beliefs are carried; the least likely are dropped first.
    tolerance : float
        Largest probability that may be dropped, in any state.

    Raises
    ------
    ValueError
        If more than `tolerance` would have to be dropped, or `exploration` names too few agents.

    Examples
    --------
    >>> line = BanditLine([[0.5, 0.3], [0.5, 0.7]], [0.4, 0.6])
    >>> exact_law(line, 4).best_arm_probability[:, 1].round(3).tolist()  # each failure may be the last trial
    [1.0, 0.7, 0.7, 0.637]
    """
    n_agents = _validate.integer("n_agents", n_agents, 1)
    max_beliefs = _validate.integer("max_beliefs", max_beliefs, 1)
    tolerance = _validate.number("tolerance", tolerance, 0, 1)
    exploration = _exploration(line, n_agents)
    layers, (n_states, n_arms) = _Layers(line), line.arm_rates.shape
    arms, mean = np.zeros((n_agents, n_states, n_arms)), np.zeros((n_agents, n_states, n_states))
    frozen, stuck = np.zeros((2, n_agents, n_states))
    beliefs, keys, mass = line.prior[None], np.zeros((1, 0), dtype=np.int64), np.ones((1, n_states))
    dropped, most = np.zeros(n_states), 1
    for k in range(n_agents):
        law = _choice_law(line, beliefs, exploration[k])
        taken = np.einsum("xy,nya->nxa", line.observation_matrix, law)
        arms[k] = np.einsum("nx,nxa->xa", mass, taken)
        mean[k] = mass.T @ beliefs
        still = layers.frozen(beliefs, keys, taken)
        frozen[k] = mass[still].sum(axis=0)
        stuck[k] = np.einsum("nx,nxa,xa->x", mass[still], taken[still], ~line.best)
        if k + 1 < n_agents:
            beliefs, keys, mass, lost = layers.step(beliefs, keys, mass, law, taken, max_beliefs)
            dropped, most = dropped + lost, max(most, len(mass))
            refuse_dropped(dropped.max(), tolerance, max_beliefs, k)
    return BanditLaw(line, arms, frozen, stuck, mean, dropped, most)


@dataclass(frozen=True, eq=False)
class BanditRuns:
    """Simulated lines, made by `simulate`.

    Attributes
    ----------
    states : numpy.ndarray of shape (n_runs,)
    observations, actions, rewards : numpy.ndarray of shape (n_runs, n_agents)
        Private signals, arms pulled, and what they paid (also where nobody else saw it).
    public_beliefs : numpy.ndarray of shape (n_runs, n_agents + 1, X)
        ``public_beliefs[r, k]`` is what everybody believes before agent k acts.
    """

    states: np.ndarray
    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    public_beliefs: np.ndarray


def simulate(
    line: BanditLine, n_agents: int, n_runs: int, *, state: int | None = None, rng: np.random.Generator
) -> BanditRuns:
    """Simulate independent lines of agents at a bandit.

    Parameters
    ----------
    line : BanditLine
    n_agents, n_runs : int
        Length of each line, number of lines.
    state : int, optional
        The true state; drawn from the prior for each run if omitted.
    rng : numpy.random.Generator

    Examples
    --------
    >>> line = BanditLine([[0.5, 0.3], [0.5, 0.7]], [0.4, 0.6])
    >>> runs = simulate(line, 4, 10_000, state=1, rng=np.random.default_rng(1))
    >>> bool(abs((runs.actions[:, 1] == 1).mean() - 0.7) < 0.02)
    True
    """
    n_agents = _validate.integer("n_agents", n_agents, 1)
    n_runs = _validate.integer("n_runs", n_runs, 1)
    rng = _validate.generator(rng)
    exploration = _exploration(line, n_agents)
    n_states, all_runs = line.prior.size, np.arange(n_runs)
    states = first_states(line.prior, state, n_runs, rng)
    observations, actions, rewards = np.empty((3, n_runs, n_agents), dtype=np.int64)
    beliefs = np.empty((n_runs, n_agents + 1, n_states))
    beliefs[:, 0] = line.prior
    logs = np.tile(np.log(line.prior), (n_runs, 1))
    for k in range(n_agents):
        law = _choice_law(line, beliefs[:, k], exploration[k])
        observations[:, k] = draw(line.observation_matrix, rng.random(n_runs), states)
        actions[:, k] = arm = draw(law[all_runs, observations[:, k]], rng.random(n_runs))
        rewards[:, k] = rng.random(n_runs) < line.arm_rates[states, arm]
        news = law[all_runs, :, arm] @ line.observation_matrix.T
        if line.sees == "rewards":
            rates = line.arm_rates.T[arm]
            news = news * np.where(rewards[:, k, None] == 1, rates, 1 - rates)
        with np.errstate(divide="ignore"):  # a state can be ruled out
            logs = logs + np.log(news)
        logs -= logs.max(axis=1, keepdims=True)  # so that they stay within reach
        beliefs[:, k + 1] = softmax(logs, axis=1)
    return BanditRuns(states, observations, actions, rewards, beliefs)


def private_pulls(arm_rates: ArrayLike, n_pulls: int) -> np.ndarray:
    """Observation matrix of an agent that has tried every arm a few times before it chooses in public.

    Parameters
    ----------
    arm_rates : array-like of shape (X, A)
        Probability that each arm pays, in each state.
    n_pulls : int
        Private pulls of each arm.

    Returns
    -------
    numpy.ndarray of shape (X, (n_pulls + 1) ** A)
        One column for each vector of successes; those of the last arm run fastest.

    Examples
    --------
    >>> private_pulls([[0.5, 0.3], [0.5, 0.7]], 1).round(2).tolist()
    [[0.35, 0.15, 0.35, 0.15], [0.15, 0.35, 0.15, 0.35]]
    """
    rates = _validate.real_array("arm_rates", arm_rates, (None, None))
    joint = np.ones((len(rates), 1))
    for rate in rates.T:
        successes = repeated_observations(np.stack([1 - rate, rate], axis=1), n_pulls)
        joint = np.einsum("xi,xj->xij", joint, successes).reshape(len(rates), -1)
    return joint


def _exploration(line: BanditLine, n_agents: int) -> np.ndarray:
    """Probability of exploring for each of n_agents agents."""
    if line.exploration.ndim and line.exploration.size < n_agents:
        raise ValueError(
            "`exploration` must be one number, or hold one for each agent. "
            f"Got {line.exploration.size} for {n_agents} agents."
        )
    return np.broadcast_to(line.exploration, n_agents) if line.exploration.ndim == 0 else line.exploration[:n_agents]


def _choice_law(line: BanditLine, beliefs: np.ndarray, exploration: float) -> np.ndarray:
    """P(a | belief, y) at each of n public beliefs, of shape (n, Y, A)."""
    private, likelihood = condition(beliefs[:, None, :] * line.observation_matrix.T)  # beliefs after each signal
    if line.policy == "thompson":
        winners = line.best / line.best.sum(axis=1, keepdims=True)
        law = np.where(likelihood[:, :, None] > 0, private @ winners, 1 / winners.shape[1])
    else:
        own = np.arange(likelihood.shape[1])
        law = tie_law(private @ line.arm_rates, line.tie_break, scale=line.arm_rates.max(), own_action=own)
    return (1 - exploration) * law + exploration / line.arm_rates.shape[1]


class _Layers:
    """Moves the distinct public beliefs forward, layer by layer."""

    def __init__(self, line: BanditLine) -> None:
        self.line = line
        seen = line.sees == "rewards"
        rates = line.arm_rates[:, :, None]
        self.rewards = np.concatenate([1 - rates, rates], axis=2) if seen else np.ones_like(rates)  # (X, A, O)
        self.counted = line.policy == "myopic" or line.observation_matrix.shape[1] == 1
        self.columns: dict[tuple[float, ...], int] = {}
        self.log_factors = np.zeros((0, line.prior.size))

    def frozen(self, beliefs: np.ndarray, keys: np.ndarray, taken: np.ndarray) -> np.ndarray:
        """Mask of the beliefs that no outcome moves. A state counts until it is ruled out, not until it underflows."""
        outcomes = np.einsum("nxa,xao->nxao", taken, self.rewards)
        possible = (~self._ruled_out(keys) if self.counted else beliefs > 0)[:, :, None, None]
        high = np.where(possible, outcomes, -np.inf).max(axis=1)
        low = np.where(possible, outcomes, np.inf).min(axis=1)
        return (high - low <= SAME * high).all(axis=(1, 2))

    def step(self, beliefs, keys, mass, law, taken, max_beliefs):
        """Every belief times every outcome, merged: the next layer, its law, and what was left out."""
        children = np.einsum("nx,nxa,xao->naox", mass, taken, self.rewards)
        shape = children.shape[:3]
        children = children.reshape(-1, mass.shape[1])
        alive = np.flatnonzero(children.max(axis=1) > NEGLIGIBLE)
        node, arm, outcome = np.unravel_index(alive, shape)
        if self.counted:
            keys = self._count(keys[node], law[node, :, arm], arm, outcome)
            first, position = merge(keys)
            keys = keys[first]
            beliefs = from_counts(keys, self.log_factors, self.line.prior)
        else:
            beliefs, _ = condition(beliefs[node] * taken[node, :, arm] * self.rewards[:, arm, outcome].T)
            first, position = merge(beliefs)
            beliefs, keys = beliefs[first], np.zeros((first.size, 0), dtype=np.int64)
        merged = gather(children[alive], position, first.size)
        if len(merged) > max_beliefs:
            likely = np.sort(np.argsort(-(merged @ self.line.prior), kind="stable")[:max_beliefs])
            beliefs, keys, merged = beliefs[likely], keys[likely], merged[likely]
        return beliefs, keys, merged, np.maximum(mass.sum(axis=0) - merged.sum(axis=0), 0)

    def _count(self, keys: np.ndarray, weights: np.ndarray, arm: np.ndarray, outcome: np.ndarray) -> np.ndarray:
        """Counts after one more piece of news from the action, and one from the reward if it is seen."""
        first, position = merge(weights)
        spoken = np.array([self._column(self.line.observation_matrix @ weights[i]) for i in first])[position]
        paid = np.array([[self._column(factor) for factor in by_arm.T] for by_arm in self.rewards.swapaxes(0, 1)])
        longer = np.zeros((len(keys), len(self.log_factors)), dtype=np.int64)
        longer[:, : keys.shape[1]] = keys
        for column, sign in (spoken.T, paid[arm, outcome].T):
            told = np.flatnonzero(sign)
            longer[told, column[told]] += sign[told]
        return longer

    def _column(self, factor: np.ndarray) -> tuple[int, int]:
        """Column and sign of a likelihood: -1 if it undoes the news of that column, 0 if it says nothing."""
        if np.ptp(factor) <= SAME * factor.max():
            return 0, 0
        if factor.min() > 0:
            ratio = np.log(factor / factor[0])
            key, undone = (tuple((sign * ratio.round(12) + 0.0).tolist()) for sign in (1, -1))
        else:
            key, undone = (*(factor / factor.max()).round(12).tolist(), 0.0), None
        if undone in self.columns:
            return self.columns[undone], -1
        if key not in self.columns:
            self.columns[key] = len(self.log_factors)
            with np.errstate(divide="ignore"):
                self.log_factors = np.vstack([self.log_factors, np.log(factor / factor.max())])
        return self.columns[key], 1

    def _ruled_out(self, counts: np.ndarray) -> np.ndarray:
        """Mask (n, X) of the states that some news has made impossible."""
        return counts @ np.isneginf(self.log_factors[: counts.shape[1]]) > 0
