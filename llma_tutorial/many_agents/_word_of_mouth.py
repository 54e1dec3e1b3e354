"""Word of mouth: exact error variances of a chain of talk, and simulated chains.

Theory: the head of `llma_tutorial.many_agents.gaussian`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llma_tutorial import _validate


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

    Returns
    -------
    WordOfMouth

    Raises
    ------
    ValueError
        If a number is out of range.

    Notes
    -----
    Derived in the chapter `many-agents/word-of-mouth`.

    Examples
    --------
    >>> word_of_mouth(1, 3).variance.round(4).tolist()  # one over 2, 3, 4: an average of observations
    [0.5, 0.3333, 0.25]
    >>> word_of_mouth(2, 3).variance.round(4).tolist()
    [0.8333, 0.7293, 0.6569]
    """
    n_agents = _validate.integer("n_agents", n_agents, 1)
    n_rounds = _validate.integer("n_rounds", n_rounds, 1)
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

    Returns
    -------
    TalkRuns

    Raises
    ------
    ValueError
        If `n_runs` is no positive whole number.
    TypeError
        If `rng` is no numpy Generator.

    Notes
    -----
    Used in the chapter `many-agents/word-of-mouth`, beside the exact variances.

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
