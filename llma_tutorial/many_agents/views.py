r"""Agents who see some of their predecessors: the last few, or a few at random.

Theory: `llma_tutorial.many_agents.social`. There is no public belief any more. What agent k makes of its
view v, the actions that it sees, is the Bayes posterior under the law of the line, which everybody can work out:

    belief at a view     pi_k(x | v)  \propto  sum_s  p_k(x, s) K_k(v | s)
    next agent           p_{k+1}(x, s')  =  sum over s, a leading to s'  of  p_k(x, s) P(a | x, s)

Here s is what of the history matters for later views, and K_k(v | s) the probability of the view. For the last m
actions s = v is that window: at most A^m of them. For m predecessors drawn at random s is how often each action was
taken and K is hypergeometric: at most as many s as there are ways to split k among A. So p_k is carried exactly, agent
by agent, for fixed and for moving states; nothing is approximated. What would be too large is refused.

Agents know their own place in the line; in a random view they do not know whom they see. A later agent weighs the same
view differently, since it knows that the line has gone on; so a cascade at one view need not last.

Sources: Celen & Kariv (2004) for the last predecessor; Acemoglu, Dahleh, Lobel & Ozdaglar (2011) for who sees whom in
general. Chapter: `many-agents/three-states`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb, prod

import numpy as np

from llma_tutorial import _validate
from llma_tutorial.beliefs import condition, draw
from llma_tutorial.many_agents.public_beliefs import NEGLIGIBLE, Choices, PublicBeliefs, gather, merge
from llma_tutorial.many_agents.societies import SocialLearning, first_states

WHICH = ("last", "random")


@dataclass(frozen=True, eq=False)
class PartialView:
    """A line whose agents see the actions of some predecessors only.

    Parameters
    ----------
    society : SocialLearning
        What agents want and what their signals say; ties at a view go by its rule.
    n_seen : int
        How many predecessors each agent sees (all of them while there are fewer).
    which : {"last", "random"}
        The last ones, in order; or as many drawn at random, all sets being equally likely, without their places.

    Examples
    --------
    >>> society = SocialLearning([[0.7, 0.3], [0.3, 0.7]], np.eye(2), [0.5, 0.5])
    >>> view_law(PartialView(society, 1), 4).correct_action_probability.round(2).tolist()
    [0.7, 0.7, 0.7, 0.7]
    """

    society: SocialLearning
    n_seen: int
    which: str = "last"

    def __post_init__(self) -> None:
        if not isinstance(self.society, SocialLearning):
            raise ValueError(f"`society` must be a SocialLearning: agents of one kind. Got {self.society!r}.")
        _validate.integer("n_seen", self.n_seen, 0)
        _validate.one_of("which", self.which, WHICH)


@dataclass(frozen=True, eq=False)
class ViewLaw:
    """What happens with which probability when agents see some of their predecessors, made by `view_law`.

    Attributes
    ----------
    which : {"last", "random"}
    cascade_probability : numpy.ndarray of shape (n_agents,)
        Probability that agent k is in a cascade: what it sees decides its action, whatever its signal.
    correct_action_probability : numpy.ndarray of shape (n_agents,)
        Probability that agent k takes an action that is best in the state of its moment.
    views : tuple of numpy.ndarray
        Views of each agent, one in a row: the actions in order, oldest first; or how often it sees each action.
    view_probability : tuple of numpy.ndarray
        Probability of each view.
    beliefs : tuple of numpy.ndarray
        Belief of each agent at each view, before its own signal; NaN where agents hold the view impossible.
    """

    which: str
    cascade_probability: np.ndarray
    correct_action_probability: np.ndarray
    views: tuple[np.ndarray, ...]
    view_probability: tuple[np.ndarray, ...]
    beliefs: tuple[np.ndarray, ...]

    def belief(self, agent: int, seen: Sequence[int]) -> np.ndarray:
        """What an agent believes before its own signal when it has seen these actions, oldest first."""
        agent = _validate.integer("agent", agent, 0, len(self.views) - 1)
        views, actions = self.views[agent], list(seen)
        if self.which == "random":
            actions = [actions.count(action) for action in range(views.shape[1])]
        rows = [row for row, view in enumerate(views.tolist()) if view == actions]
        if not rows or (self.which == "random" and len(seen) != sum(actions)):
            raise ValueError(f"`seen` must be a view of agent {agent}. Got {list(seen)}.")
        return self.beliefs[agent][rows[0]]


@dataclass(frozen=True, eq=False)
class ViewRuns:
    """Simulated lines of agents who see some of their predecessors, made by `simulate_view`.

    Attributes
    ----------
    states : numpy.ndarray of shape (n_runs,), or (n_runs, n_agents) if the state moves
    cascade_start, cascade_action : numpy.ndarray of shape (n_runs,)
        First agent whose signal cannot change its action, and that action; -1 if there is none. Later agents may heed
        their signals again.
    observations, actions : numpy.ndarray of shape (n_runs, n_agents)
    """

    states: np.ndarray
    cascade_start: np.ndarray
    cascade_action: np.ndarray
    observations: np.ndarray
    actions: np.ndarray


@dataclass(frozen=True, eq=False)
class _Step:
    """Agent k: its views; which view each history s gives with which probability; what it does; where s, a leads."""

    views: np.ndarray
    kernel: np.ndarray | None  # (S, V); None if every history is its own view
    beliefs: np.ndarray
    choices: Choices
    following: np.ndarray  # (S, A)

    def seen(self, mass: np.ndarray) -> np.ndarray:
        """Mass over histories as mass over views."""
        return mass if self.kernel is None else self.kernel.T @ mass

    def advance(self, mass: np.ndarray, taken: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Joint law of (history, state, action), (S, X, A), and that of the next (history, state)."""
        by_history = taken if self.kernel is None else np.tensordot(self.kernel, taken, 1)
        joint = mass[:, :, None] * by_history
        flat = joint.transpose(0, 2, 1).reshape(-1, mass.shape[1])
        return joint, gather(flat, self.following.ravel(), self.following.max() + 1)


def view_law(view: PartialView, n_agents: int, max_cells: int = 1_000_000) -> ViewLaw:
    """Probabilities of cascades and of correct actions, agent by agent, when agents see some predecessors only.

    Parameters
    ----------
    view : PartialView
    n_agents : int
        Horizon: agents 0..n_agents-1.
    max_cells : int
        Largest table that may be carried: A to the power of `n_seen` histories for the last ones, and for random ones
        the ways to split the line among the actions, times those to split the view.

    Raises
    ------
    ValueError
        If the tables would be larger, or agents meet evidence that they hold impossible.

    Examples
    --------
    >>> society = SocialLearning([[0.7, 0.3], [0.3, 0.7]], np.eye(2), [0.5, 0.5])
    >>> law = view_law(PartialView(society, 2), 40)
    >>> law.belief(39, [1, 1]).round(3).tolist(), round(float(law.correct_action_probability[39]), 3)
    ([0.194, 0.806], 0.806)
    """
    society, beliefs = view.society, PublicBeliefs(view.society)
    mass, rows = society.prior[None], []
    for step in _steps(view, n_agents, max_cells):
        mass = beliefs.move(mass)
        seen = step.seen(mass)
        _refuse_impossible(step, seen @ society.observation_matrix > NEGLIGIBLE)
        joint, mass = step.advance(mass, step.choices.action_law(society.observation_matrix))
        chance, right = seen.sum(axis=1), (joint.sum(axis=0) * society.correct).sum()
        rows.append((chance[step.choices.cascade >= 0].sum(), right, step.views, chance, step.beliefs))
    cascade, right, *tables = zip(*rows, strict=True)
    return ViewLaw(view.which, np.array(cascade), np.array(right), *tables)


def simulate_view(
    view: PartialView,
    n_agents: int,
    n_runs: int,
    *,
    state: int | None = None,
    max_cells: int = 1_000_000,
    rng: np.random.Generator,
) -> ViewRuns:
    """Simulate lines of agents who see some of their predecessors: real signals, real draws of who is seen.

    Parameters
    ----------
    view : PartialView
    n_agents, n_runs : int
        Length of each line, number of lines.
    state : int, optional
        State before the first agent; drawn from the prior for each run if omitted.
    max_cells : int
        As in `view_law`: what agents make of their views is computed exactly here too.
    rng : numpy.random.Generator

    Examples
    --------
    >>> society = SocialLearning([[0.7, 0.3], [0.3, 0.7]], np.eye(2), [0.5, 0.5])
    >>> runs = simulate_view(PartialView(society, 2, "random"), 30, 2000, rng=np.random.default_rng(1))
    >>> bool((runs.actions[:, -1] == runs.states).mean() > 0.8)
    True
    """
    n_runs, rng = _validate.integer("n_runs", n_runs, 1), _validate.generator(rng)
    society, n_actions = view.society, view.society.utility.shape[1]
    states = first_states(society.prior, state, n_runs, rng)
    start, herd, path, kept = np.full(n_runs, -1), np.full(n_runs, -1), [], []
    history, counts = np.zeros(n_runs, dtype=np.int64), np.zeros((n_runs, n_actions), dtype=np.int64)
    for k, step in enumerate(_steps(view, n_agents, max_cells)):
        if society.transition_matrix is not None:
            states = draw(society.transition_matrix, rng.random(n_runs), states)
            path.append(states)
        at = history if view.which == "last" else _meet(counts, step.views, rng)
        signals = draw(society.observation_matrix, rng.random(n_runs), states)
        possible = np.zeros(step.choices.likelihood.shape, dtype=bool)
        possible[at, signals] = True
        _refuse_impossible(step, possible)
        entered = (step.choices.cascade[at] >= 0) & (start < 0)
        start[entered], herd[entered] = k, step.choices.cascade[at[entered]]
        actions = step.choices.act(at, signals, rng)
        history = step.following[history, actions] if view.which == "last" else history
        counts[np.arange(n_runs), actions] += 1
        kept.append((signals, actions))
    observations, actions = (np.stack(part, axis=1) for part in zip(*kept, strict=True))
    return ViewRuns(np.stack(path, axis=1) if path else states, start, herd, observations, actions)


def _steps(view: PartialView, n_agents: int, max_cells: int) -> Iterator[_Step]:
    """One agent after the other, with what each makes of its views: the law that the agents themselves compute."""
    society, beliefs = view.society, PublicBeliefs(view.society)
    n_agents = _validate.integer("n_agents", n_agents, 1)
    _refuse_beyond(view, n_agents, _validate.integer("max_cells", max_cells, 1))
    mass = society.assumed_prior[None]
    for views, kernel, following in (_last if view.which == "last" else _random)(view, n_agents):
        mass = beliefs.move(mass)
        believed, chance = condition(mass if kernel is None else kernel.T @ mass)
        believed[chance <= 0] = np.nan
        choices = beliefs.choices(np.where(chance[:, None] > 0, believed, society.assumed_prior))
        step = _Step(views, kernel, believed, choices, following)
        yield step
        mass = step.advance(mass, choices.action_law(society.assumed_observation_matrix))[1]


def _last(view: PartialView, n_agents: int) -> Iterator[tuple]:
    """Windows as numbers in base A, the latest action as the last digit."""
    n_actions = view.society.utility.shape[1]
    for k in range(n_agents):
        length, later = min(k, view.n_seen), min(k + 1, view.n_seen)
        numbers = np.arange(n_actions**length)[:, None]
        windows = numbers // n_actions ** np.arange(length)[::-1] % n_actions
        yield windows, None, (numbers * n_actions + np.arange(n_actions)) % n_actions**later


def _random(view: PartialView, n_agents: int) -> Iterator[tuple]:
    """How often each action was taken by all predecessors (s) and by those seen (v); K(v | s) is hypergeometric."""
    n_actions = view.society.utility.shape[1]
    counts = views = np.zeros((1, n_actions), dtype=np.int64)
    factorial = np.concatenate([[0], np.log(np.arange(1, n_agents + 1)).cumsum()])  # in logarithms
    for k in range(n_agents):
        kernel = None
        if k <= view.n_seen:
            views = counts
        else:
            left = counts[:, None, :] - views
            ways = factorial[counts[:, None, :]] - factorial[views] - factorial[np.maximum(left, 0)]
            whole = factorial[k] - factorial[view.n_seen] - factorial[k - view.n_seen]
            kernel = np.exp(ways.sum(axis=2) - whole) * (left >= 0).all(axis=2)
        longer = (counts[:, None, :] + np.eye(n_actions, dtype=np.int64)).reshape(-1, n_actions)
        first, position = merge(longer)
        yield views, kernel, position.reshape(-1, n_actions)
        counts = longer[first]


def _meet(counts: np.ndarray, views: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw whom each run's next agent sees, one action after the other, and find the view's row."""
    left, others, n_actions = np.full(len(counts), views[0].sum()), counts.sum(axis=1), counts.shape[1]
    weight = (views[0].sum() + 1) ** np.arange(n_actions)
    number = np.zeros(len(counts), dtype=np.int64)
    for action in range(n_actions):
        others = others - counts[:, action]
        met = rng.hypergeometric(counts[:, action], others, left)
        left, number = left - met, number + met * weight[action]
    return np.searchsorted(views @ weight, number)  # `merge` sorts rows by their last column first


def _refuse_impossible(step: _Step, met: np.ndarray) -> None:
    """Raise if what happens, marked in a mask over views and signals, cannot happen in the eyes of the agents."""
    strange = np.flatnonzero(met.any(axis=1) & np.isnan(step.beliefs[:, 0]))
    if strange.size:
        raise ValueError(
            "`assumed_observation_matrix` must allow every view that agents can have. "
            f"Got the view {step.views[strange[0]].tolist()}, which they hold impossible."
        )
    step.choices.refuse_impossible(met)


def _refuse_beyond(view: PartialView, n_agents: int, max_cells: int) -> None:
    n_actions, seen = view.society.utility.shape[1], min(view.n_seen, n_agents - 1)
    split = [comb(size + n_actions - 1, n_actions - 1) for size in (n_agents - 1, seen)]
    cells = n_actions**seen if view.which == "last" else prod(split)
    if cells > max_cells:
        raise ValueError(
            f"`n_seen` must be small enough for tables of at most `max_cells` = {max_cells} cells. Got {view.n_seen}, "
            f"which asks for {cells}: lower it, shorten the line, or see all predecessors with `exact_law`."
        )
