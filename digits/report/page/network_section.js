// What LeNet-5 makes of the explained image: the maps of its layers, and an occlusion map.

const PATCHES = 7; // down and across, at most
const network = runnable.find(({ model_type: modelType }) => modelType === "lenet5");

/**
 * The maps of a layer. The darkest ink is the layer's largest activation.
 *
 * @param {string} name
 * @param {string} does
 * @param {Maps} maps
 */
function layerFigure(name, does, { values, high, wide }) {
  const count = values.length / (high * wide);
  const most = values.reduce((a, b) => Math.max(a, b), 0) || 1;
  const canvases = Array.from({ length: count }, (_, map) =>
    paintedCanvas("ink", (data) => {
      for (let i = 0; i < high * wide; i += 1) {
        data[4 * i + 3] = Math.round((255 * values[i * count + map]) / most);
      }
    }, wide, high));
  const size = `${count} maps of ${wide}\u00a0×\u00a0${high}`;
  return element("figure", { className: `layer maps-${count}`, role: "img",
    "aria-label": `${name}, ${does}: ${size}` },
  element("figcaption", {}, element("strong", {}, name), ` ${does}, ${size}`),
  element("div", {}, ...canvases.map((each) => element("span", { className: "frame" }, each))));
}

/**
 * The lead of the answer over the best other class.
 *
 * @param {number[]} scores
 * @param {number} answer a class index
 */
const leadOf = (scores, answer) =>
  scores[answer] - Math.max(...scores.filter((_, i) => i !== answer));

/**
 * By how much the lead of the answer falls when a patch of the image is black, for each pixel
 * of the patch.
 *
 * @param {Variant} variant
 * @param {Uint8Array} pixels
 * @returns {Generator<void, Float64Array>}
 */
function* occlusion(variant, pixels) {
  const scores = scoresOf(variant, pixels);
  const answer = predictedClass(variant, scores);
  const lead = leadOf(scores, answer);
  const falls = new Float64Array(pixels.length);
  const [tall, broad] = [height, width].map((side) => Math.ceil(side / PATCHES));
  const across = Math.ceil(width / broad);
  const patches = Array.from(pixels, (_, i) =>
    Math.floor(Math.floor(i / width) / tall) * across + Math.floor((i % width) / broad));
  for (const patch of new Set(patches)) {
    yield;
    const without = pixels.map((pixel, i) => (patches[i] === patch ? 0 : pixel));
    const fall = lead - leadOf(scoresOf(variant, without), answer);
    patches.forEach((each, i) => { if (each === patch) falls[i] = fall; });
  }
  return falls;
}

/**
 * @param {Variant} variant
 * @param {Uint8Array} pixels
 * @param {Float64Array} falls
 */
function occlusionFigure(variant, pixels, falls) {
  const answer = variant.names[predictedClass(variant, scoresOf(variant, pixels))];
  const limit = Math.max(...falls.map(Math.abs)) || 1;
  return element("figure", {}, outlined(divergingCanvas(falls, limit), pixels),
    element("figcaption", {}, element("strong", {}, "Occlusion"),
      ` The ink of each patch was removed. The deepest blue means that without this patch, ${
        answer} leads by ${limit.toPrecision(2)} less; orange, that it leads by more.`));
}

fillLater("network", () => {
  const container = byId("network");
  const show = lazily(container, function* steps() {
    const shown = subject();
    if (!shown || !network) return;
    const { c1, s2, c3, s4 } = lenet5Layers(network.arrays, shown.pixels);
    byId("layers").replaceChildren(layerFigure("C1", "convolution", c1),
      layerFigure("S2", "pooling", s2), layerFigure("C3", "convolution", c3),
      layerFigure("S4", "pooling", s4));
    const falls = yield* occlusion(network, shown.pixels);
    byId("occlusion").replaceChildren(occlusionFigure(network, shown.pixels, falls));
  });
  onSubject([], () => show());
  onRedraw(() => show());
});
