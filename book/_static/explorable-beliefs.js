/* The mathematics of a line of agents for the explorables: the same formulas, rules for ties and tolerances as
   `llma_tutorial.beliefs` and `llma_tutorial.many_agents.regions`. A browser test holds the two against each other.

   A belief is an array over states, B[x][y] the law of the signals, u[x][a] the payoff. Every B[x][y] is positive. */

"use strict";

explorable.beliefs = (() => {
  const TIE_TOLERANCE = 1e-9; // relative to the largest payoff
  const ON_THE_EDGE = 1e-12; // relative to the half-space: corners this close to a cut lie on it

  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const dot = (p, q) => sum(p.map((value, index) => value * q[index]));
  const column = (matrix, index) => matrix.map((row) => row[index]);
  const indices = (count) => [...Array(count).keys()];

  /* Bayes' rule. */
  function update(belief, likelihood) {
    const joint = belief.map((probability, x) => probability * likelihood[x]);
    const total = sum(joint);
    return joint.map((value) => value / total);
  }

  /* P(a | belief, y) for every signal y; `ties` is "signal", "first" or "random". */
  function actionLaw(belief, B, u, ties) {
    const scale = Math.max(...u.flat().map(Math.abs));
    return indices(B[0].length).map((y) => {
      const private_ = update(belief, column(B, y));
      const expected = indices(u[0].length).map((a) => dot(private_, column(u, a)));
      const tied = expected.map((value) => value >= Math.max(...expected) - TIE_TOLERANCE * scale);
      if (ties === "random") return tied.map((is) => (is ? 1 / tied.filter(Boolean).length : 0));
      const chosen = ties === "signal" && tied[y] ? y : tied.indexOf(true);
      return tied.map((_, a) => (a === chosen ? 1 : 0));
    });
  }

  /* The action that every signal leads to, or -1. */
  const cascade = (law) => law[0].findIndex((_, a) => law.every((row) => row[a] === 1));

  /* Public belief after action a, from R_a(x) = sum_y B[x][y] P(a | belief, y). */
  const afterAction = (belief, B, law, a) => update(belief, B.map((row) => dot(row, column(law, a))));

  /* What a closed half-space {normal . belief <= 0} leaves of a convex polygon with these corners in order. */
  function cut(corners, normal) {
    const size = Math.max(...normal.map(Math.abs));
    const side = corners.map((corner) => {
      const value = dot(corner, normal);
      return Math.abs(value) <= ON_THE_EDGE * size ? 0 : value;
    });
    const kept = [];
    corners.forEach((corner, index) => {
      const next = (index + 1) % corners.length;
      if (side[index] <= 0) kept.push(corner);
      if (side[index] * side[next] < 0) {
        const [here, there] = [side[index], side[next]];
        kept.push(corner.map((value, x) => (here * corners[next][x] - there * value) / (here - there)));
      }
    });
    return kept;
  }

  /* Corners of the closed cascade region of an action: after every signal y, no other action b gains. */
  function region(B, u, action) {
    let corners = indices(B.length).map((x) => indices(B.length).map((other) => (x === other ? 1 : 0)));
    for (const y of indices(B[0].length)) {
      for (const b of indices(u[0].length)) {
        if (b !== action) corners = cut(corners, u.map((row, x) => B[x][y] * (row[b] - row[action])));
      }
    }
    return corners;
  }

  return { update, actionLaw, cascade, afterAction, region, column, indices };
})();
