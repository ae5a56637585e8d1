// A confusion matrix whose cells can be chosen.

const FEW = 20; // classes. With more, cells are small, and what never happens stays blank.

/** Make one in `container`. Returns `show(counts, cell)`, which fills it. */
function confusionMatrix(container, { digits, names }, caption, onCell) {
  const many = digits.length > FEW;
  const cells = digits.map((actual, i) => digits.map((predicted, j) => {
    const button = element("button", { type: "button", value: `${actual}-${predicted}`,
      className: i === j ? "cell right" : "cell wrong" });
    return button;
  }));
  const head = element("tr", {}, element("td", { className: "corner" }, "true ↓", element("br"), "answer →"),
    ...names.map((name) => element("th", { scope: "col", title: name }, element("span", {}, name))));
  const rows = cells.map((row, i) => element("tr", {},
    element("th", { scope: "row", title: names[i] }, names[i]), ...row.map((button) => element("td", {}, button))));
  const table = element("table", { className: many ? "matrix many" : "matrix" },
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
      button.textContent = many && !count ? "" : formatCount(count);
      button.ariaLabel = `${names[i]} called ${names[j]}: ${plural(count, "image")}`;
      if (many) button.title = button.ariaLabel;
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
  const [is, called] = [variant.digits[actual], variant.digits[answer]];
  const left = showImages(container, images, (image) => ({
    label: `Test image ${image}: ${oneOf(is)}, called ${nameOf(called)}`,
  }));
  title.textContent = `${plural(images.length, "image")} of ${nameOf(is)} called ${nameOf(called)}`
    + (left ? ` (${formatCount(left)} of them not on this page)` : "");
}
