/* The herd: a line of agents, one click each, and a public belief that climbs into a cascade region. */

"use strict";

explorable.herd = (() => {
  const { update, actionLaw, cascade, afterAction, region, column } = explorable.beliefs;
  const UTILITY = [[1, 0], [0, 1]]; // one unit when the action fits the state
  const matrix = (q) => [[q, 1 - q], [1 - q, q]];

  /* What agents with these signals do, one by one, and what the next one would do. A `coin` in [0, 1) settles ties. */
  function run(prior, precision, ties, agents) {
    const B = matrix(precision);
    let public_ = [1 - prior, prior];
    const look = () => {
      const law = actionLaw(public_, B, UTILITY, ties);
      const private_ = [0, 1].map((y) => update(public_, column(B, y))[1]);
      return { public: public_[1], private: private_, law, cascade: cascade(law) };
    };
    const steps = agents.map(({ signal, coin }) => {
      const here = look();
      const open = [0, 1].filter((a) => here.law[signal][a] > 0);
      const action = open[Math.floor(coin * open.length)];
      public_ = afterAction(public_, B, here.law, action);
      return { ...here, signal, action };
    });
    return { steps, next: look() };
  }

  /* Both cascade regions as intervals of belief in state 1. */
  const intervals = (precision) =>
    [0, 1].map((action) => {
      const ends = column(region(matrix(precision), UTILITY, action), 1);
      return [Math.min(...ends), Math.max(...ends)];
    });

  return { run, intervals };
})();

explorable.figure("herd", "a line of agents", (root) => {
  const { svg, html, write, scale, line, marker, slider, choice, button } = explorable;
  const state = { prior: 0.5, precision: 0.7, ties: "signal", good: "good", agents: [] };
  const random = explorable.generator(1992);
  const DOES = ["passes", "buys"];
  const DID = ["passed", "bought"];
  const READ = ["an unfavourable", "a favourable"];
  const SIGNS = ["−", "+"];
  let width = 0;

  const drawing = svg(root, "svg", { role: "img" });
  explorable.legend(root, [
    [(sign) => svg(sign, "path", { class: "stairs", d: "M0 8h22" }), "public belief"],
    [(sign) => marker(sign, 1, 11, 8, 6), "private belief, buys"],
    [(sign) => marker(sign, 0, 11, 8, 6), "private belief, passes"],
    [(sign) => svg(sign, "text", { class: "sign lost", x: 6, y: 13 }, "+"), "review that nobody can infer"],
  ]);
  const say = explorable.sentence(root);
  const controls = html(root, "div", { class: "controls" });

  const send = (signal) => {
    const drawn = random() < (state.good === "good" ? state.precision : 1 - state.precision) ? 1 : 0;
    state.agents.push({ signal: signal ?? drawn, coin: random() });
    draw();
  };
  const set = (key) => (value) => {
    state[key] = value;
    draw();
  };
  const again = () => {
    state.agents = [];
    draw();
  };
  const buttons = html(controls, "div", { class: "buttons" });
  button(buttons, "Next agent", () => send(), { class: "main" });
  button(buttons, "one with a + review", () => send(1));
  button(buttons, "one with a − review", () => send(0));
  button(buttons, "Start again", again);
  const two = (value) => value.toFixed(2);
  const dial = (label, key, min) =>
    slider(controls, { label, min, max: 0.95, step: 0.01, value: state[key], shown: two, change: set(key) });
  dial("prior belief in good", "prior", 0.05);
  dial("precision of a review", "precision", 0.5);
  const ties = { signal: "its review", first: "“pass”", random: "a coin" };
  choice(controls, { label: "if torn, follow", options: ties, value: "signal", change: set("ties") });
  const truths = { bad: "bad", good: "good" };
  choice(controls, { label: "the blender is really", options: truths, value: "good", change: set("good") });

  function words({ steps, next }) {
    const belief = `Public belief in a good blender: ${next.public.toFixed(3)}.`;
    const ahead = next.cascade < 0
      ? "The next agent’s action will depend on its review."
      : `A herd: the next agent ${DOES[next.cascade]}, whatever it reads, and so does everybody after it.`;
    if (!steps.length) return `${belief} ${ahead}`;
    const { signal, action } = steps.at(-1);
    const but = signal === action ? "and" : "but";
    return `Agent ${steps.length - 1} read ${READ[signal]} review ${but} ${DID[action]}. ${belief} ${ahead}`;
  }

  function draw(newWidth = width) {
    width = newWidth;
    const { steps, next } = explorable.herd.run(state.prior, state.precision, state.ties, state.agents);
    const columns = width < 560 ? 10 : 16;
    const first = Math.max(0, steps.length + 1 - columns); // the window moves on with the line
    const [left, right, top, bottom] = [52, width - 46, 26, 286];
    const x = scale(first, first + columns, left, right);
    const y = scale(0, 1, bottom, top);
    drawing.replaceChildren();
    drawing.setAttribute("viewBox", `0 0 ${width} 342`);
    drawing.setAttribute("aria-label", `Belief of a line of agents, agent by agent. ${words({ steps, next })}`);
    frame(x, y, left, right, columns, first);
    svg(drawing, "rect", { class: "now", x: x(steps.length), y: top, width: x(1) - x(0), height: bottom + 52 - top });

    const stairs = [];
    [...steps, next].forEach(({ public: belief }, agent) => {
      if (agent >= first) stairs.push([x(agent), y(belief)], [x(agent + 1), y(belief)]);
    });
    svg(drawing, "path", { class: "stairs", d: line(stairs) });
    steps.forEach((step, agent) => {
      if (agent >= first) drawAgent(step, x(agent + 0.5), y, bottom, agent === steps.length - 1);
    });
    [0, 1].forEach((signal) => drawGhost(next, signal, x(steps.length + 0.5), y));
    write(drawing, "next", x(steps.length + 0.5), bottom + 18, "middle", "small strong");
    say(words({ steps, next }));
  }

  function frame(x, y, left, right, columns, first) {
    const names = ["herd: all pass", "herd: all buy"];
    explorable.herd.intervals(state.precision).forEach(([low, high], action) => {
      const box = { x: left, y: y(high), width: right - left, height: y(low) - y(high) };
      svg(drawing, "rect", { class: `band-${action}`, ...box });
      write(drawing, names[action], right - 8, action ? y(1) + 18 : y(0) - 9, "end", "");
      const edge = action ? low : high;
      if (Math.abs(edge - 0.5) > 0.04) write(drawing, two(edge), right + 6, y(edge) + 4, "start");
    });
    svg(drawing, "line", { class: "half", x1: left, x2: right, y1: y(0.5), y2: y(0.5) });
    write(drawing, "torn", right + 6, y(0.5) + 4, "start");
    write(drawing, "belief in a good blender", 0, 14, "start", "small strong");
    for (const tick of [0, 0.5, 1]) write(drawing, String(tick), left - 8, y(tick) + 4, "end");
    ["agent", "reads", "does"].forEach((row, index) => write(drawing, row, left - 8, y(0) + 18 * (index + 1), "end"));
    for (let agent = first; agent < Math.min(first + columns, state.agents.length); agent += 1) {
      write(drawing, String(agent), x(agent + 0.5), y(0) + 18);
    }
  }

  function drawAgent({ public: belief, private: after, signal, action, cascade }, x, y, bottom, isNew) {
    const group = svg(drawing, "g", { class: isNew ? "new" : "" });
    svg(group, "line", { class: "whisker", x1: x, x2: x, y1: y(belief), y2: y(after[signal]) });
    marker(group, action, x, y(after[signal]), 6);
    write(group, SIGNS[signal], x, bottom + 37, "middle", cascade < 0 ? "sign" : "sign lost");
    marker(group, action, x, bottom + 50, 5);
  }

  function drawGhost({ public: belief, private: after, law }, signal, x, y) {
    const place = x + (signal ? 4 : -4);
    const action = law[signal].indexOf(Math.max(...law[signal]));
    svg(drawing, "line", { class: "whisker ghost", x1: place, x2: place, y1: y(belief), y2: y(after[signal]) });
    const torn = law[signal][action] < 1;
    marker(drawing, action, place, y(after[signal]), 5, { class: torn ? "torn" : `ghost action-${action}` });
    write(drawing, SIGNS[signal], place, y(after[signal]) + (signal ? -9 : 17));
  }

  return draw;
});
