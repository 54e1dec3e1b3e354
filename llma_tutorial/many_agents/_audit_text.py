"""The printed page of an audit: what kind of log, the verdict and its reason, then one line for each estimate."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from llma_tutorial.many_agents._audit_onset import Onset
    from llma_tutorial.many_agents.audit import Cost, Report

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


def page(report: Report) -> str:
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
