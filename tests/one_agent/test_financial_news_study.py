"""The chapter `one-agent/financial-news`: its propositions, each with a broken hypothesis, and its study on files."""

import csv
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import corpora_files as files
from scipy import stats

from llma_tutorial.one_agent.ribum import ChoiceData, check
from llma_tutorial.reading import corpora
from llma_tutorial.reading.agents import Sensor
from llma_tutorial.reading.corpora import generate, world
from llma_tutorial.reading.models import classroom
from llma_tutorial.reading.returns import WINDOWS, attenuation, attribute_effects, holm, returns_after

N, K = 1500, 13
DATES = pd.bdate_range("2015-06-01", periods=N)


def publish(folder, at_once: float, drift: float, rng: np.random.Generator):
    """News and prices in the layout of FNSPID: effects of the moment, and on the next day; evenings are four in ten."""
    said, evening = rng.random((N, K)) < 0.09, rng.random(N) < 0.4
    night, day = 0.006 * rng.standard_normal(N), 0.008 * rng.standard_normal(N)
    move = at_once * said.sum(axis=1)
    night[evening] += move[evening]
    day[~evening] += move[~evening]
    day[1:] += drift * said[:-1].sum(axis=1)
    path = 100 * np.exp(np.r_[0, np.column_stack([day, night]).ravel()].cumsum())
    prices = pd.DataFrame({"date": DATES, "volume": 9, "open": path[:-1:2], "high": 1, "low": 1, "close": path[1::2]})
    prices.assign(**{"adj close": path[1::2]}).to_csv(folder / "ABC.csv", index=False)
    rows = [files.news_row(f"{date:%Y-%m-%d} 00:00:00 UTC", f"{i}") for i, date in enumerate(DATES)]
    return said, corpora.fnspid_news(files.write_news(folder, *rows)), corpora.fnspid_prices(folder / "ABC.csv")


def effects(joined: pd.DataFrame, said: np.ndarray):
    known = joined["return"].notna().to_numpy()
    return attribute_effects(said[known], joined["return"][known], joined["day"][known])


# --- look-ahead -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("opens", "closes"), [(13.5, 20.0), (14.5, 21.0)])
@pytest.mark.parametrize("delta", [24, 32])
def test_the_next_open_is_the_first_price_that_is_surely_later(opens, closes, delta):
    moments = np.linspace(delta - 24, delta, 2000, endpoint=False)  # where the headline may have come, in hours
    times = [hour + 24 * day for day in (-1, 0, 1, 2) for hour in (opens, closes)]
    surely = [time for time in times if (moments < time).all()]
    assert min(surely) == opens + 24
    assert (moments >= closes).any()  # the next-close return begins before some of them


def test_what_dates_allow_is_the_same_for_two_worlds_that_differ_in_the_hour(tmp_path):
    """News before the close in one world, after it in the other: what is published is equal, and so is every join."""
    published, joined = {}, {}
    for name, hour in {"before the close": 15, "after the close": 22}.items():
        folder = tmp_path / name
        folder.mkdir()
        _, _, prices = publish(folder, 0.0, 0.0, np.random.default_rng(1))
        moments = DATES[:40] + pd.Timedelta(hour, unit="h")
        rows = [files.news_row(f"{moment:%Y-%m-%d} 00:00:00 UTC", str(i)) for i, moment in enumerate(moments)]
        path = files.write_news(folder, *rows)
        published[name] = path.read_bytes()
        joined[name] = pd.concat([returns_after(corpora.fnspid_news(path), prices, window) for window in WINDOWS])
    one, other = published
    assert published[one] == published[other]
    pd.testing.assert_frame_equal(joined[one], joined[other])


@pytest.mark.parametrize(("at_once", "drift"), [(0.02, 0.0), (0.0, 0.01)])
def test_only_the_next_open_tells_what_can_be_traded(at_once, drift, tmp_path):
    """Planted: moves of the moment, of no use, or a drift. Each window shows its share of them, and no more."""
    said, news, prices = publish(tmp_path, at_once, drift, np.random.default_rng(2))
    share = {"same day": 0.6, "next close": 0.4, "next open": 0.0}
    for window in WINDOWS:
        found = effects(returns_after(news, prices, window), said)
        # the drift of day j + 1 lies in both windows that hold this day
        expected = share[window] * at_once + (window != "same day") * drift
        assert np.abs((found.estimates - expected) / found.standard_errors).max() < 3.5
        significant = (holm(found.p_values) < 0.05).sum()
        assert significant == 0 if expected == 0 else significant >= 10


# --- many tests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("correlation", [0.0, 0.9, 1.0])
def test_expected_false_finds_need_no_independence(correlation):
    rng = np.random.default_rng(3)
    common, own = rng.standard_normal((20_000, 1)), rng.standard_normal((20_000, K))
    p = 2 * stats.norm.sf(np.abs(np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own))
    false = (p <= 0.05).sum(axis=1)
    assert false.mean() == pytest.approx(13 * 0.05, abs=4 * false.std() / np.sqrt(20_000))
    any_false = (false > 0).mean()
    if correlation == 0:
        assert any_false == pytest.approx(1 - 0.95**13, abs=0.015)
    else:
        assert any_false < 0.4  # the second statement needs what it says
    any_holm = (13 * p.min(axis=1) <= 0.05).mean()  # with all true, Holm rejects something when Bonferroni does
    assert any_holm <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 20_000)


@pytest.mark.parametrize("n_true", [13, 10, 4])
def test_benjamini_hochberg_is_exact_for_independent_tests(n_true):
    rng, draws = np.random.default_rng(4), 20_000
    others = 2 * stats.norm.sf(np.abs(2.5 + rng.standard_normal((draws, 13 - n_true))))
    p = np.concatenate([rng.random((draws, n_true)), others], axis=1)
    found = stats.false_discovery_control(p, axis=1) <= 0.1
    share = found[:, :n_true].sum(axis=1) / np.maximum(found.sum(axis=1), 1)
    assert share.mean() == pytest.approx(0.1 * n_true / 13, abs=4 * share.std() / np.sqrt(draws))
    any_holm = [(holm(row)[:n_true] <= 0.1).any() for row in p[:4_000]]
    assert np.mean(any_holm) <= 0.1 + 4 * np.sqrt(0.09 / 4_000)


def test_benjamini_hochberg_needs_independence_and_holm_does_not():
    """Two true hypotheses with uniform p-values, arranged against it: it errs one and a half times as often."""
    alpha, unit = 0.1, 1000
    grid = (np.arange(unit) + 0.5) / unit
    low, middle, high = np.split(grid, [int(alpha / 2 * unit), int(alpha * unit)])
    k = low.size
    # low beside high, high beside low, middle beside middle, the rest of the high ones beside each other
    pairs = np.r_[np.c_[low, high[:k]], np.c_[high[:k], low], np.c_[middle, middle], np.c_[high[k:], high[k:]]]
    for column in pairs.T:
        assert np.allclose(np.sort(column), grid)  # each is uniform
    false_finds = (stats.false_discovery_control(pairs, axis=1) <= alpha).any(axis=1)
    assert false_finds.mean() == pytest.approx(1.5 * alpha)
    assert np.mean([(holm(p) <= alpha).any() for p in pairs]) == pytest.approx(alpha)


def test_a_fit_of_noise_takes_up_its_share():
    rng = np.random.default_rng(5)
    said = rng.random((85, K)) < 0.2
    taken_up = [attribute_effects(said, rng.standard_normal(85)).r_squared for _ in range(1_000)]
    assert np.mean(taken_up) == pytest.approx(13 / 84, abs=4 * np.std(taken_up) / np.sqrt(1_000))
    assert stats.kstest(taken_up, stats.beta(13 / 2, 71 / 2).cdf).pvalue > 0.01


# --- the sensor -------------------------------------------------------------------------------------------------------


def population(shares: dict[tuple[int, int], int]) -> tuple[np.ndarray, np.ndarray]:
    """Texts and readings in whole numbers, so that nothing is random."""
    pairs = np.repeat(list(shares), list(shares.values()), axis=0)
    return pairs[:, [0]], pairs[:, [1]]


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.integers(1, 40)] * 4))
def test_one_effect_shrinks_by_the_closed_form(counts):
    said, heard = population(dict(zip(product((0, 1), repeat=2), counts, strict=True)))
    p, positive = said.mean(), heard.mean()
    hit, alarm = heard[said == 1].mean(), heard[said == 0].mean()
    factor = attenuation(said, heard)[0, 0]
    assert factor == pytest.approx((hit - alarm) * p * (1 - p) / (positive * (1 - positive)))
    assert factor == pytest.approx(said[heard == 1].mean() - said[heard == 0].mean())
    assert abs(factor) <= 1
    assert np.sign(np.round(factor, 12)) == np.sign(np.round(hit - alarm, 12))
    if said.size > 3:
        naive = attribute_effects(heard, 0.02 * said[:, 0]).estimates[0]
        assert naive == pytest.approx(0.02 * factor)


def test_several_effects_leak_and_zero_stays_zero():
    truth = np.array(list(product((0, 1), repeat=2)) * 3)
    heard = np.column_stack([truth.any(axis=1), truth[:, 1]])
    one_effect = attribute_effects(heard, 0.02 * truth[:, 0])
    assert one_effect.estimates == pytest.approx([0.02, -0.01])  # the second has none
    assert one_effect.corrected(attenuation(truth, heard)).estimates == pytest.approx([0.02, 0])
    assert attribute_effects(heard, 0 * truth[:, 0]).estimates == pytest.approx([0, 0])


def test_a_reader_that_knows_the_return_is_not_corrected():
    """The hypothesis broken: errors that agree with the return find an effect where there is none."""
    returns = np.tile([0.01, -0.01], 200)
    said = np.repeat([1, 0, 1, 0], 100)[:, None]
    assert attribute_effects(said, returns).estimates[0] == pytest.approx(0)
    wrong = np.arange(400) % 5 == 0
    heard = np.where(wrong, returns > 0, said[:, 0])[:, None]
    corrected = attribute_effects(heard, returns).corrected(attenuation(said, heard))
    assert corrected.estimates[0] > 0.001


def test_the_reader_hears_its_own_words_and_mishears_others():
    headlines, rng = world("headlines"), np.random.default_rng(6)
    sensor = Sensor(classroom("reader"), headlines.prompts)
    factors = {}
    for words in ("none", "words"):
        frame = generate(headlines, 260, independent=True, held_out=words, rng=rng).frame
        said = frame[list(headlines.questions)] == "yes"
        heard = sensor.read(frame["text"].tolist()).answers == 0
        factors[words] = np.diag(attenuation(said, heard))
    assert factors["none"].min() > 0.85
    assert 0.4 < factors["words"].mean() < 0.95


# --- the trader -------------------------------------------------------------------------------------------------------


def trader_payoffs(gains: np.ndarray, costs: np.ndarray) -> np.ndarray:
    return np.array([np.column_stack([np.zeros(gains.size), gains - cost]) for cost in costs])


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_nias_of_a_trader_is_no_regret_on_average(seed):
    rng = np.random.default_rng(seed)
    prior, gains, costs = rng.dirichlet(np.ones(3)), rng.normal(size=3), np.sort(rng.random(2))
    buys = rng.random((2, 3))
    found = check(ChoiceData(np.stack([1 - buys, buys], axis=2), prior), trader_payoffs(gains, costs))
    good_trades = [(prior * b) @ (gains - c) >= 0 for b, c in zip(buys, costs, strict=True)]
    good_abstentions = [(prior * (1 - b)) @ (gains - c) <= 0 for b, c in zip(buys, costs, strict=True)]
    assert (found.nias_slack >= 0) == all(good_trades + good_abstentions)
    if found.nias_slack >= 0 and found.niac_slack >= 0:
        assert prior @ buys[1] <= prior @ buys[0] + 1e-12


def test_with_niac_broken_a_dear_trade_can_be_the_more_frequent():
    """Good trades both times, and yet more of them where they cost more: NIAS passes, NIAC does not."""
    gains, costs, prior = np.array([-1.0, 1.0]), np.array([0.0, 0.2]), np.array([0.5, 0.5])
    buys = np.array([[0.1, 0.5], [0.2, 0.9]])
    found = check(ChoiceData(np.stack([1 - buys, buys], axis=2), prior), trader_payoffs(gains, costs))
    assert found.nias_slack >= 0 > found.niac_slack
    assert prior @ buys[1] > prior @ buys[0]


def test_the_test_of_a_trader_cannot_see_the_future():
    """A trader that knows the state for certain, as one with tomorrow's paper does, passes."""
    gains, prior = np.array([-0.01, 0.01]), np.array([0.5, 0.5])
    knows = np.tile(np.eye(2), (2, 1, 1))
    assert check(ChoiceData(knows, prior), trader_payoffs(gains, np.array([0.0, 0.002]))).passed


# --- files ------------------------------------------------------------------------------------------------------------


def test_the_study_on_genuine_prices(tmp_path):
    """Invented headlines on genuine days: the returns are those of a plain loop, and a share of several headlines."""
    path = files.sample("derived/fnspid_full_history_AAPL_300.csv")
    prices = corpora.fnspid_prices(path, symbols="AAPL")
    days = prices.frame["date"].dt.strftime("%Y-%m-%d").tolist()
    written = generate(world("headlines"), 240, independent=True, rng=np.random.default_rng(7)).frame
    rows = [files.news_row(f"{days[i // 2]} 00:00:00 UTC", text, "AAPL", url=str(i)) for i, text in
            enumerate(written["text"])]  # fmt: skip
    news = corpora.fnspid_news(files.write_news(tmp_path, *rows), symbols=["AAPL"], prices=prices)
    joined = returns_after(news, prices)
    with path.open() as file:
        table = sorted(csv.DictReader(file), key=lambda row: row["date"])
    expected = [np.log(float(table[i // 2 + 1]["close"]) / float(table[i // 2 + 1]["open"])) for i in range(240)]
    assert joined["return"].tolist() == pytest.approx(expected)
    reader = Sensor(classroom("reader"), world("headlines").prompts)
    found = effects(joined, reader.read(news.frame["text"].tolist()).answers == 0)
    assert found.n_observations == 120
    assert np.isfinite(found.p_values).all()


def test_genuine_headlines_are_read():
    news = corpora.fnspid_news(files.sample("fnspid/All_external_head4.csv"))
    reader = Sensor(classroom("reader"), world("headlines").prompts)
    assert reader.read(news.frame["text"].tolist()).answers.shape == (4, K)
    prices = corpora.fnspid_prices(files.sample("fnspid/full_history_AADR_head4.csv"), symbols="AADR")
    assert returns_after(news, prices)["return"].isna().all()  # another share: nothing is joined by accident
