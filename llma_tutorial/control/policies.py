r"""Policies that learn: thresholds by simultaneous perturbation, networks by REINFORCE; judged by the optimality gap.

Primitives: a stopping problem (see `stopping`); a policy with parameters theta and expected cost J(theta).

Threshold policies (`ThresholdPolicy`). With scores g that rise strictly from state to state and a threshold t,

    stop  iff  g'pi > t,        g = (0, 1, 1 + theta_1^2, ...) scaled to [0, 1],    t = sin^2(theta_last)

An expectation of a rising score rises with the belief in the monotone likelihood ratio order, so that the policy is
monotone whatever the parameters; two states leave one sin^2 threshold. Soft: logistic in the log-odds of g'pi and t.

Simultaneous perturbation (`spsa`). All parameters move at once by signs d_i = +-1, so that two evaluations suffice:

    theta <- theta - a_k (J(theta + c_k d) - J(theta - c_k d)) / (2 c_k) d
    a_k = a / (k + 1 + S)^0.602,    c_k = c / (k + 1)^0.101

Both evaluations meet the same random numbers; the result is the average of the last iterates.

REINFORCE (`reinforce`). A line of reading agents (`TextLine`) shows its platform what was read, z_1..z_t, not the
state. A network gives probabilities of going on and of stopping with each action; with costs to go G_t,

    grad J  =  E sum_t (G_t - b_t) grad log p(d_t | z_1..z_t),     b_t the mean of G_t over the other lines alive at t

Optimality gap (`optimality_gap`): extra cost over the certified optimum, in the same worlds.

Sources: Spall (1992, 1998) for the perturbations and the gains; Krishnamurthy, Partially Observed Markov Decision
Processes (CUP), for linear threshold policies; Williams (1992) for REINFORCE. Chapters: `control/policy-gradient`,
`control/neural-policies`.
"""

from llma_tutorial.control._gap import Gap, median_interval, optimality_gap
from llma_tutorial.control._reinforce import NetworkPolicy, Training, network, reinforce
from llma_tutorial.control._spsa import Descent, spsa
from llma_tutorial.control._text_line import Episodes, TextLine
from llma_tutorial.control._thresholds import ThresholdPolicy

__all__ = [
    "Descent",
    "Episodes",
    "Gap",
    "NetworkPolicy",
    "TextLine",
    "ThresholdPolicy",
    "Training",
    "median_interval",
    "network",
    "optimality_gap",
    "reinforce",
    "spsa",
]
