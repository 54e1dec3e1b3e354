r"""The certified solver of stopping problems: a lower and an upper bound on the optimal cost at every belief.

Equation: see `problems`.

Algorithm. Both bounds live on a tree of simplices over the beliefs (`BeliefTree`).

    Lower side   V is concave, so interpolation of values below V stays below V, and the Bellman operator with
                 interpolation maps lower bounds to lower bounds. Value iteration started from a lower bound stays one;
                 so does its limit, the fixed point of a finite stopping problem, which policy iteration finds in a
                 few sparse linear solves. What rounding leaves, residual / (1 - rho), is subtracted.
    Upper side   Each point keeps an alpha-vector: the exact cost, in every state, of one real plan. Plans come from
                 the controller that moves to the plan of the nearest point (one linear system evaluates them all) and
                 from Bellman backups; a point keeps a new plan only if it costs less there.
    Certificate  In a cell, upper - lower at the belief with weights w is at most sum_k w_k (alpha'v_k - lower(v_k)) for
                 the plan alpha of any corner and for any mixture of them: at most the largest of these corner gaps,
                 for the best of a fixed set of mixtures.
    Refinement   What interpolation adds in a cell counts as often as beliefs visit it from where the bracket is too
                 wide. The cells that make up most of this sum are cut, across the edge on which interpolation adds
                 most, where the plans of its two ends cost the same: kinks of V are found, not approached. The solver
                 stops when the certificate is within the tolerance, and refuses when it cannot get there.

Source: Krishnamurthy, Partially Observed Markov Decision Processes (CUP). Chapter: `control/optimal-stopping`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.sparse.linalg import bicgstab, splu

from llma_tutorial import _validate
from llma_tutorial.beliefs import lattice
from llma_tutorial.control.problems import StoppingProblem, cost_of_going_on

START_CELLS = 64
MAX_POINTS = 12_000
MAX_ROUNDS = 120
CUTS = (0.05, 0.95)  # no cut is closer to the end of an edge
CONTROLLERS = 4000  # plans up to which the controller that links them is evaluated
DIRECT = 2000  # unknowns up to which linear systems are factorised
MARKED = 0.6  # share of the estimated error whose cells are cut in a round
BACKUPS = 8  # Bellman backups of the upper side in each round
TIE = 1e-12  # relative to the largest cost: stopping and continuing cost the same


@dataclass(frozen=True, eq=False)
class Solution:
    """A stopping problem solved with a certificate; made by `solve`.

    Attributes
    ----------
    problem : StoppingProblem
    width : float
        No bracket is wider, at any belief.
    iterations : int
        Rounds of solving and refining.
    points, lower, plans : numpy.ndarray of shape (n, X), (n,), (n, X)
        Grid beliefs, lower bounds there, and the exact cost in every state of the plan kept for each of them.
    """

    problem: StoppingProblem
    width: float
    iterations: int
    tree: BeliefTree
    lower: np.ndarray
    plans: np.ndarray

    @property
    def points(self) -> np.ndarray:
        """Beliefs (n, X) of the grid."""
        return self.tree.points

    def value(self, belief: ArrayLike) -> tuple:
        """Lower and upper bound on the optimal cost at beliefs of shape (..., X)."""
        beliefs = _validate.probabilities("belief", belief, (*np.shape(belief)[:-1], self.problem.n_states))
        lower, upper = self._bounds(beliefs.reshape(-1, self.problem.n_states))
        shape = beliefs.shape[:-1]
        return (lower.reshape(shape), upper.reshape(shape)) if shape else (float(lower[0]), float(upper[0]))

    def policy(self, belief: ArrayLike) -> str | np.ndarray:
        """What is optimal at beliefs of shape (..., X): "stop", "continue", or "undecided" where the bracket straddles.

        When stopping, the final action is `problem.stop_action(belief)`. Where both cost the same, "stop".
        """
        beliefs = _validate.probabilities("belief", belief, (*np.shape(belief)[:-1], self.problem.n_states))
        words = self._decide(beliefs.reshape(-1, self.problem.n_states))
        return words.reshape(beliefs.shape[:-1]) if beliefs.ndim > 1 else str(words[0])

    @cached_property
    def threshold_brackets(self) -> np.ndarray:
        """Intervals (n, 2) of pi(1) in which the optimal policy of a two-state problem switches, in rising order."""
        if self.problem.n_states != 2:
            raise ValueError(
                f"`thresholds` must be asked of a problem with 2 states. Got {self.problem.n_states}; "
                "check_structure(problem).switching_curve has the switching beliefs along lines to a vertex."
            )
        coordinate = np.sort(self.points[:, 1])
        coordinate = np.union1d(coordinate, (coordinate[1:] + coordinate[:-1]) / 2)
        words = self._words_on_line(coordinate)
        decided = np.flatnonzero(words != "undecided")
        switch = np.flatnonzero(words[decided][1:] != words[decided][:-1])
        left, right = decided[switch], decided[switch + 1]
        return np.stack(
            [self._edge(coordinate[left], coordinate[right]), self._edge(coordinate[right], coordinate[left])], axis=1
        )

    @property
    def thresholds(self) -> np.ndarray:
        """Values of pi(1) at which the optimal policy of a two-state problem switches: midpoints of their brackets."""
        return self.threshold_brackets.mean(axis=1)

    def _words_on_line(self, coordinate: np.ndarray) -> np.ndarray:
        return self._decide(np.stack([1 - coordinate, coordinate], axis=1))

    def _edge(self, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
        """Bisect from `inside` for the last coordinate that is decided as there."""
        word = self._words_on_line(inside)
        for _ in range(50):
            middle = (inside + outside) / 2
            same = self._words_on_line(middle) == word
            inside, outside = np.where(same, middle, inside), np.where(same, outside, middle)
        return inside

    def _bounds(self, beliefs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        cells, weights = self.tree.locate(beliefs)
        corners = self.tree.corners[cells]
        costs = np.einsum("nkx,nx->nk", self.plans[corners], beliefs).min(axis=1)
        return (weights * self.lower[corners]).sum(axis=1), np.minimum(costs, self.problem.stopping_cost(beliefs))

    def _decide(self, beliefs: np.ndarray) -> np.ndarray:
        low, high = (cost_of_going_on(self.problem, beliefs, lambda later, k=k: self._bounds(later)[k]) for k in (0, 1))
        stop = self.problem.stopping_cost(beliefs)
        tie = TIE * np.abs(self.problem.cost_range).max()
        return np.where(stop <= low + tie, "stop", np.where(high < stop - tie, "continue", "undecided"))


def solve(problem: StoppingProblem, *, tolerance: float = 1e-4) -> Solution:
    """Solve a stopping problem: a bracket around the optimal cost at every belief, no wider than asked.

    Parameters
    ----------
    problem : StoppingProblem
    tolerance : float
        Largest width of the bracket, in the units of the costs; positive.

    Returns
    -------
    Solution
        With `.value(belief)`, `.policy(belief)`, `.thresholds` (two states), `.width` and `.iterations`.

    Raises
    ------
    ValueError
        If the bracket does not close within 12,000 beliefs: the message says how far it got. Also if the cost of
        continuing is not linear in the belief (see `solve_from`).

    Examples
    --------
    >>> from llma_tutorial.control import stopping
    >>> problem = stopping.wald([[0.7, 0.3], [0.3, 0.7]], [[0, 20], [20, 0]], 0.99)
    >>> solution = stopping.solve(problem)
    >>> solution.thresholds.round(3), solution.policy([0.5, 0.5])
    (array([0.251, 0.749]), 'continue')
    """
    if _validate.number("tolerance", tolerance, 0) == 0:
        raise ValueError("`tolerance` must be positive. Got 0.")
    if not problem.linear_cost:
        raise ValueError(
            "`problem` must have a cost of continuing that is linear in the belief, or the optimal cost need not be "
            f"concave. Got a {type(problem).__name__}; solve_from(problem, belief) solves it from one belief."
        )
    tree, mixtures = BeliefTree(problem.n_states), lattice(problem.n_states, 4)
    while len(tree.leaves()) < START_CELLS:
        leaves = tree.leaves()
        tree.split(leaves, tree.longest_edges(leaves), np.full(len(leaves), 0.5))
    stopping = np.zeros(len(tree.points), dtype=bool)
    plans = problem.stop_cost.T[problem.stop_action(tree.points)]
    for iterations in range(1, MAX_ROUNDS + 1):
        chain = Chain(problem, tree)
        lower, stopping = lower_side(chain, stopping)
        plans = _upper_side(chain, stopping, plans, small=tolerance * 1e-3)
        gaps = _corner_gaps(tree, lower, plans)
        bound = (mixtures @ gaps).max(axis=2).min(axis=1)
        width = float(bound.max())
        if width <= tolerance:
            return Solution(problem, width, iterations, tree, lower, plans)
        local = bound - np.einsum("ckk->ck", gaps).mean(axis=1)  # what interpolation adds in the cell itself
        score = local * _weights_of_cells(chain, tree, stopping, np.maximum(bound - tolerance, 0))
        order = np.sort(score)[::-1]
        wide = (score >= order[np.searchsorted(order.cumsum(), MARKED * order.sum())]) & (score > 0)
        if len(tree.points) + wide.sum() > MAX_POINTS:
            break
        plans, stopping = _refined(problem, tree, wide, gaps, plans, stopping)
    raise ValueError(
        f"`tolerance` must be one that {MAX_POINTS} beliefs and {MAX_ROUNDS} rounds can reach. Got {tolerance:g}: the "
        f"bracket for {problem.n_states} states was still {width:.3g} wide with {len(lower)} beliefs after "
        f"{iterations} rounds; ask for a wider one, or a smaller discount."
    )


def _refined(
    problem: StoppingProblem,
    tree: BeliefTree,
    wide: np.ndarray,
    gaps: np.ndarray,
    plans: np.ndarray,
    stopping: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Cut the wide cells of the tree; a new point starts with the cheapest plan at hand and its parents' decision."""
    size, cells = len(tree.points), tree.leaves()[wide]
    tree.split(cells, *_widest_cuts(tree, cells, gaps[wide]))
    new, (one, two) = tree.points[size:], tree.parents[size:].T
    choices = np.stack([plans[one], plans[two], problem.stop_cost.T[problem.stop_action(new)]], axis=1)
    cheapest = np.einsum("nkx,nx->nk", choices, new).argmin(axis=1)
    plans = np.vstack([plans, choices[np.arange(len(new)), cheapest]])
    return plans, np.concatenate([stopping, stopping[one] & stopping[two]])


class Chain:
    """The Markov chain of beliefs seen from the points of the tree: successors, their cells and weights."""

    def __init__(self, problem: StoppingProblem, tree: BeliefTree) -> None:
        self.problem, self.points = problem, tree.points
        self.probability, self.following = problem.successors(tree.points)
        cells, weights = tree.locate(self.following.reshape(-1, problem.n_states))
        self.corners, self.weights = (part.reshape(self.following.shape) for part in (tree.corners[cells], weights))
        self.cells = cells.reshape(self.probability.shape)
        entries = problem.discount * self.probability[:, :, None] * self.weights
        row_ends = np.arange(len(entries) + 1) * entries[0].size
        shape = (len(entries), len(entries))
        self.step = sparse.csr_matrix((entries.ravel(), self.corners.ravel(), row_ends), shape=shape)


def _weights_of_cells(chain: Chain, tree: BeliefTree, stopping: np.ndarray, excess: np.ndarray) -> np.ndarray:
    """How much an error in each leaf adds to the brackets that are too wide: discounted visits from those leaves."""
    leaves, going = tree.leaves(), np.flatnonzero(~stopping)
    share = np.repeat(excess, tree.points.shape[1]) / tree.points.shape[1]
    start = np.bincount(tree.corners[leaves].ravel(), weights=share, minlength=len(tree.points))
    system = sparse.identity(going.size, format="csc") - chain.step[going][:, going].T
    visits = (
        _solve_linear(system, start[going], precision=1e-3)[:, None] * chain.probability[going] * chain.problem.discount
    )
    landed = np.bincount(chain.cells[going].ravel(), weights=visits.ravel(), minlength=len(tree.corners))
    return excess + landed[leaves]


def lower_side(chain: Chain, stopping: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fixed point of the Bellman operator with interpolation, by policy iteration from a guess of the stopping set."""
    problem, step = chain.problem, chain.step
    stop, running = problem.stopping_cost(chain.points), problem.running_cost(chain.points)
    tie = TIE * max(np.abs(stop).max(), np.abs(running).max() / (1 - problem.discount))
    for _ in range(30):
        going = np.flatnonzero(~stopping)
        value = stop.copy()
        if going.size:
            from_going = step[going]
            system = sparse.identity(going.size, format="csc") - from_going[:, going]
            value[going] = _solve_linear(system, running[going] + from_going[:, stopping] @ stop[stopping])
        keep_going = running + step @ value
        better = np.where(np.abs(keep_going - stop) <= tie, stopping, stop < keep_going)
        if (better == stopping).all():
            break
        stopping = better
    residual = np.abs(np.minimum(stop, keep_going) - value).max()
    return value - residual / (1 - problem.discount), stopping


def _solve_linear(system: sparse.sparray, right: np.ndarray, precision: float = 1e-13) -> np.ndarray:
    """Solve a sparse system, exactly if it is small; what an iterative solution leaves open is certified elsewhere."""
    if right.size > DIRECT:
        solution, failed = bicgstab(system.tocsr(), right, rtol=precision, atol=0, maxiter=2000)
        if not failed:
            return solution
    return splu(system.tocsc()).solve(right)


def _upper_side(chain: Chain, stopping: np.ndarray, plans: np.ndarray, small: float) -> np.ndarray:
    """Plans (n, X), each the exact cost of a real plan in every state, improved by backups at the points."""
    problem = chain.problem
    going = np.flatnonzero(~stopping)
    if not going.size:
        return plans
    if going.size < CONTROLLERS:
        plans = _cheaper(plans, going, _evaluate_controller(chain, stopping), chain.points)
    following, corners = chain.following[going], chain.corners[going]
    final_cost, final_plan = problem.stopping_cost(following), problem.stop_cost.T[problem.stop_action(following)]
    for _ in range(BACKUPS):
        cost = np.einsum("nykx,nyx->nyk", plans[corners], following)
        best = np.take_along_axis(corners, cost.argmin(axis=2)[:, :, None], axis=2)[:, :, 0]
        chosen = np.where((final_cost < cost.min(axis=2))[:, :, None], final_plan, plans[best])
        improved = _cheaper(plans, going, backup(problem, chosen), chain.points)
        gain = ((plans - improved) * chain.points).sum(axis=1).max()
        plans = improved
        if gain < small:
            break
    return plans


def backup(problem: StoppingProblem, following_plans: np.ndarray) -> np.ndarray:
    """Cost (n, X) of continuing once and then following the plan (n, Y, X) that belongs to the observation."""
    seen = np.einsum("zy,nyz->nz", problem.observation_matrix, following_plans)
    return problem.continue_cost + problem.discount * seen @ problem.transition_matrix.T


def _evaluate_controller(chain: Chain, stopping: np.ndarray) -> np.ndarray:
    """Cost (going, X) of moving, after each observation, to the plan of the nearest point; stopping points stop."""
    problem = chain.problem
    going = np.flatnonzero(~stopping)
    number = np.full(len(chain.points), -1)
    number[going] = np.arange(going.size)
    nearest = np.take_along_axis(chain.corners, chain.weights.argmax(axis=2)[:, :, None], axis=2)[going, :, 0]
    final = np.where(stopping[nearest][:, :, None], problem.stop_cost.T[problem.stop_action(chain.points)][nearest], 0)
    system = sparse.identity(going.size * problem.n_states, format="csr")
    for y, likelihood in enumerate(problem.observation_matrix.T):
        rows = np.flatnonzero(~stopping[nearest[:, y]])
        moves = (np.ones(rows.size), (rows, number[nearest[rows, y]]))
        step = problem.discount * problem.transition_matrix * likelihood
        system = system - sparse.kron(sparse.csr_matrix(moves, shape=(going.size, going.size)), step, format="csr")
    right = backup(problem, final).ravel()
    cost = _solve_linear(system, right)
    cost = cost + np.abs(system @ cost - right).max() / (1 - problem.discount)
    return cost.reshape(going.size, -1)


def _cheaper(plans: np.ndarray, rows: np.ndarray, others: np.ndarray, points: np.ndarray) -> np.ndarray:
    """`plans` with those of `rows` replaced where the other plan costs less at its own point."""
    better = ((others - plans[rows]) * points[rows]).sum(axis=1) < 0
    plans = plans.copy()
    plans[rows[better]] = others[better]
    return plans


def _corner_gaps(tree: BeliefTree, lower: np.ndarray, plans: np.ndarray) -> np.ndarray:
    """gaps[cell, i, k]: cost at corner k of the plan of corner i, minus the lower bound at k."""
    corners = tree.corners[tree.leaves()]
    return plans[corners] @ tree.points[corners].swapaxes(1, 2) - lower[corners][:, None, :]


def _widest_cuts(tree: BeliefTree, cells: np.ndarray, gaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edge (cells, 2) of each cell on which interpolation adds most, and where the plans of its ends cross on it."""
    row = np.arange(len(cells))[:, None]
    i, j = np.broadcast_to(tree.pairs.T[:, None], (2, len(cells), len(tree.pairs)))
    turned = tree.corners[cells[:, None], i] > tree.corners[cells[:, None], j]  # neighbours must cut at the same point
    i, j = np.where(turned, j, i), np.where(turned, i, j)
    at_first, at_second = gaps[row, j, i] - gaps[row, i, i], gaps[row, i, j] - gaps[row, j, j]
    total = at_first + at_second
    share = np.clip(np.divide(at_first, total, out=np.full_like(total, 0.5), where=total > 0), *CUTS)
    widest = (share * at_second).argmax(axis=1)[:, None]
    return np.hstack([i[row, widest], j[row, widest]]), share[row, widest][:, 0]


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
