"""Capacity, one sensor and waste the long way: every rule, every cycle, every tuple of actions."""

from __future__ import annotations

import itertools

import numpy as np
from one_agent.reference_ribum import all_cycles, worst_relabelling, worth
from scipy.optimize import linprog


def ranges(utility):
    """Largest difference of payoffs within a state."""
    return [max(max(row) - min(row) for row in table) or 1.0 for table in utility]


def earned(joint, utility):
    """R_m."""
    return [
        sum(p * v for row, pay in zip(table, payoff, strict=True) for p, v in zip(row, pay, strict=True))
        for table, payoff in zip(joint, utility, strict=True)
    ]


def capacity_waste(joint, utility):
    """Largest gain from a switch, found by trying every rule b(a)."""
    zero = [[0.0] * len(joint[0][0])] * len(joint[0])
    gains = [
        (worst_relabelling(joint[k], utility[m], zero) - r) / size
        for m, (r, size) in enumerate(zip(earned(joint, utility), ranges(utility), strict=True))
        for k in range(len(joint))
    ]
    return max(0.0, *gains)


def costly_waste(joint, utility):
    """Largest ratio over every cycle, single environments included."""
    r, size = earned(joint, utility), ranges(utility)
    cycles = [*((m,) for m in range(len(joint))), *all_cycles(len(joint))]
    return max(
        0.0,
        *(
            sum(worth(joint[k], utility[m]) - r[m] for m, k in zip(c, c[1:] + c[:1], strict=True))
            / sum(size[m] for m in c)
            for c in cycles
        ),
    )


def sensor_waste(joint, utility):
    """The programme in tuples of actions, one constraint at a time; columns (s(a, x), t(a, m), eps)."""
    joint, utility = np.asarray(joint), np.asarray(utility)
    m_all, x_all, a_all = joint.shape
    tuples = list(itertools.product(range(a_all), repeat=m_all))
    n_s = len(tuples) * x_all
    n = n_s + len(tuples) * m_all + 1
    above, equal, right = [], [], []
    for m in range(m_all):
        total = np.zeros(n)
        for i, actions in enumerate(tuples):
            t = n_s + i * m_all + m
            total[t] = 1
            for b in range(a_all):
                row = np.zeros(n)
                for x in range(x_all):
                    row[i * x_all + x] = utility[m, x, b] - utility[m, x, actions[m]]
                row[t] = -1
                above.append(row)
        total[-1] = -ranges(utility.tolist())[m]
        above.append(total)
        for x in range(x_all):
            for a in range(a_all):
                row = np.zeros(n)
                for i, actions in enumerate(tuples):
                    row[i * x_all + x] = actions[m] == a
                equal.append(row)
                right.append(joint[m, x, a])
    cost = np.zeros(n)
    cost[-1] = 1
    tight = {"primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9}
    found = linprog(
        cost, A_ub=np.array(above), b_ub=np.zeros(len(above)), A_eq=np.array(equal), b_eq=right, options=tight
    )
    return found.fun
