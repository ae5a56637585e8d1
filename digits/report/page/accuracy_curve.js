// For two classes: the accuracy at each threshold of the slider.

/**
 * @param {ThresholdVariant} variant with two classes
 * @param {number} threshold
 * @returns {number} from 0 to 1
 */
function accuracyAt({ actual, testScores }, threshold) {
  let correct = 0;
  testScores.forEach((score, row) => {
    correct += Number(classBetween(score, [threshold]) === actual[row]);
  });
  return correct / actual.length;
}

/**
 * Draw the curve.
 *
 * @param {HTMLElement} container
 * @param {ThresholdVariant} variant with two classes
 * @param {[low: number, high: number]} range of the thresholds
 * @param {RidgeFrame} frame of the scores above, which has the same scale
 * @returns {(thresholds: number[]) => void} moves the dot
 */
function accuracyCurve(container, variant, [low, high], { wide, left, right, x }) {
  const points = Array.from({ length: 101 }, (_, i) => low + (i * (high - low)) / 100)
    .map((threshold) => [threshold, accuracyAt(variant, threshold)]);
  const least = Math.floor(20 * Math.min(...points.map(([, share]) => share))) / 20;
  const [top, tall] = [16, 190];
  const bottom = tall - 38;
  /** @param {number} share */
  const y = (share) => bottom - ((share - least) / (1 - least)) * (bottom - top);
  const grid = [least, (1 + least) / 2, 1].flatMap((share) => [
    svg("line", { class: "grid", x1: left, x2: right, y1: y(share), y2: y(share) }),
    svg("text", { class: "tick", x: left - 8, y: y(share), dy: "0.35em", "text-anchor": "end" },
      percent(share, 1)),
  ]);
  const below = ticks(low, high, 6).map((tick) => svg("text",
    { class: "tick", x: x(tick), y: bottom + 17, "text-anchor": "middle" }, tickText(tick)));
  const curve = svg("polyline", { class: "curve",
    points: points.map(([threshold, share]) => `${x(threshold)},${y(share)}`).join(" ") });
  const name = svg("text", { class: "axis", x: (left + right) / 2, y: tall - 4,
    "text-anchor": "middle" }, "accuracy at each threshold");
  const dot = svg("circle", { class: "dot", r: 6 });
  container.replaceChildren(svg("svg", { ...sizeOf(wide, tall), role: "img",
    "aria-label": `Accuracy of ${variant.name} at each threshold` },
  ...grid, ...below, curve, name, dot));

  return ([threshold]) => {
    dot.setAttribute("cx", String(x(clamp(threshold, low, high))));
    dot.setAttribute("cy", String(y(accuracyAt(variant, threshold))));
  };
}
