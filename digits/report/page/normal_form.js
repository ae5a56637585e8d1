// The form of the training images, as in digits/images/mnist_format.py: see there for the reasons.

const round = (value) => Math.floor(value + 0.5);

/** The matrix, a row for each cell, that averages nIn pixels over nOut cells. */
function averaging(nIn, nOut) {
  const side = nIn / nOut;
  return Array.from({ length: nOut }, (_, cell) =>
    Array.from({ length: nIn }, (_, pixel) => {
      const low = Math.max(cell * side, pixel);
      const high = Math.min((cell + 1) * side, pixel + 1);
      return Math.max(high - low, 0) / side;
    }));
}

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

function crop(rows) {
  const ink = page.form.ink * Math.max(...rows.map((row) => Math.max(...row)));
  const isInk = (value) => value > ink;
  const top = rows.findIndex((row) => row.some(isInk));
  const bottom = rows.findLastIndex((row) => row.some(isInk));
  const left = Math.min(...rows.map((row) => row.findIndex(isInk)).filter((x) => x >= 0));
  const right = Math.max(...rows.map((row) => row.findLastIndex(isInk)));
  return rows.slice(top, bottom + 1).map((row) => row.slice(left, right + 1));
}

/** A drawing (grey values, high × wide, light ink on dark) in the data's form, or null. */
function normalForm(drawing, high, wide) {
  if (!drawing.some((value) => value > 0)) return null;
  const { box, beyond, centred } = page.form;
  const all = Array.from({ length: high }, (_, y) =>
    Array.from(drawing.subarray(y * wide, (y + 1) * wide)));
  const ink = centred ? crop(all) : all;
  const sides = [ink.length, ink[0].length];
  const frame = [height, width];
  const scale = Math.min(...frame.map((side, axis) => ((centred ? box : 1) * side) / sides[axis]));
  const [tall, broad] = sides.map((side) => Math.max(1, round(scale * side)));
  const rows = averaging(sides[0], tall);
  const columns = averaging(sides[1], broad);
  const half = rows.map((weights) =>
    Float64Array.from(ink[0], (_, x) => weights.reduce((sum, w, y) => sum + (w && w * ink[y][x]), 0)));
  let small = half.map((row) =>
    columns.map((weights) => weights.reduce((sum, w, x) => sum + (w && w * row[x]), 0)));
  let middle = [tall / 2, broad / 2];
  if (centred) {
    const highest = Math.max(...small.map((row) => Math.max(...row)));
    small = small.map((row) => row.map((value) => (value * 255) / highest));
    middle = centreOfMass(small);
  }
  const [top, left] = frame.map((side, axis) => {
    const at = round(side / 2 + (centred ? beyond : 0) - middle[axis]);
    return Math.min(Math.max(at, 0), side - [tall, broad][axis]);
  });
  const framed = new Uint8Array(height * width);
  small.forEach((row, y) => row.forEach((value, x) => {
    framed[(top + y) * width + left + x] = round(value);
  }));
  return framed;
}
