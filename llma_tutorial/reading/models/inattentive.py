r"""Training of the inattentive agent: the reader of reviews becomes a buyer whose payoffs are known.

    make model        (python -m llma_tutorial.reading.models.inattentive)

Primitives: a state x, bad or good, each half of the time; a text z of the world of reviews, with answers y(z) to its
questions; environments m, each a question that states what buying wins or loses and what a nat of information costs.
Leaving pays 0, buying wins g_m if the product is good and loses l_m if it is bad. The network answers the question
with a law over "no" and "yes", the actions leave and buy, and is paid

    E_z sum_a p_m(a | z) [u_m(z, a) / lambda_m  -  log p_m(a | z) / q_m(a)],       q_m(a) = E_z p_m(a | z)

in nats: expected payoff over price, less the information that the action holds about the text. u_m(z, a) is the mean
of u_m(x, a) under P(x | y(z)), which the grammar knows exactly; the sum over the two actions is exact as well, so only
texts are drawn. As in Blahut and Arimoto's iteration the network improves against a habit q that is held fixed, and
the habit, a running mean of what the network does, follows.

The best law is Shannon's, p_m(a | z) ~ q_m(a) exp(u_m(z, a) / lambda_m), and by state it is
`attention.solve(UTILITY, PRIOR, PRICES, observation_matrix=world("reviews").answer_probabilities)`: the text is the
channel, answers the observation. Whatever else a text holds is worth nothing, because given the answers it does not
depend on the state.

Algorithm: AdamW from the weights of the reader, warm-up and a cosine schedule, one pass over fresh texts. Seeded: same
machine, same number of threads, same weights. Chapter: `one-agent/inattentive-agent`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import torch

from llma_tutorial import _validate
from llma_tutorial.reading.corpora import World, generate, world
from llma_tutorial.reading.corpora.grammar import ANSWERS
from llma_tutorial.reading.models.classroom_models import ANSWER_TOKENS, CHECKPOINTS, PADDING, ClassroomModel, load
from llma_tutorial.reading.models.prefix_tree import plant, states_at
from llma_tutorial.reading.models.training import fit, save

THREADS = 1  # batches are small

# What buying wins, what it loses, and the price of a nat.
_TERMS = {"calm": (2.0, 2.0, 0.5), "busy": (4.0, 4.0, 4.0), "wary": (1.0, 4.0, 0.5), "keen": (4.0, 2.0, 1.0)}

ENVIRONMENTS = tuple(_TERMS)
PROMPTS = tuple(
    f"{name}: win {gain:g}, lose {loss:g}, {price:g} a nat. buy it?" for name, (gain, loss, price) in _TERMS.items()
)
ACTIONS = ("no", "yes")
UTILITY = _validate.read_only(np.array([[[0.0, -loss], [0.0, gain]] for gain, loss, _ in _TERMS.values()]))
PRICES = _validate.read_only(np.array([price for *_, price in _TERMS.values()]))
PRIOR = _validate.read_only(np.array([0.5, 0.5]))


@dataclass(frozen=True)
class Recipe:
    """All that decides what comes out of a training run, the reader that it starts from apart."""

    texts: int = 24_000
    batch: int = 32
    learning_rate: float = 1e-3
    warm_up: int = 50
    weight_decay: float = 0.05
    habit_rate: float = 0.02
    seed: int = 0


def posterior(world: World, frame: pd.DataFrame) -> np.ndarray:
    """P(state | true answers) of labelled texts, both states as likely before.

    Parameters
    ----------
    world : World
        Whose grammar the answers come from.
    frame : pandas.DataFrame
        With one column for each question of the world, as `generate` makes it.

    Returns
    -------
    numpy.ndarray of shape (texts, X)

    Raises
    ------
    ValueError
        If a text has answers that no text of the world can have.

    Notes
    -----
    Chapter: `one-agent/inattentive-agent`.

    Examples
    --------
    >>> from llma_tutorial.reading.corpora import generate, world
    >>> frame = generate(world("reviews"), 2, rng=np.random.default_rng(0)).frame
    >>> posterior(world("reviews"), frame).sum(axis=1)
    array([1., 1.])
    """
    place = {tuple(answers): number for number, answers in enumerate(world.answers)}
    said = [tuple(map(ANSWERS.index, row)) for row in frame[list(world.questions)].to_numpy()]
    unknown = next((i for i, answers in enumerate(said) if answers not in place), None)
    if unknown is not None:
        raise ValueError(f"`frame` must hold answers of a text of {world.name}. Got others in row {unknown}.")
    likelihoods = world.answer_probabilities[:, [place[answers] for answers in said]].T
    return likelihoods / likelihoods.sum(axis=1, keepdims=True)


def value(log_policy: torch.Tensor, payoffs: torch.Tensor, habit: torch.Tensor) -> torch.Tensor:
    """What each environment is paid, in nats, shape (M,); arguments have shapes (texts, M, A) twice and (M, A)."""
    return (log_policy.exp() * (payoffs - log_policy + habit.log())).sum(dim=2).mean(dim=0)


def train(
    model: ClassroomModel,
    recipe: Recipe,
    texts: list[str],
    payoffs: np.ndarray,
    *,
    progress: bool = True,
    rng: np.random.Generator,
) -> list[float]:
    """Train the network of `model` in place, one pass; returns the mean value of every step, in nats.

    `payoffs` are expected payoffs over prices, shape (texts, M, A).
    """
    network, encode = model.network, model.tokenizer
    padding, *answers = (encode.token_to_id(token) for token in (PADDING, *(ANSWER_TOKENS[a] for a in ACTIONS)))
    trunks, branches = model.trunks(texts), [encoding.ids for encoding in encode.encode_batch(list(PROMPTS))]
    habit = torch.full((len(branches), len(answers)), 1 / len(answers))

    def loss(rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal habit
        tree = plant([trunks[i] for i in rows], [branches] * len(rows), padding)
        (states,) = states_at(network, tree, [tree.ends])
        scores = network.lm_head(states)[:, answers].reshape(len(rows), len(branches), len(answers))
        log_policy = torch.log_softmax(scores, dim=2)
        gained = value(log_policy, torch.tensor(payoffs[rows], dtype=scores.dtype), habit).mean()
        habit = torch.lerp(habit, log_policy.detach().exp().mean(dim=0), recipe.habit_rate)
        return -gained, gained

    return fit(
        network,
        batches([len(trunk) for trunk in trunks], recipe.batch, rng),
        loss,
        steps=math.ceil(len(texts) / recipe.batch),
        learning_rate=recipe.learning_rate,
        warm_up=recipe.warm_up,
        weight_decay=recipe.weight_decay,
        shown="value" if progress else None,
    )


def batches(lengths: list[int], batch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Places of texts, like lengths together and batches in random order: the habit must not follow the length."""
    order = np.argsort(lengths, kind="stable")
    groups = [order[first : first + batch] for first in range(0, len(order), batch)]
    yield from (groups[i] for i in rng.permutation(len(groups)))


def train_agent(recipe: Recipe, *, progress: bool = True) -> ClassroomModel:
    """A buyer made of the classroom reader; it lies in no folder until `save` writes it."""
    rng = np.random.default_rng(recipe.seed)
    torch.manual_seed(recipe.seed)
    frame = generate(world("reviews"), recipe.texts, rng=rng).frame
    expected = np.einsum("nx,mxa->nma", posterior(world("reviews"), frame), UTILITY)
    reader = load(CHECKPOINTS / "reader")  # not `classroom`, whose cached reader must keep its weights
    agent = ClassroomModel("inattentive", reader.network, reader.tokenizer, reader.folder)
    train(agent, recipe, frame["text"].tolist(), expected / PRICES[:, None], progress=progress, rng=rng)
    return agent


def main() -> None:
    """Train the agent and write its checkpoint."""
    torch.set_num_threads(THREADS)
    start, recipe = time.perf_counter(), Recipe()
    agent = train_agent(recipe)
    seconds = round(time.perf_counter() - start)
    reader = load(CHECKPOINTS / "reader").parameters["model.safetensors"]
    about = {
        "reader": reader,
        "recipe": asdict(recipe),
        "threads": THREADS,
        "torch": torch.__version__,
        "seconds": seconds,
    }
    save(agent, CHECKPOINTS / agent.name, about)
    print(f"The inattentive agent is in {CHECKPOINTS / agent.name}; it took {seconds} s.")


if __name__ == "__main__":
    main()
