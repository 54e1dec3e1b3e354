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
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtrc, ndtri

from llma_tutorial import _validate
from llma_tutorial.many_agents.estimates import (
    Dependence,
    Interval,
    Weights,
    clustered_mean,
    dependence,
    difference,
    equivalence_power,
    logit_weights,
)
from llma_tutorial.many_agents.logs import DecisionLog, read_log

if TYPE_CHECKING:
    import pandas as pd

FEWEST_RUNS = 30  # uncertainty by run is too rough with fewer
DEEP = 60  # decisions with each own signal in the part of a log that can show that they make no difference
LAST = 10  # the same for the largest leads, which must not point the other way
INTERCEPTS = 8  # positions with an intercept of their own in the weights; later ones share the last
LARGEST_LEAD = 8  # larger leads count as this one
HERDING = {"a": "herding", "b": "herding or a shared cause"}
CASES = {
    "a": "own signals are logged: their effect can be set against that of predecessors",
    "b": "no signals, but truth is logged and varies: dependence given truth can be tested",
    "c": "neither signals nor a truth that varies: herding is not identified",
}
REFUSAL = (
    "Only the law of an action given those before it can be learned from this log, and copying cannot be told from a "
    "common cause: an urn, in which everybody copies, and agents that look at nobody but share an unknown rate, "
    "have the same law. Log what each agent would do on its own information (`signal`), or the right action of each "
    "run (`truth`) over runs in which it varies."
)


@dataclass(frozen=True)
class Effect:
    """Effect of own information on following the leading action, at one lead; part of a `Report`.

    Attributes
    ----------
    leader : int
        The leading action, -1 for all of them together.
    lead : int
    interval : Interval
        Of the effect, a difference of two probabilities.
    n_for, n_against : int
        Decisions compared: with own information for the leading action, and against it.
    """

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
        Actions share it unless their effects differ.
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
    """What herding costs in accuracy; part of a `Report`.

    Attributes
    ----------
    accuracy : Interval
        Share of right actions.
    alone : Interval
        The same of own signals; in case b of the actions of first agents.
    pooled : Interval or None
        The same of the majority of all signals so far, which everybody would know if actions revealed them.
    lost : Interval or None
        pooled - accuracy. Both are None where no signals were logged.
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
    verdict : {"herding", "herding or a shared cause", "own information counts", "cannot tell", "not identified"}
        Herding: actions go with those before them, and own information, which counts where no action leads, no longer
        does at large leads. In case b a cause that the agents of a run share beyond truth would look the same.
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
        return _page(self)


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

    Raises
    ------
    ValueError
        If the log is malformed; the message names the row, counted from 1 without the header.

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
    facts = (case, most, log.n_runs, log.run.size, log.n_actions, margin, level)
    if case == "c":
        return Report("not identified", REFUSAL, *facts)
    if log.n_runs < FEWEST_RUNS:
        reason = f"{log.n_runs} runs are too few: intervals by run need {FEWEST_RUNS} or more."
        return Report("cannot tell", reason, *facts, onset=_overruled_onset(log))
    own = log.signal if case == "a" else log.truth
    given = log.position * log.n_actions + (log.truth if case == "a" and log.truth is not None else 0)
    later = log.position > 0
    found = dependence(
        log.action[later], log.counts[:, later], (given * log.n_actions + own)[later], log.run[later], level
    )
    effects, together, tails = _effects(log, own, given, level)
    deepest = _deepest(tails, DEEP)
    verdict, reason = _verdict(found, together, deepest, _deepest(tails, LAST), margin, level)
    onset = None
    if verdict == "herding":
        onset = _pooled_onset(log, effects, together, margin, level)
        verdict = HERDING[case]
    elif verdict == "cannot tell":
        onset = _overruled_onset(log)
    weights = _weights(log, reach, level) if most == "weights" else None
    power = equivalence_power(deepest.interval, margin, level) if deepest else None
    results = (weights, found, tuple(effects), deepest, power, onset, _cost(log, level))
    return Report(verdict, reason, *facts, *results)


def _case(log: DecisionLog) -> str:
    if log.signal is not None and np.ptp(log.signal):
        return "a"
    return "b" if log.truth is not None and np.ptp(log.truth) else "c"


def _effects(log, own, given, level) -> tuple[list[Effect], list[Effect], list[Effect]]:
    """Own effect by leader and lead; by lead for all leaders together (leader -1); and at that lead or more."""
    follows, favours = (log.action == log.leader).astype(float), (own == log.leader).astype(float)
    lead, stratum = np.minimum(log.lead, LARGEST_LEAD), given * log.n_actions + log.leader

    def effect(leader, least, mask, stratum):
        found = difference(follows[mask], favours[mask], stratum[mask], log.run[mask], level)
        return Effect(leader, least, found.interval, found.n_own, found.n_other)

    leads = range(1, LARGEST_LEAD + 1)
    together = [effect(-1, least, lead == least, stratum) for least in (0, *leads)]
    apart = [
        effect(j, least, (log.leader == j) & (lead == least), given) for j in range(log.n_actions) for least in leads
    ]
    tails = [effect(-1, least, lead >= least, stratum * (LARGEST_LEAD + 1) + lead) for least in leads]
    seen = lambda effects: [effect for effect in effects if effect.n_for]  # noqa: E731
    return seen([together[0], *apart]), seen(together), tails


def _deepest(tails: list[Effect], enough: int) -> Effect | None:
    """The largest leads at which there are enough decisions with own information for and against the leader."""
    return next((tail for tail in tails[::-1] if min(tail.n_for, tail.n_against) >= enough), None)


def _verdict(found, together, deepest, last, margin, level) -> tuple[str, str]:
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
    if together[0].lead > 0 or together[0].interval.low <= 0:
        return "cannot tell", (
            f"{where[0].upper()}{where[1:]}, below the margin {margin:g}; but it is not shown to move actions where no "
            "action leads either, so it need not be the others that silence it."
        )
    return "herding", (
        f"Actions go with those before them. Own information moves an action by {together[0].interval} where no action "
        f"leads, but at leads of {deepest.lead} or more by {deepest.interval}, below the margin {margin:g}."
    )


def _weights(log: DecisionLog, reach: int, level: float) -> Weights | None:
    lead = np.clip(log.counts[1] - log.counts[0], -reach, reach)
    columns = [2 * log.signal - 1, lead, np.minimum(log.position, INTERCEPTS - 1)]
    if log.truth is not None and np.ptp(log.truth):
        columns.append(log.truth)
    return logit_weights(log.action, columns, log.run, log.n_runs, level)


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


# --- the onset --------------------------------------------------------------------------------------------------------


def _pooled_onset(
    log: DecisionLog, effects: list[Effect], together: list[Effect], margin: float, level: float
) -> Onset:
    """Dates from the effect by lead, of all leading actions together unless these differ."""
    apart = [[effect for effect in effects if effect.leader in (-1, j)] for j in range(log.n_actions)]
    series = [together] * log.n_actions if _alike(effects, level) else apart
    leads = tuple(_lead_of_onset(mine, margin) for mine in series)
    needed = np.where(np.array(leads) < 0, np.iinfo(np.int32).max, leads)[log.leader]
    return Onset("pooled", leads, *(log.first(log.lead >= column) for column in needed.T))


def _alike(effects: list[Effect], level: float) -> bool:
    """Whether the effects at equal leads of different actions are compatible, by a chi-square test over all leads."""
    spread, freedom = 0.0, 0
    for lead in range(1, LARGEST_LEAD + 1):
        mine = [effect.interval for effect in effects if effect.lead == lead]
        if mine:
            weight = np.array([1 / (i.high - i.low) ** 2 for i in mine]) * (2 * ndtri((1 + level) / 2)) ** 2
            middle = np.array([i.estimate for i in mine])
            spread += (weight * (middle - (weight * middle).sum() / weight.sum()) ** 2).sum()
            freedom += len(mine) - 1
    return freedom == 0 or chdtrc(freedom, spread) > 1 - level


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


def _overruled_onset(log: DecisionLog) -> Onset | None:
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


# --- the printed page -------------------------------------------------------------------------------------------------


def _page(report: Report) -> str:
    """The report as text."""
    lines = [
        f"{report.n_decisions:,} decisions in {report.n_runs:,} runs, {report.n_actions} actions; in brackets "
        f"{100 * report.level:g} % intervals",
        f"case ({report.case}): {CASES[report.case]}",
        f"VERDICT: {report.verdict}",
        report.reason,
        *_dependence_lines(report),
        *_weight_lines(report),
        *_deepest_lines(report),
        *_onset_lines(report.onset),
        *_cost_lines(report.cost),
    ]
    return "\n".join(fill(line, 100, subsequent_indent="  ") for line in lines)


def _dependence_lines(report: Report) -> list[str]:
    if report.dependence is None:
        return []
    p_value = report.dependence.p_value
    held = "own signal" if report.case == "a" else "truth"
    lines = [
        f"dependence on predecessors, given {held} and position: {report.dependence.slope}, "
        f"p {'< 0.0001' if p_value < 1e-4 else f'= {p_value:.4f}'}"
    ]
    if report.case == "a":
        return [*lines, "  (of copying, if own signals hold all else that ties the agents of a run together)"]
    return [*lines, "  (copying, or a cause that the agents of a run share beyond truth: the log cannot say which)"]


def _weight_lines(report: Report) -> list[str]:
    weights = report.weights
    if weights is None:
        return []
    count = f"one predecessor counts as much as so many own signals: {weights.relative}"
    if weights.own is None:
        return [count + " (agents never err, so the data leave a set)"]
    return [f"weights in the log-odds: own signal {weights.own}, predecessor {weights.predecessor}", count]


def _deepest_lines(report: Report) -> list[str]:
    deepest = report.deepest
    if deepest is None:
        return []
    lines = [
        f"own effect in the deepest part (lead {deepest.lead} or more): {deepest.interval}; margin {report.margin:g}, "
        f"power at no effect {report.power:.2f}"
    ]
    first = report.effects[0]
    if report.case == "b" and first.lead == 0 and first.interval.low > 0:
        share = max(deepest.interval.high, 0) / first.interval.low
        lines += [f"  (the effect of truth: at most {share:.2f} of its effect on agents whom no action leads)"]
    return lines


def _onset_lines(onset: Onset | None) -> list[str]:
    if onset is None:
        return []
    dated = onset.latest >= 0
    if onset.method == "overruled":
        text = f"onset, if agents never err: {dated.sum()} of {dated.size} runs show an overruled signal"
        if dated.any():
            span = onset.latest[dated] - onset.earliest[dated] + 1
            text += f"; each leaves a set of agents, {np.median(span):.0f} in the middle"
        return [text]
    words = []
    shared = len(set(onset.leads)) == 1
    for action, (lead, early, late) in enumerate(onset.leads[:1] if shared else onset.leads):
        limits = f"{early if early >= 0 else 'none'} to {late if late >= 0 else 'none shown'}"
        words.append(f"{'any action' if shared else f'action {action}'}: {lead if lead >= 0 else 'none'} ({limits})")
    begun = onset.agent[onset.agent >= 0]
    lines = ["lead from which own information no longer matters: " + "; ".join(words)]
    if begun.size:
        lines += [
            f"runs that reach it: {begun.size} of {onset.agent.size}, in the middle at agent {np.median(begun):.0f}"
        ]
    return lines


def _cost_lines(cost: Cost | None) -> list[str]:
    if cost is None:
        return []
    if cost.lost is None:
        return [f"right actions: {cost.accuracy}; of first agents, who follow nobody: {cost.alone}"]
    return [
        f"right actions: {cost.accuracy}; own signals alone: {cost.alone}",
        f"majority of all signals so far: {cost.pooled}; lost by herding: {cost.lost}",
    ]
