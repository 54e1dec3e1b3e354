"""How often the audit says what is false (size), and what is true (power), on logs of known kind.

Under each null a share of at most one in twenty may reject. `at the margin` is the null of the equivalence claim:
agents follow the leading action, and own information moves them by exactly the margin at every lead.
"""

import numpy as np
import pandas as pd

from llma_tutorial.many_agents import audit, logs

STUDY = {"title": "Size and power of the audit", "chapter": "many-agents/audit-a-log"}
PROBE = {"cell": {"agents": "bayesian", "case": "b", "n_runs": 15}, "digits": 6}
COLUMNS = {"a": ["run", "order", "action", "signal"], "b": ["run", "order", "action", "truth"]}
MARGIN = 0.1


def cells() -> list[dict]:
    """Nulls first, then alternatives."""
    nulls = [
        {"agents": agents, "case": case, "strength": 0.0, "n_runs": n_runs, "n_agents": 10, "n_logs": 1000}
        for agents, case in (("independent", "a"), ("independent", "b"), ("at the margin", "a"), ("at the margin", "b"))
        for n_runs in (30, 200)
    ]
    weights = [
        {"agents": "logit", "case": case, "strength": strength, "n_runs": n_runs, "n_agents": 10, "n_logs": 200}
        for case in COLUMNS
        for strength in (0.1, 0.2, 0.4)
        for n_runs in (30, 200)
    ]
    herds = [
        {"agents": "bayesian", "case": case, "strength": 0.7, "n_runs": n_runs, "n_agents": 10, "n_logs": 200}
        for case in COLUMNS
        for n_runs in (15, 30, 60, 120, 240)
    ]
    return [{**cell, "seed": number} for number, cell in enumerate(nulls + weights + herds)]


def compute(agents: str, case: str, strength: float, n_runs: int, n_agents: int, n_logs: int, seed: int) -> dict:
    """Share of logs in which each claim is made; `strength` is a predecessor's weight, or the precision of signals."""
    rng = np.random.default_rng(seed)
    dependent, weighted, verdicts, herding = [], [], [], audit.HERDING[case]
    for _ in range(n_logs):
        found = audit.report(draw(agents, case, strength, n_runs, n_agents, rng)[COLUMNS[case]], margin=MARGIN)
        verdicts.append(found.verdict)
        dependent.append(found.dependence is not None and found.dependence.p_value < 0.05)
        if found.weights and found.weights.predecessor:
            weighted.append(not found.weights.predecessor.low <= 0 <= found.weights.predecessor.high)
    return {
        "dependence": float(np.mean(dependent)),
        "weight": float(np.mean(weighted)) if weighted else None,
        "herding": verdicts.count(herding) / n_logs,
        **{name: verdicts.count(name) / n_logs for name in ("own information counts", "cannot tell")},
    }


def draw(agents: str, case: str, strength: float, n_runs: int, n_agents: int, rng: np.random.Generator) -> pd.DataFrame:
    """One log."""
    if agents == "bayesian":
        return logs.bayesian(n_runs, n_agents, precision=strength, rng=rng)[0]
    if agents == "logit":
        return logs.logit(n_runs, n_agents, predecessor=strength, rng=rng)[0]
    log = logs.logit(n_runs, n_agents, predecessor=0.0, rng=rng)[0]
    own = 2 * log["signal" if case == "a" else "truth"].to_numpy().reshape(n_runs, n_agents) - 1
    place = np.arange(n_agents)
    if agents == "independent":  # rates depend on own information, and differ from position to position
        rate = np.broadcast_to(0.5 + 0.3 * np.sin(place) + 0.15 * own, own.shape)
        log["action"] = (rng.random(own.shape) < rate).astype(int).ravel()
        return log
    actions, lead = np.zeros(own.shape, dtype=int), np.zeros(n_runs)
    for k in place:
        rate = 0.5 + 0.35 * np.sign(lead) + MARGIN / 2 * own[:, k]
        actions[:, k] = rng.random(n_runs) < rate
        lead += 2 * actions[:, k] - 1
    log["action"] = actions.ravel()
    return log
