"""Figures of the book, on seaborn: each takes results and an `ax`, draws, and computes nothing.

`use_style()` once at the top of a notebook sets one look for all: colours that colour-blind readers tell apart and
that differ in grey as well (dark for index 0, light for index 1, then between), white opaque background for dark
pages, no chart junk. Lines that share a panel differ in dash or marker, never in colour alone.

Arguments have the shapes in which results hold them: a path of beliefs in state 1 is (n,), one on the triangle of three
states (n, 3); words are what `Solution.policy` says; names are drawn in the order of the indices. So a sentence is all
that a function here needs; no other module is excused.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

PALETTE = ("#12395b", "#e08a1e", "#4c9a8f", "#b24745", "#8a7fb5", "#777777")
LINES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P")
_CORNERS = np.array([[0, 0], [0.5, np.sqrt(0.75)], [1, 0]])  # of the triangle of beliefs; a belief mixes them


def use_style() -> None:
    """Set the look of every figure for the session. Explained in the chapter `how-to-use`."""
    sns.set_theme(
        context="notebook",
        style="ticks",
        palette=list(PALETTE),
        rc={
            "figure.figsize": (7.2, 3.6),
            "figure.dpi": 110,
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "figure.constrained_layout.use": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": "medium",
            "axes.titlelocation": "left",
            "font.family": "DejaVu Sans",
            "font.size": 10.5,
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "svg.hashsalt": "llma",
        },
    )


def cascade_bands(ax: Axes, regions: Sequence, *, vertical: bool = False) -> None:
    """Shade the intervals of belief in which agents herd, one `CascadeRegion` for each action, labelled inside.

    The belief is on the y axis, or on the x axis if `vertical`.
    """
    for region in regions:
        if region.interval is None:
            continue
        low, high = region.interval
        (ax.axvspan if vertical else ax.axhspan)(low, high, color=PALETTE[region.action], alpha=0.16, lw=0)
        at, near = (0.02, "left") if low <= 0 else (0.98, "right")
        if vertical:
            place, align = (at, 1 - at), (near, "top" if low <= 0 else "bottom")
        else:
            place, align = (0.995, at), ("right", "bottom" if low <= 0 else "top")
        ax.text(
            *place, f"herd on action {region.action}", transform=ax.transAxes, ha=align[0], va=align[1],
            fontsize="small", color="0.2",
        )  # fmt: skip
    (ax.set_xlim if vertical else ax.set_ylim)(0, 1)


def belief_staircase(ax: Axes, beliefs: np.ndarray, actions: np.ndarray, observations: np.ndarray) -> None:
    """One run: public belief in state 1 before each agent as a staircase, with each agent's signal and action."""
    agents = np.arange(len(actions))
    ax.step(np.arange(len(beliefs)), beliefs, where="post", color="0.25", lw=1.6)
    for action in np.unique(actions):
        chosen = actions == action
        ax.scatter(
            agents[chosen] + 0.5, beliefs[:-1][chosen], s=46, zorder=3, color=PALETTE[action],
            marker=MARKERS[action], edgecolor="white", label=f"action {action}",
        )  # fmt: skip
    for agent, (height, observation) in enumerate(zip(beliefs, observations, strict=False)):
        ax.annotate(
            f"y={observation}", (agent + 0.5, height), xytext=(0, 8), textcoords="offset points", ha="center",
            fontsize="x-small", color="0.3",
        )  # fmt: skip
    ax.set(xlabel="agent", ylabel="public belief in state 1", xlim=(0, len(actions)))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def fan_of_runs(ax: Axes, beliefs: np.ndarray, groups: np.ndarray, labels: Sequence[str]) -> None:
    """Many runs: a thin line of public belief in state 1 each, a hair apart so that equal paths show as bundles."""
    for group, label in enumerate(labels):
        members = beliefs[groups == group].T
        apart = np.linspace(-0.02, 0.02, members.shape[1])
        ax.plot(members + apart, color=PALETTE[group], ls=LINES[group], lw=0.9, alpha=0.45)
        ax.plot([], [], color=PALETTE[group], ls=LINES[group], label=f"{label} ({members.shape[1]} runs)")
    ax.set(xlabel="agent", ylabel="public belief in state 1", xlim=(0, beliefs.shape[1] - 1), ylim=(0, 1))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def fan(ax: Axes, runs: np.ndarray, *, xlabel: str, ylabel: str, label: str = "runs", group: int = 0) -> None:
    """Many runs of any quantity: a thin line each, the band that holds nine in ten of them, and their median."""
    steps = np.arange(runs.shape[1])
    low, middle, high = np.quantile(runs, [0.05, 0.5, 0.95], axis=0)
    ax.fill_between(steps, low, high, color=PALETTE[group], alpha=0.13, lw=0, label=f"nine in ten {label}")
    ax.plot(steps, runs[:40].T, color=PALETTE[group], lw=0.6, alpha=0.45)
    ax.plot(steps, middle, color=PALETTE[group], ls=LINES[group], lw=2.2, label=f"median of {label}")
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(0, steps[-1]))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def curves(
    ax: Axes, x: np.ndarray, series: dict[str, np.ndarray], *, xlabel: str, ylabel: str, marker: bool = False
) -> None:
    """Named curves over a common axis, told apart by dash (and marker) as well as colour."""
    for index, (label, values) in enumerate(series.items()):
        style = index % len(PALETTE)
        ax.plot(
            x, values, label=label, color=PALETTE[style], ls=LINES[style],
            marker=MARKERS[style] if marker else None, markersize=4.5,
        )  # fmt: skip
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if np.asarray(x).dtype.kind in "iu":
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(series) > 1:
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def points_on_curve(ax: Axes, x: np.ndarray, estimate: np.ndarray, half_width: np.ndarray, label: str) -> None:
    """Estimates with their error bars, to lie on a curve that was drawn before."""
    ax.errorbar(
        x, estimate, yerr=half_width, fmt="o", ms=4, color="white", mec="0.1", ecolor="0.1", elinewidth=1, label=label
    )
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def matrix(
    ax: Axes, values: np.ndarray, *, rows: Sequence[str], columns: Sequence[str], xlabel: str, ylabel: str,
    digits: int = 2,
) -> None:  # fmt: skip
    """A matrix as a heat map with every number written into its cell."""
    sns.heatmap(
        values, ax=ax, annot=True, fmt=f".{digits}f" if digits else ".0f", cmap="crest", cbar=False, vmin=0,
        xticklabels=list(columns), yticklabels=list(rows), linewidths=0.5, annot_kws={"fontsize": "small"},
    )  # fmt: skip
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.tick_params(length=0, rotation=0)


def grid(ax: Axes, values: np.ndarray, *, rows: Sequence[str], columns: Sequence[str], title: str = "") -> None:
    """A matrix as cells from white (0) to dark (its largest value), for many columns such as the tokens of a text."""
    sns.heatmap(
        values, ax=ax, cmap=sns.light_palette(PALETTE[0], as_cmap=True), cbar=False, vmin=0, linewidths=0.4,
        linecolor="0.9", xticklabels=list(columns), yticklabels=list(rows),
    )  # fmt: skip
    ax.set_title(title)
    ax.tick_params(length=0)
    ax.tick_params(axis="x", rotation=90, labelsize="x-small")
    ax.tick_params(axis="y", rotation=0, labelsize="small")


def intervals(
    ax: Axes, labels: Sequence[str], middle: np.ndarray, low: np.ndarray, high: np.ndarray, *, xlabel: str,
    group: int = 0, name: str | None = None, offset: float = 0.0,
) -> None:  # fmt: skip
    """One horizontal interval with its middle for each label, top to bottom; call again with `offset` to compare."""
    height = np.arange(len(labels))[::-1] + offset
    ax.hlines(height, low, high, color=PALETTE[group], lw=2.4)
    ax.plot(middle, height, MARKERS[group], color=PALETTE[group], ms=6, mec="white", label=name)
    ax.set(xlabel=xlabel, yticks=np.arange(len(labels))[::-1], yticklabels=list(labels))
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.6, len(labels) - 0.4)
    if name:
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def panels(columns: int = 1, rows: int = 1, *, height: float = 3.6, width: float = 7.2, **keywords) -> tuple:
    """A new figure with the given panels, as `(figure, axes)`; shared axes and ratios pass to `plt.subplots`."""
    return plt.subplots(rows, columns, figsize=(width, height * rows), **keywords)


def _stopping_bands(ax: Axes, line: np.ndarray, words: np.ndarray) -> None:
    """Shade where a policy on a line of beliefs says "stop"; `line` is on the x axis."""
    stops = np.concatenate([[False], words == "stop", [False]])
    starts, ends = np.flatnonzero(stops[1:] & ~stops[:-1]), np.flatnonzero(stops[:-1] & ~stops[1:]) - 1
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        ax.axvspan(line[start], line[end], color="0.5", alpha=0.18, lw=0, label="stop" if index == 0 else None)


def stopping_value(
    ax: Axes, line: np.ndarray, stop_costs: np.ndarray, value: np.ndarray, words: np.ndarray, *, actions: Sequence[str]
) -> None:
    """Optimal cost over the belief in state 1, the cost (n, A) of each final action, and where stopping is optimal."""
    _stopping_bands(ax, line, words)
    for index, name in enumerate(actions):
        ax.plot(line, stop_costs[:, index], color=PALETTE[index + 1], ls=LINES[index + 1], lw=1.4, label=name)
    ax.plot(line, value, color=PALETTE[0], lw=2.4, label="optimal cost")
    ax.set(
        xlabel="belief in state 1", ylabel="expected cost", xlim=(0, 1), ylim=(0, 1.05 * stop_costs.min(axis=1).max())
    )
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def belief_paths(ax: Axes, beliefs: Sequence[np.ndarray], states: np.ndarray, thresholds: np.ndarray) -> None:
    """Runs that stop: belief in state 1 step by step, one marker where each stops, the thresholds as lines."""
    for threshold in thresholds:
        ax.axhline(threshold, color="0.4", lw=1, ls=(0, (4, 3)))
    apart = np.linspace(-0.015, 0.015, len(beliefs))  # so that equal paths show as bundles
    for path, state in zip([path + shift for path, shift in zip(beliefs, apart, strict=True)], states, strict=True):
        ax.plot(path, color=PALETTE[state], ls=LINES[state], lw=1.1, alpha=0.8)
        ax.plot(len(path) - 1, path[-1], MARKERS[state], color=PALETTE[state], mec="white", ms=7)
    for state in np.unique(states):
        ax.plot([], [], MARKERS[state], color=PALETTE[state], ls=LINES[state], label=f"true state {state}")
    ax.set(xlabel="observations bought", ylabel="belief in state 1", ylim=(0, 1))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def simplex_policy(
    ax: Axes, beliefs: np.ndarray, words: np.ndarray, curve: np.ndarray | None = None, *, names: Sequence[str],
    title: str = "",
) -> None:  # fmt: skip
    """Policy of a three-state problem on the triangle of beliefs: filled squares stop, open circles continue."""
    _triangle(ax, names, title)
    styles = {"stop": ("s", PALETTE[0], PALETTE[0]), "continue": ("o", "white", PALETTE[1]),
              "undecided": ("x", "0.5", "0.5")}  # fmt: skip
    for word, (marker, face, edge) in styles.items():
        if (words == word).any():
            ax.plot(*(beliefs[words == word] @ _CORNERS).T, marker, mfc=face, mec=edge, ms=5, label=word)
    if curve is not None:
        ax.plot(*(curve[~np.isnan(curve[:, 0])] @ _CORNERS).T, color="black", lw=2.2, label="switching curve")
    ax.legend(loc="upper left")


def _triangle(ax: Axes, names: Sequence[str], title: str = "") -> None:
    """The triangle of beliefs over three states, its corners named."""
    ax.plot(*np.vstack([_CORNERS, _CORNERS[:1]]).T, color="0.3", lw=1)
    for (across, up), name in zip(_CORNERS, names, strict=True):
        ax.text(across, up + (0.03 if up else -0.03), name, ha="center", va="bottom" if up else "top", fontsize="small")
    ax.set(aspect="equal", xlim=(-0.12, 1.12), title=title)
    ax.axis("off")


def simplex_regions(
    ax: Axes, regions: Sequence, *, names: Sequence[str], title: str = "", outline: int | None = None,
    label: str | None = None,
) -> None:  # fmt: skip
    """Cascade regions of three states on the triangle of beliefs, one `CascadeRegion` for each action.

    Filled, with the name of the action inside; or, to compare societies in one triangle, as outlines in the dash
    number `outline`, which the legend calls `label`.
    """
    if not ax.lines:
        _triangle(ax, names, title)
    for region in regions:
        shape = region.vertices @ _CORNERS
        if not len(shape):
            continue
        around = np.vstack([shape, shape[:1]]).T
        if outline is not None:
            ax.plot(*around, color=PALETTE[outline], ls=LINES[outline], lw=1.8, label=label)
            label = None
            continue
        ax.fill(*shape.T, color=PALETTE[region.action], alpha=0.22, lw=0)
        ax.plot(*around, color=PALETTE[region.action], lw=1)
        ax.text(
            *shape.mean(axis=0), f"herd on {region.action}", ha="center", va="center", fontsize="small", zorder=6,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )  # fmt: skip
    if outline is not None:
        ax.legend(loc="upper left")


def simplex_path(ax: Axes, beliefs: np.ndarray, actions: np.ndarray | None = None) -> None:
    """Public beliefs of one line on the triangle: a path from an open circle, each agent's action as a marker.

    A marker stands where an agent's action left the belief; actions that did not move it lie on one another.
    """
    places = beliefs @ _CORNERS
    ax.plot(*places.T, ".-", color="0.25", lw=1.1, ms=4, zorder=3)
    ax.plot(*places[0], "o", mfc="white", mec="0.1", ms=8, zorder=5, label="start")
    for action in np.unique(actions if actions is not None else []):
        chosen = np.flatnonzero(actions == action) + 1
        ax.plot(
            *places[chosen].T, MARKERS[action], ls="", color=PALETTE[action], mec="white", ms=7, zorder=4,
            label=f"after action {action}",
        )  # fmt: skip
    ax.legend(loc="upper left", bbox_to_anchor=(-0.05, 1.0))


def own_information(ax: Axes, effects: Sequence, margin: float) -> None:
    """An audit: effect of own information by the lead that it meets, one marker for each leading action.

    The last lead stands for all larger ones. Inside the band the effect counts as none.
    """
    ax.axhspan(-margin, margin, color="0.88", lw=0, label="counts as none")
    leaders = sorted({effect.leader for effect in effects})
    for index, leader in enumerate(leaders):
        mine = [effect for effect in effects if effect.leader == leader]
        middle, low, high = np.array([(e.interval.estimate, e.interval.low, e.interval.high) for e in mine]).T
        place = np.array([e.lead for e in mine]) + (0.16 * (index - len(leaders) / 2) if leader >= 0 else 0)
        color = "0.35" if leader < 0 else PALETTE[leader % len(PALETTE)]
        ax.errorbar(
            place, middle, yerr=np.maximum([middle - low, high - middle], 0), fmt=MARKERS[(leader + 6) % len(MARKERS)],
            color=color, ms=6, mec="white", elinewidth=1.4,
            label="no action leads" if leader < 0 else f"action {leader} leads",
        )  # fmt: skip
    largest = max(effect.lead for effect in effects)
    ticks = [*range(largest), f"{largest}+"]
    ax.set(xlabel="lead of the leading action", ylabel="effect of own information")
    ax.set_xticks(range(largest + 1), ticks)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def reliability(ax: Axes, diagrams: dict[str, object], *, event: str) -> None:
    """Reliability diagrams by name: believed against observed frequency of `event`, with intervals.

    Honest beliefs lie on the diagonal; the area of a marker grows with the number of beliefs in its bin.
    """
    ax.plot([0, 1], [0, 1], color="0.6", lw=1, ls=(0, (4, 3)))
    for index, (name, diagram) in enumerate(diagrams.items()):
        colour = PALETTE[index]
        ax.vlines(diagram.stated, diagram.low, diagram.high, color=colour, lw=1.4)
        sizes = 24 + 220 * diagram.counts / diagram.counts.sum()
        ax.scatter(diagram.stated, diagram.observed, sizes, color=colour, marker=MARKERS[index], ec="white", zorder=3)
        ax.plot([], [], MARKERS[index], color=colour, ms=7, mec="white", label=name)
    ax.set(xlabel=f"believed probability of {event}", ylabel=f"frequency of {event}", xlim=(0, 1), ylim=(0, 1))
    ax.set_aspect("equal")
    if len(diagrams) > 1:
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
