"""Exact cost of a network on a short line: every state and every history, one after the other."""

import itertools

import torch


def exact_cost(line, network):
    """Expected cost of the random policy of a network, as a torch number that can be differentiated."""
    law, total = line.problem.observation_matrix, 0.0
    wrong, herd = line.misclassification_cost, line.misclassification_cost / (1 - line.discount)
    for history in itertools.product(range(law.shape[1]), repeat=line.horizon):
        scores = network(torch.tensor([history]))[0]
        for state, chance in enumerate(line.prior):
            for symbol in history:
                chance = chance * law[state][symbol]
            alive, paid = 1.0, 0.0
            for t in range(line.horizon + 1):
                choices = torch.softmax(scores[t] if t < line.horizon else scores[t][1:], dim=0)
                stopping = choices[1:] if t < line.horizon else choices
                for action, share in enumerate(stopping):
                    total = total + chance * alive * share * (paid + line.discount**t * herd[state][action])
                if t < line.horizon:
                    alive = alive * choices[0]
                    step = wrong[state][line.own_actions[history[t]]] + line.delay_cost[state]
                    paid = paid + line.discount**t * step
    return total
