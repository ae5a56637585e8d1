// The smallest change of all pixels that flips a model's answer for the explained image.

const LEAST_RANGE = 8; // of the slider, in grey levels
const foolable = [...runnable].sort((a, b) => b.classes.length - a.classes.length);

/**
 * @param {string} name
 * @returns {Variant} one that can be run
 */
const foolableOf = (name) => foolable.find((variant) => variant.name === name) ?? foolable[0];

/** @param {number} count */
const levelsText = (count) => `${count} grey ${count === 1 ? "level" : "levels"}`;

/**
 * @param {Variant} variant
 * @param {Uint8Array} pixels
 */
const answerOf = (variant, pixels) =>
  variant.names[predictedClass(variant, scoresOf(variant, pixels))];

/**
 * @param {string} title
 * @param {HTMLElement} content
 * @param {string} caption
 */
const foolFigure = (title, content, caption) =>
  element("figure", {}, element("h4", {}, title),
    element("div", { className: "frame" }, content), element("figcaption", {}, caption));

/**
 * What is true of a level, in a sentence.
 *
 * @param {Variant} variant
 * @param {Fooling} fooling
 * @param {number} level
 * @param {[before: string, after: string]} answers
 */
function foolText({ name, model_type: modelType }, fooling, level, [before, after]) {
  const isExact = modelType === "linear";
  if (level === 0) return `Unchanged: ${name} says ${before}.`;
  if (before !== after) {
    const least = fooling.level === level ? (isExact
      ? " No smaller change of all pixels does that."
      : " In another direction, a smaller change may do that: this is an upper bound.") : "";
    return `With ${levelsText(level)}, ${name} says ${after} instead of ${before}.${least}`;
  }
  return isExact && (fooling.level === null || level < fooling.level)
    ? `No change of at most ${levelsText(level)} flips the answer of ${name}, ${before}.`
    : `With ${levelsText(level)} in this direction, ${name} still says ${before}.`;
}

/**
 * @param {Variant} variant
 * @param {Fooling | undefined} fooling
 */
function smallestText({ model_type: modelType }, fooling) {
  if (!fooling) return "…";
  if (fooling.level === null) return "never";
  return modelType === "linear" ? String(fooling.level) : `≤\u00a0${fooling.level}`;
}

/**
 * What a variant says of the image before and after the change.
 *
 * @param {Variant} variant
 * @param {Fooling | undefined} fooling
 * @param {Subject} shown
 * @param {Uint8Array} changed
 */
function foolRow(variant, fooling, { pixels, label }, changed) {
  const [before, after] = [answerOf(variant, pixels), answerOf(variant, changed)];
  const isOther = label >= 0 && !variant.classes.includes(label);
  const isFlipped = before !== after;
  return element("tr", { className: isOther ? "unknown" : isFlipped ? "wrong" : "" },
    element("th", { scope: "row" }, variant.name), element("td", {}, before),
    element("td", {}, isFlipped ? `${after}, flipped` : before),
    element("td", { className: "number" }, smallestText(variant, fooling)));
}

/** What the slider moves in: how each model's answer for the explained image is flipped. */
class FoolView {
  constructor() {
    this.slider = byId("fool-level", HTMLInputElement);
    /** @type {Subject | null} */
    this.shown = null;
    /** @type {Map<string, Fooling>} */
    this.found = new Map();
  }

  get variant() {
    return foolableOf(state.fooled);
  }

  /** @returns {Fooling | undefined} of the chosen model, once it is computed */
  get fooling() {
    return this.found.get(this.variant.name);
  }

  /** Compute how each model's answer is flipped: the chosen model's first. */
  * compute() {
    this.shown = subject();
    this.found.clear();
    byId("fool-live").hidden = !this.shown;
    byId("fool-empty").hidden = this.shown !== null;
    if (!this.shown) return;
    const others = foolable.filter((variant) => variant !== this.variant);
    for (const variant of [this.variant, ...others]) {
      this.found.set(variant.name, yield* fool(variant, this.shown.pixels));
      if (variant === this.variant) this.showLevel();
    }
    this.showLevel();
  }

  /** Show the change of the chosen size. */
  showLevel() {
    const { variant, fooling, shown, slider } = this;
    if (!fooling || !shown) return;
    const most = Math.min(Math.max(LEAST_RANGE, 2 * (fooling.level ?? BRIGHTEST)), BRIGHTEST);
    const level = clamp(state.level ? Number(state.level) : fooling.level ?? most, 0, most);
    [slider.max, slider.value] = [String(most), String(level)];
    byId("fool-output").textContent = levelsText(level);
    const changed = pushed(shown.pixels, fooling.direction, level);
    /** @type {[string, string]} */
    const answers = [answerOf(variant, shown.pixels), answerOf(variant, changed)];
    slider.ariaValueText = `${levelsText(level)}: ${variant.name} says ${answers[1]}`;
    const difference = Float64Array.from(changed, (pixel, i) => pixel - shown.pixels[i]);
    byId("fool-images").replaceChildren(
      foolFigure("Before", imageCanvas(shown.pixels), `${variant.name} says ${answers[0]}`),
      foolFigure("Difference", divergingCanvas(difference, level || 1),
        level ? `×\u00a0${Math.round(BRIGHTEST / level)}; blue is more ink, orange less` : "none"),
      foolFigure("After", imageCanvas(changed), `${variant.name} says ${answers[1]}`));
    byId("fool-result").textContent = foolText(variant, fooling, level, answers);
    byId("fool-models").replaceChildren(...foolable.map((each) =>
      foolRow(each, this.found.get(each.name), shown, changed)));
  }

}

fillLater("fool", () => {
  const select = byId("fool-variant", HTMLSelectElement);
  const view = new FoolView();
  const compute = lazily(byId("fool-live"), () => view.compute());
  select.addEventListener("change", () => takeStep({ fooled: select.value, level: "" }));
  view.slider.addEventListener("input", () => setState({ level: view.slider.value }));
  byId("fool-smallest").addEventListener("click", () => takeStep({ level: "" }));
  for (const [id, step] of /** @type {const} */ ([["fool-before", -1], ["fool-after", 1]])) {
    byId(id).addEventListener("click", () => stepImage(step));
  }
  byId("fool-drawing").addEventListener("click", () =>
    takeStep({ image: DRAWING, compare: "", level: "" }));
  onSubject([], () => {
    byId("fool-image").textContent = subject()?.name ?? "Your drawing";
    compute();
  });
  onChange(["fooled", "level"], (chosen) => {
    select.value = foolableOf(chosen.fooled).name;
    view.showLevel();
  });
  onRedraw(() => view.showLevel());
});
