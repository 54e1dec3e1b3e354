// A displayed formula that is a little wider than its column is set smaller, as far as it stays easy to read; what is
// wider still scrolls, as all of them do on a phone.

const SMALLEST = 0.72;

function fitFormula(formula) {
  formula.style.fontSize = "";
  if (innerWidth < 700 || formula.scrollWidth <= formula.clientWidth + 1) return;
  const size = parseFloat(getComputedStyle(formula).fontSize);
  const share = (formula.clientWidth - 2) / formula.scrollWidth;
  if (share >= SMALLEST) formula.style.fontSize = `${Math.floor(100 * size * share) / 100}px`;
}

addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  const formulas = [...document.querySelectorAll("article mjx-container[display]")];
  const columns = new ResizeObserver((changes) => changes.forEach(({ target }) => {
    target.querySelectorAll("mjx-container[display]").forEach(fitFormula);
  }));
  new Set(formulas.map((formula) => formula.parentElement)).forEach((column) => columns.observe(column));
});
