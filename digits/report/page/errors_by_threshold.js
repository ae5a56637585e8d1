// All thresholds of one score for two classes: which errors each makes.

/** @typedef {Variant & { testScores: Float64Array }} ScoredVariant with two classes */

const scoredVariants = /** @type {ScoredVariant[]} */ (
  variants.filter(({ testScores, classes }) => testScores && classes.length === 2));

/**
 * What a threshold does: it predicts the second class for the images above it.
 *
 * @typedef {object} Cut
 * @property {number} threshold
 * @property {number} high images of the first class that are predicted as the second
 * @property {number} low images of the second class that are predicted as the first
 */

/**
 * The number with the fewest decimals between two others, or their middle.
 *
 * @param {number} low
 * @param {number} high
 */
function roundBetween(low, high) {
  const middle = (low + high) / 2;
  for (let places = 0; places < 16; places += 1) {
    const rounded = Number(middle.toFixed(places));
    if (low < rounded && rounded < high) return rounded;
  }
  return middle;
}

/**
 * One threshold between each two neighbouring scores, one below all and one above all.
 *
 * @param {ScoredVariant} variant
 * @returns {Cut[]} ascending
 */
function cutsOf({ testScores, actual }) {
  const rows = Array.from(testScores.keys()).sort((a, b) => testScores[a] - testScores[b]);
  let high = actual.filter((index) => index === 0).length;
  let low = 0;
  const cuts = [{ threshold: -Infinity, high, low }];
  rows.forEach((row, place) => {
    if (actual[row]) low += 1;
    else high -= 1;
    const [here, next] = [testScores[row], testScores[rows[place + 1]] ?? Infinity];
    if (next > here) cuts.push({ threshold: roundBetween(here, next), high, low });
  });
  return cuts;
}

/**
 * @param {ScoredVariant} variant
 * @param {number} threshold
 * @returns {Cut}
 */
function cutAt({ testScores, actual }, threshold) {
  const cut = { threshold, high: 0, low: 0 };
  testScores.forEach((score, row) => {
    if (score > threshold && !actual[row]) cut.high += 1;
    if (score <= threshold && actual[row]) cut.low += 1;
  });
  return cut;
}

/** @typedef {{ high: number, low: number }} Costs of one error of each kind */

/**
 * @param {Cut} cut
 * @param {Costs} costs
 */
const costOf = (cut, costs) => cut.high * costs.high + cut.low * costs.low;

/**
 * The cut that costs least; the lowest of several.
 *
 * @param {Cut[]} cuts
 * @param {Costs} costs
 */
const cheapest = (cuts, costs) =>
  cuts.reduce((best, cut) => (costOf(cut, costs) < costOf(best, costs) ? cut : best));

/**
 * The ROC and the precision-recall curve, and the areas under them.
 *
 * @typedef {object} Curves
 * @property {[x: number, y: number][]} roc share of the first class predicted as the second,
 *   and recall of the second
 * @property {[x: number, y: number][]} precisionRecall recall and precision of the second class
 * @property {number} auc
 * @property {number} averagePrecision sum of precision times the step of the recall
 */

/**
 * @param {Cut[]} cuts
 * @param {number} first images of the first class
 * @param {number} second
 * @returns {Curves}
 */
function curvesOf(cuts, first, second) {
  const points = cuts.map(({ high, low }) => {
    const found = second - low;
    return { x: high / first, recall: found / second, precision: found / (found + high) };
  }).reverse(); // ascending recall
  let auc = 0;
  let averagePrecision = 0;
  points.slice(1).forEach(({ x, recall, precision }, i) => {
    const before = points[i];
    auc += ((x - before.x) * (recall + before.recall)) / 2;
    averagePrecision += (recall - before.recall) * precision;
  });
  return {
    roc: points.map(({ x, recall }) => [x, recall]),
    precisionRecall: points.filter(({ precision }) => !Number.isNaN(precision))
      .map(({ recall, precision }) => [recall, precision]),
    auc, averagePrecision,
  };
}
