r"""Gaussian agents: learning from talk and from noisy actions.

With a normal state and normal noise every belief is normal, every Bayes-optimal estimate is linear, and the error
variance obeys a recursion without randomness. The models of this module are such recursions, each with a simulation
that draws what the recursion averages.

Word of mouth (chapter `many-agents/word-of-mouth`). x ~ N(0, v_0). In each round a chain of L new agents talks, all
knowing the estimate with which the round began, whose error variance is v. Agent 0 sees y = x + noise of variance r;
each next one hears the estimate of the one before plus noise of variance t; the last estimate begins the next round.
What agent j hears amounts to a reading of x whose noise has variance R_j,

    R_0 = r,    R_{j+1} = R_j + t / K_j^2,    K_j = v / (v + R_j),    v' = v R_{L-1} / (v + R_{L-1})

because an estimate moves only by K_j times the news, so noise on top of it counts 1 / K_j as much. For small v,
R_{L-1} ~ r^(2^(L-1)) t^(2^(L-1) - 1) v^(-(2^L - 2)): the better the group knows, the less it hears.

Noisy actions (chapter `many-agents/continuous-states`). Agent k sees a private signal of precision s and the actions of
all predecessors, and acts on its estimate; others see the action plus noise of precision t. With public precision p the
weight on the signal is s / (p + s), so an action is a reading of x with variance 1/s + (p + s)^2 / (s^2 t), and p grows
like (3 s^2 t k)^(1/3).

Importable from here too: learning from one's own products (`self_consuming.py`).

Sources: Krishnamurthy & Rojas (2024) for word of mouth, Vives (1993, 1997) for noisy actions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llma_tutorial import _validate
from llma_tutorial.many_agents.self_consuming import (
    SelfConsuming,
    SelfConsumingRuns,
    self_consuming,
    simulate_self_consuming,
    simulate_words,
)

__all__ = [
    "ActionRuns",
    "NoisyActions",
    "SelfConsuming",
    "SelfConsumingRuns",
    "TalkRuns",
    "WordOfMouth",
    "noisy_actions",
    "self_consuming",
    "simulate_noisy_actions",
    "simulate_self_consuming",
    "simulate_word_of_mouth",
    "simulate_words",
    "word_of_mouth",
]


@dataclass(frozen=True, eq=False)
class WordOfMouth:
    """Error variances of a chain of talk, made by `word_of_mouth`.

    Attributes
    ----------
    variance : numpy.ndarray of shape (n_rounds,)
        Error variance of the last agent's estimate after each round.
    believed_variance : numpy.ndarray of shape (n_rounds,)
        The error variance that this agent believes it has; the same for Bayesian listeners.
    weights : numpy.ndarray of shape (n_rounds, n_agents)
        How far each agent moves from the round's first estimate towards what it sees or hears.
    asymptote : numpy.ndarray of shape (n_rounds,), or None
        The power law that `variance` approaches; None for naive listeners, whose variance approaches a constant.
    prior_variance, observation_variance, talk_variance : float
    """

    variance: np.ndarray
    believed_variance: np.ndarray
    weights: np.ndarray
    asymptote: np.ndarray | None
    prior_variance: float
    observation_variance: float
    talk_variance: float


def word_of_mouth(
    n_agents: int,
    n_rounds: int,
    *,
    prior_variance: float = 1.0,
    observation_variance: float = 1.0,
    talk_variance: float = 1.0,
    naive: bool = False,
) -> WordOfMouth:
    """Exact error variances when each agent learns what the agent before it says.

    Parameters
    ----------
    n_agents : int
        Agents in each round; the first one observes, the others listen.
    n_rounds : int
        The last agent's estimate begins the next round.
    prior_variance, observation_variance : float
        Of the state, and of the noise in what the first agent sees; positive.
    talk_variance : float
        Of the noise in what each listener hears; 0 is allowed.
    naive : bool
        Listeners take what they hear for an observation that is independent of what they know already.

    Examples
    --------
    >>> word_of_mouth(1, 3).variance.round(4).tolist()  # one over 2, 3, 4: an average of observations
    [0.5, 0.3333, 0.25]
    >>> word_of_mouth(2, 3).variance.round(4).tolist()
    [0.8333, 0.7293, 0.6569]
    """
    n_agents = _validate.integer("n_agents", n_agents, 1)
    n_rounds = _validate.integer("n_rounds", n_rounds, 1)
    if naive not in (True, False):
        raise ValueError(f"`naive` must be True or False. Got {naive!r}.")
    v = actual = prior_variance = _validate.positive("prior_variance", prior_variance)
    seen = _validate.positive("observation_variance", observation_variance)
    talk = _validate.number("talk_variance", talk_variance, 0)
    variance, believed, weights = np.empty(n_rounds), np.empty(n_rounds), np.empty((n_rounds, n_agents))
    chain = _naive_round if naive else _bayesian_round
    for k in range(n_rounds):
        weights[k], moved, noise, v = chain(v, n_agents, seen, talk)
        actual = (1 - moved) ** 2 * actual + moved**2 * noise if naive else v
        variance[k], believed[k] = actual, v
    law = None if naive else _power_law(n_agents, np.arange(1, n_rounds + 1), seen, talk)
    return WordOfMouth(*map(_validate.read_only, (variance, believed, weights, law)), prior_variance, seen, talk)


def _bayesian_round(v: float, n_agents: int, seen: float, talk: float) -> tuple:
    """Weights; how far the last estimate moves towards x, and the noise in that direction; its error variance."""
    noise, moved, weights = seen, v / (v + seen), []
    weights.append(moved)
    for _ in range(n_agents - 1):
        noise += talk / moved**2
        before, moved = moved, v / (v + noise)
        weights.append(moved / before)
    return weights, moved, noise, v * noise / (v + noise)


def _naive_round(v: float, n_agents: int, seen: float, talk: float) -> tuple:
    """The same for listeners who count the group's old estimate again each time they hear it."""
    noise, moved, weights, own = seen, v / (v + seen), [], v * seen / (v + seen)
    weights.append(moved)
    for _ in range(n_agents - 1):
        heard = own + talk
        noise += talk / moved**2
        weights.append(v / (v + heard))
        moved *= weights[-1]
        own = v * heard / (v + heard)
    return weights, moved, noise, own


def _power_law(n_agents: int, rounds: np.ndarray, seen: float, talk: float) -> np.ndarray:
    """v_k ~ ((2^L - 1) k / C)^(-1/(2^L - 1)), R_{L-1} ~ C v^(-(2^L - 2)); without noise in the talk as for L = 1."""
    half = 2 ** (n_agents - 1) if talk else 1
    power = 2 * half - 1
    return (power * rounds / (seen**half * talk ** (half - 1))) ** (-1 / power)


@dataclass(frozen=True, eq=False)
class TalkRuns:
    """Simulated chains of talk, made by `simulate_word_of_mouth`.

    Attributes
    ----------
    states : numpy.ndarray of shape (n_runs,)
    estimates : numpy.ndarray of shape (n_runs, n_rounds, n_agents)
        Each agent's estimate of the state; the last of a round begins the next.
    """

    states: np.ndarray
    estimates: np.ndarray


def simulate_word_of_mouth(law: WordOfMouth, n_runs: int, *, rng: np.random.Generator) -> TalkRuns:
    """Simulate independent groups that talk with the weights of `law`.

    Parameters
    ----------
    law : WordOfMouth
        Made by `word_of_mouth`; gives rounds, agents, noise and weights.
    n_runs : int
    rng : numpy.random.Generator

    Examples
    --------
    >>> law = word_of_mouth(2, 30)
    >>> runs = simulate_word_of_mouth(law, 4000, rng=np.random.default_rng(1))
    >>> error = runs.estimates[:, -1, -1] - runs.states
    >>> bool(abs((error**2).mean() / law.variance[-1] - 1) < 0.1)
    True
    """
    n_runs = _validate.integer("n_runs", n_runs, 1)
    rng = _validate.generator(rng)
    spread = np.sqrt([law.observation_variance] + [law.talk_variance] * (law.weights.shape[1] - 1))
    states = np.sqrt(law.prior_variance) * rng.standard_normal(n_runs)
    estimates = np.empty((n_runs, *law.weights.shape))
    known = np.zeros(n_runs)
    for k, weights in enumerate(law.weights):
        said = states
        for j, (weight, noise) in enumerate(zip(weights, spread, strict=True)):
            said = known + weight * (said + noise * rng.standard_normal(n_runs) - known)
            estimates[:, k, j] = said
        known = said
    return TalkRuns(states, estimates)


@dataclass(frozen=True, eq=False)
class NoisyActions:
    """Public precision when continuous actions are seen with noise, made by `noisy_actions`.

    Attributes
    ----------
    precision : numpy.ndarray of shape (n_agents + 1,)
        One over the variance of the public belief before agent k acts.
    weights : numpy.ndarray of shape (n_agents,)
        Weight of agent k on its own signal; the rest is on the public mean.
    asymptote : numpy.ndarray of shape (n_agents + 1,)
        (3 s^2 t k)^(1/3), which `precision` approaches; s k if there is no noise.
    signal_precision, noise_precision : float
    """

    precision: np.ndarray
    weights: np.ndarray
    asymptote: np.ndarray
    signal_precision: float
    noise_precision: float


def noisy_actions(
    n_agents: int, *, signal_precision: float = 1.0, noise_precision: float = 1.0, prior_precision: float = 1.0
) -> NoisyActions:
    """Exact public precision of a line of agents whose action is their estimate, seen with noise.

    Parameters
    ----------
    n_agents : int
        Agents in the line.
    signal_precision : float
        s, one over the variance of each private signal; positive.
    noise_precision : float
        t, one over the variance of the noise with which actions are seen; positive, ``np.inf`` for no noise.
    prior_precision : float
        One over the variance of the state; positive.

    Examples
    --------
    >>> line = noisy_actions(1_000_000)
    >>> print(f"{line.precision[-1]:.1f} {line.asymptote[-1]:.1f}")
    143.2 144.2
    """
    n_agents = _validate.integer("n_agents", n_agents, 1)
    s = _validate.positive("signal_precision", signal_precision)
    t = np.inf if noise_precision == np.inf else _validate.positive("noise_precision", noise_precision)
    precision = np.empty(n_agents + 1)
    p = precision[0] = _validate.positive("prior_precision", prior_precision)
    for k in range(1, n_agents + 1):
        p += 1 / (1 / s + (p + s) ** 2 / (s * s * t))
        precision[k] = p
    agents = np.arange(n_agents + 1)
    law = np.cbrt(3 * s**2 * t * agents) if np.isfinite(t) else s * agents
    return NoisyActions(*map(_validate.read_only, (precision, s / (precision[:-1] + s), law)), s, t)


@dataclass(frozen=True, eq=False)
class ActionRuns:
    """Simulated lines of agents with noisy actions, made by `simulate_noisy_actions`.

    Attributes
    ----------
    states : numpy.ndarray of shape (n_runs,)
    observations : numpy.ndarray of shape (n_runs, n_agents)
        Private signals.
    actions : numpy.ndarray of shape (n_runs, n_agents)
        What others see: each agent's estimate plus noise.
    public_means : numpy.ndarray of shape (n_runs, n_agents + 1)
        Mean of the public belief before agent k acts.
    """

    states: np.ndarray
    observations: np.ndarray
    actions: np.ndarray
    public_means: np.ndarray


def simulate_noisy_actions(law: NoisyActions, n_runs: int, *, rng: np.random.Generator) -> ActionRuns:
    """Simulate independent lines of agents; the public learns from each action by Bayes' rule.

    Parameters
    ----------
    law : NoisyActions
        Made by `noisy_actions`; gives the precisions and the weights.
    n_runs : int
    rng : numpy.random.Generator

    Examples
    --------
    >>> line = noisy_actions(50)
    >>> runs = simulate_noisy_actions(line, 4000, rng=np.random.default_rng(1))
    >>> error = runs.public_means[:, -1] - runs.states
    >>> bool(abs((error**2).mean() * line.precision[-1] - 1) < 0.1)
    True
    """
    n_runs = _validate.integer("n_runs", n_runs, 1)
    rng = _validate.generator(rng)
    n_agents = law.weights.size
    states = rng.standard_normal(n_runs) / np.sqrt(law.precision[0])
    observations = states[:, None] + rng.standard_normal((n_runs, n_agents)) / np.sqrt(law.signal_precision)
    actions = rng.standard_normal((n_runs, n_agents)) / np.sqrt(law.noise_precision)  # the noise first
    means = np.zeros((n_runs, n_agents + 1))
    for k, weight in enumerate(law.weights):
        actions[:, k] += means[:, k] + weight * (observations[:, k] - means[:, k])
        reading = means[:, k] + (actions[:, k] - means[:, k]) / weight  # the state plus noise, whatever the weight
        gain = 1 - law.precision[k] / law.precision[k + 1]
        means[:, k + 1] = means[:, k] + gain * (reading - means[:, k])
    return ActionRuns(states, observations, actions, means)
