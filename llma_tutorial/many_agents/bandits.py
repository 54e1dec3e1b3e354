r"""A line of agents at a bandit: everybody pulls one arm, and sees what predecessors pulled, or also what they earned.

Primitives: a fixed state x with prior pi_0; arm a pays 1 with probability theta[x, a] (`arm_rates`) and else 0; agent
k = 0, 1, ... may hold a private signal y_k ~ B[x, :], knows the public history, and pulls one arm once.

    private belief   eta(x)      =  B[x, y] pi_k(x), normalised
    choice           myopic:       the arm with the largest expected rate, ties by the rule `tie_break`
                     Thompson:     each arm with the probability, under eta, that it is the best one
    exploration      with probability epsilon_k the agent pulls an arm drawn uniformly instead, unseen by the others
    public belief    pi_{k+1}    =  R_a f_r pi_k, normalised,   R_a(x) = sum_y B[x, y] P(a | pi_k, y),
                     f_r(x)      =  theta[x, a] if r = 1, 1 - theta[x, a] if r = 0; left out where rewards are not seen

If only actions are seen, a myopic line is social learning with the utility u = theta. If rewards are seen, it is the
bandit of reinforcement learning, one pull for each agent: nobody lives to enjoy what the pull has taught.

An agent is frozen if nothing that it can do or earn moves the public belief. With constant exploration that is for
ever. `exact_law` (in `_bandit_law.py`) computes what happens with which probability, `simulate` (in
`_bandit_runs.py`) draws it.

Sources: Rothschild (1974) for myopic play that stops learning; Thompson (1933).
Chapter: `many-agents/continuous-states`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.beliefs import TIE_BREAKS
from llma_tutorial.many_agents._bandit_law import BanditLaw, exact_law
from llma_tutorial.many_agents._bandit_runs import BanditRuns, simulate
from llma_tutorial.many_agents.social import repeated_observations

__all__ = ["BanditLaw", "BanditLine", "BanditRuns", "exact_law", "private_pulls", "simulate"]

SEES = ("rewards", "actions")
POLICIES = ("myopic", "thompson")


@dataclass(frozen=True, eq=False)
class BanditLine:
    """A line of agents who each pull one arm of a bandit with Bernoulli rewards.

    Parameters
    ----------
    arm_rates : array-like of shape (X, A)
        ``arm_rates[x, a]``: probability that arm a pays 1 in state x.
    prior : array-like of shape (X,)
        Law of the state, positive everywhere.
    observation_matrix : array-like of shape (X, Y), optional
        ``B[x, y] = P(y | x)``, the law of each agent's private signal; no signal if omitted.
    sees : {"rewards", "actions"}
        What agents know of each predecessor: its arm and its reward, or its arm only.
    policy : {"myopic", "thompson"}
        Pull the arm with the largest expected rate, or each arm with the probability that it is the best.
    exploration : float or array-like of shape (n_agents,)
        Probability that an agent pulls a uniformly drawn arm instead: one number for all, or one for each agent and
        at least as many as act. Everybody knows the probability, nobody sees who explores; entries 0 and 1 make
        explorers known.
    tie_break : {"first", "random", "signal"}
        What an indifferent myopic agent does; ``"signal"`` needs Y == A.

    Raises
    ------
    ValueError
        If a shape, a probability or an option is malformed, or a state has prior zero.

    Notes
    -----
    Derived in the chapter `many-agents/continuous-states`.

    Examples
    --------
    An old product satisfies half of its buyers; a new one satisfies 30 % or 70 %, and reviews are public.

    >>> line = BanditLine([[0.5, 0.3], [0.5, 0.7]], [0.5, 0.5], tie_break="random")
    >>> law = exact_law(line, 200)
    >>> law.stuck_probability[-1].round(3).tolist()  # on the worse product for ever, in each state
    [0.0, 0.429]
    """

    arm_rates: ArrayLike
    prior: ArrayLike
    observation_matrix: ArrayLike | None = None
    sees: str = "rewards"
    policy: str = "myopic"
    exploration: ArrayLike = 0.0
    tie_break: str = "first"

    def __post_init__(self) -> None:
        prior = _validate.probabilities("prior", self.prior, (None,))
        if (prior == 0).any():
            raise ValueError(
                f"`prior` must be positive in every state. Got 0 in state {prior.argmin()}: leave that state out."
            )
        rates = _validate.real_array("arm_rates", self.arm_rates, (prior.size, None))
        matrix = np.ones((prior.size, 1)) if self.observation_matrix is None else self.observation_matrix
        matrix = _validate.probabilities("observation_matrix", matrix, (prior.size, None))
        shape = (None,) if np.ndim(self.exploration) else ()
        exploration = _validate.real_array("exploration", self.exploration, shape)
        for name, values in (("arm_rates", rates), ("exploration", exploration)):
            wrong = values[(values < 0) | (values > 1)]
            if wrong.size:
                raise ValueError(f"`{name}` must hold probabilities, from 0 to 1. Got {wrong[0]:.6g}.")
        for name, options in (("sees", SEES), ("policy", POLICIES), ("tie_break", TIE_BREAKS)):
            _validate.one_of(name, getattr(self, name), options)
        if self.tie_break == "signal" and matrix.shape[1] != rates.shape[1]:
            raise ValueError(
                '`tie_break` must be "first" or "random" unless there is one arm for each signal. '
                f'Got "signal" with {matrix.shape[1]} signals and {rates.shape[1]} arms.'
            )
        checked = {"arm_rates": rates, "prior": prior, "observation_matrix": matrix, "exploration": exploration}
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def best(self) -> np.ndarray:
        """Mask of shape (X, A): the arms that are best in each state."""
        return self.arm_rates >= self.arm_rates.max(axis=1, keepdims=True)


def private_pulls(arm_rates: ArrayLike, n_pulls: int) -> np.ndarray:
    """Observation matrix of an agent that has tried every arm a few times before it chooses in public.

    Parameters
    ----------
    arm_rates : array-like of shape (X, A)
        Probability that each arm pays, in each state.
    n_pulls : int
        Private pulls of each arm.

    Returns
    -------
    numpy.ndarray of shape (X, (n_pulls + 1) ** A)
        One column for each vector of successes; those of the last arm run fastest.

    Raises
    ------
    ValueError
        If a rate is no probability or the number is below one.

    Notes
    -----
    Used in the chapter `many-agents/continuous-states`.

    Examples
    --------
    >>> private_pulls([[0.5, 0.3], [0.5, 0.7]], 1).round(2).tolist()
    [[0.35, 0.15, 0.35, 0.15], [0.15, 0.35, 0.15, 0.35]]
    """
    rates = _validate.real_array("arm_rates", arm_rates, (None, None))
    joint = np.ones((len(rates), 1))
    for rate in rates.T:
        successes = repeated_observations(np.stack([1 - rate, rate], axis=1), n_pulls)
        joint = np.einsum("xi,xj->xij", joint, successes).reshape(len(rates), -1)
    return joint
