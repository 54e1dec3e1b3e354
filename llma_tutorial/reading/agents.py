r"""An agent of the book: a sensor that reads, an engine that updates, a decision that pays best.

Primitives: a text z; a sensor that turns it into answers y; the law of answers P(y | x), measured on labelled texts; a
belief pi over the state x; a utility u[x, a]. The agent is

    sensor      y       =  what the language model answers to its questions about z
    engine      eta(x)  =  P(y | x) pi(x) / sum_x' P(y | x') pi(x')
    decision    a       =  argmax_a  sum_x eta(x) u(x, a)        ties by the rule `tie_break`

and every step is shown when a decision is printed. The likelihood is a matrix B[x, y] over symbols, or an object that
gives the answers themselves a likelihood, for more questions than a table can hold.

What an agent is made of can be imported from here too; it lives in `sensor`, `likelihoods`, `boltzmann` and
`calibration`. Source of the construction: Jain & Krishnamurthy (2025). Chapter: `reading/bayesian-engine`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from llma_tutorial import _validate
from llma_tutorial.beliefs import best_response, tie_rule
from llma_tutorial.reading.boltzmann import Boltzmann, fit_boltzmann
from llma_tutorial.reading.calibration import Reliability, reliability
from llma_tutorial.reading.likelihoods import (
    Likelihood,
    NaiveBayes,
    ObservationMatrixEstimate,
    Table,
    estimate_observation_matrix,
    fit_counts,
    fit_naive_bayes,
)
from llma_tutorial.reading.sensor import Readings, Sensor

__all__ = [
    "Agent",
    "Boltzmann",
    "Decision",
    "Likelihood",
    "NaiveBayes",
    "ObservationMatrixEstimate",
    "Readings",
    "Reliability",
    "Sensor",
    "Table",
    "estimate_observation_matrix",
    "fit_boltzmann",
    "fit_counts",
    "fit_naive_bayes",
    "reliability",
]


@dataclass(frozen=True, eq=False)
class Agent:
    """A sensor, a likelihood of its answers, a prior and a utility.

    Parameters
    ----------
    sensor : Sensor
        What reads.
    observation_matrix : array-like of shape (X, Y), or Likelihood
        ``B[x, y] = P(y | x)`` over the sensor's symbols, or a fitted likelihood of its answers.
    utility : array-like of shape (X, A)
        Payoff u[x, a] in utils.
    prior : array-like of shape (X,)
        Belief before anything is read.
    tie_break : {"first", "signal", "random"}, optional
        What the agent does when several actions are best, see the head of `llma_tutorial.beliefs`; symbol y is its
        signal.
    state_names, action_names : sequence of str, optional
        Words for printed decisions; numbers if omitted.

    Examples
    --------
    >>> class Shouting:
    ...     def score(self, texts, questions, options):
    ...         return np.log([[[0.8, 0.1, 0.1] if "!" in text else [0.1, 0.1, 0.8]] for text in texts])
    >>> sensor = Sensor(Shouting(), ["is it loud?"])
    >>> agent = Agent(sensor, [[0.4, 0.6], [0.9, 0.1]], np.eye(2), [0.5, 0.5], state_names=("bad", "good"))
    >>> agent.decide("It broke!")
    answers      is it loud? yes (0.80)
    likelihood   bad 0.6000, good 0.1000
    before       bad 0.5000, good 0.5000
    belief       bad 0.8571, good 0.1429
    utility      action 0: 0.8571, action 1: 0.1429
    decision     action 0
    """

    sensor: Sensor
    observation_matrix: ArrayLike | Likelihood
    utility: ArrayLike
    prior: ArrayLike
    tie_break: str | None = None
    state_names: Sequence[str] = ()
    action_names: Sequence[str] = ()
    likelihood: Likelihood = field(init=False, repr=False)

    def __post_init__(self) -> None:
        prior = _validate.probabilities("prior", self.prior, (None,))
        utility = _validate.real_array("utility", self.utility, (prior.size, None))
        shape = (len(self.sensor.questions), len(self.sensor.values))
        given = self.observation_matrix
        likelihood = given if isinstance(given, Likelihood) else Table(*shape, given)
        if (likelihood.n_questions, likelihood.n_answers) != shape or likelihood.n_states != prior.size:
            raise ValueError(
                f"`observation_matrix` must be for {prior.size} states, as `prior` is, and {shape[0]} questions with "
                f"{shape[1]} answers, as `sensor` is. Got {likelihood.n_states} states and {likelihood.n_questions} "
                f"questions with {likelihood.n_answers} answers."
            )
        rule = tie_rule(self.tie_break, shape[1] ** shape[0], utility.shape[1])  # every pattern of answers is a signal
        checked = {"prior": prior, "utility": utility, "likelihood": likelihood, "tie_break": rule}
        checked["state_names"] = _names("state_names", self.state_names, prior.size, "state")
        checked["action_names"] = _names("action_names", self.action_names, utility.shape[1], "action")
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def posterior(self, answers: ArrayLike, public_belief: ArrayLike | None = None) -> np.ndarray:
        """Belief after each row of answers, given as places in `sensor.options`: shape (texts, X).

        Raises
        ------
        ValueError
            If answers are impossible in every state that the belief holds possible.
        """
        before = self.prior if public_belief is None else public_belief
        before = _validate.probabilities("public_belief", before, self.prior.shape)
        logs = self.likelihood.log_likelihood(self.sensor.collapsed(answers))
        with np.errstate(divide="ignore"):
            joint = logs + np.log(before)
        highest = joint.max(axis=1, keepdims=True)
        if np.isneginf(highest).any():
            row = int(np.isneginf(highest[:, 0]).argmax())
            words = [self.sensor.options[answer] for answer in np.asarray(answers)[row]]
            raise ValueError(
                "`observation_matrix` must allow the answers in a state that the belief holds possible. Got answers "
                f"{words} with likelihood {np.exp(logs[row]).tolist()} at belief {before.tolist()} in row {row}."
            )
        return softmax(joint, axis=1)

    def decide(
        self, text: str, public_belief: ArrayLike | None = None, *, rng: np.random.Generator | None = None
    ) -> Decision:
        """Read one text, update the public belief (the prior if omitted), and act; `rng` is for ties at random."""
        reading = self.sensor.read([text])
        belief = self.posterior(reading.answers, public_belief)[0]
        own = int(reading.symbols[0]) if self.tie_break == "signal" else None
        action = best_response(belief, self.utility, tie_break=self.tie_break, own_action=own, rng=rng)
        likelihood = np.exp(self.likelihood.log_likelihood(self.sensor.collapsed(reading.answers))[0])
        before = self.prior if public_belief is None else np.array(public_belief, dtype=float)
        return Decision(self, reading, likelihood, before, belief, belief @ self.utility, action)


@dataclass(frozen=True, eq=False, repr=False)
class Decision:
    """What an agent did with one text, and why; made by `Agent.decide`. Printed, it shows its working, not the text.

    Attributes
    ----------
    agent : Agent
    reading : Readings
        Answers and their probabilities, for one text.
    likelihood : numpy.ndarray of shape (X,)
        P(answers | x).
    public_belief, belief : numpy.ndarray of shape (X,)
        Before and after reading.
    expected_utility : numpy.ndarray of shape (A,)
    action : int
    """

    agent: Agent
    reading: Readings
    likelihood: np.ndarray
    public_belief: np.ndarray
    belief: np.ndarray
    expected_utility: np.ndarray
    action: int

    def __repr__(self) -> str:
        sensor, names = self.agent.sensor, self.agent.state_names
        lines, answers = [], self.reading.answers[0]
        for question, answer, logs in zip(sensor.questions, answers, self.reading.log_probabilities[0], strict=True):
            label = "answers" if not lines else ""
            lines.append((label, f"{question} {sensor.options[answer]} ({np.exp(logs[answer]):.2f})"))
        for label in ("likelihood", "public_belief", "belief"):
            values = [f"{name} {value:.4f}" for name, value in zip(names, getattr(self, label), strict=True)]
            lines.append(("before" if label == "public_belief" else label, ", ".join(values)))
        pairs = zip(self.agent.action_names, self.expected_utility, strict=True)
        lines.append(("utility", ", ".join(f"{name}: {value:.4f}" for name, value in pairs)))
        lines.append(("decision", self.agent.action_names[self.action]))
        return "\n".join(f"{label:<12} {value}" for label, value in lines)


def _names(name: str, given: Sequence[str], size: int, kind: str) -> tuple[str, ...]:
    names = tuple(given) or tuple(f"{kind} {number}" for number in range(size))
    if len(names) != size:
        raise ValueError(f"`{name}` must name all {size}. Got {len(names)}.")
    return names
