"""The live figures: their scripts compute what the package computes, and can be worked by mouse, touch and keyboard."""

import json

import nbformat
import numpy as np
import pytest
from book.pages import ROOT, has_image

from book import browser
from llma_tutorial.beliefs import best_response, filter_step
from llma_tutorial.control import stopping
from llma_tutorial.many_agents.social import SocialLearning, cascade_region, simulate

FIGURES = ("herd", "simplex", "stopping")
SCRIPTS = ("explorable", "explorable-beliefs", *(f"explorable-{name}" for name in FIGURES))
PLACES = "".join(f'<div class="explorable" data-explorable="{name}">words for {name}</div>' for name in FIGURES)
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Live figures</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="{static}/explorables.css">
<script>window.faults = []; addEventListener("error", (event) => faults.push(event.message));</script>
{scripts}<article>{places}</article></html>"""
NEAR_MISS = -np.abs(np.subtract.outer(range(3), range(3)))

pytestmark = pytest.mark.skipif(browser.EXECUTABLE is None, reason="no Chromium on this machine")


class Figures:
    """A page with the three figures, opened from the disk."""

    def __init__(self, folder, chromium):
        static = (ROOT / "book/_static").as_uri()
        scripts = "".join(f'<script defer src="{static}/{name}.js"></script>' for name in SCRIPTS)
        file = folder / "figures.html"
        file.write_text(PAGE.format(static=static, scripts=scripts, places=PLACES), encoding="utf-8")
        self.url, self.chromium = file.as_uri(), chromium

    def open(self):
        """Load the page anew and give the addresses it asked for."""
        return self.chromium.requests(self.url)

    def run(self, program, **values):
        """Value of a JavaScript expression; `values` are its names."""
        names = "".join(f"const {name} = {json.dumps(value)};" for name, value in values.items())
        answer = self.chromium.call(
            "Runtime.evaluate", expression=f"(() => {{ {names} return ({program}); }})()", returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]["exception"]["description"]
        return answer["result"].get("value")

    def sentence(self, figure):
        """The words under a figure."""
        return self.run("document.querySelector(`[data-explorable=${name}] .sentence`).textContent", name=figure)

    def slide(self, label, value):
        """Move the slider with this label."""
        self.run(
            """(() => { const input = [...document.querySelectorAll(".slider")]
              .find((row) => row.textContent.startsWith(label)).querySelector("input");
              input.value = value; input.dispatchEvent(new Event("input")); })()""",
            label=label, value=value,
        )  # fmt: skip

    def click(self, words):
        """Press the button, or take the radio button, with these words."""
        self.run(
            """[...document.querySelectorAll(".explorable :is(button, .choice label)")]
            .find((element) => element.textContent === words).click()""",
            words=words,
        )

    def press(self, selector, key, times=1):
        """Focus an element and press a key."""
        self.run("document.querySelector(selector).focus()", selector=selector)
        for kind in ("keyDown", "keyUp") * times:
            self.chromium.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def centre(self, selector):
        """Middle of an element on the screen, scrolled to."""
        return self.run(
            """(() => { const element = document.querySelector(selector); element.scrollIntoView({ block: "center" });
              const box = element.getBoundingClientRect();
              return [box.left + box.width / 2, box.top + box.height / 2]; })()""",
            selector=selector,
        )


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser.opened(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def figures(tmp_path, chromium):
    page = Figures(tmp_path, chromium)
    page.asked = page.open()
    return page


def sensor(q):
    return np.array([[q, 1 - q], [1 - q, q]])


# --- the same numbers as the package --------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["signal", "first", "random"])
@pytest.mark.parametrize(("prior", "q"), [(0.5, 0.7), (0.5, 0.9), (0.36, 0.6), (0.1, 0.75), (0.2, 0.8)])
def test_agents_of_the_herd_act_as_in_the_package(figures, rule, prior, q):
    society = SocialLearning(sensor(q), np.eye(2), [1 - prior, prior], tie_break=rule)
    runs = simulate(society, 12, 60, rng=np.random.default_rng(3))
    # the last two societies have ties that rounding hides; a coin of 1/4 takes the first of two tied actions, one of
    # 3/4 the second: what the package drew, read off its runs
    agents = [
        [{"signal": y, "coin": 0.25 + 0.5 * a} for y, a in zip(*line, strict=True)]
        for line in zip(runs.observations.tolist(), runs.actions.tolist(), strict=True)
    ]
    program = """lines.map((agents) => explorable.herd.run(prior, q, rule, agents))
      .map(({ steps, next }) => ({ actions: steps.map((step) => step.action), herd: next.cascade,
        beliefs: [...steps, next].map((step) => step.public), herds: steps.map((step) => step.cascade) }))"""
    found = figures.run(program, lines=agents, prior=prior, q=q, rule=rule)
    np.testing.assert_array_equal([line["actions"] for line in found], runs.actions)
    np.testing.assert_allclose([line["beliefs"] for line in found], runs.public_beliefs[:, :, 1], atol=1e-9)
    herds = np.array([line["herds"] for line in found])
    started = np.arange(12) >= np.where(runs.cascade_start < 0, 12, runs.cascade_start)[:, None]
    np.testing.assert_array_equal(herds >= 0, started)
    np.testing.assert_array_equal(herds[started], runs.actions[started])


@pytest.mark.parametrize("q", [0.5, 0.55, 0.7, 0.95])
def test_bands_of_the_herd_are_the_cascade_regions(figures, q):
    society = SocialLearning(sensor(q), np.eye(2), [0.5, 0.5])
    expected = [cascade_region(society, action).interval for action in (0, 1)]
    np.testing.assert_allclose(figures.run("explorable.herd.intervals(q)", q=q), expected, atol=1e-12)


@pytest.mark.parametrize("utility", [np.eye(3), NEAR_MISS], ids=["exact", "near"])
def test_regions_of_the_triangle_are_those_of_the_package(figures, utility):
    rng = np.random.default_rng(11)
    matrices = [0.94 * rng.dirichlet(np.ones(3), 3) + 0.02 for _ in range(40)]
    matrices += [np.full((3, 3), 1 / 3), np.full((3, 3), 0.2) + 0.4 * np.eye(3)]
    program = "matrices.map((B) => [0, 1, 2].map((a) => explorable.beliefs.region(B, u, a)))"
    found = figures.run(program, matrices=[m.tolist() for m in matrices], u=utility.tolist())
    compared = 0
    for matrix, shapes in zip(matrices, found, strict=True):
        society = SocialLearning(matrix, utility, np.full(3, 1 / 3), tie_break="first")
        for action, shape in enumerate(shapes):
            expected = cascade_region(society, action).vertices
            np.testing.assert_allclose(np.reshape(shape, (-1, 3)), expected, atol=1e-12)
            compared += len(expected) > 2
    assert compared > 100


def test_what_agents_say_on_the_triangle_is_their_best_response(figures):
    rng = np.random.default_rng(12)
    beliefs = rng.dirichlet(np.ones(3), 200)
    matrix = 0.94 * rng.dirichlet(np.ones(3), 3) + 0.02
    program = (
        "beliefs.map((belief) => explorable.beliefs.actionLaw(belief, B, u, 'first').map((row) => row.indexOf(1)))"
    )
    found = figures.run(program, beliefs=beliefs.tolist(), B=matrix.tolist(), u=NEAR_MISS.tolist())
    after = [[filter_step(belief, matrix, y) for y in range(3)] for belief in beliefs]
    assert found == [[best_response(b, NEAR_MISS, tie_break="first") for b in three] for three in after]


STOPPING = {  # price, cost of a bad buy, of a missed good one, of a friend, precision of a review
    "kettle": (1, 20, 20, 15, 0.7),
    "a friend": (1, 20, 20, 5, 0.7),
    "never read": (5, 5, 5, 20, 0.6),
    "cheap and vague": (0.2, 40, 40, 20, 0.55),
    "one-sided": (0.5, 40, 5, 18, 0.85),
    "friend on one side": (0.4, 35, 12, 6, 0.62),
}


@pytest.mark.parametrize("name", STOPPING)
def test_costs_and_thresholds_of_stopping_are_those_of_the_package(figures, name):
    price, bad, good, friend, q = STOPPING[name]
    stop = [[0, bad, friend], [good, 0, friend]]
    problem = stopping.wald(sensor(q), stop, 0.99, price)
    solution = stopping.solve(problem, tolerance=1e-3)
    line = np.linspace(0, 1, 301)
    beliefs = np.stack([1 - line, line], axis=1)
    values = {"problem": {"B": sensor(q).tolist(), "price": price, "stop": stop, "discount": 0.99}}
    value = np.array(
        figures.run("line.map((p) => explorable.stopping.value(problem, p))", line=line.tolist(), **values)
    )
    lower, upper = solution.value(beliefs)
    assert (lower - 1e-9 <= value).all()
    assert (value <= upper + 1e-9).all()
    assert (upper - lower).max() <= 1e-3  # so that the bracket says something
    limits = figures.run("explorable.stopping.thresholds(problem)", **values)
    np.testing.assert_allclose(limits, solution.thresholds, atol=1e-3)
    pieces = figures.run("explorable.stopping.stretches(problem, limits)", limits=limits, **values)
    assert (pieces[0]["low"], pieces[-1]["high"]) == (0, 1)
    for piece in pieces:
        inside = np.linspace(piece["low"], piece["high"], 12)[1:-1]
        inside = np.stack([1 - inside, inside], axis=1)
        words = solution.policy(inside)
        assert set(words) <= {"continue" if piece["action"] < 0 else "stop", "undecided"}
        assert piece["action"] < 0 or set(problem.stop_action(inside)) == {piece["action"]}


def test_thresholds_of_stopping_balance_both_choices(figures):
    # at a threshold one more review costs what stopping costs; just beside it, it does not
    problem = {"B": sensor(0.7).tolist(), "price": 1, "stop": [[0, 20, 5], [20, 0, 5]], "discount": 0.99}
    model = stopping.wald(sensor(0.7), problem["stop"], 0.99)
    fine = stopping.solve(model)
    for limit in figures.run("explorable.stopping.thresholds(problem)", problem=problem):
        gains = []
        for p in (limit - 1e-3, limit, limit + 1e-3):
            chances, after = model.successors(np.array([[1 - p, p]]))
            later = 1 + 0.99 * chances[0] @ fine.value(after[0])[1]
            gains.append(model.stopping_cost([1 - p, p]) - later)
        assert abs(gains[1]) < 1e-9 < min(abs(gains[0]), abs(gains[2]))
        assert gains[0] * gains[2] < 0


def test_shoppers_stop_where_the_policy_of_the_package_stops(figures):
    problem = {"B": sensor(0.7).tolist(), "price": 1, "stop": [[0, 20], [20, 0]], "discount": 0.99}
    policy = stopping.solve(stopping.wald(sensor(0.7), problem["stop"], 0.99)).policy
    uniforms = np.random.default_rng(5).random((20, 60))
    program = """uniforms.map((row) => explorable.stopping.path(
      problem, explorable.stopping.thresholds(problem), 0.5, 1, row).beliefs)"""
    for path, row in zip(figures.run(program, problem=problem, uniforms=uniforms.tolist()), uniforms, strict=True):
        belief = np.array([0.5, 0.5])
        expected = [0.5]
        while policy(belief) == "continue":
            belief = filter_step(belief, sensor(0.7), int(row[len(expected) - 1] < 0.7))
            expected.append(belief[1])
        np.testing.assert_allclose(path, expected, atol=1e-9)


# --- worked by hand -------------------------------------------------------------------------------------------------


def test_clicks_climb_into_the_herd(figures):
    society = SocialLearning(sensor(0.7), np.eye(2), [0.5, 0.5])
    for words in ("one with a + review", "one with a + review", "one with a − review"):
        figures.click(words)
    frozen = filter_step(filter_step([0.5, 0.5], sensor(0.7), 1), sensor(0.7), 1)
    assert cascade_region(society, 1).contains(frozen)
    told = figures.sentence("herd")
    assert f"Agent 2 read an unfavourable review but bought. Public belief in a good blender: {frozen[1]:.3f}." in told
    assert "A herd: the next agent buys" in told
    figures.slide("prior belief", 0.2)  # the same reviews, another prior: nobody was ever torn
    assert "Public belief in a good blender: 0.200. A herd: the next agent passes" in figures.sentence("herd")
    figures.click("Start again")
    assert "Agent" not in figures.sentence("herd")


def test_the_rule_for_ties_decides_between_two_herds(figures):
    for words in ("one with a − review", "one with a + review", "one with a + review"):
        figures.click(words)
    assert "Agent 2 read a favourable review and bought." in figures.sentence("herd")
    figures.click("“pass”")
    told = figures.sentence("herd")
    assert "Agent 2 read a favourable review but passed." in told
    assert "A herd: the next agent passes" in told


def test_drawn_reviews_follow_the_truth(figures):
    figures.slide("precision", 0.95)
    figures.click("bad")
    for _ in range(12):
        figures.click("Next agent")
    assert "A herd: the next agent passes" in figures.sentence("herd")


def share_of_herds(matrix):
    society = SocialLearning(matrix, np.eye(3), np.full(3, 1 / 3), tie_break="first")
    shapes = [cascade_region(society, action).vertices[:, 1:] for action in range(3)]
    areas = [abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) for x, y in (shape.T for shape in shapes)]
    return f"Herds cover {100 * sum(areas):.1f}% of the triangle."


def test_arrow_keys_move_a_row_of_the_matrix_and_with_it_the_regions(figures):
    matrix = np.full((3, 3), 0.2) + 0.4 * np.eye(3)
    assert share_of_herds(matrix) in figures.sentence("simplex")
    figures.press(".law .edge", "ArrowRight", times=9)
    matrix[0] = [0.69, 0.11, 0.2]
    assert share_of_herds(matrix) in figures.sentence("simplex")
    assert figures.run("document.querySelector('.law .edge').getAttribute('aria-valuenow')") == "0.69"
    figures.press(".law .edge", "ArrowRight", times=20)  # no further than the other boundary
    matrix[0] = [0.78, 0.02, 0.2]
    assert share_of_herds(matrix) in figures.sentence("simplex")


def test_arrow_keys_move_the_belief(figures):
    before = figures.run("document.querySelector('.handle').getAttribute('aria-valuetext')")
    figures.press(".handle", "ArrowRight", times=6)
    after = figures.run("document.querySelector('.handle').getAttribute('aria-valuetext')")
    good = [float(text.split("good ")[1]) for text in (before, after)]
    assert good[1] > good[0]
    figures.press(".handle", "ArrowRight", times=60)
    assert "A herd: the next agent says good, whatever its review says." in figures.sentence("simplex")


def test_a_finger_drags_the_belief_into_a_herd(figures):
    figures.chromium.call("Emulation.setTouchEmulationEnabled", enabled=True)
    start = figures.centre(".handle .knob, .handle circle:last-child")
    top = figures.run(
        """(() => { const box = document.querySelector(".panels svg").getBoundingClientRect();
          return [box.left + box.width / 2, box.top + 45]; })()"""
    )
    for kind, at in (("touchStart", [start]), ("touchMove", [start]), ("touchMove", [top]), ("touchEnd", [])):
        figures.chromium.call("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y} for x, y in at])
    figures.chromium.call("Emulation.setTouchEmulationEnabled", enabled=False)
    assert "A herd: the next agent says fair, whatever its review says." in figures.sentence("simplex")


def test_sliders_of_stopping_move_the_solution(figures):
    assert "the best plan costs 6.381 minutes" in figures.sentence("stopping")  # as the chapter prints
    figures.slide("cost of asking", 5)
    solution = stopping.solve(stopping.wald(sensor(0.7), [[0, 20, 5], [20, 0, 5]], 0.99))
    shown = figures.run("[...document.querySelectorAll('[data-explorable=stopping] text')].map((t) => t.textContent)")
    assert {f"{limit:.3f}" for limit in solution.thresholds} <= set(shown)
    figures.slide("first belief", 0.28)
    assert f"costs {solution.value([0.72, 0.28])[1]:.3f} minutes" in figures.sentence("stopping")


def test_other_shoppers_come_at_a_click(figures):
    before = figures.run("document.querySelector('[data-explorable=stopping] svg').innerHTML")
    figures.click("Twelve other shoppers")
    assert figures.run("document.querySelector('[data-explorable=stopping] svg').innerHTML") != before


# --- as pages of a book ---------------------------------------------------------------------------------------------


def test_figures_ask_no_host_and_raise_nothing(figures):
    assert {address.split(":")[0] for address in figures.asked} == {"file"}
    assert len(figures.asked) == 1 + 1 + len(SCRIPTS)
    for words in ("Next agent", "sharp on good", "a near miss costs half", "Twelve other shoppers", "knows nothing"):
        figures.click(words)
    assert figures.run("faults") == []


def test_everything_that_can_be_worked_has_a_name(figures):
    figures.chromium.call("Accessibility.enable")
    nodes = figures.chromium.call("Accessibility.getFullAXTree")["nodes"]
    figures.chromium.call("Accessibility.disable")
    roles = {}
    for node in nodes:
        if not node["ignored"]:
            roles.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", "").strip())
    assert len(roles["slider"]) == 2 + 7 + 6
    assert len(roles["radio"]) == 7
    assert len(roles["button"]) == 9
    assert len([name for name in roles["group"] if name.startswith("Live figure")]) == len(FIGURES)
    assert all(name for role in ("slider", "radio", "button", "image", "group") for name in roles[role])
    assert len(set(roles["slider"])) == 2 + 7 + 6 - 1  # in two figures reviews have a precision


def test_nothing_is_cut_off_on_a_phone(figures):
    assert figures.chromium.cut_off(figures.url) == []
    figures.chromium.call("Emulation.clearDeviceMetricsOverride")


def test_without_scripts_the_words_remain(figures):
    figures.chromium.call("Emulation.setScriptExecutionDisabled", value=True)
    figures.open()
    root = figures.chromium.call("DOM.getDocument")["root"]["nodeId"]
    html = figures.chromium.call("DOM.getOuterHTML", nodeId=root)["outerHTML"]
    figures.chromium.call("Emulation.setScriptExecutionDisabled", value=False)
    assert [f"words for {name}" in html for name in FIGURES] == [True, True, True]
    assert "<svg" not in html


def homes():
    """Page and cell of every live figure of the book."""
    for path in sorted((ROOT / "book").glob("*/*.ipynb")):
        for number, cell in enumerate(cells := nbformat.read(path, 4).cells):
            for name in FIGURES:
                if cell.cell_type == "markdown" and f'data-explorable="{name}"' in cell.source:
                    yield name, path, cells[:number]


def test_each_live_figure_stands_once_in_the_book_after_a_drawn_one():
    found = list(homes())
    assert sorted(name for name, _, _ in found) == sorted(FIGURES)
    for _, path, before in found:
        assert any(has_image(output) for output in before[-1].get("outputs", [])), path


@pytest.mark.skipif(not (ROOT / "_build/html/index.html").exists(), reason="the site is not built: run `make book`")
def test_figures_live_on_the_built_pages(chromium):
    for name, path, _ in homes():
        page = ROOT / "_build/html" / path.relative_to(ROOT).with_suffix(".html")
        asked = chromium.requests(page.as_uri(), seconds=60)
        assert {f"explorable-{other}.js" in " ".join(asked) for other in FIGURES if other != name} == {False}
        expression = f"document.querySelector('[data-explorable={name}] .sentence').textContent.length"
        assert chromium.call("Runtime.evaluate", expression=expression)["result"].get("value", 0) > 40, name
