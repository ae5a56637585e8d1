// Lines from one border of a drawing to the other, found as in digits/images/lines.py. Ink
// is a list of rows of booleans.

/**
 * @param {boolean[][]} rows
 * @returns {boolean[][]}
 */
const transposed = (rows) => rows[0].map((_, x) => rows.map((row) => row[x]));

/**
 * Where the run of ink that begins at `start` ends.
 *
 * @param {boolean[]} column
 * @param {number} start
 */
function runEnd(column, start) {
  const stop = column.indexOf(false, start);
  return stop < 0 ? column.length : stop;
}

/**
 * The runs of ink of a line, [column, start, end]; none if it ends before the other border.
 *
 * @param {boolean[][]} columns
 * @param {number} start where the line begins in the first column
 * @param {number} stop where it ends there
 * @param {number} most how many columns it may be interrupted
 */
function followedLine(columns, start, stop, most) {
  const thickest = stop - start + Math.max(1, Math.floor((stop - start) / 2));
  let [above, below] = [start, stop];
  /** @type {[column: number, start: number, end: number][]} */
  const runs = [];
  let missing = 0;
  let crossed = 0;
  for (const [x, column] of columns.entries()) {
    const near = 1 + Math.floor(crossed / payload.image_format.slant);
    const first = Math.max(above - near, 0);
    const at = first + column.slice(first, below + near).indexOf(true);
    if (at < first) {
      missing += 1;
      if (missing > most) return [];
      continue;
    }
    missing = 0;
    const low = column.lastIndexOf(false, at) + 1;
    const high = runEnd(column, at);
    if (high - low > thickest) {
      crossed += 1;
      continue;
    }
    [above, below] = [low, high];
    runs.push([x, low, high]);
  }
  return 2 * runs.length >= columns.length ? runs : [];
}

/**
 * The thickness of a ruled line, at most.
 *
 * @param {boolean[][]} ink
 */
function thickestLine(ink) {
  const shorter = Math.min(ink.length, ink[0].length);
  return Math.max(1, Math.floor(shorter / payload.image_format.thin));
}

/**
 * Ink without the thin lines from the first to the last column.
 *
 * @param {boolean[][]} columns
 * @returns {boolean[][]}
 */
function withoutThinLines(columns) {
  const most = thickestLine(columns);
  const left = columns.map((column) => [...column]);
  for (let start = columns[0].indexOf(true); start >= 0;) {
    const stop = runEnd(columns[0], start);
    const runs = stop - start <= most ? followedLine(columns, start, stop, most) : [];
    for (const [x, low, high] of runs) left[x].fill(false, low, high);
    start = columns[0].indexOf(true, stop);
  }
  return left;
}

/**
 * The connected parts of ink, each a list of its pixels.
 *
 * @param {boolean[][]} rows
 */
function connectedParts(rows) {
  const isNew = rows.map((row) => [...row]);
  /** @type {[y: number, x: number][][]} */
  const parts = [];
  rows.forEach((row, top) => row.forEach((_, left) => {
    if (!isNew[top][left]) return;
    isNew[top][left] = false;
    /** @type {[y: number, x: number][]} */
    const part = [[top, left]];
    for (const [y, x] of part) { // it grows meanwhile
      for (let i = Math.max(y - 1, 0); i <= Math.min(y + 1, rows.length - 1); i += 1) {
        for (let j = Math.max(x - 1, 0); j <= Math.min(x + 1, row.length - 1); j += 1) {
          if (isNew[i][j]) {
            isNew[i][j] = false;
            part.push([i, j]);
          }
        }
      }
    }
    parts.push(part);
  }));
  return parts;
}

/**
 * The ink without the lines that go from border to border.
 *
 * @param {boolean[][]} rows
 * @returns {boolean[][]}
 */
function withoutLines(rows) {
  const columns = transposed(rows);
  const left = transposed(withoutThinLines(columns));
  const cleared = withoutThinLines(left);
  const last = [rows.length - 1, rows[0].length - 1];
  let hasLarge = false;
  for (const part of connectedParts(cleared)) {
    const lowest = [0, 1].map((axis) => part.reduce((a, p) => Math.min(a, p[axis]), Infinity));
    const highest = [0, 1].map((axis) => part.reduce((a, p) => Math.max(a, p[axis]), 0));
    const touched = [0, 1].map((axis) =>
      Number(lowest[axis] === 0) + Number(highest[axis] === last[axis]));
    const length = 1 + Math.max(...[0, 1].map((axis) => highest[axis] - lowest[axis]));
    const isThin = part.length <= thickestLine(rows) * length;
    if (Math.max(...touched) === 2 || (Math.max(...touched) === 1 && isThin)) {
      for (const [y, x] of part) cleared[y][x] = false;
    } else {
      hasLarge ||= payload.image_format.large * length >= Math.min(...last) + 1;
    }
  }
  return hasLarge ? cleared : rows;
}
