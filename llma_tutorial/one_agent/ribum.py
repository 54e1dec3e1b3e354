r"""Rationally inattentive Bayesian utility maximisation: what choices in several environments can reveal.

Primitives: environments m with the same prior pi0; choices p_m(a | x); joint laws J_m(x, a) = pi0(x) p_m(a | x);
utilities u_m(x, a) in utils. Nobody sees what the agent looked at.

Equations
    NIAS   for every chosen a and every b      sum_x J_m(x, a) [u_m(x, b) - u_m(x, a)]  <=  0
    NIAC   for every cycle of environments     sum_j G[m_j, m_{j+1}]  <=  sum_j G[m_j, m_j],
           G[m, k] = sum_a max_b sum_x J_k(x, a) u_m(x, b)   (what k's attention is worth under m's payoff)

With known u_m, a common known prior and a cost that depends on the attention alone, some rational agent explains the
data if and only if both hold. If every u_m may be chosen freely, *every* data set can be explained: `rationalise`
writes the explanation down (Cauchy-Schwarz). So `check` takes the payoffs, and asks for the same prior everywhere.

Algorithms. `check` needs no solver: matrix products, then Karp's smallest cycle mean, exact up to rounding.
`random_pass_rate` runs the same arithmetic on many random agents at once. `finite_sample_test` is for counts.
Sources: Caplin & Dean (2015); Jain & Krishnamurthy (2025). Chapters: `one-agent/ribum`, `one-agent/can-the-test-fail`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial.one_agent import inequalities
from llma_tutorial.one_agent.choice_data import ChoiceData, checked_utility
from llma_tutorial.one_agent.choice_data import counts_from_table as counts_from_table
from llma_tutorial.one_agent.finite_samples import FiniteSampleTest as FiniteSampleTest
from llma_tutorial.one_agent.finite_samples import PassRate as PassRate
from llma_tutorial.one_agent.finite_samples import finite_sample_test as finite_sample_test
from llma_tutorial.one_agent.finite_samples import random_pass_rate as random_pass_rate
from llma_tutorial.one_agent.inequalities import TOLERANCE


@dataclass(frozen=True, eq=False)
class Check:
    """Whether a rationally inattentive agent with known payoffs can choose like this; prints as a table. See `check`.

    Attributes
    ----------
    passed : bool
        NIAS and NIAC both hold, up to rounding.
    nias_slack : float
        Smallest slack of a NIAS inequality in utils; negative if one fails.
    niac_slack : float
        Smallest slack of NIAC in utils for each environment of a cycle; negative if one fails, infinite for M = 1.
    attention_costs : numpy.ndarray of shape (M,), or None
        The least costs c_m >= 0 that explain the attention; None if NIAC fails.
    worst_action : tuple of int
        (environment, action, better action) of the smallest NIAS slack.
    worst_cycle : tuple of int
        The cycle of the smallest NIAC slack: each environment takes over the attention of the next one, the last that
        of the first. Empty for M = 1.
    tolerance : float
        Slacks above minus this many utils count as satisfied.
    """

    passed: bool
    nias_slack: float
    niac_slack: float
    attention_costs: np.ndarray | None
    worst_action: tuple[int, int, int]
    worst_cycle: tuple[int, ...]
    tolerance: float

    def __str__(self) -> str:
        environment, action, other = self.worst_action
        rows = [("NIAS", self.nias_slack, 1, f"in environment {environment}, taking {other} instead of {action}")]
        if self.worst_cycle:
            rows.append(("NIAC", self.niac_slack, len(self.worst_cycle), _swap(self.worst_cycle)))
        lines = ["test   holds      slack   tightest case"]
        for name, slack, length, case in rows:
            slack = slack if abs(slack) > self.tolerance else 0.0
            change = f"{'gains' if slack < 0 else 'loses'} {abs(slack) * length:.4f}" if slack else "changes nothing"
            lines.append(f"{name}   {'yes' if slack >= 0 else 'no':5} {slack:10.4f}   {case} {change}")
        if self.passed:
            lines.append("least attention costs: " + ", ".join(f"{cost:.4f}" for cost in self.attention_costs))
        verdict = "can" if self.passed else "cannot"
        lines.append(f"Verdict: a rationally inattentive agent with these payoffs {verdict} choose like this.")
        return "\n".join(lines)


def _swap(cycle: tuple[int, ...]) -> str:
    if len(cycle) == 2:
        return f"swapping the attention of environments {min(cycle)} and {max(cycle)}"
    return "passing attention round environments " + " <- ".join(str(m) for m in (*cycle, cycle[0]))


def check(data: ChoiceData, utility: ArrayLike) -> Check:
    """Test NIAS and NIAC at known payoffs.

    Parameters
    ----------
    data : ChoiceData
        With the same prior in every environment.
    utility : array-like of shape (X, A) or (M, X, A)
        Payoffs in utils, the same in every environment or one table for each.

    Returns
    -------
    Check

    Notes
    -----
    These are statements about probabilities; for counts see `finite_sample_test`, because sampling noise makes even
    rational agents violate an inequality that binds. Chapter `one-agent/ribum`.

    Examples
    --------
    An agent that attends more when the stakes are *lower*:

    >>> data = ChoiceData([[[0.9, 0.1], [0.1, 0.9]], [[0.6, 0.4], [0.4, 0.6]]], [0.5, 0.5])
    >>> print(check(data, [[[1, 0], [0, 1]], [[2, 0], [0, 2]]]))
    test   holds      slack   tightest case
    NIAS   yes       0.2000   in environment 1, taking 1 instead of 0 loses 0.2000
    NIAC   no       -0.1500   swapping the attention of environments 0 and 1 gains 0.3000
    Verdict: a rationally inattentive agent with these payoffs cannot choose like this.
    """
    data.common_prior  # noqa: B018 - refuses unequal priors
    utility = checked_utility(utility, data.joint.shape)
    tolerance = TOLERANCE * float(np.abs(utility).max())
    nias = inequalities.nias_slacks(data.joint, utility)
    values = inequalities.information_values(data.joint, utility)
    weights = inequalities.niac_weights(values)
    nias_slack, niac_slack = float(nias.min()), float(inequalities.cheapest_cycle_mean(weights))
    several = len(weights) > 1
    return Check(
        passed=nias_slack >= -tolerance and niac_slack >= -tolerance,
        nias_slack=nias_slack,
        niac_slack=niac_slack,
        attention_costs=inequalities.least_costs(values) if niac_slack >= -tolerance else None,
        worst_action=tuple(int(i) for i in np.unravel_index(nias.argmin(), nias.shape)),
        worst_cycle=inequalities.cheapest_cycle(weights) if several else (),
        tolerance=tolerance,
    )


@dataclass(frozen=True, eq=False)
class Rationalisation:
    """Payoffs and costs that explain a data set, made by `rationalise`.

    Attributes
    ----------
    utility : numpy.ndarray of shape (M, X, A)
        u_m(x, a) in [0, 1].
    attention_costs : numpy.ndarray of shape (M,)
    """

    utility: np.ndarray
    attention_costs: np.ndarray


def rationalise(data: ChoiceData) -> Rationalisation:
    """Payoffs under which *any* data set satisfies NIAS and NIAC: a reconstruction, never evidence.

    Parameters
    ----------
    data : ChoiceData
        Anything at all: never-chosen actions and unequal priors are allowed.

    Returns
    -------
    Rationalisation
        u_m(x, a) = J_m(x, a) / ||J_m(., a)|| (0 where a is never chosen) and c_m = sum_a ||J_m(., a)||.

    Notes
    -----
    By Cauchy-Schwarz sum_x J_k(x, a) u_m(x, b) <= ||J_k(., a)||, with equality at k = m, b = a. Chapter
    `one-agent/can-the-test-fail`.

    Examples
    --------
    >>> nonsense = ChoiceData([[[0.3, 0.7], [0.9, 0.1]], [[0.5, 0.5], [0.2, 0.8]]], [0.5, 0.5])
    >>> check(nonsense, rationalise(nonsense).utility).passed
    True
    """
    norms = np.linalg.norm(data.joint, axis=1, keepdims=True)
    utility = np.divide(data.joint, norms, out=np.zeros_like(data.joint), where=norms > 0)
    return Rationalisation(utility, norms.sum(axis=(1, 2)))
