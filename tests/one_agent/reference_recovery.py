"""The max-margin program written one constraint at a time, solved by scipy."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog


def margin_by_loops(joint, scaled):
    """Largest margin with free utilities in [0, 1]; columns (u, t, c, eps)."""
    m_all, x_all, a_all = joint.shape
    u = lambda m, x, a: (m * x_all + x) * a_all + a  # noqa: E731
    t = lambda m, k, a: joint.size + (m * m_all + k) * a_all + a  # noqa: E731
    c = lambda m: joint.size + m_all * m_all * a_all + m  # noqa: E731
    n = joint.size + m_all * m_all * a_all + m_all + 1
    rows = []
    for m in range(m_all):
        for a in range(a_all):
            chosen = sum(joint[m, x, a] for x in range(x_all))
            for b in range(a_all):
                if b != a and chosen > 0:
                    row = np.zeros(n)
                    for x in range(x_all):
                        row[u(m, x, b)] += joint[m, x, a]
                        row[u(m, x, a)] -= joint[m, x, a]
                    row[-1] = chosen if scaled else 1.0
                    rows.append(row)
        for k in range(m_all):
            if k == m:
                continue
            for a in range(a_all):
                for b in range(a_all):
                    row = np.zeros(n)
                    for x in range(x_all):
                        row[u(m, x, b)] += joint[k, x, a]
                    row[t(m, k, a)] = -1
                    rows.append(row)
            row = np.zeros(n)
            for a in range(a_all):
                row[t(m, k, a)] += 1
                for x in range(x_all):
                    row[u(m, x, a)] -= joint[m, x, a]
            row[c(m)] += 1
            row[c(k)] -= 1
            row[-1] = 1
            rows.append(row)
    cost = np.zeros(n)
    cost[-1] = -1
    bounds = [(0, 1)] * joint.size + [(None, None)] * (n - joint.size)
    return -linprog(cost, A_ub=np.array(rows), b_ub=np.zeros(len(rows)), bounds=bounds, method="highs").fun
