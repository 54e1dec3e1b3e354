/* Stopping: costs as sliders; the value function and its thresholds move, and twelve shoppers read until they stop. */

"use strict";

explorable.stopping = (() => {
  const { indices } = explorable.beliefs;

  const stopCost = ({ stop }, p, a) => (1 - p) * stop[0][a] + p * stop[1][a];
  const cheapest = ({ stop }, p) => Math.min(...stop[0].map((cost, a) => (1 - p) * cost + p * stop[1][a]));
  const chance = ({ B }, p, y) => (1 - p) * B[0][y] + p * B[1][y];
  const after = (problem, p, y) => (p * problem.B[1][y]) / chance(problem, p, y);

  /* Optimal cost at belief p in state 1, exactly. With B = [[q, 1 - q], [1 - q, q]] and a fixed state, opposite
     observations cancel: from p, beliefs move up and down a ladder. A ladder ends where the cheapest final action
     costs no more than one observation, because there stopping is optimal. On it policy iteration (Howard) takes a
     few tridiagonal systems. A problem has B, price, stop[x][a] and discount; no final action has a negative cost. */
  function value(problem, p) {
    const ladder = [p];
    const surelyStops = (belief) => cheapest(problem, belief) <= problem.price;
    while (!surelyStops(ladder.at(-1))) ladder.push(after(problem, ladder.at(-1), 1));
    while (!surelyStops(ladder[0])) ladder.unshift(after(problem, ladder[0], 0));
    const stop = ladder.map((belief) => cheapest(problem, belief));
    const down = ladder.map((belief) => problem.discount * chance(problem, belief, 0));
    const up = ladder.map((belief) => problem.discount * chance(problem, belief, 1));
        let goes = stop.map((_, k) => k > 0 && k < ladder.length - 1);
    for (;;) {
      const costs = follow(goes, stop, problem.price, down, up);
      const better = goes.map((_, k) => {
        const inside = k > 0 && k < ladder.length - 1;
        return inside && problem.price + down[k] * costs[k - 1] + up[k] * costs[k + 1] < stop[k] - 1e-12;
      });
      if (better.every((is, k) => is === goes[k])) return costs[ladder.indexOf(p)];
      goes = better;
    }
  }

  /* Cost on every rung of going on where `goes` and stopping elsewhere: a tridiagonal system, solved by elimination. */
  function follow(goes, stop, price, down, up) {
    const [slope, level] = [[], []]; // the cost of a rung is level + slope * (cost of the next one)
    goes.forEach((is, k) => {
      const pivot = is ? 1 - down[k] * slope[k - 1] : 1;
      slope.push(is ? up[k] / pivot : 0);
      level.push(is ? (price + down[k] * level[k - 1]) / pivot : stop[k]);
    });
    const costs = [...level];
    for (let k = costs.length - 2; k >= 0; k -= 1) costs[k] += slope[k] * costs[k + 1];
    return costs;
  }

  /* What one more observation saves over stopping now. */
  const gain = (problem, p) =>
    cheapest(problem, p) - problem.price -
    problem.discount * [0, 1].reduce((sum, y) => sum + chance(problem, p, y) * value(problem, after(problem, p, y)), 0);

  /* Beliefs at which two final actions cost the same. */
  function ties({ stop }) {
    const found = [];
    for (const a of indices(stop[0].length)) {
      for (const b of indices(a)) {
        const [zero, one] = [stop[0][a] - stop[0][b], stop[1][a] - stop[1][b]];
        if (zero * one < 0) found.push(zero / (zero - one));
      }
    }
    return found.sort((p, q) => p - q);
  }

  /* Where a function changes its sign between two places, by bisection. */
  function root(f, low, high) {
    const sign = f(low) > 0;
    for (let i = 0; i < 45; i += 1) {
      const middle = (low + high) / 2;
      if (f(middle) > 0 === sign) low = middle;
      else high = middle;
    }
    return (low + high) / 2;
  }

  /* Where a convex function is lowest, or some place where it is not positive: an end, or found by thirds. */
  function lowest(f, low, high) {
    if (f(low) <= 0) return low;
    if (f(high) <= 0) return high;
    for (let i = 0; i < 30; i += 1) {
      const [one, two] = [low + (high - low) / 3, high - (high - low) / 3];
      const [here, there] = [f(one), f(two)];
      if (Math.min(here, there) <= 0) return here <= 0 ? one : two;
      if (here < there) high = two;
      else low = one;
    }
    return (low + high) / 2;
  }

  /* Beliefs at which the best choice changes between stopping and going on. Between two ties one final action is
     cheapest; there the gain is a straight line less a concave function, so stopping is optimal on one interval. */
  function thresholds(problem) {
    const f = (p) => gain(problem, p);
    const ends = [0, ...ties(problem), 1];
    const found = [];
    for (let i = 1; i < ends.length; i += 1) {
      const stops = lowest(f, ends[i - 1], ends[i]);
      if (f(stops) > 0) continue;
      if (f(ends[i - 1]) > 0) found.push(root(f, ends[i - 1], stops));
      if (f(ends[i]) > 0) found.push(root(f, stops, ends[i]));
    }
    return found;
  }

  /* Going on is optimal between thresholds 0 and 1, 2 and 3, ...: where the state is certain, stopping is free. */
  const goesOn = (limits, p) => limits.some((low, i) => i % 2 === 0 && low < p && p < limits[i + 1]);

  /* Belief in state 1, one observation after the other, until stopping is optimal (or the readings run out).
     `uniforms` decide the signals. */
  function path(problem, limits, start, truth, uniforms) {
    const beliefs = [start];
    for (const uniform of uniforms) {
      if (!goesOn(limits, beliefs.at(-1))) break;
      beliefs.push(after(problem, beliefs.at(-1), uniform < problem.B[truth][1] ? 1 : 0));
    }
    return { beliefs, stopped: !goesOn(limits, beliefs.at(-1)) };
  }

  /* What is best where: stretches of belief from 0 to 1, with the final action, or -1 for going on. */
  function stretches(problem, limits) {
    const ends = [0, ...limits, ...ties(problem), 1].sort((p, q) => p - q);
    const found = [];
    for (let i = 1; i < ends.length; i += 1) {
      const middle = (ends[i - 1] + ends[i]) / 2;
      const costs = indices(problem.stop[0].length).map((a) => stopCost(problem, middle, a));
      const action = goesOn(limits, middle) ? -1 : costs.indexOf(Math.min(...costs));
      if (found.at(-1)?.action === action) found.at(-1).high = ends[i];
      else found.push({ low: ends[i - 1], high: ends[i], action });
    }
    return found;
  }

  return { value, thresholds, ties, path, stretches, cheapest, stopCost };
})();

explorable.figure("stopping", "when to stop reading", (root) => {
  const { svg, html, write, scale, line, marker, slider, button } = explorable;
  const { value, thresholds, ties, path, stretches, cheapest, stopCost } = explorable.stopping;
  const ACTIONS = ["leave it", "buy it", "ask a friend"];
  const STOPS = ["leave now", "buy now", "ask now"];
  const MOST = 60; // reviews; nobody is followed for longer
  const STEP = 160; // milliseconds per review while the paths grow
  const state = { price: 1, bad: 20, good: 20, friend: 15, precision: 0.7, start: 0.5, seed: 1928 };
  let [width, longest, animation] = [0, 0, 0];

  const drawing = svg(root, "svg", { role: "img" });
  explorable.legend(root, [
    [(sign) => marker(sign, 0, 11, 8, 6), "decides about a bad kettle"],
    [(sign) => marker(sign, 1, 11, 8, 6), "about a good one"],
  ]);
  const say = explorable.sentence(root);
  const controls = html(root, "div", { class: "controls" });
  const two = (value) => value.toFixed(2);
  const minutes = (value) => `${value.toFixed(value % 1 ? 1 : 0)} min`;
  let solved = solve();
  const dial = (label, key, min, max, step, shown = minutes) => {
    const change = (value) => {
      state[key] = value;
      solved = solve();
      draw();
    };
    slider(controls, { label, min, max, step, value: state[key], shown, change });
  };
  dial("price of a review", "price", 0.2, 5, 0.1);
  dial("precision of a review", "precision", 0.55, 0.9, 0.01, two);
  dial("cost of a bad buy", "bad", 5, 40, 1);
  dial("cost of a missed one", "good", 5, 40, 1);
  dial("cost of asking a friend", "friend", 1, 20, 0.5);
  dial("first belief", "start", 0.05, 0.95, 0.01, two);
  const buttons = html(controls, "div", { class: "buttons" });
  button(buttons, "Twelve other shoppers", () => play(), { class: "main" });

  function solve() {
    const q = state.precision;
    const stop = [[0, state.bad, state.friend], [state.good, 0, state.friend]];
    const problem = { B: [[q, 1 - q], [1 - q, q]], price: state.price, stop, discount: 0.99 };
    const limits = thresholds(problem);
    const places = [...explorable.beliefs.indices(121).map((i) => i / 120), ...limits, ...ties(problem)];
    const curve = places.sort((p, q) => p - q).map((p) => [p, value(problem, p)]);
    return { problem, limits, curve, pieces: stretches(problem, limits) };
  }

  function shoppers({ problem, limits }) {
    const random = explorable.generator(state.seed);
    return explorable.beliefs.indices(12).map((index) => {
      const uniforms = Array.from({ length: MOST }, random);
      return { truth: index % 2, ...path(problem, limits, state.start, index % 2, uniforms) };
    });
  }

  /* Other shoppers: their paths grow, unless the reader's system asks for less motion. */
  function play() {
    state.seed += 1;
    cancelAnimationFrame(animation);
    draw();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const start = performance.now();
    const frame = (now) => {
      const shown = (now - start) / STEP;
      draw(width, shown < longest ? shown : Infinity);
      if (shown < longest) animation = requestAnimationFrame(frame);
    };
    animation = requestAnimationFrame(frame);
  }

  function words({ problem, pieces }, runs) {
    const does = pieces.map(({ low, high, action }) => {
      const name = action < 0 ? "read on" : ACTIONS[action];
      return `${name} from ${low.toFixed(3)} to ${high.toFixed(3)}`;
    });
    const reviews = runs.reduce((total, { beliefs }) => total + beliefs.length - 1, 0) / runs.length;
    const wrong = runs.filter(({ truth, beliefs }) => {
      const costs = ACTIONS.map((_, action) => stopCost(problem, beliefs.at(-1), action));
      return costs.indexOf(Math.min(...costs)) === 1 - truth;
    });
    const cost = value(problem, state.start).toFixed(3);
    const plan = `From the first belief ${two(state.start)}, the best plan costs ${cost} minutes on average.`;
    const decide = wrong.length === 1 ? "decides" : "decide";
    const read = reviews.toFixed(1);
    const these = `These twelve shoppers read ${read} reviews each, and ${wrong.length} ${decide} wrongly.`;
    return [`${plan} ${these}`, `By belief: ${does.join(", ")}.`];
  }

  function draw(newWidth = width, shown = Infinity) {
    width = newWidth;
    const runs = shoppers(solved);
    longest = Math.max(...runs.map(({ beliefs }) => beliefs.length - 1));
    const x = scale(0, 1, 40, width - 16);
    const tall = width > 560 ? 190 : 140;
    const costs = { high: 44, low: 44 + tall };
    const paths = { high: costs.low + 50, low: costs.low + 50 + tall };
    const told = words(solved, runs);
    drawing.replaceChildren();
    drawing.setAttribute("viewBox", `0 0 ${width} ${paths.low + 4}`);
    const shows = "Optimal cost over the belief, and shoppers who read until they stop.";
    drawing.setAttribute("aria-label", `${shows} ${told.join(" ")}`);
    drawStretches(solved, x, costs, paths);
    drawCosts(solved, x, costs);
    drawThresholds(solved, x, costs, paths);
    drawPaths(runs, x, paths, shown);
    if (shown === Infinity) say(...told);
  }

  function drawStretches({ pieces }, x, costs, paths) {
    for (const { low, high, action } of pieces) {
      const [from, to] = [x(low), x(high)];
      for (const { high: top, low: end } of action < 0 ? [] : [costs, paths]) {
        svg(drawing, "rect", { class: `band-${action}`, x: from, y: top, width: to - from, height: end - top });
      }
      const name = action < 0 ? "read on" : ACTIONS[action];
      if (to - from > 6.5 * name.length) write(drawing, name, (from + to) / 2, costs.high - 8, "middle", "");
    }
  }

  function drawCosts({ problem, curve }, x, { high, low }) {
    const kink = Math.max(...curve.map(([p]) => cheapest(problem, p))); // what stopping costs at worst
    const limit = [4, 6, 8, 12, 16, 20, 24].find((value) => value >= 1.1 * kink);
    const y = scale(0, limit, low, high);
    write(drawing, "expected cost in minutes", 0, 14, "start", "small strong");
    for (const tick of [0, limit / 2, limit]) write(drawing, String(tick), x(0) - 8, y(tick) + 4, "end");
    for (const action of [0, 1, 2]) drawStopCost(problem, action, kink, limit, x, y);
    svg(drawing, "path", { class: "value", d: line(curve.map(([p, cost]) => [x(p), y(cost)])) });
    write(drawing, "optimal cost", x(0.5), y(value(problem, 0.5)) + 20, "middle", "halo");
    svg(drawing, "circle", { class: "knob", cx: x(state.start), cy: y(value(problem, state.start)), r: 5 });
  }

  /* The straight line of what stopping with one action costs, as far as the panel goes, with its name beside it. */
  function drawStopCost(problem, action, kink, limit, x, y) {
    const [zero, one] = [0, 1].map((p) => stopCost(problem, p, action));
    if (Math.min(zero, one) > kink) return; // never the cheapest
    const where = (cost) => (cost - zero) / (one - zero);
    const ends = [zero <= limit ? 0 : where(limit), one <= limit ? 1 : where(limit)];
    const points = ends.map((p) => [x(p), y(zero + p * (one - zero))]);
    svg(drawing, "path", { class: `cost line-${action}`, d: line(points) });
    const spot = action === 2 ? x(1) : x(where(0.8 * kink)); // outside the crossing of the two lines there is room
    const room = action === 1 ? x(1) - spot : spot - x(0);
    const height = action === 2 ? y(zero) - 6 : y(0.8 * kink) - 4;
    const side = action === 1 ? 8 : -8;
    if (room > 72) write(drawing, STOPS[action], spot + side, height, side < 0 ? "end" : "start", "small halo");
  }

  function drawThresholds({ limits }, x, costs, paths) {
    for (const threshold of limits) {
      const at = x(threshold);
      svg(drawing, "line", { class: "threshold", x1: at, x2: at, y1: costs.high, y2: costs.low });
      svg(drawing, "line", { class: "threshold", x1: at, x2: at, y1: paths.high, y2: paths.low });
      write(drawing, threshold.toFixed(3), at, costs.low + 16, "middle", "small strong");
    }
    for (const end of [0, 1]) write(drawing, String(end), x(end), costs.low + 16);
    write(drawing, "belief in a good kettle", x(0.5), costs.low + 38, "middle", "small strong");
    write(drawing, "reviews", 0, costs.low + 38, "start", "small strong");
  }

  function drawPaths(runs, x, { high, low }, shown) {
    const last = Math.max(4, longest);
    const y = scale(0, last, high + 10, low - 10);
    for (const tick of [0, Math.ceil(last / 2), last]) write(drawing, String(tick), x(0) - 8, y(tick) + 4, "end");
    const spots = runs.map(({ beliefs }) => `${beliefs.length} ${beliefs.at(-1).toFixed(6)}`);
    runs.forEach(({ truth, beliefs, stopped }, index) => {
      const points = beliefs.map((p, k) => [x(p) + index - 5.5, y(k)]); // equal paths show as bundles
      const end = x(beliefs.at(-1));
      if (stopped) {
        const together = spots.filter((spot) => spot === spots[index]).length; // they stand side by side
        const before = spots.slice(0, index).filter((spot) => spot === spots[index]).length;
        const [side, room] = beliefs.at(-1) < 0.5 ? [-1, end - x(0)] : [1, x(1) - end];
        points.at(-1)[0] = end + side * before * Math.min(11, room / together);
      }
      const seen = points.slice(0, Math.floor(shown) + 1);
      svg(drawing, "path", { class: `path line-${truth}`, d: line(seen) });
      if (stopped && shown >= beliefs.length - 1) marker(drawing, truth, ...points.at(-1), 5.5);
    });
  }

  return draw;
});
