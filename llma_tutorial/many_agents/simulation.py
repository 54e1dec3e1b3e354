"""Simulated lines of agents: many runs at once, over the few public beliefs that they share.

Theory and primitives: `llma_tutorial.many_agents.social`. All runs advance together; each holds a place in the layer
of distinct beliefs, so that best responses are computed once for each belief and not once for each run. A run of a
fixed state is finished when every kind of agent that is still to come is in a cascade: what follows is one action for
each kind and an unmoved belief, filled in at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llma_tutorial import _validate
from llma_tutorial.many_agents._public_beliefs import Choices, Front, PublicBeliefs
from llma_tutorial.many_agents.society import MixedLine

if TYPE_CHECKING:
    from llma_tutorial.many_agents.society import SocialLearning

FIELDS = ("observations", "actions", "public_beliefs")
CHUNK = 1 << 19  # agent steps filled at a time, so that random numbers stay in the processor's cache


@dataclass(frozen=True, eq=False)
class Simulation:
    """Simulated runs, made by `simulate`; fields that were not kept are None.

    Attributes
    ----------
    states : numpy.ndarray of shape (n_runs,), or (n_runs, n_agents) if the state moves
    cascade_start : numpy.ndarray of shape (n_runs,)
        Index of the first agent whose signal cannot change its action, nor (if agents differ) that of any kind still
        to come could; -1 if there is none.
    cascade_action : numpy.ndarray of shape (n_runs,)
        The action of that agent, -1 if there is none.
    observations, actions : numpy.ndarray of shape (n_runs, n_agents), or None
    public_beliefs : numpy.ndarray of shape (n_runs, n_agents + 1, X), or None
        ``public_beliefs[r, k]`` is what everybody believes before agent k acts.
    """

    states: np.ndarray
    cascade_start: np.ndarray
    cascade_action: np.ndarray
    observations: np.ndarray | None = None
    actions: np.ndarray | None = None
    public_beliefs: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class _Step:
    """One agent of every run that is still open: which runs, what they saw and did, where the belief went."""

    runs: np.ndarray
    signals: np.ndarray
    actions: np.ndarray
    front: Front
    nodes: np.ndarray


def simulate(
    society: SocialLearning | MixedLine,
    n_agents: int,
    n_runs: int,
    *,
    state: int | None = None,
    keep: Sequence[str] = FIELDS,
    rng: np.random.Generator,
) -> Simulation:
    """Simulate independent lines of agents.

    Parameters
    ----------
    society : SocialLearning or MixedLine
    n_agents, n_runs : int
        Length of each line, number of lines.
    state : int, optional
        State before the first agent; drawn from the prior for each run if omitted.
    keep : sequence of {"observations", "actions", "public_beliefs"}
        Which histories to return; `states`, `cascade_start` and `cascade_action` always are.
    rng : numpy.random.Generator

    Returns
    -------
    Simulation

    Raises
    ------
    ValueError
        If an argument is malformed, or agents meet evidence that they hold impossible.

    Notes
    -----
    Used in the chapters `many-agents/social-learning` and `many-agents/cascades`, beside `exact_law`.

    Examples
    --------
    >>> from llma_tutorial.many_agents.social import SocialLearning
    >>> society = SocialLearning([[0.7, 0.3], [0.3, 0.7]], [[1, 0], [0, 1]], [0.5, 0.5])
    >>> runs = simulate(society, 50, 2000, keep=(), rng=np.random.default_rng(1))
    >>> bool(abs((runs.cascade_action == runs.states).mean() - 0.8448) < 0.03)
    True
    """
    n_agents = _validate.integer("n_agents", n_agents, 1)
    n_runs = _validate.integer("n_runs", n_runs, 1)
    rng = _validate.generator(rng)
    for field in keep:
        _validate.one_of("keep", field, FIELDS)
    line = MixedLine.of(society)
    places, shared = line.places(n_agents), line.kinds[0]
    n_states = shared.prior.size
    if state is None:
        states = _draw(np.broadcast_to(shared.prior.cumsum(), (n_runs, n_states)), rng)
    else:
        states = np.full(n_runs, _validate.integer("state", state, 0, n_states - 1), dtype=_small(n_states))
    start, herds = np.full(n_runs, -1), np.full((n_runs, len(line.kinds)), -1, dtype=np.int16)
    final = np.empty((n_runs, n_states)) if "public_beliefs" in keep else None
    path = [] if shared.transition_matrix is not None else None  # the states, when they move
    steps = list(_steps(line, places, states, start, herds, final, path, bool(keep), rng))
    if path is not None:
        states = np.stack(path, axis=1)
    kept = {}
    if "observations" in keep:
        kept["observations"] = _signals(line, states, places, steps, rng)
    if "actions" in keep:
        most = max(kind.utility.shape[1] for kind in line.kinds)
        kept["actions"] = np.empty((n_runs, n_agents), dtype=_small(most))
        kept["actions"][:] = herds if len(line.kinds) == 1 else herds[:, places]
        for k, step in enumerate(steps):
            kept["actions"][step.runs, k] = step.actions
    if final is not None:
        beliefs = kept["public_beliefs"] = np.empty((n_runs, n_agents + 1, n_states))
        for x in range(n_states):  # three times as fast as filling the short last axis at once
            beliefs[:, :, x] = final[:, x, None]
        beliefs[:, 0] = shared.assumed_prior
        for k, step in enumerate(steps):
            beliefs[step.runs, k + 1] = step.front.beliefs[step.nodes]
    action = np.where(start < 0, -1, herds[np.arange(n_runs), places[start]])
    return Simulation(states, start, action, **kept)


def _steps(line, places, states, start, herds, final, path, keep, rng):
    """Advance the open runs agent by agent; yields a `_Step` for each agent if anything is kept."""
    beliefs = PublicBeliefs(line)
    front, runs = beliefs.start(), np.arange(states.size)
    nodes = np.zeros(runs.size, dtype=np.int64)
    for k, place in enumerate(places):
        matrix = line.kinds[place].observation_matrix
        if path is not None:
            states = _draw(beliefs.transition.cumsum(axis=1)[states], rng)
            path.append(states)
        choices = beliefs.choices(beliefs.move(front.beliefs), place)
        if (choices.likelihood <= 0).any():
            possible = np.zeros(choices.likelihood.shape, dtype=bool)
            np.logical_or.at(possible, nodes, matrix[states[runs]] > 0)
            choices.refuse_impossible(possible)
        begun, actions = beliefs.settled(choices, k)
        entered = np.flatnonzero(begun[nodes] & (start[runs] < 0))
        start[runs[entered]] = k
        herds[runs[entered]] = actions[nodes[entered]]
        if path is None and entered.size:
            if final is not None:
                final[runs[entered]] = front.beliefs[nodes[entered]]
            still = ~begun[nodes]
            runs, nodes = runs[still], nodes[still]
            if runs.size == 0:
                return
        signals = _draw(matrix.cumsum(axis=1)[states[runs]], rng)
        actions = _act(choices, nodes, signals, rng)
        front, nodes = _follow(beliefs, front, choices, nodes, actions)
        if keep:
            yield _Step(runs, signals, actions, front, nodes)


def _act(choices: Choices, nodes: np.ndarray, signals: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Actions at the given beliefs and signals; a random number is drawn only where actions tie."""
    _, n_signals, n_actions = choices.law.shape
    place = nodes * n_signals + signals
    law = choices.law.reshape(-1, n_actions)
    actions = law.argmax(axis=1).astype(_small(n_actions))[place]
    tied = np.flatnonzero(law.max(axis=1)[place] < 1)
    if tied.size:
        actions[tied] = _draw(law[place[tied]].cumsum(axis=1), rng)
    return actions


def _follow(beliefs: PublicBeliefs, front: Front, choices: Choices, nodes: np.ndarray, actions: np.ndarray):
    """The next layer, with only the beliefs that some run reaches, and each run's place in it."""
    n_actions = choices.law.shape[2]
    child = nodes * n_actions + actions
    reached = np.flatnonzero(np.bincount(child, minlength=len(front.beliefs) * n_actions))
    front, position = beliefs.step(front, choices, *np.divmod(reached, n_actions))
    place = np.zeros(len(choices.law) * n_actions, dtype=np.int64)
    place[reached] = position
    return front, place[child]


def _signals(line, states, places, steps, rng) -> np.ndarray:
    """Signals of every agent: fresh ones in cascades, where nobody's action depends on them, the seen ones before."""
    n_runs, n_signals = len(states), max(kind.observation_matrix.shape[1] for kind in line.kinds)
    signals = np.zeros((n_runs, places.size), dtype=_small(n_signals))
    for place, kind in enumerate(line.kinds):
        if kind.transition_matrix is not None:
            break
        bounds = kind.observation_matrix.cumsum(axis=1)[states]
        mine = slice(None) if len(line.kinds) == 1 else np.flatnonzero(places == place)
        for first in range(0, n_runs, max(1, CHUNK // places.size)):
            rows = slice(first, first + max(1, CHUNK // places.size))
            uniform = rng.random(signals[rows, mine].shape)
            for y in range(kind.observation_matrix.shape[1] - 1):
                signals[rows, mine] += uniform >= bounds[rows, y : y + 1]
    for k, step in enumerate(steps):
        signals[step.runs, k] = step.signals
    return signals


def _draw(cumulative: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One draw from each row of cumulative probabilities."""
    uniform = rng.random(len(cumulative))
    drawn = np.zeros(len(cumulative), dtype=_small(cumulative.shape[1]))
    for y in range(cumulative.shape[1] - 1):
        drawn += uniform >= cumulative[:, y]
    return drawn


def _small(size: int) -> type:
    """The integers that hold 0..size-1 in the least memory."""
    return np.int8 if size <= 127 else np.int64
