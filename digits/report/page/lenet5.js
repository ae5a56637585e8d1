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
 * Add the kernels of all outputs, applied at one place, to `sums`.
 *
 * @param {Float64Array} sums (nOut)
 * @param {Maps} maps
 * @param {number} corner the index of the place's first value
 * @param {Weights} kernel (side, side, nIn, nOut)
 * @param {number} side
 */
function addConvolved(sums, { values, high, wide }, corner, kernel, side) {
  const nOut = sums.length;
  const nIn = values.length / (high * wide);
  let weight = 0;
  for (let row = 0; row < side; row += 1) {
    const start = corner + row * wide * nIn;
    for (let at = start; at < start + side * nIn; at += 1, weight += nOut) {
      const value = values[at];
      if (value) for (let n = 0; n < nOut; n += 1) sums[n] += value * kernel[weight + n];
    }
  }
}

/**
 * A convolution, ReLU, and rounding down.
 *
 * @param {Maps} maps
 * @param {Weights} kernel (side, side, nIn, nOut)
 * @param {Weights} bias (nOut)
 * @returns {Maps}
 */
function convolution(maps, kernel, bias) {
  const { values, high, wide } = maps;
  const [nOut, nIn] = [bias.length, values.length / (high * wide)];
  const side = kernelSide(kernel, nIn * nOut);
  const [rows, columns] = [high - side + 1, wide - side + 1];
  const activated = new Float64Array(rows * columns * nOut);
  const sums = new Float64Array(nOut);
  for (let place = 0; place < rows * columns; place += 1) {
    const corner = (Math.floor(place / columns) * wide + (place % columns)) * nIn;
    sums.set(bias);
    addConvolved(sums, maps, corner, kernel, side);
    for (let n = 0; n < nOut; n += 1) {
      if (sums[n] > 0) activated[place * nOut + n] = Math.floor(sums[n]);
    }
  }
  return { values: activated, high: rows, wide: columns };
}

/**
 * Where the maxima of squares of two by two are: the first of equal ones, row by row. An odd
 * last row or column is dropped.
 *
 * @param {Maps} maps
 * @returns {{ places: Uint32Array, high: number, wide: number }}
 */
function maximaOf({ values, high, wide }) {
  const n = values.length / (high * wide);
  const [rows, columns] = [high >> 1, wide >> 1];
  const places = new Uint32Array(rows * columns * n);
  for (let to = 0; to < places.length; to += 1) {
    const square = Math.floor(to / n);
    const first = 2 * (Math.floor(square / columns) * wide + (square % columns)) * n + (to % n);
    let best = values[first + n] > values[first] ? first + n : first;
    const below = first + wide * n;
    if (values[below] > values[best]) best = below;
    if (values[below + n] > values[best]) best = below + n;
    places[to] = best;
  }
  return { places, high: rows, wide: columns };
}

/**
 * Max pooling.
 *
 * @param {Maps} maps
 * @returns {Maps}
 */
function pooled(maps) {
  const { places, high, wide } = maximaOf(maps);
  return { values: Float64Array.from(places, (place) => maps.values[place]), high, wide };
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
    const start = i * sums.length;
    if (value) for (let n = 0; n < sums.length; n += 1) sums[n] += value * weights[start + n];
  });
  return sums;
}

/** @param {Float64Array} values */
const activations = (values) => values.map((value) => Math.max(Math.floor(value), 0));

/**
 * All layers, with the names of the paper.
 *
 * @typedef {object} Layers
 * @property {Maps} c1 after the first convolution
 * @property {Maps} s2 after pooling
 * @property {Maps} c3
 * @property {Maps} s4
 * @property {Float64Array} f5 the activations of 120 units
 * @property {Float64Array} f6 of 84 units
 * @property {number[]} scores the logit of each class
 */

/**
 * @param {Record<string, Weights>} arrays the kernels, weights and biases
 * @param {Uint8Array} pixels
 * @returns {Layers}
 */
function lenet5Layers(arrays, pixels) {
  const c1 = convolution(paddedImage(pixels), arrays.kernel_1, arrays.bias_1);
  const s2 = pooled(c1);
  const c3 = convolution(s2, arrays.kernel_2, arrays.bias_2);
  const s4 = pooled(c3);
  const f5 = activations(dense(s4.values, arrays.dense_1, arrays.bias_3));
  const f6 = activations(dense(f5, arrays.dense_2, arrays.bias_4));
  const scores = Array.from(dense(f6, arrays.dense_3, arrays.bias_5));
  return { c1, s2, c3, s4, f5, f6, scores };
}

/**
 * @param {Record<string, Weights>} arrays
 * @param {Uint8Array} pixels
 * @returns {number[]} the logit of each class
 */
const lenet5Scores = (arrays, pixels) => lenet5Layers(arrays, pixels).scores;
