"""Plain loops for a line of agents at a bandit: every history one by one, and one run replayed."""

import math

import numpy as np
from hypothesis import strategies as st
from reference import best_by_signal
from strategies import distributions

from llma_tutorial.many_agents.bandits import BanditLine


@st.composite
def bandit_lines(draw, sees=None, policy=None, signals=None, inside=False):
    """A line with at most three states, signals and arms; rates in tenths, so that ties and certainties occur."""
    n_states, n_arms = draw(st.integers(2, 3)), draw(st.integers(2, 3))
    tenths = st.integers(1, 9) if inside else st.integers(0, 10)
    rates = [[draw(tenths) / 10 for _ in range(n_arms)] for _ in range(n_states)]
    matrix, n_signals = None, 1
    if draw(st.booleans()) if signals is None else signals:
        n_signals = draw(st.integers(2, 3))
        matrix = np.stack([draw(distributions(n_signals, inside)) for _ in range(n_states)])
    rules = ["first", "random"] + (["signal"] if n_signals == n_arms else [])
    policy = policy or draw(st.sampled_from(["myopic", "thompson"]))
    return BanditLine(
        rates,
        draw(distributions(n_states, True)),
        matrix,
        sees=sees or draw(st.sampled_from(["rewards", "actions"])),
        policy=policy,
        exploration=draw(st.sampled_from([0.0, 0.3, (1.0, 0.0, 0.5, 0.25, 0.0, 1.0)])),
        tie_break=draw(st.sampled_from(rules)) if policy == "myopic" else None,
    )


def laws_of(line, belief, k):
    """For each signal: the law over arms, exploration included; None if the signal is impossible at this belief."""
    matrix, rates = line.observation_matrix.tolist(), line.arm_rates.tolist()
    n_arms, explore = len(rates[0]), float(np.broadcast_to(line.exploration, (6,))[k] if k < 6 else line.exploration)
    if line.policy == "myopic":
        laws = best_by_signal(belief, matrix, rates, line.tie_break)
    else:
        laws = []
        for y in range(len(matrix[0])):
            weights = [belief[x] * matrix[x][y] for x in range(len(belief))]
            law = [0.0] * n_arms
            for weight, row in zip(weights, rates, strict=True):
                winners = [a for a in range(n_arms) if row[a] == max(row)]
                for a in winners:
                    law[a] += weight / len(winners)
            laws.append([value / sum(weights) for value in law] if sum(weights) else None)
    return [law and [(1 - explore) * value + explore / n_arms for value in law] for law in laws]


def outcomes(line, belief, k):
    """Every (arm, reward or None, P(outcome | x) for each x, next belief) that can come at this belief."""
    rates, matrix, laws = line.arm_rates.tolist(), line.observation_matrix.tolist(), laws_of(line, belief, k)
    for arm in range(len(rates[0])):
        pulled = [sum(row[y] * law[arm] for y, law in enumerate(laws) if law) for row in matrix]
        for reward in (0, 1) if line.sees == "rewards" else (None,):
            paid = [1.0 if reward is None else row[arm] if reward else 1 - row[arm] for row in rates]
            chance = [p * q for p, q in zip(pulled, paid, strict=True)]
            weights = [b * c for b, c in zip(belief, chance, strict=True)]
            if sum(weights) > 0:
                yield arm, reward, chance, [w / sum(weights) for w in weights]


def brute_force(line, n_agents):
    """Arm probabilities, frozen and stuck probabilities, mean beliefs, and E_x[sqrt(pi(i) / pi(x))], by listing."""
    n_states, n_arms = line.arm_rates.shape
    arms, mean = np.zeros((n_agents, n_states, n_arms)), np.zeros((n_agents, n_states, n_states))
    frozen, stuck, roots = np.zeros((n_agents, n_states)), np.zeros((n_agents, n_states)), np.zeros_like(mean)

    def follow(k, belief, mass):
        if k == n_agents:
            return
        steps = list(outcomes(line, belief, k))
        still = all(np.allclose(after, belief, rtol=0, atol=1e-10) for *_, after in steps)
        for x in range(n_states):
            if mass[x] == 0:
                continue
            frozen[k, x] += mass[x] * still
            for i in range(n_states):
                mean[k, x, i] += mass[x] * belief[i]
                roots[k, x, i] += mass[x] * math.sqrt(belief[i] / belief[x])
        for arm, _, chance, after in steps:
            child = [m * c for m, c in zip(mass, chance, strict=True)]
            arms[k, :, arm] += child
            stuck[k] += [c * still * (row[arm] < max(row)) for c, row in zip(child, line.arm_rates, strict=True)]
            if sum(child) > 0:
                follow(k + 1, after, child)

    follow(0, line.prior.tolist(), [1.0] * n_states)
    return arms, frozen, stuck, mean, roots


def replay(line, observations, actions, rewards):
    """Public beliefs of one run, and the probability with which each agent pulled what it pulled."""
    belief, beliefs, chances = line.prior.tolist(), [line.prior.tolist()], []
    for k, (y, arm, reward) in enumerate(zip(observations, actions, rewards, strict=True)):
        chances.append(laws_of(line, belief, k)[y][arm])
        seen = reward if line.sees == "rewards" else None
        belief = next(after for a, r, _, after in outcomes(line, belief, k) if (a, r) == (arm, seen))
        beliefs.append(belief)
    return np.array(beliefs), np.array(chances)
