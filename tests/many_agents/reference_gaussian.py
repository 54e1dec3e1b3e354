"""Gaussian learning by brute force: a quantity is a row of weights on independent noises, an estimate a solve."""

import numpy as np


class Noises:
    """A growing list of independent normal variables; a quantity is its vector of weights on them."""

    def __init__(self, size):
        self.variances, self.size = [], size

    def new(self, variance):
        weights = np.zeros(self.size)
        weights[len(self.variances)] = 1
        self.variances.append(variance)
        return weights

    def covariance(self, rows):
        scale = np.zeros(self.size)
        scale[: len(self.variances)] = self.variances
        rows = np.array(rows)
        return rows * scale @ rows.T

    def estimate(self, x, seen):
        """E[x | seen], by least squares."""
        full = self.covariance([x, *seen])
        return np.linalg.lstsq(full[1:, 1:], full[1:, 0], rcond=None)[0] @ np.array(seen)

    def error(self, x, estimate):
        return self.covariance([x - estimate])[0, 0]


def talk(n_agents, n_rounds, prior, seen, noise, nudge=0.0, share=None):
    """Error variance after each round.

    `nudge` is added to the last listener's weight on what it heard; with a `share`, speakers move from what was known
    by that share towards a reading that they work out from what they heard, whatever they believe themselves.
    """
    noises = Noises(1 + n_agents * n_rounds)
    x = noises.new(prior)
    known, found = np.zeros(noises.size), []
    for _ in range(n_rounds):
        heard = x + noises.new(seen)
        for agent in range(n_agents):
            estimate = noises.estimate(x, [known, heard] if known.any() else [heard])
            if agent == n_agents - 1:
                estimate = estimate + nudge * (heard - known)
            elif share is None:
                heard = estimate + noises.new(noise)
            else:
                reading = heard if agent == 0 else known + (heard - known) / share
                heard = known + share * (reading - known) + noises.new(noise)
        known = estimate
        found.append(noises.error(x, known))
    return found


def naive_talk(n_agents, n_rounds, prior, seen, noise):
    """The same for listeners who weigh each voice by its believed variance, as if it were news; what they believe."""
    noises = Noises(1 + n_agents * n_rounds)
    x = noises.new(prior)
    known, variance, found = np.zeros(noises.size), prior, []
    for _ in range(n_rounds):
        heard, reliability = x + noises.new(seen), 1 / seen
        for agent in range(n_agents):
            precision = 1 / variance + reliability
            estimate = (known / variance + heard * reliability) / precision
            if agent < n_agents - 1:
                heard, reliability = estimate + noises.new(noise), 1 / (1 / precision + noise)
        known, variance = estimate, 1 / precision
        found.append((noises.error(x, known), variance))
    return found


def line_of_actions(n_agents, prior, signal, noise):
    """Public precision before each agent, from all actions at once; precisions in, precisions out."""
    noises = Noises(1 + 2 * n_agents)
    x = noises.new(1 / prior)
    actions, found = [], [prior]
    for _ in range(n_agents):
        action = noises.estimate(x, [*actions, x + noises.new(1 / signal)])
        actions.append(action + (noises.new(1 / noise) if np.isfinite(noise) else 0))
        found.append(1 / noises.error(x, noises.estimate(x, actions)))
    return found


def refitted(n, n_generations, n_fresh, accumulate, unbiased):
    """E[variance], E[mean^2] of each generation from the second moments of all points; the truth is N(0, 1)."""
    moments, points, found = np.zeros((0, 0)), 0, [(1.0, 0.0)]
    for _ in range(n_generations):
        variance, square = found[-1]
        old = moments if accumulate else np.zeros((0, 0))
        own = n - n_fresh
        new = np.zeros((len(old) + n, len(old) + n))
        new[: len(old), : len(old)] = old
        if len(old):
            new[: len(old), len(old) :] = old.mean(axis=1)[:, None]
            new[len(old) :, : len(old)] = old.mean(axis=1)
        start = len(old)
        new[start : start + own, start : start + own] = square + variance * np.eye(own)
        new[start + own :, start + own :] = np.eye(n_fresh)
        moments, points = new, len(new)
        centred = np.eye(points) - 1 / points
        found.append((np.trace(centred @ moments) / (points - unbiased), moments.mean()))
    return np.array(found).T
