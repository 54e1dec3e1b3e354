"""What the inequalities are made of: arrays in, arrays out, any number of leading axes (data sets at once).

    value[m, k, a, b]  =  sum_x J_k(x, a) u_m(x, b)     use attention k under payoff m, and b where k recommends a
    G[m, k]            =  sum_a max_b value[m, k, a, b]   worth of attention k under payoff m
    w[m, k]            =  G[m, m] - G[m, k]               what m loses by taking over k's attention, cost aside

    R[m]            =  sum_x,a J_m(x, a) u_m(x, a)        what m's choices earn; R[m] <= G[m, m], equal under NIAS
    s[m, k]         =  R[m] - G[m, k]                     what m loses by switching to k's attention, used at its best

Costs c with w[m, k] >= c_m - c_k exist exactly when no cycle of w is negative. The smallest mean over all cycles
(Karp's algorithm) is the largest margin by which they can be made to hold. With equal costs every s must be >= 0.

Waste, the least share eps such that all inequalities hold when every R[m] is raised by eps times the range of u_m
(the largest difference within a state: nobody can tell what is paid whatever one does):

    no improving switch    max over m, k of  -s[m, k] / range[m]
    cycles                 max over cycles of  (sum_j G[m_j, m_{j+1}] - R[m_j]) / sum_j range[m_j],  k = m included
                           (Dinkelbach: raise eps to the ratio of the worst cycle until no cycle is left)
"""

from __future__ import annotations

import numpy as np

HYPOTHESES = ("costly", "capacity", "one sensor")  # about attention; the head of `ribum` says what they mean
TOLERANCE = 1e-9  # of the largest payoff: slacks above minus this count as satisfied, gains below it as rounding


def relabelled_values(joint: np.ndarray, utility: np.ndarray) -> np.ndarray:
    """value[..., m, k, a, b] from J of shape (..., K, X, A) and u of shape (..., M, X, B)."""
    *lead, n_k, n_x, n_a = joint.shape
    n_m, n_b = utility.shape[-3], utility.shape[-1]
    left = np.moveaxis(joint, -2, -1).reshape(*lead, n_k * n_a, n_x)
    right = np.moveaxis(utility, -3, -2).reshape(*utility.shape[:-3], n_x, n_m * n_b)
    product = (left @ right).reshape(*lead, n_k, n_a, n_m, n_b)
    return np.moveaxis(product, -2, -4)


def information_values(joint: np.ndarray, utility: np.ndarray) -> np.ndarray:
    """G[..., m, k]: the worth of each environment's attention under each environment's payoff."""
    return relabelled_values(joint, utility).max(axis=-1).sum(axis=-1)


def nias_slacks(joint: np.ndarray, utility: np.ndarray) -> np.ndarray:
    """slack[..., m, a, b] of every NIAS inequality; infinite for b = a and for actions never chosen."""
    n_actions = joint.shape[-1]
    own = np.moveaxis(np.diagonal(relabelled_values(joint, utility), axis1=-4, axis2=-3), -1, -3)
    slacks = np.diagonal(own, axis1=-2, axis2=-1)[..., None] - own
    empty = (joint.sum(axis=-2) <= 0)[..., None] | np.eye(n_actions, dtype=bool)
    return np.where(empty, np.inf, slacks)


def niac_weights(values: np.ndarray) -> np.ndarray:
    """w[..., m, k] = G[m, m] - G[m, k]."""
    return np.diagonal(values, axis1=-2, axis2=-1)[..., None] - values


def _walks(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cheapest walk of each length 0..M that ends in each environment, and the environment before it."""
    n = weights.shape[-1]
    edges = np.where(np.eye(n, dtype=bool), np.inf, weights)
    cost, before = np.zeros((n + 1, *weights.shape[:-1])), np.zeros((n + 1, *weights.shape[:-1]), dtype=int)
    for length in range(n):
        candidates = cost[length][..., :, None] + edges
        before[length + 1] = candidates.argmin(axis=-2)
        cost[length + 1] = candidates.min(axis=-2)
    return cost, before


def cheapest_cycle_mean(weights: np.ndarray) -> np.ndarray:
    """Smallest mean weight over all cycles of two or more environments; infinite for a single one."""
    n = weights.shape[-1]
    if n == 1:
        return np.full(weights.shape[:-2], np.inf)
    cost, _ = _walks(weights)
    remaining = np.arange(n, 0, -1).reshape(-1, *(1,) * (weights.ndim - 1))
    return ((cost[n] - cost[:n]) / remaining).max(axis=0).min(axis=-1)


def cheapest_cycle(weights: np.ndarray) -> tuple[int, ...]:
    """A cycle of one weight matrix with the smallest mean: each environment takes over the next one's attention."""
    n = len(weights)
    cost, before = _walks(weights)
    end = int(((cost[n] - cost[:n]) / np.arange(n, 0, -1)[:, None]).max(axis=0).argmin())
    walk = [end]
    for length in range(n, 0, -1):
        walk.append(int(before[length][walk[-1]]))
    # The walk of M steps visits some environment twice; the cheapest of the cycles in it is the answer.
    stack, cycles = [], []
    for environment in reversed(walk):
        if environment in stack:
            cycles.append(tuple(stack[stack.index(environment) :]))
            stack = stack[: stack.index(environment)]
        stack.append(environment)
    return min(cycles, key=lambda cycle: float(weights[cycle, np.roll(cycle, -1)].mean()))


def least_costs(values: np.ndarray) -> np.ndarray:
    """Smallest c >= 0 with c_k >= c_m + G[m, k] - G[m, m]: longest paths, given that no cycle is negative."""
    weights, costs = niac_weights(values), np.zeros(len(values))
    for _ in range(len(values)):
        costs = np.maximum(costs, (costs[:, None] - weights).max(axis=0))
    return costs


def greatest_costs(values: np.ndarray, uninformed: np.ndarray) -> np.ndarray:
    """Largest c with c_m <= G[m, m] - uninformed[m] and c_m <= c_k + G[m, m] - G[m, k]: shortest paths."""
    weights, costs = niac_weights(values), np.diagonal(values) - uninformed
    for _ in range(len(values)):
        costs = np.minimum(costs, (costs[None, :] + weights).min(axis=1))
    return costs


def realised(joint: np.ndarray, utility: np.ndarray) -> np.ndarray:
    """R[..., m]: what the choices of each environment earn."""
    return np.einsum("...mxa,...mxa->...m", joint, utility)


def switch_slacks(joint: np.ndarray, utility: np.ndarray) -> np.ndarray:
    """s[..., m, k] = R[m] - G[m, k]; for k = m the loss from relabelling the own actions."""
    return realised(joint, utility)[..., None] - information_values(joint, utility)


def payoff_ranges(utility: np.ndarray) -> np.ndarray:
    """Largest difference of payoffs within a state of each environment, the unit of waste; 1 if nothing is at stake."""
    ranges = (utility.max(axis=-1) - utility.min(axis=-1)).max(axis=-1)
    return np.where(ranges > 0, ranges, 1.0)


def waste_of_switches(slacks: np.ndarray, ranges: np.ndarray) -> float:
    """Least share of the ranges that leaves no improving switch."""
    return max(float((-slacks / ranges[:, None]).max()), 0.0)


def waste_of_cycles(slacks: np.ndarray, ranges: np.ndarray) -> float:
    """Least share of the ranges that leaves no negative cycle of w, nor a gain from relabelling."""
    share = max(float((-np.diagonal(slacks) / ranges).max()), 0.0)
    while len(slacks) > 1:
        cycle = cheapest_cycle(slacks + share * ranges[:, None])
        ratio = -float(slacks[cycle, np.roll(cycle, -1)].sum() / ranges[list(cycle)].sum())
        if ratio <= share + TOLERANCE:
            break
        share = ratio
    return share
