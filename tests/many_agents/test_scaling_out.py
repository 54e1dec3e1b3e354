"""Theorems and sweeps of the chapter on scaling out: pure cells on a real cluster, task sizes, readings that matter."""

import itertools
import logging
import os
from heapq import heapify, heapreplace

import joblib
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference import best_by_signal, moved, next_public

from llma_tutorial.many_agents.social import SocialLearning, exact_law, simulate

EVEN = [0.5, 0.5]


def matrices(seed, n_signals, least=0.03):
    """A positive observation matrix with different rows."""
    matrix = np.random.default_rng(seed).dirichlet(np.ones(n_signals), 2)
    assume(matrix.min() > least and np.abs(matrix[0] - matrix[1]).max() > 0.1)
    return matrix


def sweep(died=None):
    """Twelve cells; the process that meets the sixth dies, if `died` names a file that does not exist yet."""

    def cell(number, seed):
        if died is not None and number == 5 and not died.exists():
            died.touch()
            os._exit(1)
        line = SocialLearning([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]], np.eye(2), [0.6, 0.4], tie_break="first")
        runs = simulate(line, 10 + number, 50, keep=("actions",), rng=np.random.default_rng(seed))
        return runs.actions.sum(), runs.cascade_start

    seeds = np.random.SeedSequence(3).spawn(12)
    return joblib.Parallel(batch_size=1)(joblib.delayed(cell)(i, seed) for i, seed in enumerate(seeds))


def test_a_sweep_of_pure_cells_is_the_same_on_every_backend(tmp_path):
    """Serial, threads, processes, a Dask cluster, and one whose worker dies on the way: the same to the last bit."""
    from dask.distributed import Client, LocalCluster

    wanted = joblib.hash(sweep())
    for backend in ("threading", "loky"):
        with joblib.parallel_config(backend=backend, n_jobs=2):
            assert joblib.hash(sweep()) == wanted
    here = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "local_directory": str(tmp_path)}
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, silence_logs=logging.CRITICAL, **here) as cluster,
        Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        assert joblib.hash(sweep()) == wanted
        assert joblib.hash(sweep(tmp_path / "died")) == wanted
    assert (tmp_path / "died").exists()
    assert cluster.status.name == "closed"


def test_processes_alone_do_not_survive_the_death_of_one(tmp_path):
    """Counter-instance: a pool says that it is broken, and returns nothing."""
    with joblib.parallel_config(backend="loky", n_jobs=2), pytest.raises(RuntimeError, match="terminated"):
        sweep(tmp_path / "died")


def test_shared_randomness_depends_on_order_and_backend():
    """Planted fault: cells that share a generator change with their order, and copies of it all draw the same."""

    def cells(order):
        shared, found = np.random.default_rng(3), {}
        for i in order:
            found[i] = shared.random()
        return [found[i] for i in range(8)]

    assert sum(a != b for a, b in zip(cells(range(8)), cells(range(7, -1, -1)), strict=True)) == 8
    shared = np.random.default_rng(3)
    drawn = joblib.Parallel(n_jobs=2, batch_size=1)(joblib.delayed(lambda: shared.random())() for _ in range(8))
    assert len(set(drawn)) == 1


def taken(durations, n_workers):
    """When the last task of a list ends, if each worker takes the next one as soon as it is free."""
    free = [0.0] * n_workers
    heapify(free)
    for duration in durations:
        heapreplace(free, free[0] + duration)
    return max(free)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(durations=st.lists(st.floats(0.01, 100), min_size=1, max_size=60), n_workers=st.integers(1, 9))
def test_tasks_that_are_taken_are_done_in_time(durations, n_workers):
    """At most sum / W + (1 - 1/W) max, at least half of that; and b* makes the bound for equal tasks smallest."""
    total, longest = sum(durations), max(durations)
    bound = total / n_workers + (1 - 1 / n_workers) * longest
    done = taken(durations, n_workers)
    assert max(total / n_workers, longest) - 1e-9 <= done <= bound + 1e-9
    assert bound <= 2 * max(total / n_workers, longest) + 1e-9


@pytest.mark.parametrize(("n_cells", "n_workers", "overhead"), [(10_000, 16, 5), (500, 2, 0.5), (10**6, 300, 40)])
def test_the_best_size_of_a_task(n_cells, n_workers, overhead):
    sizes = np.geomspace(1, n_cells, 2_001)
    bound = n_cells * (1 + overhead / sizes) / n_workers + (1 - 1 / n_workers) * (overhead + sizes)
    assert sizes[bound.argmin()] == pytest.approx(np.sqrt(n_cells * overhead / (n_workers - 1)), rel=0.01)


def test_tasks_that_are_dealt_are_not():
    """Counter-instance: with equal shares dealt beforehand, two long tasks can fall to one worker."""
    durations = [30.0, 30.0, *[1.0] * 118]
    dealt = max(sum(durations[i : i + 60]) for i in (0, 60))
    bound = sum(durations) / 2 + 30 / 2
    assert taken(durations, 2) <= bound < dealt


@settings(derandomize=True, deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), n_signals=st.integers(2, 4), held=st.floats(0.1, 0.9), state=st.integers(0, 1))
def test_onsets_have_a_geometric_tail(seed, n_signals, held, state):
    """Two states, B > 0 true: P(onset > n + k | onset > n) <= 1 - beta^k in either state, E[onset] <= k / beta^k."""
    matrix = matrices(seed, n_signals, least=0.08)
    order = np.argsort(-matrix[1] / matrix[0])
    top = np.cumsum(matrix[:, order], axis=1)[:, :-1]
    growth, ratios = (top[1] / top[0]).min(), matrix[1] / matrix[0]
    assert growth > 1
    k = int(np.floor(np.log(ratios.max() / ratios.min()) / np.log(growth))) + 1
    assume(k <= 8)
    line = SocialLearning(matrix, np.eye(2), np.eye(2)[state], tie_break="first", assumed_prior=[1 - held, held])
    law = exact_law(line, 24)
    open_still = np.concatenate([[1.0], 1 - law.cascade_probability])  # P(onset > n - 1), n = 0, 1, ...
    beta = matrix.min()
    assert (open_still[k:] <= (1 - beta**k) * open_still[:-k] + 1e-9).all()
    assert law.expected_onset <= k / beta**k


def test_zeros_leave_the_tail_where_it_is():
    """Counter-instance: if a state can be ruled out, each agent heeds its signal for ever in the other one."""
    zeros = {"tie_break": "first", "assumed_prior": EVEN}
    line = SocialLearning([[0.6, 0.4, 0], [0, 0.4, 0.6]], np.eye(2), [1, 0], **zeros)
    assert exact_law(line, 200).expected_onset == pytest.approx(200)


def action_law(society, n_agents):
    """P(a_0, ..., a_{n-1}) of every sequence of actions, by plain recursion."""
    assumed, utility = society.assumed_observation_matrix.tolist(), society.utility.tolist()
    transition = np.eye(2) if society.transition_matrix is None else society.transition_matrix
    found = {}

    def follow(actions, belief, joint):
        if len(actions) == n_agents:
            found[actions] = sum(joint)
            return
        belief, joint = moved(belief, transition.tolist()), moved(joint, transition.tolist())
        laws = best_by_signal(belief, assumed, utility, society.tie_break)
        for a in range(len(utility[0])):
            factors = society.observation_matrix @ [law[a] for law in laws]
            child = [m * f for m, f in zip(joint, factors, strict=True)]
            if sum(child) > 0:
                follow((*actions, a), next_public(belief, assumed, laws, a), child)

    follow((), society.assumed_prior.tolist(), society.prior.tolist())
    return found


def variation(first, second):
    """Total variation between two laws given as dictionaries."""
    return sum(abs(first.get(key, 0) - second.get(key, 0)) for key in first.keys() | second.keys()) / 2


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6), n_signals=st.integers(2, 4), held=st.floats(0.1, 0.9),
    state=st.integers(0, 1), share=st.floats(0.01, 0.5), rule=st.sampled_from(["first", "random"]),
)  # fmt: skip
def test_a_line_simulated_from_an_estimate_is_off_by_the_readings_that_matter(
    seed, n_signals, held, state, share, rule
):
    """TV of the actions of n agents is at most eps E[min(onset, n)], with the onset under either matrix."""
    true, other = matrices(seed, n_signals), matrices(seed + 1, n_signals)
    estimate = (1 - share) * true + share * other
    beliefs = {"assumed_prior": [1 - held, held], "assumed_observation_matrix": estimate, "tie_break": rule}
    lines = [SocialLearning(matrix, np.eye(2), np.eye(2)[state], **beliefs) for matrix in (true, estimate)]
    off = np.abs(true - estimate)[state].sum() / 2
    for n_agents in (1, 4, 8):
        apart = variation(*(action_law(line, n_agents) for line in lines))
        onset = min(exact_law(line, n_agents).expected_onset for line in lines)
        assert apart <= off * onset + 1e-9
        assert onset <= n_agents + 1e-9


def test_a_moving_state_lets_errors_grow():
    """Counter-instance: herds end, later readings matter, and the distance outgrows eps times the first onset."""
    true, estimate = np.array([[0.8, 0.2], [0.2, 0.8]]), np.array([[0.7, 0.3], [0.3, 0.7]])
    moving = {"transition_matrix": [[0.8, 0.2], [0.2, 0.8]], "assumed_observation_matrix": estimate}
    lines = [SocialLearning(matrix, np.eye(2), EVEN, **moving) for matrix in (true, estimate)]
    apart = [variation(*(action_law(line, n) for line in lines)) for n in (4, 10)]
    assert apart[1] > apart[0]
    first_onset = min(exact_law(line, 10).expected_onset for line in lines)
    assert first_onset < 10
    fixed = [
        SocialLearning(matrix, np.eye(2), EVEN, assumed_observation_matrix=estimate) for matrix in (true, estimate)
    ]
    resting = [variation(*(action_law(line, n) for line in fixed)) for n in (4, 10)]
    assert resting[1] - resting[0] < (apart[1] - apart[0]) / 3


@settings(derandomize=True, deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), n_signals=st.integers(2, 4), n_agents=st.integers(2, 200))
def test_one_long_line_is_one_observation(seed, n_signals, n_agents):
    """Run by run, the share of right decisions is within min(onset, n) / n of nought or one; so are the spreads."""
    line = SocialLearning(matrices(seed, n_signals), np.eye(2), EVEN, tie_break="first")
    runs = simulate(line, 400, 300, keep=("actions",), rng=np.random.default_rng(seed))
    assume((runs.cascade_start >= 0).all())
    share = (runs.actions[:, :n_agents] == runs.states[:, None]).mean(axis=1)
    herd = (runs.cascade_action == runs.states).astype(float)
    begun = np.minimum(runs.cascade_start, n_agents) / n_agents
    assert (np.abs(share - herd) <= begun + 1e-12).all()
    assert abs(share.std() - herd.std()) <= np.sqrt(begun.mean()) + 1e-12


def test_without_a_herd_shares_settle():
    """Counter-instance: signals that say nothing never start a cascade, and a long line is many observations."""
    noise = SocialLearning(np.full((2, 2), 0.5), np.eye(2), EVEN)
    runs = simulate(noise, 2_000, 60, keep=("actions",), rng=np.random.default_rng(1))
    share = (runs.actions == runs.states[:, None]).mean(axis=1)
    assert (runs.cascade_start == -1).all()
    assert share.std() < 0.03


def test_readings_of_lines_of_every_length_come_from_one_law():
    """E[min(onset, L)] sums 1 - cascade probability over the first L agents; reading w ahead wastes less than w."""
    line = SocialLearning([[0.33, 0.07, 0.5, 0.1], [0.33, 0.56, 0.02, 0.09]], np.eye(2), EVEN, tie_break="first")
    law = exact_law(line, 30)
    for length in (1, 3, 10, 30):
        assert np.sum(1 - law.cascade_probability[:length]) == pytest.approx(exact_law(line, length).expected_onset)
    onset = np.diff(law.cascade_probability, prepend=0)
    for few, many in itertools.pairwise((1, 2, 4, 8)):
        rounds = [onset @ np.ceil(np.arange(30) / w) for w in (few, many)]
        assert rounds[1] <= rounds[0]
        assert many * rounds[1] <= law.expected_onset + many - 1 + 1e-9
