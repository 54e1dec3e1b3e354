"""The audit's statistics as plain loops and brute force."""

from __future__ import annotations

import itertools

import numpy as np


def history(actions, n_actions):
    """For one run: counts of predecessors' actions, leader, lead, decision by decision."""
    rows = []
    for k in range(len(actions)):
        counts = [sum(a == j for a in actions[:k]) for j in range(n_actions)]
        leader = counts.index(max(counts))
        others = [c for j, c in enumerate(counts) if j != leader]
        rows.append((counts, leader, counts[leader] - max(others)))
    return rows


def stratified_difference(outcome, own, stratum):
    """Mantel-Haenszel difference of rates, by loops over strata."""
    top = bottom = 0.0
    for s in set(stratum):
        one = [o for o, w, t in zip(outcome, own, stratum, strict=True) if t == s and w]
        none = [o for o, w, t in zip(outcome, own, stratum, strict=True) if t == s and not w]
        if one and none:
            weight = len(one) * len(none) / (len(one) + len(none))
            top += weight * (sum(one) / len(one) - sum(none) / len(none))
            bottom += weight
    return top / bottom


def centred_products(action, counts, stratum):
    """Score and information of actions on the shares of predecessors, summed over strata and actions."""
    score = information = 0.0
    for s in set(stratum):
        rows = [i for i, t in enumerate(stratum) if t == s]
        for j in range(len(counts)):
            share = [counts[j][i] / sum(c[i] for c in counts) for i in rows]
            taken = [float(action[i] == j) for i in rows]
            mean, rate = sum(share) / len(rows), sum(taken) / len(rows)
            score += sum((f - mean) * (a - rate) for f, a in zip(share, taken, strict=True))
            information += sum((f - mean) ** 2 for f in share)
    return score, information


def permuted_scores(action, counts, stratum):
    """The score under every way of dealing the actions of each stratum out anew (few decisions only)."""
    rows = [[i for i, t in enumerate(stratum) if t == s] for s in sorted(set(stratum))]
    scores = []
    for dealt in itertools.product(*(itertools.permutations([action[i] for i in members]) for members in rows)):
        fresh = list(action)
        for members, values in zip(rows, dealt, strict=True):
            for i, value in zip(members, values, strict=True):
                fresh[i] = value
        scores.append(centred_products(fresh, counts, stratum)[0])
    return np.array(scores)


def left_out_error(ratio, run):
    """Jackknife error of `ratio(mask)`, one run left out at a time."""
    runs = sorted(set(run))
    values = np.array([ratio([r != gone for r in run]) for gone in runs])
    whole = ratio([True] * len(run))
    return np.sqrt((len(runs) - 1) / len(runs) * ((values - whole) ** 2).sum())


def penalised_likelihood(beta, cells, wins, size):
    """Log-likelihood of a logit plus half the log-determinant of its information, cell by cell."""
    total, information = 0.0, np.zeros((len(beta), len(beta)))
    for x, w, n in zip(cells, wins, size, strict=True):
        p = 1 / (1 + np.exp(-float(np.dot(x, beta))))
        total += w * np.log(p) + (n - w) * np.log(1 - p)
        information += n * p * (1 - p) * np.outer(x, x)
    return total + np.linalg.slogdet(information)[1] / 2


def urn_law(actions):
    """Probability of one sequence of actions in the urn, step by step."""
    probability, ones = 1.0, 0
    for k, action in enumerate(actions):
        p_one = (1 + ones) / (2 + k)
        probability *= p_one if action else 1 - p_one
        ones += action
    return probability


def common_cause_law(actions):
    """Probability of one sequence of actions with a shared rate, uniform on (0, 1), by numerical integration."""
    nodes, weights = np.polynomial.legendre.leggauss(20)  # exact for the polynomials met here
    rate = (nodes + 1) / 2
    ones = sum(actions)
    return float((weights / 2 * rate**ones * (1 - rate) ** (len(actions) - ones)).sum())
