"""The exact law of a line of agents: probabilities of cascades and of right actions, agent by agent.

Theory and primitives: `llma_tutorial.many_agents.social`. The joint law of (state, public belief) is carried forward
and equal beliefs are merged. For a fixed state updates commute, so a belief is keyed by how often each factor R was
applied: whole numbers, never rounded floats. What lies in a cascade (of every kind that is still to come, if agents
differ) is put aside, since nothing changes there. The work ends when nothing is left outside; what had to be dropped is
returned as `dropped_mass`. A moving state offers no merging and no end of the work: its law is a bracket.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llma_tutorial import _validate
from llma_tutorial.many_agents._public_beliefs import Choices, Front, PublicBeliefs

if TYPE_CHECKING:
    from llma_tutorial.many_agents.society import MixedLine, SocialLearning

NEGLIGIBLE = 1e-18  # beliefs less likely than this are dropped, and counted in `dropped_mass`


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

    Returns
    -------
    ExactLaw

    Raises
    ------
    ValueError
        If more than `tolerance` would have to be dropped, or agents meet evidence that they hold impossible.

    Notes
    -----
    Explained in the chapter `many-agents/cascades`, beside the simulation of the same society.

    Examples
    --------
    >>> from llma_tutorial.many_agents.social import SocialLearning
    >>> society = SocialLearning([[0.7, 0.3], [0.3, 0.7]], [[1, 0], [0, 1]], [0.5, 0.5])
    >>> exact_law(society, 5).cascade_probability.round(4).tolist()
    [0.0, 0.0, 0.58, 0.58, 0.8236]
    """
    n_agents = _validate.integer("n_agents", n_agents, 1)
    max_beliefs = _validate.integer("max_beliefs", max_beliefs, 1)
    tolerance = _validate.number("tolerance", tolerance, 0, 1)
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
            _refuse_beyond(tolerance, dropped, max_beliefs, k)
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
    laws = [_gather(child[alive], position, len(front.beliefs)) for child in children]
    return front, laws, np.delete(mass, alive).sum()


def _fits(correct: np.ndarray, herds: np.ndarray) -> np.ndarray:
    """Whether each herd's action is best in each state, (n, X); a kind that comes no more (-1) has nothing to miss."""
    return correct.T[herds] | (herds < 0)[:, None]


def _refuse_beyond(tolerance: float, dropped: float, max_beliefs: int, agent: int) -> None:
    if dropped > tolerance:
        raise ValueError(
            f"`max_beliefs` must be large enough to drop less than `tolerance` = {tolerance:g}. Got {max_beliefs}: "
            f"{dropped:.3g} was dropped by agent {agent}. Raise `max_beliefs` or `tolerance`, or use `simulate`."
        )


def _gather(mass: np.ndarray, position: np.ndarray, n_rows: int) -> np.ndarray:
    total = np.zeros((n_rows, mass.shape[1]))
    np.add.at(total, position, mass)
    return total
