// The image that is explained: a test image, or what the models classify in the drawing area.

const DRAWING = "drawing"; // as `state.image`
const REST = 120; // ms without a stroke, after which the explanation follows

/**
 * @typedef {object} Subject
 * @property {Uint8Array} pixels
 * @property {string} name in words, as at the start of a sentence
 * @property {number | null} image the number of a test image
 * @property {number} label of the test image; -1 if nobody knows it
 */

/**
 * The grey values that the models classify in the drawing area; null while there are none.
 *
 * @type {Uint8Array | null}
 */
let modelInput = null;
/** @type {((chosen: State) => void)[]} */
const subjectListeners = [];
/** @type {number | undefined} */
let restTimer;
/**
 * Functions that stop slow work for the image before.
 *
 * @type {(() => void)[]}
 */
const stopWork = [];

/** @param {Uint8Array | null} pixels what the models classify now */
function setModelInput(pixels) {
  modelInput = pixels;
  if (state.image !== DRAWING) return;
  for (const stop of stopWork) stop();
  clearTimeout(restTimer);
  restTimer = setTimeout(() => {
    for (const show of subjectListeners) show(state);
  }, REST);
}

/** @returns {Subject | null} null if nothing is drawn */
function subject() {
  const [, put] = /^image-(\d+)$/.exec(state.image === DRAWING ? state.drawing : "") ?? [];
  const image = Number(put ?? state.image);
  if (isIncluded(image)) {
    return { pixels: pixelsOf(image), name: `Test image ${image}`, image, label: labels[image] };
  }
  return modelInput && { pixels: modelInput, name: "Your drawing", image: null, label: -1 };
}

/**
 * Call `show` now, and again when the explained image or one of these keys changes.
 *
 * @param {string[]} keys
 * @param {(chosen: State) => void} show
 */
function onSubject(keys, show) {
  subjectListeners.push(show);
  onChange(["image", ...keys], show);
}

const SLICE = 8; // ms that a step of slow work may take from a frame

/**
 * Work that is done in slices, once all sections are filled. Each call stops the one before.
 *
 * @template {unknown[]} T
 * @param {HTMLElement} container what it fills; it is busy meanwhile
 * @param {(...values: T) => Generator<void, void>} steps
 * @returns {(...values: T) => void}
 */
function lazily(container, steps) {
  /** @type {number | undefined} */
  let timer;
  /** @type {Generator<void, void> | null} */
  let run = null;
  const stop = () => {
    clearTimeout(timer);
    run = null;
  };
  /** @param {number} end the time, in ms, after which no step is begun */
  const goUntil = (end) => {
    while (run && performance.now() < end) {
      if (run.next().done) {
        stop();
        container.ariaBusy = "false";
      }
    }
  };
  const go = () => {
    if (!waiting.length) goUntil(performance.now() + SLICE);
    if (run) timer = setTimeout(go);
  };
  stopWork.push(stop);
  finishWork.push(() => goUntil(Infinity));
  return (...values) => {
    stop();
    container.ariaBusy = "true";
    run = steps(...values);
    timer = setTimeout(go);
  };
}
