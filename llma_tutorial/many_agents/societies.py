"""Who stands in the line: `SocialLearning`, agents who are all alike, and `MixedLine`, agents of several kinds.

Theory: `llma_tutorial.many_agents.social`. In a mixed line everybody knows of what kind everybody else is, so one
public belief serves all: after agent k it is multiplied by the factor R of that agent's own kind. A kind may have its
own signals, actions, payoffs and rule for ties. Prior and transitions belong to the state that all share.

A fixed state is settled for ever when the public belief lies in a cascade region of *every* kind that is still to
come, of one action for each kind. Until then a kind may rest in its own cascade while another one goes on talking.
Chapters: `many-agents/social-learning`, `many-agents/three-states`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.beliefs import draw, tie_rule


@dataclass(frozen=True, eq=False)
class SocialLearning:
    """A line of agents who learn from their own signal and from each other's actions.

    Parameters
    ----------
    observation_matrix : array-like of shape (X, Y)
        ``B[x, y] = P(y | x)``, the law of each agent's private signal; rows sum to 1.
    utility : array-like of shape (X, A)
        Payoff u[x, a] in utils, the same for every agent.
    prior : array-like of shape (X,)
        Law of the state before the first agent.
    transition_matrix : array-like of shape (X, X), optional
        ``P[x, x']``, one transition before each agent; the state is fixed if omitted.
    tie_break : {"signal", "first", "random"} or None
        What an indifferent agent does, see the head of `llma_tutorial.beliefs`; None is the rule of the book.
    assumed_prior : array-like of shape (X,), optional
        The prior that the agents hold, if it differs from `prior`.
    assumed_observation_matrix : array-like of shape (X, Y), optional
        The matrix that the agents believe in, if it differs from `observation_matrix`.

    Examples
    --------
    >>> from llma_tutorial.many_agents.social import exact_law
    >>> society = SocialLearning([[0.7, 0.3], [0.3, 0.7]], [[1, 0], [0, 1]], [0.5, 0.5])
    >>> law = exact_law(society, 200)
    >>> print(f"{law.correct_cascade_probability:.6f} {law.expected_onset:.6f}")
    0.844828 3.448276
    """

    observation_matrix: ArrayLike
    utility: ArrayLike
    prior: ArrayLike
    transition_matrix: ArrayLike | None = None
    tie_break: str | None = None
    assumed_prior: ArrayLike | None = None
    assumed_observation_matrix: ArrayLike | None = None

    def __post_init__(self) -> None:
        prior = _validate.probabilities("prior", self.prior, (None,))
        matrix = _validate.probabilities("observation_matrix", self.observation_matrix, (prior.size, None))
        utility = _validate.real_array("utility", self.utility, (prior.size, None))
        checked = {"prior": prior, "observation_matrix": matrix, "utility": utility}
        for name, reference in (("assumed_prior", prior), ("assumed_observation_matrix", matrix)):
            given = getattr(self, name)
            checked[name] = reference if given is None else _validate.probabilities(name, given, reference.shape)
        if self.transition_matrix is not None:
            shape = (prior.size, prior.size)
            checked["transition_matrix"] = _validate.probabilities("transition_matrix", self.transition_matrix, shape)
        checked["tie_break"] = tie_rule(self.tie_break, matrix.shape[1], utility.shape[1])
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def correct(self) -> np.ndarray:
        """Mask of shape (X, A): the actions that are best in each state."""
        return self.utility >= self.utility.max(axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class MixedLine:
    """A line of agents of several kinds, who come in an order that everybody knows.

    Parameters
    ----------
    kinds : sequence of SocialLearning
        One society for each kind: what the line would be if all agents were like that.
    order : sequence of int
        Kinds of the agents, in 0..len(kinds)-1; it starts again when it ends.
    opening : sequence of int
        Kinds of the agents who come before `order` begins, once.

    Examples
    --------
    >>> from llma_tutorial.many_agents.social import exact_law
    >>> lay, expert = (SocialLearning([[q, 1 - q], [1 - q, q]], np.eye(2), [0.5, 0.5]) for q in (0.6, 0.9))
    >>> expert_first = MixedLine([lay, expert], order=[0], opening=[1])
    >>> exact_law(expert_first, 3).correct_action_probability.round(2).tolist()
    [0.9, 0.9, 0.9]
    """

    kinds: Sequence[SocialLearning]
    order: Sequence[int]
    opening: Sequence[int] = ()

    def __post_init__(self) -> None:
        kinds = tuple(self.kinds)
        for kind in kinds:
            if not isinstance(kind, SocialLearning):
                raise ValueError(f"`kinds` must hold a SocialLearning for each kind. Got {kind!r}.")
        if np.ndim(self.order) != 1 or len(self.order) == 0:
            raise ValueError(f"`order` must name the kind of at least one agent. Got {self.order!r}.")
        order, opening = np.array(self.order), np.array(self.opening, dtype=None if len(self.opening) else int)
        for name, places in (("order", order), ("opening", opening)):
            _validate.integers(name, places, len(kinds))
            places.flags.writeable = False
        for name in ("prior", "assumed_prior", "transition_matrix"):
            wanted = getattr(kinds[0], name)
            for index, kind in enumerate(kinds):
                if not np.array_equal(getattr(kind, name), wanted):
                    raise ValueError(
                        f"`kinds` must agree in `{name}`, since all agents face one state and one public belief. "
                        f"Got another one in kind {index}."
                    )
        for name, value in {"kinds": kinds, "order": order, "opening": opening}.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, society: SocialLearning | MixedLine) -> MixedLine:
        """The line itself, or the line of one kind that a society is."""
        return society if isinstance(society, MixedLine) else cls([society], [0])

    def places(self, n_agents: int) -> np.ndarray:
        """Kind of each of the first agents, of shape (n_agents,)."""
        later = max(0, n_agents - self.opening.size)
        return np.concatenate([self.opening, np.resize(self.order, later)])[:n_agents]

    def still_to_come(self, agent: int) -> tuple[int, ...]:
        """Kinds of this agent and of all later ones."""
        return tuple(sorted({*self.order.tolist(), *self.opening[agent:].tolist()}))


def first_states(prior: np.ndarray, state: int | None, n_runs: int, rng: np.random.Generator) -> np.ndarray:
    """State of each run before its first agent, (n_runs,): the given one, or a draw from the prior."""
    if state is None:
        return draw(prior, rng.random(n_runs))
    return np.full(n_runs, _validate.integer("state", state, 0, prior.size - 1), dtype=_validate.smallest(prior.size))
