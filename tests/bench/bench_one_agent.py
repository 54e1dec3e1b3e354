"""Run times of one agent: checks without a solver, one sensor, and what cvxpy adds to the solver's own time."""

import time

import numpy as np
from timing import shortest

from llma_tutorial.one_agent.attention import solve
from llma_tutorial.one_agent.one_sensor import SensorProgram, explain
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


def _one_sensor(rng, shape, noise):
    """Joint laws and payoffs of an agent that sees eight signals, and is replaced by another in a share of cases."""
    m, n_states, n_actions = shape
    prior, experiment = np.full(n_states, 1 / n_states), rng.dirichlet(np.full(8, 0.5), n_states)
    utility = rng.random(shape)
    actions = np.einsum("xs,mxa->msa", prior[:, None] * experiment, utility).argmax(axis=2)
    choices = (1 - noise) * experiment @ np.eye(n_actions)[actions]
    choices += noise * rng.dirichlet(np.ones(n_actions), (m, n_states))
    return prior[:, None] * choices, utility


def _in_tuples(joint, utility):
    """The one-sensor programme as it reads on paper, a variable for each tuple of actions and state."""
    from scipy import sparse
    from scipy.optimize import linprog

    m_all, x_all, a_all = joint.shape
    tuples = np.indices((a_all,) * m_all).reshape(m_all, -1).T
    i, m, b = np.nonzero(tuples[:, :, None] != np.arange(a_all))
    gains = utility[m, :, b] - utility[m, :, tuples[i, m]]
    columns = np.arange(len(tuples) * x_all).reshape(-1, x_all)
    rows = np.repeat(np.arange(len(i)), x_all)
    above = sparse.csr_array((gains.ravel(), (rows, columns[i].ravel())), (len(i), columns.size))
    cells = (np.arange(m_all)[:, None] * x_all + np.arange(x_all)) * a_all + tuples[:, :, None]
    places = np.broadcast_to(columns[:, None], cells.shape)
    equal = sparse.csr_array((np.ones(cells.size), (cells.ravel(), places.ravel())), (joint.size, columns.size))
    cost, right = np.zeros(columns.size), joint.ravel()
    return linprog(cost, A_ub=above, b_ub=np.zeros(len(i)), A_eq=equal, b_eq=right).status == 0


def _sensor_rows(rng):
    """The programme at 4,096 tuples: seconds, and as a share of the time of the programme in tuples."""
    rows = []
    for shape in ((12, 2, 2), (6, 3, 4), (6, 4, 4)):
        joint, utility = _one_sensor(rng, shape, 0.0)
        fast = shortest(lambda: SensorProgram(utility).feasible(joint), 3)  # noqa: B023
        slow = shortest(lambda: _in_tuples(joint, utility), 1)  # noqa: B023
        if SensorProgram(utility).feasible(joint) is None or not _in_tuples(joint, utility):
            raise AssertionError("An agent with one sensor must pass in both programmes.")
        rows.append((f"one sensor at {shape}, share of the time of the programme in tuples", fast / slow, "", 1.0))
        joint, utility = _one_sensor(rng, shape, 0.05)
        failed = shortest(lambda: explain(joint, utility, joint[0].sum(axis=1)), 2)  # noqa: B023
        rows.append((f"one sensor at {shape}, data that fail, with waste and certificate", failed, "s", 2.0))
    return rows


def measure() -> list[tuple[str, float, str, float]]:
    """Rows (what, value, unit, limit)."""
    rng = np.random.default_rng(0)
    large, utility = _data(rng, 50, 6, 6), rng.random((50, 6, 6))
    rows = [("check at (M, X, A) = (50, 6, 6)", 1e3 * shortest(lambda: check(large, utility), 20), "ms", 10.0)]
    fast = shortest(lambda: check(large, utility, "capacity"), 20)
    rows.append(("capacity check at (50, 6, 6)", 1e3 * fast, "ms", 10.0))
    rows += _sensor_rows(rng)

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
    for hypothesis in ("capacity", "one sensor"):
        other = shortest(
            lambda: finite_sample_test(counts, utility[:3], hypothesis=hypothesis, rng=np.random.default_rng(0)),  # noqa: B023
            2,
        )
        rows.append(
            (
                f"finite_sample_test of {hypothesis} at (3, 6, 6), over that of costly attention",
                other / test,
                "times",
                30.0,
            )
        )
    prices = np.geomspace(0.01, 10, 100)
    agents = shortest(lambda: solve(np.eye(6), np.full(6, 1 / 6), prices))
    rows.append(("attention.solve, 100 environments of 6 states and 6 actions", 1e3 * agents, "ms", 200.0))
    return rows
