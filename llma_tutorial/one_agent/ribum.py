r"""Three hypotheses about attention: costly, of one capacity, or one sensor; what choices can reveal of each.

Primitives: environments m with the same prior pi0; choices p_m(a | x); joint laws J_m(x, a) = pi0(x) p_m(a | x);
utilities u_m(x, a) in utils. Nobody sees what the agent looked at. R_m = sum_x,a J_m(x, a) u_m(x, a) is what it earned,
G[m, k] = sum_a max_b sum_x J_k(x, a) u_m(x, b) what k's attention is worth under m's payoff.

Equations
    "costly"      rationally inattentive Bayesian utility maximisation (RIBUM): attention is bought
        NIAS      for every chosen a and every b      sum_x J_m(x, a) [u_m(x, b) - u_m(x, a)]  <=  0
        NIAC      for every cycle of environments     sum_j G[m_j, m_{j+1}]  <=  sum_j G[m_j, m_j]
    "capacity"    attention is chosen from one set of experiments, the same in all environments, at no cost
                  no improving switch, for all m, k   G[m, k]  <=  R_m        (k = m is NIAS)
    "one sensor"  nothing is chosen: one experiment serves all environments; a linear programme (`one_sensor`)

Each is the case of the one above: one sensor implies capacity (what k reveals is a garbling of the sensor), capacity
is NIAC with equal costs and implies costly attention. Neither holds backwards. In the field's terms: costly
information acquisition (Caplin & Dean), capacity-constrained or "fixed capacity" learning (Caplin, Martin, Marx,
Morozova & Xu), exogenous information. A model with fixed questions and a Bayesian engine is one sensor by
construction, so the verdict that says something is which of the three it needs.

With known u_m, a common known prior and a cost that depends on the attention alone, some rational agent explains the
data if and only if NIAS and NIAC hold. If every u_m may be chosen freely, *every* data set can be explained as costly
attention: `rationalise` writes the explanation down (Cauchy-Schwarz). So `check` takes the payoffs, and asks for the
same prior everywhere. Constant payoffs always pass all three. Other unknown payoffs leave the stricter two something:
where one environment's attention is strictly more informative than another's, capacity leaves the less informed one
only payoffs by which its own information is worth no less than the better one, such as indifference.

`waste` grades each hypothesis: the least share eps of the range of u_m by which every R_m must be raised for all to
hold; 0 passes, and it grows from costly to capacity to one sensor.

Algorithms. Costly: matrix products, then Karp's smallest cycle mean. Capacity: matrix products. One sensor: HiGHS.
`random_pass_rate` runs the same arithmetic on many random agents at once. `finite_sample_test` is for counts.
Sources: Caplin & Dean (2015); Caplin et al. (arXiv 2502.00195); Jain & Krishnamurthy (2025).
Chapters: `one-agent/ribum`, `one-agent/can-the-test-fail`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from llma_tutorial import _validate
from llma_tutorial.one_agent import inequalities, one_sensor
from llma_tutorial.one_agent.choice_data import ChoiceData, checked_utility
from llma_tutorial.one_agent.choice_data import counts_from_table as counts_from_table
from llma_tutorial.one_agent.finite_samples import FiniteSampleTest as FiniteSampleTest
from llma_tutorial.one_agent.finite_samples import PassRate as PassRate
from llma_tutorial.one_agent.finite_samples import PassShare as PassShare
from llma_tutorial.one_agent.finite_samples import SensorTest as SensorTest
from llma_tutorial.one_agent.finite_samples import SwitchTest as SwitchTest
from llma_tutorial.one_agent.finite_samples import finite_sample_test as finite_sample_test
from llma_tutorial.one_agent.finite_samples import random_pass_rate as random_pass_rate
from llma_tutorial.one_agent.inequalities import HYPOTHESES, TOLERANCE


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
    waste : float
        Least share of the payoff range that, added to what every environment earned, makes NIAS and NIAC hold.
    """

    passed: bool
    nias_slack: float
    niac_slack: float
    attention_costs: np.ndarray | None
    worst_action: tuple[int, int, int]
    worst_cycle: tuple[int, ...]
    tolerance: float
    waste: float

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


@dataclass(frozen=True, eq=False)
class CapacityCheck:
    """Whether an agent of fixed capacity with known payoffs can choose like this; prints as a table. See `check`.

    Attributes
    ----------
    passed : bool
        No switch improves, up to rounding.
    slacks : numpy.ndarray of shape (M, M)
        What environment m loses, in utils, by taking over k's attention and using it at its best; negative is a gain.
    worst_switch : tuple of int
        (m, k) of the smallest slack in shares of m's payoff range; k = m if relabelling the own actions gains most.
    waste : float
        Least share of the payoff range that, added to what every environment earned, leaves no improving switch.
    tolerance : float
        Slacks above minus this many utils count as satisfied.
    """

    passed: bool
    slacks: np.ndarray
    worst_switch: tuple[int, int]
    waste: float
    tolerance: float

    def __str__(self) -> str:
        m, k = self.worst_switch
        slack = float(self.slacks[m, k]) if abs(self.slacks[m, k]) > self.tolerance else 0.0
        change = f"{'gains' if slack < 0 else 'loses'} {abs(slack):.4f}" if slack else "changes nothing"
        case = f"environment {m} with the attention of {k}" if m != k else f"environment {m} with other actions"
        verdict = "can" if self.passed else "cannot"
        return (
            f"no improving switch: {'yes' if self.passed else 'no'}; tightest: {case} {change}; "
            f"waste {self.waste:.4f}\n"
            f"Verdict: an agent of fixed capacity with these payoffs {verdict} choose like this."
        )


@dataclass(frozen=True, eq=False)
class SensorCheck:
    """Whether an agent with one sensor and known payoffs can choose like this; prints as a table. See `check`.

    Attributes
    ----------
    passed : bool
        One experiment serves all environments, up to the solver's error.
    waste : float
        Least share of the payoff range that the best single experiment loses in every environment.
    experiment : Experiment
        That experiment, with the answers that reproduce the choices exactly.
    certificate : Bet or None
        A bet that pays on these choices and never on those of an agent with one sensor; None if the data pass.
    """

    passed: bool
    waste: float
    experiment: one_sensor.Experiment
    certificate: one_sensor.Bet | None

    def __str__(self) -> str:
        verdict = "can" if self.passed else "cannot"
        proof = "" if self.certificate is None else f"; proved by a bet that pays {self.certificate.value:.4f}"
        return (
            f"one experiment: {'yes' if self.passed else 'no'}; waste {self.waste:.4f}{proof}\n"
            f"Verdict: an agent with one sensor and these payoffs {verdict} choose like this."
        )


def check(data: ChoiceData, utility: ArrayLike, hypothesis: str = "costly") -> Check | CapacityCheck | SensorCheck:
    """Test a hypothesis about attention at known payoffs; without a hypothesis NIAS and NIAC.

    Parameters
    ----------
    data : ChoiceData
        With the same prior in every environment.
    utility : array-like of shape (X, A) or (M, X, A)
        Payoffs in utils, the same in every environment or one table for each.
    hypothesis : {"costly", "capacity", "one sensor"}
        Attention is bought; chosen from one set; or not chosen at all.

    Returns
    -------
    Check, CapacityCheck or SensorCheck

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

    One that attends more when they are higher buys attention; it does not always look at the same:

    >>> data = ChoiceData(data.choice_probabilities[::-1], [0.5, 0.5])
    >>> stakes = [[[1, 0], [0, 1]], [[2, 0], [0, 2]]]
    >>> check(data, stakes).passed
    True
    >>> print(check(data, stakes, "capacity"))
    no improving switch: no; tightest: environment 0 with the attention of 1 gains 0.3000; waste 0.3000
    Verdict: an agent of fixed capacity with these payoffs cannot choose like this.
    """
    prior = data.common_prior
    utility = checked_utility(utility, data.joint.shape)
    _validate.one_of("hypothesis", hypothesis, HYPOTHESES)
    if hypothesis == "one sensor":
        share, experiment, bet = one_sensor.explain(data.joint, utility, prior)
        passed = share <= one_sensor.PASS
        return SensorCheck(passed, share, experiment, None if passed else bet)
    tolerance = TOLERANCE * float(np.abs(utility).max())
    slacks, ranges = inequalities.switch_slacks(data.joint, utility), inequalities.payoff_ranges(utility)
    if hypothesis == "capacity":
        shares = slacks / ranges[:, None]
        worst = tuple(int(i) for i in np.unravel_index(shares.argmin(), shares.shape))
        share = inequalities.waste_of_switches(slacks, ranges)
        return CapacityCheck(bool((slacks >= -tolerance).all()), slacks, worst, share, tolerance)
    return _costly(data, utility, slacks, tolerance)


def _costly(data: ChoiceData, utility: np.ndarray, slacks: np.ndarray, tolerance: float) -> Check:
    nias = inequalities.nias_slacks(data.joint, utility)
    values = inequalities.information_values(data.joint, utility)
    weights = inequalities.niac_weights(values)
    nias_slack, niac_slack = float(nias.min()), float(inequalities.cheapest_cycle_mean(weights))
    return Check(
        passed=nias_slack >= -tolerance and niac_slack >= -tolerance,
        nias_slack=nias_slack,
        niac_slack=niac_slack,
        attention_costs=inequalities.least_costs(values) if niac_slack >= -tolerance else None,
        worst_action=tuple(int(i) for i in np.unravel_index(nias.argmin(), nias.shape)),
        worst_cycle=inequalities.cheapest_cycle(weights) if len(weights) > 1 else (),
        tolerance=tolerance,
        waste=inequalities.waste_of_cycles(slacks, inequalities.payoff_ranges(utility)),
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
