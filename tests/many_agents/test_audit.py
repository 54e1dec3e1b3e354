"""The audit against closed forms, brute force and agents of known kind."""

import itertools
import json
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from many_agents import reference_audit as reference
from results import load_study
from scipy.optimize import minimize
from test_package import ROOT, loaded_by

from llma_tutorial.many_agents import audit, estimates, logs
from llma_tutorial.many_agents.logs import read_log
from llma_tutorial.many_agents.social import SocialLearning, exact_law, simulate
from llma_tutorial.results import load

FAMILIES = {"bayesian": logs.bayesian, "logit": logs.logit, "mixed": logs.mixed_precision}
WITH_SIGNALS, WITH_TRUTH = ["run", "order", "action", "signal"], ["run", "order", "action", "truth"]


# --- the statistics -------------------------------------------------------------------------------------------------


@st.composite
def small_logs(draw, n_runs=4):
    """A few runs of a few decisions: run, position, action, own, and counts of predecessors for two actions."""
    rows = []
    for run in range(n_runs):
        actions = draw(st.lists(st.integers(0, 1), min_size=2, max_size=4))
        for k, (counts, _, _) in enumerate(reference.history(actions, 2)):
            rows.append((run, k, actions[k], draw(st.integers(0, 1)), *counts))
    return np.array(rows).T


@settings(derandomize=True, deadline=None, max_examples=60)
@given(small_logs(6))
def test_difference_is_that_of_plain_loops_and_its_error_leaves_runs_out(columns):
    run, stratum, action, own = columns[:4]
    found = estimates.difference(action.astype(float), own.astype(float), stratum, run, 0.95)
    compared = [s for s in set(stratum) if np.ptp(own[stratum == s])]
    if not compared:
        assert (found.n_own, found.interval.low, found.interval.high) == (0, -1, 1)
        return
    gap = reference.stratified_difference(action, own, stratum)
    assert found.interval.estimate == pytest.approx(gap, abs=1e-12)
    assert found.interval.low <= gap + 1e-12
    assert found.interval.high >= gap - 1e-12
    kept = np.isin(stratum, compared)
    assert (found.n_own, found.n_other) == (own[kept].sum(), (1 - own[kept]).sum())


def test_difference_matches_the_published_interval():
    # Newcombe (1998), Statistics in Medicine 17, 873-890: 56 of 70 against 48 of 80, method 10: 0.0524 to 0.3339.
    outcome = np.repeat([1.0, 0, 1, 0], [56, 14, 48, 32])
    own = np.repeat([1.0, 0], [70, 80])
    found = estimates.difference(outcome, own, np.zeros(150, dtype=int), np.arange(150), 0.95).interval
    assert found.estimate == pytest.approx(0.2)
    # each decision is a run of its own, and the design effect of the jackknife is at most n / (n - 1) here
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=2e-3)


def test_rates_of_one_do_not_look_certain():
    found = estimates.difference(np.ones(60), np.repeat([1.0, 0], 30), np.zeros(60, dtype=int), np.arange(60), 0.95)
    assert found.interval.estimate == 0
    # by hand: the Wilson limit of 30 out of 30 is 30 / (30 + z^2)
    assert found.interval.high == pytest.approx(1 - 30 / (30 + 1.959964**2), abs=1e-6)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(small_logs())
def test_dependence_is_that_of_plain_loops(columns):
    run, stratum, action = columns[:3]
    later = stratum > 0
    run, stratum, action, counts = run[later], stratum[later], action[later], columns[4:][:, later]
    found = estimates.dependence(action, counts, stratum, run, 0.95)
    score, information = reference.centred_products(action, counts, stratum)
    if found is None:
        assert score == pytest.approx(0, abs=1e-9)
        return
    assert found.slope.estimate == pytest.approx(score / information, abs=1e-9)

    def ratio(mask):
        mask = np.array(mask)
        top, bottom = reference.centred_products(action[mask], counts[:, mask], stratum[mask])
        return top / bottom if bottom > 1e-12 else np.nan

    error = reference.left_out_error(ratio, run)
    if np.isfinite(error) and error > 1e-9:
        half = (found.slope.high - found.slope.low) / 2
        assert half / estimates.stdtrit(len(set(run)) - 1, 0.975) == pytest.approx(error, rel=1e-6)


def test_variance_of_the_score_is_that_of_all_permutations():
    rng = np.random.default_rng(4)
    for _ in range(10):
        stratum = np.repeat([1, 2], [4, 4])
        action = np.concatenate([rng.permutation([0, 0, 1, 1]), rng.permutation([0, 1, 1, 1])])
        ones = np.concatenate([rng.permutation([0, 1, 0, 1]), rng.integers(0, 3, 4)])
        if np.ptp(ones[4:]) == 0:
            continue
        counts = np.stack([stratum - ones, ones])
        scores = reference.permuted_scores(action, counts, stratum)
        assert scores.mean() == pytest.approx(0, abs=1e-12)
        found = estimates.dependence(action, counts, stratum, np.tile(np.arange(4), 2), 0.95)
        observed = reference.centred_products(action, counts, stratum)[0]
        assert found.p_value == pytest.approx(2 * estimates.ndtr(-abs(observed) / scores.std()), abs=1e-9)


def test_penalised_fit_maximises_the_penalised_likelihood():
    rng = np.random.default_rng(5)
    for _ in range(5):
        cells = np.column_stack([np.ones(8), rng.integers(-2, 3, 8), rng.normal(size=8)])
        size = rng.integers(1, 20, 8)
        wins = rng.binomial(size, 0.6)
        beta = estimates.firth(cells, wins, size)[0]
        worse = partial(lambda data, b: -reference.penalised_likelihood(b, *data), (cells, wins, size))
        other = minimize(worse, np.zeros(3), tol=1e-10)
        assert np.allclose(beta, other.x, atol=1e-4)


def test_penalised_fit_in_closed_form():
    # one intercept: half a win and half a loss are added (Firth 1993), also where every decision is the same
    for wins, size in ((3, 10), (10, 10), (0, 4)):
        beta = estimates.firth(np.ones((1, 1)), np.array([wins]), np.array([size]))[0]
        assert beta[0] == pytest.approx(np.log((wins + 0.5) / (size - wins + 0.5)), abs=1e-5)


def test_fieller_limits_are_the_ratios_not_rejected():
    pair, covariance = np.array([1.0, 2.0]), np.array([[0.04, 0.01], [0.01, 0.09]])
    found = estimates.fieller(pair, covariance, 1.96)
    for limit in (found.low, found.high):
        error = covariance[0, 0] - 2 * limit * covariance[0, 1] + limit**2 * covariance[1, 1]
        assert abs(pair[0] - limit * pair[1]) == pytest.approx(1.96 * np.sqrt(error))
    assert found.low < 0.5 < found.high
    unsure = estimates.fieller(np.array([1.0, 0.1]), covariance, 1.96)  # own weight may be zero: any ratio will do
    assert (unsure.low, unsure.high) == (-np.inf, np.inf)


def test_power_is_the_share_of_intervals_inside_the_margin():
    rng = np.random.default_rng(6)
    error, margin, z = 0.04, 0.1, 1.959964
    inside = np.abs(rng.normal(0, error, 100_000)) + z * error < margin
    found = estimates.equivalence_power(estimates.Interval(0.0, -z * error, z * error), margin, 0.95)
    assert found == pytest.approx(inside.mean(), abs=0.005)
    assert estimates.equivalence_power(estimates.Interval(0.0, -0.2, 0.2), margin, 0.95) == 0


# --- what can be known ----------------------------------------------------------------------------------------------


def test_urn_and_common_cause_have_the_same_law():
    for n in (1, 2, 5):
        law = {a: reference.urn_law(a) for a in itertools.product((0, 1), repeat=n)}
        assert sum(law.values()) == pytest.approx(1)
        for actions, probability in law.items():
            assert reference.common_cause_law(actions) == pytest.approx(probability, abs=1e-12)
    # the simulated logs follow that law, both
    for make in (logs.urn, logs.common_cause):
        actions = make(40_000, 3, rng=np.random.default_rng(7))["action"].to_numpy().reshape(-1, 3)
        shares = np.bincount(actions @ [4, 2, 1], minlength=8) / 40_000
        assert np.allclose(shares, [reference.urn_law(a) for a in itertools.product((0, 1), repeat=3)], atol=0.008)


def test_urn_and_common_cause_are_refused_alike_and_told_apart_by_signals():
    rng = np.random.default_rng(8)
    urn, cause = logs.urn(300, 10, rng=rng), logs.common_cause(300, 10, rng=rng)
    assert str(audit.report(urn)) == str(audit.report(cause))
    assert audit.report(urn).verdict == "not identified"
    assert audit.report(urn).dependence is None
    # counter-instance: signals are logged. Agents that follow them are not taken for agents that copy.
    alone, _ = logs.logit(300, 10, own=40.0, predecessor=0.0, rng=rng)
    assert audit.report(alone[WITH_SIGNALS]).verdict == "own information counts"


def test_urn_and_common_cause_are_not_told_apart_by_information_that_nobody_uses():
    rng = np.random.default_rng(25)
    for make in (logs.urn, logs.common_cause):
        verdicts = []
        for _ in range(20):
            log = make(300, 10, rng=rng)
            for extra in ({"signal": rng.integers(2, size=3_000)}, {"truth": np.repeat(rng.integers(2, size=300), 10)}):
                found = audit.report(log.assign(**extra))
                assert found.dependence.p_value < 1e-6
                verdicts.append(found.verdict)
        assert verdicts.count("cannot tell") >= 37  # 40 logs, each told apart by chance once in forty at most


def test_misleading_cases_look_like_herds_when_only_truth_is_logged():
    # nobody looks at anybody; each case has its own rate of right answers, some below one half
    rng = np.random.default_rng(24)
    truth, rate = rng.integers(2, size=400), rng.choice([0.95, 0.05], p=[0.75, 0.25], size=400)
    right = rng.random((400, 20)) < rate[:, None]
    actions = np.where(right, truth[:, None], 1 - truth[:, None])
    log = logs.table(actions, actions, truth)
    assert audit.report(log[WITH_TRUTH]).verdict == "herding or a shared cause"
    assert audit.report(log).verdict == "own information counts"


def test_independent_agents_agree_without_looking():
    q = 0.7
    assert q**2 + (1 - q) ** 2 == pytest.approx(0.58)  # P(a2 = 1 | a1 = 1) with an even prior
    log, _ = logs.logit(20_000, 2, own=40.0, predecessor=0.0, precision=q, rng=np.random.default_rng(9))
    first, second = log["action"].to_numpy().reshape(-1, 2).T
    assert second[first == 1].mean() == pytest.approx(0.58, abs=0.015)
    # the marginal dependence is strong, but nothing is left of it given own signals, or given truth
    for columns in (WITH_SIGNALS, WITH_TRUTH):
        found = audit.report(log[columns]).dependence
        assert found is None or found.p_value > 0.05
    table = read_log(log[["run", "order", "action"]])
    later = table.position > 0
    marginal = estimates.dependence(
        table.action[later], table.counts[:, later], np.zeros(later.sum(), dtype=int), table.run[later], 0.95
    )
    assert marginal.p_value < 1e-6


def test_the_case_follows_from_what_varies():
    log, _ = logs.bayesian(40, 8, rng=np.random.default_rng(10))
    cases = {
        "a": [log, log[WITH_SIGNALS]],
        "b": [log[WITH_TRUTH], log.assign(signal=0)],
        "c": [log[["run", "order", "action"]], log[WITH_TRUTH].assign(truth=1)],
    }
    for case, tables in cases.items():
        assert {audit.report(table).case for table in tables} == {case}
    assert [audit.report(cases[case][1]).identified for case in "abc"] == ["weights", "dependence", "nothing"]


def test_short_logs_cannot_tell():
    rng = np.random.default_rng(11)
    for n_runs, n_agents, word in (
        (10, 50, "too few"),
        (29, 50, "too few"),
        (40, 3, "too short"),
        (60, 1, "too short"),
    ):
        found = audit.report(logs.bayesian(n_runs, n_agents, rng=rng)[0])
        assert found.verdict == "cannot tell"
        assert word in found.reason


def test_indifference_is_not_herding():
    rng = np.random.default_rng(12)
    log, _ = logs.logit(4_000, 20, own=0.0, predecessor=0.0, rng=rng)
    found = audit.report(log)
    assert found.verdict == "cannot tell"
    assert "do not go with those before" in found.reason
    stubborn = audit.report(log.assign(action=1))
    assert stubborn.verdict == "cannot tell"
    assert stubborn.dependence is None


def any_log(rng):
    """A log of agents that follow some rule or other, with some noise; runs may differ in length."""
    n_runs, n_agents, n_actions = rng.integers(30, 90), rng.integers(1, 12), rng.choice([2, 2, 2, 4])
    truth = rng.integers(n_actions, size=n_runs)
    noise, rule = rng.choice([0, 0, 0.01, 0.5]), rng.integers(5)
    signals = np.where(rng.random((n_runs, n_agents)) < 0.6, truth[:, None], rng.integers(n_actions, size=(n_runs, 1)))
    actions = np.zeros((n_runs, n_agents), dtype=int)
    for k in range(n_agents):
        own, last = signals[:, k], actions[:, max(k - 1, 0)]
        followed = (own, last, truth, np.where(rng.random(n_runs) < 0.5, own, last), n_actions - 1 - own)[rule]
        astray = rng.random(n_runs) < noise
        actions[:, k] = np.where(astray, rng.integers(n_actions, size=n_runs), followed)
    log = logs.table(actions, signals, truth)
    length = rng.integers(1, n_agents + 1, size=n_runs) if rng.random() < 0.4 else np.full(n_runs, n_agents)
    return log[log["order"] < length[log["run"]]]


@pytest.mark.filterwarnings("error")
def test_every_log_gets_a_report():
    rng = np.random.default_rng(26)
    verdicts = set()
    for _ in range(150):
        log = any_log(rng)
        for columns in (WITH_SIGNALS, WITH_TRUTH, list(log)):
            found = audit.report(log[columns])
            verdicts.add(found.verdict)
            assert str(found)
            for effect in found.effects:
                assert -1 <= effect.interval.low <= effect.interval.estimate <= effect.interval.high <= 1
            if found.power is not None:
                assert 0 <= found.power <= 1
    assert len(verdicts) >= 3


# --- agents of known kind -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("columns", [WITH_SIGNALS, [*WITH_SIGNALS, "truth"]])
def test_herds_are_dated_within_two_agents(family, columns):
    log, onset = FAMILIES[family](200, 30, rng=np.random.default_rng(13))
    found = audit.report(log[columns])
    assert found.verdict == "herding"
    herds = onset >= 0
    assert herds.mean() > 0.9
    assert (np.abs(found.onset.agent - onset)[herds] <= 2).mean() >= 0.9
    assert (found.onset.earliest[herds] <= onset[herds]).mean() >= 0.9


def test_bayesian_agents_leave_an_exact_set_of_weights():
    # with ties to the signal a lead of 1 loses against the signal and a lead of 2 wins: ratios from 1/2 to 1
    log, _ = logs.bayesian(2_000, 12, rng=np.random.default_rng(14))
    weights = audit.report(log).weights
    assert weights.own is None
    assert np.isnan(weights.relative.estimate)
    assert (weights.relative.low, weights.relative.high) == pytest.approx((0.5, 1))
    assert "leave a set" in str(audit.report(log))
    # one slip makes the weights finite, and the set an interval
    slip = log.copy()
    slip.loc[11, "action"] = 1 - slip.loc[11, "action"]
    assert audit.report(slip).weights.own is not None


def test_weights_of_logit_agents_are_found():
    log, _ = logs.logit(3_000, 10, own=1.0, predecessor=0.5, rng=np.random.default_rng(15))
    weights = audit.report(log[WITH_SIGNALS]).weights
    for found, truth in ((weights.own, 1.0), (weights.predecessor, 0.5), (weights.relative, 0.5)):
        assert found.low < truth < found.high
        assert found.high - found.low < 0.25


def test_weights_do_not_mistake_rates_that_differ_by_position():
    rng = np.random.default_rng(16)
    log, _ = logs.logit(2_000, 10, predecessor=0.0, rng=rng)
    rate = 0.5 + 0.3 * np.sin(log["order"]) + 0.15 * (2 * log["signal"] - 1)
    found = audit.report(log.assign(action=(rng.random(len(log)) < rate).astype(int))[WITH_SIGNALS])
    assert found.weights.predecessor.low < 0 < found.weights.predecessor.high
    assert found.dependence.p_value > 0.05


def test_effects_of_logit_agents_are_the_closed_form():
    log, _ = logs.logit(5_000, 12, rng=np.random.default_rng(17))
    logistic = lambda t: 1 / (1 + np.exp(-t))  # noqa: E731
    inside = []
    for effect in audit.report(log[WITH_SIGNALS]).effects:
        public = 1.2 * min(effect.lead, 3)
        truth = logistic(public + 1) - logistic(public - 1)
        inside.append(effect.interval.low <= truth <= effect.interval.high)
    assert np.mean(inside) >= 0.85
    assert len(inside) == 17


def test_overruled_signals_bound_the_onset_of_single_runs():
    log, onset = logs.bayesian(20, 40, rng=np.random.default_rng(18))
    found = audit.report(log).onset  # 20 runs are too few to pool
    assert found.method == "overruled"
    assert (found.agent == -1).all()
    assert ((found.earliest <= onset) & (onset <= found.latest)).all()
    assert (found.latest > found.earliest).any()
    assert audit.report(log[WITH_TRUTH]).onset is None


def test_six_actions_have_effects_but_no_weights():
    society = SocialLearning(0.5 * np.eye(6) + 0.5 / 6, np.eye(6), np.full(6, 1 / 6))
    runs = simulate(society, 40, 400, keep=("actions", "observations"), rng=np.random.default_rng(19))
    run, order = np.indices(runs.actions.shape)
    log = pd.DataFrame({"run": run.ravel(), "order": order.ravel(), "action": runs.actions.ravel()})
    found = audit.report(log.assign(signal=runs.observations.ravel(), truth=np.repeat(runs.states, 40)))
    assert (found.verdict, found.identified, found.weights) == ("herding", "effects", None)
    herds = runs.cascade_start >= 0
    assert (np.abs(found.onset.agent - runs.cascade_start)[herds] <= 2).mean() >= 0.9


def test_cost_is_that_of_the_exact_law():
    log, _ = logs.bayesian(4_000, 15, rng=np.random.default_rng(20))
    cost = audit.report(log).cost
    law = exact_law(SocialLearning([[0.7, 0.3], [0.3, 0.7]], np.eye(2), [0.5, 0.5]), 15)
    majority = []
    for n in range(1, 16):  # P(majority of n signals is right), half of the ties
        k = np.arange(n + 1)
        p = np.array([0.7**j * 0.3 ** (n - j) * float(len(list(itertools.combinations(range(n), j)))) for j in k])
        majority.append(p[2 * k > n].sum() + p[2 * k == n].sum() / 2)
    values = {"accuracy": law.correct_action_probability.mean(), "alone": 0.7, "pooled": np.mean(majority)}
    values["lost"] = values["pooled"] - values["accuracy"]
    for name, value in values.items():
        found = getattr(cost, name)
        assert found.low - 0.002 < value < found.high + 0.002, name
        assert found.high - found.low < 0.05
    assert audit.report(log[WITH_SIGNALS]).cost is None
    assert audit.report(log[WITH_TRUTH]).cost.lost is None


def test_mixed_precision_with_one_kind_is_the_bayesian_line():
    log, onset = logs.mixed_precision(4_000, 20, precisions=(0.7,), rng=np.random.default_rng(21))
    law = exact_law(SocialLearning([[0.7, 0.3], [0.3, 0.7]], np.eye(2), [0.5, 0.5]), 20)
    right = (log["action"] == log["truth"]).to_numpy().reshape(-1, 20).mean(axis=0)
    assert np.allclose(right, law.correct_action_probability, atol=0.025)
    assert np.where(onset < 0, 20, onset).mean() == pytest.approx(law.expected_onset, abs=0.12)


def test_simulated_logs_refuse_bad_arguments():
    rng = np.random.default_rng(0)
    for make, wrong in (
        (logs.bayesian, {"precision": 0.4}),
        (logs.logit, {"precision": 1.2}),
        (logs.logit, {"reach": 0}),
        (logs.logit, {"margin": -0.1}),
        (logs.mixed_precision, {"precisions": (0.7, 1.0)}),
        (logs.mixed_precision, {"precisions": ()}),
    ):
        with pytest.raises(ValueError, match="must be"):
            make(5, 5, **wrong, rng=rng)
    for make in (*FAMILIES.values(), logs.urn, logs.common_cause):
        with pytest.raises(ValueError, match="`n_runs` must be"):
            make(0, 5, rng=rng)
        with pytest.raises(TypeError, match="`rng` must be a numpy Generator"):
            make(2, 2, rng=7)


# --- the page and the studies ---------------------------------------------------------------------------------------


def test_page_says_what_was_found():
    log, _ = logs.bayesian(200, 30, rng=np.random.default_rng(22))
    page = str(audit.report(log))
    for words in ("200 runs", "case (a)", "VERDICT: herding", "one predecessor counts", "power", "lost by herding"):
        assert words in page
    assert len(page.splitlines()) < 40
    assert "cannot say which" in str(audit.report(log[WITH_TRUTH]))


def test_audit_loads_nothing_heavy():
    assert loaded_by("import llma_tutorial.many_agents.audit") == set()


def test_saved_coverage_and_dating_hold_what_the_chapter_claims():
    for cell in load("audit-families")["cells"]:
        for name, share in cell["result"]["coverage"].items():
            assert share >= 0.93, (cell["arguments"], name)
        assert cell["result"]["dated_within_two"] >= 0.9, cell["arguments"]


def test_saved_sizes_hold_what_the_chapter_claims():
    for cell in load("audit-size")["cells"]:
        arguments, result = cell["arguments"], cell["result"]
        most = 0.05 + 2 * np.sqrt(0.05 * 0.95 / arguments["n_logs"])
        if arguments["agents"] == "independent":
            assert result["dependence"] <= most, arguments
            assert result["weight"] is None or result["weight"] <= most, arguments
            assert result["herding"] <= most
        if arguments["agents"] == "at the margin":
            assert result["herding"] <= most, arguments


@pytest.mark.parametrize(("name", "number"), [("audit-families", 3), ("audit-size", -5)])
def test_saved_studies_can_be_computed_again(name, number):
    study = load_study(ROOT / "book/_results" / f"{name}.py")
    cell = load(name)["cells"][number]
    assert cell["arguments"] == study.cells()[number]
    again = json.loads(json.dumps(study.compute(**cell["arguments"])))
    assert leaves(again) == pytest.approx(leaves(cell["result"]), abs=1e-6)


def leaves(value, path=()):
    """Every number of a nested result by its path; None has a path of its own, so that it equals itself only."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {key: number for name, inner in items for key, number in leaves(inner, (*path, name)).items()}
    return {(*path, "None"): 0.0} if value is None else {path: value}


def test_leaves_tell_results_apart():
    saved = {"a": {"b": [0.5, None]}, "c": 1}
    assert leaves(saved) == {("a", "b", 0): 0.5, ("a", "b", 1, "None"): 0.0, ("c",): 1}
    for changed in ({"a": {"b": [0.6, None]}, "c": 1}, {"a": {"b": [0.5, 0.0]}, "c": 1}, {"a": {"b": [0.5, None]}}):
        assert leaves(changed) != pytest.approx(leaves(saved), abs=1e-6)


def test_command_line(tmp_path, capsys, monkeypatch):
    from llma_tutorial.__main__ import main

    monkeypatch.setattr(sys, "argv", ["llma_tutorial"])
    log, _ = logs.bayesian(60, 12, rng=np.random.default_rng(23))
    path, page = tmp_path / "<script>alert(1)<&.csv", tmp_path / "page.html"
    log.to_csv(path, index=False)
    assert main(["audit", str(path), "--html", str(page)]) == 0
    assert capsys.readouterr().out.strip() == str(audit.report(log))
    text = page.read_text()
    assert "<script" not in text
    assert "Audit of &lt;script&gt;alert(1)&lt;&amp;.csv" in text
    assert text.count("src=") == text.count('src="data:image/png;base64,') == 1
    assert "http" not in text.split("base64,")[0]
    assert "href" not in text
    # without effects there is no figure, and a malformed log is refused without a traceback
    log[["run", "order", "action"]].to_csv(path, index=False)
    assert main(["audit", str(path), "--html", str(page)]) == 0
    assert "<img" not in page.read_text()
    path.write_text("run,order,action\n1,0,buy\n")
    capsys.readouterr()
    assert main(["audit", str(path)]) == 1
    assert "'buy', a word, in row 1" in capsys.readouterr().err
    assert main(["audit", str(tmp_path / "none.csv")]) == 1
    with pytest.raises(SystemExit):
        main([])
