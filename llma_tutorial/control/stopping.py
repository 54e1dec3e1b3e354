r"""Optimal stopping: observe and pay, or stop and act; solved with a certificate at every belief.

Primitives: states x in {0..X-1}; a belief pi; observations B[x, y]; transitions P[x, x'] (the identity for a fixed
state); the cost c(x) of one more step; the cost S[x, a] of stopping with final action a; a discount rho < 1.

Equation
    V(pi) = min{ min_a S[:, a]'pi,  c'pi + rho sum_y V(T(pi, y)) sigma(pi, y) }
    T(pi, y)(x) = B[x, y] (P'pi)(x) / sigma(pi, y),    sigma(pi, y) = sum_x B[x, y] (P'pi)(x)

Central control of herding: "continue" makes the next agent reveal its observation, "stop" lets everybody herd.

Algorithm (`solve`). Both bounds live on a tree of simplices over the beliefs (`BeliefTree`).

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

`solve_from` is a second route, by backward induction from one belief; `evaluate` and `simulate` price any policy.

Source: Krishnamurthy, Partially Observed Markov Decision Processes (CUP). Chapters: `control/optimal-stopping`,
`control/threshold-structure`.
"""

from llma_tutorial.control._bracket import Solution, solve
from llma_tutorial.control._exact import Evaluation, LocalSolution, evaluate, solve_from
from llma_tutorial.control._problem import StoppingProblem, quickest_detection, quickest_herding, wald
from llma_tutorial.control._simulate import Runs, simulate
from llma_tutorial.control._structure import Structure, check_structure, switching_curve

__all__ = [
    "Evaluation",
    "LocalSolution",
    "Runs",
    "Solution",
    "StoppingProblem",
    "Structure",
    "check_structure",
    "evaluate",
    "quickest_detection",
    "quickest_herding",
    "simulate",
    "solve",
    "solve_from",
    "switching_curve",
    "wald",
]
