// What the reader chose. It is kept in the address's fragment, so that a view can be shared:
// #at=confusion&variant=multinomial&cell=4-9. What is as at the start is left out.

const shown = linear.at(-1) ?? variants.at(-1); // whose evidence is shown
const firstMistake = shown.images[shown.worst[0] ?? 0];
const lines = variants.filter((variant) => variant.decision === "threshold");

const START = {
  at: "", // a section
  variant: variants.at(-1).name, // in confusion, weights and mistakes
  cell: "", // actual-predicted, in the confusion matrix
  line: lines[0]?.name ?? "", // the variant whose thresholds are shown
  linecell: "", // actual-predicted, in the live confusion matrix
  image: String(firstMistake), // whose evidence is shown
  compare: "", // label-label
  actual: "", // filters of the mistakes
  predicted: "",
  given: "", // on the drawing area: noise-<seed> or image-<number>
  ...Object.fromEntries(lines.map((line) => [`cuts.${line.name}`, line.cuts.join(" ")])),
};

/** The known values of an address's fragment; what is missing is as at the start. */
function readFragment() {
  const text = location.hash.slice(1);
  if (!text.includes("=")) return { ...START, at: text };
  const found = new URLSearchParams(text);
  const chosen = Object.fromEntries(Object.keys(START).map((key) => [key, found.get(key) ?? START[key]]));
  return Object.fromEntries(Object.entries(chosen).map(([key, value]) =>
    [key, isValid(key, value) ? value : START[key]]));
}

function isValid(key, value) {
  if (key === "variant") return variants.some((variant) => variant.name === value);
  if (key === "line") return value === "" || lines.some((line) => line.name === value);
  if (key === "image") return placeOfImage.has(Number(value));
  if (key.startsWith("cuts.")) {
    const cuts = value.split(" ").map(Number);
    const line = lines.find((other) => key === `cuts.${other.name}`);
    return cuts.length === line.cuts.length && cuts.every(Number.isFinite)
      && cuts.every((value, i) => i === 0 || cuts[i - 1] <= value);
  }
  if (["cell", "linecell", "compare"].includes(key)) return /^(\d+-\d+)?$/.test(value);
  return true;
}

let state = readFragment();
const listeners = [];
let writing;

/** Call `show(state)` now and whenever one of `keys` changes. */
function whenChanged(keys, show) {
  listeners.push({ keys, show });
  show(state);
}

function choose(changes) {
  const before = state;
  state = { ...state, ...changes };
  const changed = Object.keys(state).filter((key) => state[key] !== before[key]);
  for (const { keys, show } of listeners) {
    if (keys.some((key) => changed.includes(key))) show(state);
  }
  clearTimeout(writing); // browsers refuse many changes of the address in a row
  writing = setTimeout(writeFragment, 150);
}

function writeFragment() {
  const chosen = Object.entries(state).filter(([key, value]) => value !== START[key]);
  const text = new URLSearchParams(chosen).toString();
  history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}

const cutsOf = (line) => state[`cuts.${line.name}`].split(" ").map(Number);

/** [actual, predicted] class indices of a cell's name, or undefined if there is none. */
function cellOf(variant, name) {
  if (!name) return undefined;
  const cell = name.split("-").map((digit) => variant.digits.indexOf(Number(digit)));
  return cell.includes(-1) ? undefined : cell;
}
