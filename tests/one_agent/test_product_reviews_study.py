"""The chapter `one-agent/product-reviews`: what sorting by stars does to readers, and its study through the loader."""

import ast
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading.corpora_files import sample
from scipy.stats import cauchy, laplace, logistic, norm
from test_package import ROOT

from llma_tutorial.one_agent.recovery import max_margin
from llma_tutorial.one_agent.ribum import ChoiceData, check, finite_sample_test
from llma_tutorial.reading.agents import Sensor
from llma_tutorial.reading.corpora import amazon_reviews, generate, world
from llma_tutorial.reading.models import classroom

SEEDS = st.integers(0, 2**32 - 1)
PATTERNS = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0), (1, 0, 1), (1, 1, 0), (1, 1, 1)]
SCORE = np.array([durable + expectations - defects for defects, durable, expectations in PATTERNS])
CUTS = np.array([1.5, 2.5, 3.5, 4.5])
HALF = np.full(2, 0.5)
STAKE = np.array([[0.0, -5.0], [0.0, 4.0]])


def by_stars(matrix, ratings, rule, prior):
    """p_m(a | x) and P(x | m), by loops over states, symbols and stars, from R(m | x, y) and a(y)."""
    (n_states, n_symbols), n_stars = matrix.shape, ratings.shape[2]
    joint = np.zeros((n_stars, n_states, max(rule) + 1))
    for x, y, m in itertools.product(range(n_states), range(n_symbols), range(n_stars)):
        joint[m, x, rule[y]] += prior[x] * matrix[x, y] * ratings[x, y, m]
    cells = joint.sum(axis=2)
    return joint / cells[:, :, None], cells / cells.sum(axis=1, keepdims=True)


def best_actions(matrix, prior, utility):
    actions = [int(np.argmax((prior * column) @ utility)) for column in matrix.T]
    return np.unique(actions, return_inverse=True)  # actions never taken are left out


def random_reader(seed):
    rng = np.random.default_rng(seed)
    n_states, n_symbols, n_stars = (int(n) for n in rng.integers(2, [4, 7, 6]))
    matrix, prior = rng.dirichlet(np.ones(n_symbols), n_states), rng.dirichlet(np.ones(n_states))
    utility = rng.normal(size=(n_states, 3))
    kept, rule = best_actions(matrix, prior, utility)
    return rng, matrix, prior, utility[:, kept], rule.tolist(), n_stars


@settings(max_examples=60, deadline=None, derandomize=True)
@given(SEEDS)
def test_stars_for_the_product_make_copies(seed):
    rng, matrix, prior, utility, rule, n_stars = random_reader(seed)
    ratings = np.repeat(rng.dirichlet(np.ones(n_stars), prior.size)[:, None], matrix.shape[1], axis=1)
    choices, _ = by_stars(matrix, ratings, rule, prior)
    np.testing.assert_allclose(choices, choices[:1].repeat(n_stars, axis=0), atol=1e-9)
    data = ChoiceData(choices, prior)
    assert check(data, utility).passed
    anything = rng.normal(size=choices.shape)
    assert check(data, anything).niac_slack == pytest.approx(0, abs=1e-9)
    assert abs(max_margin(data).margin) < 1e-7


@settings(max_examples=100, deadline=None, derandomize=True)
@given(SEEDS)
def test_stars_for_the_text_keep_their_own_prior(seed):
    rng, matrix, prior, utility, rule, n_stars = random_reader(seed)
    ratings = np.repeat(rng.dirichlet(np.ones(n_stars), matrix.shape[1])[None], prior.size, axis=0)
    choices, own = by_stars(matrix, ratings, rule, prior)
    for m in range(n_stars):
        assert check(ChoiceData(choices[[m]], own[m]), utility).nias_slack >= -1e-9
    with pytest.raises(ValueError, match="same in every environment"):
        check(ChoiceData(choices, own), np.tile(utility, (n_stars, 1, 1)))


def grammar():
    """P(pattern of three answers | product), summed pattern by pattern, and the rules of stars of the page."""
    reviews = world("reviews")
    matrix = np.zeros((2, 8))
    for answers, chances in zip(reviews.answers, reviews.answer_probabilities.T, strict=True):
        matrix[:, PATTERNS.index(tuple(int(answer == 0) for answer in answers[:3]))] += chances  # 0: yes
    return reviews, matrix


def nearest_star(satisfaction, noise=norm):
    below = noise.cdf(CUTS - np.asarray(satisfaction, dtype=float)[..., None])
    return np.diff(below, axis=-1, prepend=0, append=1)


def world_with_both():
    """R(m | x, y, w) of the third world: product, text and mood."""
    x, y, w = np.ogrid[:2, :8, :2]
    return nearest_star(-1 + 2 * (x + SCORE[y]) + 3 * w)


def own_and_common(matrix, ratings, utility):
    kept, rule = best_actions(matrix, HALF, utility)
    choices, own = by_stars(matrix, ratings, rule.tolist(), HALF)
    alone = [check(ChoiceData(choices[[m]], own[m]), utility[:, kept]).nias_slack for m in range(5)]
    return min(alone), check(ChoiceData(choices, HALF), utility[:, kept]).nias_slack


def test_each_prior_convicts_a_rational_reader_in_the_other_world():
    reviews, matrix = grammar()
    cautious = np.array([[0.0, -0.75], [0.0, 0.25]])  # buys above 3/4
    own, common = own_and_common(matrix, reviews.stars[:, None].repeat(8, axis=1), cautious)
    assert own < -0.03 < 0 < common
    own, common = own_and_common(matrix, nearest_star(2 + 2 * SCORE)[None].repeat(2, axis=0), cautious)
    assert common < -0.1 < -1e-9 < own
    own, common = own_and_common(matrix, world_with_both().mean(axis=2), cautious)
    assert max(own, common) < -0.02


@settings(max_examples=50, deadline=None, derandomize=True)
@given(SEEDS)
def test_any_choices_have_two_stories(seed):
    rng = np.random.default_rng(seed)
    n_stars, n_states, n_actions = (int(n) for n in rng.integers(2, 5, 3))
    choices = rng.dirichlet(np.ones(n_actions), (n_stars, n_states))
    shares = rng.dirichlet(np.ones(n_stars), n_states)
    texts = list(itertools.product(range(n_stars), range(n_actions)))
    selects, reacts = np.zeros((2, n_states, n_stars, n_actions))
    for x in range(n_states):
        for star, word in texts:  # the text decides the star; the reader says the word, whatever the star
            selects[x, star, word] += shares[x, star] * choices[star, x, word]
        for star in range(n_stars):  # one text for each product; the reader draws by what it says and by the star
            reacts[x, star] += shares[x, star] * choices[star, x]
    for story in (selects, reacts):
        np.testing.assert_allclose(story.sum(axis=2), shares, atol=1e-12)
        np.testing.assert_allclose((story / story.sum(axis=2, keepdims=True)).transpose(1, 0, 2), choices, atol=1e-9)


def odds_of_cheerful(values, laws, mood, cuts, noise):
    """P(cheerful | x, m) / P(grumpy | x, m) for a fair coin, of shape (X, stars), by loops."""
    odds = np.zeros((2, len(cuts) - 1))
    for x, m in np.ndindex(odds.shape):
        chance = [
            sum(p * (noise.cdf(cuts[m + 1] - v - shift) - noise.cdf(cuts[m] - v - shift))
                for v, p in zip(values, laws[x], strict=True))
            for shift in (0, mood)
        ]  # fmt: skip
        odds[x, m] = chance[1] / chance[0]
    return odds


@settings(max_examples=100, deadline=None, derandomize=True)
@given(seed=SEEDS, noise=st.sampled_from([norm, logistic, laplace]))
def test_mood_looks_like_news(seed, noise):
    rng = np.random.default_rng(seed)
    values = np.sort(rng.normal(scale=2, size=4))
    bad = rng.dirichlet(np.ones(4))
    good = bad * np.sort(rng.exponential(size=4))  # a likelihood ratio that never falls
    cuts = np.concatenate([[-np.inf], np.sort(rng.normal(scale=2, size=3)), [np.inf]])
    odds = odds_of_cheerful(values, (bad, good / good.sum()), rng.exponential(), cuts, noise)
    assert (odds[1] <= odds[0] * (1 + 1e-6)).all()


def test_mood_may_look_like_bad_news_with_heavy_tails_or_without_order():
    cuts = [-np.inf, -2.0, np.inf]
    sure = np.eye(2)
    assert np.diff(odds_of_cheerful([0.0, 6.0], sure, 1.0, cuts, cauchy), axis=0)[0, 0] > 0.1
    assert np.diff(odds_of_cheerful([0.0, 6.0], sure, 1.0, cuts, norm), axis=0)[0, 0] < 0
    assert np.diff(odds_of_cheerful([0.0, 6.0], sure[::-1], 1.0, cuts, norm), axis=0)[0, 0] > 0  # v speaks against


def test_the_likelihood_ratio_of_the_page_is_in_order():
    """The world with both: v = 2(x + s) has a ratio that never falls, as the proposition asks."""
    _, matrix = grammar()
    laws = np.zeros((2, 5))  # v / 2 from -1 to 3
    for x, y in np.ndindex(2, 8):
        laws[x, SCORE[y] + x + 1] += matrix[x, y]
    with np.errstate(divide="ignore"):
        ratios = laws[1] / laws[0]
    assert (np.diff(ratios[:-1]) > 0).all()
    assert ratios[-1] == np.inf


def mood_and_reader():
    """p_m(buy | x) in the world with both: of the agent that buys if grumpy, and of the one that maximises."""
    _, matrix = grammar()
    ratings, buys = world_with_both(), (matrix[1] / matrix.sum(axis=0) > 5 / 9).astype(int)
    tone, reader = np.zeros((2, 5, 2, 2))
    for x, y, w, m in np.ndindex(2, 8, 2, 5):
        weight = matrix[x, y] * ratings[x, y, w, m] / 2
        tone[m, x, 1 - w] += weight
        reader[m, x, buys[y]] += weight
    return tone, reader


def test_by_stars_the_coin_passes_and_the_maximiser_fails():
    tone, reader = mood_and_reader()
    np.testing.assert_allclose(tone.sum(axis=0), 0.5, atol=1e-9)  # over all stars: a coin
    assert HALF @ (tone.sum(axis=0) * STAKE).sum(axis=1) == pytest.approx(-0.25)  # passing always earns 0
    passes = check(ChoiceData(tone / tone.sum(axis=2, keepdims=True), HALF), STAKE)
    assert passes.passed
    assert passes.nias_slack == pytest.approx(0.3248, abs=1e-4)
    assert passes.attention_costs.max() > 1  # a bill for attention to a coin
    assert check(ChoiceData(reader.sum(axis=0)[None], HALF), STAKE).passed  # unsorted, the maximiser is what it is
    fails = check(ChoiceData(reader / reader.sum(axis=2, keepdims=True), HALF), STAKE)
    assert fails.nias_slack == pytest.approx(-0.4984, abs=1e-4)
    assert fails.worst_action[0] == 4  # at five stars


def test_stakes_tell_the_two_apart():
    _, matrix = grammar()
    stakes = np.array([[[0, -loss], [0, 4.0]] for loss in (1, 5, 20)])
    rules = [(matrix[1] / matrix.sum(axis=0) > bar).astype(int) for bar in (1 / 5, 5 / 9, 20 / 24)]
    reads = np.stack([matrix @ np.eye(2)[rule] for rule in rules])
    assert check(ChoiceData(reads, HALF), stakes).passed
    assert not check(ChoiceData(np.full((3, 2, 2), 0.5), HALF), stakes).passed
    rng = np.random.default_rng(5)
    for choices, rejected in ((reads, False), (np.full((3, 2, 2), 0.5), True)):
        counts = rng.multinomial(80, choices)
        assert (finite_sample_test(counts, stakes, prior=HALF, n_draws=199, rng=rng).p_value <= 0.05) == rejected


def test_information_within_stars():
    rng = np.random.default_rng(11)
    for _ in range(20):
        law = rng.dirichlet(np.ones(24)).reshape(2, 3, 4)  # x, a, m

        def information(pair, law=law):
            joint = law.sum(axis=({0, 1, 2} - set(pair)).pop())
            return (joint * np.log(joint / np.outer(joint.sum(axis=1), joint.sum(axis=0)))).sum()

        def given(third, law=law):
            total = 0.0
            for value in range(law.shape[third]):
                slab = np.take(law, value, axis=third)
                weight, slab = slab.sum(), slab / slab.sum()
                total += weight * (slab * np.log(slab / np.outer(slab.sum(axis=1), slab.sum(axis=0)))).sum()
            return total

        assert given(2) == pytest.approx(information((0, 1)) + given(1) - information((0, 2)))


# --- The study of the page, through the loader ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def page():
    """The functions `count` and `study` as they stand in the chapter."""
    notebook = json.loads((ROOT / "book/one-agent/product-reviews.ipynb").read_text(encoding="utf-8"))
    found = {"np": np, "sensor": Sensor(classroom("reader"), world("reviews").prompts)}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            for node in ast.parse("".join(cell["source"])).body:
                if isinstance(node, ast.FunctionDef) and node.name in ("count", "study"):
                    exec(compile(ast.Module([node], []), "product-reviews", "exec"), found)
    return found


def test_the_study_reads_a_file_that_repeats_itself(page, tmp_path):
    frame = generate(world("reviews"), 80, rng=np.random.default_rng(3)).frame
    rows = [
        {"reviewText": text, "overall": star, "asin": "AB"[state], "summary": "", "reviewerID": str(i),
         "unixReviewTime": 1_500_000_000, "verified": True}
        for i, (text, state, star) in enumerate(frame[["text", "state", "environment"]].itertuples(index=False))
    ]  # fmt: skip
    path = Path(tmp_path / "reviews.json")
    path.write_text("\n".join(json.dumps(row) for row in rows * 3), encoding="utf-8")
    corpus = amazon_reviews(path, products={"A": 0, "B": 1})
    counts = page["study"](corpus, merge=(1, 1, 2, 3, 3))
    truth = np.zeros((3, 2, 8))
    for row in frame.itertuples(index=False):
        pattern = tuple(int(answer == "yes") for answer in (row.defects, row.durable, row.expectations))
        truth[(0, 0, 1, 2, 2)[row.environment - 1], row.state, PATTERNS.index(pattern)] += 1
    assert counts.sum() == 80  # each review once
    assert np.abs(counts - truth).sum() <= 2 * 4  # at most four patterns read wrongly


def test_the_study_runs_on_the_published_sample(page):
    corpus = amazon_reviews(sample("amazon/2018/Appliances_5_sample300.json.gz"))
    assert (corpus.rows_read, len(corpus.frame)) == (300, 206)
    counts = page["study"](corpus, merge=(1, 1, 2, 3, 3))
    assert counts.sum() == 206
    share = counts[:, 1].sum(axis=1) / counts.sum(axis=(1, 2))
    assert (np.diff(share) > 0).all()  # the prior differs from star to star
    with pytest.raises(ValueError, match="same in every environment"):
        max_margin(ChoiceData.from_counts(counts))
    assert max_margin(ChoiceData.from_counts(counts, HALF)).margin > -1e-7
    with pytest.raises(ValueError, match="no choice in state 0 of environment 3"):
        ChoiceData.from_counts(page["study"](corpus))  # nobody gave four stars to a product below four
