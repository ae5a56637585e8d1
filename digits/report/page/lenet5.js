// LeNet-5's scores, equal to those of digits/methods/lenet5.py in every bit: the weights are
// such that each sum is exact, in any order. Inputs and activations are whole numbers.

/**
 * Maps of one height and width; at each place the values of all maps.
 *
 * @typedef {{ values: Float64Array, high: number, wide: number }} Maps
 */

/** @typedef {Float32Array | Float64Array} Weights float64 if float32 has too few bits */

/**
 * @param {number} side of an image, in pixels
 * @returns {[before: number, padded: number]} the padding before it, and the padded side
 */
function padding(side) {
  const { min_side: minSide, min_padding: minPadding } = payload.lenet5;
  const total = Math.max(minSide - side, 2 * minPadding);
  return [Math.floor(total / 2), side + total];
}

/**
 * @param {Uint8Array} pixels
 * @returns {Maps}
 */
function paddedImage(pixels) {
  const [[top, high], [left, wide]] = [padding(height), padding(width)];
  const values = new Float64Array(high * wide);
  pixels.forEach((pixel, i) => {
    values[(top + Math.floor(i / width)) * wide + left + (i % width)] = pixel;
  });
  return { values, high, wide };
}

/**
 * @param {Weights} kernel
 * @param {number} pairs the number of inputs times that of outputs
 * @returns {number} its height and width, in pixels
 */
const kernelSide = (kernel, pairs) => Math.sqrt(kernel.length / pairs);

/**
 * The kernels of all outputs applied at one place, with the bias.
 *
 * @param {Maps} maps
 * @param {number} y
 * @param {number} x
 * @param {Weights} kernel (side, side, nIn, nOut)
 * @param {Weights} bias (nOut)
 * @returns {Float64Array} (nOut)
 */
function convolvedAt({ values, high, wide }, y, x, kernel, bias) {
  const [nOut, nIn] = [bias.length, values.length / (high * wide)];
  const side = kernelSide(kernel, nIn * nOut);
  const sums = Float64Array.from(bias);
  for (let i = 0; i < side * side * nIn; i += 1) {
    const at = Math.floor(i / nIn);
    const row = y + Math.floor(at / side);
    const value = values[(row * wide + x + (at % side)) * nIn + (i % nIn)];
    if (value) for (let n = 0; n < nOut; n += 1) sums[n] += value * kernel[i * nOut + n];
  }
  return sums;
}

/**
 * A convolution, ReLU, max pooling of two by two, and rounding down. The maxima start at 0,
 * which is ReLU.
 *
 * @param {Maps} maps
 * @param {Weights} kernel (side, side, nIn, nOut)
 * @param {Weights} bias (nOut)
 * @returns {Maps}
 */
function convolved(maps, kernel, bias) {
  const { values, high, wide } = maps;
  const [nOut, nIn] = [bias.length, values.length / (high * wide)];
  const side = kernelSide(kernel, nIn * nOut);
  const [rows, columns] = [high, wide].map((length) => (length - side + 1) >> 1);
  const maxima = new Float64Array(rows * columns * nOut);
  for (let y = 0; y < 2 * rows; y += 1) {
    for (let x = 0; x < 2 * columns; x += 1) {
      const to = ((y >> 1) * columns + (x >> 1)) * nOut;
      convolvedAt(maps, y, x, kernel, bias).forEach((value, n) => {
        maxima[to + n] = Math.max(maxima[to + n], Math.floor(value));
      });
    }
  }
  return { values: maxima, high: rows, wide: columns };
}

/**
 * @param {Float64Array} values (nIn)
 * @param {Weights} weights (nIn, nOut)
 * @param {Weights} bias (nOut)
 * @returns {Float64Array} (nOut)
 */
function dense(values, weights, bias) {
  const sums = Float64Array.from(bias);
  values.forEach((value, i) => {
    if (value) bias.forEach((_, n) => { sums[n] += value * weights[i * bias.length + n]; });
  });
  return sums;
}

/** @param {Float64Array} values */
const activations = (values) => values.map((value) => Math.max(Math.floor(value), 0));

/**
 * @param {Record<string, Weights>} arrays the kernels, weights and biases
 * @param {Uint8Array} pixels
 * @returns {number[]} the logit of each class
 */
function lenet5Scores(arrays, pixels) {
  let maps = paddedImage(pixels);
  maps = convolved(maps, arrays.kernel_1, arrays.bias_1);
  maps = convolved(maps, arrays.kernel_2, arrays.bias_2);
  let hidden = activations(dense(maps.values, arrays.dense_1, arrays.bias_3));
  hidden = activations(dense(hidden, arrays.dense_2, arrays.bias_4));
  return Array.from(dense(hidden, arrays.dense_3, arrays.bias_5));
}
