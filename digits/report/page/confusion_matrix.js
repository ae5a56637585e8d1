// A confusion matrix, and the classification report.

/**
 * Make one.
 *
 * @param {HTMLElement} container
 * @param {Variant} variant
 * @param {string} caption
 * @param {(cell: string) => void} onCell called with `<actual label>-<predicted label>`
 * @returns {(counts: number[][], cell: string) => void} fills it and marks the chosen cell
 */
function confusionMatrix(container, { classes, names }, caption, onCell) {
  const show = cellMatrix(container, names, classes, caption, onCell);
  return (counts, cell) => {
    const totals = counts.map(sum);
    show((i, j) => ({
      text: formatCount(counts[i][j]),
      label: plural(counts[i][j], "image"),
      share: counts[i][j] / Math.max(totals[i], 1),
      correct: i === j,
      none: counts[i][j] === 0,
    }), cell);
  };
}

/**
 * @param {Variant} variant
 * @param {ReturnType<typeof classificationReport>["classes"]} classes
 * @returns {HTMLTableElement} precision, recall, F1 and number of images of each class, and the
 *   macro averages: of the classes that are actual or predicted
 */
function classReportTable({ names }, classes) {
  /** @param {string} text */
  const cell = (text) => element("td", { className: "number" }, text);
  /** @param {number} share rounded, but to 1 only if it is 1 */
  const ratio = (share) => Math.min(share, share < 1 ? 0.9999 : 1).toFixed(4);
  const heads = ["Precision", "Recall", "F1", "Images"].map((name) =>
    element("th", { scope: "col", className: "number" }, name));
  const rows = names.map((name, i) => element("tr", {}, element("th", { scope: "row" }, name),
    cell(ratio(classes[i].precision)), cell(ratio(classes[i].recall)),
    cell(ratio(classes[i].f1)), cell(formatCount(classes[i].support))));
  const occurring = classes.filter(({ occurs }) => occurs);
  const averages = /** @type {const} */ (["precision", "recall", "f1"]).map((measure) =>
    cell(ratio(sum(occurring.map((each) => each[measure])) / Math.max(occurring.length, 1))));
  return element("table", {},
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Class"), ...heads)),
    element("tbody", {}, ...rows),
    element("tfoot", {}, element("tr", {}, element("th", { scope: "row" }, "Mean"), ...averages,
      cell(formatCount(sum(classes.map(({ support }) => support)))))));
}

/**
 * Show the images of a cell, and their number in the title above them.
 *
 * @param {Variant} variant
 * @param {Uint8Array} predicted the class index of each row
 * @param {Cell} cell
 * @param {HTMLElement} title
 * @param {ShowImages} showImages
 */
function showCell(variant, predicted, [i, j], title, showImages) {
  const images = variant.images.filter((_, row) =>
    variant.actual[row] === i && predicted[row] === j);
  showImages(images, (image) => ({ label: imageLabel(variant, image, i, j), caption: "" }));
  const missing = images.length - images.filter(isIncluded).length;
  title.textContent = `Actual ${variant.names[i]}, predicted ${variant.names[j]}: `
    + plural(images.length, "image")
    + (missing ? ` (${formatCount(missing)} of them not included in this page)` : "");
}
