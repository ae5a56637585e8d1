// How small a change of all pixels flips a model's answer, as in digits/robustness/.

const BRIGHTEST = 255;

/**
 * An image whose pixels change by a level in their directions, and stay grey values.
 *
 * @param {Uint8Array} pixels
 * @param {Int8Array} direction of each pixel: -1, 0 or 1
 * @param {number} level
 */
const pushed = (pixels, direction, level) =>
  pixels.map((pixel, i) => clamp(pixel + level * direction[i], 0, BRIGHTEST));

/**
 * The changes of which one flips a linear model's answer if any change of that size does:
 * towards each other class, or the only score up and down.
 *
 * @param {Variant} variant
 * @param {number} answer a class index
 * @returns {Int8Array[]}
 */
function linearDirections({ arrays: { weights, offset } }, answer) {
  const size = height * width;
  /** @param {number} output */
  const of = (output) => weights.subarray(output * size, (output + 1) * size);
  if (offset.length === 1) {
    return [1, -1].map((sign) => Int8Array.from(of(0), (weight) => sign * Math.sign(weight)));
  }
  return Array.from(offset.keys()).filter((output) => output !== answer).map((output) => {
    const own = of(answer);
    return Int8Array.from(of(output), (weight, i) => Math.sign(weight - own[i]));
  });
}

/**
 * The smallest level at which a linear model answers otherwise. A larger change in the same
 * direction never undoes that, so halving an interval finds it.
 *
 * @param {(level: number) => boolean} isFlipped
 * @param {number} most where to stop
 * @returns {number} most + 1 if there is none
 */
function smallestLevel(isFlipped, most) {
  let [low, high] = [1, most + 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isFlipped(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * @typedef {object} Fooling how an answer is flipped
 * @property {Int8Array} direction of each pixel
 * @property {number | null} level the smallest one, in grey levels; null if there is none
 */

/**
 * The smallest change of an image that flips a linear model's answer.
 *
 * @param {Variant} variant
 * @param {Uint8Array} pixels
 * @returns {Fooling}
 */
function foolLinear(variant, pixels) {
  const answer = predictedClass(variant, scoresOf(variant, pixels));
  let level = BRIGHTEST + 1;
  const directions = linearDirections(variant, answer);
  let [direction] = directions;
  for (const each of directions) {
    const found = smallestLevel((tried) =>
      predictedClass(variant, scoresOf(variant, pushed(pixels, each, tried))) !== answer, level - 1);
    if (found < level) [level, direction] = [found, each];
  }
  return { direction, level: level > BRIGHTEST ? null : level };
}

/**
 * The smallest change in the direction of the gradient that flips LeNet-5's answer, in steps.
 *
 * @param {Variant} variant
 * @param {Uint8Array} pixels
 * @returns {Generator<void, Fooling>}
 */
function* foolLeNet5(variant, pixels) {
  const answer = predictedClass(variant, scoresOf(variant, pixels));
  const direction = gradientSigns(variant.arrays, pixels);
  for (let level = 1; level <= BRIGHTEST; level += 1) {
    yield;
    const changed = pushed(pixels, direction, level);
    if (predictedClass(variant, scoresOf(variant, changed)) !== answer) return { direction, level };
  }
  return { direction, level: null };
}

/**
 * @param {Variant} variant
 * @param {Uint8Array} pixels
 * @returns {Generator<void, Fooling>}
 */
function* fool(variant, pixels) {
  yield;
  if (variant.model_type === "lenet5") return yield* foolLeNet5(variant, pixels);
  return foolLinear(variant, pixels);
}
