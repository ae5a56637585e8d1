// A drawing area. What is on it is converted to the format of the training images, and all
// variants that can be run here classify it.

const canvas = byId("canvas", HTMLCanvasElement);
const CANVAS_SIDE = 280; // the longer side, in the canvas's own pixels
const PEN_WIDTH = 22; // about MNIST's strokes
canvas.width = Math.round((CANVAS_SIDE * width) / Math.max(width, height));
canvas.height = Math.round((CANVAS_SIDE * height) / Math.max(width, height));

/** @returns {CanvasRenderingContext2D} */
function penContext() {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("this browser has no 2D canvas");
  context.lineWidth = PEN_WIDTH;
  context.lineCap = "round";
  context.lineJoin = "round";
  return context;
}

const pen = penContext();
// The models that know most classes come first, and of these the best one.
const cards = [...runnable]
  .sort((a, b) => b.classes.length - a.classes.length || b.accuracy - a.accuracy)
  .map((variant) => new PredictionCard(variant));
byId("predictions").append(...cards.map((card) => card.element));
byId("verdicts").append(...cards.map((card) => card.chip));

/** @type {number | undefined} */
let announceTimer;

/** Tell screen readers all predictions, once the input has been the same for a while. */
function announce() {
  clearTimeout(announceTimer);
  announceTimer = setTimeout(() => {
    byId("announcement").textContent = modelInput
      ? cards.map(({ spoken }) => spoken).join("; ") : "";
  }, 600);
}

/**
 * @param {Uint8Array | null} pixels
 * @param {string} caption
 * @param {number} [actual] the label of a test image
 */
function classify(pixels, caption, actual) {
  setModelInput(pixels);
  byId("model-input").replaceChildren(imageCanvas(pixels ?? new Uint8Array(height * width)));
  byId("model-input-caption").textContent = caption;
  for (const card of cards) {
    if (pixels) card.show(pixels, actual);
    else card.clear();
  }
  announce();
}

function classifyDrawing() {
  const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
  const grey = new Uint8Array(data.length / 4);
  for (let i = 0; i < grey.length; i += 1) grey[i] = data[4 * i + 3];
  classify(toImageFormat(grey, canvas.height, canvas.width),
    `The input of the models, ${width}\u00a0×\u00a0${height}.`);
}

function clearCanvas() {
  pen.clearRect(0, 0, canvas.width, canvas.height);
}

/**
 * Put an image of the data's own size on the drawing area; it is classified as it is.
 *
 * @param {Uint8Array} pixels
 * @param {string} caption
 * @param {number} [actual] the label of a test image
 */
function put(pixels, caption, actual) {
  clearCanvas();
  pen.imageSmoothingEnabled = false;
  pen.drawImage(imageCanvas(pixels), 0, 0, canvas.width, canvas.height);
  classify(pixels, caption, actual);
}

/** @typedef {[x: number, y: number]} Point on the canvas, in its own pixels */

/**
 * @param {Point} from
 * @param {Point} to
 */
function stroke(from, to) {
  pen.beginPath();
  if (from[0] === to[0] && from[1] === to[1]) { // a line of no length draws nothing
    pen.arc(...to, PEN_WIDTH / 2, 0, 2 * Math.PI);
    pen.fill();
    return;
  }
  pen.moveTo(...from);
  pen.lineTo(...to);
  pen.stroke();
}

// What `state.drawing` was when it was put on the canvas, or written for what is drawn there.
let onCanvas = "none";

/** @param {string} drawing what the canvas shows now */
function setDrawing(drawing) {
  onCanvas = drawing;
  setState({ drawing });
}

/** Before the first stroke on noise or a test image: start with an empty canvas. */
function startDrawing() {
  if (!/^(noise|image)-/.test(onCanvas)) return;
  clearCanvas();
  setDrawing("");
}

/** After a stroke: the address can restore what the models classify. */
function finishStroke() {
  setDrawing(modelInput ? `ink-${textOf(modelInput)}` : "");
}

// A pointer draws while it is down: the first one, with its first button. Others are ignored,
// as a palm next to a pen.
/** @type {Point | null} */
let lastPoint = null;
/** @type {number | null} */
let drawingPointer = null;

/**
 * @param {PointerEvent} event
 * @returns {Point}
 */
function pointOf(event) {
  const box = canvas.getBoundingClientRect();
  return [
    ((event.clientX - box.left) / box.width) * canvas.width,
    ((event.clientY - box.top) / box.height) * canvas.height,
  ];
}

canvas.addEventListener("pointerdown", (event) => {
  if (drawingPointer !== null || event.button !== 0) return;
  drawingPointer = event.pointerId;
  canvas.setPointerCapture(event.pointerId);
  startDrawing();
  lastPoint = pointOf(event);
  stroke(lastPoint, lastPoint);
  classifyDrawing();
});
canvas.addEventListener("pointermove", (event) => {
  if (!lastPoint || event.pointerId !== drawingPointer) return;
  const moves = event.getCoalescedEvents?.() ?? [];
  for (const move of moves.length ? moves : [event]) {
    const to = pointOf(move);
    stroke(lastPoint, to);
    lastPoint = to;
  }
  classifyDrawing();
});
for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, (event) => {
    if (/** @type {PointerEvent} */ (event).pointerId !== drawingPointer) return;
    lastPoint = drawingPointer = null;
    finishStroke();
  });
}

// By keyboard: arrow keys move a cursor, and Space puts the pen down and lifts it.
const cursor = byId("cursor");
/** @type {Point} */
let cursorPoint = [canvas.width / 2, canvas.height / 2];
let penDown = false;

function showCursor() {
  cursor.hidden = !canvas.matches(":focus-visible"); // a pointer needs no cursor
  cursor.style.left = percent(cursorPoint[0] / canvas.width);
  cursor.style.top = percent(cursorPoint[1] / canvas.height);
  cursor.classList.toggle("down", penDown);
}

/** @type {Record<string, Point>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * @param {Point} direction
 * @param {number} distance
 */
function moveCursor([dx, dy], distance) {
  /** @type {Point} */
  const to = [
    clamp(cursorPoint[0] + dx * distance, 0, canvas.width),
    clamp(cursorPoint[1] + dy * distance, 0, canvas.height),
  ];
  if (penDown) stroke(cursorPoint, to);
  cursorPoint = to;
  if (!penDown) return;
  classifyDrawing();
  finishStroke();
}

function togglePen() {
  penDown = !penDown;
  if (!penDown) return;
  startDrawing();
  stroke(cursorPoint, cursorPoint);
  classifyDrawing();
  finishStroke();
}

canvas.addEventListener("keydown", (event) => {
  if (event.key in ARROWS) moveCursor(ARROWS[event.key], event.shiftKey ? 30 : 10);
  else if (event.key === " ") togglePen();
  else if (event.key === "Delete" || event.key === "Backspace") byId("clear").click();
  else return;
  event.preventDefault();
  showCursor();
});
for (const name of ["focus", "blur"]) {
  canvas.addEventListener(name, () => {
    penDown = false;
    showCursor();
  });
}
canvas.addEventListener("pointerdown", () => { cursor.hidden = true; });

/**
 * A generator of numbers from 0 to 1 (mulberry32), the same for the same seed.
 *
 * @param {number} seed
 * @returns {() => number}
 */
function randomNumbers(seed) {
  let bits = seed | 0;
  return () => {
    bits = (bits + 0x6d2b79f5) | 0;
    let mixed = Math.imul(bits ^ (bits >>> 15), 1 | bits);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * @param {number} seed
 * @returns {Uint8Array} an image
 */
function noise(seed) {
  const next = randomNumbers(seed);
  return new Uint8Array(height * width).map(() => 256 * next());
}

let seed = 0;
byId("clear").addEventListener("click", () => {
  setDrawing("");
  clearCanvas();
  classifyDrawing();
});
byId("noise").addEventListener("click", () => {
  takeStep({ drawing: `noise-${seed + 1}`, section: "draw" });
});
byId("random-image").addEventListener("click", () => {
  const image = includedImages[Math.floor(Math.random() * includedImages.length)];
  takeStep({ drawing: `image-${image}`, section: "draw" });
});
byId("inspect-drawing").addEventListener("click", () =>
  inspect(DRAWING, byId("inspect-drawing")));

onChange(["drawing"], ({ drawing }) => {
  if (drawing === onCanvas) return;
  onCanvas = drawing;
  const [, kind, text] = /^(\w+)-(.*)$/.exec(drawing) ?? [];
  const number = Number(text);
  const ink = kind === "ink" ? imageOfText(text) : null;
  if (kind === "noise" && Number.isInteger(number)) {
    seed = number;
    put(noise(number), "Noise: each pixel is a random grey value.");
  } else if (kind === "image" && isIncluded(number)) {
    put(pixelsOf(number), `Test image ${number}, class ${nameOf(labels[number])}.`,
      labels[number]);
  } else if (ink) {
    put(ink, `The input of the models, ${width}\u00a0×\u00a0${height}.`);
  } else {
    clearCanvas();
    classifyDrawing();
  }
});
