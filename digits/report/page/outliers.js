// The scores of a variant of two classes that are far from both class indices.

const MOST_OUTLIERS = 8; // that are shown as images

/**
 * The rows whose scores are outside the histogram, the furthest first.
 *
 * @param {ThresholdVariant} variant
 */
function outliersOf({ testScores, histogram: { low, high } }) {
  /** @param {number} row */
  const distance = (row) => Math.max(low - testScores[row], testScores[row] - high);
  return Array.from(testScores.keys()).filter((row) => distance(row) > 0)
    .sort((a, b) => distance(b) - distance(a));
}

/**
 * The root of the mean squared difference between scores and class indices.
 *
 * @param {ThresholdVariant} variant
 * @param {number} [without] a row that is left out
 */
function rootMeanSquare({ testScores, actual }, without) {
  let total = 0;
  testScores.forEach((score, row) => {
    if (row !== without) total += (score - actual[row]) ** 2;
  });
  return Math.sqrt(total / (testScores.length - Number(without !== undefined)));
}

/**
 * Mark the furthest score above the plot, with an arrow to its side.
 *
 * @param {ThresholdVariant} variant
 * @param {number} row of the score
 * @param {RidgeFrame} frame
 */
function outlierMark({ testScores, histogram: { high } }, row, frame) {
  const isHigh = testScores[row] > high;
  const text = (frame.wide > 600 ? "one image at " : "") + signed(testScores[row]);
  const mark = svg("text", { class: "outlier", x: isHigh ? frame.right : frame.left, y: 13,
    "text-anchor": isHigh ? "end" : "start" }, isHigh ? `${text} →` : `← ${text}`);
  mark.addEventListener("click", () =>
    document.querySelector("#two-outliers-images button")?.dispatchEvent(
      new MouseEvent("click", { bubbles: true })));
  return mark;
}

/** @type {ShowImages | undefined} */
let showOutlierImages;

/**
 * @param {ThresholdVariant} variant
 * @param {HTMLElement} plot of the scores
 * @param {RidgeFrame} frame
 */
function showOutliers(variant, plot, frame) {
  const rows = outliersOf(variant);
  byId("two-outliers").hidden = !rows.length;
  if (!rows.length) return;
  const { testScores, actual, images, names, histogram: { low, high } } = variant;
  const [furthest] = rows;
  plot.querySelector("svg")?.append(outlierMark(variant, furthest, frame));
  byId("two-outliers-text").textContent = `${plural(rows.length, "image")} of `
    + `${formatCount(actual.length)} ${rows.length === 1 ? "has a score" : "have scores"} outside `
    + `the plot, below ${signed(low, 1)} or above ${signed(high, 1)}. The furthest has `
    + `${signed(testScores[furthest])}, and is of class ${names[actual[furthest]]}. The root mean `
    + `square error of all scores is ${signed(rootMeanSquare(variant), 3)}, and `
    + `${signed(rootMeanSquare(variant, furthest), 3)} without it.`;
  showOutlierImages ??= imageButtons(byId("two-outliers-images"));
  const shown = new Map(rows.map((row) => [images[row], row]));
  showOutlierImages(Array.from(shown.keys()).filter(isIncluded).slice(0, MOST_OUTLIERS), (image) => {
    const score = signed(testScores[shown.get(image) ?? 0]);
    return { label: `Test image ${image}: score ${score}`, caption: score };
  });
}
