r"""One sensor: can one experiment, the same in all problems, have made all choices? A linear programme decides.

Primitives: problems m with the same prior pi, payoffs u_m(x, a) and joint laws J_m(x, a). The agent sees one signal,
which no problem can change, and takes in each problem an action that is best given the signal.

Equations. If such an agent exists, draw its actions in all problems independently given the signal: their law
sigma(a_1..a_M | x) is itself an experiment that serves. So one sensor explains the data exactly if this is feasible:

    sigma >= 0,  marginals  sum_{a: a_m = b} pi(x) sigma(a | x) = J_m(x, b)                              all m, x, b
    sum_x pi(x) sigma(a | x) [u_m(x, a_m) - u_m(x, b)]  >=  0                                            all a, m, b

That has |A|^M |X| variables. The same set, written in posteriors w of the signal, their weights tau and the answers
q_m(w, a), needs no tuples:

    sum_w w(x) q_m(w, a) = J_m(x, a),   sum_a q_m(w, a) = tau(w),   q_m(w, a) = 0 unless a is best at w

Where the same actions are best, payoffs are linear in w, so any w may be split into the corners of its cell: only the
vertices of the cells into which the indifferences of all problems cut the simplex are needed. They are found once for
given payoffs, by solving for all sets of |X| - 1 hyperplanes; 12 problems of 2 states need a dozen vertices instead of
8,192 variables. If there are more than `MAX_SETS` such sets (many states and actions) the programme is solved in
tuples: data of one sensor still pass in seconds at 4,096 tuples, the waste of data that fail may take minutes.

Waste. Let actions lose: l_m(w, a) = max_b w.u_m(b) - w.u_m(a). The least eps with
sum_w,a q_m(w, a) l_m(w, a) <= eps range(u_m) in every problem is 0 exactly if one sensor explains the data, and never
below the waste of the capacity test, which is never below that of costly attention.

Certificate. The dual is a bet: pay y_m(x, a) when a is taken in state x of problem m, at penalties lambda_m >= 0 with
sum_m lambda_m range(u_m) = 1, such that at every belief w, whatever is done,

    sum_m max_a  w.[y_m(a) - lambda_m l_m(w, a)]  <=  0,      although      sum_m,x,a y_m(x, a) J_m(x, a)  >  0

Nobody with one sensor can win it. The first expression is convex on each cell, so the vertices prove it everywhere.
Solver: scipy's HiGHS, sparse, feasibility 1e-9. What the solver's error leaves above 0 is taken off the bet.

In the field's terms: information is exogenous and fixed; sigma is a Bayes correlated equilibrium in which everything
recommended is seen. Sources: Bergemann & Morris (2016) for such programmes; Caplin, Martin, Marx, Morozova & Xu
(arXiv 2502.00195) for the hypothesis next to it, capacity.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, islice
from math import comb

import numpy as np
from scipy import sparse

from llma_tutorial.one_agent.inequalities import payoff_ranges

PASS = 1e-7  # of the payoff range: waste below this is solver error
TIED = 1e-9  # of the payoff range: actions that lose less are best
MAX_SETS = 1_000_000  # of hyperplanes, for which vertices are found
BELIEFS = 60  # that enter the programme at a time
BLOCK = 50_000  # systems solved at a time
MAX_TUPLES = 20_000
SOLVER = {"primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9}


@dataclass(frozen=True, eq=False)
class Experiment:
    """A sensor that explains the data, made by `explain`.

    Attributes
    ----------
    signal_probabilities : numpy.ndarray of shape (X, S)
        P(s | x).
    responses : numpy.ndarray of shape (M, S, A)
        Probability of each action in each problem, given the signal; only actions that are best have any.
    """

    signal_probabilities: np.ndarray
    responses: np.ndarray


@dataclass(frozen=True, eq=False)
class Bet:
    """A certificate that no single sensor explains the data, made by `explain`; see the head of this module.

    Attributes
    ----------
    stakes : numpy.ndarray of shape (M, X, A)
        y_m(x, a): what is paid when a is taken in state x of problem m, in shares of the payoff range.
    penalties : numpy.ndarray of shape (M,)
        lambda_m >= 0, in 1 / utils.
    value : float
        What the bet pays on the data: more than 0. The waste is at least this.
    """

    stakes: np.ndarray
    penalties: np.ndarray
    value: float


def beliefs_that_matter(utility: np.ndarray) -> np.ndarray | None:
    """Vertices (W, X) of the cells of beliefs at which the same actions are best; None if there are too many to try.

    Parameters
    ----------
    utility : numpy.ndarray of shape (M, X, A)

    Notes
    -----
    Chapter `one-agent/ribum`.

    Examples
    --------
    >>> beliefs_that_matter(np.array([[[1.0, 0], [0, 1]], [[3, 0], [0, 1]]]))
    array([[0.  , 1.  ],
           [0.25, 0.75],
           [0.5 , 0.5 ],
           [1.  , 0.  ]])
    """
    n_problems, n_states, n_actions = utility.shape
    utility = utility / payoff_ranges(utility)[:, None, None]
    first, second = np.triu_indices(n_actions, 1)
    planes = np.moveaxis(utility[:, :, first] - utility[:, :, second], 1, 2).reshape(-1, n_states)
    planes = planes[(planes.max(axis=1) > TIED) & (planes.min(axis=1) < -TIED)]  # the others never cut the simplex
    planes /= np.linalg.norm(planes, axis=1, keepdims=True)
    planes *= np.sign(planes[np.arange(len(planes)), np.abs(planes).argmax(axis=1)])[:, None]
    planes = np.vstack([np.eye(n_states), np.unique(planes.round(12), axis=0)])
    if comb(len(planes), n_states - 1) > MAX_SETS:
        return None
    met, choices = [], combinations(range(len(planes)), n_states - 1)
    while sets := list(islice(choices, BLOCK)):
        rows = planes[np.array(sets, dtype=int).reshape(-1, n_states - 1)]
        systems = np.concatenate([rows, np.ones((len(sets), 1, n_states))], axis=1)
        systems = systems[np.abs(np.linalg.det(systems)) > 1e-9]
        points = np.linalg.solve(systems, np.eye(n_states)[:, -1:])[..., 0]
        met.append(points[(points > -1e-10).all(axis=1)])
    beliefs = np.maximum(np.concatenate(met), 0.0)
    beliefs = np.unique((beliefs / beliefs.sum(axis=1, keepdims=True)).round(12), axis=0)
    # An indifference cuts only where both actions are best: the ties of a true vertex still pin it down.
    losses = _losses(beliefs, utility)
    best = np.moveaxis(utility, 1, 2)[np.arange(n_problems)[:, None], losses.argmin(axis=-1)]  # (m, w, x)
    ties = np.moveaxis(utility, 1, 2)[:, None] - best[:, :, None]
    ties = np.where((losses <= TIED)[..., None], ties, 0.0).swapaxes(0, 1).reshape(len(beliefs), -1, n_states)
    rows = np.concatenate([ties, np.eye(n_states) * (beliefs <= 0)[:, :, None]], axis=1)
    rows = np.concatenate([rows, np.ones((len(beliefs), 1, n_states))], axis=1)
    return beliefs[np.linalg.eigvalsh(rows.swapaxes(1, 2) @ rows)[:, 0] > 1e-8]


def _losses(beliefs: np.ndarray, utility: np.ndarray) -> np.ndarray:
    """l[m, w, a]: what taking a at belief w loses against the best action."""
    values = np.einsum("wx,mxa->mwa", beliefs, utility)
    return values.max(axis=-1, keepdims=True) - values


class SensorProgram:
    """The programme for given payoffs; solved for one data set after another by `feasible`, `waste` and `distance`.

    Columns are (q or s, tau, then what each question adds); `marginals` takes the first to J, `loss` to what each
    problem loses, in shares of its range.
    """

    def __init__(self, utility: np.ndarray) -> None:
        self.shape, self.ranges = utility.shape, payoff_ranges(utility)
        n_problems, _, n_actions = utility.shape
        utility = utility / self.ranges[:, None, None]
        self.beliefs = beliefs_that_matter(utility)
        if self.beliefs is None:
            self._in_tuples(utility)
            return
        n = len(self.beliefs)
        self.lost = _losses(self.beliefs, utility)
        self.lost[self.lost <= TIED] = 0.0
        each = sparse.eye_array(n_problems)
        answers = sparse.kron(each, sparse.kron(self.beliefs.T, sparse.eye_array(n_actions)))
        self.marginals = sparse.hstack([answers, sparse.csr_array((answers.shape[0], n))]).tocsr()
        answered = sparse.kron(sparse.eye_array(n_problems * n), np.ones((1, n_actions)))
        weights = sparse.kron(np.ones((n_problems, 1)), sparse.eye_array(n))
        self.links = sparse.hstack([answered, -weights]).tocsr()
        problem = np.repeat(np.arange(n_problems), n * n_actions)
        losses = sparse.csr_array(
            (self.lost.ravel(), (problem, np.arange(self.lost.size))), (n_problems, self.lost.size)
        )
        self.loss = sparse.hstack([losses, sparse.csr_array((n_problems, n))]).tocsr()
        self.obedience = sparse.csr_array((0, self.loss.shape[1]))
        self.free = np.append(self.lost.ravel() == 0, np.ones(n, dtype=bool))

    def _in_tuples(self, utility: np.ndarray) -> None:
        """Columns s(a, x), then t[m, a]: what the tuple a loses in problem m."""
        n_problems, n_states, n_actions = self.shape
        n = n_actions**n_problems
        if n > MAX_TUPLES:
            raise ValueError(
                f"`utility` must leave a programme that can be solved: at most {MAX_TUPLES} tuples of actions, or "
                f"{MAX_SETS} sets of indifferences. Got {n} tuples; leave out problems or actions, or merge states."
            )
        tuples = np.indices((n_actions,) * n_problems).reshape(n_problems, n).T
        size, columns = n * n_states, np.arange(n * n_states).reshape(n, n_states)
        cells = (np.arange(n_problems)[:, None] * n_states + np.arange(n_states)) * n_actions  # (m, x)
        rows = cells[None] + tuples[:, :, None]
        places = np.broadcast_to(columns[:, None], rows.shape)
        shape = (int(np.prod(self.shape)), size + n * n_problems)
        self.marginals = sparse.csr_array((np.ones(rows.size), (rows.ravel(), places.ravel())), shape)
        a, m, b = np.nonzero(tuples[:, :, None] != np.arange(n_actions))
        gains = utility[m, :, b] - utility[m, :, tuples[a, m]]
        line = np.arange(len(a))
        self.obedience = sparse.csr_array(
            (
                np.concatenate([gains.ravel(), -np.ones(len(a))]),
                (
                    np.concatenate([np.repeat(line, n_states), line]),
                    np.concatenate([columns[a].ravel(), size + a * n_problems + m]),
                ),
            ),
            (len(a), shape[1]),
        )
        lost = np.tile(np.arange(n_problems), n)
        self.loss = sparse.csr_array((np.ones(n * n_problems), (lost, size + np.arange(n * n_problems))))
        self.links = sparse.csr_array((0, shape[1]))
        self.free = np.arange(shape[1]) < size

    def _solve(self, cost, above, equal, right: np.ndarray, left: np.ndarray | None = None, method: str = "highs"):
        """Minimise cost.z over z >= 0 with above.z <= left (0 if omitted) and equal.z = right."""
        from scipy.optimize import linprog

        left = np.zeros(above.shape[0]) if left is None else left
        return linprog(cost, A_ub=above, b_ub=left, A_eq=equal, b_eq=right, method=method, options=SOLVER)

    def _optimum(self, *program, **keywords):
        found = self._solve(*program, **keywords)
        if found.status != 0:
            raise RuntimeError(f"The solver must end with an optimum. Got {found.message!r}.")
        return found

    def feasible(self, joint: np.ndarray) -> np.ndarray | None:
        """A solution with joint laws `joint` in which nothing is lost, or None."""
        equal = sparse.vstack([self.marginals, self.links]).tocsr()[:, self.free]
        right = np.append(joint.ravel(), np.zeros(self.links.shape[0]))
        found = self._solve(np.zeros(equal.shape[1]), self.obedience[:, self.free], equal, right)
        if found.status == 2:
            return None
        if found.status != 0:  # HiGHS can fall between both verdicts; the programme of waste always has an optimum
            share, solution, _ = self.waste(joint)
            return solution if share <= PASS else None
        solution = np.zeros(len(self.free))
        solution[self.free] = found.x
        return solution

    def waste(self, joint: np.ndarray) -> tuple[float, np.ndarray, Bet]:
        """Least share eps, with a solution that attains it and the bet that proves it.

        Starts from the corners and some other beliefs, and adds those at which the bet would be won until none is left.
        """
        n_problems, _, n_actions = self.shape
        if self.beliefs is None:
            return self._waste_of(joint, np.ones(self.loss.shape[1], dtype=bool), np.ones(0, dtype=bool))
        used = self.beliefs.max(axis=1) > 1 - TIED
        used[:: max(len(used) // BELIEFS, 1)] = True
        while True:
            columns = np.append(np.broadcast_to(used[:, None], (n_problems, len(used), n_actions)).ravel(), used)
            share, solution, bet = self._waste_of(joint, columns, np.tile(used, n_problems))
            won = self.pay(bet.stakes, bet.penalties * self.ranges)
            more = np.argsort(-won)[:BELIEFS]
            more = more[(won[more] > TIED) & ~used[more]]
            if not len(more):
                break
            used[more] = True
        # so that nobody wins the bet, the solver's error included
        stakes = bet.stakes - max(float(won.max()), 0.0) / n_problems
        return share, solution, Bet(stakes, bet.penalties, float((stakes * joint).sum()))

    def _waste_of(self, joint: np.ndarray, columns: np.ndarray, links: np.ndarray) -> tuple[float, np.ndarray, Bet]:
        """`waste` with some of the columns."""
        above = sparse.block_array(
            [[self.obedience[:, columns], None], [self.loss[:, columns], -np.ones((self.shape[0], 1))]]
        )
        equal = sparse.vstack([self.marginals, self.links[links]]).tocsr()[:, columns]
        equal = sparse.hstack([equal, sparse.csr_array((equal.shape[0], 1))]).tocsr()
        right = np.append(joint.ravel(), np.zeros(links.sum()))
        cost = np.append(np.zeros(columns.sum()), 1.0)
        found = self._optimum(cost, above.tocsr(), equal, right, method="highs-ipm")  # simplex stalls at ties
        stakes = found.eqlin.marginals[: joint.size].reshape(self.shape)
        penalties = np.maximum(-found.ineqlin.marginals[self.obedience.shape[0] :], 0.0)
        penalties /= max(penalties.sum(), 1.0)
        if self.beliefs is None:  # every tuple has its own proof, which the reduced costs hold
            reduced = equal.T @ found.eqlin.marginals + above.T @ np.minimum(found.ineqlin.marginals, 0.0)
            stakes = stakes - max(float(reduced[:-1].max()), 0.0) / self.shape[0]
        solution = np.zeros(len(columns))
        solution[columns] = found.x[:-1]
        return max(float(found.fun), 0.0), solution, Bet(stakes, penalties / self.ranges, float((stakes * joint).sum()))

    def pay(self, stakes: np.ndarray, penalties: np.ndarray) -> np.ndarray:
        """The most that a bet pays at each belief, less the penalties on losses in shares of the range."""
        pay = np.einsum("wx,mxa->mwa", self.beliefs, stakes) - penalties[:, None, None] * self.lost
        return pay.max(axis=-1).sum(axis=0)

    def distance(self, joint: np.ndarray, spread: np.ndarray) -> float:
        """Least t such that joint laws within t times `spread` of `joint`, cell by cell, come from one sensor."""
        marginals, links = self.marginals[:, self.free], self.links[:, self.free]
        rims = -spread.reshape(-1, 1)
        above = sparse.vstack([sparse.hstack([marginals, rims]), sparse.hstack([-marginals, rims])]).tocsr()
        left = np.concatenate([joint.ravel(), -joint.ravel()])
        total = sparse.kron(sparse.eye_array(self.shape[0] * self.shape[1]), np.ones((1, self.shape[2]))) @ marginals
        equal = sparse.vstack([total, links]).tocsr()
        obedience = self.obedience[:, self.free]
        above = sparse.vstack([above, sparse.hstack([obedience, sparse.csr_array((obedience.shape[0], 1))])]).tocsr()
        equal = sparse.hstack([equal, sparse.csr_array((equal.shape[0], 1))]).tocsr()
        right = np.append(joint.sum(axis=2).ravel(), np.zeros(links.shape[0]))
        cost = np.append(np.zeros(marginals.shape[1]), 1.0)
        found = self._optimum(cost, above, equal, right, np.append(left, np.zeros(obedience.shape[0])))
        return float(found.fun)

    def experiment(self, solution: np.ndarray, prior: np.ndarray) -> Experiment:
        """The sensor of a solution; states without probability answer like the others on average."""
        n_problems, n_states, n_actions = self.shape
        if self.beliefs is None:
            n = n_actions**n_problems
            weights = solution[: n * n_states].reshape(n, n_states)
            used = weights.sum(axis=1) > 0
            tuples = np.indices((n_actions,) * n_problems).reshape(n_problems, n)[:, used]
            law, responses = weights[used].T, np.eye(n_actions)[tuples]
        else:
            n = len(self.beliefs)
            answers, weights = solution[: self.lost.size].reshape(self.lost.shape), solution[self.lost.size :]
            used = weights > 0
            law, responses = (self.beliefs * weights[:, None])[used].T, answers[:, used]
            responses = responses / responses.sum(axis=2, keepdims=True)
        law = np.where(prior[:, None] > 0, law, law.sum(axis=0))
        return Experiment(law / law.sum(axis=1, keepdims=True), responses)


def explain(joint: np.ndarray, utility: np.ndarray, prior: np.ndarray) -> tuple[float, Experiment, Bet | None]:
    """Waste, the experiment that attains it, and (where the waste is above 0) the bet that proves that none is better.

    Parameters
    ----------
    joint, utility : numpy.ndarray of shape (M, X, A)
        J_m(x, a) and payoffs. Not checked.
    prior : numpy.ndarray of shape (X,)

    Raises
    ------
    ValueError
        If there are too many tuples of actions as well as too many indifferences.

    Notes
    -----
    Chapter `one-agent/ribum`.
    """
    program = SensorProgram(utility)
    solution = program.feasible(joint)
    if solution is not None:
        return 0.0, program.experiment(solution, prior), None
    share, solution, bet = program.waste(joint)
    return share, program.experiment(solution, prior), bet if bet.value > 0 else None
