// The scores of LeNet-5, as in digits/methods/lenet5.py: see there for the reasons.

const LEAST_SIDE = 32;
const LEAST_MARGIN = 2;
const KERNEL_SIDE = 5;

/** How many black pixels go before an image's side, and how long that side is then. */
function margin(side) {
  const whole = Math.max(LEAST_SIDE - side, 2 * LEAST_MARGIN);
  return [Math.floor(whole / 2), side + whole];
}

function padded(pixels) {
  const [[top, high], [left, wide]] = [margin(height), margin(width)];
  const values = new Float64Array(high * wide);
  pixels.forEach((pixel, i) => {
    values[(top + Math.floor(i / width)) * wide + left + (i % width)] = pixel / 255;
  });
  return { values, high, wide };
}

/** Maps convolved, rectified, and of each two by two the largest: those start at 0. */
function convolved({ values, high, wide }, kernel, bias) {
  const [nOut, nIn] = [bias.length, values.length / (high * wide)];
  const [rows, columns] = [high, wide].map((side) => (side - KERNEL_SIDE + 1) >> 1);
  const largest = new Float64Array(rows * columns * nOut);
  for (let y = 0; y < 2 * rows; y += 1) {
    for (let x = 0; x < 2 * columns; x += 1) {
      const sums = Float64Array.from(bias);
      for (let i = 0; i < KERNEL_SIDE * KERNEL_SIDE * nIn; i += 1) {
        const at = Math.floor(i / nIn);
        const row = y + Math.floor(at / KERNEL_SIDE);
        const value = values[(row * wide + x + (at % KERNEL_SIDE)) * nIn + (i % nIn)];
        if (value) for (let n = 0; n < nOut; n += 1) sums[n] += value * kernel[i * nOut + n];
      }
      const to = ((y >> 1) * columns + (x >> 1)) * nOut;
      sums.forEach((sum, n) => { largest[to + n] = Math.max(largest[to + n], sum); });
    }
  }
  return { values: largest, high: rows, wide: columns };
}

function dense(values, weights, bias) {
  const sums = Float64Array.from(bias);
  values.forEach((value, i) => {
    if (value) bias.forEach((_, n) => { sums[n] += value * weights[i * bias.length + n]; });
  });
  return sums;
}

const rectified = (values) => values.map((value) => Math.max(value, 0));

function networkScores(variant, pixels) {
  let maps = padded(pixels);
  maps = convolved(maps, variant.kernel_1, variant.bias_1);
  maps = convolved(maps, variant.kernel_2, variant.bias_2);
  let hidden = rectified(dense(maps.values, variant.dense_1, variant.bias_3));
  hidden = rectified(dense(hidden, variant.dense_2, variant.bias_4));
  return Array.from(dense(hidden, variant.dense_3, variant.bias_5));
}
