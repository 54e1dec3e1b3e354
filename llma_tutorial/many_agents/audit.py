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
from llma_tutorial.many_agents._audit_onset import LARGEST_LEAD, Onset, overruled, pooled
from llma_tutorial.many_agents._decision_log import DecisionLog, read_log

if TYPE_CHECKING:
    import pandas as pd

FEWEST_RUNS = 30  # uncertainty by run is too rough with fewer
DEEP = 60  # decisions with each own signal in the part of a log that can show that they make no difference
LAST = 10  # the same for the largest leads, which must not point the other way
INTERCEPTS = 8  # positions with an intercept of their own in the weights; later ones share the last
HERDING = {"a": "herding", "b": "herding or a shared cause"}


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
    facts = (case, most, log.n_runs, log.run.size, log.n_actions, margin, level)
    if case == "c":
        return Report("not identified", _audit_text.REFUSAL, *facts)
    if log.n_runs < FEWEST_RUNS:
        reason = f"{log.n_runs} runs are too few: intervals by run need {FEWEST_RUNS} or more."
        return Report("cannot tell", reason, *facts, onset=overruled(log))
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
        onset = pooled(log, effects, together, margin, level)
        verdict = HERDING[case]
    elif verdict == "cannot tell":
        onset = overruled(log)
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
