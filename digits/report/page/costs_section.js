// What the two kinds of errors cost at each threshold of variants of two classes.

const RANGES = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]; // of the curves' axes

/** @returns {Costs} */
function chosenCosts() {
  const [high, low] = state.costs.split(" ").map(Number);
  return { high, low };
}

/** @type {Map<ScoredVariant, Cut[]>} */
const knownCuts = new Map();

/** @param {ScoredVariant} variant */
function allCuts(variant) {
  const cuts = knownCuts.get(variant) ?? cutsOf(variant);
  knownCuts.set(variant, cuts);
  return cuts;
}

/** @param {ScoredVariant} variant the threshold of its decision */
const thresholdInUse = (variant) =>
  (variant.rule.hasThresholds ? thresholdsOf(variant)[0] : 0);

/**
 * @param {ScoredVariant} variant
 * @param {number} threshold
 */
function thresholdText({ rule }, threshold) {
  if (!Number.isFinite(threshold)) return threshold < 0 ? "always" : "never";
  return rule.hasThresholds ? `score > ${String(threshold).replace("-", "−")}`
    : `p > ${percentOfModel(sigmoid(threshold))}`;
}

/**
 * The thresholds of a variant that are compared: in use, of the costs alone, and the best.
 *
 * @param {ScoredVariant} variant
 * @param {Costs} costs
 * @returns {[name: string, cut: Cut][]}
 */
function comparedCuts(variant, costs) {
  /** @type {[name: string, cut: Cut][]} */
  const cuts = [["in use", cutAt(variant, thresholdInUse(variant))]];
  if (!variant.rule.hasThresholds && costs.high + costs.low > 0) {
    cuts.push(["a / (a + b)", cutAt(variant, Math.log(costs.high / costs.low))]);
  }
  cuts.push(["best for these test images", cheapest(allCuts(variant), costs)]);
  return cuts;
}

/** @param {number} cost */
const costText = (cost) => formatCount(Number(cost.toFixed(6)));

/**
 * @param {ScoredVariant[]} shown
 * @param {Costs} costs
 */
function costsTable(shown, costs) {
  const [first, second] = shown[0].names;
  const heads = [`${first} as ${second}`, `${second} as ${first}`, "Cost"].map((name) =>
    element("th", { scope: "col", className: "number" }, name));
  const bodies = shown.map((variant) => element("tbody", {},
    element("tr", { className: "group" },
      element("th", { scope: "rowgroup", colSpan: 5 }, variant.name)),
    ...comparedCuts(variant, costs).map(([name, cut]) => {
      const numbers = [formatCount(cut.high), formatCount(cut.low), costText(costOf(cut, costs))];
      return element("tr", {}, element("td", {}, name),
        element("td", {}, thresholdText(variant, cut.threshold)),
        ...numbers.map((text) => element("td", { className: "number" }, text)));
    })));
  return [
    element("caption", { className: "hidden" }, "Thresholds and what they cost"),
    element("thead", {}, element("tr", {}, ...["Threshold", `${second} if`].map((name) =>
      element("th", { scope: "col" }, name)), ...heads)),
    ...bodies,
  ];
}

/**
 * How far from the corner the axes of the curves reach, so that the bends can be seen.
 *
 * @param {Cut[][]} cuts of each variant
 * @param {[first: number, second: number]} totals
 */
function bendRange(cuts, [first, second]) {
  const bends = cuts.map((each) =>
    Math.min(...each.map(({ high, low }) => Math.max(high / first, low / second))));
  return RANGES.find((range) => range >= 3 * Math.max(...bends)) ?? 1;
}

/**
 * @param {ScoredVariant[]} shown
 * @param {Costs} costs
 */
function showCurves(shown, costs) {
  const { actual } = shown[0];
  const [first, second] = shown[0].names.map(shortened);
  const n = actual.length;
  const nSecond = sum(Array.from(actual));
  const nFirst = n - nSecond;
  if (!nFirst || !nSecond) return;
  const range = byId("curves-whole", HTMLInputElement).checked ? 1
    : bendRange(shown.map(allCuts), [nFirst, nSecond]);
  const curves = shown.map((variant) => curvesOf(allCuts(variant), nFirst, nSecond));
  const cuts = shown.map((variant) => {
    const compared = comparedCuts(variant, costs);
    return [compared[0][1], compared[compared.length - 1][1]];
  });
  /** @param {(cut: Cut) => [number, number]} place */
  const dots = (place) => cuts.map((pair) =>
    pair.map((cut, i) => ({ at: place(cut), isRing: i === 1 })));
  const rocDots = dots(({ high, low }) => [high / nFirst, 1 - low / nSecond]);
  const precisionDots = dots(({ high, low }) => {
    const found = nSecond - low;
    return [found / nSecond, found / (found + high)];
  });
  const roc = linePlot("ROC curves", [
    shareAxis(`${first} predicted as ${second}`, 0, range),
    shareAxis(`recall of ${second}`, 1 - range, 1)],
  curves.map(({ roc: points }, i) => ({ name: shown[i].name, points, dots: rocDots[i] })),
  undefined, "roc");
  const precision = linePlot("Precision–recall curves", [
    shareAxis(`recall of ${second}`, 1 - range, 1),
    shareAxis(`precision of ${second}`, 1 - range, 1)],
  curves.map(({ precisionRecall: points }, i) =>
    ({ name: shown[i].name, points, dots: precisionDots[i] })), undefined, "precision");
  /** @param {number} area rounded, but to 1 only if it is 1 */
  const text = (area) => Math.min(area, area < 1 ? 0.99999 : 1).toFixed(5);
  byId("curves").replaceChildren(
    element("figure", {}, element("h4", {}, "ROC"), roc,
      plotLegend(curves.map(({ auc }, i) => [shown[i].name, `AUC ${text(auc)}`]))),
    element("figure", {}, element("h4", {}, "Precision–recall"), precision,
      plotLegend(curves.map(({ averagePrecision }, i) =>
        [shown[i].name, `AP ${text(averagePrecision)}`]))));
}

fillLater("costs", () => {
  const select = byId("costs-variant", HTMLSelectElement);
  const inputs = [byId("cost-high", HTMLInputElement), byId("cost-low", HTMLInputElement)];

  function show() {
    const chosen = ofName(scoredVariants, state.costsVariant);
    const shown = scoredVariants.filter(({ classes }) => `${classes}` === `${chosen.classes}`);
    const costs = chosenCosts();
    const [first, second] = chosen.names;
    select.value = chosen.name;
    byId("cost-high-label").textContent = `Cost a: ${first} predicted as ${second}`;
    byId("cost-low-label").textContent = `Cost b: ${second} predicted as ${first}`;
    [costs.high, costs.low].forEach((cost, i) => {
      if (document.activeElement !== inputs[i]) inputs[i].value = String(cost);
    });
    const [used, best] = [cutAt(chosen, thresholdInUse(chosen)), cheapest(allCuts(chosen), costs)];
    byId("costs-result").textContent = `${chosen.name} costs ${costText(costOf(used, costs))} with its `
      + `threshold, ${costText(costOf(best, costs))} with the best one for these test images`;
    byId("costs-table").replaceChildren(...costsTable(shown, costs));
    showCurves(shown, costs);
  }

  select.addEventListener("change", () => takeStep({ costsVariant: select.value }));
  for (const input of inputs) {
    input.addEventListener("input", () => {
      const text = inputs.map(({ value }) => value || "0").join(" ");
      if (areCosts(text)) setState({ costs: text, section: "costs" });
    });
    input.addEventListener("change", show); // what cannot be a cost is put back
  }
  byId("curves-whole").addEventListener("change", show);
  onChange(["costs", "costsVariant", ...THRESHOLD_GROUPS[0].variants.map(thresholdsKey)], show);
});
