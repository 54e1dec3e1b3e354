"""NIAS, NIAC, cycles and relabellings by plain loops and enumeration."""

from __future__ import annotations

import itertools

import numpy as np


def joint_law(choices, prior):
    """J[m][x][a]; the prior is one for all environments or one for each."""
    priors = [prior] * len(choices) if np.ndim(prior) == 1 else prior
    return [[[pr[x] * p for p in row] for x, row in enumerate(rows)] for pr, rows in zip(priors, choices, strict=True)]


def nias_slack(joint, utility):
    """Smallest slack over environments, chosen actions and deviations."""
    slacks = []
    for table, payoff in zip(joint, utility, strict=True):
        for a in range(len(table[0])):
            if sum(row[a] for row in table) > 0:
                for b in range(len(table[0])):
                    if b != a:
                        slacks.append(sum(row[a] * (payoff[x][a] - payoff[x][b]) for x, row in enumerate(table)))
    return min(slacks)


def worth(table, payoff):
    """sum_a max_b sum_x J(x, a) u(x, b)."""
    states, actions = range(len(table)), range(len(table[0]))
    return sum(max(sum(table[x][a] * payoff[x][b] for x in states) for b in actions) for a in actions)


def all_cycles(n):
    """Every cycle of two or more environments, once."""
    for length in range(2, n + 1):
        for first, *rest in itertools.permutations(range(n), length):
            if first == min(first, *rest):
                yield (first, *rest)


def niac_slack(joint, utility):
    """Smallest mean slack over all cycles, and the cycle."""
    n = len(joint)
    g = [[worth(joint[k], utility[m]) for k in range(n)] for m in range(n)]
    means = {
        cycle: sum(g[m][m] - g[m][k] for m, k in zip(cycle, cycle[1:] + cycle[:1], strict=True)) / len(cycle)
        for cycle in all_cycles(n)
    }
    best = min(means, key=means.get)
    return means[best], best


def worst_relabelling(joint_k, payoff_m, payoff_k):
    """Largest gain over all rules b(a), by trying every rule."""
    states, actions = range(len(joint_k)), range(len(joint_k[0]))
    return max(
        sum(joint_k[x][a] * (payoff_m[x][rule[a]] - payoff_k[x][a]) for x in states for a in actions)
        for rule in itertools.product(actions, repeat=len(actions))
    )
