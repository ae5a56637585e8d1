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

fillLater("weights", () => {
  const select = byId("weights-variant", HTMLSelectElement);
  select.addEventListener("change", () => takeStep(changesTo(select.value)));
  onChange(["variant"], (chosen) => {
    const variant = linearOf(chosen.variant);
    select.value = variant.name;
    showWeights(variant);
  });
  onRedraw(() => showWeights(linearOf(state.variant)));
});
