// The weights of a linear model as images.

// The colours stop at a quantile, so that a few large values do not make the rest pale.
const WEIGHTS_QUANTILE = 0.99;
const WEIGHTS_NOTE = "The colours stop at the 99th percentile.";

/**
 * Show the weights of each output as images.
 *
 * @param {HTMLElement} container
 * @param {Float64Array | Int8Array} coef the weights of all outputs
 * @param {number} limit where the colours stop
 * @param {Pick<Variant, "names" | "rule">} variant
 */
function showWeightImages(container, coef, limit, { names, rule }) {
  const size = height * width;
  const n = coef.length / size;
  const single = n === 1;
  container.classList.toggle("fives", n > 3 && n <= 10);
  container.replaceChildren(...Array.from({ length: n }, (_, output) => {
    const shown = coef.subarray(output * size, (output + 1) * size);
    const label = single ? `Weights of the score: ${rule.directions(names, 0).join(", ")}`
      : `Weights of class ${names[output]}`;
    return element("figure", { role: "img", "aria-label": label },
      divergingCanvas(shown, limit),
      element("figcaption", {}, single ? "score" : names[output]));
  }));
}

/**
 * What negative and positive weights are evidence for.
 *
 * @param {Pick<Variant, "names" | "rule">} variant
 * @param {number} n the number of outputs
 * @returns {[negative: string, positive: string]}
 */
function weightDirections({ names, rule }, n) {
  const [positive, negative] = n === 1 ? rule.directions(names, 0) : ["for", "against"];
  return [negative, positive];
}

/** @param {Variant} variant */
function showWeights(variant) {
  const { arrays: { weights, offset, scale } } = variant;
  const size = height * width;
  const coef = new Float64Array(weights).map((weight, i) => weight * scale[i % size]);
  const limit = absoluteQuantile(coef, WEIGHTS_QUANTILE);
  showWeightImages(byId("weight-images"), coef, limit, variant);
  showColourScale(byId("weight-scale"), limit, weightDirections(variant, offset.length),
    WEIGHTS_NOTE);
}

/**
 * The correlation of the values of neighbouring pixels.
 *
 * @param {ArrayLike<number>} values some images, one after the other
 * @param {boolean[]} isUsed by pixel
 * @returns {number | null} null if there are no neighbours, or one does not vary
 */
function neighbourCorrelation(values, isUsed) {
  const size = height * width;
  let [n, a, b, aa, bb, ab] = [0, 0, 0, 0, 0, 0];
  for (const [step, isAcross] of /** @type {const} */ ([[1, true], [width, false]])) {
    for (let pixel = 0; pixel + step < size; pixel += 1) {
      const isLast = isAcross && (pixel + 1) % width === 0; // of its row
      const isPair = isUsed[pixel] && isUsed[pixel + step] && !isLast;
      for (let i = pixel; isPair && i < values.length; i += size) {
        const one = values[i];
        const other = values[i + step];
        n += 1;
        a += one;
        b += other;
        aa += one * one;
        bb += other * other;
        ab += one * other;
      }
    }
  }
  const variances = (n * aa - a * a) * (n * bb - b * b);
  return variances > 0 ? (n * ab - a * b) / Math.sqrt(variances) : null;
}

const NOISY = 0.4; // a picture of weights whose neighbours correlate less looks like noise
const SAMPLE = 100; // images from which the correlation of their pixels is computed

/**
 * What the picture of the weights shows, by its own numbers.
 *
 * @param {Variant} variant
 */
function weightsText({ arrays: { weights, offset, scale }, C }) {
  const size = height * width;
  const outputs = Array.from(offset.keys());
  const isUsed = Array.from({ length: size }, (_, pixel) =>
    outputs.some((output) => weights[output * size + pixel] !== 0));
  const unused = isUsed.filter((is, pixel) => !is && scale[pixel] === 1).length; // of a constant
  const constant = unused
    ? `${plural(unused, "pixel")} of ${formatCount(size)} never vary in training: their weight is 0. ` : "";
  const coef = new Float64Array(weights).map((weight, i) => weight * scale[i % size]);
  const ofWeights = neighbourCorrelation(coef, isUsed);
  const ofPixels = neighbourCorrelation(imageBytes.subarray(0, SAMPLE * size), isUsed);
  if (ofWeights === null || ofPixels === null) return constant;
  const correlations = `the weights of neighbouring pixels have a correlation of `
    + `${signed(ofWeights)}, the pixels themselves one of ${signed(ofPixels)}. `;
  if (ofPixels < 0.5) return `${constant}Here, ${correlations}`;
  const penalty = C === null ? "there is no penalty"
    : `the penalty (C = ${C}) is too weak to prevent it`;
  return constant + (ofWeights < NOISY
    ? `The weights look noisy: ${correlations}Neighbouring pixels have nearly the same `
      + `information, so training can divide weight among them freely, and ${penalty}.`
    : `The weights look smooth: ${correlations}`
      + (C === null ? "" : `The penalty (C = ${C}) makes neighbouring pixels share the weight.`));
}

fillLater("weights", () => {
  const select = byId("weights-variant", HTMLSelectElement);
  select.addEventListener("change", () => takeStep(changesTo(select.value)));
  onChange(["variant"], (chosen) => {
    const variant = linearOf(chosen.variant);
    select.value = variant.name;
    byId("weights-text").textContent = weightsText(variant);
    showWeights(variant);
  });
  onRedraw(() => showWeights(linearOf(state.variant)));
});
