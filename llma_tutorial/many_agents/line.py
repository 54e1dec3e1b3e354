r"""A line of agents who read: each has its own text, and everybody sees what the others did.

Primitives: an agent (sensor, observation matrix B, utility, prior) and a text z_k for each place k in the line. With
y_k the symbol that the sensor makes of z_k, everything else is the theory of `llma_tutorial.many_agents.social`:

    a_k  =  argmax_a sum_x eta(x) u(x, a),  eta(x) prop. to B[x, y_k] pi_k(x),      pi_{k+1} prop. to R_a pi_k

with B the matrix that the agents hold true. What the texts really say, given the state, is up to the texts: the lines
of one matrix read in another world show what a wrong B does to a crowd.
Chapters: `reading/bayesian-engine`, `many-agents/herding-in-text`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.many_agents._public_beliefs import PublicBeliefs
from llma_tutorial.many_agents.simulation import Simulation, _act, _follow
from llma_tutorial.many_agents.society import SocialLearning

if TYPE_CHECKING:
    from llma_tutorial.reading.agents import Agent


def simulate_line(
    agent: Agent, texts: Sequence[str] | Sequence[Sequence[str]], states: ArrayLike, *, rng: np.random.Generator
) -> Simulation:
    """Let equal agents read one text each, one after the other, in one line or several.

    Parameters
    ----------
    agent : Agent
        What every agent of the line is; its observation matrix is the one that all of them hold true.
    texts : sequence of str, or sequence of sequences of str
        The text of each agent of one line; or several lines of the same length.
    states : array-like of int
        The true state of each text, in the shape of `texts`; or one for each line. Nothing that agents do depends
        on it.
    rng : numpy.random.Generator
        For ties at random.

    Returns
    -------
    Simulation
        As `simulate` returns it, one row for each line, `observations` being the symbols that the sensor read.

    Raises
    ------
    ValueError
        If lines differ in length, states do not fit, or agents read what they hold impossible.

    Notes
    -----
    Used in the chapter `reading/bayesian-engine`.

    Examples
    --------
    >>> from llma_tutorial.reading.agents import Agent, Sensor
    >>> class Shouting:
    ...     def score(self, texts, questions, options):
    ...         return np.log([[[0.8, 0.1, 0.1] if "!" in text else [0.1, 0.1, 0.8]] for text in texts])
    >>> agent = Agent(Sensor(Shouting(), ["is it loud?"]), [[0.7, 0.3], [0.3, 0.7]], np.eye(2), [0.5, 0.5])
    >>> line = simulate_line(agent, ["It broke!", "It broke!", "Fine.", "Fine."], 1, rng=np.random.default_rng(1))
    >>> line.actions.tolist(), line.cascade_start.tolist()
    ([[1, 1, 1, 1]], [2])
    """
    rng = _validate.generator(rng)
    lines = _lines(texts)
    n_runs, n_agents = len(lines), len(lines[0])
    states = _states(states, agent.prior.size, n_runs, n_agents)
    symbols = agent.sensor.read([text for line in lines for text in line]).symbols.reshape(n_runs, n_agents)
    society = SocialLearning(agent.likelihood.observation_matrix, agent.utility, agent.prior, tie_break=agent.tie_break)
    return _follow_symbols(society, states, symbols, rng)


def _follow_symbols(
    society: SocialLearning, states: np.ndarray, symbols: np.ndarray, rng: np.random.Generator
) -> Simulation:
    """What a society does that receives the given symbols (runs, agents): all runs at once, agent by agent."""
    n_runs, n_agents = symbols.shape
    beliefs, nodes = PublicBeliefs(society), np.zeros(n_runs, dtype=np.int64)
    front, start, herd = beliefs.start(), np.full(n_runs, -1), np.full(n_runs, -1)
    actions, public = np.empty((n_runs, n_agents), dtype=np.int64), [np.tile(society.assumed_prior, (n_runs, 1))]
    for k, seen in enumerate(symbols.T):
        choices = beliefs.choices(front.beliefs)
        came = np.zeros(choices.likelihood.shape, dtype=bool)
        came[nodes, seen] = True
        choices.refuse_impossible(came)
        entered = (choices.cascade[nodes] >= 0) & (start < 0)
        start[entered], herd[entered] = k, choices.cascade[nodes[entered]]
        actions[:, k] = _act(choices, nodes, seen, rng)
        front, nodes = _follow(beliefs, front, choices, nodes, actions[:, k])
        public.append(front.beliefs[nodes])
    return Simulation(states, start, herd, symbols, actions, np.stack(public, axis=1))


def _lines(texts: Sequence) -> list[list[str]]:
    """One line or several, as a list of lists of equal lengths."""
    if isinstance(texts, str):
        raise TypeError("`texts` must be a list of strings, one for each agent. Got one string.")
    single = [isinstance(text, str) for text in texts]
    lines = [list(texts)] if all(single) else [list(line) for line in texts]
    lengths = sorted({len(line) for line in lines})
    if len(lengths) != 1 or lengths[0] == 0 or (any(single) and not all(single)):
        raise ValueError(f"`texts` must be one line of texts, or several of the same length. Got lengths {lengths}.")
    return lines


def _states(states: ArrayLike, n_states: int, n_runs: int, n_agents: int) -> np.ndarray:
    """True states, one for each line (n_runs,) or one for each text (n_runs, n_agents)."""
    states = _validate.integers("states", states, n_states)
    if states.ndim == 0 or (n_runs == 1 and states.shape == (n_agents,) != (1,)):
        states = states[None]
    if states.shape not in ((n_runs,), (n_runs, n_agents)):
        raise ValueError(
            f"`states` must have one entry for each of the {n_runs} lines or of their {n_agents} texts. "
            f"Got shape {states.shape}."
        )
    return states
