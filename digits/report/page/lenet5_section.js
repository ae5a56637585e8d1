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
}

/**
 * @param {ArrayLike<number>} a
 * @param {ArrayLike<number>} b at least as long; what is further is left out
 */
function correlationOf(a, b) {
  const mean = [a, b].map((values) => sum(Array.from(a, (_, i) => values[i])) / a.length);
  /** @type {(x: ArrayLike<number>, y: ArrayLike<number>, i: number, j: number) => number} */
  const product = (x, y, i, j) =>
    sum(Array.from(a, (_, k) => (x[k] - mean[i]) * (y[k] - mean[j])));
  return product(a, b, 0, 1) / Math.sqrt(product(a, a, 0, 0) * product(b, b, 1, 1));
}

/**
 * Show the kernels of the first layer after an epoch, in the colours of all epochs.
 *
 * @param {Variant} variant
 */
function showKernels({ arrays: { kernel_1: last, bias_1: bias, kernels: all } }) {
  const recorded = all.length ? all : last;
  const size = last.length;
  const epochs = recorded.length / size - 1;
  const epoch = state.epoch ? Math.min(Number(state.epoch), epochs) : epochs;
  const kernel = Array.from(recorded.slice(epoch * size, (epoch + 1) * size));
  const side = kernelSide(last, bias.length);
  const limit = Math.max(...Array.from(recorded, Math.abs)) || 1;
  byId("lenet5-kernels").replaceChildren(...Array.from(bias, (_, n) => {
    const values = kernel.filter((__, i) => i % bias.length === n);
    return element("figure", { role: "img", "aria-label": `Kernel ${n + 1} of ${side} by ${side}` },
      kernelCanvas(values, side, limit));
  }));
  const slider = byId("lenet5-epoch", HTMLInputElement);
  byId("lenet5-epochs").hidden = epochs < 1;
  [slider.max, slider.value] = [String(epochs), String(epoch)];
  const text = epoch ? `${epoch} of ${epochs}` : "none: random values";
  slider.ariaValueText = text;
  byId("lenet5-epoch-shown").textContent = text;
  byId("lenet5-change").textContent = epoch
    ? `The correlation with their random values at the start is ${
      signed(correlationOf(kernel, recorded))}.` : "";
}

fillLater("lenet5", () => {
  const networks = runnable.filter(({ model_type: type }) => type === "lenet5");
  const select = document.querySelector("#lenet5-variant"); // there if there are several
  const chosen = () => ofName(networks, state.lenet5Variant);
  const show = () => {
    if (select instanceof HTMLSelectElement) select.value = chosen().name;
    showNetwork(chosen());
  };
  const slider = byId("lenet5-epoch", HTMLInputElement);
  slider.addEventListener("input", () => setState({ epoch: slider.value, section: "lenet5" }));
  select?.addEventListener("change", () => {
    if (select instanceof HTMLSelectElement) takeStep({ lenet5Variant: select.value });
  });
  onChange(["lenet5Variant"], show);
  onChange(["lenet5Variant", "epoch"], () => showKernels(chosen()));
  onRedraw(() => showKernels(chosen()));
});
