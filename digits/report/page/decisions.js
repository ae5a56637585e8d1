// The decision rules: how scores become a class. As in digits/models/decision.py.

/**
 * @typedef {object} DecisionRule
 * @property {boolean} hasThresholds whether thresholds divide one score into classes
 * @property {string} scoreName what one of its scores is
 * @property {(scores: number[], thresholds: number[]) => number} predict the class index
 * @property {((scores: number[]) => number[]) | null} probabilities one for each class;
 *   null if the scores give none
 * @property {((scores: number[]) => number[]) | null} yes for each class, the probability of
 *   its own model that the image shows it; null without such models
 * @property {(scores: number[], index: number) => number} classScore the score for a class
 * @property {(names: string[], output: number) => [string, string]} directions what a
 *   positive and what a negative weight of an output speaks for
 * @property {(thresholds: number[]) => string} explanation of a decision on one score
 */

/**
 * The number of thresholds below a score, which is its class index.
 *
 * @param {number} score
 * @param {number[]} thresholds ascending
 * @returns {number}
 */
function classBetween(score, thresholds) {
  let index = 0;
  while (index < thresholds.length && score > thresholds[index]) index += 1;
  return index;
}

/** @param {number} score */
const sigmoid = (score) => 1 / (1 + Math.exp(-score));

/**
 * Values in the same proportion with the sum 1; null if all are 0.
 *
 * @param {number[]} values not negative
 */
function normalized(values) {
  const sum = values.reduce((a, b) => a + b);
  return sum > 0 ? values.map((value) => value / sum) : null;
}

/** @param {number[]} scores */
function softmax(scores) {
  const highest = Math.max(...scores);
  return normalized(scores.map((score) => Math.exp(score - highest))) ?? [];
}

/**
 * Each class's own probability, divided by their sum. Where all of them round to 0, the
 * class with the largest score gets 1.
 *
 * @param {number[]} scores log-odds
 */
function oneVsRest(scores) {
  const highest = Math.max(...scores);
  return normalized(scores.map(sigmoid)) ?? scores.map((score) => Number(score === highest));
}

/** What the rules with one score for each class have in common: the largest score wins. */
const LARGEST_SCORE = {
  hasThresholds: false,
  scoreName: "score",
  /** @param {number[]} scores */
  predict: (scores) => scores.indexOf(Math.max(...scores)),
  probabilities: null,
  yes: null,
  /** @type {DecisionRule["classScore"]} */
  classScore: (scores, index) => scores[index],
  /** @type {DecisionRule["directions"]} */
  directions: (names, output) => [`for ${names[output]}`, `against ${names[output]}`],
  explanation: () => "",
};

const DECISIONS = {
  /** @type {DecisionRule} */
  threshold: {
    hasThresholds: true,
    scoreName: "score",
    predict: ([score], thresholds) => classBetween(score, thresholds),
    probabilities: null,
    yes: null,
    classScore: ([score]) => score,
    directions: () => ["raises the score", "lowers the score"],
    explanation: (thresholds) =>
      `; ${thresholds.length === 1 ? "threshold" : "thresholds"} at `
      + thresholds.map((value) => signed(value)).join(", "),
  },
  /** @type {DecisionRule} */
  sigmoid: {
    hasThresholds: false,
    scoreName: "log-odds",
    predict: ([score]) => (score > 0 ? 1 : 0),
    probabilities: ([score]) => [sigmoid(-score), sigmoid(score)],
    yes: null,
    classScore: ([score], index) => (index ? score : -score),
    directions: ([first, second]) => [`for ${second}`, `for ${first}`],
    explanation: () => "; above 0 the prediction is the second class",
  },
  /** @type {DecisionRule} */
  one_vs_rest: {
    ...LARGEST_SCORE,
    scoreName: "log-odds",
    probabilities: oneVsRest,
    yes: (scores) => scores.map(sigmoid),
  },
  /** @type {DecisionRule} */
  softmax: { ...LARGEST_SCORE, probabilities: softmax },
  /** @type {DecisionRule} */
  largest: LARGEST_SCORE,
};
