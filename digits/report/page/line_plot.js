// Curves of several variants in one plot.

/**
 * @typedef {object} Series
 * @property {string} name of the variant
 * @property {[x: number, y: number][]} points ascending in x
 * @property {{ at: [x: number, y: number], isRing: boolean }[]} dots
 */

/**
 * An axis: its ends, and its ticks with their labels.
 *
 * @typedef {object} Axis
 * @property {string} name
 * @property {number} low
 * @property {number} high
 * @property {[value: number, label: string][]} ticks
 */

const PLOT_KINDS = 4; // of lines, by style sheet

/** @param {number} place of a variant in a plot */
const lineClass = (place) => `line line-${place % PLOT_KINDS}`;

/**
 * An axis of shares with five ticks.
 *
 * @param {string} name
 * @param {number} low
 * @param {number} high
 * @returns {Axis}
 */
function shareAxis(name, low, high) {
  const places = high - low < 0.04 ? 2 : high - low < 0.4 ? 1 : 0;
  const values = [0, 1, 2, 3, 4].map((i) => low + (i * (high - low)) / 4);
  return { name, low, high,
    ticks: values.map((value) => [value, `${(100 * value).toFixed(places)}%`]) };
}

/**
 * @param {[x: number, y: number][]} points
 * @param {(x: number) => number} x
 * @param {(y: number) => number} y
 * @returns {string} a path, without points that are on the line between their neighbours
 */
function pathOf(points, x, y) {
  const kept = points.filter((point, i) => {
    const [before, after] = [points[i - 1], points[i + 1]];
    return !before || !after
      || (point[0] - before[0]) * (after[1] - point[1])
        !== (point[1] - before[1]) * (after[0] - point[0]);
  });
  return kept.map((point, i) =>
    `${i ? "L" : "M"}${x(point[0]).toFixed(1)} ${y(point[1]).toFixed(1)}`).join("");
}

/**
 * @param {string} label for screen readers
 * @param {[Axis, Axis]} axes
 * @param {Series[]} series
 * @param {[wide: number, tall: number]} [size]
 * @param {string} [id] of the part within which curves are drawn
 * @returns {SVGSVGElement}
 */
function linePlot(label, [across, up], series, [wide, tall] = [360, 330], id = "plot") {
  const [left, right, top, bottom] = [78, wide - 26, 12, tall - 46];
  /** @param {number} value */
  const x = (value) => left + ((value - across.low) / (across.high - across.low)) * (right - left);
  /** @param {number} value */
  const y = (value) => bottom - ((value - up.low) / (up.high - up.low)) * (bottom - top);
  const grid = [
    ...across.ticks.flatMap(([value, text]) => [
      svg("line", { class: "grid", x1: x(value), x2: x(value), y1: top, y2: bottom }),
      svg("text", { class: "tick", x: x(value), y: bottom + 17, "text-anchor": "middle" }, text),
    ]),
    ...up.ticks.flatMap(([value, text]) => [
      svg("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }),
      svg("text", { class: "tick", x: left - 7, y: y(value), dy: "0.35em", "text-anchor": "end" }, text),
    ]),
    svg("text", { class: "axis", x: (left + right) / 2, y: tall - 8, "text-anchor": "middle" },
      across.name),
    svg("text", { class: "axis", x: 12, y: (top + bottom) / 2, "text-anchor": "middle",
      transform: `rotate(-90 12 ${(top + bottom) / 2})` }, up.name),
  ];
  const clip = svg("clipPath", { id: `${id}-clip` }, svg("rect", { x: left, y: top - 2,
    width: right - left + 2, height: bottom - top + 4 }));
  const lines = series.map(({ points }, i) => svg("path", { class: lineClass(i),
    d: pathOf(points, x, y), "clip-path": `url(#${id}-clip)` }));
  const dots = series.flatMap((each, i) => each.dots
    .filter(({ at: [a, b] }) => across.low <= a && a <= across.high && up.low <= b && b <= up.high)
    .map(({ at: [a, b], isRing }) => svg("circle", { cx: x(a), cy: y(b), r: isRing ? 7 : 4.5,
      class: `${isRing ? "ring" : "spot"} line-${i % PLOT_KINDS}` })));
  return svg("svg", { viewBox: `0 0 ${wide} ${tall}`, role: "img", "aria-label": label },
    clip, ...grid, ...lines, ...dots);
}

/**
 * The names of the variants with their lines.
 *
 * @param {[name: string, detail: string][]} entries
 */
function plotLegend(entries) {
  return element("ul", { className: "legend" }, ...entries.map(([name, detail], i) =>
    element("li", {}, svg("svg", { width: 28, height: 12, "aria-hidden": "true" },
      svg("path", { class: lineClass(i), d: "M1 6H27" })), `${name} `,
    element("span", { className: "note" }, detail))));
}
