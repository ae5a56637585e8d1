// A confusion matrix whose cells can be chosen.

/** Make one in `container`. Returns `show(counts, cell)`, which fills it. */
function confusionMatrix(container, digits, caption, onCell) {
  const cells = digits.map((actual, i) => digits.map((predicted, j) => {
    const button = element("button", { type: "button", value: `${actual}-${predicted}`,
      className: i === j ? "cell right" : "cell wrong" });
    return button;
  }));
  const head = element("tr", {}, element("td", { className: "corner" }, "true ↓", element("br"), "answer →"),
    ...digits.map((digit) => element("th", { scope: "col" }, digit)));
  const rows = cells.map((row, i) => element("tr", {},
    element("th", { scope: "row" }, digits[i]), ...row.map((button) => element("td", {}, button))));
  const table = element("table", { className: "matrix" },
    element("caption", { className: "hidden" }, caption),
    element("thead", {}, head), element("tbody", {}, ...rows));
  container.replaceChildren(table);
  const rove = roving(table, "button", () => digits.length);
  table.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) onCell(button.value);
  });

  return (counts, cell) => {
    const totals = counts.map((row) => row.reduce((a, b) => a + b, 0));
    cells.forEach((row, i) => row.forEach((button, j) => {
      const count = counts[i][j];
      button.textContent = formatCount(count);
      button.ariaLabel = `${digits[i]} called ${digits[j]}: ${plural(count, "image")}`;
      button.ariaPressed = String(button.value === cell);
      // A root, so that rare mistakes can be told from none.
      button.style.setProperty("--share", ((count / Math.max(totals[i], 1)) ** 0.4).toFixed(3));
      button.classList.toggle("none", count === 0);
    }));
    rove();
  };
}

/** The title above a cell's images, and the images. */
function showCell(variant, predicted, cell, title, container) {
  const [actual, answer] = cell;
  const images = variant.images.filter((_, row) =>
    variant.actual[row] === actual && predicted[row] === answer);
  const [digit, called] = [variant.digits[actual], variant.digits[answer]];
  const left = showImages(container, images, (image) => ({
    label: `Test image ${image}: a ${digit}, called ${called}`,
  }));
  title.textContent = `${plural(images.length, "image")} of ${digit} called ${called}`
    + (left ? ` (${formatCount(left)} of them not on this page)` : "");
}
