// A drawing is converted to the format of the training images, as in
// digits/images/mnist_format.py.

/** @param {number} value */
const roundHalfUp = (value) => Math.floor(value + payload.image_format.half);

/**
 * The matrix, a row for each cell, that averages nIn pixels over nOut cells.
 *
 * @param {number} nIn
 * @param {number} nOut
 * @returns {number[][]}
 */
function averagingMatrix(nIn, nOut) {
  const side = nIn / nOut;
  return Array.from({ length: nOut }, (_, cell) =>
    Array.from({ length: nIn }, (__, pixel) => {
      const low = Math.max(cell * side, pixel);
      const high = Math.min((cell + 1) * side, pixel + 1);
      return Math.max(high - low, 0) / side;
    }));
}

/**
 * @param {number[][]} rows grey values
 * @returns {[row: number, column: number]} from the upper left edge
 */
function centreOfMass(rows) {
  let mass = 0;
  let row = 0;
  let column = 0;
  rows.forEach((values, y) => values.forEach((value, x) => {
    mass += value;
    row += value * (y + 0.5);
    column += value * (x + 0.5);
  }));
  return [row / mass, column / mass];
}

/** @param {number[][]} rows */
const maximum = (rows) => Math.max(...rows.map((row) => Math.max(...row)));

/**
 * The drawing without the lines from border to border.
 *
 * @param {number[][]} rows
 * @returns {number[][]}
 */
function linesRemoved(rows) {
  const least = payload.image_format.ink * maximum(rows);
  const ink = rows.map((row) => row.map((value) => value > least));
  const kept = withoutLines(ink);
  return rows.map((row, y) => row.map((value, x) => (ink[y][x] && !kept[y][x] ? 0 : value)));
}

/**
 * The smallest part that has all ink.
 *
 * @param {number[][]} rows
 * @returns {number[][]}
 */
function croppedToInk(rows) {
  const ink = payload.image_format.ink * maximum(rows);
  /** @param {number} value */
  const isInk = (value) => value > ink;
  const top = rows.findIndex((row) => row.some(isInk));
  const bottom = rows.findLastIndex((row) => row.some(isInk));
  const left = Math.min(...rows.map((row) => row.findIndex(isInk)).filter((x) => x >= 0));
  const right = Math.max(...rows.map((row) => row.findLastIndex(isInk)));
  return rows.slice(top, bottom + 1).map((row) => row.slice(left, right + 1));
}

/**
 * @param {number[][]} rows
 * @param {number} high
 * @param {number} wide
 * @returns {number[][]} the same image, high × wide
 */
function resized(rows, high, wide) {
  const down = averagingMatrix(rows.length, high);
  const across = averagingMatrix(rows[0].length, wide);
  const half = down.map((weights) =>
    rows[0].map((_, x) => weights.reduce((total, w, y) => total + (w && w * rows[y][x]), 0)));
  return half.map((row) =>
    across.map((weights) => weights.reduce((total, w, x) => total + (w && w * row[x]), 0)));
}

/**
 * A drawing in the format of the training images; null if it is empty.
 *
 * @param {Uint8Array} drawing grey values, light ink on a dark ground
 * @param {number} high
 * @param {number} wide
 * @returns {Uint8Array | null} height × width
 */
function toImageFormat(drawing, high, wide) {
  if (!drawing.some((value) => value > 0)) return null;
  const { box, centre_offset: centreOffset, centred } = payload.image_format;
  const all = Array.from({ length: high }, (_, y) =>
    Array.from(drawing.subarray(y * wide, (y + 1) * wide)));
  const ink = centred ? croppedToInk(linesRemoved(all)) : all;
  const sides = [ink.length, ink[0].length];
  const frame = [height, width];
  const scale = Math.min(...frame.map((side, axis) => ((centred ? box : 1) * side) / sides[axis]));
  const [tall, broad] = sides.map((side) => Math.max(1, roundHalfUp(scale * side)));
  let small = resized(ink, tall, broad);
  let middle = [tall / 2, broad / 2];
  if (centred) {
    const highest = maximum(small);
    small = small.map((row) => row.map((value) => (value * 255) / highest));
    middle = centreOfMass(small);
  }
  const [top, left] = frame.map((side, axis) => {
    const at = roundHalfUp(side / 2 + (centred ? centreOffset : 0) - middle[axis]);
    return Math.min(Math.max(at, 0), side - [tall, broad][axis]);
  });
  const framed = new Uint8Array(height * width);
  small.forEach((row, y) => row.forEach((value, x) => {
    framed[(top + y) * width + left + x] = roundHalfUp(value);
  }));
  return framed;
}
