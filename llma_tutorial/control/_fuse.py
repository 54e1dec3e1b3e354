"""Premature herding: how few equal actions silence a line of agents, and which assumption is to blame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

import numpy as np

from llma_tutorial import _validate
from llma_tutorial.many_agents.public_beliefs import PublicBeliefs
from llma_tutorial.many_agents.societies import SocialLearning

ADVICE = {
    "none": "Enough agents speak before the line falls silent.",
    "assumed prior": "Agents hold a prior that is not the base rate: give them the base rate, or an even prior.",
    "assumed matrix": "Agents misjudge their sensor: measure its observation matrix and give it to them.",
    "assumptions": "Prior and matrix are both wrong, and correcting one alone does not help: measure both.",
    "ties": "Ties are resolved for one action: let tied agents follow their own signal, or toss a coin.",
    "prior": "The base rate itself outweighs one signal: let each agent read more, or pay for revealing.",
    "signals": "One action tells more than the next signal can undo: let several agents act unseen first, show "
    "beliefs instead of actions, or pay for revealing.",
}


@dataclass(frozen=True, eq=False)
class HerdingSignature:
    """How soon a line falls silent, and why; made by `herding_signature`.

    Attributes
    ----------
    fuses : numpy.ndarray of shape (A,)
        How many agents in a row must take the action until no agent heeds its signal: 0 if the first already does not,
        infinite if that never happens.
    corrected : dict of str to numpy.ndarray
        The fuses after each correction of what the agents assume.
    cause : str
        "none", "assumed prior", "assumed matrix", "assumptions", "ties", "prior" or "signals".
    """

    fuses: np.ndarray
    corrected: dict[str, np.ndarray]
    cause: str

    @property
    def advice(self) -> str:
        """What to change."""
        return ADVICE[self.cause]


def herding_signature(society: SocialLearning, least: int = 2, longest: int = 200) -> HerdingSignature:
    """Find out whether a line of agents falls silent too soon, and which assumption is to blame.

    Parameters
    ----------
    society : SocialLearning
    least : int
        A fuse shorter than this is premature.
    longest : int
        Fuses longer than this count as infinite.

    Returns
    -------
    HerdingSignature
        With `.fuses`, `.cause` and `.advice`. Of several corrections that help, the first in the order of `corrected`
        is named.

    Raises
    ------
    ValueError
        If a number is malformed.

    Notes
    -----
    Derived in the chapter `control/failure-signatures`.

    Examples
    --------
    >>> from llma_tutorial.many_agents.social import SocialLearning
    >>> matrix, even = [[0.7, 0.3], [0.3, 0.7]], [0.5, 0.5]
    >>> herding_signature(SocialLearning(matrix, np.eye(2), even)).fuses
    array([2., 2.])
    >>> sure = SocialLearning(matrix, np.eye(2), even, assumed_prior=[0.25, 0.75])
    >>> herding_signature(sure).fuses, herding_signature(sure).cause
    (array([0., 0.]), 'assumed prior')
    """
    least = _validate.integer("least", least, 1)
    longest = _validate.integer("longest", longest, least)
    prior, matrix = {"assumed_prior": society.prior}, {"assumed_observation_matrix": society.observation_matrix}
    changes = {"assumed prior": prior, "assumed matrix": matrix, "assumptions": prior | matrix}
    changes["ties"] = {"tie_break": "random"}
    fuses = _fuses(society, longest)
    corrected = {name: _fuses(replace(society, **change), longest) for name, change in changes.items()}
    if fuses.min() >= least:
        cause = "none"
    else:
        helps = [name for name, after in corrected.items() if after.min() > fuses.min()]
        cause = helps[0] if helps else "signals" if fuses.min() else "prior"
    return HerdingSignature(_validate.read_only(fuses), corrected, cause)


def _fuses(society: SocialLearning, longest: int) -> np.ndarray:
    return np.array([_fuse(society, action, longest) for action in range(society.utility.shape[1])])


def _fuse(society: SocialLearning, action: int, longest: int) -> float:
    """Steps of one action until the belief lies in a cascade region."""
    line = PublicBeliefs(society)
    front = line.start()
    for length in range(longest + 1):
        choices = line.choices(line.move(front.beliefs))
        if choices.cascade[0] >= 0:
            return float(length)
        if choices.likelihood[0] @ choices.law[0, :, action] <= 0:  # nobody would take it here
            return inf
        front, _ = line.step(front, choices, np.array([0]), np.array([action]))
    return inf
