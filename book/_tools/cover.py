"""The picture on the front page: twenty-four lines of agents, and the herds they fall into.

python book/_tools/cover.py     writes book/_static/herd.png
"""

from pathlib import Path

import numpy as np

from llma_tutorial import plots
from llma_tutorial.many_agents import social

TARGET = Path(__file__).resolve().parents[1] / "_static/herd.png"
N_LINES, N_AGENTS, TRUTH = 24, 30, 1


def main() -> None:
    """Simulate the lines, order them by how they end, and draw every agent by its action."""
    plots.use_style()
    society = social.SocialLearning([[0.6, 0.4], [0.4, 0.6]], np.eye(2), [0.5, 0.5])
    runs = social.simulate(society, N_AGENTS, N_LINES, state=TRUTH, rng=np.random.default_rng(4))
    order = np.lexsort((runs.cascade_start, runs.cascade_action != TRUTH))
    line, agent = np.mgrid[:N_LINES, :N_AGENTS]
    actions, herding = runs.actions[order], agent >= runs.cascade_start[order, None]
    figure, ax = plots.panels(height=3.6)
    for action, label in ((TRUTH, "right"), (1 - TRUTH, "wrong")):
        for in_herd, alpha in ((False, 0.35), (True, 1.0)):
            shown = (actions == action) & (herding == in_herd)
            ax.scatter(
                agent[shown], line[shown], s=26, marker=plots.MARKERS[1 - action], color=plots.PALETTE[1 - action],
                alpha=alpha, lw=0, label=f"{label}, {'in a herd' if in_herd else 'on its own signal'}",
            )  # fmt: skip
    ax.set(xlabel="agent", ylabel="line of agents", yticks=[], xlim=(-1, N_AGENTS), ylim=(N_LINES, -1))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(TARGET, dpi=130, metadata={"Software": None})
    print(f"{np.mean(runs.cascade_action != TRUTH):.0%} of the lines herd on the wrong action")


if __name__ == "__main__":
    main()
