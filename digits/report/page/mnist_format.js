// A drawing is converted to the format of the training images, as in
// digits/images/mnist_format.py.

/** @param {number} value */
const roundHalfUp = (value) => Math.floor(value + payload.image_format.half);

/**
 * The matrix that averages nIn pixels over nOut cells: for each cell the first pixel that it
 * covers, and the weights of this pixel and those that follow.
 *
 * @param {number} nIn
 * @param {number} nOut
 * @returns {{ first: number, weights: number[] }[]}
 */
function averagingMatrix(nIn, nOut) {
  const side = nIn / nOut;
  return Array.from({ length: nOut }, (_, cell) => {
    const [start, end] = [cell * side, (cell + 1) * side];
    const first = Math.floor(start);
    const weights = [];
    for (let pixel = first; pixel < Math.min(end, nIn); pixel += 1) {
      weights.push((Math.min(end, pixel + 1) - Math.max(start, pixel)) / side);
    }
    return { first, weights };
  });
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

/** @typedef {number[] | Uint8Array} Row grey values */

/** @param {Row[]} rows */
function maximum(rows) {
  let most = 0;
  for (const row of rows) {
    for (let x = 0; x < row.length; x += 1) if (row[x] > most) most = row[x];
  }
  return most;
}

/**
 * The drawing without the lines from border to border.
 *
 * @param {Row[]} rows
 * @returns {Row[]}
 */
function linesRemoved(rows) {
  const least = payload.image_format.ink * maximum(rows);
  /** @param {number} value */
  const isInk = (value) => value > least;
  const edges = [rows[0], rows[rows.length - 1],
    rows.map((row) => row[0]), rows.map((row) => row[row.length - 1])];
  if (!edges.some((edge) => edge.some(isInk))) return rows; // nothing can be such a line
  const ink = rows.map((row) => Array.from(row).map(isInk));
  const kept = withoutLines(ink);
  return rows.map((row, y) => row.map((value, x) => (ink[y][x] && !kept[y][x] ? 0 : value)));
}

/**
 * The smallest part that has all ink.
 *
 * @param {Row[]} rows
 * @returns {Row[]}
 */
function croppedToInk(rows) {
  const ink = payload.image_format.ink * maximum(rows);
  let [top, bottom, left, right] = [rows.length, 0, rows[0].length, 0];
  rows.forEach((row, y) => {
    for (let x = 0; x < row.length; x += 1) {
      if (row[x] > ink) {
        top = Math.min(top, y);
        bottom = y;
        left = Math.min(left, x);
        right = Math.max(right, x);
      }
    }
  });
  return rows.slice(top, bottom + 1).map((row) => row.slice(left, right + 1));
}

/**
 * @param {Row[]} rows
 * @param {number} high
 * @param {number} wide
 * @returns {number[][]} the same image, high × wide
 */
function resized(rows, high, wide) {
  const down = averagingMatrix(rows.length, high);
  const across = averagingMatrix(rows[0].length, wide);
  const half = down.map(({ first, weights }) => {
    const total = new Float64Array(rows[0].length);
    weights.forEach((weight, i) => {
      const row = rows[first + i];
      for (let x = 0; x < row.length; x += 1) total[x] += weight * row[x];
    });
    return total;
  });
  return half.map((row) => across.map(({ first, weights }) =>
    weights.reduce((total, weight, i) => total + weight * row[first + i], 0)));
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
  const all = Array.from({ length: high }, (_, y) => drawing.subarray(y * wide, (y + 1) * wide));
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
