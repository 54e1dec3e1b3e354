"""Plain loops and exact fractions for regions, mixed lines and partial views: nothing of the package's algorithms."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, product

import numpy as np
from reference import best_by_signal, cascade_action, moved, next_public


def herd_in_fractions(belief, matrix, utility, tie_break):
    """The action that every possible signal leads to for sure, or -1: ties are ties of whole numbers."""
    chosen = []
    for y in range(len(matrix[0])):
        weights = [p * row[y] for p, row in zip(belief, matrix, strict=True)]
        if sum(weights) == 0:
            continue
        expected = [sum(w * row[a] for w, row in zip(weights, utility, strict=True)) for a in range(len(utility[0]))]
        tied = [a for a, value in enumerate(expected) if value == max(expected)]
        if tie_break == "random" and len(tied) > 1:
            return -1
        chosen.append(y if tie_break == "signal" and y in tied else tied[0])
    return chosen[0] if len(set(chosen)) == 1 else -1


def crossings(belief, other, half_spaces):
    """Where the segment between two beliefs meets the edges of half-spaces: beliefs in fractions."""
    met = []
    for normal in half_spaces:
        here = sum(p * c for p, c in zip(belief, normal, strict=True))
        there = sum(p * c for p, c in zip(other, normal, strict=True))
        if here * there < 0:
            share = here / (here - there)
            met.append([p + share * (q - p) for p, q in zip(belief, other, strict=True)])
    return met


def corners_by_pairs(half_spaces):
    """Corners of {belief: half_spaces @ belief <= 0} in a triangle: every pair of edges, in fractions."""
    edges = [*half_spaces, *[[-Fraction(int(i == j)) for j in range(3)] for i in range(3)]]
    found = set()
    for (a1, a2, a3), (b1, b2, b3) in combinations(edges, 2):
        cross = (a2 * b3 - a3 * b2, a3 * b1 - a1 * b3, a1 * b2 - a2 * b1)
        if sum(cross) != 0:
            point = tuple(c / sum(cross) for c in cross)
            if all(sum(p * c for p, c in zip(point, edge, strict=True)) <= 0 for edge in edges):
                found.add(point)
    return found


def brute_force_mixed(line, n_agents):
    """Every action history of a mixed line: own cascade and right action by agent; P(settled rightly); E[onset]."""
    kinds = [line.order[(k - len(line.opening)) % len(line.order)] if k >= len(line.opening) else line.opening[k]
             for k in range(n_agents + len(line.order))]  # fmt: skip
    states = range(line.kinds[0].prior.size)
    transition = line.kinds[0].transition_matrix
    cascade, right, settled_right, onset = [0.0] * n_agents, [0.0] * n_agents, 0.0, 0.0

    def laws_of(kind, belief):
        society = line.kinds[kind]
        return best_by_signal(
            belief, society.assumed_observation_matrix.tolist(), society.utility.tolist(), society.tie_break
        )

    def follow(k, belief, joint, settled):
        nonlocal settled_right, onset
        if k == n_agents or sum(joint) == 0:
            return
        if transition is not None:
            belief, joint = moved(belief, transition.tolist()), moved(joint, transition.tolist())
        herds = {kind: cascade_action(laws_of(kind, belief)) for kind in set(kinds[k:])}
        if not settled and min(herds.values()) >= 0:
            settled = True
            settled_right += sum(
                joint[x] for x in states if all(line.kinds[kind].correct[x, herd] for kind, herd in herds.items())
            )
        onset += 0 if settled else sum(joint)
        kind, society = kinds[k], line.kinds[kinds[k]]
        cascade[k] += sum(joint) if herds[kind] >= 0 else 0
        laws = laws_of(kind, belief)
        for action in range(society.utility.shape[1]):
            chance = [sum(row[y] * law[action] for y, law in enumerate(laws) if law)
                      for row in society.observation_matrix.tolist()]  # fmt: skip
            child = [joint[x] * chance[x] for x in states]
            right[k] += sum(child[x] for x in states if society.correct[x, action])
            if sum(child) > 0:
                after = next_public(belief, society.assumed_observation_matrix.tolist(), laws, action)
                follow(k + 1, after, child, settled)

    shared = line.kinds[0]
    follow(0, shared.assumed_prior.tolist(), shared.prior.tolist(), False)
    return np.array(cascade), np.array(right), settled_right, onset


def brute_force_view(view, n_agents):
    """Every action history of a line with partial views, every set of predecessors: cascade, right, beliefs by view."""
    society, states = view.society, range(view.society.prior.size)
    n_actions = society.utility.shape[1]
    true, assumed = society.observation_matrix.tolist(), society.assumed_observation_matrix.tolist()
    transition = (
        np.eye(len(states)).tolist() if society.transition_matrix is None else society.transition_matrix.tolist()
    )
    real, held = {(): society.prior.tolist()}, {(): society.assumed_prior.tolist()}
    cascade, right, tables = [], [], []
    for k in range(n_agents):
        real = {history: moved(joint, transition) for history, joint in real.items()}
        held = {history: moved(joint, transition) for history, joint in held.items()}
        sets = list(combinations(range(k), view.n_seen)) if k > view.n_seen else [tuple(range(k))]
        if view.which == "last":
            sets = [tuple(range(max(0, k - view.n_seen), k))]

        def seen(history, chosen):
            actions = [history[j] for j in chosen]
            return tuple(actions if view.which == "last" else sorted(actions))

        table = {}
        for history, joint in held.items():
            for chosen in sets:
                total = table.setdefault(seen(history, chosen), [0.0] * len(states))
                for x in states:
                    total[x] += joint[x] / len(sets)
        table = {key: [p / sum(total) for p in total] for key, total in table.items()}
        laws = {
            key: best_by_signal(b, assumed, society.utility.tolist(), society.tie_break) for key, b in table.items()
        }
        cascade.append(0.0)
        right.append(0.0)
        for history, joint in real.items():
            cascade[k] += sum(joint) * sum(cascade_action(laws[seen(history, c)]) >= 0 for c in sets) / len(sets)
        after = [{}, {}]
        for part, matrix, law_of_next in ((real, true, after[0]), (held, assumed, after[1])):
            for history, joint in part.items():
                for action in range(n_actions):
                    child = [0.0] * len(states)
                    for chosen in sets:
                        for x, (y, law) in product(states, enumerate(laws[seen(history, chosen)])):
                            child[x] += joint[x] * matrix[x][y] * (law[action] if law else 0) / len(sets)
                    if part is real:
                        right[k] += sum(child[x] for x in states if society.correct[x, action])
                    if sum(child) > 0:
                        law_of_next[(*history, action)] = child
        real, held = after
        tables.append(table)
    return np.array(cascade), np.array(right), tables
