r"""Gaussian agents: learning from talk, from noisy actions, and from one's own products.

With a normal state and normal noise every belief is normal, every Bayes-optimal estimate is linear, and the error
variance obeys a recursion without randomness. The three models of this module are such recursions, each with a
simulation that draws what the recursion averages.

Word of mouth (`_word_of_mouth.py`). x ~ N(0, v_0). In each round a chain of L new agents talks, all knowing the
estimate with which the round began, whose error variance is v. Agent 0 sees y = x + noise of variance r; each next one
hears the estimate of the one before plus noise of variance t; the last estimate begins the next round. What agent j
hears amounts to a reading of x whose noise has variance R_j,

    R_0 = r,    R_{j+1} = R_j + t / K_j^2,    K_j = v / (v + R_j),    v' = v R_{L-1} / (v + R_{L-1})

because an estimate moves only by K_j times the news, so noise on top of it counts 1 / K_j as much. For small v,
R_{L-1} ~ r^(2^(L-1)) t^(2^(L-1) - 1) v^(-(2^L - 2)): the better the group knows, the less it hears.

Noisy actions (this file). Agent k sees a private signal of precision s and the actions of all predecessors, and acts on
its estimate; others see the action plus noise of precision t. With public precision p the weight on the signal is
s / (p + s), so an action is a reading of x with variance 1/s + (p + s)^2 / (s^2 t), and p grows like (3 s^2 t k)^(1/3).

Self-consuming estimation (`_self_consuming.py`, theory at its head). A normal law is refitted to its own samples, with
fresh data or without.

Sources: Krishnamurthy & Rojas (2024) for word of mouth, Vives (1993, 1997) for noisy actions, Shumailov et
al. (2024) for models fed with models. Chapters: `many-agents/word-of-mouth`, `many-agents/continuous-states`,
`many-agents/model-collapse`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llma_tutorial import _validate
from llma_tutorial.many_agents._self_consuming import (
    Generations,
    SelfConsuming,
    self_consuming,
    simulate_self_consuming,
    simulate_words,
)
from llma_tutorial.many_agents._word_of_mouth import TalkRuns, WordOfMouth, simulate_word_of_mouth, word_of_mouth

__all__ = [
    "ActionRuns",
    "Generations",
    "NoisyActions",
    "SelfConsuming",
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

    Returns
    -------
    NoisyActions

    Raises
    ------
    ValueError
        If a number is out of range.

    Notes
    -----
    Derived in the chapter `many-agents/continuous-states`.

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

    Returns
    -------
    ActionRuns

    Raises
    ------
    ValueError
        If `n_runs` is no positive whole number.
    TypeError
        If `rng` is no numpy Generator.

    Notes
    -----
    Used in the chapter `many-agents/continuous-states`, beside the exact precision.

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
