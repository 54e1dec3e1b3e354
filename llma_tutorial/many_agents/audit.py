r"""Audit: does a log of decisions show herding, and can it show it at all?

Primitives: a long table with one row for each decision. `run` names a line of agents and `order` the place in it;
`action` is what the agent did. Optional: `signal`, the action that the agent's own information favours, and `truth`,
the action that was right. L is the leading action among the predecessors, l its lead over the next.

What can be known
    (a) own signals logged     the effect of own signal and of predecessors, and their relative weight
    (b) truth logged, varying  dependence on predecessors given truth; whether actions still carry news of the truth
    (c) neither                nothing: copying and a common cause have the same law

Estimates, all within strata of equal position (and equal truth, if known, in case a) and with uncertainty by run
    own effect       d(l) = P(a = L | own favours L) - P(a = L | it favours another),  at each lead l
    dependence       score test and slope of the action on the shares of predecessors, given own information
    weights          log-odds(a = 1) = c_k + w_own (2 y - 1) + w (#1 - #0 cut at +- `reach`), penalised; two actions
    onset            first agent that meets a lead from which d is below the margin, d being no larger at larger leads

"No longer matters" is a statement of equivalence: the whole interval of d in the deepest part of the log lies below
the margin. That part is chosen by how often each own signal occurs in it, never by what agents did there. In case b
truth stands in for the signal, which weakens d by the factor P(y=1|x=1) - P(y=1|x=0), the precision of the signals.

Assumed: a fixed state; agents saw all actions before their own; in case a nothing beyond the signal but the actions
links the agents of a run (unless truth is logged, which is then held fixed); in case b nothing beyond truth does.
Chapter: `many-agents/audit-a-log`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llma_tutorial import _validate
from llma_tutorial.many_agents import _audit_text
from llma_tutorial.many_agents._audit_estimates import (
    Dependence,
    Interval,
    Weights,
    clustered_mean,
    dependence,
    difference,
    equivalence_power,
    logit_weights,
)
from llma_tutorial.many_agents._decision_log import DecisionLog, read_log

if TYPE_CHECKING:
    import pandas as pd

LARGEST_LEAD = 8  # larger leads count as this one
FEWEST_RUNS = 30  # uncertainty by run is too rough with fewer
DEEP = 60  # decisions with each own signal in the part of a log that can show that they make no difference
LAST = 10  # the same for the largest leads, which must not point the other way
INTERCEPTS = 20  # positions with an intercept of their own in the weights; later ones share the last


@dataclass(frozen=True)
class Effect:
    """Effect of own information on following the leading action, at one lead, with the decisions compared."""

    leader: int
    lead: int
    interval: Interval
    n_for: int
    n_against: int


@dataclass(frozen=True, eq=False)
class Onset:
    """When own information stops mattering, run by run; -1 where it does not within the run.

    Attributes
    ----------
    method : {"pooled", "overruled"}
        From the lead at which the own effect, pooled over runs, falls below the margin; or, in a log too short for
        that, the set that one run leaves open if agents never err: after the last action against the lead, and not
        after the first signal that was overruled since.
    leads : tuple of tuple of int, or None for "overruled"
        For each action the lead from which own information no longer matters: estimate, smallest, largest; -1 if none.
    agent : numpy.ndarray of shape (n_runs,)
        First agent whose own information no longer matters; all -1 for "overruled".
    earliest, latest : numpy.ndarray of shape (n_runs,)
        Limits of the same.
    """

    method: str
    leads: tuple[tuple[int, int, int], ...] | None
    agent: np.ndarray
    earliest: np.ndarray
    latest: np.ndarray


@dataclass(frozen=True)
class Cost:
    """What herding costs in accuracy; None where the log does not hold what is needed.

    `accuracy` of the actions; `alone`, of own signals (in case b: of first agents); `pooled`, of the majority of all
    signals so far, which everybody would know if actions revealed them; `lost` = pooled - accuracy.
    """

    accuracy: Interval
    alone: Interval
    pooled: Interval | None
    lost: Interval | None


@dataclass(frozen=True, eq=False)
class Report:
    """An audit, made by `report`; printing it gives one page.

    Attributes
    ----------
    verdict : {"herding", "own information counts", "cannot tell", "not identified"}
    reason : str
        The verdict in words.
    case : {"a", "b", "c"}
        Which of the three kinds of log this is.
    identified : {"weights", "effects", "dependence", "nothing"}
        The most that such a log can show; "effects" is case a with more than two actions.
    n_runs, n_decisions, n_actions : int
    margin, level : float
        Largest effect that counts as none; coverage of the intervals.
    weights : Weights or None
    dependence : Dependence or None
    effects : tuple of Effect
        Own effect by leading action and lead, the last lead standing for all larger ones.
    deepest : Effect or None
        Own effect in the deepest part of the log, all leading actions together (leader -1); decides the verdict.
    power : float or None
        Probability that an effect of zero would have been shown to be below the margin there.
    onset : Onset or None
    cost : Cost or None
    """

    verdict: str
    reason: str
    case: str
    identified: str
    n_runs: int
    n_decisions: int
    n_actions: int
    margin: float
    level: float
    weights: Weights | None = None
    dependence: Dependence | None = None
    effects: tuple[Effect, ...] = ()
    deepest: Effect | None = None
    power: float | None = None
    onset: Onset | None = None
    cost: Cost | None = None

    def __str__(self) -> str:
        return _audit_text.page(self)


def report(log: pd.DataFrame | str, *, margin: float = 0.1, level: float = 0.95, reach: int = 3) -> Report:
    """Audit a decision log: is this herding, and can the log tell?

    Parameters
    ----------
    log : pandas.DataFrame or str
        Long table (run, order, action[, signal][, truth]), or the path of a CSV file. Actions are numbered from 0;
        a signal is the action that the agent's own information favours, truth the right action, the same in all
        rows of a run. Orders count from 0, or from 1, in every run.
    margin : float
        Own information "no longer matters" if it moves the probability of an action by less than this.
    level : float
        Coverage of all intervals.
    reach : int
        In the weights the lead counts up to this many predecessors.

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        If the log is malformed; the message names the row, counted from 1 without the header.

    Notes
    -----
    Explained in the chapter `many-agents/audit-a-log`, with coverage, size and power on agents of known kind.

    Examples
    --------
    >>> from llma_tutorial.many_agents.logs import bayesian, urn
    >>> log, onset = bayesian(200, 20, rng=np.random.default_rng(1))
    >>> found = report(log)
    >>> found.verdict, [estimate for estimate, smallest, largest in found.onset.leads]
    ('herding', [2, 2])
    >>> report(urn(200, 20, rng=np.random.default_rng(1))).verdict
    'not identified'
    """
    margin = _validate.number("margin", margin, 0.001, 0.999)
    level = _validate.number("level", level, 0.5, 0.999)
    reach = _validate.integer("reach", reach, 1)
    log = read_log(log)
    case = _case(log)
    most = {"a": "weights" if log.n_actions == 2 else "effects", "b": "dependence", "c": "nothing"}[case]
    facts = {"case": case, "identified": most, "margin": margin, "level": level}
    facts |= {"n_runs": log.n_runs, "n_decisions": log.run.size, "n_actions": log.n_actions}
    if case == "c":
        return Report("not identified", _audit_text.REFUSAL, **facts)
    if log.n_runs < FEWEST_RUNS:
        reason = f"{log.n_runs} runs are too few: intervals by run need {FEWEST_RUNS} or more."
        return Report("cannot tell", reason, onset=_overruled(log), **facts)
    own = log.signal if case == "a" else log.truth
    given = log.position * log.n_actions + (log.truth if case == "a" and log.truth is not None else 0)
    later = log.position > 0
    found = dependence(
        log.action[later], log.counts[:, later], (given * log.n_actions + own)[later], log.run[later], level
    )
    effects, deepest, last = _effects(log, own, given, level)
    verdict, reason = _verdict(found, deepest, last, margin, level)
    onset = _pooled(log, effects, margin) if verdict == "herding" else None
    if verdict == "cannot tell":
        onset = _overruled(log)
    return Report(
        verdict, reason, **facts, weights=_weights(log, reach, level) if most == "weights" else None, dependence=found,
        effects=effects, deepest=deepest, power=equivalence_power(deepest.interval, margin, level) if deepest else None,
        onset=onset, cost=_cost(log, level),
    )  # fmt: skip


def _case(log: DecisionLog) -> str:
    if log.signal is not None and np.ptp(log.signal):
        return "a"
    return "b" if log.truth is not None and np.ptp(log.truth) else "c"


def _effects(log, own, given, level) -> tuple[tuple[Effect, ...], Effect | None, Effect | None]:
    """Own effect at every leader and lead, and in the deepest parts that hold `DEEP` and `LAST` of each own signal."""
    follows, favours = (log.action == log.leader).astype(float), (own == log.leader).astype(float)
    lead = np.minimum(log.lead, LARGEST_LEAD)

    def effect(leader, least, mask, stratum):
        found = difference(follows[mask], favours[mask], stratum[mask], log.run[mask], level)
        return Effect(leader, least, found.interval, found.n_own, found.n_other)

    effects = [effect(-1, 0, lead == 0, given * log.n_actions + log.leader)]
    for leader in range(log.n_actions):
        places = ((least, (log.leader == leader) & (lead == least)) for least in range(1, LARGEST_LEAD + 1))
        effects += [effect(leader, least, here, given) for least, here in places]
    stratum = (given * (LARGEST_LEAD + 1) + lead) * log.n_actions + log.leader
    tails = [effect(-1, least, lead >= least, stratum) for least in range(LARGEST_LEAD, 0, -1)]
    deep, last = (
        next((tail for tail in tails if min(tail.n_for, tail.n_against) >= enough), None) for enough in (DEEP, LAST)
    )
    return tuple(effect for effect in effects if effect.n_for), deep, last


def _verdict(found, deepest, last, margin, level) -> tuple[str, str]:
    if deepest is None:
        return "cannot tell", (
            f"The log is too short: at no lead are there {DEEP} decisions with own information for the leading action "
            f"and {DEEP} against it."
        )
    where = f"at leads of {deepest.lead} or more own information moves an action by {deepest.interval}"
    if deepest.interval.low > margin and last.interval.estimate > margin:
        return "own information counts", f"Even {where}, more than the margin {margin:g}; not less at larger leads."
    if deepest.interval.high >= margin:
        return "cannot tell", f"{where[0].upper()}{where[1:]}: not shown to be below the margin {margin:g}."
    if found is None or found.p_value > 1 - level or found.slope.estimate <= 0:
        return "cannot tell", (
            f"{where[0].upper()}{where[1:]}, below the margin {margin:g}; but actions do not go with those before them "
            "either: this is indifference rather than herding, or a log too short to show it."
        )
    return "herding", f"Agents go with those before them, and {where}, below the margin {margin:g}."


def _weights(log: DecisionLog, reach: int, level: float) -> Weights | None:
    lead = np.clip(log.counts[1] - log.counts[0], -reach, reach)
    columns = [2 * log.signal - 1, lead, np.minimum(log.position, INTERCEPTS - 1)]
    if log.truth is not None and np.ptp(log.truth):
        columns.append(log.truth)
    return logit_weights(log.action, columns, log.run, log.n_runs, level)


def _pooled(log: DecisionLog, effects: tuple[Effect, ...], margin: float) -> Onset:
    leads = tuple(_lead_of_onset([e for e in effects if e.leader in (-1, j)], margin) for j in range(log.n_actions))
    needed = np.where(np.array(leads) < 0, np.iinfo(np.int32).max, leads)[log.leader]
    return Onset("pooled", leads, *(log.first(log.lead >= column) for column in needed.T))


def _lead_of_onset(effects: list[Effect], margin: float) -> tuple[int, int, int]:
    """Smallest lead with an effect below the margin, if effects never grow with the lead: estimate and limits."""
    from scipy.optimize import isotonic_regression

    estimate, low, high = np.array([(e.interval.estimate, e.interval.low, e.interval.high) for e in effects]).T
    weight = [e.n_for * e.n_against / (e.n_for + e.n_against) for e in effects]
    falling = isotonic_regression(estimate, weights=weight, increasing=False).x
    shown = np.maximum.accumulate(low[::-1])[::-1]  # an effect is at least what is shown at any larger lead
    beaten = np.minimum.accumulate(high)  # and at most what is shown at any smaller one
    masks = (falling < margin, shown <= margin, beaten < margin)
    return tuple(int(effects[mask.argmax()].lead) if mask.any() else -1 for mask in masks)


def _overruled(log: DecisionLog) -> Onset | None:
    """Sets from single runs: after the last action against the lead, not after the first signal overruled since."""
    if log.signal is None:
        return None
    deviates = (log.lead > 0) & (log.action != log.leader)
    earliest = np.ones(log.n_runs, dtype=np.int64)
    np.maximum.at(earliest, log.run[deviates], log.position[deviates] + 1)
    overruled = (log.lead > 0) & (log.action == log.leader) & (log.signal != log.leader)
    latest = log.first(overruled & (log.position >= earliest[log.run]))
    length = np.bincount(log.run)
    return Onset("overruled", None, np.full(log.n_runs, -1), np.where(earliest < length, earliest, -1), latest)


def _cost(log: DecisionLog, level: float) -> Cost | None:
    if log.truth is None:
        return None
    right = (log.action == log.truth).astype(float)
    accuracy = clustered_mean(right, log.run, log.n_runs, level)
    if log.signal is None:
        first = log.position == 0
        return Cost(accuracy, clustered_mean(right[first], log.run[first], log.n_runs, level), None, None)
    starts = np.flatnonzero(log.position == 0)
    seen = np.stack([np.cumsum(log.signal == j) for j in range(log.n_actions)])
    seen = seen - (seen[:, starts] - (log.signal[starts] == np.arange(log.n_actions)[:, None]))[:, log.run]
    best = seen == seen.max(axis=0)
    majority = best[log.truth, np.arange(log.run.size)] / best.sum(axis=0)
    figures = ((log.signal == log.truth).astype(float), majority, majority - right)
    return Cost(accuracy, *(clustered_mean(values, log.run, log.n_runs, level) for values in figures))
