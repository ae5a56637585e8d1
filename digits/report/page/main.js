// The address's fragment leads to a section; an interface for tests and consoles.

for (const link of document.querySelectorAll("a[href^='#']")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const section = link.getAttribute("href")?.slice(1) ?? "";
    takeStep(section === "image" ? { section, panel: "" } : { section });
    goTo(section);
  });
}

addEventListener("popstate", (event) => {
  if (event.state !== WRITTEN) return; // an address that the reader typed: see below
  setState(stateFromAddress()); // the browser itself scrolls to where the reader was
});
addEventListener("hashchange", () => {
  if (history.state === WRITTEN) return;
  setState(stateFromAddress());
  writeAddress(state);
  if (state.section) goTo(state.section);
});
writeAddress(state);
if (state.section) goTo(state.section, "instant");

/** @param {number | number[]} image a test image's number, or grey values */
const greyValues = (image) =>
  (typeof image === "number" ? pixelsOf(image) : Uint8Array.from(image));

/**
 * @param {string} name
 * @param {number | number[]} image
 * @returns {number[]}
 */
const scoresFor = (name, image) => scoresOf(variantOf(name), greyValues(image));

/**
 * The result of work that is done in steps.
 *
 * @template T
 * @param {Generator<void, T>} steps
 * @returns {T}
 */
function finished(steps) {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

// What tests, and a browser's console, can call. Only the variants whose weights are on the
// page have scores and predictions.
window.digits = Object.freeze({
  variants: variants.map((variant) => variant.name),
  /** @param {string} name @returns {number[]} the numbers of a variant's test images */
  images: (name) => variantOf(name).images,
  /** @param {number} image @returns {number[]} the grey values of a test image */
  pixels: (image) => Array.from(pixelsOf(image)),
  scores: scoresFor,
  /** @param {string} name @param {number | number[]} image @returns {number} a label */
  predict: (name, image) => {
    const variant = variantOf(name);
    return variant.classes[predictedClass(variant, scoresFor(name, image))];
  },
  /** @param {number[]} grey @param {number} high @param {number} wide */
  toImageFormat: (grey, high, wide) => {
    const image = toImageFormat(Uint8Array.from(grey), high, wide);
    return image && Array.from(image);
  },
  /** @returns {number[] | null} the grey values that the models classify now */
  modelInput: () => modelInput && Array.from(modelInput),
  /** @param {string} name @param {number | number[]} image how its answer is flipped */
  fool: (name, image) => {
    const { direction, level } = finished(fool(variantOf(name), greyValues(image)));
    return { direction: Array.from(direction), level };
  },
  /** @param {string} name @param {number | number[]} image the maps of LeNet-5's layers */
  layers: (name, image) => {
    const { c1, s2, c3, s4 } = lenet5Layers(variantOf(name).arrays, greyValues(image));
    return [c1, s2, c3, s4].map(({ values, high, wide }) => [Array.from(values), high, wide]);
  },
  /** @param {string} name @param {number | number[]} image how much each patch matters */
  occlusion: (name, image) =>
    Array.from(finished(occlusion(variantOf(name), greyValues(image)))),
  /** @param {number | number[]} image @returns {number[]} the test images nearest to it */
  nearest: (image) => finished(nearestImages(greyValues(image),
    typeof image === "number" ? image : null)),
});
setTimeout(fillNext);
