// Answers only of predictions that are certain enough.

/** @typedef {Variant & { sureness: Uint8Array }} SureVariant */

const sureVariants = /** @type {SureVariant[]} */ (
  variants.filter((variant) => variant.sureness));

/**
 * What a variant answers if it must be as certain as each of the levels.
 *
 * @param {SureVariant} variant
 * @returns {{ answered: number, right: number }[]} numbers of test images, by level
 */
function answersByLevel({ sureness, actual, predicted }) {
  const answers = payload.levels.map(() => ({ answered: 0, right: 0 }));
  sureness.forEach((level, row) => {
    answers[level].answered += 1;
    answers[level].right += Number(actual[row] === predicted[row]);
  });
  for (let level = answers.length - 2; level >= 0; level -= 1) {
    answers[level].answered += answers[level + 1].answered;
    answers[level].right += answers[level + 1].right;
  }
  return answers;
}

/** @type {Map<SureVariant, ReturnType<typeof answersByLevel>>} */
const knownAnswers = new Map();

/** @param {SureVariant} variant */
function allAnswers(variant) {
  const answers = knownAnswers.get(variant) ?? answersByLevel(variant);
  knownAnswers.set(variant, answers);
  return answers;
}

/** @param {number} level an index */
const levelText = (level) => `${Number((100 * payload.levels[level]).toFixed(3))}%`;

/** The axis of the shares that are right, by the logarithm of those that are wrong. */
function rightAxis() {
  const wrong = sureVariants.flatMap((variant) => allAnswers(variant)
    .filter(({ answered }) => answered).map(({ answered, right }) => 1 - right / answered));
  const least = Math.min(...wrong.filter((share) => share > 0), 0.1);
  const [low, high] = [-Math.log10(Math.max(...wrong, 0.02)), -Math.log10(least) + 0.3];
  const ticks = [0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001,
    0.0005, 0.0002, 0.0001, 0.00005, 0.00002, 0.00001]
    .map((share) => /** @type {[number, string]} */ (
      [-Math.log10(share), `${Number((100 - 100 * share).toFixed(3))}%`]))
    .filter(([value]) => low <= value && value < high - 0.1);
  /** @type {Axis} */
  const axis = { name: "share of answers that is right", low, high, ticks: [...ticks, [high, "all"]] };
  return axis;
}

/** @param {number} level */
function showUnsureCurves(level) {
  const container = byId("unsure-curves");
  const axis = rightAxis();
  const series = sureVariants.map((variant) => {
    const total = variant.actual.length;
    /** @param {{ answered: number, right: number }} answers @returns {[number, number]} */
    const place = ({ answered, right }) =>
      [answered / total, answered > right ? -Math.log10(1 - right / answered) : axis.high];
    const answers = allAnswers(variant);
    const points = answers.filter(({ answered }) => answered).map(place);
    const chosen = answers[level].answered ? [{ at: place(answers[level]), isRing: false }] : [];
    return { name: variant.name, points: points.reverse(), dots: chosen };
  });
  const isOneTask = new Set(sureVariants.map(({ classes }) => `${classes}`)).size === 1;
  const wide = clamp(container.clientWidth, 300, 760);
  const plot = linePlot("Share of the test images that is answered, and share of the answers that is right",
    [shareAxis("share of the test images that is answered", 0, 1), axis], series,
    [wide, Math.min(360, 0.8 * wide)], "unsure");
  plot.setAttribute("width", String(wide));
  container.replaceChildren(plot, plotLegend(sureVariants.map(({ name, classes }) =>
    [name, isOneTask ? "" : `${classes.length} classes`])));
}

/** @param {number} level */
function unsureTable(level) {
  const heads = ["Answered", "Right", "Wrong"].map((name) =>
    element("th", { scope: "col", className: "number" }, name));
  heads.push(element("th", { scope: "col", className: "number spare" }, "Not answered"));
  /** @param {string} text */
  const cell = (text) => element("td", { className: "number" }, text);
  const rows = sureVariants.map((variant) => {
    const { answered, right } = allAnswers(variant)[level];
    const total = variant.actual.length;
    return element("tr", {}, element("th", { scope: "row" }, variant.name),
      cell(percent(answered / total)), cell(answered ? percent(right / answered) : "–"),
      cell(formatCount(answered - right)),
      element("td", { className: "number spare" }, formatCount(total - answered)));
  });
  return [
    element("caption", { className: "hidden" }, "Answers at this certainty"),
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Variant"), ...heads)),
    element("tbody", {}, ...rows),
  ];
}

/** @param {number} level */
function unsureText(level) {
  const most = Math.max(...sureVariants.map(({ classes }) => classes.length));
  const [best] = sureVariants.filter(({ classes }) => classes.length === most)
    .sort((a, b) => b.accuracy - a.accuracy);
  const [all, some] = [allAnswers(best)[0], allAnswers(best)[level]];
  if (!some.answered) return `At ${levelText(level)}, ${best.name} answers nothing.`;
  return `If it must be at least ${levelText(level)} certain, ${best.name} answers `
    + `${percent(some.answered / all.answered)} of the test images and is right on `
    + `${percent(some.right / some.answered)} of these, instead of `
    + `${percent(all.right / all.answered)} of all.`;
}

fillLater("unsure", () => {
  const slider = byId("unsure-level", HTMLInputElement);
  const select = byId("unsure-variant", HTMLSelectElement);
  const showImages = imageButtons(byId("unsure-images"));

  /** @param {number} level */
  function showCertainMistakes(level) {
    const variant = ofName(sureVariants, state.unsureVariant);
    select.value = variant.name;
    const { names, images, sureness, actual, predicted, rowOf } = variant;
    const rows = variant.mistakes.filter((row) => sureness[row] >= level)
      .sort((a, b) => sureness[b] - sureness[a]);
    const missing = rows.filter((row) => !isIncluded(images[row])).length;
    byId("unsure-title-2").textContent = rows.length
      ? `Wrong, although at least ${levelText(level)} certain: ${plural(rows.length, "image")}`
        + (missing ? ` (${formatCount(missing)} of them not included in this page)` : "")
      : `No wrong answer is at least ${levelText(level)} certain`;
    showImages(rows.map((row) => images[row]), (image) => {
      const row = rowOf.get(image) ?? 0;
      const [i, j] = [actual[row], predicted[row]];
      return { caption: `${names[i]} → ${names[j]}`, label: imageLabel(variant, image, i, j) };
    });
  }

  /** @type {number | undefined} */
  let timer;
  function show() {
    const level = payload.levels.indexOf(Number(state.certainty));
    slider.value = String(level);
    slider.setAttribute("aria-valuetext", levelText(level));
    byId("unsure-level-shown").textContent = levelText(level);
    byId("unsure-answer").textContent = unsureText(level);
    byId("unsure-table").replaceChildren(...unsureTable(level));
    showUnsureCurves(level);
    clearTimeout(timer); // the images follow a slider that is moved
    timer = setTimeout(showCertainMistakes, REST_MS, level);
  }

  slider.addEventListener("input", () =>
    setState({ certainty: String(payload.levels[slider.valueAsNumber]), section: "unsure" }));
  select.addEventListener("change", () => takeStep({ unsureVariant: select.value }));
  onChange(["certainty", "unsureVariant"], show);
  onRedraw(show, byId("unsure-curves"));
});
