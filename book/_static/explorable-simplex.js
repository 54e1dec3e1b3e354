/* The triangle of beliefs: cascade regions of three states that move with the observation matrix and the payoff. */

"use strict";

explorable.figure("simplex", "the triangle of beliefs", (root) => {
  const { svg, html, write, line, marker, choice, button, draggable } = explorable;
  const { update, actionLaw, cascade, region, column, indices } = explorable.beliefs;
  const NAMES = ["bad", "fair", "good"];
  const LEAST = 0.02; // no signal rules a state out
  const EXAMPLES = {
    "errs evenly": [[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]],
    "errs to the next word": [[0.6, 0.35, 0.05], [0.2, 0.6, 0.2], [0.05, 0.35, 0.6]],
    "sharp on good": [[0.5, 0.45, 0.05], [0.45, 0.5, 0.05], [0.05, 0.05, 0.9]],
    "knows nothing": [[0.34, 0.33, 0.33], [0.34, 0.33, 0.33], [0.34, 0.33, 0.33]],
  };
  const PAYOFFS = {
    exact: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    near: [[0, -1, -2], [-1, 0, -1], [-2, -1, 0]], // u(x, a) = -|x - a|
  };
  const state = { B: structuredClone(EXAMPLES["errs evenly"]), payoff: "exact", belief: [0.3, 0.32, 0.38] };
  let width = 0;

  const panels = html(root, "div", { class: "panels" });
  const drawing = svg(panels, "svg", { role: "group" });
  const beneath = svg(drawing, "g"); // drawn anew each time; the handle stays, and with it the focus
  const handle = svg(drawing, "g", { class: "handle", role: "slider", tabindex: 0, "aria-label": "public belief" });
  svg(handle, "circle", { class: "touch", r: 24 });
  const knob = svg(handle, "g");
  const side = html(panels, "div", { class: "side" });
  const say = explorable.sentence(root);
  const controls = html(root, "div", { class: "controls" });

  /* Rows of B as bars with two handles each. */
  html(side, "p", { class: "title" }, "What reviews say, by true state");
  const rows = NAMES.map((name, x) => {
    const row = html(side, "div", { class: "law" });
    html(row, "span", { class: "name" }, `if ${name}`);
    const bar = html(row, "div", { class: "bar" });
    const parts = NAMES.map((_, y) => html(bar, "div", { class: `share share-${y}` }));
    const handles = [0, 1].map((y) => {
      const label = `if ${name}: probability of a review that says ${y ? "bad or fair" : "bad"}`;
      const knob = html(bar, "div", { class: "edge", role: "slider", tabindex: 0, "aria-label": label });
      const move = (to) => {
        const [low, high] = y ? [state.B[x][0] + LEAST, 1 - LEAST] : [LEAST, 1 - state.B[x][2] - LEAST];
        const place = Math.round(100 * Math.min(high, Math.max(low, to))) / 100;
        const [one, two] = y ? [state.B[x][0], place] : [place, 1 - state.B[x][2]];
        state.B[x] = [one, two - one, 1 - two];
        draw();
      };
      draggable(knob, {
        drag: (left) => move((left - bar.getBoundingClientRect().left) / bar.clientWidth),
        key: (right, up) => move((y ? 1 - state.B[x][2] : state.B[x][0]) + 0.01 * (right + up)),
      });
      return knob;
    });
    return { parts, handles };
  });
  const key = html(side, "p", { class: "key" });
  html(key, "span", {}, "it says:");
  NAMES.forEach((name, y) => html(key, "span", { class: `share-${y}` }, name));

  const buttons = html(controls, "div", { class: "buttons" });
  for (const [name, B] of Object.entries(EXAMPLES)) {
    button(buttons, name, () => {
      state.B = structuredClone(B);
      draw();
    });
  }
  const payoffs = { exact: "only the exact word pays", near: "a near miss costs half" };
  const change = (value) => {
    state.payoff = value;
    draw();
  };
  choice(controls, { label: "payoff", options: payoffs, value: "exact", change, wide: true });

  /* The triangle: bad left, fair on top, good right, as in the package's plots. */
  let corners = [];
  const mix = (weights, points) => [0, 1].map((axis) => weights.reduce((sum, w, i) => sum + w * points[i][axis], 0));
  const place = (belief) => mix(belief, corners);
  function beliefAt(left, top) {
    const [[x0, y0], [x1, y1], [x2, y2]] = corners;
    const area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0);
    const fair = ((left - x0) * (y2 - y0) - (x2 - x0) * (top - y0)) / area;
    const good = ((x1 - x0) * (top - y0) - (left - x0) * (y1 - y0)) / area;
    const inside = [1 - fair - good, fair, good].map((share) => Math.max(0.001, share));
    return update(inside, [1, 1, 1]);
  }
  function moveTo(clientX, clientY) {
    const box = drawing.getBoundingClientRect();
    state.belief = beliefAt(clientX - box.left, clientY - box.top);
    draw();
  }
  drawing.addEventListener("click", (event) => moveTo(event.clientX, event.clientY));
  draggable(handle, {
    drag: moveTo,
    key: (right, up) => {
      const [x, y] = place(state.belief);
      state.belief = beliefAt(x + 5 * right, y - 5 * up);
      draw();
    },
  });

  const area = (shape) => {
    const points = shape.map(place);
    return Math.abs(points.reduce((total, [x, y], i) => {
      const [nextX, nextY] = points[(i + 1) % points.length];
      return total + x * nextY - nextX * y;
    }, 0)) / 2;
  };
  const closed = (shape) => `${line(shape.map(place))}Z`;

  function words(law, herd, shares) {
    const belief = NAMES.map((name, x) => `${name} ${state.belief[x].toFixed(2)}`).join(", ");
    const says = law.map((row) => NAMES[row.indexOf(1)]);
    const next = herd < 0
      ? `The next agent says ${says[0]} after a review that says bad, ${says[1]} after fair, ${says[2]} after good.`
      : `A herd: the next agent says ${NAMES[herd]}, whatever its review says.`;
    return `Public belief ${belief}. ${next} Herds cover ${(100 * shares).toFixed(1)}% of the triangle.`;
  }

  function draw(newWidth = width) {
    width = newWidth;
    const wide = width > 640;
    const across = Math.min(wide ? width * 0.52 : width - 24, 430);
    const left = wide ? 16 : (width - across) / 2;
    const height = across * Math.sqrt(0.75);
    corners = [[left, height + 30], [left + across / 2, 30], [left + across, height + 30]];
    drawing.style.width = `${wide ? across + 32 : width}px`;
    drawing.style.height = `${height + 58}px`;
    const u = PAYOFFS[state.payoff];
    const law = actionLaw(state.belief, state.B, u, "first");
    const herd = cascade(law);
    const shapes = indices(3).map((action) => region(state.B, u, action));
    const whole = area([[1, 0, 0], [0, 1, 0], [0, 0, 1]]);
    const shares = shapes.reduce((total, shape) => total + (shape.length > 2 ? area(shape) : 0), 0) / whole;

    beneath.replaceChildren();
    for (const action of indices(3)) { // what an agent without a review would say
      svg(beneath, "path", { class: `alone band-${action}`, d: closed(region([[1], [1], [1]], u, action)) });
    }
    shapes.forEach((shape, action) => drawRegion(shape, action));
    svg(beneath, "path", { class: "triangle", d: closed([[1, 0, 0], [0, 1, 0], [0, 0, 1]]) });
    corners.forEach(([x, y], corner) => write(beneath, NAMES[corner], x, corner === 1 ? y - 10 : y + 20, "middle", ""));
    law.forEach((row, y) => drawNext(y, row.indexOf(1)));
    drawHandle(herd, law, shares);
    drawRows();
    say(words(law, herd, shares));
  }

  function drawRegion(shape, action) {
    if (shape.length < 3) return;
    svg(beneath, "path", { class: `region band-${action} line-${action}`, d: closed(shape) });
    const points = shape.map(place);
    const length = Math.max(...points.flatMap(([x, y]) => points.map(([toX, toY]) => Math.hypot(toX - x, toY - y))));
    if (area(shape) < 34 * length) return; // too narrow for words
    const [x, y] = mix(points.map(() => 1 / points.length), points);
    write(beneath, `herd: ${NAMES[action]}`, x, y + 4, "middle", "small strong");
  }

  /* Where the belief goes after signal y, and what the agent says there. */
  function drawNext(y, action) {
    const [fromX, fromY] = place(state.belief);
    const [x, top] = place(update(state.belief, column(state.B, y)));
    const length = Math.hypot(x - fromX, top - fromY);
    svg(beneath, "line", { class: "whisker", x1: fromX, y1: fromY, x2: x, y2: top });
    marker(beneath, action, x, top, 6);
    if (length < 48) return;
    const along = [0.4, 0.62, 0.5][y]; // so that two names on one side do not cover each other
    const [nameX, nameY] = [fromX + along * (x - fromX), fromY + along * (top - fromY) + 4];
    write(beneath, `“${NAMES[y]}”`, nameX, nameY, "middle", "small halo");
  }

  function drawHandle(herd, law, shares) {
    const [x, y] = place(state.belief);
    handle.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
    handle.setAttribute("aria-valuemin", 0);
    handle.setAttribute("aria-valuemax", 100);
    handle.setAttribute("aria-valuenow", Math.round(100 * Math.max(...state.belief)));
    handle.setAttribute("aria-valuetext", NAMES.map((name, i) => `${name} ${state.belief[i].toFixed(2)}`).join(", "));
    knob.replaceChildren();
    svg(knob, "circle", { class: herd < 0 ? "knob" : `knob action-${herd}`, r: 9 });
    drawing.setAttribute("aria-label", `Triangle of beliefs with the cascade regions. ${words(law, herd, shares)}`);
  }

  function drawRows() {
    rows.forEach(({ parts, handles }, x) => {
      parts.forEach((part, y) => {
        part.style.width = `${100 * state.B[x][y]}%`;
        part.textContent = state.B[x][y] < 0.12 ? "" : state.B[x][y].toFixed(2);
      });
      handles.forEach((edge, y) => {
        const at = y ? 1 - state.B[x][2] : state.B[x][0];
        edge.style.left = `${100 * at}%`;
        const value = { "aria-valuemin": 0, "aria-valuemax": 1, "aria-valuenow": at.toFixed(2) };
        const text = NAMES.map((name, signal) => `says ${name} ${state.B[x][signal].toFixed(2)}`).join(", ");
        for (const [name, is] of Object.entries({ ...value, "aria-valuetext": text })) edge.setAttribute(name, is);
      });
    });
  }

  return draw;
});
