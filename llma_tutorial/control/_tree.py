"""A tree of simplices over the beliefs: every belief is a convex combination of the corners of one small cell.

The root is the whole simplex. A cell is cut at a point m = (1 - s) v_i + s v_j of one of its edges; in one part m takes
the place of j, in the other that of i. A belief whose weights satisfy s w_i >= (1 - s) w_j lies in the part that keeps
i, with weight w_j / s on m; the other way round it lies in the part that keeps j, with weight w_i / (1 - s) on m. So a
belief's cell and weights are found in any number of states, and points crowd wherever cuts are made, near a vertex too.
"""

from __future__ import annotations

import itertools

import numpy as np


class BeliefTree:
    """Grows by `split`; `points` are the corners of all cells, the vertices of the simplex first.

    Examples
    --------
    >>> tree = BeliefTree(2)
    >>> tree.split(tree.leaves(), np.array([[0, 1]]), np.array([0.5]))
    >>> cell, weights = tree.locate(np.array([[0.25, 0.75]]))
    >>> tree.points[tree.corners[cell[0]]], weights[0]
    (array([[0.5, 0.5],
           [0. , 1. ]]), array([0.5, 0.5]))
    """

    def __init__(self, n_states: int) -> None:
        self.points = np.eye(n_states)
        self.parents = np.arange(n_states)[:, None].repeat(2, axis=1)  # the two points between which each point lies
        self.corners = np.arange(n_states)[None]  # (cells, X), indices of points
        self.pairs = np.array(list(itertools.combinations(range(n_states), 2)))
        self._edge = np.full((1, 2), -1)  # positions of the two ends of the edge at which a cell was cut
        self._share = np.full(1, 0.5)
        self._part = np.full(1, -1)  # the part that keeps the first end, -1 for a leaf; the other part comes next

    def leaves(self) -> np.ndarray:
        """Cells that have not been cut."""
        return np.flatnonzero(self._part < 0)

    def longest_edges(self, cells: np.ndarray) -> np.ndarray:
        """Positions (cells, 2) of the two ends of the longest edge of each cell."""
        ends = self.points[self.corners[cells]][:, self.pairs]
        return self.pairs[((ends[:, :, 0] - ends[:, :, 1]) ** 2).sum(axis=2).argmax(axis=1)]

    def split(self, cells: np.ndarray, edges: np.ndarray, shares: np.ndarray) -> None:
        """Cut the leaves `cells` at the edges between two of their corner positions, `shares` of the way along."""
        row = np.arange(len(cells))
        old = self.corners[cells]
        first, second = old[row, edges[:, 0]], old[row, edges[:, 1]]
        weight = shares[:, None]
        candidates = np.vstack([self.points, (1 - weight) * self.points[first] + weight * self.points[second]])
        _, once, copy_of = np.unique(candidates, axis=0, return_index=True, return_inverse=True)
        kept = np.sort(once)  # the old points, then each new one once
        middle = np.searchsorted(kept, once[copy_of.reshape(-1)[len(self.points) :]])
        new = kept[len(self.points) :] - len(self.points)
        self.points = candidates[kept]
        self.parents = np.vstack([self.parents, np.stack([first, second], axis=1)[new]])
        parts = np.stack([old, old], axis=1)
        parts[row, 0, edges[:, 1]] = middle
        parts[row, 1, edges[:, 0]] = middle
        self._edge[cells], self._share[cells] = edges, shares
        self._part[cells] = len(self.corners) + 2 * row
        self.corners = np.vstack([self.corners, parts.reshape(-1, old.shape[1])])
        self._edge = np.vstack([self._edge, np.full((2 * len(cells), 2), -1)])
        self._share = np.concatenate([self._share, np.full(2 * len(cells), 0.5)])
        self._part = np.concatenate([self._part, np.full(2 * len(cells), -1)])

    def locate(self, beliefs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The leaf (n,) around each of n beliefs, and the weights (n, X) that write them as mixtures of its corners."""
        weights = np.array(beliefs, dtype=float)
        cell = np.zeros(len(weights), dtype=np.int64)
        moving = np.arange(len(weights))
        while (moving := moving[self._part[cell[moving]] >= 0]).size:
            here = cell[moving]
            (i, j), share = self._edge[here].T, self._share[here]
            w_i, w_j = weights[moving, i], weights[moving, j]
            beyond = (1 - share) * w_j > share * w_i
            on_cut = np.where(beyond, w_i / (1 - share), w_j / share)
            weights[moving, i] = np.where(beyond, on_cut, w_i + w_j - on_cut)
            weights[moving, j] = np.where(beyond, w_i + w_j - on_cut, on_cut)
            cell[moving] = self._part[here] + beyond
        return cell, np.maximum(weights, 0)


def belief_lattice(n_states: int, steps: int) -> np.ndarray:
    """All beliefs whose probabilities are multiples of 1 / steps, in lexicographic order."""
    bars = list(itertools.combinations(range(steps + n_states - 1), n_states - 1))
    places = np.array(bars, dtype=int).reshape(len(bars), n_states - 1)
    edges = np.hstack([np.full((len(places), 1), -1), places, np.full((len(places), 1), steps + n_states - 1)])
    return (np.diff(edges, axis=1) - 1) / steps
