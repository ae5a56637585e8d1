// A matrix of all pairs of classes whose cells are buttons.

/**
 * How a cell is shown: blue if `correct`, else orange, and the deeper, the larger `share`,
 * which is from 0 to 1.
 *
 * @typedef {{ text: string, label: string, share: number, correct: boolean, none: boolean }} Shown
 */

/**
 * Make one: a row for each actual class, a column for each predicted class.
 *
 * @param {HTMLElement} container
 * @param {string[]} names of the classes
 * @param {number[]} labels of the classes, from which the names of cells are made
 * @param {string} caption
 * @param {(cell: string) => void} onCell called with `<actual label>-<predicted label>`
 * @returns {(describe: (actual: number, predicted: number) => Shown, cell: string) => void}
 *   fills it, by class indices, and marks the chosen cell
 */
function cellMatrix(container, names, labels, caption, onCell) {
  const many = labels.length > payload.few_classes;
  const cells = labels.map((actual) => labels.map((predicted) =>
    element("button", { type: "button", value: `${actual}-${predicted}` })));
  const columnHeads = names.map((name) =>
    element("th", { scope: "col", title: name }, element("span", {}, name)));
  const corner = element("td", { className: "corner" }, "actual ↓", element("br"), "predicted →");
  const rows = cells.map((row, i) => element("tr", {},
    element("th", { scope: "row", title: names[i] }, names[i]),
    ...row.map((button) => element("td", {}, button))));
  const table = element("table", { className: many ? "matrix many" : labels.length > 5 ? "matrix some" : "matrix" },
    element("caption", { className: "hidden" }, caption),
    element("thead", {}, element("tr", {}, corner, ...columnHeads)),
    element("tbody", {}, ...rows));
  container.replaceChildren(table);
  const resetTabStop = rovingTabindex(table, () => labels.length);
  table.addEventListener("click", (event) => {
    const button = clickedButton(event);
    if (button) onCell(button.value);
  });

  return (describe, cell) => {
    cells.forEach((row, i) => row.forEach((button, j) => {
      const shown = describe(i, j);
      button.className = `cell ${shown.correct ? "correct" : "wrong"}`;
      button.classList.toggle("none", shown.none);
      button.textContent = many && shown.none ? "" : shown.text;
      button.ariaLabel = `actual ${names[i]}, predicted ${names[j]}: ${shown.label}`;
      if (many) button.title = button.ariaLabel;
      button.ariaPressed = String(button.value === cell);
      // A power below 1, so that small shares are visible.
      button.style.setProperty("--share", (shown.share ** 0.4).toFixed(3));
    }));
    resetTabStop();
  };
}
