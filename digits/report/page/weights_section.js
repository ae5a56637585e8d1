// The weights of a linear model as images.

// The colours stop at a quantile, so that a few large values do not make the rest pale.
const WEIGHTS_QUANTILE = 0.99;
const WEIGHTS_NOTE = "The colours stop at the 99th percentile.";

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
  byId("weight-images").classList.toggle("fives", offset.length > 3 && offset.length <= 10);
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
 * The correlation of the values of neighbouring pixels, without the pixels that are left out.
 *
 * @param {ArrayLike<number>} values some images, one after the other
 * @param {(pixel: number) => boolean} isUsed
 * @returns {number | null} null if there are no neighbours, or one does not vary
 */
function neighbourCorrelation(values, isUsed) {
  const size = height * width;
  const [n, sums] = [[0], [0, 0, 0, 0, 0]];
  /** @param {number} a @param {number} b */
  const add = (a, b) => {
    n[0] += 1;
    [a, b, a * a, b * b, a * b].forEach((term, i) => { sums[i] += term; });
  };
  for (let i = 0; i < values.length; i += 1) {
    const pixel = i % size;
    if (isUsed(pixel)) {
      if ((pixel + 1) % width && isUsed(pixel + 1)) add(values[i], values[i + 1]);
      if (pixel + width < size && isUsed(pixel + width)) add(values[i], values[i + width]);
    }
  }
  const [a, b, aa, bb, ab] = sums.map((total) => total / n[0]);
  const variances = (aa - a * a) * (bb - b * b);
  return variances > 0 ? (ab - a * b) / Math.sqrt(variances) : null;
}

const NOISY = 0.4; // a picture of weights whose neighbours correlate less looks like noise
const SAMPLE = 300; // images from which the correlation of their pixels is computed

/**
 * What the picture of the weights shows, by its own numbers.
 *
 * @param {Variant} variant
 */
function weightsText({ arrays: { weights, offset, scale }, C }) {
  const size = height * width;
  const outputs = Array.from(offset.keys());
  /** @param {number} pixel */
  const isUsed = (pixel) => outputs.some((output) => weights[output * size + pixel] !== 0);
  const unused = Array.from({ length: size }, (_, pixel) => pixel)
    .filter((pixel) => !isUsed(pixel) && scale[pixel] === 1).length; // the scale of a constant
  const constant = unused
    ? `${plural(unused, "pixel")} of ${formatCount(size)} never vary in training: their weight is 0. ` : "";
  const coef = Float64Array.from(weights, (weight, i) => weight * scale[i % size]);
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
