"""The linear program behind `recovery`: one sparse matrix, built without a loop over constraints.

The columns are (parameters of u, c, t, eps), the rows NIAS, then epigraph, then NIAC, each "<= 0".
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

RESTRICTIONS = ("free", "shared", "diagonal")
KKT_TOLERANCE = 1e-7


class MarginProgram:
    """NIAS and NIAC of one data set as rows of a matrix."""

    def __init__(
        self, joint: np.ndarray, restriction: str, scaled: bool, scales: np.ndarray | None, low: np.ndarray,
        high: np.ndarray,
    ) -> None:  # fmt: skip
        self.shape, self.bounds = joint.shape, (low, high)
        self.payoffs = _parameters_to_utility(restriction, joint.shape, scales)
        marginal = joint.sum(axis=1)
        chosen = marginal > 0
        self.nias, nias = _nias(joint, chosen)
        self.epigraph, self.niac, epigraph, niac = _niac(joint, chosen)
        n_t = epigraph.shape[1] - nias.shape[1]
        n_environments = len(joint)
        margins = marginal[self.nias[:, 0], self.nias[:, 1]] if scaled else np.ones(len(self.nias))
        m, k = self.niac.T
        rows = np.arange(len(m))
        costs = sparse.csr_array(
            (np.repeat([1.0, -1.0], len(m)), (np.tile(rows, 2), np.concatenate([m, k]))), (len(m), n_environments)
        )
        split = nias.shape[1]
        blocks = [
            [nias @ self.payoffs, None, None, margins[:, None]],
            [epigraph[:, :split] @ self.payoffs, None, epigraph[:, split:], None],
            [niac[:, :split] @ self.payoffs, costs, niac[:, split:], np.ones((len(m), 1))],
        ]
        if n_environments == 1:  # no other environment: NIAS alone, and a cost that nothing pins down
            blocks = [[nias @ self.payoffs, sparse.csr_array((len(self.nias), 1)), margins[:, None]]]
        self.matrix = sparse.csr_array(sparse.block_array(blocks))
        self.sizes = (self.payoffs.shape[1], n_environments, n_t)

    def solve(self, margin: float | None = None) -> tuple[np.ndarray, dict, float, float] | None:
        """Maximise eps, or minimise sum |parameters| at a given eps (None if it cannot be reached)."""
        import cvxpy as cp

        n_parameters, n_environments, _ = self.sizes
        n = self.matrix.shape[1]
        low, high = np.full(n, -np.inf), np.full(n, np.inf)
        low[:n_parameters], high[:n_parameters] = self.bounds
        low[n_parameters : n_parameters + n_environments] = 0.0
        point = cp.Variable(n)
        if margin is None:
            cost = sparse.csr_array(([-1.0], ([0], [n - 1])), (1, n)).toarray()[0]
            objective = cost @ point
        else:
            low[-1] = high[-1] = margin
            objective = cp.norm1(point[:n_parameters])
        floor, ceiling = np.isfinite(low), np.isfinite(high)
        constraints = [self.matrix @ point <= 0, point[floor] >= low[floor], point[ceiling] <= high[ceiling]]
        problem = cp.Problem(cp.Minimize(objective), constraints)
        problem.solve(solver=cp.HIGHS, primal_feasibility_tolerance=1e-9, dual_feasibility_tolerance=1e-9)
        if problem.status == cp.INFEASIBLE and margin is not None:
            return None
        if problem.status != cp.OPTIMAL:
            raise RuntimeError(f"The solver must end with an optimum. Got status {problem.status!r}.")
        rows, lower, upper = (np.asarray(constraint.dual_value) for constraint in constraints)
        multipliers = np.zeros((2, n))
        multipliers[0, floor], multipliers[1, ceiling] = lower, upper
        error = self._kkt_error(point.value, rows, multipliers, low, high, margin)
        if error > KKT_TOLERANCE:
            raise RuntimeError(f"The optimality conditions must hold to {KKT_TOLERANCE:g}. Got {error:.3g}.")
        parts = np.split(rows, np.cumsum([len(self.nias), len(self.epigraph)]))
        duals = dict(zip(("nias", "epigraph", "niac"), parts, strict=True))
        duals |= {"lower": multipliers[0, :n_parameters], "upper": multipliers[1, :n_parameters]}
        return point.value, duals, error, float(problem.solver_stats.solve_time or 0.0)

    def _kkt_error(self, point, rows, multipliers, low, high, margin) -> float:
        """Largest violation of feasibility, dual signs, complementarity and stationarity."""
        gradient = self.matrix.T @ rows - multipliers[0] + multipliers[1]
        if margin is None:
            gradient[-1] -= 1.0
        else:  # the objective is |.|: minus the gradient must be one of its slopes; eps is a constant
            parameters = slice(self.sizes[0])
            slope = np.where(np.abs(point) > 1e-9, np.sign(point), np.clip(-gradient, -1, 1))
            gradient[parameters] += slope[parameters]
            gradient[-1] = 0.0
        floor, ceiling = np.isfinite(low), np.isfinite(high)
        slacks = np.concatenate([-(self.matrix @ point), (point - low)[floor], (high - point)[ceiling]])
        prices = np.concatenate([rows, multipliers[0][floor], multipliers[1][ceiling]])
        return float(max(-slacks.min(), -prices.min(), np.abs(slacks * prices).max(), np.abs(gradient).max()))

    def unpack(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Utility (M, X, A), costs (M,) and margin from a solution."""
        n_parameters, n_environments, _ = self.sizes
        utility = (self.payoffs @ point[:n_parameters]).reshape(self.shape)
        return utility, np.maximum(point[n_parameters : n_parameters + n_environments], 0.0), float(point[-1])

    def in_words(self, duals: dict[str, np.ndarray], most: int = 3) -> str:
        """The inequalities with the largest multipliers."""
        named = [
            (weight, f"NIAS in environment {m} (taking {b} instead of {a})")
            for weight, (m, a, b) in zip(duals["nias"], self.nias, strict=True)
        ]
        named += [
            (weight, f"NIAC (environment {m} with the attention of environment {k})")
            for weight, (m, k) in zip(duals["niac"], self.niac, strict=True)
        ]
        heaviest = sorted((pair for pair in named if pair[0] > 1e-9), key=lambda pair: -pair[0])[:most]
        return "; ".join(words for _, words in heaviest) or "none"


def _parameters_to_utility(restriction: str, shape: tuple, scales: np.ndarray | None) -> sparse.csr_array:
    """Matrix that turns parameters into u, flattened from (M, X, A)."""
    n_environments, n_states, n_actions = shape
    if restriction == "free":
        return sparse.csr_array(sparse.eye_array(n_environments * n_states * n_actions))
    if restriction == "shared":
        return sparse.csr_array(sparse.kron(scales[:, None], sparse.eye_array(n_states * n_actions)))
    rows = np.arange(n_environments * n_states) * n_actions + np.tile(np.arange(n_states), n_environments)
    columns = np.arange(len(rows))
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), (n_environments * n_states * n_actions, len(rows)))


def _nias(joint: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, sparse.csr_array]:
    """(m, a, b) of every row, and the rows sum_x J_m(x, a) [u_m(x, b) - u_m(x, a)]."""
    _, n_states, n_actions = joint.shape
    m, a, b = np.nonzero(chosen[:, :, None] & ~np.eye(n_actions, dtype=bool))
    weights = joint[m, :, a]  # (rows, X)
    columns = (m[:, None] * n_states + np.arange(n_states)) * n_actions
    rows = np.repeat(np.arange(len(m)), n_states)
    matrix = sparse.csr_array(
        (
            np.concatenate([weights.ravel(), -weights.ravel()]),
            (np.tile(rows, 2), np.concatenate([(columns + b[:, None]).ravel(), (columns + a[:, None]).ravel()])),
        ),
        (len(m), joint.size),
    )
    return np.stack([m, a, b], axis=1), matrix


def _niac(joint: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, sparse.csr_array, sparse.csr_array]:
    """(m, k, a, b) of every epigraph row, (m, k) of every NIAC row, and both over the columns (u, t)."""
    n_environments, n_states, n_actions = joint.shape
    others = ~np.eye(n_environments, dtype=bool)
    m, k, a = np.nonzero(others[:, :, None] & chosen[None])  # one t for each
    t = joint.size + np.arange(len(m))
    m4, k4, a4 = (np.repeat(index, n_actions) for index in (m, k, a))
    b4 = np.tile(np.arange(n_actions), len(m))
    rows = np.repeat(np.arange(len(m4)), n_states)
    columns = (m4[:, None] * n_states + np.arange(n_states)) * n_actions + b4[:, None]
    size = joint.size + len(m)
    epigraph = sparse.csr_array(
        (
            np.concatenate([joint[k4, :, a4].ravel(), -np.ones(len(m4))]),
            (np.concatenate([rows, np.arange(len(m4))]), np.concatenate([columns.ravel(), np.repeat(t, n_actions)])),
        ),
        (len(m4), size),
    )
    pairs = np.argwhere(others)
    place = np.cumsum(others).reshape(others.shape) - 1  # row of each pair (m, k)
    cells = joint.size // n_environments
    own = pairs[:, :1] * cells + np.arange(cells)
    niac = sparse.csr_array(
        (
            np.concatenate([np.ones(len(t)), -joint.reshape(n_environments, -1)[pairs[:, 0]].ravel()]),
            (np.concatenate([place[m, k], np.repeat(np.arange(len(pairs)), cells)]), np.concatenate([t, own.ravel()])),
        ),
        (len(pairs), size),
    )
    return np.stack([m4, k4, a4, b4], axis=1), pairs, epigraph, niac
