"""The audit on agents of three known kinds: coverage of its intervals and dates, over many logs of 200 runs.

Targets: the weights that were put in and the effects that follow (logit), the exact set of ratios (Bayesian agents
never err: 1/2 to 1), and for everything else the value in one log of 60,000 runs. In case b truth stands in for the
signal, which weakens its effect by 2q - 1 = 0.4; so there a margin of 0.1 / 0.4 on the effect of the signal defines the
onset of the logit agents.
"""

import numpy as np
from scipy.special import expit

from llma_tutorial.many_agents import audit, logs

STUDY = {"title": "Coverage and dating of the audit on agents of known kind", "chapter": "many-agents/audit-a-log"}
PROBE = {"cell": {"family": "logit", "case": "b"}, "digits": 6}
FAMILIES = {"bayesian": logs.bayesian, "logit": logs.logit, "mixed_precision": logs.mixed_precision}
PRECISION_GAP = 0.4  # of signals that are right with probability 0.7
COLUMNS = {"a": ["run", "order", "action", "signal"], "b": ["run", "order", "action", "truth"]}


def cells() -> list[dict]:
    """Each family with and without signals."""
    return [
        {"family": family, "case": case, "n_runs": 200, "n_agents": 30, "n_logs": 1000, "seed": 100 + number}
        for number, (family, case) in enumerate((f, c) for f in FAMILIES for c in COLUMNS)
    ]


def compute(family: str, case: str, n_runs: int, n_agents: int, n_logs: int, seed: int) -> dict:
    """Shares of logs whose intervals hold the target, and of herding runs dated within two agents."""
    rng = np.random.default_rng(seed)
    targets, settings = target(family, case, n_agents, rng), {}
    if (family, case) == ("logit", "b"):
        settings = {"margin": 0.1 / PRECISION_GAP}
    covered, close, verdicts, held = {}, [], [], []
    for _ in range(n_logs):
        log, onset = FAMILIES[family](n_runs, n_agents, rng=rng, **settings)
        found = audit.report(log[COLUMNS[case]])
        verdicts.append(found.verdict)
        for name, interval in intervals(found).items():
            if name in targets:
                low, high = targets[name]
                covered.setdefault(name, []).append(interval.low <= low + 1e-7 and interval.high >= high - 1e-7)
        if found.verdict == audit.HERDING[case]:
            herds = onset >= 0
            dates = found.onset
            close.append((herds & (dates.agent >= 0) & (np.abs(dates.agent - onset) <= 2)).sum() / herds.sum())
            after = (dates.latest < 0) | (dates.latest >= onset)
            held.append(((dates.earliest >= 0) & (dates.earliest <= onset) & after)[herds].mean())
    coverage = {name: round(float(np.mean(values)), 4) for name, values in covered.items() if len(values) > n_logs / 2}
    return {
        "coverage": coverage,
        "target": {name: targets[name] for name in coverage},
        "dated_within_two": round(float(np.mean(close)), 4),
        "onset_between_limits": round(float(np.mean(held)), 4),
        "verdicts": {name: verdicts.count(name) / n_logs for name in sorted(set(verdicts))},
    }


def intervals(found: audit.Report) -> dict:
    """The intervals of a report by name."""
    named = {"slope": found.dependence.slope}
    if found.weights:
        named["relative weight"] = found.weights.relative
    if found.weights and found.weights.own:
        named |= {"own weight": found.weights.own, "predecessor weight": found.weights.predecessor}
    named["effect at lead 0"] = found.effects[0].interval
    named |= {f"effect at lead {e.lead}": e.interval for e in found.effects if e.leader == 1 and e.lead <= 3}
    return named


def target(family: str, case: str, n_agents: int, rng: np.random.Generator) -> dict:
    """What the intervals should hold, as (low, high)."""
    found = audit.report(FAMILIES[family](60_000, n_agents, rng=rng)[0][COLUMNS[case]])
    named = {name: (i.estimate, i.estimate) for name, i in intervals(found).items() if not np.isnan(i.estimate)}
    if case == "a" and family == "logit":
        named |= {"own weight": (1.0, 1.0), "predecessor weight": (1.2, 1.2), "relative weight": (1.2, 1.2)}
    if family == "logit":
        for name in named:
            if name.startswith("effect"):
                public = 1.2 * int(name[-1])
                effect = float(expit(public + 1) - expit(public - 1)) * (1.0 if case == "a" else PRECISION_GAP)
                named[name] = (effect, effect)
    if case == "a" and family == "bayesian":
        named["relative weight"] = (0.5, 1.0)
    return named
