"""Plain loops and brute force: slow, obvious, written without looking at the package's algorithms."""

from __future__ import annotations

import itertools

import numpy as np

TIE = 1e-9


def best_by_signal(belief, matrix, utility, tie_break):
    """For each signal y: the law over actions, or None if y is impossible at this belief."""
    laws = []
    for y in range(len(matrix[0])):
        weights = [belief[x] * matrix[x][y] for x in range(len(belief))]
        total = sum(weights)
        if total == 0:
            laws.append(None)
            continue
        expected = [sum(w / total * utility[x][a] for x, w in enumerate(weights)) for a in range(len(utility[0]))]
        scale = max(abs(value) for row in utility for value in row)
        tied = [a for a, value in enumerate(expected) if value >= max(expected) - TIE * scale]
        law = [0.0] * len(expected)
        if tie_break == "random":
            for a in tied:
                law[a] = 1 / len(tied)
        elif tie_break == "signal" and y in tied:
            law[y] = 1.0
        else:
            law[tied[0]] = 1.0
        laws.append(law)
    return laws


def cascade_action(laws):
    """The action that every possible signal leads to for sure, or -1."""
    possible = [law for law in laws if law is not None]
    for a in range(len(possible[0])):
        if all(law[a] == 1 for law in possible):
            return a
    return -1


def next_public(belief, matrix, laws, action):
    """Public belief after an action is seen."""
    weights = []
    for x in range(len(belief)):
        factor = sum(matrix[x][y] * law[action] for y, law in enumerate(laws) if law is not None)
        weights.append(belief[x] * factor)
    return [w / sum(weights) for w in weights]


def moved(mass, transition):
    """Row vector times transition matrix, by loops."""
    n = len(mass)
    return [sum(mass[i] * transition[i][j] for i in range(n)) for j in range(n)]


def brute_force_law(society, n_agents):
    """Every action history, one by one: cascade probability, correct actions, correct onset, E[min(onset, n)]."""
    utility = society.utility.tolist()
    true, assumed = society.observation_matrix.tolist(), society.assumed_observation_matrix.tolist()
    n_states, n_actions = society.utility.shape
    transition = np.eye(n_states).tolist() if society.transition_matrix is None else society.transition_matrix.tolist()
    cascade, right = [0.0] * n_agents, [0.0] * n_agents
    totals = {"correct_onset": 0.0, "onset": 0.0}

    def follow(k, belief, joint, started):
        if k == n_agents or sum(joint) == 0:
            return
        belief, joint = moved(belief, transition), moved(joint, transition)
        laws = best_by_signal(belief, assumed, utility, society.tie_break)
        herd = cascade_action(laws)
        if herd >= 0:
            cascade[k] += sum(joint)
            if not started:
                totals["correct_onset"] += sum(
                    m for m, row in zip(joint, utility, strict=True) if row[herd] == max(row)
                )
        started = started or herd >= 0
        totals["onset"] += 0 if started else sum(joint)
        for action in range(n_actions):
            child = []
            for x in range(n_states):
                seen = sum(true[x][y] * law[action] for y, law in enumerate(laws) if law is not None)
                child.append(joint[x] * seen)
                right[k] += joint[x] * seen * (utility[x][action] == max(utility[x]))
            if sum(child) > 0:
                follow(k + 1, next_public(belief, assumed, laws, action), child, started)

    follow(0, society.assumed_prior.tolist(), society.prior.tolist(), False)
    return np.array(cascade), np.array(right), totals["correct_onset"], totals["onset"]


def replay(society, observations):
    """Actions, public beliefs and cascade start of one run from its signals, agent by agent (deterministic ties)."""
    belief = society.assumed_prior.tolist()
    matrix, utility = society.assumed_observation_matrix.tolist(), society.utility.tolist()
    transition = society.transition_matrix
    actions, beliefs, start = [], [belief], -1
    for k, y in enumerate(observations):
        predicted = belief if transition is None else moved(belief, transition.tolist())
        laws = best_by_signal(predicted, matrix, utility, society.tie_break)
        if start < 0 and cascade_action(laws) >= 0:
            start = k
        action = laws[y].index(1.0)
        belief = next_public(predicted, matrix, laws, action)
        actions.append(action)
        beliefs.append(belief)
    return np.array(actions), np.array(beliefs), start


def simulate_loop(society, n_agents, n_runs, rng):
    """The simulation as a newcomer would write it: one agent after the other, one run after the other."""
    matrix = society.observation_matrix
    actions = np.zeros((n_runs, n_agents), dtype=int)
    for run in range(n_runs):
        x = rng.choice(len(society.prior), p=society.prior)
        signals = [rng.choice(matrix.shape[1], p=matrix[x]) for _ in range(n_agents)]
        actions[run] = replay(society, signals)[0]
    return actions


def count_law(matrix, n):
    """Law of the multiset of n signals in each state, by listing every ordered sequence."""
    multisets = list(itertools.combinations_with_replacement(range(len(matrix[0])), n))
    law = np.zeros((len(matrix), len(multisets)))
    for sequence in itertools.product(range(len(matrix[0])), repeat=n):
        for x, row in enumerate(matrix):
            law[x, multisets.index(tuple(sorted(sequence)))] += np.prod([row[y] for y in sequence])
    return law
