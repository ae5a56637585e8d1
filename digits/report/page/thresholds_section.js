// Linear regression: the scores of each class's images, and thresholds that can be moved.

const THRESHOLD_STEP = 0.01;
const THUMB = 16; // the width of a slider's thumb, in pixels
const REST_MS = 150; // after which the images follow a threshold that is moved

/** @param {number} value */
const roundToStep = (value) =>
  Number((Math.round(value / THRESHOLD_STEP) * THRESHOLD_STEP).toFixed(2));

/**
 * The range of the sliders: that of the histogram, in steps.
 *
 * @param {ThresholdVariant} variant
 * @returns {[low: number, high: number]}
 */
function thresholdRange({ histogram: { low, high } }) {
  const [first, last] = [Math.ceil(low / THRESHOLD_STEP), Math.floor(high / THRESHOLD_STEP)];
  return [roundToStep(first * THRESHOLD_STEP), roundToStep(last * THRESHOLD_STEP)];
}

/** @param {Variant} variant */
const groupOf = (variant) => THRESHOLD_GROUPS[variant.classes.length === 2 ? 0 : 1];

/**
 * @param {ThresholdVariant} variant
 * @param {number[]} thresholds
 */
function setThresholds(variant, thresholds) {
  setState({ [thresholdsKey(variant)]: thresholds.join(" "), section: groupOf(variant).section });
}

/**
 * Move one threshold, not past its neighbours.
 *
 * @param {ThresholdVariant} variant
 * @param {number} index
 * @param {number} value
 */
function setThreshold(variant, index, value) {
  const thresholds = thresholdsOf(variant);
  const low = thresholds[index - 1] ?? -Infinity;
  const high = thresholds[index + 1] ?? Infinity;
  thresholds[index] = clamp(roundToStep(value), low, high);
  setThresholds(variant, thresholds);
}

/**
 * A slider for each threshold.
 *
 * @param {HTMLElement} container
 * @param {ThresholdVariant} variant
 * @returns {(thresholds: number[]) => void} moves the sliders
 */
function thresholdSliders(container, variant) {
  const { names } = variant;
  const [min, max] = thresholdRange(variant);
  const sliders = names.slice(1).map((name, index) => {
    const input = element("input", { type: "range", min, max, step: THRESHOLD_STEP,
      id: `${groupOf(variant).name}-threshold-${index}` });
    input.addEventListener("input", () => {
      setThreshold(variant, index, input.valueAsNumber);
      input.value = String(thresholdsOf(variant)[index]); // not past its neighbours
    });
    const label = element("label", { htmlFor: input.id }, `${names[index]} below, ${name} above`);
    return { input, label, output: element("output", { htmlFor: input.id }) };
  });
  container.replaceChildren(...sliders.map(({ input, label, output }) =>
    element("div", {}, label, input, output)));
  container.classList.toggle("single", sliders.length === 1);

  return (thresholds) => sliders.forEach(({ input, output }, index) => {
    const value = thresholds[index];
    if (document.activeElement !== input || input.valueAsNumber !== roundToStep(value)) {
      input.value = String(value);
    }
    output.textContent = signed(value);
  });
}

/**
 * Draw the scores and, for two classes, the accuracy at each threshold.
 *
 * @param {ThresholdVariant} variant
 * @returns {(thresholds: number[]) => void} moves the thresholds in both
 */
function thresholdPlots(variant) {
  const { name } = groupOf(variant);
  const range = thresholdRange(variant);
  const container = byId(`${name}-ridges`);
  const frame = ridgeFrame(name, variant, Math.max(container.clientWidth, 240));
  const moveRidges = scoreRidges(container, variant, frame, (index, score) =>
    setThreshold(variant, index, clamp(score, ...range)));
  const sliders = byId(`${name}-sliders`);
  const single = variant.classes.length === 2;
  // The slider's thumb, half of which is outside its range, is under the threshold's line.
  sliders.style.paddingLeft = single ? `${frame.x(range[0]) - THUMB / 2}px` : "";
  sliders.style.paddingRight = single ? `${frame.wide - frame.x(range[1]) - THUMB / 2}px` : "";
  if (!single) return moveRidges;
  showOutliers(variant, container, frame);
  const moveDot = accuracyCurve(byId("two-curve"), variant, range, frame);
  return (thresholds) => {
    moveRidges(thresholds);
    moveDot(thresholds);
  };
}

/**
 * What the best thresholds reach, and the best linear model of the same classes without any.
 *
 * @param {ThresholdVariant} variant
 * @param {BestThresholds} best
 */
function bestThresholdsText(variant, { values, n_right: right }) {
  const total = variant.actual.length;
  const listed = values.map((value) => String(value).replace("-", "\u2212")).join(", ");
  const text = `The best ${values.length} thresholds for these very test images, found by `
    + `dynamic programming, classify ${formatCount(right)} of ${formatCount(total)} correctly `
    + `(${percent(right / total)}): ${listed}. No other thresholds can do better.`;
  const [other] = linear
    .filter(({ rule, classes }) => !rule.hasThresholds && `${classes}` === `${variant.classes}`)
    .map(({ name, confusion }) => ({ name, correct: classificationReport(confusion).correct }))
    .sort((a, b) => b.correct - a.correct);
  return other ? `${text} ${other.name}, a linear model with a score for each class, classifies `
    + `${formatCount(other.correct)} correctly (${percent(other.correct / total)}).` : text;
}

/** @param {ThresholdVariant} variant */
function showBest(variant) {
  const best = variant.best_thresholds;
  if (!best) return;
  byId("many-best-result").textContent = bestThresholdsText(variant, best);
  byId("many-best-set").onclick = () => setThresholds(variant, best.values);
}

/**
 * The function that shows the images of the chosen cell.
 *
 * @param {string} group the name of the group of variants
 * @returns {(variant: ThresholdVariant, predicted: Uint8Array) => void}
 */
function cellOfThresholds(group) {
  const [title, container] = [byId(`${group}-cell-title`), byId(`${group}-cell-images`)];
  const showImages = imageButtons(container);
  let shown = ""; // the variant and the cell
  /** @type {number | undefined} */
  let timer;

  /**
   * @param {ThresholdVariant} variant
   * @param {Uint8Array} predicted
   */
  function show(variant, predicted) {
    const cell = cellOf(variant, state[`${group}Cell`]);
    title.hidden = !cell;
    if (cell) showCell(variant, predicted, cell, title, showImages);
    else container.replaceChildren();
  }

  return (variant, predicted) => {
    const name = `${variant.name} ${state[`${group}Cell`]}`;
    clearTimeout(timer);
    if (name === shown) timer = setTimeout(show, REST_MS, variant, predicted);
    else show(variant, predicted);
    shown = name;
  };
}

/**
 * Fill the section of a group of variants.
 *
 * @param {ThresholdGroup} group
 */
function fillThresholds({ name: group, section, variants: choices }) {
  const [variantKey, cellKey] = [`${group}Variant`, `${group}Cell`];
  const select = byId(`${group}-variant`, HTMLSelectElement);
  const showImages = cellOfThresholds(group);
  /** @type {ThresholdVariant | undefined} */
  let shown;
  /** @type {ReturnType<typeof confusionMatrix>} */
  let showMatrix;
  /** @type {(thresholds: number[]) => void} */
  let moveSliders;
  /** @type {(thresholds: number[]) => void} */
  let movePlots;

  /** @param {ThresholdVariant} variant */
  function showVariant(variant) {
    shown = variant;
    select.value = variant.name;
    showMatrix = confusionMatrix(byId(`${group}-matrix`), variant,
      `Confusion matrix of ${variant.name} at these thresholds`,
      (cell) => takeStep({ [cellKey]: cell, section }));
    moveSliders = thresholdSliders(byId(`${group}-sliders`), variant);
    showBest(variant);
  }

  /**
   * @param {ThresholdVariant} variant
   * @param {Uint8Array} predicted
   */
  function showResults(variant, predicted) {
    const counts = confusionOf(variant, predicted);
    const { correct, total, classes } = classificationReport(counts);
    showMatrix(counts, state[cellKey]);
    byId(`${group}-report`).replaceChildren(classReportTable(variant, classes));
    byId(`${group}-result`).textContent = `Accuracy ${percent(correct / total)}: `
      + `${plural(total - correct, "error")} in ${plural(total, "image")}`;
    showImages(variant, predicted);
  }

  function redraw() {
    const variant = ofName(choices, state[variantKey]);
    movePlots = thresholdPlots(variant);
    movePlots(thresholdsOf(variant));
  }

  select.addEventListener("change", () =>
    takeStep({ [variantKey]: select.value, [cellKey]: "" }));
  byId(`${group}-reset`).addEventListener("click", () => {
    const variant = ofName(choices, state[variantKey]);
    setThresholds(variant, variant.thresholds);
  });
  onChange([variantKey, cellKey, ...choices.map(thresholdsKey)], (chosen) => {
    const variant = ofName(choices, chosen[variantKey]);
    const thresholds = thresholdsOf(variant);
    const isNew = shown !== variant;
    if (isNew) showVariant(variant);
    moveSliders(thresholds);
    showResults(variant, Uint8Array.from(variant.testScores, (score) =>
      classBetween(score, thresholds)));
    if (isNew) redraw(); // only now is the width of the plots known
    else movePlots(thresholds);
  });
  onRedraw(redraw, byId(`${group}-ridges`));
}

for (const group of THRESHOLD_GROUPS) fillLater(group.section, () => fillThresholds(group));
