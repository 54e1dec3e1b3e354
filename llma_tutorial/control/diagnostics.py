r"""What has gone wrong: one small diagnostic for each failure of a system of reading agents.

Each answers one question, from what you have at hand, and says what to change.

Premature herding (`herding_signature`). The *fuse* of an action is how many agents in a row must take it until nobody
heeds a signal. With two states, two signals, log-odds l_0 of the public belief, l* where actions are equally good and
weights w_y = log B[1,y]/B[0,y], w_0 < 0 < w_1, action 1 has the fuse

    min { n >= 0 :  l_0 + n w_1 + w_0  >  l* }          (at equality the tie rule decides)

A fuse of 0 is a prior that outweighs every signal, a fuse of 1 a signal that the next one cannot undo. The culprit is
the assumption whose correction lengthens the fuse.

A gradient that leads nowhere (`probe_gradient`). For J = theta'H theta / 2 and a step along d,

    theta - a (d'H theta) d      lowers J   iff   0 < a < 2 / d'Hd          (where d'H theta != 0)

so triples of costs at theta + cd, theta, theta - cd give the slope, its noise, and the largest gain.

Failed recovery (`recovery_signature`, `recovery_spread`). A verdict on rationality counts for as much as its power:
the share of random agents that the same test, with as many choices, would reject.

Sensor shift (`same_law`, `fits_law`). Two samples of one law can be exchanged. Given the pooled counts, the split of
every row is hypergeometric, so that

    p  =  (1 + number of R random splits at least as uneven) / (1 + R)

is at most alpha with probability at most alpha, for every size of sample. Without labels the test watches pi'B; with
labels it watches every row of B, whatever pi.

Sources: Fisher's exact test and its Monte Carlo form; Bronars (1987) for power against random behaviour; Spall (1992)
for the perturbations. Chapter: `control/failure-signatures`.
"""

from llma_tutorial.control._fuse import HerdingSignature, herding_signature
from llma_tutorial.control._law_test import LawTest, fits_law, same_law
from llma_tutorial.control._probe import GradientProbe, probe_gradient
from llma_tutorial.control._recovery_signature import RecoverySignature, recovery_signature, recovery_spread

__all__ = [
    "GradientProbe",
    "HerdingSignature",
    "LawTest",
    "RecoverySignature",
    "fits_law",
    "herding_signature",
    "probe_gradient",
    "recovery_signature",
    "recovery_spread",
    "same_law",
]
