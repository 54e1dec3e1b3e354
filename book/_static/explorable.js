/* Explorables: live figures in the page, without kernel, server, network or library.

   A page holds `<div class="explorable" data-explorable="herd">words for readers without scripts</div>`. The script of
   that figure calls `explorable.figure("herd", title, build)`; `build` puts controls and a drawing in place of the
   words, and returns a function that draws everything for a given width in pixels. This file has what figures share. */

"use strict";

window.explorable = (() => {
  /* Make an element, SVG or HTML, in `parent`. */
  function add(parent, space, name, attributes, text) {
    const element = document.createElementNS(space, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    parent.append(element);
    return element;
  }

  const svg = (parent, name, attributes = {}, text) =>
    add(parent, "http://www.w3.org/2000/svg", name, attributes, text);
  const html = (parent, name, attributes = {}, text) =>
    add(parent, "http://www.w3.org/1999/xhtml", name, attributes, text);

  /* Words in a drawing; `anchor` is the part of them that stands at (x, y). */
  const write = (parent, words, x, y, anchor = "middle", kind = "small") =>
    svg(parent, "text", { class: kind, x, y, "text-anchor": anchor }, words);

  /* A linear map from [a, b] to [c, d]. */
  const scale = (a, b, c, d) => (value) => c + ((value - a) / (b - a)) * (d - c);

  /* SVG path through points. */
  const line = (points) => `M${points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}`;

  /* The marker of an action, as in the package's plots: circle, square, triangle. */
  function marker(parent, action, x, y, r, attributes = {}) {
    const shapes = [
      `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`,
      `M${x - 0.9 * r} ${y - 0.9 * r}h${1.8 * r}v${1.8 * r}h${-1.8 * r}Z`,
      `M${x} ${y - 1.15 * r}L${x + 1.1 * r} ${y + 0.85 * r}H${x - 1.1 * r}Z`,
    ];
    return svg(parent, "path", { class: `action-${action}`, d: shapes[action], ...attributes });
  }

  let names = 0;
  const newName = () => `explorable-${(names += 1)}`;

  /* A labelled range input that shows its value. */
  function slider(parent, { label, min, max, step, value, shown, change }) {
    const row = html(parent, "div", { class: "slider" });
    const id = newName();
    html(row, "label", { for: id }, label);
    const input = html(row, "input", { type: "range", id, min, max, step });
    const output = html(row, "output", { for: id });
    const show = () => (output.textContent = shown(Number(input.value)));
    input.value = value;
    input.addEventListener("input", () => change(Number(input.value), show()));
    show();
  }

  /* One choice out of a few, as radio buttons. */
  function choice(parent, { label, options, value, change, wide = false }) {
    const group = html(parent, "fieldset", { class: wide ? "choice wide" : "choice" });
    html(group, "legend", {}, label);
    const name = newName();
    for (const [key, words] of Object.entries(options)) {
      const option = html(group, "label");
      const input = html(option, "input", { type: "radio", name, value: key });
      input.checked = key === value;
      input.addEventListener("change", () => change(key));
      html(option, "span", {}, words);
    }
  }

  function button(parent, words, press, attributes = {}) {
    html(parent, "button", { type: "button", ...attributes }, words).addEventListener("click", press);
  }

  /* Let a focusable element be dragged (pointer, touch) and moved by the arrow keys. */
  function draggable(element, { drag, key }) {
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      element.focus();
      event.preventDefault();
    });
    element.addEventListener("pointermove", (event) => {
      if (element.hasPointerCapture(event.pointerId)) drag(event.clientX, event.clientY);
    });
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    element.addEventListener("keydown", (event) => {
      if (!(event.key in steps)) return;
      key(...steps[event.key]);
      event.preventDefault();
    });
  }

  /* Uniform random numbers from a seed (a 32-bit mixing generator), so that a page always opens on the same figure. */
  function generator(seed) {
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  /* What the signs of a drawing mean: pairs of a drawing function and words. */
  function legend(parent, entries) {
    const list = html(parent, "ul", { class: "legend" });
    for (const [sign, words] of entries) {
      const entry = html(list, "li");
      sign(svg(entry, "svg", { width: 22, height: 16, "aria-hidden": "true" }));
      html(entry, "span", {}, words);
    }
  }

  /* The words under a drawing. Screen readers hear them, with `more`, once the controls have come to rest. */
  function sentence(parent) {
    const seen = html(parent, "p", { class: "sentence" });
    const heard = html(parent, "p", { class: "heard", role: "status" });
    let waiting;
    return (words, more = "") => {
      seen.textContent = words;
      clearTimeout(waiting);
      waiting = setTimeout(() => (heard.textContent = `${words} ${more}`), 600);
    };
  }

  /* Build the figure in every place that asks for it, and draw it whenever its width has changed. */
  function figure(name, title, build) {
    const start = () => {
      for (const place of document.querySelectorAll(`[data-explorable="${name}"]`)) {
        place.replaceChildren();
        place.classList.add("live");
        place.setAttribute("role", "group");
        place.setAttribute("aria-label", `Live figure: ${title}`);
        const draw = build(place);
        let drawn = 0;
        const fit = (width) => {
          if (width > 0 && width !== drawn) draw((drawn = width)); // no width: hidden, nothing to draw
        };
        new ResizeObserver(([entry]) => requestAnimationFrame(() => fit(entry.contentRect.width))).observe(place);
      }
    };
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
    else start();
  }

  return {
    svg, html, write, scale, line, marker, slider, choice, button, draggable, generator, legend, sentence, figure,
  };
})();
