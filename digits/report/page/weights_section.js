// A linear model's weights, and the evidence that they give for one image.

// The colours stop at a quantile, so that a few large values do not make the rest pale.
const WEIGHTS_QUANTILE = 0.99;
const WEIGHTS_NOTE = "The colours stop at the 99th percentile.";
const EVIDENCE_QUANTILE = 0.995;
const EVIDENCE_NOTE = "The colours stop at the 99.5th percentile.";

/**
 * The weights of each output as images.
 *
 * @param {Variant} variant
 */
function showWeights(variant) {
  const { arrays: { weights, offset, scale }, names, rule } = variant;
  const size = height * width;
  const coef = Float64Array.from(weights, (weight, i) => weight * scale[i % size]);
  const limit = absoluteQuantile(coef, WEIGHTS_QUANTILE);
  const single = offset.length === 1;
  byId("weight-images").replaceChildren(...Array.from(offset, (_, output) => {
    const shown = coef.subarray(output * size, (output + 1) * size);
    const label = single ? `Weights of the score: ${rule.directions(names, 0).join(", ")}`
      : `Weights of class ${names[output]}`;
    return element("figure", { role: "img", "aria-label": label },
      divergingCanvas(shown, limit),
      element("figcaption", {}, single ? "score" : names[output]));
  }));
  const [positive, negative] = single ? rule.directions(names, 0) : ["for", "against"];
  showColourScale(byId("weight-scale"), limit, [negative, positive], WEIGHTS_NOTE);
}

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
  const total = values.reduce((sum, value) => sum + value, 0);
  return `${signed(score - total)} intercept ${signed(total, 2, "+")} evidence`
    + ` = score ${signed(score)}`;
}

/**
 * The two class indices to compare: as chosen, or the actual class and the best other one.
 *
 * @param {Variant} variant
 * @param {number} image
 * @param {number[]} scores
 * @returns {[number, number]}
 */
function comparedClasses(variant, image, scores) {
  const chosen = cellOf(variant, state.compare);
  if (chosen && chosen[0] !== chosen[1]) return chosen;
  const [best, second] = variant.classes.map((_, i) => i).sort((a, b) => scores[b] - scores[a]);
  const actual = variant.classes.indexOf(labels[image]);
  if (actual < 0) return [best, second];
  return [actual, best === actual ? second : best];
}

/**
 * What a variant predicts for an image, in words.
 *
 * @param {Variant} variant
 * @param {number} image
 * @param {number[]} scores
 */
function predictionText(variant, image, scores) {
  const { name, names, classes, rule } = variant;
  const index = predictedClass(variant, scores);
  const detail = predictionDetail(variant, scores);
  const shared = rule.yes ? rule.probabilities?.(scores)[index] : undefined;
  const how = shared === undefined ? ` with ${detail}`
    : `: ${detail}. Divided by the sum of all, its probability is ${percentOfModel(shared)}`;
  const limits = classes.includes(labels[image]) ? ""
    : ` It knows only the classes ${names.join(names.length === 2 ? " and " : ", ")}.`;
  return `Actual class ${nameOf(labels[image])}. ${name} predicts ${names[index]}${how}.${limits}`;
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
  return [evidenceFigure("Evidence", divergingCanvas(values, limit),
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
  return [
    evidenceFigure(`For ${names[a]}`, divergingCanvas(forA, limit), scoreSum(scores[a], forA)),
    evidenceFigure(`For ${names[b]}`, divergingCanvas(forB, limit), scoreSum(scores[b], forB)),
    evidenceFigure(`For ${names[a]} rather than ${names[b]}`, divergingCanvas(difference, limit),
      `score for ${names[a]} minus score for ${names[b]}: ${signed(scores[a] - scores[b], 2, "+")}`),
  ];
}

/** @returns {[HTMLSelectElement, HTMLSelectElement]} the controls for the classes to compare */
const compareSelects = () =>
  [byId("compare-a", HTMLSelectElement), byId("compare-b", HTMLSelectElement)];

function showEvidence() {
  const variant = linearOf(state.variant);
  const image = Number(state.image);
  const pixels = pixelsOf(image);
  const scores = scoresOf(variant, pixels);
  byId("image-number", HTMLInputElement).value = String(image);
  byId("evidence-result").textContent = predictionText(variant, image, scores);
  byId("compare-controls").hidden = scores.length === 1;
  const frame = element("div", { className: "frame" }, imageCanvas(pixels));
  const figures = [
    evidenceFigure("Image", frame, `test image ${image}, class ${nameOf(labels[image])}`),
  ];
  if (scores.length > 1) {
    const compared = comparedClasses(variant, image, scores);
    for (const [i, select] of compareSelects().entries()) {
      setOptions(select, variant.classes.map((label) => [label, nameOf(label)]));
      select.value = String(variant.classes[compared[i]]);
    }
    figures.push(...comparedEvidence(variant, pixels, scores, compared));
  } else figures.push(...singleEvidence(variant, pixels, scores));
  byId("evidence").replaceChildren(...figures);
}

/** @param {number} image */
const showImage = (image) => setState({ image: String(image), compare: "" });

/** @param {number} by how many of the included images to go on */
function stepImage(by) {
  const place = includedImages.findIndex((image) => image === Number(state.image)) + by;
  showImage(includedImages[(place + includedImages.length) % includedImages.length]);
}

function showNextMistake() {
  const variant = linearOf(state.variant);
  const mistakes = variant.mistakes.map((row) => variant.images[row]).filter(isIncluded);
  if (!mistakes.length) return;
  showImage(mistakes[(mistakes.indexOf(Number(state.image)) + 1) % mistakes.length]);
}

/** Compare the classes of the controls; the same class twice makes them change places. */
function changeCompared() {
  let [a, b] = compareSelects().map((select) => select.value);
  if (a === b) {
    const variant = linearOf(state.variant);
    const image = Number(state.image);
    const before = comparedClasses(variant, image, scoresOf(variant, pixelsOf(image)));
    [b, a] = before.map((index) => String(variant.classes[index]));
  }
  setState({ compare: `${a}-${b}` });
}

fillLater("weights", () => {
  const select = byId("weights-variant", HTMLSelectElement);
  const number = byId("image-number", HTMLInputElement);
  select.addEventListener("change", () =>
    setState({ variant: select.value, cell: "", compare: "" }));
  byId("image-before").addEventListener("click", () => stepImage(-1));
  byId("image-after").addEventListener("click", () => stepImage(1));
  byId("image-mistake").addEventListener("click", showNextMistake);
  number.max = String(labels.length - 1);
  number.addEventListener("change", () => {
    if (isIncluded(number.valueAsNumber)) showImage(number.valueAsNumber);
    else number.value = state.image;
  });
  for (const control of compareSelects()) control.addEventListener("change", changeCompared);
  onChange(["variant"], (chosen) => {
    const variant = linearOf(chosen.variant);
    select.value = variant.name;
    showWeights(variant);
  });
  onChange(["variant", "image", "compare"], showEvidence);
  onRedraw(() => {
    showWeights(linearOf(state.variant));
    showEvidence();
  });
});
