"""Lines of readers and networks that control them: exact costs and slopes, causality, refusals."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from control.reference_policies import exact_cost
from reading import corpora_files as files
from results import load_study
from test_package import ROOT

from llma_tutorial import results
from llma_tutorial.control import reinforce as reinforcing
from llma_tutorial.control.policies import (
    NetworkPolicy,
    TextLine,
    ThresholdPolicy,
    network,
    optimality_gap,
    reinforce,
)
from llma_tutorial.control.stopping import evaluate, solve
from llma_tutorial.reading import corpora
from llma_tutorial.reading.agents import Sensor
from llma_tutorial.reading.corpora import world
from llma_tutorial.reading.models import classroom

POOLS = ([0, 0, 0, 1, 2], [1, 1, 2, 2, 2])
COST = [[0, 1], [2, 0]]
TINY = TextLine(POOLS, [0, 0, 1], COST, 0.8, delay_cost=[0.1, 0.2], prior=[0.6, 0.4], horizon=3)
LONGER = TextLine(([0, 0, 0, 1, 2], [0, 1, 1, 2, 2]), [0, 0, 1], COST, 0.8, horizon=15)
ARCHITECTURES = ("linear", "mlp", "gru", "transformer")


def small(architecture, line=TINY, seed=0):
    """A network in double precision, so that finite differences have digits."""
    return network(architecture, line, width=4, rng=np.random.default_rng(seed)).double()


# --- the line ---------------------------------------------------------------------------------------------------------


def test_problem_of_a_line_adds_up():
    problem = TINY.problem
    assert problem.observation_matrix == pytest.approx(np.array([[0.6, 0.2, 0.2], [0, 0.4, 0.6]]))
    # state 0: wrong when the agent reads a 2; state 1: wrong (at 2) when it reads 0 or 1; plus delay
    assert problem.continue_cost == pytest.approx([0.2 + 0.1, 2 * 0.4 + 0.2])
    assert problem.stop_cost == pytest.approx(np.array(COST) * 5)
    seen = TextLine(POOLS, [0, 0, 1], COST, 0.8, sees="actions").problem.observation_matrix
    assert seen == pytest.approx(np.array([[0.8, 0.2], [0.4, 0.6]]))


@pytest.mark.parametrize("sees", ["readings", "actions"])
def test_simulated_line_meets_the_exact_cost(sees):
    line = TextLine(POOLS, [0, 0, 1], COST, 0.8, prior=[0.6, 0.4], horizon=8, sees=sees)
    for policy in (ThresholdPolicy(0.7), ThresholdPolicy(1.2, end=-1)):
        exact = evaluate(line.problem, policy, line.prior, horizon=8)
        runs = line.simulate(line.with_beliefs(policy), 20_000, rng=np.random.default_rng(1))
        low, high = runs.interval(0.9999)
        assert low < exact.upper
        assert exact.lower < high
        assert runs.stop_times.mean() == pytest.approx(exact.mean_stop_time, abs=0.1)


def test_beliefs_are_those_of_bayes():
    seen = np.array([[1, 0, 2], [2, 2, 1]])
    beliefs = TINY.beliefs(seen)
    assert beliefs[0, 1] == pytest.approx(np.array([0.6 * 0.2, 0.4 * 0.4]) / 0.28)
    assert beliefs[0, 2] == pytest.approx([1, 0])  # a 0 is never read in state 1
    assert beliefs[1, 3] == pytest.approx(np.array([0.6 * 0.2**3, 0.4 * 0.36 * 0.4]) / (0.6 * 0.008 + 0.4 * 0.144))


def test_a_platform_sees_no_state():
    """What is seen is a function of the readings: actions are those of the symbols, and nothing else comes along."""
    for sees, read in (("readings", np.arange(3)), ("actions", np.array([0, 0, 1]))):
        line = TextLine(POOLS, [0, 0, 1], COST, 0.8, horizon=5, sees=sees)
        other = TextLine(POOLS, [0, 0, 1], COST, 0.8, horizon=5)
        one, two = (task.draw(50, rng=np.random.default_rng(2)) for task in (line, other))
        assert (one.seen == read[two.seen]).all()


# --- gradients --------------------------------------------------------------------------------------------------------


def exact_slope(net):
    """Gradient of the exact cost, by automatic differentiation."""
    net.zero_grad()
    exact_cost(TINY, net).backward()
    return torch.cat([p.grad.reshape(-1).clone() for p in net.parameters()]).numpy()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_slope_of_the_exact_cost_is_its_finite_difference(architecture):
    net = small(architecture)
    slope, step = exact_slope(net), 1e-5
    flat = torch.nn.utils.parameters_to_vector(net.parameters()).detach()
    for place in np.random.default_rng(3).choice(len(flat), min(12, len(flat)), replace=False):
        ends = []
        for sign in (1, -1):
            moved = flat.clone()
            moved[place] += sign * step
            torch.nn.utils.vector_to_parameters(moved, net.parameters())
            ends.append(float(exact_cost(TINY, net).detach()))
        torch.nn.utils.vector_to_parameters(flat, net.parameters())
        assert slope[place] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-8)


@pytest.mark.parametrize("baseline", ["mean", "none"])
@pytest.mark.parametrize("architecture", ["linear", "gru"])
def test_reinforce_estimates_average_to_the_exact_slope(architecture, baseline):
    net, rng, n = small(architecture), np.random.default_rng(4), 300
    exact, found = exact_slope(net), []
    for _ in range(n):
        net.zero_grad()
        reinforcing.surrogate(TINY, net, TINY.draw(64, rng=rng), baseline, rng)[0].backward()
        found.append(torch.cat([p.grad.reshape(-1).clone() for p in net.parameters()]).numpy())
    error = np.std(found, axis=0) / np.sqrt(n)
    assert (np.abs(np.mean(found, axis=0) - exact) < 4.5 * error + 1e-12).all()
    assert np.linalg.norm(exact) > 5 * np.linalg.norm(error) / np.sqrt(len(error))


def test_the_check_sees_a_wrong_estimate():
    """Planted fault: rewards to go without the cost of stopping miss the exact slope."""
    net, rng, n = small("linear"), np.random.default_rng(5), 300
    exact, found = exact_slope(net), []
    for _ in range(n):
        episodes = TINY.draw(64, rng=rng)
        episodes.stop_costs[:] = 0
        net.zero_grad()
        reinforcing.surrogate(TINY, net, episodes, "none", rng)[0].backward()
        found.append(torch.cat([p.grad.reshape(-1).clone() for p in net.parameters()]).numpy())
    error = np.std(found, axis=0) / np.sqrt(n)
    assert (np.abs(np.mean(found, axis=0) - exact) > 4.5 * error).any()


def test_the_baseline_cuts_the_noise():
    spread = {}
    for baseline in ("mean", "none"):
        net, rng, found = small("linear"), np.random.default_rng(6), []
        for _ in range(100):
            net.zero_grad()
            reinforcing.surrogate(TINY, net, TINY.draw(64, rng=rng), baseline, rng)[0].backward()
            found.append(torch.cat([p.grad.reshape(-1).clone() for p in net.parameters()]).numpy())
        spread[baseline] = np.var(found, axis=0).sum()
    assert spread["mean"] < 0.75 * spread["none"]


# --- networks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_networks_do_not_look_ahead(architecture):
    net = small(architecture)
    histories = torch.tensor(list(itertools.product(range(3), repeat=3)))
    scores = net(histories)
    assert scores.shape == (27, 4, 3)
    for t in range(4):
        same = (histories[:, None, :t] == histories[None, :, :t]).all(dim=2)
        apart = (scores[:, None, t] - scores[None, :, t]).abs().amax(dim=2)
        assert apart[same].max() < 1e-12


def test_counting_networks_ignore_the_order_and_reading_ones_do_not():
    histories = torch.tensor([[0, 1, 2], [2, 1, 0]])
    for architecture in ARCHITECTURES:
        last = small(architecture)(histories)[:, -1]
        assert torch.allclose(last[0], last[1]) == (architecture in ("linear", "mlp"))


def test_a_linear_network_can_be_the_optimum():
    """Two states: the log-odds are linear in the counts, so scores 0 and +-k (L - edge) stop where the optimum does."""
    line = TextLine(([0, 0, 0, 1, 2], [0, 1, 1, 2, 2]), [0, 0, 1], COST, 0.9, horizon=20)
    solution = solve(line.problem)
    low, high = np.log(solution.thresholds / (1 - solution.thresholds))
    ratio = np.log(line.problem.observation_matrix[1] / line.problem.observation_matrix[0])
    net = network("linear", line, rng=np.random.default_rng(0)).double()
    with torch.no_grad():
        net.last.weight[:] = torch.as_tensor(np.stack([0 * ratio, -ratio, ratio]))
        net.last.bias[:] = torch.as_tensor([0.0, low, -high])
    policy = reinforcing.NetworkPolicy(net, line.horizon)
    gap = optimality_gap(line, policy, n_runs=4000, rng=np.random.default_rng(7))
    assert gap.high < 0.01 * gap.optimum[1]


def test_training_reaches_the_optimum_nearly():
    rng = np.random.default_rng(8)
    trained = reinforce(LONGER, network("linear", LONGER, rng=rng), learning_rate=0.3, n_iterations=120, rng=rng)
    share, low, high = optimality_gap(LONGER, trained.policy, n_runs=5000, rng=rng).relative
    assert low <= share <= high < 0.05
    assert trained.n_episodes == 120 * 256
    assert trained.costs[-20:].mean() < 0.7 * trained.costs[:5].mean()


def test_training_is_repeatable_and_leaves_everything_else_alone():
    net = network("gru", TINY, width=4, rng=np.random.default_rng(9))
    before = torch.nn.utils.parameters_to_vector(net.parameters()).clone()
    outside = torch.random.get_rng_state()
    one, two = (reinforce(TINY, net, n_iterations=3, rng=np.random.default_rng(1)) for _ in range(2))
    assert (torch.random.get_rng_state() == outside).all()
    assert (torch.nn.utils.parameters_to_vector(net.parameters()) == before).all()
    assert (one.costs == two.costs).all()
    seen = TINY.draw(20, rng=np.random.default_rng(2)).seen
    assert (one.policy.scores(seen) == two.policy.scores(seen)).all()


def test_gap_of_a_line_in_closed_form():
    """Hiding at once costs 5 in state 0, whose probability is 0.6; the optimum is certified."""
    gap = optimality_gap(
        TINY, lambda seen: np.full((len(seen), 4), 2), n_runs=5000, level=0.9999, rng=np.random.default_rng(10)
    )
    lower, upper = solve(TINY.problem).value(TINY.prior)
    assert gap.low < 3.0 - upper
    assert 3.0 - lower < gap.high
    assert gap.optimum == pytest.approx((lower, upper))
    best = LONGER.with_beliefs(solve(LONGER.problem).policy)
    assert optimality_gap(LONGER, best, n_runs=2000, rng=np.random.default_rng(11)).estimate < 1e-3


REFUSALS = [
    (lambda: TextLine([[0], []], [0, 1], COST, 0.9), "none empty"),
    (lambda: TextLine([[0], [2]], [0, 1], COST, 0.9), "`readings` must be from 0 to 1. Got 2"),
    (lambda: TextLine(POOLS, [0, 0, 2], COST, 0.9), "`own_actions` must be from 0 to 1"),
    (lambda: TextLine(POOLS, [0, 0, 1], COST, 1.0), "`discount` must be above 0 and below 1"),
    (lambda: TextLine(POOLS, [0, 0, 1], COST, 0.9, sees="texts"), '`sees` must be one of "readings", "actions"'),
    (lambda: TINY.simulate(lambda s: s, 5, rng=np.random.default_rng(0)), "whole numbers of shape"),
    (lambda: TINY.simulate(lambda s: np.zeros((5, 4), int), 5, rng=np.random.default_rng(0)), "stop at the horizon"),
    (lambda: TINY.simulate(lambda s: np.full((5, 4), 3), 5, rng=np.random.default_rng(0)), "from 1 to 2. Got 3"),
    (lambda: network("lstm", TINY, rng=np.random.default_rng(0)), "`architecture` must be one of"),
    (lambda: network("transformer", TINY, width=3, rng=np.random.default_rng(0)), "`width` must be even"),
    (lambda: reinforce(TINY, torch.nn.Embedding(3, 2), rng=np.random.default_rng(0)), "`network` must score"),
    (lambda: reinforce(TINY, small("gru"), baseline="best", rng=np.random.default_rng(0)), "`baseline` must be one of"),
    (lambda: TextLine(POOLS, [[0, 0, 1]], COST, 0.9), r"one action for each symbol. Got shape \(1, 3\)"),
    (lambda: TINY.beliefs([0, 1]), r"`seen` must have shape \(n, t\). Got \(2,\)"),
    (lambda: TINY.with_beliefs(ThresholdPolicy(0.7, softness=1.0))(np.array([[0, 1, 0]])), "must be deterministic"),
    (lambda: TINY.with_beliefs(ThresholdPolicy([[0.7], [0.8]]))(np.array([[0, 1, 0]])), "stay a family of 1"),
    (lambda: NetworkPolicy(small("linear"), 3)(np.zeros((2, 4), np.int64)), "`seen` must have shape .* t at most 3"),
    (
        lambda: network("transformer", replace(TINY, horizon=256), rng=np.random.default_rng(0)),
        "a horizon of at most 255 for a transformer. Got 256",
    ),
    (
        lambda: optimality_gap(TINY, lambda seen: 0 * seen, horizon="nonsense", rng=np.random.default_rng(0)),
        "`horizon` must be left out for a line, which has its own. Got 'nonsense'",
    ),
    (
        lambda: optimality_gap(TINY, lambda seen: 0 * seen, [0.5, 0.5], rng=np.random.default_rng(0)),
        "`belief` must be left out for a line, which has its own",
    ),
]


@pytest.mark.parametrize(("act", "message"), REFUSALS)
def test_refusals_say_why(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_scores_that_are_not_finite_are_refused():
    net = small("linear")
    with torch.no_grad():
        net.last.bias[0] = torch.nan
    with pytest.raises(ValueError, match="finite scores"):
        reinforce(TINY, net, rng=np.random.default_rng(0))


# --- readings and the study -------------------------------------------------------------------------------------------


def test_civil_comments_make_a_line():
    """The reader's own copy: pools of readings of both states, an environment, a trained network, a gap."""
    frame = corpora.civil_comments(files.sample("civil_comments/jigsaw_kaggle/train.csv")).frame
    sensor = Sensor(classroom("reader"), world("comments").prompts[:2])
    pools = [sensor.read(frame.loc[frame["state"] == state, "text"].tolist()).symbols for state in (0, 1)]
    line = TextLine(pools, [0, 0, 1, 1], COST, 0.8, horizon=5)
    rng = np.random.default_rng(12)
    trained = reinforce(line, network("gru", line, width=4, rng=rng), n_iterations=3, rng=rng)
    gap = optimality_gap(line, trained.policy, n_runs=200, rng=rng)
    assert 0 <= gap.low <= gap.estimate <= gap.high


def test_a_saved_cell_can_be_repeated():
    study = load_study(ROOT / "book/_results/neural-policies.py")
    wanted = {"architecture": "linear", "batch_size": 32}
    cell = next(c for c in results.load("neural-policies")["cells"] if wanted.items() <= c["arguments"].items())
    again = study.compute(**cell["arguments"])
    assert np.array(again["gaps"]) == pytest.approx(np.array(cell["result"]["gaps"]), abs=0.02)  # single precision
    assert again["optimum"] == pytest.approx(cell["result"]["optimum"])


def test_saved_gaps_hold_a_network_within_five_percent():
    cells = results.load("neural-policies")["cells"][:4]
    assert {cell["arguments"]["architecture"] for cell in cells} == set(ARCHITECTURES)
    assert all(len(cell["result"]["gaps"]) == 6 for cell in cells)
    assert min(np.median(np.array(cell["result"]["gaps"])[:, 0]) for cell in cells) < 0.05
