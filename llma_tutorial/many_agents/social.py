r"""Bayesian social learning: a line of agents who act on their own signal and on what others did before them.

Primitives: a state x with prior pi_0 (and transitions P[x, x'], the identity if the state is fixed); agent k = 0, 1,
... receives y_k ~ B[x_k, :], sees the actions of all its predecessors but not their signals, and takes the action with
the largest expected utility u[x, a] at its private belief. Everybody knows this, so the public belief pi_k follows

    private belief   eta(x)     =  B[x, y] (P' pi_k)(x), normalised
    action           a_k        =  argmax_a  sum_x eta(x) u(x, a)           ties by the rule `tie_break`
    public belief    pi_{k+1}   =  R_a P' pi_k, normalised,   R_a(x) = sum_y B[x, y] P(a | pi_k, y)

A cascade on action a has begun when every signal leads to a; then R_a = 1 and, for a fixed state, the public belief
never moves again. `assumed_prior` and `assumed_observation_matrix` are what the agents believe when that differs from
the truth; evidence that they hold impossible is refused wherever it comes.

`exact_law` carries the joint law of (state, public belief) forward and merges equal beliefs. What lies in a cascade is
put aside, since nothing changes there; the work ends when nothing is left outside. With agents of several kinds it is
put aside once every kind that is still to come rests. A moving state offers no merging and no end of the work; what has
to be dropped then is returned as `dropped_mass`, and the law is a bracket.

`simulate` advances all runs together; each holds a place in the layer of distinct beliefs, so that best responses are
computed once for each belief and not once for each run. A run of a fixed state is finished when every kind still to
come is in a cascade: what follows is one action for each kind and an unmoved belief, filled in at once.

`simulate_line` lets agents read: each has its own text z_k, its signal y_k is the symbol that the sensor makes of z_k,
and B is the matrix that the agents hold true. What the texts really say, given the state, is up to the texts: the lines
of one matrix read in another world show what a wrong B does to a crowd.

Importable from here too: the models (`societies.py`), cascade regions and the length of herds (`regions.py`), agents
who see some of their predecessors only (`views.py`). `public_beliefs.py` is the engine under all of them.

Sources: Bikhchandani, Hirshleifer & Welch (1992); Smith & Sorensen (2000); Krishnamurthy, Partially Observed Markov
Decision Processes. Chapters: `many-agents/social-learning`, `many-agents/cascades`, `many-agents/three-states`,
`many-agents/herding-in-text`, `reading/bayesian-engine`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import factorial, prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.beliefs import draw
from llma_tutorial.many_agents.public_beliefs import NEGLIGIBLE, Choices, Front, PublicBeliefs, gather, refuse_dropped
from llma_tutorial.many_agents.regions import CascadeRegion, cascade_region, herd_length
from llma_tutorial.many_agents.societies import MixedLine, SocialLearning, first_states
from llma_tutorial.many_agents.views import PartialView, ViewLaw, ViewRuns, simulate_view, view_law

if TYPE_CHECKING:
    from llma_tutorial.reading.agents import Agent

__all__ = [
    "CascadeRegion",
    "ExactLaw",
    "MixedLine",
    "PartialView",
    "SocialLearning",
    "SocialRuns",
    "ViewLaw",
    "ViewRuns",
    "cascade_region",
    "exact_law",
    "herd_length",
    "repeated_observations",
    "simulate",
    "simulate_line",
    "simulate_view",
    "view_law",
]

FIELDS = ("observations", "actions", "public_beliefs")
CHUNK = 1 << 19  # agent steps filled at a time, so that random numbers stay in the processor's cache


@dataclass(frozen=True, eq=False)
class ExactLaw:
    """What happens with which probability, exactly, made by `exact_law`.

    Attributes
    ----------
    cascade_probability : numpy.ndarray of shape (n_agents,)
        Probability that agent k is in a cascade: its signal cannot change its action.
    correct_action_probability : numpy.ndarray of shape (n_agents,)
        Probability that agent k takes an action that is best in the true state.
    correct_cascade_probability : float
        Probability that the onset comes within the horizon, on an action that is best in the state of that moment
        (for every kind still to come, if agents differ).
    expected_onset : float
        Expected onset, cut at the horizon: E[min(onset, n_agents)]. The onset is the first agent in a cascade; if
        agents differ, the first with whom every kind that is still to come is in one.
    undecided_mass : float
        Probability that the onset does not come within the horizon.
    dropped_mass : float
        Probability of the beliefs that were dropped. Each probability above is too small by at most this much.
    n_beliefs : int
        The largest number of distinct beliefs held at one time.
    """

    cascade_probability: np.ndarray
    correct_action_probability: np.ndarray
    correct_cascade_probability: float
    expected_onset: float
    undecided_mass: float
    dropped_mass: float
    n_beliefs: int


def exact_law(
    society: SocialLearning | MixedLine, n_agents: int, max_beliefs: int = 100_000, tolerance: float = 1e-6
) -> ExactLaw:
    """Probabilities of cascades and of correct actions, agent by agent, without simulation.

    Parameters
    ----------
    society : SocialLearning or MixedLine
    n_agents : int
        Horizon: agents 0..n_agents-1.
    max_beliefs : int
        At most this many distinct public beliefs are carried; the least likely are dropped first. With a moving
        state their number doubles or triples with each agent, and dropping is how one goes beyond some twenty.
    tolerance : float
        Largest probability that may be dropped.

    Raises
    ------
    ValueError
        If more than `tolerance` would have to be dropped, or agents meet evidence that they hold impossible.

    Notes
    -----
    Chapter `many-agents/cascades`.

    Examples
    --------
    >>> society = SocialLearning([[0.7, 0.3], [0.3, 0.7]], [[1, 0], [0, 1]], [0.5, 0.5])
    >>> exact_law(society, 5).cascade_probability.round(4).tolist()
    [0.0, 0.0, 0.58, 0.58, 0.8236]
    """
    n_agents = _validate.integer("n_agents", n_agents, 1)
    max_beliefs = _validate.integer("max_beliefs", max_beliefs, 1)
    tolerance = _validate.number("tolerance", tolerance, 0, 1)
    simple = isinstance(society, SocialLearning) and society.transition_matrix is None
    return (_plain_law if simple else _general_law)(society, n_agents, max_beliefs, tolerance)


def _plain_law(society: SocialLearning, n_agents: int, max_beliefs: int, tolerance: float) -> ExactLaw:
    """Agents of one kind and a fixed state: the loop of the theory."""
    beliefs, matrix = PublicBeliefs(society), society.observation_matrix
    front, joint = beliefs.start(), society.prior[None]  # joint law of (belief, state) outside cascades
    resting = resting_right = dropped = 0.0  # mass put aside in cascades, and what of it rests on a right action
    cascade, right, undecided = np.zeros((3, n_agents))
    most = 1
    for k in range(n_agents):
        if len(front.beliefs) == 0:  # everybody rests in a cascade
            cascade[k:], right[k:] = resting, resting_right
            break
        choices = beliefs.choices(front.beliefs)
        choices.refuse_impossible(joint @ matrix > NEGLIGIBLE)
        herding = choices.cascade >= 0
        resting += joint[herding].sum()
        resting_right += (joint[herding] * society.correct.T[choices.cascade[herding]]).sum()
        joint = joint * ~herding[:, None]
        taken = choices.action_law(matrix)
        cascade[k], undecided[k] = resting, joint.sum()
        right[k] = resting_right + np.einsum("nx,nxa,xa->", joint, taken, society.correct)
        if k + 1 < n_agents:
            front, (joint,), lost = _branch(beliefs, front, choices, taken, (joint,), max_beliefs)
            dropped, most = dropped + lost, max(most, len(front.beliefs))
            refuse_dropped(dropped, tolerance, max_beliefs, k)
    onset = float(undecided.sum())
    return ExactLaw(cascade, right, float(resting_right), onset, float(undecided[-1]), float(dropped), most)


def _general_law(society: SocialLearning | MixedLine, n_agents: int, max_beliefs: int, tolerance: float) -> ExactLaw:
    """The same for agents of several kinds, who rest together or not at all, and for a state that ends herds."""
    beliefs = PublicBeliefs(society)
    kinds, places, fixed = beliefs.kinds, beliefs.line.places(n_agents), beliefs.transition is None
    correct = [kind.correct for kind in kinds]
    front = beliefs.start()
    fresh = kinds[0].prior[None]  # joint law of (belief, state) before the onset
    entered = np.zeros_like(fresh)  # and after it, where a moving state can end cascades
    resting, resting_right = 0.0, np.zeros(len(kinds))  # mass that a fixed state leaves in a cascade; right, by kind
    cascade, right, undecided = np.zeros((3, n_agents))
    correct_onset, dropped, most = 0.0, 0.0, 1
    for k, place in enumerate(places):
        if len(front.beliefs) == 0:  # everybody rests in a cascade
            cascade[k:], right[k:] = resting, resting_right[places[k:]]
            break
        matrix = kinds[place].observation_matrix
        fresh, entered = beliefs.move(fresh), beliefs.move(entered)
        choices = beliefs.choices(beliefs.move(front.beliefs), place)
        choices.refuse_impossible((fresh + entered) @ matrix > NEGLIGIBLE)
        cascade[k] = resting + (fresh + entered)[choices.cascade >= 0].sum()
        begun, herds = beliefs.settled(choices, k)
        fits = np.stack([_fits(mask, herd) for mask, herd in zip(correct, herds[begun].T, strict=True)])
        correct_onset += (fresh[begun] * fits.all(axis=0)).sum()
        if fixed:
            resting += fresh[begun].sum()
            resting_right += (fresh[begun] * fits).sum(axis=(1, 2))
        else:
            entered = entered + fresh * begun[:, None]
        fresh = fresh * ~begun[:, None]
        undecided[k] = fresh.sum()
        taken = choices.action_law(matrix)
        right[k] = resting_right[place] + np.einsum("nx,nxa,xa->", fresh + entered, taken, correct[place])
        if k + 1 < n_agents:
            front, (fresh, entered), lost = _branch(beliefs, front, choices, taken, (fresh, entered), max_beliefs)
            dropped, most = dropped + lost, max(most, len(front.beliefs))
            refuse_dropped(dropped, tolerance, max_beliefs, k)
    onset = float(undecided.sum())
    return ExactLaw(cascade, right, float(correct_onset), onset, float(undecided[-1]), float(dropped), most)


def _branch(
    beliefs: PublicBeliefs, front: Front, choices: Choices, taken: np.ndarray, parts: tuple, max_beliefs: int
) -> tuple[Front, list[np.ndarray], float]:
    """Every belief times every action: the next layer, its joint laws, and the probability left out."""
    children = [np.einsum("nx,nxa->nax", part, taken).reshape(-1, part.shape[1]) for part in parts]
    mass = sum(children).sum(axis=1)
    alive = np.flatnonzero(mass > NEGLIGIBLE)
    if alive.size > max_beliefs:
        alive = np.sort(alive[np.argsort(-mass[alive], kind="stable")[:max_beliefs]])
    front, position = beliefs.step(front, choices, *np.divmod(alive, taken.shape[2]))
    laws = [gather(child[alive], position, len(front.beliefs)) for child in children]
    return front, laws, np.delete(mass, alive).sum()


def _fits(correct: np.ndarray, herds: np.ndarray) -> np.ndarray:
    """Whether each herd's action is best in each state, (n, X); a kind that comes no more (-1) has nothing to miss."""
    return correct.T[herds] | (herds < 0)[:, None]


@dataclass(frozen=True, eq=False)
class SocialRuns:
    """Simulated runs, made by `simulate` and `simulate_line`; fields that were not kept are None.

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
) -> SocialRuns:
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

    Notes
    -----
    Chapters `many-agents/social-learning` and `many-agents/cascades`.

    Examples
    --------
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
    states = first_states(shared.prior, state, n_runs, rng)
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
        kept["actions"] = np.empty((n_runs, n_agents), dtype=_validate.smallest(most))
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
    return SocialRuns(states, start, action, **kept)


def _steps(line, places, states, start, herds, final, path, keep, rng) -> Iterator[_Step]:
    """Advance the open runs agent by agent; yields a `_Step` for each agent if anything is kept."""
    beliefs = PublicBeliefs(line)
    front, runs = beliefs.start(), np.arange(states.size)
    nodes = np.zeros(runs.size, dtype=np.int64)
    for k, place in enumerate(places):
        matrix = line.kinds[place].observation_matrix
        if path is not None:
            states = draw(beliefs.transition, rng.random(states.size), states)
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
        signals = draw(matrix, rng.random(runs.size), states[runs])
        actions = choices.act(nodes, signals, rng)
        front, nodes = beliefs.follow(front, choices, nodes, actions)
        if keep:
            yield _Step(runs, signals, actions, front, nodes)


def _signals(line, states, places, steps, rng) -> np.ndarray:
    """Signals of every agent: fresh ones in cascades, where nobody's action depends on them, the seen ones before."""
    n_runs, n_signals = len(states), max(kind.observation_matrix.shape[1] for kind in line.kinds)
    signals = np.zeros((n_runs, places.size), dtype=_validate.smallest(n_signals))
    for place, kind in enumerate(line.kinds):
        if kind.transition_matrix is not None:
            break
        mine = slice(None) if len(line.kinds) == 1 else np.flatnonzero(places == place)
        for first in range(0, n_runs, max(1, CHUNK // places.size)):
            rows = slice(first, first + max(1, CHUNK // places.size))
            uniforms = rng.random(signals[rows, mine].shape)
            signals[rows, mine] = draw(kind.observation_matrix, uniforms, states[rows, None])
    for k, step in enumerate(steps):
        signals[step.runs, k] = step.signals
    return signals


def simulate_line(
    agent: Agent, texts: Sequence[str] | Sequence[Sequence[str]], states: ArrayLike, *, rng: np.random.Generator
) -> SocialRuns:
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
    SocialRuns
        As `simulate` returns it, one row for each line, `observations` being the symbols that the sensor read.

    Notes
    -----
    Chapter `reading/bayesian-engine`.

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
) -> SocialRuns:
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
        actions[:, k] = choices.act(nodes, seen, rng)
        front, nodes = beliefs.follow(front, choices, nodes, actions[:, k])
        public.append(front.beliefs[nodes])
    return SocialRuns(states, start, herd, symbols, actions, np.stack(public, axis=1))


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


def repeated_observations(observation_matrix: ArrayLike, n_observations: int) -> np.ndarray:
    """Observation matrix of an agent that receives several independent signals at once.

    Parameters
    ----------
    observation_matrix : array-like of shape (X, Y)
        Law of one signal.
    n_observations : int
        How many signals each agent receives.

    Returns
    -------
    numpy.ndarray of shape (X, number of multisets)
        One column for each multiset of signals (their order says nothing), from all-0 to all-(Y-1).

    Notes
    -----
    Chapter `many-agents/cascades`, section "More eyes per agent".

    Examples
    --------
    >>> repeated_observations([[0.7, 0.3], [0.3, 0.7]], 2).round(2).tolist()
    [[0.49, 0.42, 0.09], [0.09, 0.42, 0.49]]
    """
    matrix = _validate.probabilities("observation_matrix", observation_matrix, (None, None))
    n_observations = _validate.integer("n_observations", n_observations, 1)
    columns = []
    for signals in combinations_with_replacement(range(matrix.shape[1]), n_observations):
        counts = np.bincount(signals, minlength=matrix.shape[1])
        orders = factorial(n_observations) // prod(factorial(count) for count in counts.tolist())
        columns.append(orders * (matrix**counts).prod(axis=1))
    return np.stack(columns, axis=1)
