// LeNet-5: its layers, and the kernels of the first one.

/**
 * Each layer: what it does, its output, and its number of weights, as text and number.
 *
 * @param {Variant} variant
 * @returns {[does: string, output: string, weights: number][]}
 */
function networkLayers({ arrays }) {
  let sides = [padding(height)[1], padding(width)[1]];
  /** @type {[string, string, number][]} */
  const layers = [["Image with a margin", sides.join(" × "), 0]];
  let maps = 1;
  for (const i of [1, 2]) {
    const [kernel, bias] = [arrays[`kernel_${i}`], arrays[`bias_${i}`]];
    const side = kernelSide(kernel, maps * bias.length);
    sides = sides.map((length) => (length - side + 1) >> 1);
    maps = bias.length;
    layers.push([`Convolution ${side} × ${side}, pooling 2 × 2`, `${maps} × ${sides.join(" × ")}`,
      kernel.length + bias.length]);
  }
  for (const i of [1, 2, 3]) {
    const [weights, bias] = [arrays[`dense_${i}`], arrays[`bias_${i + 2}`]];
    layers.push([i < 3 ? "Linear" : "Linear: a score for each class", String(bias.length),
      weights.length + bias.length]);
  }
  return layers;
}

/**
 * A kernel of the first layer.
 *
 * @param {number[]} values
 * @param {number} side in pixels
 * @param {number} limit where the colours stop
 */
function kernelCanvas(values, side, limit) {
  const shown = element("canvas", { width: side, height: side });
  const context = shown.getContext("2d");
  const [against, zero, favour] = ["--against", "--zero", "--for"].map(colourOf);
  values.forEach((value, i) => {
    if (!context) return;
    const share = Math.min(Math.abs(value) / limit, 1);
    const end = value < 0 ? against : favour;
    const colour = zero.map((part, c) => Math.round(part + share * (end[c] - part)));
    context.fillStyle = `rgb(${colour.join(" ")})`;
    context.fillRect(i % side, Math.floor(i / side), 1, 1);
  });
  return shown;
}

/** @param {Variant} variant */
function showNetwork(variant) {
  const layers = networkLayers(variant);
  const total = sum(layers.map(([, , weights]) => weights));
  byId("lenet5-layers").replaceChildren(
    element("caption", { className: "hidden" }, `Layers of ${variant.name}`),
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Layer"),
      element("th", { scope: "col", className: "number" }, "Output"),
      element("th", { scope: "col", className: "number" }, "Weights"))),
    element("tbody", {}, ...[...layers, /** @type {const} */ (["All", "", total])].map(
      ([does, output, weights]) => element("tr", {}, element("th", { scope: "row" }, does),
        element("td", { className: "number" }, output),
        element("td", { className: "number" }, weights ? formatCount(weights) : "–")))));
  const { kernel_1: kernel, bias_1: bias } = variant.arrays;
  const side = kernelSide(kernel, bias.length);
  const limit = Math.max(...Array.from(kernel, Math.abs)) || 1;
  byId("lenet5-kernels").replaceChildren(...Array.from(bias, (_, n) => {
    const values = Array.from(kernel).filter((__, i) => i % bias.length === n);
    return element("figure", { role: "img", "aria-label": `Kernel ${n + 1} of ${side} by ${side}` },
      kernelCanvas(values, side, limit));
  }));
}

fillLater("lenet5", () => {
  const networks = runnable.filter(({ model_type: type }) => type === "lenet5");
  const select = document.querySelector("#lenet5-variant"); // there if there are several
  const show = () => {
    const network = ofName(networks, state.lenet5Variant);
    if (select instanceof HTMLSelectElement) select.value = network.name;
    showNetwork(network);
  };
  select?.addEventListener("change", () => {
    if (select instanceof HTMLSelectElement) takeStep({ lenet5Variant: select.value });
  });
  onChange(["lenet5Variant"], show);
  onRedraw(show);
});
