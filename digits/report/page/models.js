// The variants: their scores and predictions. Most models that are not linear in the pixels
// cannot be run on this page; it has only what they predicted.

const labels = typedArray("labels"); // of all test images

/**
 * The name of a class.
 *
 * @param {number | string} label
 */
const nameOf = (label) => isolated(payload.dataset.names[Number(label)]);

/**
 * The part of a variant that is computed here. Rows are those of the variant's own test
 * images; classes are class indices.
 *
 * @typedef {object} VariantData
 * @property {DecisionRule} rule
 * @property {string[]} names of the classes
 * @property {number[]} images the number of each row's test image
 * @property {Map<number, number>} rowOf the row of a test image
 * @property {Uint8Array} actual the class of each row
 * @property {Uint8Array} predicted
 * @property {number[]} mistakes the rows that are misclassified, the worst first
 * @property {Record<string, Weights>} arrays of the model; empty without a type
 * @property {Uint8Array | null} sureness of each row the index of its level, if there are
 *   probabilities
 * @property {Float64Array | null} testScores of each row, if there is one for an image
 */

/** @typedef {PayloadVariant & VariantData} Variant */

/** @typedef {Pick<VariantData, "images" | "rowOf" | "actual">} Rows */

/** @type {Map<string, Rows>} */
const rowsByClasses = new Map();

/**
 * @param {number[]} classes of a variant
 * @returns {Rows} the same for all variants of these classes
 */
function rowsOf(classes) {
  const known = rowsByClasses.get(`${classes}`);
  if (known) return known;
  const images = Array.from(labels.keys()).filter((image) => classes.includes(labels[image]));
  const rows = {
    images,
    rowOf: new Map(images.map((image, row) => [image, row])),
    actual: Uint8Array.from(images, (image) => classes.indexOf(labels[image])),
  };
  rowsByClasses.set(`${classes}`, rows);
  return rows;
}

/**
 * @param {PayloadVariant} variant
 * @returns {Variant}
 */
function withData(variant) {
  const { name, classes, model_type: modelType } = variant;
  const rule = DECISIONS[variant.decision];
  /** @param {string} part */
  const array = (part) => typedArray(`${name}/${part}`);
  const { images, rowOf, actual } = rowsOf(classes);
  const weights = modelType ? payload.model_arrays[modelType] : [];
  return {
    ...variant,
    rule,
    names: classes.map(nameOf),
    images,
    rowOf,
    actual,
    predicted: /** @type {Uint8Array} */ (array("predicted")),
    mistakes: Array.from(array("mistakes")),
    arrays: Object.fromEntries(weights.map((part) =>
      [part, /** @type {Weights} */ (array(part))])),
    sureness: `${name}/sureness` in payload.layout
      ? /** @type {Uint8Array} */ (array("sureness")) : null,
    testScores: `${name}/scores` in payload.layout
      ? /** @type {Float64Array} */ (array("scores")) : null,
  };
}

const variants = payload.variants.map(withData);

/**
 * @param {string} name
 * @returns {Variant} the first one if there is none of this name
 */
const variantOf = (name) => variants.find((variant) => variant.name === name) ?? variants[0];

/** The variants whose models can be run on this page. */
const runnable = variants.filter((variant) => variant.model_type);
const linear = runnable.filter((variant) => variant.model_type === "linear");

/**
 * @param {string} name
 * @returns {Variant} the last linear one if this one is not linear
 */
const linearOf = (name) =>
  linear.find((variant) => variant.name === name) ?? linear[linear.length - 1];

/**
 * The scores of a linear model. They equal those of digits/models/linear.py in every bit: the
 * weights are such that each sum is exact, in any order.
 *
 * @param {Record<string, Weights>} arrays
 * @param {Uint8Array} pixels
 * @returns {number[]}
 */
function linearScores({ weights, offset }, pixels) {
  return Array.from(offset, (start, output) => {
    const first = output * pixels.length;
    let score = start;
    for (let i = 0; i < pixels.length; i += 1) score += weights[first + i] * pixels[i];
    return score;
  });
}

/**
 * @param {Variant} variant whose model can be run
 * @param {Uint8Array} pixels
 * @returns {number[]} one score, or one for each class
 */
function scoresOf({ model_type: modelType, arrays }, pixels) {
  return modelType === "lenet5" ? lenet5Scores(arrays, pixels) : linearScores(arrays, pixels);
}

/**
 * @param {Variant} variant
 * @param {number[]} scores
 * @returns {number} the class index
 */
const predictedClass = (variant, scores) => variant.rule.predict(scores, variant.thresholds);

/**
 * The answers of one yes/no model for each class, in words.
 *
 * @param {string[]} names of the classes
 * @param {number[]} scores the log-odds of each model: above 0 it says yes
 * @param {number} predicted the class index of the largest one
 */
function yesText(names, scores, predicted) {
  const said = names.filter((_, i) => scores[i] > 0);
  if (!said.length) return `all say no; nearest: ${names[predicted]}`;
  if (said.length === 1) return `yes, probability ${percentOfModel(sigmoid(scores[predicted]))}`;
  return `${said.length} models say yes${said.length > 3 ? "" : `: ${said.join(", ")}`}`;
}

/**
 * How sure a variant is of its prediction, in words.
 *
 * @param {Variant} variant
 * @param {number[]} scores
 */
function predictionDetail(variant, scores) {
  const { names, rule } = variant;
  const index = predictedClass(variant, scores);
  if (rule.yes) return yesText(names, scores, index);
  const probabilities = rule.probabilities?.(scores);
  return probabilities ? `probability ${percentOfModel(probabilities[index])}`
    : `score ${signed(scores[scores.length > 1 ? index : 0])}`;
}

/**
 * The confusion matrix: counts by actual and predicted class.
 *
 * @param {Variant} variant
 * @param {Uint8Array} predicted
 * @returns {number[][]}
 */
function confusionOf(variant, predicted) {
  const counts = variant.classes.map(() => variant.classes.map(() => 0));
  predicted.forEach((index, row) => { counts[variant.actual[row]][index] += 1; });
  return counts;
}

/** @param {number[]} values */
const sum = (values) => values.reduce((a, b) => a + b, 0);

/**
 * The number of correct predictions, and each class's precision, recall, F1 and support; 0
 * where the denominator is 0.
 *
 * @param {number[][]} counts a confusion matrix
 */
function classificationReport(counts) {
  return {
    correct: sum(counts.map((row, i) => row[i])),
    total: sum(counts.map(sum)),
    classes: counts.map((row, i) => {
      const [support, predicted] = [sum(row), sum(counts.map((other) => other[i]))];
      return {
        precision: row[i] / Math.max(predicted, 1),
        recall: row[i] / Math.max(support, 1),
        f1: (2 * row[i]) / Math.max(support + predicted, 1),
        support,
        occurs: support + predicted > 0,
      };
    }),
  };
}
