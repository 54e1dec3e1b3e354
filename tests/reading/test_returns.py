"""Returns beside headlines, thirteen effects at once, and what a sensor makes of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import corpora_files as files
from scipy import stats

from llma_tutorial.reading import corpora
from llma_tutorial.reading.returns import attenuation, attribute_effects, holm, returns_after

# Friday, Monday, Tuesday, Thursday (a holiday between), and a day three weeks later.
DAYS = ["2020-03-06", "2020-03-09", "2020-03-10", "2020-03-12", "2020-04-02"]
OPEN, CLOSE, ADJUSTED = [10, 11, 12, 13, 20], [10.5, 11.5, 12.5, 13.5, 21], [5.25, 5.75, 6.25, 13.5, 21]


def market(folder, *news: list[str]):
    """Loaded news and prices; the adjusted close halves the first three days, as before a split."""
    rows = [f"{day},9,{o},99,1,{c},{a}" for day, o, c, a in zip(DAYS, OPEN, CLOSE, ADJUSTED, strict=True)]
    (folder / "ABC.csv").write_text("\n".join([",".join(files.PRICE_COLUMNS), *rows[::-1]]))
    return corpora.fnspid_news(files.write_news(folder, *news)), corpora.fnspid_prices(folder / "ABC.csv")


def by_hand(date: str, window: str) -> float | None:
    """A plain loop over the days: the last one up to the date, and its neighbours."""
    at = max((i for i, day in enumerate(DAYS) if day <= date), default=None)
    first, last = {"same day": (-1, 0), "next close": (0, 1), "next open": (1, 1)}[window]
    if at is None or at + first < 0 or at + last >= len(DAYS):
        return None
    before = OPEN[at + 1] if window == "next open" else ADJUSTED[at + first]
    after = CLOSE[at + 1] if window == "next open" else ADJUSTED[at + last]
    if max(np.abs(np.array([DAYS[at + first], DAYS[at + last]], "M8[D]") - np.datetime64(date))).astype(int) > 7:
        return None
    return float(np.log(after / before))


@pytest.mark.parametrize("window", ["same day", "next close", "next open"])
def test_windows_against_a_plain_loop(window, tmp_path):
    dates = [f"2020-03-{day:02}" for day in range(4, 22)] + ["2020-03-30", "2020-04-02", "2020-04-03"]
    news, prices = market(tmp_path, *[files.news_row(f"{day} 00:00:00 UTC", day) for day in dates])
    found = returns_after(news, prices, window)
    expected = [by_hand(day, window) for day in news.frame["title"]]
    assert found["return"].isna().tolist() == [value is None for value in expected]
    assert found["return"].dropna().tolist() == pytest.approx([value for value in expected if value is not None])
    assert found.index.equals(news.frame.index)
    assert found["day"].isna().equals(found["return"].isna())


def test_the_next_open_begins_after_the_date_whatever_the_clock(tmp_path):
    """A stamp of the evening, or of midnight, leads to the same window of the day after."""
    stamps = ["2020-03-09 00:00:00 UTC", "2020-03-09 06:30:54 UTC", "2020-03-09 23:59:59 UTC"]
    news, prices = market(tmp_path, *[files.news_row(stamp, stamp) for stamp in stamps])
    found = returns_after(news, prices)
    assert found["day"].tolist() == ["ABC 2020-03-10"] * 3
    assert found["return"].tolist() == pytest.approx([np.log(12.5 / 12)] * 3)


def test_next_close_is_the_state_of_the_loader(tmp_path):
    news, prices = market(tmp_path, *[files.news_row(f"2020-03-{day:02} 00:00:00 UTC", str(day)) for day in (6, 8, 10)])
    with_states = corpora.fnspid_news(tmp_path / "news.csv", prices=prices)
    rises = returns_after(news, prices, "next close")["return"] > 0
    assert rises.astype(int).tolist() == with_states.frame["state"].tolist()


def test_shares_are_kept_apart(tmp_path):
    news, prices = market(tmp_path, files.news_row("2020-03-06", "a"), files.news_row("2020-03-06", "b", "XYZ"))
    assert returns_after(news, prices)["day"].notna().tolist() == [True, False]


def test_prices_must_be_positive(tmp_path):
    news, prices = market(tmp_path, files.news_row("2020-03-06", "a"))
    prices.frame.loc[prices.frame["date"].dt.day == 9, "open"] = 0.0
    with pytest.raises(ValueError, match=r"`prices` of ABC must be positive\. Got 0\."):
        returns_after(news, prices)
    with pytest.raises(ValueError, match="`window` must be one of"):
        returns_after(news, prices, "same minute")


# --- effects ----------------------------------------------------------------------------------------------------------


def sample(seed: int, n: int = 60, k: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((n, k)) < 0.3, rng.normal(size=n)


def test_one_attribute_is_the_classical_comparison_of_two_means():
    values, returns = sample(3, k=1)
    inside, outside = returns[values[:, 0]], returns[~values[:, 0]]
    found = attribute_effects(values, returns)
    assert found.estimates[0] == pytest.approx(inside.mean() - outside.mean())
    assert found.p_values[0] == pytest.approx(stats.ttest_ind(inside, outside).pvalue)


def test_several_attributes_by_normal_equations_with_an_intercept():
    values, returns = sample(4)
    design = np.column_stack([np.ones(60), values])
    by_hand, (rest,), *_ = np.linalg.lstsq(design, returns)
    covariance = np.linalg.inv(design.T @ design) * rest / 55
    found = attribute_effects(values, returns)
    assert found.estimates == pytest.approx(by_hand[1:])
    assert found.covariance == pytest.approx(covariance[1:, 1:])
    assert found.p_values == pytest.approx(
        2 * stats.t.sf(np.abs(by_hand[1:]) / np.sqrt(np.diag(covariance)[1:]), found.degrees_of_freedom)
    )
    assert found.r_squared == pytest.approx(1 - rest / ((returns - returns.mean()) ** 2).sum())


def test_headlines_of_one_day_are_one_observation():
    values, returns = sample(5, n=30)
    once = attribute_effects(values, returns)
    days = [f"ABC {i:02}" for i in range(30)]
    silent = np.zeros_like(values)  # a second headline that says nothing takes nothing away
    both = attribute_effects(np.r_[values, silent], np.r_[returns, returns], days * 2)
    assert (both.n_observations, both.estimates.tolist()) == (30, pytest.approx(once.estimates.tolist()))
    careless = attribute_effects(np.r_[values, values], np.r_[returns, returns])
    assert (careless.standard_errors < 0.75 * once.standard_errors).all()  # the planted fault: rows counted as days


@pytest.mark.parametrize(
    ("values", "returns", "days", "message"),
    [
        ([[1], [0], [1]], [1.0, 2.0, np.nan], None, "returns"),
        ([[1], [0], [1]], [1.0, 2.0], None, "returns"),
        ([[1], [1], [1]], [1.0, 2.0, 3.0], None, "`values` must vary in every column. Got one value in column 0"),
        ([[1], [0]], [1.0, 2.0], None, "`values` must have at least 3 days for 1 attributes. Got 2"),
        ([[1, 1], [0, 0], [1, 1], [0, 0]], [1.0, 2, 3, 4], None, "independent columns. Got rank 1 of 2"),
        ([[1], [0], [1]], [1.0, 2.0, 3.0], ["a", "b", "b"], "`returns` must agree within a day. Got two on b"),
        ([[1], [0], [1]], [1.0, 2.0, 3.0], ["a"], "`days` must have one entry"),
    ],
)
def test_faults_of_effects_are_named(values, returns, days, message):
    with pytest.raises(ValueError, match=message):
        attribute_effects(values, returns, days)


# --- the sensor -------------------------------------------------------------------------------------------------------


def test_attenuation_of_one_question_is_a_difference_of_two_shares():
    rng = np.random.default_rng(6)
    said = rng.random(400) < 0.2
    heard = np.where(said, rng.random(400) < 0.7, rng.random(400) < 0.1)
    expected = said[heard].mean() - said[~heard].mean()
    assert attenuation(said[:, None], heard[:, None]) == pytest.approx(expected)


def test_correction_undoes_the_sensor_exactly_where_there_is_no_noise():
    rng = np.random.default_rng(7)
    said = rng.random((300, 3)) < 0.3
    heard = said ^ (rng.random((300, 3)) < 0.15)
    effects = np.array([0.02, -0.01, 0.0])
    naive = attribute_effects(heard, said @ effects)
    assert np.abs(naive.estimates - effects).max() > 0.003
    assert naive.corrected(attenuation(said, heard)).estimates == pytest.approx(effects)


def test_correction_carries_the_covariance():
    values, returns = sample(8, k=2)
    found = attribute_effects(values, returns)
    halved = found.corrected(np.eye(2) / 2)
    assert halved.standard_errors == pytest.approx(2 * found.standard_errors)
    assert halved.p_values == pytest.approx(found.p_values)  # size comes back, certainty does not
    with pytest.raises(ValueError, match="attenuation"):
        found.corrected(np.eye(3))


def test_readings_that_repeat_each_other_are_refused():
    said = np.array([[0, 1], [1, 0], [1, 1], [0, 0]])
    with pytest.raises(ValueError, match="`readings` must have independent columns"):
        attenuation(said, said[:, [0, 0]])


# --- many tests -------------------------------------------------------------------------------------------------------


def test_what_is_no_p_value_is_refused():
    with pytest.raises(ValueError, match=r"`p_values` must be from 0 to 1. Got 1.2"):
        holm([0.1, 1.2])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.5))
def test_holm_is_its_own_description(p_values, alpha):
    """Sort, and reject as long as p_(j) <= alpha / (m - j + 1)."""
    p, m = np.array(p_values), len(p_values)
    rejected = np.zeros(m, dtype=bool)
    for step, q in enumerate(np.argsort(p)):
        if (m - step) * p[q] > alpha:
            break
        rejected[q] = True
    assert ((holm(p) <= alpha) == rejected).all()
    assert (holm(p) <= np.minimum(1, m * p)).all()  # at least what Bonferroni rejects
    assert (holm(p) >= stats.false_discovery_control(p) - 1e-12).all()  # at most what Benjamini-Hochberg does
