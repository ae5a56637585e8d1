// The gradient of LeNet-5 for its input, as in digits/robustness/lenet5.py. Its sums are exact:
// what goes back through a layer is rounded to few bits. Rounding down counts as the identity.

const GRADIENT_BITS = 20;
// Adding and subtracting 3 · 2⁵¹ steps rounds to whole steps, halves to even ones.
const ROUNDING = 3 * 2 ** 51;

/**
 * Round to multiples of a power of two: the largest value gets so many bits.
 *
 * @param {Float64Array} values
 */
function fewBits(values) {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (!largest) return values;
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, largest);
  view.setUint32(0, view.getUint32(0) & 0x7ff00000); // keeps the exponent alone
  view.setUint32(4, 0);
  const shift = (ROUNDING * view.getFloat64(0)) / 2 ** (GRADIENT_BITS - 1);
  return values.map((value) => value + shift - shift);
}

/**
 * What goes back, where the activation is above 0.
 *
 * @param {Float64Array} back
 * @param {Float64Array} activation
 */
const throughActivation = (back, activation) =>
  fewBits(back.map((value, i) => (activation[i] > 0 ? value : 0)));

/**
 * @param {Float64Array} back (nOut)
 * @param {Weights} weights (nIn, nOut)
 * @returns {Float64Array} (nIn)
 */
function throughDense(back, weights) {
  const sums = new Float64Array(weights.length / back.length);
  for (let i = 0; i < sums.length; i += 1) {
    for (let n = 0; n < back.length; n += 1) sums[i] += weights[i * back.length + n] * back[n];
  }
  return sums;
}

/**
 * Through max pooling and a convolution.
 *
 * @param {Float64Array} back for the pooled maps
 * @param {Maps} activated the maps before pooling
 * @param {Maps} input the maps before the convolution
 * @param {Weights} kernel
 * @returns {Float64Array} for `input`
 */
function throughConvolution(back, activated, input, kernel) {
  const nOut = activated.values.length / (activated.high * activated.wide);
  const nIn = input.values.length / (input.high * input.wide);
  const side = kernelSide(kernel, nIn * nOut);
  const sums = new Float64Array(input.values.length);
  maximaOf(activated).places.forEach((place, from) => {
    const value = back[from];
    if (!value) return;
    const at = Math.floor(place / nOut);
    const first = Math.floor(at / activated.wide) * input.wide + (at % activated.wide);
    for (let i = 0; i < side * side * nIn; i += 1) {
      const cell = Math.floor(i / nIn);
      const to = (first + Math.floor(cell / side) * input.wide + (cell % side)) * nIn + (i % nIn);
      sums[to] += value * kernel[i * nOut + (place % nOut)];
    }
  });
  return sums;
}

/**
 * The signs of the gradient of the second largest logit minus the largest one.
 *
 * @param {Record<string, Weights>} arrays
 * @param {Uint8Array} pixels
 * @returns {Int8Array} height × width: -1, 0 or 1
 */
function gradientSigns(arrays, pixels) {
  const input = paddedImage(pixels);
  const { c1, s2, c3, s4, f5, f6, scores } = lenet5Layers(arrays, pixels);
  const [first, second] = scores.map((_, i) => i).sort((a, b) => scores[b] - scores[a]);
  const { dense_3: last } = arrays;
  /** @type {Float64Array} */
  let back = f6.map((_, i) => last[i * scores.length + second] - last[i * scores.length + first]);
  back = throughDense(throughActivation(back, f6), arrays.dense_2);
  back = throughDense(throughActivation(back, f5), arrays.dense_1);
  back = throughConvolution(throughActivation(back, s4.values), c3, s2, arrays.kernel_2);
  back = throughConvolution(throughActivation(back, s2.values), c1, input, arrays.kernel_1);
  const [[top], [left]] = [padding(height), padding(width)];
  return Int8Array.from(pixels, (_, i) =>
    Math.sign(back[(top + Math.floor(i / width)) * input.wide + left + (i % width)]));
}
