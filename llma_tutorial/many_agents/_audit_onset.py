"""When own information stops mattering: from leads, pooled over runs, or from overruled signals in single runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtrc, ndtri

from llma_tutorial.many_agents._decision_log import DecisionLog

if TYPE_CHECKING:
    from llma_tutorial.many_agents.audit import Effect

LARGEST_LEAD = 8  # larger leads count as this one


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


def pooled(log: DecisionLog, effects: list[Effect], together: list[Effect], margin: float, level: float) -> Onset:
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


def overruled(log: DecisionLog) -> Onset | None:
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
