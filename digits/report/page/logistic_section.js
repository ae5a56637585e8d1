// The scores of logistic regression next to those of least squares, for the same images.

const LOGISTIC_BINS = 60;

/** Log-odds as a probability: a tick of the axis. */
const ODDS_TICKS = [0.000001, 0.0001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.9999, 0.999999];

/**
 * A histogram of the central 99% of the scores, by class.
 *
 * @param {ScoredVariant} variant
 * @returns {ScoreHistogram}
 */
function histogramOf({ testScores, actual, classes }) {
  const ascending = testScores.toSorted();
  const last = ascending.length - 1;
  const low = Math.min(ascending[Math.floor(0.005 * last)], -1);
  const high = Math.max(ascending[Math.ceil(0.995 * last)], 1);
  const counts = classes.map(() => new Array(LOGISTIC_BINS).fill(0));
  testScores.forEach((score, row) => {
    const bin = Math.floor(((score - low) / (high - low)) * LOGISTIC_BINS);
    counts[actual[row]][clamp(bin, 0, LOGISTIC_BINS - 1)] += 1;
  });
  return { low, high, counts };
}

/**
 * Under the log-odds, the probabilities that they mean.
 *
 * @param {RidgeFrame} frame
 * @returns {SVGElement[]}
 */
function probabilityAxis({ left, right, bottom, x }) {
  let end = -Infinity; // of the last label
  const labels = ODDS_TICKS.flatMap((probability) => {
    const at = x(Math.log(probability / (1 - probability)));
    if (at < left || at > right || at - 34 < end) return [];
    end = at + 34;
    return [svg("text", { class: "tick", x: at, y: bottom + 38, "text-anchor": "middle" },
      `${Number((100 * probability).toFixed(4))}%`)];
  });
  return [...labels, svg("text", { class: "axis", x: (left + right) / 2, y: bottom + 57,
    "text-anchor": "middle" }, "log-odds, and the probability")];
}

/**
 * The scores of a logistic variant.
 *
 * @param {HTMLElement} container
 * @param {ScoredVariant} variant
 */
function showLogOdds(container, variant) {
  const histogram = histogramOf(variant);
  const frame = ridgeFrame("logistic", { histogram, names: variant.names },
    Math.max(container.clientWidth, 240));
  const ridges = fixedRidges(histogram, variant.names, frame, [0]);
  const marks = ticks(histogram.low, histogram.high, frame.wide / 60).map((tick) =>
    svg("text", { class: "tick", x: frame.x(tick), y: frame.bottom + 19, "text-anchor": "middle" },
      tickText(tick)));
  container.replaceChildren(svg("svg", { ...sizeOf(frame.wide, frame.bottom + 62), role: "img",
    "aria-label": `Log-odds of ${variant.name} for each class` },
  ...ridges, ...marks, ...probabilityAxis(frame)));
}

/**
 * The scores of least squares, with thresholds that stay.
 *
 * @param {HTMLElement} container
 * @param {ThresholdVariant} variant
 */
function showLine(container, variant) {
  const frame = ridgeFrame("logistic-line", variant, Math.max(container.clientWidth, 240));
  const ridges = fixedRidges(variant.histogram, variant.names, frame, variant.thresholds);
  container.replaceChildren(svg("svg", { ...sizeOf(frame.wide, frame.bottom + 42), role: "img",
    "aria-label": `Scores of ${variant.name} for each class` },
  ...ridges, ...scoreAxis(variant.histogram, frame)));
}

fillLater("logistic", () => {
  const select = byId("logistic-variant", HTMLSelectElement);
  const [line, odds] = [byId("logistic-line"), byId("logistic-ridges")];
  const logistic = scoredVariants.filter(({ rule }) => !rule.hasThresholds);

  function show() {
    const variant = ofName(logistic, state.logisticVariant);
    select.value = variant.name;
    const other = THRESHOLD_GROUPS[0].variants.find(({ classes }) =>
      `${classes}` === `${variant.classes}`);
    byId("logistic-other").hidden = !other;
    byId("logistic-line-title").textContent = other ? `${other.name}: a number` : "";
    byId("logistic-ridges-title").textContent = `${variant.name}: a probability`;
    if (other) showLine(line, other);
    showLogOdds(odds, variant);
  }

  select.addEventListener("change", () => takeStep({ logisticVariant: select.value }));
  onChange(["logisticVariant"], show);
  onRedraw(show, odds);
});
