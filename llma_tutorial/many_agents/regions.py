"""Cascade regions: the public beliefs at which an agent's own signal no longer matters.

Theory: `llma_tutorial.many_agents.social`. Action a is taken after signal y if no other action b gains,

    sum_x pi(x) B[x, y] (u(x, b) - u(x, a))  <=  0        for every signal y and every b,

so the region is an intersection of half-spaces with the simplex of beliefs. Ties decide its boundary, and which signals
can come at all decides it too where B has zeros. For two and three states the closure is an interval or a polygon. It
is found by cutting the simplex with one half-space after the other; the corners come out in order. Should action a lose
a tie all over what is left, only the face is kept on which the signals concerned cannot come.

With a moving state a herd is a path: while everybody herds the belief goes from pi to P'pi to P'P'pi, and the herd
ends when it steps out of the region. Chapters: `many-agents/cascades`, `many-agents/three-states`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.many_agents.public_beliefs import PublicBeliefs
from llma_tutorial.many_agents.societies import SocialLearning

ON_THE_EDGE = 1e-12  # relative to the half-space: corners this close to a cut lie on it
AT_REST = 1e-14  # a belief that moves by less than this has come to rest


@dataclass(frozen=True, eq=False)
class CascadeRegion:
    """The public beliefs at which every signal leads to one action, made by `cascade_region`.

    Attributes
    ----------
    action : int
        The action of the cascade.
    half_spaces : numpy.ndarray of shape (H, X)
        The closed region is ``{belief: half_spaces @ belief <= 0}``; the tie rule decides its boundary.
    """

    society: SocialLearning
    action: int
    half_spaces: np.ndarray

    def contains(self, belief: ArrayLike) -> bool | np.ndarray:
        """Whether an agent with this (predicted) public belief takes the action whatever its signal, ties included.

        One belief of shape (X,) gives a bool, many of shape (n, X) an array of n.
        """
        single = np.ndim(belief) == 1
        shape = self.society.prior.shape if single else (None, self.society.prior.size)
        beliefs = np.atleast_2d(_validate.probabilities("belief", belief, shape))
        inside = PublicBeliefs(self.society).choices(beliefs).cascade == self.action
        return bool(inside[0]) if single else inside

    @property
    def vertices(self) -> np.ndarray:
        """Corners of the closure, in order around it: beliefs of shape (V, X), V = 0 if the region is empty.

        For two states its ends, for three the corners of a polygon (or of a segment, or a point). Refused for more.
        """
        n_states = self.society.prior.size
        if n_states > 3:
            raise ValueError(
                f"`vertices` must be asked of two or three states. Got {n_states}: use `half_spaces` and `contains`."
            )
        corners = np.eye(n_states)
        for normal in self.half_spaces:
            corners = _cut(corners, normal)
        return self._where_ties_are_won(corners)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Two states only: smallest and largest probability of state 1 in the closure; None if the region is empty."""
        ends = self.vertices[:, 1] if self.society.prior.size == 2 else ()
        return (float(ends.min()), float(ends.max())) if len(ends) else None

    def _where_ties_are_won(self, corners: np.ndarray) -> np.ndarray:
        """The face of a closed polygon on which the tie rule speaks for the action; all of it, as a rule.

        Inside a polygon the same actions are tied everywhere, so its middle speaks for it. A signal that leads
        elsewhere there leads elsewhere on every face where it can come.
        """
        while len(corners):
            choices = PublicBeliefs(self.society).choices(corners.mean(axis=0)[None])
            lost = (choices.law[0, :, self.action] < 1) & (choices.likelihood[0] > 0)
            if not lost.any():
                return corners
            met = (self.society.assumed_observation_matrix[:, lost] > 0).any(axis=1)
            corners = corners[(corners[:, met] == 0).all(axis=1)]
        return corners


def _cut(corners: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """What a closed half-space ``normal @ belief <= 0`` leaves of a convex polygon with these corners in order."""
    side = corners @ normal
    side[np.abs(side) <= ON_THE_EDGE * np.abs(normal).max()] = 0
    kept = []
    for corner, here, following, there in zip(corners, side, np.roll(corners, -1, 0), np.roll(side, -1), strict=True):
        if here <= 0:
            kept.append(corner)
        if here * there < 0:
            kept.append((here * following - there * corner) / (here - there))
    kept = np.array(kept).reshape(-1, normal.size)
    return np.unique(kept, axis=0) if len(corners) == 2 else kept  # a segment is walked there and back


def cascade_region(society: SocialLearning, action: int) -> CascadeRegion:
    """The set of public beliefs at which agents take `action` whatever they see.

    Parameters
    ----------
    society : SocialLearning
    action : int
        In 0..A-1.

    Returns
    -------
    CascadeRegion
        With a membership test, the half-spaces, for two states the interval and for two or three the corners. Beliefs
        are those just before the signal arrives: with a moving state, after the prediction step.

    Examples
    --------
    >>> society = SocialLearning([[0.7, 0.3], [0.3, 0.7]], [[1, 0], [0, 1]], [0.5, 0.5])
    >>> print("{:.2f} to {:.2f}".format(*cascade_region(society, 1).interval))
    0.70 to 1.00
    >>> three = SocialLearning(np.full((3, 3), 0.2) + 0.4 * np.eye(3), np.eye(3), np.full(3, 1 / 3))
    >>> cascade_region(three, 0).vertices.round(2).tolist()
    [[1.0, 0.0, 0.0], [0.75, 0.25, 0.0], [0.6, 0.2, 0.2], [0.75, 0.0, 0.25]]
    """
    utility = society.utility
    action = _validate.integer("action", action, 0, utility.shape[1] - 1)
    gains = np.delete(utility - utility[:, [action]], action, axis=1)  # what each other action would add, (X, A-1)
    half_spaces = np.einsum("xy,xb->ybx", society.assumed_observation_matrix, gains).reshape(-1, utility.shape[0])
    return CascadeRegion(society, action, half_spaces)


def herd_length(society: SocialLearning, belief: ArrayLike, max_agents: int = 10_000) -> float:
    """How many agents in a row act without regard to their signals, from a given public belief on.

    Parameters
    ----------
    society : SocialLearning
    belief : array-like of shape (X,)
        Public belief before the first of them acts (before the state moves, if it does).
    max_agents : int
        At most this many steps are looked ahead.

    Returns
    -------
    float
        A whole number, 0 if the first agent heeds its signal; infinity if the herd is permanent, which is known once
        the belief has come to rest inside a region.

    Raises
    ------
    ValueError
        If the herd still lasts after `max_agents` steps and the belief has not come to rest.

    Examples
    --------
    >>> restless = SocialLearning(
    ...     [[0.7, 0.3], [0.3, 0.7]], np.eye(2), [0.5, 0.5], transition_matrix=[[0.97, 0.03], [0.03, 0.97]]
    ... )
    >>> herd_length(restless, [0.1, 0.9])
    11
    """
    belief = _validate.probabilities("belief", belief, society.prior.shape)
    max_agents = _validate.integer("max_agents", max_agents, 1)
    beliefs, action, belief = PublicBeliefs(society), None, belief[None]
    for length in range(max_agents):
        moved = beliefs.move(belief)
        herd = int(beliefs.choices(moved).cascade[0])
        if herd < 0 or action not in (None, herd):
            return length
        if np.abs(moved - belief).max() <= AT_REST:
            return inf
        belief, action = moved / moved.sum(), herd
    raise ValueError(
        f"`max_agents` must be large enough for the belief to come to rest or to leave the region. Got {max_agents}: "
        f"the belief is {belief[0].tolist()} by then."
    )
