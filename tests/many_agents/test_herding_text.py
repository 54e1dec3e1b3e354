"""Theorems of the chapter on herding in text: priors, wrong matrices and windows, on random societies of two states."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llma_tutorial.many_agents.social import MixedLine, SocialLearning, cascade_region, exact_law, simulate

INSIDE = st.floats(0.03, 0.97)


def matrices(seed, n_signals):
    """A positive observation matrix with different rows, and its likelihood ratios."""
    matrix = np.random.default_rng(seed).dirichlet(np.ones(n_signals), 2)
    assume(matrix.min() > 0.01 and np.abs(matrix[0] - matrix[1]).max() > 0.05)
    return matrix, matrix[1] / matrix[0]


def line(matrix, held, state=None, **keywords):
    """Agents who hold a prior of state 1; the state is fixed if given."""
    prior = [1 - held, held] if state is None else np.eye(2)[state]
    return SocialLearning(
        matrix, np.eye(2), prior, assumed_prior=[1 - held, held], **{"tie_break": "first", **keywords}
    )


@settings(derandomize=True, deadline=None, max_examples=200)
@given(seed=st.integers(0, 10**6), n_signals=st.integers(2, 5), held=INSIDE)
def test_two_readers(seed, n_signals, held):
    """Who reads is decided by the prior odds and the ratios, as the closed form says."""
    matrix, ratios = matrices(seed, n_signals)
    odds = held / (1 - held)
    buys = odds * ratios > 1
    copies = np.zeros(2)  # P(second copies), by state
    if buys.all() or not buys.any():
        assert odds > 1 / ratios.min() or odds < 1 / ratios.max()
        assert exact_law(line(matrix, held), 2).cascade_probability == pytest.approx([1, 1])
        return
    likely = matrix[:, buys].sum(axis=1)
    bought, refused = odds * likely[1] / likely[0], odds * (1 - likely[1]) / (1 - likely[0])
    assume(min(abs(np.log(bought * ratios.min())), abs(np.log(refused * ratios.max()))) > 1e-6)
    copies += likely * (bought > 1 / ratios.min()) + (1 - likely) * (refused < 1 / ratios.max())
    law = exact_law(line(matrix, held), 2)
    assert law.cascade_probability == pytest.approx([0, np.array([1 - held, held]) @ copies])


@pytest.mark.parametrize("precision", [0.55, 0.7, 0.9])
def test_a_symmetric_pair_copies_whatever_the_prior_favours(precision):
    """For 1/2 < p < q the second reads exactly if the first did not buy; beyond q nobody reads."""
    matrix = [[precision, 1 - precision], [1 - precision, precision]]
    for share in (0.01, 0.5, 0.99):
        held = 0.5 + share * (precision - 0.5)
        purchase = held * precision + (1 - held) * (1 - precision)
        assert exact_law(line(matrix, held), 2).cascade_probability == pytest.approx([0, purchase])
    assert exact_law(line(matrix, precision + 0.01), 2).cascade_probability.tolist() == [1, 1]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), n_signals=st.integers(2, 4), held=INSIDE)
def test_a_prior_can_mislead_so_far_and_no_further(seed, n_signals, held):
    """P(cascade on the wrong action | x) is at most the odds times the most telling ratio, whatever prior is held."""
    matrix, ratios = matrices(seed, n_signals)
    odds = held / (1 - held)
    for state, bound in ((0, odds * ratios.min()), (1, 1 / (odds * ratios.max()))):
        law = exact_law(line(matrix, held, state), 12)
        wrong = law.cascade_probability[-1] - law.correct_cascade_probability
        assert wrong <= bound + 1e-9


def test_the_bound_needs_the_true_matrix():
    """Counter-instance: agents who think a weak signal strong are misled far more often than the bound allows."""
    weak, strong = np.array([[0.55, 0.45], [0.45, 0.55]]), np.array([[0.95, 0.05], [0.05, 0.95]])
    misled = line(weak, 0.5, 0, assumed_observation_matrix=strong)
    law = exact_law(misled, 200)
    assert law.cascade_probability[-1] - law.correct_cascade_probability > 5 * strong[1, 0] / strong[0, 0]


@pytest.mark.parametrize("precision", [0.6, 0.75, 0.9])
def test_a_prior_works_in_steps(precision):
    """Symmetric signals, bad product: P(purchase) takes four values, by the zone of the prior."""
    matrix = [[precision, 1 - precision], [1 - precision, precision]]
    above = (1 - precision) / (1 - precision + precision**2)
    zones = [0, 1 - precision, 0.5, precision, 1]
    for (low, high), expected in zip(itertools.pairwise(zones), (0, (1 - precision) * above, above, 1), strict=True):
        for share in (0.1, 0.6, 0.9):
            law = exact_law(line(matrix, low + share * (high - low), 0), 300)
            assert 1 - law.correct_action_probability[-1] == pytest.approx(expected, abs=1e-9)


@settings(derandomize=True, deadline=None, max_examples=10)
@given(seed=st.integers(0, 10**6))
def test_what_is_shown_to_all_leads_to_the_nearest_row(seed):
    """With every reading public, belief goes to the state whose assumed row is nearest in relative entropy."""
    truly, _ = matrices(seed, 3)
    assumed, ratios = matrices(seed + 1, 3)
    drift = truly @ np.log(ratios)
    assume(np.abs(drift).min() > 0.25)
    for state in (0, 1):
        open_line = SocialLearning(truly, np.zeros((2, 3)), [0.5, 0.5], assumed_observation_matrix=assumed)
        runs = simulate(open_line, 400, 12, state=state, keep=("public_beliefs",), rng=np.random.default_rng(seed))
        assert (runs.public_beliefs[:, -1, int(drift[state] > 0)] > 0.99).all()


def test_with_the_true_matrix_the_drifts_have_the_right_signs():
    for seed in range(50):
        rows = np.random.default_rng(seed).dirichlet(np.ones(4), 2)
        drift = rows @ np.log(rows[1] / rows[0])
        assert drift[0] < 0 < drift[1]


def windows(matrix, spacing, prior=(0.5, 0.5)):
    """Every `spacing`-th reader says what it saw."""
    buyer = SocialLearning(matrix, np.eye(2), prior, tie_break="first")
    tester = SocialLearning(matrix, np.zeros((2, len(matrix[0]))), prior)
    return MixedLine([buyer, tester], order=[0] * (spacing - 1) + [1])


@settings(derandomize=True, deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), spacing=st.integers(2, 4), held=st.floats(0.2, 0.8))
def test_errors_behind_windows_keep_the_chernoff_bound(seed, spacing, held):
    """P(reader wrong) is at most pi(0)^(1-s) pi(1)^s rho(s)^(m+1) for every s, m testers before it."""
    matrix, _ = matrices(seed, 2)
    watched = windows(matrix, spacing, (1 - held, held))
    wrong = 1 - exact_law(watched, 16).correct_action_probability
    places = watched.places(16)
    before = places.cumsum()
    for s in (0.2, 0.5, 0.8):
        rho = (matrix[0] ** (1 - s) * matrix[1] ** s).sum()
        bound = (1 - held) ** (1 - s) * held**s * rho ** (before + 1)
        assert rho < 1
        assert (wrong[places == 0] <= bound[places == 0] + 1e-9).all()


def test_windows_break_wrong_herds_and_none_does_not():
    """q = .7: without windows reader 120 errs as reader 60 does; with windows reader 80 hardly errs at all."""
    matrix = np.array([[0.7, 0.3], [0.3, 0.7]])
    alone = 1 - exact_law(SocialLearning(matrix, np.eye(2), [0.5, 0.5]), 121).correct_action_probability
    assert alone[120] == pytest.approx(1 - 0.844828, abs=1e-6) == pytest.approx(alone[60], abs=1e-6)
    watched = exact_law(windows(matrix, 2), 81)
    assert 1 - watched.correct_action_probability[80] < 0.01


def test_testers_say_what_they_saw():
    tester = SocialLearning([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6]], np.zeros((2, 3)), [0.5, 0.5])
    runs = simulate(tester, 20, 50, rng=np.random.default_rng(1))
    assert (runs.actions == runs.observations).all()
    assert (runs.cascade_start == -1).all()
    assert all(not cascade_region(tester, action).contains([0.4, 0.6]) for action in range(3))
