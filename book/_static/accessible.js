// The keyboard reaches what scrolls, and stops nowhere else. The theme looks once, when folded parts have no width
// yet, and MathJax makes a stop of every formula.

const SCROLLERS = "pre, .pst-scrollable-table-container, .cell_output table, div.math, mjx-container[display]";

function stopWhereItScrolls(element) {
  if (element.scrollWidth > element.clientWidth + 1) element.tabIndex = 0;
  else element.removeAttribute("tabindex");
}

addEventListener("load", async () => {
  const article = document.querySelector("article");
  await window.MathJax?.startup?.promise;
  const widths = new ResizeObserver((changes) => changes.forEach(({ target }) => stopWhereItScrolls(target)));
  article?.querySelectorAll("mjx-container").forEach((formula) => formula.removeAttribute("tabindex"));
  article?.querySelectorAll(SCROLLERS).forEach((element) => widths.observe(element));
});
