"""Run times of one agent: checks without a solver, and what cvxpy adds to the solver's own time."""

import time

import numpy as np
from timing import shortest

from llma_tutorial.one_agent.attention import solve
from llma_tutorial.one_agent.recovery import max_margin
from llma_tutorial.one_agent.ribum import ChoiceData, check, finite_sample_test


def _data(rng, m, n_states, n_actions):
    return ChoiceData(rng.dirichlet(np.ones(n_actions), (m, n_states)), np.full(n_states, 1 / n_states))


def _one_constraint_at_a_time(data):
    """The same program as `max_margin`, written the way it reads on paper."""
    import cvxpy as cp

    joint = data.joint
    m_all, x_all, a_all = joint.shape
    u = [cp.Variable((x_all, a_all)) for _ in range(m_all)]
    c, eps, t = cp.Variable(m_all), cp.Variable(), cp.Variable((m_all * m_all, a_all))
    rules = [constraint for table in u for constraint in (table >= 0, table <= 1)]
    for m in range(m_all):
        own = sum(joint[m, x, a] * u[m][x, a] for x in range(x_all) for a in range(a_all))
        for a in range(a_all):
            for b in range(a_all):
                if b != a:
                    gain = sum(joint[m, x, a] * (u[m][x, b] - u[m][x, a]) for x in range(x_all))
                    rules.append(gain + eps * joint[m, :, a].sum() <= 0)
        for k in range(m_all):
            if k != m:
                for a in range(a_all):
                    for b in range(a_all):
                        value = sum(joint[k, x, a] * u[m][x, b] for x in range(x_all))
                        rules.append(value <= t[m * m_all + k, a])
                rules.append(cp.sum(t[m * m_all + k]) - c[k] - own + c[m] + eps <= 0)
    problem = cp.Problem(cp.Maximize(eps), rules)
    problem.solve(solver=cp.HIGHS)
    return problem.value


def measure() -> list[tuple[str, float, str, float]]:
    """Rows (what, value, unit, limit)."""
    rng = np.random.default_rng(0)
    large, utility = _data(rng, 50, 6, 6), rng.random((50, 6, 6))
    rows = [("check at (M, X, A) = (50, 6, 6)", 1e3 * shortest(lambda: check(large, utility), 20), "ms", 10.0)]

    wide = _data(rng, 10, 6, 6)
    max_margin(wide)
    runs = []
    for _ in range(5):
        start = time.perf_counter()
        found = max_margin(wide)
        runs.append((time.perf_counter() - start) / found.solver_seconds)
    rows.append(("max_margin at (10, 6, 6), whole call over the solver's own time", min(runs), "times", 1.5))

    small = _data(rng, 5, 2, 8)
    fast = shortest(lambda: max_margin(small))
    start = time.perf_counter()
    value = _one_constraint_at_a_time(small)
    slow = time.perf_counter() - start
    if abs(value - max_margin(small).margin) > 1e-6:
        raise AssertionError("The two programs must have the same optimum.")
    rows.append(("max_margin at (5, 2, 8), share of the time of a loop over constraints", fast / slow, "", 1 / 40))

    counts = rng.multinomial(40, wide.choice_probabilities[:3])
    test = shortest(lambda: finite_sample_test(counts, utility[:3], rng=np.random.default_rng(0)))
    rows.append(("finite_sample_test at (3, 6, 6), 999 draws", 1e3 * test, "ms", 500.0))
    prices = np.geomspace(0.01, 10, 100)
    agents = shortest(lambda: solve(np.eye(6), np.full(6, 1 / 6), prices))
    rows.append(("attention.solve, 100 environments of 6 states and 6 actions", 1e3 * agents, "ms", 200.0))
    return rows
