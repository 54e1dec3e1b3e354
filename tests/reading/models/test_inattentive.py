"""The inattentive agent against its theory, cell by cell; the theory against loops; that a short run learns."""

import json
import shutil
from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import torch

from llma_tutorial.one_agent.attention import solve
from llma_tutorial.one_agent.recovery import cost_of_attention, distance, max_margin
from llma_tutorial.one_agent.ribum import ChoiceData, check, finite_sample_test
from llma_tutorial.reading import corpora
from llma_tutorial.reading.models import LanguageModel, classroom, inattentive
from llma_tutorial.reading.models.inattentive import ACTIONS, ENVIRONMENTS, PRICES, PRIOR, PROMPTS, UTILITY

REVIEWS = corpora.world("reviews")
NATS = UTILITY / PRICES[:, None, None]  # one cost function for all environments: information itself
N = 600  # texts of each state; two standard errors of a cell are at most 0.04
LARGEST_ERROR = 0.12


@pytest.fixture(scope="module")
def theory():
    return solve(UTILITY, PRIOR, PRICES, observation_matrix=REVIEWS.answer_probabilities)


@pytest.fixture(scope="module")
def read():
    """Labelled texts that are no training texts, and P(action | text) of shape (texts, M, A)."""
    made = {"states": np.repeat([0, 1], N), "rng": np.random.default_rng(2015)}
    frame = corpora.generate(REVIEWS, 2 * N, **made).frame
    return frame, policy(frame)


@pytest.fixture(scope="module")
def chosen(read):
    return by_state(*read)


def policy(frame):
    return np.exp(classroom("inattentive").score(frame["text"].tolist(), PROMPTS, ACTIONS))


def by_state(frame, laws):
    """p_m(a | x), the mean over the texts of each state."""
    return np.stack([laws[frame["state"] == x].mean(axis=0) for x in range(2)], axis=1)


def shannon(theory, posteriors):
    """The best law of every text, by its formula."""
    weights = theory.action_marginal * np.exp(np.einsum("nx,mxa->nma", posteriors, NATS))
    return weights / weights.sum(axis=2, keepdims=True)


# --- the checkpoint ---------------------------------------------------------------------------------------------------


def test_it_is_a_language_model_that_comes_with_the_package():
    agent = classroom("inattentive")
    assert isinstance(agent, LanguageModel)
    assert agent.name == "inattentive"
    assert sum(path.stat().st_size for path in agent.folder.iterdir()) < 3e6


def test_it_was_made_of_the_reader_that_is_shipped():
    about = json.loads((classroom("inattentive").folder / "training.json").read_text())
    assert about["reader"] == classroom("reader").parameters["model.safetensors"]
    assert about["sha256"]["model.safetensors"] != about["reader"]
    assert about["sha256"]["tokenizer.json"] == classroom("reader").parameters["tokenizer.json"]


def test_every_cell_is_near_theory(chosen, theory):
    errors = np.abs(chosen - theory.choice_probabilities)
    assert errors.shape == (4, 2, 2)
    assert errors.max() <= LARGEST_ERROR


def test_every_permutation_of_the_prompts_fails(chosen, theory):
    """The planted fault: what was answered in one environment is far from theory, and irrational, in another."""
    for order in permutations(range(4)):
        moved = chosen[list(order)]
        right = order == (0, 1, 2, 3)
        assert (np.abs(moved - theory.choice_probabilities).max() <= LARGEST_ERROR) == right
        assert check(ChoiceData(moved, PRIOR), NATS).passed == right


def test_the_reader_itself_is_no_such_agent(read, theory):
    """Where training began: the same questions, put to the reader."""
    frame, _ = read
    before = np.exp(classroom("reader").score(frame["text"].tolist()[:: N // 100], PROMPTS, ACTIONS))
    errors = np.abs(by_state(frame.iloc[:: N // 100], before) - theory.choice_probabilities)
    assert errors.max() > 2 * LARGEST_ERROR


def test_single_texts_are_decided_as_theory_says(read, theory):
    frame, laws = read
    best = shannon(theory, inattentive.posterior(REVIEWS, frame))[:, :, 1]
    for m in range(4):
        assert np.corrcoef(laws[:, m, 1], best[:, m])[0, 1] > 0.9
    assert np.abs(laws[:, :, 1] - best).mean(axis=0).max() < 0.1


def test_texts_that_stood_in_its_training_make_no_difference(read, theory):
    """A few short reviews are drawn twice; among the others not one was ever seen."""
    frame, laws = read
    trained = corpora.generate(REVIEWS, inattentive.Recipe().texts, rng=np.random.default_rng(0)).frame["text"]
    fresh = ~frame["text"].isin(trained).to_numpy()
    assert 0.9 < fresh.mean() < 1
    best = shannon(theory, inattentive.posterior(REVIEWS, frame[fresh]))
    errors = by_state(frame[fresh], laws[fresh]) - by_state(frame[fresh], best)
    assert np.abs(errors).max() <= LARGEST_ERROR


def test_it_buys_what_theory_buys(read, theory):
    _, laws = read
    bought = (laws * np.log(laws / laws.mean(axis=0))).sum(axis=2).mean(axis=0)
    np.testing.assert_allclose(bought, theory.mutual_information, atol=0.1)
    assert (np.argsort(bought) == np.argsort(theory.mutual_information)).all()


def test_known_payoffs_pass_and_raw_ones_fail(chosen, theory):
    """Environments with prices of their own share no cost in utils: theory itself fails there, and passes in nats."""
    for choices in (chosen, theory.choice_probabilities):
        data = ChoiceData(choices, PRIOR)
        assert check(data, NATS).passed
        raw = check(data, UTILITY)
        assert raw.nias_slack > 0 > raw.niac_slack


def test_counts_pass_and_permuted_counts_do_not(read):
    """Each text is read once in every environment, and acts are drawn: whole texts are reweighted."""
    frame, laws = read
    rng = np.random.default_rng(5)
    few = rng.permutation(2 * N)[:600]
    acts = (rng.random((few.size, 4)) < laws[few, :, 1]).astype(int)
    table = pd.DataFrame(
        {
            "environment": np.tile(np.arange(4), few.size),
            "state": np.repeat(frame["state"].to_numpy()[few], 4),
            "action": acts.ravel(),
            "text": np.repeat(few, 4),
        }
    )
    found = finite_sample_test(table, NATS, prior=PRIOR, n_draws=199, rng=rng)
    assert found.clustered
    assert found.p_value > 0.1
    swapped = table.assign(environment=np.array([2, 1, 0, 3])[table["environment"]])
    assert finite_sample_test(swapped, NATS, prior=PRIOR, n_draws=199, rng=rng).p_value < 0.01


def test_recovered_costs_order_the_environments_as_theory_does(chosen, theory):
    data = ChoiceData(chosen, PRIOR)
    bounds = cost_of_attention(data, NATS, chosen[0]).attention_costs
    ideal = cost_of_attention(ChoiceData(theory.choice_probabilities, PRIOR), NATS, chosen[0]).attention_costs
    for found, wanted in zip(bounds.T, ideal.T, strict=True):
        assert (np.argsort(found, kind="stable") == np.argsort(wanted, kind="stable")).all()
    assert (np.argsort(bounds.mean(axis=1)) == np.argsort(theory.mutual_information)).all()


def test_payoffs_are_recovered_better_than_by_guessing(chosen):
    low, high = np.zeros((2, 4, 2, 2))
    low[:, :, 1], high[:, :, 1] = -1, 1  # leaving pays nothing
    found = max_margin(ChoiceData(chosen, PRIOR), bounds=(low, high))
    rng = np.random.default_rng(0)
    guesses = [distance(rng.uniform(low, high), NATS) for _ in range(400)]
    assert found.passed
    assert distance(found.utility, NATS) < np.quantile(guesses, 0.02)


def test_it_is_a_closed_world_agent(theory):
    """The planted fault of every number above: sentences that it never saw."""
    made = {"states": np.repeat([0, 1], 200), "held_out": "patterns", "rng": np.random.default_rng(1)}
    frame = corpora.generate(REVIEWS, 400, **made).frame
    errors = np.abs(by_state(frame, policy(frame)) - theory.choice_probabilities)
    assert errors.max() > LARGEST_ERROR


# --- theory -----------------------------------------------------------------------------------------------------------


def test_posterior_is_bayes_over_all_texts():
    """Second route: add up sets of statements one by one. And nothing in a text but its answers bears on the state."""
    weights, totals = REVIEWS.text_probabilities(), {}
    for (_, answers), (bad, good) in zip(REVIEWS.texts, weights.T, strict=True):
        total = totals.setdefault(answers, [0.0, 0.0])
        total[0] += bad
        total[1] += good
    frame = corpora.generate(REVIEWS, 50, rng=np.random.default_rng(0)).frame
    codes = {"yes": 0, "no": 1, "unsaid": 2}
    for row, found in zip(
        frame[list(REVIEWS.questions)].to_numpy(), inattentive.posterior(REVIEWS, frame), strict=True
    ):
        bad, good = totals[tuple(codes[answer] for answer in row)]
        assert found == pytest.approx([bad / (bad + good), good / (bad + good)])
    for (_, answers), (bad, good) in zip(REVIEWS.texts, weights.T, strict=True):
        assert good / (bad + good) == pytest.approx(totals[answers][1] / sum(totals[answers]))


def test_posterior_refuses_answers_of_no_text():
    frame = corpora.generate(REVIEWS, 3, rng=np.random.default_rng(0)).frame
    with pytest.raises(ValueError, match=r"`frame` must hold answers of a text of reviews. Got others in row 0"):
        inattentive.posterior(replace(REVIEWS, longest=1), frame.assign(**dict.fromkeys(REVIEWS.questions, "yes")))


def test_what_does_not_bear_on_the_state_is_not_read():
    """Each observation split in two by a coin: the same choices, the same information, the same value."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        channel = rng.dirichlet(np.ones(4), 3)
        coins = rng.uniform(0.1, 0.9, 4)
        split = np.concatenate([channel * coins, channel * (1 - coins)], axis=1)
        utility, prior, price = rng.normal(size=(3, 3)), rng.dirichlet(np.ones(3)), rng.uniform(0.05, 1)
        one, two = (solve(utility, prior, price, observation_matrix=b) for b in (channel, split))
        np.testing.assert_allclose(one.choice_probabilities, two.choice_probabilities, atol=1e-4)
        assert one.mutual_information == pytest.approx(two.mutual_information, abs=1e-4)
        assert one.value == pytest.approx(two.value, abs=1e-8)
    better = np.concatenate([channel * [[0.9], [0.5], [0.1]], channel * [[0.1], [0.5], [0.9]]], axis=1)
    assert solve(utility, prior, price, observation_matrix=better).value > one.value + 1e-3  # the fault: a telling coin


def test_regret_is_a_divergence():
    """V* - V(p) = mean KL(p || p*) - KL(q || q*), for every policy."""
    rng = np.random.default_rng(6)
    for _ in range(50):
        weights, payoffs = rng.dirichlet(np.ones(6)), rng.normal(scale=2, size=(6, 3))
        best = solve(payoffs, weights, 1.0)
        habit = best.action_marginal
        if habit.min() < 1e-3:
            continue
        star = habit * np.exp(payoffs)
        star /= star.sum(axis=1, keepdims=True)
        p = rng.dirichlet(np.ones(3), 6)
        q = weights @ p
        worth = sum(weights[z] * (p[z] @ (payoffs[z] - np.log(p[z] / q))) for z in range(6))
        texts = sum(weights[z] * (p[z] @ np.log(p[z] / star[z])) for z in range(6))
        habits = q @ np.log(q / habit)
        assert best.value - worth == pytest.approx(texts - habits, abs=1e-6)
        assert texts >= habits - 1e-12
        assert best.value - worth != pytest.approx(texts, abs=1e-6)  # the fault: the habit forgotten


def test_value_is_that_of_the_solver(theory):
    """On every pattern of answers with its weight, the best law is paid what `solve` says, and a random one less."""
    weights = REVIEWS.answer_probabilities.mean(axis=0)
    posteriors = (REVIEWS.answer_probabilities / REVIEWS.answer_probabilities.sum(axis=0)).T
    payoffs = np.einsum("nx,mxa->nma", posteriors, NATS)

    def paid(laws):
        habit = np.einsum("n,nma->ma", weights, laws)
        many = np.repeat(np.arange(weights.size), np.round(weights * 100_000).astype(int))
        return inattentive.value(*(torch.tensor(a) for a in (np.log(laws)[many], payoffs[many], habit))).numpy()

    best = shannon(theory, posteriors)
    np.testing.assert_allclose(paid(best), theory.value / PRICES, atol=1e-3)
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = best * rng.uniform(0.7, 1.3, best.shape)
        assert (paid(other / other.sum(axis=2, keepdims=True)) < theory.value / PRICES + 1e-3).all()


def test_environments_are_what_their_questions_say():
    assert len(set(PROMPTS)) == len(ENVIRONMENTS) == 4
    for name, prompt, utility, price in zip(ENVIRONMENTS, PROMPTS, UTILITY, PRICES, strict=True):
        gain, loss = utility[1, 1], -utility[0, 1]
        assert prompt == f"{name}: win {gain:g}, lose {loss:g}, {price:g} a nat. buy it?"
        assert (utility[:, 0] == 0).all()
    with pytest.raises(ValueError, match="read-only"):
        UTILITY[0, 0, 0] = 1


# --- training ---------------------------------------------------------------------------------------------------------


def test_a_short_run_is_seeded_saved_and_leaves_the_reader_alone(tmp_path, monkeypatch, capsys):
    """`main` against a run by hand: the same answers, but for the rounding of what is saved."""
    texts = corpora.generate(REVIEWS, 20, rng=np.random.default_rng(3)).frame["text"].tolist()
    reader, recipe = classroom("reader"), inattentive.Recipe(texts=96, batch=16, warm_up=2)
    before = reader.score(texts, REVIEWS.prompts)
    by_hand = inattentive.train_agent(recipe, progress=False).score(texts, PROMPTS, ACTIONS)
    shutil.copytree(reader.folder, tmp_path / "reader")
    monkeypatch.setattr(inattentive, "CHECKPOINTS", tmp_path)
    monkeypatch.setattr(inattentive, "Recipe", lambda: recipe)
    threads = torch.get_num_threads()
    inattentive.main()
    torch.set_num_threads(threads)
    saved = inattentive.load(tmp_path / "inattentive")
    assert f"The inattentive agent is in {saved.folder}" in capsys.readouterr().out
    assert json.loads((saved.folder / "training.json").read_text())["recipe"]["texts"] == 96
    assert np.abs(np.exp(saved.score(texts, PROMPTS, ACTIONS)) - np.exp(by_hand)).max() < 0.01
    assert np.array_equal(reader.score(texts, REVIEWS.prompts), before)
    assert np.abs(np.exp(by_hand) - np.exp(reader.score(texts, PROMPTS, ACTIONS))).max() > 0.1


def test_training_raises_the_value():
    rng = np.random.default_rng(0)
    frame = corpora.generate(REVIEWS, 480, rng=rng).frame
    payoffs = np.einsum("nx,mxa->nma", inattentive.posterior(REVIEWS, frame), NATS)
    agent = inattentive.load(classroom("reader").folder)
    recipe = inattentive.Recipe(texts=480, batch=16, warm_up=5)
    values = inattentive.train(agent, recipe, frame["text"].tolist(), payoffs, progress=False, rng=rng)
    assert len(values) == 30
    assert np.mean(values[-8:]) > np.mean(values[:4]) + 0.2


def test_batches_hold_every_text_once_and_like_lengths():
    lengths = np.random.default_rng(0).integers(5, 90, 101).tolist()
    groups = list(inattentive.batches(lengths, 10, np.random.default_rng(1)))
    assert sorted(np.concatenate(groups).tolist()) == list(range(101))
    spans = [np.ptp([lengths[i] for i in group]) for group in groups]
    assert max(spans) < 20
    middles = [np.mean([lengths[i] for i in group]) for group in groups]
    assert (np.diff(middles) < 0).any()  # in no order
