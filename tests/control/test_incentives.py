"""Incentives: closed forms, the submartingale and its counter-instances, contracts, the payer's problem."""

from dataclasses import replace

import numpy as np
import pytest
from control.problems import SYMMETRIC
from hypothesis import given, settings
from hypothesis import strategies as st

from llma_tutorial.control.incentives import (
    PayerProblem,
    budget,
    contract,
    expected_next_incentive,
    payer_problem,
    revealing_incentive,
    simulate_offers,
)
from llma_tutorial.control.stopping import evaluate, quickest_herding, simulate, solve, solve_from, wald

IDENTITY = [[1, 0], [0, 1]]
GRID = np.linspace(0, 1, 201)
LINE = np.stack([1 - GRID, GRID], axis=1)


def incentive_by_loops(belief, matrix, utility):
    """max over y, b of the expected gain of b over action y at the posterior, by loops."""
    best = 0.0
    for y in range(len(matrix[0])):
        joint = [belief[x] * matrix[x][y] for x in range(len(belief))]
        if sum(joint) > 0:
            for b in range(len(utility[0])):
                gain = sum(j * (utility[x][b] - utility[x][y]) for x, j in enumerate(joint)) / sum(joint)
                best = max(best, gain)
    return best


@pytest.mark.parametrize("precision", [0.6, 0.7, 0.8])
def test_closed_form_for_two_symmetric_states(precision):
    """Theory sheet: p = (pi - q) / (q + pi - 2 q pi) for pi > q; zero where agents reveal for nothing."""
    matrix = [[precision, 1 - precision], [1 - precision, precision]]
    payment = revealing_incentive(LINE, matrix, IDENTITY)
    high = precision < GRID
    expected = (GRID - precision) / (precision + GRID - 2 * precision * GRID)
    assert payment[high] == pytest.approx(expected[high])
    assert payment[(1 - precision <= GRID) & (precision >= GRID)] == pytest.approx(0, abs=1e-12)
    assert payment == pytest.approx(payment[::-1])


@st.composite
def pairs(draw):
    """Two states, symbols, actions; action y best in state y, symbol y likelier in state y."""
    first, second = draw(st.integers(11, 19)) / 20, draw(st.integers(11, 19)) / 20
    low = [[draw(st.integers(-4, 4)) / 2 for _ in range(2)] for _ in range(2)]
    gains = [draw(st.integers(1, 6)) / 2 for _ in range(2)]
    utility = [[low[0][0] + gains[0], low[0][0]], [low[1][0], low[1][0] + gains[1]]]
    return [[first, 1 - first], [1 - second, second]], utility


@settings(derandomize=True, deadline=None, max_examples=80)
@given(pair=pairs())
def test_incentive_is_convex_and_equals_the_loops(pair):
    payment = revealing_incentive(LINE, *pair)
    assert (payment[2:] + payment[:-2] >= 2 * payment[1:-1] - 1e-12).all()
    assert payment[::20] == pytest.approx([incentive_by_loops(b, *pair) for b in LINE[::20].tolist()])


@settings(derandomize=True, deadline=None, max_examples=80)
@given(pair=pairs())
def test_incentive_is_a_submartingale(pair):
    """Fixed state, two of everything, action y best in state y: a herd gets dearer to prevent."""
    assert (expected_next_incentive(LINE, *pair) >= revealing_incentive(LINE, *pair) - 1e-12).all()


def test_convexity_fails_when_one_action_is_always_best():
    """Counter-instance of the theory sheet: u = ((0, 2), (0, 1)); the drift is downwards too."""
    pair = SYMMETRIC, [[0, 2], [0, 1]]
    assert revealing_incentive([0.5, 0.5], *pair) == pytest.approx(1.7)
    assert expected_next_incentive([0.5, 0.5], *pair) == pytest.approx(1.6724, abs=5e-5)
    payment = revealing_incentive(LINE, *pair)
    assert (payment[2:] + payment[:-2] < 2 * payment[1:-1] - 1e-9).any()


def test_submartingale_fails_for_a_changing_state():
    """Counter-instance of the theory sheet: P mixing (.9, .1), at .98."""
    arguments = [0.02, 0.98], SYMMETRIC, IDENTITY, None, [[0.9, 0.1], [0.1, 0.9]]
    assert revealing_incentive(*arguments) == pytest.approx(0.531, abs=5e-4)
    assert expected_next_incentive(*arguments) == pytest.approx(0.299, abs=5e-4)


def test_submartingale_fails_for_three_states():
    """Counter-instance of the theory sheet: an asymmetric B with three states."""
    matrix = [[0.734, 0.234, 0.032], [0.007, 0.989, 0.004], [0.311, 0.015, 0.674]]
    arguments = [0.041, 0.537, 0.422], matrix, np.diag([0.573, 0.376, 0.892])
    assert expected_next_incentive(*arguments) < revealing_incentive(*arguments) - 0.1


@settings(derandomize=True, deadline=None, max_examples=60)
@given(pair=pairs(), share=st.integers(1, 39))
def test_a_contract_reveals_and_a_little_less_does_not(pair, share):
    belief = [1 - share / 40, share / 40]
    offer = contract(belief, *pair)
    assert offer.reveals
    assert offer.payment == pytest.approx(incentive_by_loops(belief, *pair))
    if offer.payment > 1e-6:
        assert 0 < offer.contrarian_probability < 1
        less = simulate_offers(
            *pair, lambda b: np.full(len(b), offer.payment * 0.999), 1, 50, belief, rng=np.random.default_rng(1)
        )
        enough = simulate_offers(
            *pair, lambda b: np.full(len(b), offer.payment), 1, 50, belief, rng=np.random.default_rng(1)
        )
        assert not less.revealed.any()
        assert enough.revealed.all()
        assert (less.payments == 0).all()


def test_one_payment_may_tempt_agents_who_agree_with_the_herd():
    """Counter-instance with three actions: the contract pays an action that nobody's observation calls for."""
    matrix = [[0.85, 0.1, 0.05], [0, 0.3, 0.7], [0.45, 0.35, 0.2]]
    utility = [[0.3, 0.5, 1], [1, 0.7, 0.5], [0.3, 0.2, 1]]
    assert not contract([0.11, 0.08, 0.81], matrix, utility).reveals


def test_expected_payment_is_what_the_market_pays():
    belief = [0.1, 0.9]
    offer = contract(belief, SYMMETRIC, IDENTITY)
    # p(.9) P(y = 0) = .2/.34 * .34 = pi - q, the closed form of the chapter
    assert offer.expected_payment == pytest.approx(0.2)
    market = simulate_offers(
        SYMMETRIC,
        IDENTITY,
        lambda b: revealing_incentive(b, SYMMETRIC, IDENTITY),
        1,
        40_000,
        belief,
        rng=np.random.default_rng(3),
    )
    assert market.payments.mean() == pytest.approx(0.2, abs=0.01)


def test_paid_agents_move_the_belief_as_a_martingale_and_the_payment_up():
    offer = lambda b: revealing_incentive(b, SYMMETRIC, IDENTITY)  # noqa: E731
    market = simulate_offers(SYMMETRIC, IDENTITY, offer, 12, 40_000, [0.3, 0.7], rng=np.random.default_rng(4))
    assert market.revealed.all()
    assert (market.actions < 2).all()
    mean = market.public_beliefs[:, :, 1].mean(axis=0)
    assert mean == pytest.approx(0.7, abs=0.01)
    offered = np.stack([offer(b) for b in market.public_beliefs.swapaxes(0, 1)]).mean(axis=1)
    assert (np.diff(offered) > -1e-3).all()
    assert offered[-1] > offered[0] + 0.1


def test_unpaid_agents_herd_as_in_social_learning():
    """No offer, ties to own signal: correct cascades with probability q^2 / (q^2 + (1-q)^2) = .844828 at q = .7."""
    market = simulate_offers(SYMMETRIC, IDENTITY, lambda b: np.zeros(len(b)), 40, 20_000, rng=np.random.default_rng(5))
    assert (market.actions[:, -1] == market.states).mean() == pytest.approx(0.844828, abs=0.01)
    assert (market.payments == 0).all()
    assert not market.revealed[:, -1].any()


@settings(derandomize=True, deadline=None, max_examples=40)
@given(pair=pairs())
def test_free_information_is_taken(pair):
    """Where the incentive is zero, continuing once and then stopping costs no more than stopping at once."""
    problem = payer_problem(*pair, discount=0.9, price=5.0)
    free = LINE[revealing_incentive(LINE, *pair) <= 1e-12]
    probability, following = problem.successors(free)
    later = (probability * problem.stopping_cost(following)).sum(axis=1)
    assert (problem.running_cost(free) + 0.9 * later <= problem.stopping_cost(free) + 1e-9).all()


def test_dear_information_is_not():
    """Counter-instance: in a cascade the same comparison goes the other way when money is dear."""
    problem = payer_problem(SYMMETRIC, IDENTITY, 0.9, price=5.0)
    cascade = np.array([[0.1, 0.9]])
    probability, following = problem.successors(cascade)
    later = (probability * problem.stopping_cost(following)).sum(axis=1)
    assert problem.running_cost(cascade) + 0.9 * later > problem.stopping_cost(cascade)


def test_payer_problem_at_no_price_is_quickest_herding():
    """Free payments leave the linear problem of the central controller, solved by the other solver."""
    payer = payer_problem(SYMMETRIC, IDENTITY, 0.9, price=0.0)
    central = quickest_herding(SYMMETRIC, [[0, 1], [1, 0]], [0, 0], 0.9)
    local = solve_from(payer)
    lower, upper = solve(central).value([0.5, 0.5])
    assert local.upper >= lower - 1e-9
    assert local.lower <= upper + 1e-9


def test_payer_leaves_a_cascade_alone_when_payments_are_dear():
    """Then the free line of agents is what remains: accuracy .844828 and onset 3.448276 at q = .7, in closed form."""
    problem = payer_problem(SYMMETRIC, IDENTITY, 0.95, price=50)
    bought = budget(problem, solve_from(problem).policy)
    assert bought.payments == pytest.approx(0, abs=1e-12)
    assert bought.accuracy == pytest.approx(0.844828, abs=1e-6)
    assert bought.mean_stop_time == pytest.approx(3.448276, abs=1e-6)


def test_cheaper_payments_buy_accuracy():
    """Along the frontier the budget and the accuracy rise together as the price falls, and no policy costs less."""
    frontier = []
    for price in (50, 5, 0.5, 0.05):
        problem = payer_problem(SYMMETRIC, IDENTITY, 0.95, price=price)
        best = solve_from(problem)
        bought = budget(problem, best.policy)
        frontier.append((bought.payments, bought.accuracy))
        assert bought.losses + price * bought.payments == pytest.approx(best.upper, abs=1e-5)
        thresholds = np.linspace(0.55, 0.99, 23)
        swept = budget(problem, lambda b, t=thresholds: np.abs(b[:, 1] - 0.5) > t[:, None] - 0.5)
        assert (swept.losses + price * swept.payments >= best.lower - 1e-9).all()
    payments, accuracy = np.array(frontier).T
    assert (np.diff(payments) >= -1e-9).all()
    assert (np.diff(accuracy) >= -1e-9).all()
    assert accuracy[-1] > accuracy[0] + 0.05


def test_realised_and_expected_payments_agree():
    problem = payer_problem(SYMMETRIC, IDENTITY, 0.9, price=2.0)
    policy = lambda b: np.abs(b[:, 1] - 0.5) > 0.45  # noqa: E731
    runs = simulate(problem, policy, 40_000, rng=np.random.default_rng(6))
    low, high = runs.interval(0.999)
    assert low < evaluate(problem, policy).lower < high


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: revealing_incentive([0.5, 0.6], SYMMETRIC, IDENTITY), "`belief` must sum to 1"),
        (lambda: revealing_incentive([0.5, 0.5], SYMMETRIC, IDENTITY, [0, 0]), "a different action for each of 2"),
        (lambda: revealing_incentive([0.5, 0.5], SYMMETRIC, [[1], [0]]), "`revealing_action` must be from 0 to 0"),
        (lambda: payer_problem(SYMMETRIC, IDENTITY, 1.0), "`discount` must be below 1"),
        (lambda: payer_problem(SYMMETRIC, IDENTITY, 0.9, price=-1.0), "`price` must be a number from 0"),
        (lambda: PayerProblem(SYMMETRIC, [1, 1], [1, 2], 0.9), "`agents` must be given, as by payer_problem"),
        (
            lambda: replace(payer_problem(SYMMETRIC, IDENTITY, 0.9), transition_matrix=SYMMETRIC),
            "`transition_matrix` must be that of `agents`",
        ),
        (lambda: replace(payer_problem(SYMMETRIC, IDENTITY, 0.9), price="dear"), "`price` must be a number from 0"),
        (lambda: budget(wald(SYMMETRIC, IDENTITY, 0.9), lambda b: b[:, 1] > 0.5), "Got a StoppingProblem"),
        (
            lambda: budget(payer_problem(SYMMETRIC, IDENTITY, 0.9), lambda b: b[:, 1] > 0.5, horizon="nonsense"),
            "`horizon` must be a whole number at least 0",
        ),
        (
            lambda: simulate_offers(SYMMETRIC, IDENTITY, lambda b: -np.ones(len(b)), 2, 3,
                                    rng=np.random.default_rng(0)),
            "`offer` must not be negative",
        ),
    ],
)  # fmt: skip
def test_refusals_say_why(act, message):
    with pytest.raises(ValueError, match=message):
        act()
