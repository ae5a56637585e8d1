// The explained image: what each variant predicts, and the evidence for it in a linear model.

// The colours stop at a quantile, so that a few large values do not make the rest pale.
const EVIDENCE_QUANTILE = 0.995;
const EVIDENCE_NOTE = "The colours stop at the 99.5th percentile.";

/**
 * @param {string} title
 * @param {HTMLElement} content
 * @param {string} caption
 */
const evidenceFigure = (title, content, caption) =>
  element("figure", {}, element("h4", {}, title), content, element("figcaption", {}, caption));

/**
 * Weight × standardised pixel, for one of a linear variant's outputs.
 *
 * @param {Variant} variant
 * @param {Uint8Array} pixels
 * @param {number} output
 * @returns {Float64Array}
 */
function evidence({ arrays: { weights, mean } }, pixels, output) {
  const start = output * pixels.length;
  return Float64Array.from(pixels, (pixel, i) => weights[start + i] * (pixel - mean[i]));
}

/**
 * How a score is the sum of the intercept, which is the score of the mean, and the evidence.
 *
 * @param {number} score
 * @param {Float64Array} values the evidence
 */
function scoreSum(score, values) {
  const total = rounded(values.reduce((sum, value) => sum + value, 0));
  return `${signed(rounded(score) - total, 2, "+")} intercept ${signed(total, 2, "+")} evidence`
    + ` = score ${signed(score)}`;
}

/**
 * To two places, so that numbers that are shown add up as they are shown.
 *
 * @param {number} value
 */
const rounded = (value) => Number(value.toFixed(2));

/**
 * The two class indices to compare: as chosen, or the actual class and the best other one.
 *
 * @param {Variant} variant
 * @param {number} label the actual one; -1 if nobody knows it
 * @param {number[]} scores
 * @returns {[number, number]}
 */
function comparedClasses(variant, label, scores) {
  const chosen = cellOf(variant, state.compare);
  if (chosen && chosen[0] !== chosen[1]) return chosen;
  const [best, second] = variant.classes.map((_, i) => i).sort((a, b) => scores[b] - scores[a]);
  const actual = variant.classes.indexOf(label);
  if (actual < 0) return [best, second];
  return [actual, best === actual ? second : best];
}

/**
 * The evidence for the score.
 *
 * @param {Variant} variant
 * @param {Uint8Array} pixels
 * @param {number[]} scores
 * @returns {HTMLElement[]}
 */
function singleEvidence(variant, pixels, scores) {
  const { rule, names, thresholds } = variant;
  const values = evidence(variant, pixels, 0);
  const limit = absoluteQuantile(values, EVIDENCE_QUANTILE);
  const [positive, negative] = rule.directions(names, 0);
  showColourScale(byId("evidence-scale"), limit, [negative, positive], EVIDENCE_NOTE);
  return [evidenceFigure("Evidence", outlined(divergingCanvas(values, limit), pixels),
    scoreSum(scores[0], values) + rule.explanation(thresholds))];
}

/**
 * The evidence for two classes, and the difference.
 *
 * @param {Variant} variant
 * @param {Uint8Array} pixels
 * @param {number[]} scores
 * @param {[number, number]} compared class indices
 * @returns {HTMLElement[]}
 */
function comparedEvidence(variant, pixels, scores, [a, b]) {
  const { names } = variant;
  const [forA, forB] = [evidence(variant, pixels, a), evidence(variant, pixels, b)];
  const difference = forA.map((value, i) => value - forB[i]);
  const limit = absoluteQuantile([...forA, ...forB, ...difference], EVIDENCE_QUANTILE);
  showColourScale(byId("evidence-scale"), limit, ["against", "for"], EVIDENCE_NOTE);
  /** @param {Float64Array} values */
  const shown = (values) => outlined(divergingCanvas(values, limit), pixels);
  return [
    evidenceFigure(`For ${names[a]}`, shown(forA), scoreSum(scores[a], forA)),
    evidenceFigure(`For ${names[b]}`, shown(forB), scoreSum(scores[b], forB)),
    evidenceFigure(`For ${names[a]} rather than ${names[b]}`, shown(difference),
      `score for ${names[a]} minus score for ${names[b]}: ${signed(rounded(scores[a]) - rounded(scores[b]), 2, "+")}`),
  ];
}

/** @returns {[HTMLSelectElement, HTMLSelectElement]} the controls for the classes to compare */
const compareSelects = () =>
  [byId("compare-a", HTMLSelectElement), byId("compare-b", HTMLSelectElement)];

/**
 * @param {Variant} variant
 * @param {Subject} shown
 * @returns {{ verdict: string, detail: string, correct: boolean | null }} what it predicts;
 *   correct is null if it does not know the image's class
 */
function answerFor(variant, { pixels, image, label }) {
  const { classes, names, predicted, rowOf, model_type: modelType } = variant;
  const known = classes.includes(label);
  if (!modelType) { // only the predictions for its own test images are on this page
    const row = image === null ? undefined : rowOf.get(image);
    if (row === undefined) return { verdict: "–", detail: "", correct: null };
    const index = predicted[row];
    return { verdict: names[index], detail: "", correct: classes[index] === label };
  }
  const scores = scoresOf(variant, pixels);
  const index = predictedClass(variant, scores);
  return { verdict: names[index], detail: predictionDetail(variant, scores),
    correct: known ? classes[index] === label : null };
}

/**
 * What each variant predicts for an image.
 *
 * @param {Subject} shown
 */
function showAnswers(shown) {
  const { pixels, name, label } = shown;
  const isKnown = label >= 0;
  const actual = isKnown ? nameOf(label) : "";
  const rows = variants.map((variant) => {
    const { verdict, detail, correct } = answerFor(variant, shown);
    const mark = correct === null ? `${actual} is not one of its classes`
      : correct ? "✓ correct" : "✗ wrong";
    const kind = correct === null ? "unknown" : correct ? "correct" : "wrong";
    return element("tr", { className: isKnown ? kind : "" },
      element("th", { scope: "row" }, variant.name), element("td", {}, verdict),
      ...(isKnown ? [element("td", correct === null ? { colSpan: 2 } : {}, mark)] : []),
      ...(isKnown && correct === null ? [] : [element("td", {}, detail)]));
  });
  const heads = ["Variant", "Predicts", ...(isKnown ? [""] : []), "How sure"].map((head) =>
    element(head ? "th" : "td", head ? { scope: "col" } : {}, head));
  byId("answers").replaceChildren(
    element("caption", { className: "hidden" }, `Predictions for ${name}`),
    element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows));
  const correct = rows.filter(({ className }) => className === "correct").length;
  const able = rows.filter(({ className }) => className !== "unknown").length;
  byId("image-result").textContent = isKnown ? `${name}, actual class ${actual}: ${correct} of ${
    plural(able, "variant")} correct.` : `${name}, as the models see it.`;
  byId("image-shown").replaceChildren(imageCanvas(pixels));
}

/** Show the explained image and the answers. */
function showSubject() {
  const shown = subject();
  byId("image-number", HTMLInputElement).value = String(shown?.image ?? "");
  byId("image-empty").hidden = shown !== null;
  byId("inspector-content").hidden = !shown;
  if (shown) showAnswers(shown);
  else byId("image-result").textContent = "";
}

function showEvidence() {
  const shown = subject();
  if (!shown) return;
  const { pixels, label } = shown;
  const variant = linearOf(state.variant);
  const scores = scoresOf(variant, pixels);
  byId("evidence-variant", HTMLSelectElement).value = variant.name;
  byId("compare-controls").hidden = scores.length === 1;
  if (scores.length > 1) {
    const compared = comparedClasses(variant, label, scores);
    for (const [i, select] of compareSelects().entries()) {
      setOptions(select, variant.classes.map((each) => [each, nameOf(each)]));
      select.value = String(variant.classes[compared[i]]);
    }
    byId("evidence").replaceChildren(...comparedEvidence(variant, pixels, scores, compared));
  } else byId("evidence").replaceChildren(...singleEvidence(variant, pixels, scores));
  const shared = sharedText(variant, scores);
  const other = variantOf(state.variant);
  byId("evidence-result").textContent = (other === variant ? ""
    : `${other.name} is not linear in the pixels, so it has no such evidence. `)
    + `${variant.name} predicts ${variant.names[predictedClass(variant, scores)]}: `
    + `${predictionDetail(variant, scores)}.${shared}`;
}

/**
 * @param {Variant} variant
 * @param {number[]} scores
 * @returns {string} the probability that separate models have together
 */
function sharedText({ rule }, scores) {
  if (!rule.yes || !rule.probabilities) return "";
  const largest = Math.max(...rule.probabilities(scores));
  return ` Divided by the sum of all, its probability is ${percentOfModel(largest)}.`;
}

/** @param {number} image */
const showImage = (image) => setState({ image: String(image), compare: "", level: "" });

/** @param {number} by how many of the included images to go on */
function stepImage(by) {
  const place = includedImages.findIndex((image) => image === Number(state.image)) + by;
  showImage(includedImages[(place + includedImages.length) % includedImages.length]);
}

function showNextMistake() {
  const variant = variantOf(state.variant);
  const mistakes = variant.mistakes.map((row) => variant.images[row]).filter(isIncluded);
  if (!mistakes.length) return;
  showImage(mistakes[(mistakes.indexOf(Number(state.image)) + 1) % mistakes.length]);
}

/** Compare the classes of the controls; the same class twice makes them change places. */
function changeCompared() {
  let [a, b] = compareSelects().map((select) => select.value);
  if (a === b) {
    const variant = linearOf(state.variant);
    const shown = subject();
    if (!shown) return;
    const before = comparedClasses(variant, shown.label, scoresOf(variant, shown.pixels));
    [b, a] = before.map((index) => String(variant.classes[index]));
  }
  takeStep({ compare: `${a}-${b}` });
}

fillLater("image", () => {
  const number = byId("image-number", HTMLInputElement);
  byId("image-before").addEventListener("click", () => stepImage(-1));
  byId("image-after").addEventListener("click", () => stepImage(1));
  byId("image-mistake").addEventListener("click", showNextMistake);
  number.max = String(labels.length - 1);
  number.addEventListener("change", () => {
    const isKnown = isIncluded(number.valueAsNumber);
    byId("image-problem").textContent = isKnown ? "" : `There is no test image ${number.value
      || "without a number"} on this page: choose one from 0 to ${number.max}.`;
    if (isKnown) showImage(number.valueAsNumber);
    else number.value = String(subject()?.image ?? "");
  });
  if (runnable.length) {
    byId("image-drawing").addEventListener("click", () =>
      takeStep({ image: DRAWING, compare: "", level: "" }));
  }
  onSubject([], showSubject);
  onChange(["variant"], (chosen) => {
    byId("image-mistake").textContent = `Next mistake of ${chosen.variant}`;
  });
  if (!linear.length) return;
  const select = byId("evidence-variant", HTMLSelectElement);
  select.addEventListener("change", () => takeStep(changesTo(select.value)));
  for (const control of compareSelects()) control.addEventListener("change", changeCompared);
  onSubject(["variant", "compare"], showEvidence);
  onRedraw(showEvidence);
});
