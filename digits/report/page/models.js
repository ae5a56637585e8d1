// A model's scores and decision, as in digits/models/. Of most models that are not linear in
// the pixels, only what they answered is here.

// Classes are known by their labels, which are numbers, and shown by their names.
const { names, noun } = page.dataset;
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/;

/** What a class is called. A name from right to left turns nothing that stands beside it. */
function nameOf(label) {
  const name = names[label];
  return RIGHT_TO_LEFT.test(name) ? `\u2068${name}\u2069` : name;
}

/** A class within a sentence. */
const oneOf = (label) => (noun === "digit" ? `a ${nameOf(label)}` : nameOf(label));
const capital = (text) => text[0].toUpperCase() + text.slice(1);

const variants = page.variants.map((variant) => {
  const field = (name) => heldArray(`${variant.name}/${name}`);
  const images = Array.from(labels.keys()).filter((i) => variant.digits.includes(labels[i]));
  return {
    ...variant,
    names: variant.digits.map(nameOf),
    images, // the numbers of its test images
    place: new Map(images.map((image, row) => [image, row])),
    actual: Uint8Array.from(images, (image) => variant.digits.indexOf(labels[image])),
    predicted: field("predicted"), // class indices
    worst: field("worst"), // rows of its misclassified images, the worst first
    ...Object.fromEntries((page.arrays[variant.kind] ?? []).map((name) => [name, field(name)])),
    testScores: variant.decision === "threshold" ? field("scores") : undefined,
  };
});

const variantOf = (name) => variants.find((variant) => variant.name === name) ?? variants[0];

/** The variants whose weights are here, so that they can answer. */
const asked = variants.filter((variant) => variant.kind);
/** Those that give evidence, too. */
const linear = asked.filter((variant) => variant.kind === "linear");
const linearOf = (name) => linear.find((variant) => variant.name === name) ?? linear.at(-1);

/** Weight × standardised pixel, for one of a variant's outputs. */
function evidence(variant, pixels, output) {
  const { mean, scale, coef } = variant;
  const start = output * pixels.length;
  return Float64Array.from(pixels, (pixel, i) => (coef[start + i] * (pixel - mean[i])) / scale[i]);
}

/** A variant's scores for an image: one, or one for each of its classes. */
function scoresOf(variant, pixels) {
  if (variant.kind === "lenet5") return networkScores(variant, pixels);
  return Array.from(variant.intercept, (intercept, output) =>
    evidence(variant, pixels, output).reduce((sum, value) => sum + value, intercept));
}

/** The class index between whose thresholds a score lies. */
function cut(score, cuts) {
  let index = 0;
  while (index < cuts.length && score > cuts[index]) index += 1;
  return index;
}

function decide(variant, scores, cuts = variant.cuts) {
  if (variant.decision === "threshold") return cut(scores[0], cuts);
  if (variant.decision === "sigmoid") return scores[0] > 0 ? 1 : 0;
  return scores.indexOf(Math.max(...scores));
}

const sigmoid = (score) => 1 / (1 + Math.exp(-score));

/** A probability for each class, or undefined if the decision gives none. */
function probabilitiesOf(variant, scores) {
  if (["threshold", "largest"].includes(variant.decision)) return undefined;
  if (variant.decision === "sigmoid") return [sigmoid(-scores[0]), sigmoid(scores[0])];
  const highest = Math.max(...scores);
  const parts = variant.decision === "softmax"
    ? scores.map((score) => Math.exp(score - highest))
    : scores.map(sigmoid);
  const sum = parts.reduce((a, b) => a + b);
  // A model of each class may find all of them as good as impossible.
  return sum > 0 ? parts.map((part) => part / sum) : scores.map((s) => Number(s === highest));
}

/** The confusion matrix: counts[actual][predicted]. */
function confusionOf(variant, predicted) {
  const counts = variant.digits.map(() => variant.digits.map(() => 0));
  predicted.forEach((answer, row) => { counts[variant.actual[row]][answer] += 1; });
  return counts;
}

/** Accuracy, and of each class precision, recall and support; 0 where nothing divides. */
function reportOf(counts) {
  const sum = (values) => values.reduce((a, b) => a + b, 0);
  const right = sum(counts.map((row, i) => row[i]));
  return {
    right,
    total: sum(counts.map(sum)),
    classes: counts.map((row, i) => ({
      precision: row[i] / Math.max(sum(counts.map((other) => other[i])), 1),
      recall: row[i] / Math.max(sum(row), 1),
      support: sum(row),
    })),
  };
}
