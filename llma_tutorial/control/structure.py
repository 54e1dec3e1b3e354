"""Does the structure theorem apply, and what does the computed policy look like?

With one linear stopping cost S, the difference W = V - S'pi solves W = min{0, d'pi + rho sum_y W(T) sigma} with
d = c - (I - rho P) S. If P and B are TP2 and d is monotone in the state, an optimal policy is monotone in the
likelihood ratio order: one switch on every line that is ordered by it. The assumptions are sufficient, not necessary.
Source: Krishnamurthy, Partially Observed Markov Decision Processes (CUP). Chapter: `control/threshold-structure`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llma_tutorial import _validate
from llma_tutorial.beliefs import lattice, mlr_dominates, worst_minor
from llma_tutorial.control.bounds import Solution, solve
from llma_tutorial.control.problems import StoppingProblem

STEPS = {2: 200, 3: 24}  # steps of the lattice of beliefs on which the computed policy is compared; 8 beyond 3 states
SLACK = 1e-12


@dataclass(frozen=True, eq=False)
class Structure:
    """What holds of a stopping problem and of its computed policy; made by `check_structure`. Prints as a report.

    Attributes
    ----------
    one_stop_action, transition_tp2, observation_tp2, cost_monotone : bool
        The four assumptions. B is taken with its columns in their best order: the names of symbols are free.
    failures : dict of str to str
        For each assumption that fails, where it fails.
    cost_difference : numpy.ndarray of shape (X,) or None
        d = continue_cost - (I - discount P) stop_cost, for one stop action.
    sufficient : bool
        Whether the theorem promises an MLR-monotone optimal policy.
    policy_monotone : bool
        Whether the computed policy is MLR-monotone on a lattice of beliefs (undecided ones left out).
    violation : tuple of two pairs of beliefs, or None
        Pairs p >= q in the MLR order: stop at p but not at q, then stop at q but not at p.
    switching_curve : numpy.ndarray of shape (lines, X)
        First belief on each line to the last vertex where the policy switches; nan where it never does.
    switches : numpy.ndarray of shape (lines,)
        Number of switches on each line: at most 1 if the policy is monotone.
    """

    one_stop_action: bool
    transition_tp2: bool
    observation_tp2: bool
    cost_monotone: bool
    failures: dict[str, str]
    cost_difference: np.ndarray | None
    sufficient: bool
    policy_monotone: bool
    violation: tuple | None
    switching_curve: np.ndarray
    switches: np.ndarray

    def __str__(self) -> str:
        names = {
            "one_stop_action": "one stop action",
            "transition_tp2": "transition matrix TP2",
            "observation_tp2": "observation matrix TP2",
            "cost_monotone": "cost difference monotone",
        }
        lines = [
            f"{text:26} {'holds' if getattr(self, name) else 'FAILS: ' + self.failures[name]}"
            for name, text in names.items()
        ]
        lines.append(f"{'theorem promises monotone':26} {'yes' if self.sufficient else 'no'}")
        lines.append(f"{'computed policy monotone':26} {'yes' if self.policy_monotone else 'no'}")
        lines.append(f"{'switches on a line':26} at most {self.switches.max()}")
        return "\n".join(lines)


def check_structure(problem: StoppingProblem, solution: Solution | None = None) -> Structure:
    """Check each assumption of the structure theorem, and whether the computed policy is MLR-monotone.

    Parameters
    ----------
    problem : StoppingProblem
    solution : Solution, optional
        Of this very problem. Solved if omitted: to 1e-4 with two states, to 5e-4 of the largest cost of a policy with
        more.

    Notes
    -----
    The assumptions are sufficient, not necessary. With two states and one stop action, det P >= 0 alone suffices,
    and the other assumptions hold in some order of the symbols.

    Examples
    --------
    >>> from llma_tutorial.control import stopping
    >>> print(check_structure(stopping.quickest_detection([[0.7, 0.3], [0.2, 0.8]], 0.05, 10, 1, 0.999)))
    one stop action            holds
    transition matrix TP2      holds
    observation matrix TP2     holds
    cost difference monotone   holds
    theorem promises monotone  yes
    computed policy monotone   yes
    switches on a line         at most 1
    """
    if solution is None:
        scale = np.abs(problem.cost_range).max()
        solution = solve(problem, tolerance=1e-4 if problem.n_states == 2 or scale == 0 else 5e-4 * scale)
    elif solution.problem is not problem:
        raise ValueError("`solution` must be that of `problem`. Got the solution of another problem.")
    failures, difference = {}, None
    if problem.stop_cost.shape[1] > 1:
        failures["one_stop_action"] = f"{problem.stop_cost.shape[1]} final actions"
        failures["cost_monotone"] = "defined for one stop action only"
    else:
        stop = problem.stop_cost[:, 0]
        difference = problem.continue_cost - stop + problem.discount * problem.transition_matrix @ stop
        steps = np.diff(difference)
        slack = SLACK * max(1, np.abs(difference).max())
        if (steps < -slack).any() and (steps > slack).any():
            failures["cost_monotone"] = f"d = {np.round(difference, 6).tolist()} neither rises nor falls"
    for name, matrix in {
        "transition_tp2": problem.transition_matrix,
        "observation_tp2": in_likelihood_order(problem.observation_matrix),
    }.items():
        worst = worst_minor(matrix)
        if worst is not None:
            minor, rows, columns = worst
            failures[name] = "minor {:.3g} in rows {}, {} and columns {}, {}".format(minor, *rows, *columns)
    if "observation_tp2" in failures:
        failures["observation_tp2"] += " (columns in order of the state they point to)"
    violation = monotone_violation(solution)
    curve, switches = switching_curve(solution, vertex=problem.n_states - 1)
    holds = {
        name: name not in failures for name in ("one_stop_action", "transition_tp2", "observation_tp2", "cost_monotone")
    }
    return Structure(
        **holds,
        failures=failures,
        cost_difference=difference,
        sufficient=not failures,
        policy_monotone=violation is None,
        violation=violation,
        switching_curve=curve,
        switches=switches,
    )


def switching_curve(solution: Solution, *, vertex: int, n_lines: int = 41) -> tuple[np.ndarray, np.ndarray]:
    """Where the policy switches along straight lines from the face opposite a vertex to that vertex.

    Parameters
    ----------
    solution : Solution
    vertex : int
        State at whose vertex the lines end.
    n_lines : int
        Steps of the lattice on the opposite face, plus 1: the number of lines for three states.

    Returns
    -------
    (numpy.ndarray of shape (lines, X), numpy.ndarray of shape (lines,))
        First switching belief on each line (nan without a switch), and the number of switches.

    Notes
    -----
    Such lines are totally ordered by MLR when they end at the first or last vertex.

    Examples
    --------
    >>> from llma_tutorial.control import stopping
    >>> solution = stopping.solve(stopping.quickest_detection([[0.7, 0.3], [0.2, 0.8]], 0.05, 10, 1, 0.9))
    >>> curve, switches = switching_curve(solution, vertex=1)  # two states: one line
    >>> bool(abs(curve[0, 1] - solution.thresholds[0]) < 0.01), switches.tolist()
    (True, [1])
    """
    n_states = solution.problem.n_states
    vertex = _validate.integer("vertex", vertex, 0, n_states - 1)
    face = lattice(n_states - 1, _validate.integer("n_lines", n_lines, 2) - 1)
    start = np.insert(face, vertex, 0, axis=1)
    end = np.eye(n_states)[vertex]
    shares = np.broadcast_to(np.linspace(0, 1, 201), (len(start), 201))

    def words(line: np.ndarray, share: np.ndarray) -> np.ndarray:
        return solution.policy(start[line] * (1 - share[..., None]) + end * share[..., None])

    curve, switches = np.full(start.shape, np.nan), np.zeros(len(start), dtype=int)
    low, high = np.zeros(len(start)), np.zeros(len(start))
    for line, on_line in enumerate(words(np.arange(len(start))[:, None], shares)):
        decided = np.flatnonzero(on_line != "undecided")
        change = np.flatnonzero(on_line[decided][1:] != on_line[decided][:-1])
        switches[line] = change.size
        if change.size:
            low[line], high[line] = shares[line, decided[change[0] : change[0] + 2]]
    switching = np.flatnonzero(switches)
    if not switching.size:
        return curve, switches
    low, high = low[switching], high[switching]
    before = words(switching, low)
    for _ in range(30):
        middle = (low + high) / 2
        same = words(switching, middle) == before
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    curve[switching] = start[switching] * (1 - low[:, None]) + end * low[:, None]
    return curve, switches


def monotone_violation(solution: Solution) -> tuple | None:
    """Two pairs of beliefs that show the computed policy not to be MLR-monotone either way, or None if it is."""
    n_states = solution.problem.n_states
    beliefs = lattice(n_states, STEPS.get(n_states, 8))
    words = solution.policy(beliefs)
    stop, going = beliefs[words == "stop"], beliefs[words == "continue"]
    if not (len(stop) and len(going)):
        return None
    above, below = mlr_dominates(stop[:, None], going), mlr_dominates(going, stop[:, None])
    if not (above.any() and below.any()):
        return None
    (i, j), (k, m) = np.argwhere(above)[0], np.argwhere(below)[0]
    return (stop[i], going[j]), (going[m], stop[k])


def in_likelihood_order(observation_matrix: np.ndarray) -> np.ndarray:
    """Columns of B sorted by the mean state that each symbol points to: the only order in which B can be TP2."""
    total = observation_matrix.sum(axis=0)
    seen = observation_matrix[:, total > 0] / total[total > 0]
    return observation_matrix[:, total > 0][:, np.argsort(np.arange(len(seen)) @ seen, kind="stable")]
