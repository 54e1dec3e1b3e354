"""Plain recursion over observation histories: slow, obvious, written without looking at the package's algorithms."""

from __future__ import annotations


def after(problem, belief, symbol):
    """Probability of a symbol in the next step, and the belief after it (None if impossible)."""
    states = range(len(belief))
    moved = [sum(belief[i] * problem.transition_matrix[i][j] for i in states) for j in states]
    joint = [moved[j] * problem.observation_matrix[j][symbol] for j in states]
    total = sum(joint)
    return total, [value / total for value in joint] if total > 0 else None


def stop_now(problem, belief):
    """Cost of the cheapest final action."""
    actions = range(len(problem.stop_cost[0]))
    return min(sum(b * problem.stop_cost[x][a] for x, b in enumerate(belief)) for a in actions)


def optimal_cost(problem, belief, steps, last):
    """Least expected cost with `steps` observations at most; `last(belief)` is paid when they are used up."""
    if steps == 0:
        return last(belief)
    going = sum(b * c for b, c in zip(belief, problem.continue_cost, strict=True))
    for symbol in range(len(problem.observation_matrix[0])):
        chance, then = after(problem, belief, symbol)
        if then is not None:
            going += problem.discount * chance * optimal_cost(problem, then, steps - 1, last)
    return min(stop_now(problem, belief), going)


def optimal_bracket(problem, belief, steps):
    """Bounds on the optimal cost of the endless problem from a finite one."""
    waiting = min(problem.continue_cost) / (1 - problem.discount)
    lowest = min(waiting, min(min(row) for row in problem.stop_cost))
    upper = optimal_cost(problem, belief, steps, lambda b: stop_now(problem, b))
    return optimal_cost(problem, belief, steps, lambda b: lowest), upper


def policy_cost(problem, belief, chance_to_stop, steps):
    """Expected cost of a policy that must stop when `steps` observations are used up."""
    halt = 1.0 if steps == 0 else chance_to_stop(belief)
    cost = halt * stop_now(problem, belief)
    if halt == 1:
        return cost
    going = sum(b * c for b, c in zip(belief, problem.continue_cost, strict=True))
    for symbol in range(len(problem.observation_matrix[0])):
        chance, then = after(problem, belief, symbol)
        if then is not None:
            going += problem.discount * chance * policy_cost(problem, then, chance_to_stop, steps - 1)
    return cost + (1 - halt) * going
