r"""Payoffs and costs from choices: max-margin and sparsest utilities, and the cost of attention.

Everything is a linear program in the parameters of u, the costs c and epigraph variables t. With J_m(x, a) the joint
laws of `ChoiceData`, and eps the margin,

    NIAS        sum_x J_m(x, a) [u_m(x, b) - u_m(x, a)] + eps p_m(a)  <=  0          every chosen a, every b != a
    epigraph    sum_x J_k(x, a) u_m(x, b)  <=  t[m, k, a]                            every k != m, chosen a, b
    NIAC        sum_a t[m, k, a] - c_k  -  sum_x,a J_m(x, a) u_m(x, a) + c_m + eps  <=  0      every k != m

NIAS makes the linear sum under m's own payoff equal to G[m, m], so only G[m, k] needs its maximum, on the small side
where it is convex. `scaled=False` writes eps instead of eps p_m(a). Parameters lie within bounds, 0 to 1 by default:
without bounds a margin would only measure the scale of u.

    max_margin    maximise eps
    sparsest      minimise sum |parameters| at a given eps

Constant payoffs always reach eps = 0, so a "pass" means eps > 0 by more than the solver's error. With a payoff of its
own in every environment (`restriction="free"`) *every* data set has eps >= 0: a reconstruction, not a test. The
restrictions "shared" and "diagonal", and bounds, are what can fail.

Solver: cvxpy with HiGHS (simplex, primal and dual feasibility 1e-9), so the answer is a vertex and margins of 1e-4 are
meaningful. Primal and dual feasibility, complementarity and the sign of the duals are checked after every solve.
Sources: Caplin & Dean (2015); Jain & Krishnamurthy (2025). Chapter: `one-agent/recovering-utility`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from llma_tutorial import _validate
from llma_tutorial.one_agent import inequalities
from llma_tutorial.one_agent.choice_data import ChoiceData, checked_utility
from llma_tutorial.one_agent.ribum import check

RESTRICTIONS = ("free", "shared", "diagonal")
KKT_TOLERANCE = 1e-7
PASS = 1e-7  # margins below this are solver error


@dataclass(frozen=True, eq=False)
class Recovery:
    """Payoffs and costs that explain choices, made by `max_margin` or `sparsest`.

    Attributes
    ----------
    utility : numpy.ndarray of shape (M, X, A)
        One choice among many: u_m is identified only up to a function of the state, and up to scale.
    attention_costs : numpy.ndarray of shape (M,)
        Costs c_m >= 0 that go with it, one choice among many; see `cost_of_attention` for bounds.
    margin : float
        eps: by how much every inequality holds.
    passed : bool
        margin > 1e-7. With ``restriction="free"`` this says nothing about rationality.
    duals : dict of str to numpy.ndarray
        Multipliers of "nias", "epigraph", "niac", "lower" and "upper": which inequalities hold the margin down.
    kkt_error : float
        Certificate: the largest violation of the optimality conditions, relative to the size of the numbers.
    binding : str
        The inequalities with the largest multipliers, in words.
    solver_seconds : float
        Time spent inside the solver.
    """

    utility: np.ndarray
    attention_costs: np.ndarray
    margin: float
    passed: bool
    duals: dict[str, np.ndarray]
    kkt_error: float
    binding: str
    solver_seconds: float

    def __str__(self) -> str:
        costs = ", ".join(f"{cost:.4f}" for cost in self.attention_costs)
        lines = [f"margin           {self.margin:.6f}", f"held down by     {self.binding}", f"attention costs  {costs}"]
        tables = [np.array2string(u, precision=3, suppress_small=True) for u in self.utility]
        return "\n".join(lines + [f"utility in environment {m}\n{table}" for m, table in enumerate(tables)])


def max_margin(
    data: ChoiceData,
    restriction: str = "free",
    scaled: bool = True,
    *,
    scales: ArrayLike | None = None,
    bounds: tuple[ArrayLike, ArrayLike] = (0.0, 1.0),
) -> Recovery:
    """Payoffs that satisfy NIAS and NIAC with the largest margin.

    Parameters
    ----------
    data : ChoiceData
        With the same prior in every environment.
    restriction : {"free", "shared", "diagonal"}
        A payoff table of its own for each environment; one table times known scales; or u_m(x, a) = 0 unless a = x.
    scaled : bool
        NIAS with margin eps p_m(a) (default) or eps.
    scales : array-like of shape (M,), optional
        Needed by "shared": u_m = scales[m] u. Equal scales can never give a positive margin.
    bounds : pair of array-like
        Least and greatest value of the parameters: shape (M, X, A) for "free", (X, A) for "shared", (M, X) for
        "diagonal", or anything that broadcasts to it. Equal bounds fix a payoff.

    Returns
    -------
    Recovery
        The margin is negative if the bounds leave no payoff that explains the data.

    Raises
    ------
    RuntimeError
        If the solver fails, or the optimality conditions do not hold.

    Notes
    -----
    Chapter `one-agent/recovering-utility`.

    Examples
    --------
    >>> data = ChoiceData([[[0.9, 0.1], [0.1, 0.9]], [[0.6, 0.4], [0.4, 0.6]]], [0.5, 0.5])
    >>> round(max_margin(data).margin, 4)
    0.0857
    >>> max_margin(data, "shared", scales=[1, 2]).passed  # more attention at lower stakes: no explanation
    False
    """
    program = _program(data, restriction, scaled, scales, bounds)
    return _recovery(program, *program.solve())


def sparsest(
    data: ChoiceData,
    margin: float,
    restriction: str = "free",
    scaled: bool = True,
    *,
    scales: ArrayLike | None = None,
    bounds: tuple[ArrayLike, ArrayLike] = (0.0, 1.0),
) -> Recovery:
    """Payoffs of the smallest sum of absolute values that satisfy NIAS and NIAC with a given margin.

    Parameters
    ----------
    data, restriction, scaled, scales, bounds
        As in `max_margin`. Infinite bounds are allowed here.
    margin : float
        The margin eps > 0 to reach; at 0 the answer is u = 0.

    Returns
    -------
    Recovery
        The sparsest representative: among payoffs that differ by a function of the state, the one with most zeros.

    Raises
    ------
    ValueError
        If no payoff within the bounds reaches the margin; the message names the inequalities that conflict.

    Notes
    -----
    Chapter `one-agent/recovering-utility`.

    Examples
    --------
    >>> data = ChoiceData([[[0.9, 0.1], [0.1, 0.9]]], [0.5, 0.5])
    >>> sparsest(data, 0.4).utility.round(3) + 0.0
    array([[[0.5, 0. ],
            [0. , 0.5]]])
    """
    margin = _validate.number("margin", margin, 0)
    program = _program(data, restriction, scaled, scales, bounds, infinite=True)
    solution = program.solve(margin)
    if solution is None:
        best = _recovery(program, *program.solve())
        raise ValueError(
            f"`margin` must be at most {best.margin:.6g}, the largest that these data and bounds allow. "
            f"Got {margin:g}; the inequalities that conflict are {best.binding}."
        )
    return _recovery(program, *solution)


def _program(data: ChoiceData, restriction: str, scaled: bool, scales, bounds, infinite: bool = False) -> MarginProgram:
    data.common_prior  # noqa: B018 - refuses unequal priors
    _validate.one_of("restriction", restriction, RESTRICTIONS)
    if not isinstance(scaled, (bool, np.bool_)):
        raise ValueError(f"`scaled` must be True or False. Got {scaled!r}.")
    n_environments, n_states, n_actions = data.joint.shape
    if restriction == "diagonal" and n_states != n_actions:
        raise ValueError(
            '`restriction` must be "free" or "shared" unless there is one action for each state. '
            f'Got "diagonal" with {n_states} states and {n_actions} actions.'
        )
    if (scales is not None) != (restriction == "shared"):
        raise ValueError(f'`scales` must be given with `restriction` "shared", and only then. Got {scales!r}.')
    if scales is not None:
        scales = _validate.real_array("scales", scales, (n_environments,))
        if (scales <= 0).any():
            raise ValueError(f"`scales` must be positive. Got {scales.min():g}.")
    shape = {"free": data.joint.shape, "shared": (n_states, n_actions), "diagonal": (n_environments, n_states)}
    try:
        low, high = (np.broadcast_to(np.asarray(bound, dtype=float), shape[restriction]).ravel() for bound in bounds)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`bounds` must be a least and a greatest value that broadcast to {shape[restriction]}. Got {bounds!r}."
        ) from error
    if not (low <= high).all() or not (infinite or np.isfinite([low, high]).all()):
        raise ValueError(
            "`bounds` must be a least and a greatest value, finite, and in this order: without them a margin only "
            f"measures the scale of the payoffs. Got {bounds!r}."
        )
    return MarginProgram(data.joint, restriction, scaled, scales, low, high)


def _recovery(program: MarginProgram, point: np.ndarray, duals: dict, kkt_error: float, seconds: float) -> Recovery:
    utility, costs, margin = program.unpack(point)
    return Recovery(utility, costs, margin, margin > PASS, duals, kkt_error, program.in_words(duals), seconds)


def distance(utility: ArrayLike, truth: ArrayLike) -> float:
    """How far payoffs lie from the true ones, once what no choice can reveal is taken out.

    Parameters
    ----------
    utility, truth : array-like of shape (M, X, A)
        Payoffs to compare.

    Returns
    -------
    float
        One minus the cosine between both after the mean over actions is taken out of every state (a function of the
        state is never identified, nor is a common scale): 0 for the same payoffs, 1 for unrelated ones.

    Notes
    -----
    Chapter `one-agent/recovering-utility`.

    Examples
    --------
    >>> truth = [[[1, 0], [0, 1]]]
    >>> round(distance([[[5, 3], [0, 2]]], truth), 12)
    0.0
    """
    truth = _validate.real_array("truth", truth, (None, None, None))
    utility = _validate.real_array("utility", utility, truth.shape)
    centred = [(u - u.mean(axis=2, keepdims=True)).ravel() for u in (utility, truth)]
    norms = [float(np.linalg.norm(u)) for u in centred]
    if min(norms) == 0:
        raise ValueError("`utility` and `truth` must each prefer some action in some state. Got payoffs that never do.")
    return float(1 - centred[0] @ centred[1] / (norms[0] * norms[1]))


@dataclass(frozen=True, eq=False)
class CostBounds:
    """What a strategy of attention costs, as far as choices tell; made by `cost_of_attention`.

    Attributes
    ----------
    lower, upper : float
        The recovered cost of the strategy at the least and at the greatest costs c_m that explain the data, in utils.
    attention_costs : numpy.ndarray of shape (M, 2)
        Least and greatest c_m.
    """

    lower: float
    upper: float
    attention_costs: np.ndarray


def cost_of_attention(data: ChoiceData, utility: ArrayLike, strategy: ArrayLike) -> CostBounds:
    """Recovered cost of a strategy of attention, with bounds.

    Given c, the recovered cost C(p) = max(0, max_m {c_m + G_m(p) - G[m, m]}) is the smallest non-negative cost that
    explains the data and charges c_m for p_m, with G_m(p) the worth of p under payoff m. Choices leave c itself free
    within bounds, and C grows with c: hence `lower` and `upper`. Costs of strategies that were never used may be
    larger still; no choice can tell.

    Parameters
    ----------
    data : ChoiceData
        With the same prior in every environment; must pass `check` at `utility`.
    utility : array-like of shape (X, A) or (M, X, A)
        Known payoffs.
    strategy : array-like of shape (X, S)
        Probability of each of S recommendations (or signals) in each state.

    Returns
    -------
    CostBounds

    Raises
    ------
    ValueError
        If the data fail `check` at these payoffs: then no cost explains them.

    Notes
    -----
    Chapter `one-agent/recovering-utility`.

    Examples
    --------
    >>> data = ChoiceData([[[0.6, 0.4], [0.4, 0.6]], [[0.9, 0.1], [0.1, 0.9]]], [0.5, 0.5])
    >>> stakes = [[[1, 0], [0, 1]], [[2, 0], [0, 2]]]
    >>> cost = cost_of_attention(data, stakes, [[0.9, 0.1], [0.1, 0.9]])
    >>> print(f"{cost.lower:.2f} to {cost.upper:.2f}")
    0.30 to 0.70
    """
    prior = data.common_prior
    verdict = check(data, utility)
    if not verdict.passed:
        raise ValueError(f"`data` must pass `check` at these payoffs, or no cost explains them. Got\n{verdict}")
    utility = checked_utility(utility, data.joint.shape)
    strategy = _validate.probabilities("strategy", strategy, (prior.size, None))
    values = inequalities.information_values(data.joint, utility)
    worth = inequalities.information_values((prior[:, None] * strategy)[None], utility)[:, 0]
    uninformed = np.einsum("x,mxa->ma", prior, utility).max(axis=1)
    costs = np.stack([inequalities.least_costs(values), inequalities.greatest_costs(values, uninformed)], axis=1)
    lower, upper = np.maximum(0.0, (costs + (worth - np.diagonal(values))[:, None]).max(axis=0))
    return CostBounds(float(lower), float(upper), costs)


class MarginProgram:
    """NIAS and NIAC of one data set as rows of a sparse matrix, each "<= 0", built without a loop over constraints.

    The columns are (parameters of u, c, t, eps), the rows NIAS, then epigraph, then NIAC.
    """

    def __init__(
        self, joint: np.ndarray, restriction: str, scaled: bool, scales: np.ndarray | None, low: np.ndarray,
        high: np.ndarray,
    ) -> None:  # fmt: skip
        self.shape, self.bounds = joint.shape, (low, high)
        n_environments, _, n_actions = joint.shape
        self.payoffs = _parameters_to_utility(restriction, joint.shape, scales)
        marginal = joint.sum(axis=1)
        chosen, others = marginal > 0, ~np.eye(n_environments, dtype=bool)
        # Rows of `values` take u to sum_x J_k(x, a) u_m(x, b); `place` numbers them by (m, k, a, b).
        identities = sparse.eye_array(n_environments), sparse.eye_array(n_actions)
        answers = sparse.kron(sparse.csr_array(np.concatenate(joint.swapaxes(1, 2))), identities[1])
        values = sparse.csr_array(sparse.kron(identities[0], answers)) @ self.payoffs
        place = np.arange(values.shape[0]).reshape(n_environments, n_environments, n_actions, n_actions)
        kept = place[range(n_environments), range(n_environments)]
        own = np.diagonal(kept, axis1=1, axis2=2)  # what the choices themselves earn, by (m, a)
        m, a, b = np.nonzero(chosen[:, :, None] & ~np.eye(n_actions, dtype=bool))
        self.nias = np.stack([m, a, b], axis=1)
        margins = marginal[m, a] if scaled else np.ones(len(m))
        blocks = [[values[kept[m, a, b]] - values[own[m, a]], None, None, margins[:, None]]]
        if n_environments == 1:  # no other environment: NIAS alone, and a cost that nothing pins down
            self.epigraph, self.niac, n_t = np.zeros((0, 4), dtype=int), np.zeros((0, 2), dtype=int), 0
            blocks = [[blocks[0][0], sparse.csr_array((len(m), 1)), margins[:, None]]]
        else:
            t = np.argwhere(others[:, :, None] & chosen[None])  # one variable for each (m, k, a)
            n_t = len(t)
            answered = np.arange(n_actions)
            self.epigraph = np.column_stack([np.repeat(t, n_actions, axis=0), np.tile(answered, n_t)])
            self.niac = pairs = np.argwhere(others)
            pair = (np.cumsum(others) - 1).reshape(others.shape)[t[:, 0], t[:, 1]]
            belongs = sparse.csr_array((np.ones(n_t), (pair, np.arange(n_t))))
            costs = sparse.csr_array(np.eye(n_environments)[pairs[:, 0]] - np.eye(n_environments)[pairs[:, 1]])
            cells = np.repeat(np.arange(n_environments), joint[0].size), np.arange(joint.size)
            earned = (sparse.csr_array((joint.ravel(), cells)) @ self.payoffs)[pairs[:, 0]]
            each = sparse.kron(sparse.eye_array(n_t), np.ones((n_actions, 1)))
            blocks.append([values[place[tuple(self.epigraph.T)]], None, -each, None])
            blocks.append([-earned, costs, belongs, np.ones((len(pairs), 1))])
        self.matrix = sparse.csr_array(sparse.block_array(blocks))
        self.sizes = (self.payoffs.shape[1], n_environments, n_t)

    def solve(self, margin: float | None = None) -> tuple[np.ndarray, dict, float, float] | None:
        """Maximise eps, or minimise the sum of absolute parameters at a given eps (None if it cannot be reached)."""
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
        error = self.kkt_error(point.value, rows, multipliers, low, high, margin)
        if error > KKT_TOLERANCE:
            raise RuntimeError(f"The optimality conditions must hold to {KKT_TOLERANCE:g}. Got {error:.3g}.")
        parts = np.split(rows, np.cumsum([len(self.nias), len(self.epigraph)]))
        duals = dict(zip(("nias", "epigraph", "niac"), parts, strict=True))
        duals |= {"lower": multipliers[0, :n_parameters], "upper": multipliers[1, :n_parameters]}
        return point.value, duals, error, float(problem.solver_stats.solve_time or 0.0)

    def kkt_error(self, point, rows, multipliers, low, high, margin) -> float:
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
