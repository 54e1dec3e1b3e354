"""REINFORCE: a network learns when to stop from what its own decisions cost."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llma_tutorial import _validate
from llma_tutorial.control.text_line import Episodes, TextLine

if TYPE_CHECKING:
    import torch

ARCHITECTURES = ("linear", "mlp", "gru", "transformer")
BASELINES = ("mean", "none")
CHUNK = 4096  # histories that a network reads at once
LONGEST = 255  # agents that a transformer has places for
PATIENCE = 2.0  # added to the score of going on at first: who stops at once sees nothing to learn from


@dataclass(frozen=True, eq=False)
class NetworkPolicy:
    """The deterministic policy of a network: at each time the choice that it scores highest.

    Attributes
    ----------
    network : torch.nn.Module
        From what was seen, int64 of shape (n, t), to scores of shape (n, t + 1, 1 + A).
    horizon : int
        After so many agents it must stop.
    """

    network: torch.nn.Module
    horizon: int

    def scores(self, seen: np.ndarray) -> np.ndarray:
        """Scores (n, t + 1, 1 + A) of going on and of each final action."""
        import torch

        with torch.no_grad():
            parts = [self.network(torch.as_tensor(seen[i : i + CHUNK])) for i in range(0, len(seen), CHUNK)]
        return torch.cat(parts).double().numpy()

    def __call__(self, seen: np.ndarray) -> np.ndarray:
        """Choices (n, t + 1), 0 for going on, after each beginning of what was seen, (n, t)."""
        if np.ndim(seen) != 2 or seen.shape[1] > self.horizon:
            raise ValueError(f"`seen` must have shape (n, t), t at most {self.horizon}. Got {np.shape(seen)}.")
        scores = self.scores(seen)
        if seen.shape[1] == self.horizon:
            scores[:, -1, 0] = -np.inf
        return scores.argmax(axis=2)


@dataclass(frozen=True, eq=False)
class Training:
    """What `reinforce` made of a network.

    Attributes
    ----------
    policy : NetworkPolicy
    costs : numpy.ndarray of shape (n_iterations,)
        Mean cost of each batch, decisions drawn at random: the learning curve.
    gradient_norms : numpy.ndarray of shape (n_iterations,)
        Length of the gradient before each step.
    n_episodes : int
        Lines that were played.
    """

    policy: NetworkPolicy
    costs: np.ndarray
    gradient_norms: np.ndarray
    n_episodes: int


def network(architecture: str, line: TextLine, *, width: int = 16, rng: np.random.Generator) -> torch.nn.Module:
    """A network for a line of agents, with random weights, inclined to go on.

    Parameters
    ----------
    architecture : {"linear", "mlp", "gru", "transformer"}
        Linear or one hidden layer on the counts of what was seen; a recurrent unit or a causal transformer on its
        sequence.
    line : TextLine
    width : int
        Hidden units, even for the transformer; the linear network has none.
    rng : numpy.random.Generator

    Returns
    -------
    torch.nn.Module

    Examples
    --------
    >>> line = TextLine([[0, 0, 1], [0, 1, 1]], [0, 1], [[0, 1], [1, 0]], 0.9)
    >>> sum(p.numel() for p in network("linear", line, rng=np.random.default_rng(0)).parameters())
    9
    """
    import torch

    from llma_tutorial.control.networks import NETWORKS

    _validate.one_of("architecture", architecture, ARCHITECTURES)
    width = _validate.integer("width", width, 1)
    if architecture == "transformer" and width % 2:
        raise ValueError(f"`width` must be even for a transformer, which has two heads. Got {width}.")
    if architecture == "transformer" and line.horizon > LONGEST:
        raise ValueError(f"`line` must have a horizon of at most {LONGEST} for a transformer. Got {line.horizon}.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(_validate.generator(rng).integers(2**63)))
        made = NETWORKS[architecture](line.n_seen, 1 + line.n_actions, width)
    with torch.no_grad():
        made.last.bias[0] += PATIENCE
    return made


def reinforce(
    line: TextLine,
    network: torch.nn.Module,
    *,
    n_iterations: int = 200,
    batch_size: int = 256,
    learning_rate: float = 0.01,
    baseline: str = "mean",
    rng: np.random.Generator,
) -> Training:
    """Train a network by REINFORCE on the costs of the lines that it controls.

    Parameters
    ----------
    line : TextLine
        Only what was seen and what it cost enters; states and their law do not.
    network : torch.nn.Module
        From `network`, or your own: int64 (n, t) to scores (n, t + 1, 1 + A). A copy is trained.
    n_iterations : int
        Steps of Adam, its rate falling linearly to zero.
    batch_size : int
        Lines played for each step, at least 2.
    learning_rate : float
        Rate of the first step.
    baseline : {"mean", "none"}
        What is subtracted from the cost to go: its mean over the other lines that were alive then, or nothing.
    rng : numpy.random.Generator

    Returns
    -------
    Training
        With `.policy`, `.costs`, `.gradient_norms`, `.n_episodes`.

    Raises
    ------
    ValueError
        If the network gives another shape, or its scores stop being finite.

    Examples
    --------
    >>> line = TextLine([[0, 0, 0, 1], [0, 1, 1, 1]], [0, 1], [[0, 1], [1, 0]], 0.8, horizon=10)
    >>> rng = np.random.default_rng(0)
    >>> trained = reinforce(line, network("linear", line, rng=rng), learning_rate=0.1, n_iterations=60, rng=rng)
    >>> bool(trained.costs[-10:].mean() < trained.costs[:10].mean())
    True
    """
    import torch

    rng = _validate.generator(rng)
    n_iterations = _validate.integer("n_iterations", n_iterations, 1)
    batch_size = _validate.integer("batch_size", batch_size, 2)
    rate = _validate.number("learning_rate", learning_rate, 0)
    _validate.one_of("baseline", baseline, BASELINES)
    trained = copy.deepcopy(network)
    optimiser = torch.optim.Adam(trained.parameters(), lr=rate)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 1e-3, n_iterations)
    costs, norms = np.empty(n_iterations), np.empty(n_iterations)
    for step in range(n_iterations):
        episodes = line.draw(batch_size, rng=rng)
        loss, costs[step] = surrogate(line, trained, episodes, baseline, rng)
        optimiser.zero_grad()
        loss.backward()
        norms[step] = torch.nn.utils.clip_grad_norm_(trained.parameters(), float("inf"))
        optimiser.step()
        falling.step()
    return Training(NetworkPolicy(trained.eval(), line.horizon), costs, norms, n_iterations * batch_size)


def surrogate(
    line: TextLine, network: torch.nn.Module, episodes: Episodes, baseline: str, rng: np.random.Generator
) -> tuple[torch.Tensor, float]:
    """A function whose gradient is the REINFORCE estimate, and the mean cost of decisions drawn from the network."""
    import torch

    log_chances = choices(line, network, episodes)
    n, steps = episodes.seen.shape
    values = log_chances.detach().double().numpy()
    decisions = (values - np.log(-np.log(rng.random(values.shape)))).argmax(axis=2)  # a draw from the softmax
    runs = line.price(decisions, episodes)
    times, rows = np.arange(steps + 1), np.arange(n)
    alive = times <= runs.stop_times[:, None]
    paid = np.concatenate([np.zeros((n, 1)), episodes.step_costs.cumsum(axis=1)], axis=1)
    advantage = np.where(alive, runs.costs[:, None] - paid, 0.0)  # cost to go, from the step on
    if baseline == "mean":
        others = np.maximum(alive.sum(axis=0) - 1, 1)
        advantage -= alive * np.where(alive.sum(axis=0) > 1, (advantage.sum(axis=0) - advantage) / others, 0.0)
    taken = log_chances[rows[:, None], times, decisions]
    weight = torch.as_tensor(np.where(alive, advantage, 0.0), dtype=taken.dtype)
    return (torch.where(torch.as_tensor(alive), taken, 0.0) * weight).sum() / n, float(runs.costs.mean())


def choices(line: TextLine, network: torch.nn.Module, episodes: Episodes) -> torch.Tensor:
    """Log-probabilities (n, horizon + 1, 1 + A) of going on and of each final action; at the horizon it must stop."""
    import torch

    scores = network(torch.as_tensor(episodes.seen))
    n, steps = episodes.seen.shape
    if scores.shape != (n, steps + 1, 1 + line.n_actions):
        raise ValueError(
            f"`network` must score {(n, steps + 1, 1 + line.n_actions)} for histories of shape {(n, steps)}. "
            f"Got {tuple(scores.shape)}."
        )
    if not torch.isfinite(scores).all():
        raise ValueError("`network` must give finite scores. Got some that are not; lower `learning_rate`.")
    last = torch.zeros_like(scores)
    last[:, -1, 0] = -torch.inf
    return torch.log_softmax(scores + last, dim=2)
