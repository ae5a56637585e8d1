// What the user chose. It is kept in the address's fragment, so that a view can be shared:
// #section=confusion&variant=multinomial&cell=4-9. Values as at the start are left out.

/** @typedef {Record<string, string>} State */

/** @typedef {Variant & { histogram: ScoreHistogram, testScores: Float64Array }} ThresholdVariant */

const thresholdVariants = /** @type {ThresholdVariant[]} */ (
  variants.filter((variant) => variant.rule.hasThresholds));

/** @typedef {{ name: string, section: string, variants: ThresholdVariant[] }} ThresholdGroup */

/**
 * The variants of two classes and those of more, each with its section. The name begins the
 * ids of the section's elements, and its keys in the address.
 *
 * @type {[ThresholdGroup, ThresholdGroup]}
 */
const THRESHOLD_GROUPS = [
  { name: "two", section: "two-classes",
    variants: thresholdVariants.filter(({ classes }) => classes.length === 2) },
  { name: "many", section: "thresholds",
    variants: thresholdVariants.filter(({ classes }) => classes.length > 2) },
];

/**
 * @template {{ name: string }} T
 * @param {T[]} group
 * @param {string} name
 * @returns {T} the first one if there is none of this name
 */
const ofName = (group, name) => group.find((variant) => variant.name === name) ?? group[0];

/** @param {Variant} variant */
const thresholdsKey = (variant) => `thresholds.${variant.name}`;

/** @returns {State} */
function startState() {
  const explained = linear.at(-1) ?? variants[variants.length - 1];
  const first = [...explained.mistakes, ...explained.images.keys()]
    .map((row) => explained.images[row]).find(isIncluded);
  const thresholds = thresholdVariants.map((variant) =>
    [thresholdsKey(variant), variant.thresholds.join(" ")]);
  const groups = THRESHOLD_GROUPS.flatMap(({ name, variants: [one] }) =>
    [[`${name}Variant`, one?.name ?? ""], [`${name}Cell`, ""]]);
  return {
    section: "", // the id of a section
    variant: variants[variants.length - 1].name, // in confusion, weights and mistakes
    cell: "", // <actual label>-<predicted label>, in the confusion matrix
    image: String(first ?? includedImages[0]), // the explained one; or "drawing"
    panel: "", // where the inspector is: "start" or "end" of the window, or on the page
    fooled: linear.at(-1)?.name ?? runnable[0]?.name ?? "", // the variant that is to be fooled
    level: "", // the size of the change that fools it, in grey levels; "": the smallest
    compare: "", // <label>-<label>, in the evidence
    actual: "", // labels that filter the mistakes
    predicted: "",
    logisticVariant: "", // the first one
    costsVariant: "", // the first one
    lenet5Variant: "", // the first one
    epoch: "", // after which LeNet-5's kernels are shown; "": the last one
    penaltySubset: "", // the first one
    penalty: "", // a C of its path; "": the middle one
    costs: "1 1", // of an error of each kind
    certainty: "0.9", // one of the levels from which a variant answers
    unsureVariant: variants.findLast(({ sureness }) => sureness)?.name ?? "",
    drawing: "", // what is put on the drawing area: noise-<seed> or image-<number>
    // Of each group, whose thresholds are shown, and the cell under them.
    ...Object.fromEntries([...groups, ...thresholds]),
  };
}

const START = startState();

/** @param {string} text */
const areCosts = (text) => /^\S+ \S+$/.test(text)
  && text.split(" ").map(Number).every((cost) => cost >= 0 && cost <= 1e6);

/** @param {string} value */
const isPair = (value) => /^(\d+-\d+)?$/.test(value);

/**
 * Whether a value from an address is one that the page could have written, for the keys for
 * which not all text is.
 *
 * @type {Record<string, (value: string) => boolean>}
 */
const VALID = {
  variant: (value) => variants.some(({ name }) => name === value),
  image: (value) => isIncluded(Number(value)) || (value === "drawing" && runnable.length > 0),
  panel: (value) => ["", "start", "end"].includes(value),
  fooled: (value) => runnable.some(({ name }) => name === value),
  level: (value) => /^\d{0,3}$/.test(value),
  epoch: (value) => /^\d{0,6}$/.test(value),
  penaltySubset: (value) => payload.paths.some(({ subset }) => subset === value),
  penalty: (value) => payload.paths.some(({ C }) => C.map(String).includes(value)),
  costs: areCosts,
  certainty: (value) => payload.levels.includes(Number(value)) && value !== "",
  cell: isPair,
  compare: isPair,
  ...Object.fromEntries(THRESHOLD_GROUPS.flatMap(({ name, variants: group }) => [
    [`${name}Variant`, (value) => group.some((variant) => variant.name === value)],
    [`${name}Cell`, isPair],
  ])),
  ...Object.fromEntries(thresholdVariants.map((variant) =>
    [thresholdsKey(variant), (value) => areThresholds(variant, value)])),
};

/**
 * @param {Variant} variant
 * @param {string} text
 * @returns {boolean} whether the text is thresholds, as many as the variant has, ascending
 */
function areThresholds(variant, text) {
  const thresholds = text.split(" ").map(Number);
  return thresholds.length === variant.thresholds.length
    && thresholds.every(Number.isFinite)
    && thresholds.every((threshold, i) => i === 0 || thresholds[i - 1] <= threshold);
}

/** @returns {State} of the address's fragment; what is missing or wrong is as at the start */
function stateFromAddress() {
  const text = location.hash.slice(1);
  if (!text.includes("=")) return { ...START, section: text };
  const found = new URLSearchParams(text);
  const read = Object.fromEntries(Object.entries(START).map(([key, start]) => {
    const value = found.get(key);
    return [key, value !== null && (VALID[key]?.(value) ?? true) ? value : start];
  }));
  for (const key of ["actual", "predicted"]) {
    if (!variantOf(read.variant).classes.includes(Number(read[key]))) read[key] = "";
  }
  return read;
}

// The state of each entry of the history that this page wrote.
const WRITTEN = "written";

let state = stateFromAddress();
/** @type {{ keys: string[], show: (state: State) => void }[]} */
const listeners = [];
/** @type {number | undefined} */
let addressTimer;

/**
 * Call `show` now, and again whenever one of these keys changes.
 *
 * @param {string[]} keys
 * @param {(state: State) => void} show
 */
function onChange(keys, show) {
  listeners.push({ keys, show });
  show(state);
}

/**
 * @param {Record<string, string>} changes
 * @param {boolean} [isStep] whether the browser's Back undoes the change
 */
function setState(changes, isStep = false) {
  const before = state;
  state = { ...state, ...changes };
  const changed = Object.keys(state).filter((key) => state[key] !== before[key]);
  for (const { keys, show } of listeners) {
    if (keys.some((key) => changed.includes(key))) show(state);
  }
  if (isStep && changed.length) {
    writeAddress(before); // what waited to be written
    writeAddress(state, true);
    return;
  }
  clearTimeout(addressTimer); // browsers refuse many changes of the address in a row
  addressTimer = setTimeout(() => {
    if (history.state === WRITTEN) writeAddress(state); // else the reader just typed one
  }, 150);
}

/**
 * The changes with which another variant is shown: what it does not have is chosen no more.
 *
 * @param {string} name
 */
function changesTo(name) {
  const { classes } = variantOf(name);
  /** @param {string} label */
  const kept = (label) => (classes.includes(Number(label)) ? label : "");
  return { variant: name, cell: "", compare: "", actual: kept(state.actual),
    predicted: kept(state.predicted) };
}

/** @param {Record<string, string>} changes that Back undoes: links, and choices of what is shown */
const takeStep = (changes) => setState(changes, true);

/**
 * @param {State} shown
 * @param {boolean} [isStep] whether it becomes an entry of the browser's history
 */
function writeAddress(shown, isStep = false) {
  clearTimeout(addressTimer);
  const chosen = Object.entries(shown).filter(([key, value]) => value !== START[key]);
  const text = new URLSearchParams(chosen).toString();
  const address = text ? `#${text}` : location.pathname + location.search;
  if (isStep) history.pushState(WRITTEN, "", address);
  else history.replaceState(WRITTEN, "", address);
}

/** @param {Variant} variant one with thresholds */
const thresholdsOf = (variant) => state[thresholdsKey(variant)].split(" ").map(Number);

/** @typedef {[actual: number, predicted: number]} Cell of a confusion matrix: class indices */

/**
 * @param {Variant} variant
 * @param {string} name `<label>-<label>`
 * @returns {Cell | undefined} undefined if the variant has no such cell
 */
function cellOf(variant, name) {
  if (!name) return undefined;
  const [first, second] = name.split("-").map((label) => variant.classes.indexOf(Number(label)));
  return first < 0 || second < 0 ? undefined : [first, second];
}
