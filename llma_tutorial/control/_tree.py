"""A tree of simplices over the beliefs: every belief is a convex combination of the corners of one small cell.

The root is the whole simplex. A cell is cut at the midpoint m of one of its edges (i, j); in one half m takes the place
of j, in the other that of i. A belief with weights w_i >= w_j lies in the half that keeps i, with new weights
w_i - w_j on i and 2 w_j on m, and likewise the other way round: finding a belief's cell needs no division, in any
number of states. Cells shrink where they are cut, so points crowd wherever they are needed, near a vertex too.
"""

from __future__ import annotations

import itertools

import numpy as np


class BeliefTree:
    """Grows by `split`; `points` are the corners of all cells, the vertices of the simplex first.

    Examples
    --------
    >>> tree = BeliefTree(2)
    >>> tree.split(tree.leaves(), np.array([[0, 1]]))
    >>> corners, weights = tree.locate(np.array([[0.25, 0.75]]))
    >>> tree.points[corners[0]], weights[0]
    (array([[0.5, 0.5],
           [0. , 1. ]]), array([0.5, 0.5]))
    """

    def __init__(self, n_states: int) -> None:
        self.points = np.eye(n_states)
        self.parents = np.arange(n_states)[:, None].repeat(2, axis=1)  # the two points that each point halves
        self.corners = np.arange(n_states)[None]  # (cells, X), indices of points
        self.pairs = np.array(list(itertools.combinations(range(n_states), 2)))
        self._cut = np.full((1, 2), -1)  # positions of the edge at which a cell was cut, -1 for a leaf
        self._half = np.full(1, -1)  # the half that keeps the first end of that edge; the other one comes next

    def leaves(self) -> np.ndarray:
        """Cells that have not been cut."""
        return np.flatnonzero(self._half < 0)

    def longest_edges(self, cells: np.ndarray) -> np.ndarray:
        """Positions (cells, 2) of the two ends of the longest edge of each cell."""
        ends = self.points[self.corners[cells]][:, self.pairs]
        return self.pairs[((ends[:, :, 0] - ends[:, :, 1]) ** 2).sum(axis=2).argmax(axis=1)]

    def split(self, cells: np.ndarray, edges: np.ndarray) -> None:
        """Cut each of the leaves `cells` at the midpoint of the edge between two of its corner positions."""
        row = np.arange(len(cells))
        old = self.corners[cells]
        ends = np.sort(np.stack([old[row, edges[:, 0]], old[row, edges[:, 1]]], axis=1), axis=1)
        candidates = np.vstack([self.points, self.points[ends].mean(axis=1)])
        _, first, copy_of = np.unique(candidates, axis=0, return_index=True, return_inverse=True)
        kept = np.sort(first)  # the old points, then each new one once
        middle = np.searchsorted(kept, first[copy_of.reshape(-1)[len(self.points) :]])
        new = kept[len(self.points) :] - len(self.points)
        self.points = candidates[kept]
        self.parents = np.vstack([self.parents, ends[new]])
        halves = np.stack([old, old], axis=1)
        halves[row, 0, edges[:, 1]] = middle
        halves[row, 1, edges[:, 0]] = middle
        self._cut[cells] = edges
        self._half[cells] = len(self.corners) + 2 * row
        self.corners = np.vstack([self.corners, halves.reshape(-1, old.shape[1])])
        self._cut = np.vstack([self._cut, np.full((2 * len(cells), 2), -1)])
        self._half = np.concatenate([self._half, np.full(2 * len(cells), -1)])

    def locate(self, beliefs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Corners (n, X) of the leaf around each of n beliefs, as indices of points, and the weights on them."""
        weights = np.array(beliefs, dtype=float)
        cell = np.zeros(len(weights), dtype=np.int64)
        moving = np.arange(len(weights))
        while (moving := moving[self._half[cell[moving]] >= 0]).size:
            here = cell[moving]
            i, j = self._cut[here].T
            w_i, w_j = weights[moving, i], weights[moving, j]
            second = w_j > w_i
            weights[moving, i] = np.where(second, 2 * w_i, w_i - w_j)
            weights[moving, j] = np.where(second, w_j - w_i, 2 * w_j)
            cell[moving] = self._half[here] + second
        return self.corners[cell], weights
