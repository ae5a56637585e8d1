// Logistic regression along the regularisation path: what the penalty does.

const NO_LEVEL = 256; // of `half_levels`: no change flips half of the answers

const PATH_SPLITS = ["training images", "test images"]; // of a pair of measures

/** @returns {RegularisationPath} */
const shownPath = () =>
  payload.paths.find(({ subset }) => subset === state.penaltySubset) ?? payload.paths[0];

/**
 * @param {RegularisationPath} path
 * @returns {number} the place of the chosen C; the middle if none is
 */
function placeOnPath({ C }) {
  const at = C.findIndex((value) => String(value) === state.penalty);
  return at < 0 ? Math.floor(C.length / 2) : at;
}

/**
 * An axis from 0 with round ticks.
 *
 * @param {string} name
 * @param {number} most what it must reach
 * @param {(value: number) => string} text
 * @returns {Axis}
 */
function roundAxis(name, most, text) {
  const power = 10 ** Math.floor(Math.log10(most / 4 || 1));
  const step = power * ([1, 2, 2.5, 5, 10].find((factor) => 4 * factor * power >= most) ?? 10);
  const n = Math.max(1, Math.ceil(most / step));
  return { name, low: 0, high: n * step,
    ticks: Array.from({ length: n + 1 }, (_, i) => [i * step, text(i * step)]) };
}

/**
 * A measure of training and test images for each C.
 *
 * @param {string} id of the element
 * @param {string} name of the measure
 * @param {number[]} C
 * @param {[training: number, test: number][]} values
 * @param {number} at the place of the chosen C
 * @param {(value: number) => string} text of a value
 */
function showPenaltyPlot(id, name, C, values, at, text) {
  const container = byId(id);
  const places = C.map(Math.log10);
  /** @type {[number, string][]} */
  const ticks = C.map((value, i) => [places[i], String(value)]);
  /** @type {Axis} */
  const across = { name: "C", low: places[0], high: places[places.length - 1],
    ticks: ticks.filter(([place]) => Math.abs(place - Math.round(place)) < 1e-9) };
  const series = PATH_SPLITS.map((split, i) => {
    const points = values.map((pair, place) =>
      /** @type {[number, number]} */ ([places[place], pair[i]]));
    return { name: split, points, dots: [{ at: points[at], isRing: false }] };
  });
  const up = roundAxis(name, Math.max(...values.flat()), text);
  const wide = clamp(container.clientWidth, 280, 520);
  const plot = linePlot(`${up.name} of training and test images for each C`, [across, up], series,
    [wide, Math.min(300, 0.75 * wide)], id);
  plot.setAttribute("width", String(wide));
  container.replaceChildren(plot);
}

/**
 * What the chosen C does, in words.
 *
 * @param {RegularisationPath} path
 * @param {number} at
 */
function penaltyText({ errors, n_train: nTrain, n_test: nTest, half_levels: levels }, at) {
  const [training, test] = errors[at];
  const flipped = levels[at] === NO_LEVEL ? "No change of the pixels flips half of the answers."
    : `A change of each pixel by ${levels[at]} grey ${levels[at] === 1 ? "level" : "levels"} `
      + "is enough to flip half of the answers.";
  return `Wrong: ${percent(training / nTrain)} of the training images, `
    + `${percent(test / nTest)} of the test images. ${flipped}`;
}

fillLater("penalty", () => {
  const slider = byId("penalty-C", HTMLInputElement);
  const select = document.querySelector("#penalty-subset"); // there if there are several
  byId("penalty-legend").replaceChildren(plotLegend(PATH_SPLITS.map((split) => [split, ""])));
  function show() {
    const path = shownPath();
    const at = placeOnPath(path);
    const { subset, C, limits, classes, errors, log_loss: losses } = path;
    if (select instanceof HTMLSelectElement) select.value = subset;
    for (const table of document.querySelectorAll("#penalty [data-subset]")) {
      if (table instanceof HTMLElement) table.hidden = table.dataset.subset !== subset;
    }
    [slider.max, slider.value] = [String(C.length - 1), String(at)];
    slider.ariaValueText = `C = ${C[at]}`;
    byId("penalty-shown").textContent = String(C[at]);
    byId("penalty-text").textContent = penaltyText(path, at);
    const all = /** @type {Int8Array} */ (typedArray(`path of/${subset}`));
    const size = all.length / C.length;
    const weights = all.subarray(at * size, (at + 1) * size);
    const rule = DECISIONS[classes.length === 2 ? "sigmoid" : "softmax"];
    const model = { names: classes.map(nameOf), rule };
    showWeightImages(byId("penalty-images"), weights, 127, model); // the limit of a byte
    showColourScale(byId("penalty-scale"), limits[at],
      weightDirections(model, size / (height * width)), WEIGHTS_NOTE);
    showPenaltyPlot("penalty-errors", "error", C,
      errors.map(([training, test]) => [training / path.n_train, test / path.n_test]), at,
      (value) => `${Number((100 * value).toFixed(3))}%`);
    showPenaltyPlot("penalty-losses", "log loss", C, losses, at,
      (value) => String(Number(value.toFixed(6))));
    for (const row of document.querySelectorAll("#penalty tbody tr")) {
      const isShown = row.querySelector("th")?.textContent === String(C[at]);
      if (isShown) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  }

  slider.addEventListener("input", () => {
    setState({ penalty: String(shownPath().C[slider.valueAsNumber]), section: "penalty" });
  });
  select?.addEventListener("change", () => {
    if (select instanceof HTMLSelectElement) takeStep({ penaltySubset: select.value });
  });
  onChange(["penalty", "penaltySubset"], show);
  onRedraw(show, byId("penalty-errors"));
});
