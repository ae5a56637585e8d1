// The cards next to the drawing area: what each variant predicts for the current input.

const NO_INPUT = "draw something";
const MOST_ROWS = 10; // of more classes those with the largest values are listed

/**
 * A row of a card's table, for one class.
 *
 * @typedef {object} ClassRow
 * @property {HTMLTableRowElement} row
 * @property {HTMLTableCellElement} head
 * @property {HTMLElement} bar
 * @property {HTMLTableCellElement} probability
 * @property {HTMLTableCellElement} score
 */

/**
 * @param {string} name of a class
 * @param {boolean} hidden whether the variant has no probabilities
 * @returns {ClassRow}
 */
function classRow(name, hidden) {
  const head = element("th", { scope: "row", title: name }, name);
  const bar = element("span", { className: "bar" });
  const probability = element("td", { className: "number", hidden }, "–");
  const score = element("td", { className: "number" }, "–");
  const track = element("td", { className: "track" }, bar);
  return { row: element("tr", {}, head, track, probability, score), head, bar, probability, score };
}

/**
 * The table of a card: a row for each class.
 *
 * @param {Variant} variant
 * @param {ClassRow[]} rows
 */
function classTable({ name, rule }, rows) {
  return element("table", {},
    element("caption", { className: "hidden" }, `Predictions of ${name}`),
    element("thead", {}, element("tr", {},
      element("th", { scope: "col" }, element("span", { className: "hidden" }, "Class")),
      element("td"),
      element("th", { scope: "col", className: "number", hidden: !rule.probabilities }, "prob."),
      element("th", { scope: "col", className: "number" }, rule.scoreName))),
    element("tbody", {}, ...rows.map(({ row }) => row)));
}

/**
 * Where a score is on a strip with one equally wide cell for each class, from 0 to 1.
 *
 * @param {number} score
 * @param {number[]} thresholds
 */
function stripPosition(score, thresholds) {
  const index = classBetween(score, thresholds);
  const bounds = [thresholds[0] - 1, ...thresholds, thresholds[thresholds.length - 1] + 1];
  const share = (score - bounds[index]) / (bounds[index + 1] - bounds[index]);
  return (index + clamp(share, 0.04, 0.96)) / (thresholds.length + 1);
}

/** A variant's card. */
class PredictionCard {
  /** @param {Variant} variant */
  constructor(variant) {
    const { name, names, rule } = variant;
    this.variant = variant;
    this.verdict = element("strong", { className: "verdict" }, "–");
    this.certainty = element("span", { className: "certainty" }, NO_INPUT);
    this.pin = element("span", { className: "pin" });
    /** @type {ClassRow[]} */
    this.rows = rule.hasThresholds ? [] : names.slice(0, MOST_ROWS).map((each) =>
      classRow(each, !rule.probabilities));
    const cells = names.map((each) =>
      element("span", { title: each }, names.length > MOST_ROWS ? "" : each));
    const detail = rule.hasThresholds
      ? element("div", { className: "strip", ariaHidden: "true" }, ...cells, this.pin)
      : classTable(variant, this.rows);
    this.element = element("article", { className: "prediction" },
      element("header", {}, element("h3", {}, name), this.verdict), this.certainty, detail);
  }

  clear() {
    this.element.classList.add("empty");
    this.verdict.textContent = "–";
    this.certainty.textContent = NO_INPUT;
    for (const { bar, probability, score } of this.rows) {
      probability.textContent = score.textContent = "–";
      bar.style.setProperty("--share", "0");
    }
  }

  /** @param {Uint8Array} pixels */
  show(pixels) {
    const { variant } = this;
    const scores = scoresOf(variant, pixels);
    const index = predictedClass(variant, scores);
    const probabilities = variant.rule.probabilities?.(scores) ?? null;
    this.element.classList.remove("empty");
    this.verdict.textContent = variant.names[index];
    this.certainty.textContent = probabilities
      ? `probability ${percent(probabilities[index], 1)}`
      : `score ${signed(scores[scores.length > 1 ? index : 0])}`;
    if (variant.rule.hasThresholds) {
      const share = stripPosition(scores[0], variant.thresholds);
      this.pin.style.setProperty("--share", share.toFixed(4));
    }
    this.#showRows(scores, probabilities, index);
  }

  /**
   * @param {number[]} scores
   * @param {number[] | null} probabilities
   * @param {number} predicted the class index
   */
  #showRows(scores, probabilities, predicted) {
    const { names, rule } = this.variant;
    const values = probabilities ?? scores;
    const order = names.map((_, i) => i);
    if (order.length > this.rows.length) order.sort((a, b) => values[b] - values[a]);
    this.rows.forEach(({ row, head, bar, probability, score }, place) => {
      const i = order[place];
      head.textContent = head.title = names[i];
      // Scores without probabilities were fitted to 1 for the actual class, else 0.
      bar.style.setProperty("--share", clamp(values[i], 0, 1).toFixed(4));
      row.classList.toggle("chosen", i === predicted);
      if (probabilities) probability.textContent = percent(probabilities[i], 1);
      score.textContent = signed(rule.classScore(scores, i), 1);
    });
  }
}
