// The scores of each class's test images as a ridgeline plot, with movable thresholds.

/**
 * @param {number} low
 * @param {number} high
 * @param {number} most the number of ticks, at most
 * @returns {number[]} round values from low to high
 */
function ticks(low, high, most) {
  const steps = [0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 20, 50];
  const step = steps.find((size) => (high - low) / size <= most) ?? 100;
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

/**
 * A tick's value with as many places as it has, at most 2.
 *
 * @param {number} tick
 */
function tickText(tick) {
  const places = [0, 1].find((few) => Math.abs(tick - Number(tick.toFixed(few))) < 1e-9);
  return signed(tick, places ?? 2);
}

const PERCENT_WIDTH = 58; // of the labels of an axis of accuracies

/**
 * The places of a plot with a row for each class.
 *
 * @typedef {object} RidgeFrame
 * @property {string} name what the ids in the plot begin with
 * @property {number} wide
 * @property {number} left of the plot without its labels
 * @property {number} right
 * @property {number} top
 * @property {number} bottom
 * @property {number} row the height of a row
 * @property {(score: number) => number} x
 * @property {(x: number) => number} scoreAt
 */

/**
 * @param {string} name what the ids in the plot begin with
 * @param {{ histogram: ScoreHistogram, names: string[] }} shown
 * @param {number} wide the width that there is
 * @returns {RidgeFrame}
 */
function ridgeFrame(name, { histogram: { low, high }, names }, wide) {
  const longest = Math.max(...names.map((each) => shortened(each).length));
  const n = names.length;
  const least = n === 2 ? PERCENT_WIDTH : 0; // the curve of the accuracy has the same frame
  const row = n === 2 ? 92 : n > payload.few_classes ? 20 : 40;
  const left = Math.max(longest > 1 ? 16 + 8 * longest : 26, least);
  const [right, top] = [wide - 10, 26];
  return {
    name, wide, left, right, top, row,
    bottom: top + n * row,
    x: (score) => left + ((score - low) / (high - low)) * (right - left),
    scoreAt: (x) => low + ((x - left) / (right - left)) * (high - low),
  };
}

/**
 * The outlines of the histograms of all classes, as paths. Each has the same area. The first
 * and the last bin hold all images outside and are cut off if they are higher than the rest.
 *
 * @param {ScoreHistogram} histogram
 * @param {RidgeFrame} frame
 * @returns {string[]}
 */
function ridgePaths({ counts }, { left, right, top, row }) {
  const shares = counts.map((bins) => bins.map((count) => count / Math.max(sum(bins), 1)));
  const highest = Math.max(...shares.flatMap((bins) => bins.slice(1, -1))) || 1;
  return shares.map((bins, i) => {
    const base = top + (i + 1) * row;
    const step = (right - left) / bins.length;
    const outline = bins.map((share, bin) => {
      const y = base - Math.min(share / highest, 1) * (row - 8);
      return `V${y.toFixed(1)}H${(left + (bin + 1) * step).toFixed(1)}`;
    });
    return `M${left} ${base}${outline.join("")}V${base}z`;
  });
}

/**
 * One class's row: its histogram, blue within the clip rectangle and orange outside.
 *
 * @param {number} i the class index
 * @param {string} label
 * @param {string} path
 * @param {SVGRectElement} clip
 * @param {RidgeFrame} frame
 * @returns {SVGElement[]}
 */
function ridge(i, label, path, clip, { name, left, right, top, row }) {
  const base = top + (i + 1) * row;
  const id = `${name}-clip-${i}`;
  return [
    svg("clipPath", { id }, clip),
    svg("path", { class: "ridge wrong", d: path }),
    svg("path", { class: "ridge correct", d: path, "clip-path": `url(#${id})` }),
    svg("line", { class: "grid", x1: left, x2: right, y1: base, y2: base }),
    svg("text", { class: "class-label", x: left - 8, y: base - 6, "text-anchor": "end" }, label),
  ];
}

/**
 * @param {ScoreHistogram} histogram
 * @param {RidgeFrame} frame
 * @returns {SVGElement[]} the ticks and the name of the score axis
 */
function scoreAxis({ low, high }, { wide, left, right, bottom, x }) {
  const marks = ticks(low, high, wide / 60).flatMap((tick) => [
    svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: bottom, y2: bottom + 5 }),
    svg("text", { class: "tick", x: x(tick), y: bottom + 19, "text-anchor": "middle" },
      tickText(tick)),
  ]);
  const name = svg("text", { class: "axis", x: (left + right) / 2, y: bottom + 38,
    "text-anchor": "middle" }, "score");
  return [...marks, name];
}

/**
 * A threshold's line with a handle, which can be dragged.
 *
 * @param {RidgeFrame} frame
 * @param {(event: PointerEvent) => void} onDrag
 * @returns {SVGGElement}
 */
function thresholdHandle({ top, bottom }, onDrag) {
  const handle = svg("g", { class: "threshold" },
    svg("line", { class: "threshold-line", y1: top - 6, y2: bottom }),
    svg("line", { class: "threshold-grip", y1: 0, y2: bottom }),
    svg("circle", { cy: top - 12, r: 7 }));
  handle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    handle.setPointerCapture(event.pointerId);
  });
  handle.addEventListener("pointermove", (event) => {
    if (handle.hasPointerCapture(event.pointerId)) onDrag(event);
  });
  return handle;
}

/**
 * The size of a plot; on paper it is scaled to the page.
 *
 * @param {number} wide
 * @param {number} tall
 */
const sizeOf = (wide, tall) => ({ width: wide, height: tall, viewBox: `0 0 ${wide} ${tall}` });

/**
 * Rows of histograms whose thresholds stay where they are.
 *
 * @param {ScoreHistogram} histogram
 * @param {string[]} names of the classes
 * @param {RidgeFrame} frame
 * @param {number[]} thresholds
 * @returns {SVGElement[]}
 */
function fixedRidges(histogram, names, frame, thresholds) {
  const { left, right, top, bottom, row, x } = frame;
  const lines = thresholds.map((value) => clamp(x(value), left, right));
  const bounds = [left, ...lines, right];
  const ridges = ridgePaths(histogram, frame).flatMap((path, i) => {
    const clip = svg("rect", { y: top + i * row, height: row + 1, x: bounds[i],
      width: bounds[i + 1] - bounds[i] });
    return ridge(i, shortened(names[i]), path, clip, frame);
  });
  return [...ridges, ...lines.map((at) => svg("line",
    { class: "threshold-line", x1: at, x2: at, y1: top - 6, y2: bottom }))];
}

/** @param {string} name of a class */
const shortened = (name) => (name.length > 18 ? `${name.slice(0, 17)}…` : name);

/**
 * Draw the plot.
 *
 * @param {HTMLElement} container
 * @param {ThresholdVariant} variant
 * @param {RidgeFrame} frame
 * @param {(index: number, score: number) => void} onMove called when a threshold is dragged
 * @returns {(thresholds: number[]) => void} moves the thresholds and the colours
 */
function scoreRidges(container, variant, frame, onMove) {
  const { histogram } = variant;
  const names = variant.names.map(shortened);
  const { left, right, top, bottom, row, wide } = frame;
  const clips = names.map((_, i) => svg("rect", { y: top + i * row, height: row + 1 }));
  const ridges = ridgePaths(histogram, frame).flatMap((path, i) =>
    ridge(i, names[i], path, clips[i], frame));
  const handles = variant.thresholds.map((_, index) => thresholdHandle(frame, (event) =>
    onMove(index, frame.scoreAt(event.clientX - container.getBoundingClientRect().left))));
  container.replaceChildren(svg("svg", { ...sizeOf(wide, bottom + 42), role: "img",
    "aria-label": `Scores of ${variant.name} for each class, with its thresholds` },
  ...ridges, ...scoreAxis(histogram, frame), ...handles));

  return (thresholds) => {
    const lines = thresholds.map((value) => clamp(frame.x(value), left, right));
    const bounds = [left, ...lines, right];
    clips.forEach((clip, i) => {
      clip.setAttribute("x", String(bounds[i]));
      clip.setAttribute("width", String(Math.max(bounds[i + 1] - bounds[i], 0)));
    });
    handles.forEach((handle, i) => handle.setAttribute("transform", `translate(${lines[i]} 0)`));
  };
}
