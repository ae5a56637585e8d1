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
 * The table of a card: a row for each class. All cards have the same columns, so that their
 * bars have the same scale.
 *
 * @param {Variant} variant
 * @param {ClassRow[]} rows
 */
function classTable({ name, rule }, rows) {
  const probability = rule.yes ? "yes" : "prob.";
  return element("table", {},
    element("caption", { className: "hidden" }, `Predictions of ${name}`),
    element("thead", {}, element("tr", {},
      element("th", { scope: "col" }, element("span", { className: "hidden" }, "Class")),
      element("td", { className: "track" }),
      element("th", { scope: "col", className: "number", hidden: !rule.probabilities },
        probability),
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

/** @param {Variant} variant @returns {string | Node} which classes it knows, if not all */
function scopeOf({ classes, names }) {
  const most = Math.max(...variants.map((variant) => variant.classes.length));
  if (classes.length === most) return "";
  const which = classes.length > 3 ? `${classes.length} classes` : names.join(", ");
  return element("span", { className: "scope" }, ` ${which} only`);
}

const MARKS = { correct: "✓", wrong: "✗", unknown: "", "": "" };

/**
 * @param {number[]} classes the labels of a variant
 * @param {number} predicted the class index
 * @param {number} actual the label
 */
function truthOf(classes, predicted, actual) {
  if (!classes.includes(actual)) return "unknown";
  return classes[predicted] === actual ? "correct" : "wrong";
}

/** A variant's card. */
class PredictionCard {
  /** @param {Variant} variant */
  constructor(variant) {
    const { name, names, rule } = variant;
    this.variant = variant;
    this.verdict = element("strong", { className: "verdict" }, "–");
    this.certainty = element("span", { className: "certainty" }, NO_INPUT);
    this.spoken = ""; // the prediction in words
    this.mark = element("span", { className: "mark" });
    this.chip = element("li", {}, element("span", {}, name), element("strong", {}, "–"));
    this.pin = element("span", { className: "pin" });
    this.shared = element("p", { className: "certainty", hidden: !rule.yes }, "\u00a0");
    /** @type {ClassRow[]} */
    this.rows = rule.hasThresholds ? [] : names.slice(0, MOST_ROWS).map((each) =>
      classRow(each, !rule.probabilities));
    const cells = names.map((each) =>
      element("span", { title: each }, names.length > MOST_ROWS ? "" : each));
    const detail = rule.hasThresholds
      ? element("div", { className: "strip", ariaHidden: "true" }, ...cells, this.pin)
      : classTable(variant, this.rows);
    this.element = element("article", { className: "prediction" },
      element("header", {}, element("div", {}, element("h3", {}, name), scopeOf(variant)),
        this.mark, this.verdict),
      this.certainty, detail, this.shared);
    this.clear();
  }

  clear() {
    this.element.className = "prediction empty";
    this.chip.className = this.mark.textContent = "";
    this.verdict.textContent = "–";
    this.chip.lastElementChild?.replaceChildren("–");
    this.certainty.textContent = NO_INPUT;
    this.shared.textContent = "\u00a0";
    for (const { row, bar, probability, score } of this.rows) {
      probability.textContent = score.textContent = "–";
      bar.style.setProperty("--share", "0");
      row.classList.remove("chosen");
    }
  }

  /**
   * @param {Uint8Array} pixels
   * @param {number} [actual] the label of a test image
   */
  show(pixels, actual) {
    const { name, names, rule, thresholds } = this.variant;
    const scores = scoresOf(this.variant, pixels);
    const index = predictedClass(this.variant, scores);
    const none = rule.yes !== null && !scores.some((score) => score > 0);
    this.element.className = none ? "prediction none" : "prediction";
    this.verdict.textContent = none ? "none" : names[index];
    this.certainty.textContent = predictionDetail(this.variant, scores);
    this.spoken = `${name} predicts ${names[index]}${none ? ", but all its models say no" : ""}`;
    if (rule.hasThresholds) {
      const share = stripPosition(scores[0], thresholds);
      this.pin.style.setProperty("--share", share.toFixed(4));
    }
    this.#showProbabilities(scores, index);
    this.#showTruth(index, actual);
  }

  /**
   * Mark the prediction for a test image as correct or wrong, and copy it to the short list.
   *
   * @param {number} predicted the class index
   * @param {number} [actual] the label
   */
  #showTruth(predicted, actual) {
    const kind = actual === undefined ? "" : truthOf(this.variant.classes, predicted, actual);
    this.mark.textContent = MARKS[kind];
    if (kind) this.element.classList.add(kind);
    this.chip.className = kind;
    this.chip.lastElementChild?.replaceChildren(
      `${MARKS[kind]} ${this.verdict.textContent}`.trim());
    if (MARKS[kind]) this.spoken += `, which is ${kind}`;
  }

  /**
   * @param {number[]} scores
   * @param {number} predicted the class index
   */
  #showProbabilities(scores, predicted) {
    const { names, rule } = this.variant;
    const probabilities = rule.probabilities?.(scores) ?? null;
    const yes = rule.yes?.(scores);
    if (yes && probabilities) {
      this.shared.textContent = `Divided by the sum of all: ${
        percentOfModel(probabilities[predicted])} for ${names[predicted]}.`;
    }
    this.#showRows(scores, yes ?? probabilities, predicted);
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
    if (order.length > this.rows.length) order.sort((a, b) => scores[b] - scores[a]);
    this.rows.forEach(({ row, head, bar, probability, score }, place) => {
      const i = order[place];
      head.textContent = head.title = names[i];
      // Scores without probabilities were fitted to 1 for the actual class, else 0.
      bar.style.setProperty("--share", clamp(values[i], 0, 1).toFixed(4));
      row.classList.toggle("chosen", i === predicted);
      if (probabilities) probability.textContent = percentOfModel(probabilities[i]);
      const classScore = rule.classScore(scores, i);
      score.textContent = signed(classScore, Math.abs(classScore) < 100 ? 1 : 0);
    });
  }
}
