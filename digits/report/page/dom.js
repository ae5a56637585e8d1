// Elements of the page, and how numbers are written.

/**
 * The element with this id; an error if there is none of this type.
 *
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @param {new () => T} [type]
 * @returns {T}
 */
function byId(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof (type ?? HTMLElement))) throw new Error(`no element #${id} of this type`);
  return /** @type {T} */ (found);
}

/**
 * A new element with properties, attributes ("aria-label", "data-x") and children.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") made.setAttribute(name, String(value));
    else Object.assign(made, { [name]: value });
  }
  made.append(...children);
  return made;
}

/**
 * A new SVG element with attributes and children.
 *
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | number>} [attributes]
 * @param {...(Node | string)} children
 * @returns {SVGElementTagNameMap[K]}
 */
function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

/**
 * @param {Event} event
 * @returns {HTMLButtonElement | null} the button that was clicked
 */
const clickedButton = ({ target }) =>
  (target instanceof Element ? target.closest("button") : null);

/**
 * @param {HTMLSelectElement} select
 * @param {[value: string | number, text: string][]} entries
 */
function setOptions(select, entries) {
  select.replaceChildren(...entries.map(([value, text]) => element("option", { value }, text)));
}

const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/;

/**
 * A text that, if it is written from right to left, does not reorder the text around it.
 *
 * @param {string} text
 */
const isolated = (text) => (RIGHT_TO_LEFT.test(text) ? `\u2068${text}\u2069` : text);

/** @type {(count: number) => string} */
const formatCount = new Intl.NumberFormat("en").format;

/**
 * @param {number} count
 * @param {string} word in the singular
 */
const plural = (count, word) => `${formatCount(count)} ${word}${count === 1 ? "" : "s"}`;

/**
 * Rounded, but to 100% only if it is 1.
 *
 * @param {number} share from 0 to 1
 * @param {number} [places]
 */
const percent = (share, places = 2) =>
  `${Math.min(100 * share, share < 1 ? 100 - 10 ** -places : 100).toFixed(places)}%`;

/**
 * A probability that a model gives: it is never 0 or 1, so it is not rounded to them.
 *
 * @param {number} probability
 */
function percentOfModel(probability) {
  if (probability < 0.0005) return "<0.1%";
  return probability < 0.9995 ? percent(probability, 1) : ">99.9%";
}

/**
 * A number with a true minus sign.
 *
 * @param {number} value
 * @param {number} [places]
 * @param {"" | "+"} [plus] what a positive number begins with
 */
function signed(value, places = 2, plus = "") {
  const text = Math.abs(value).toFixed(places);
  if (Number(text) === 0) return text;
  return (value < 0 ? "−" : plus) + text;
}

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/**
 * Make many buttons one tab stop: arrow keys, Home and End move among them (a "roving
 * tabindex").
 *
 * @param {HTMLElement} container
 * @param {() => number} columns how many buttons there are in a row
 * @returns {() => void} to be called when the buttons have changed
 */
function rovingTabindex(container, columns) {
  const all = () => [...container.querySelectorAll("button")];
  /** @param {Element | undefined} stop */
  const setStop = (stop) => {
    for (const button of all()) button.tabIndex = button === stop ? 0 : -1;
  };
  container.addEventListener("focusin", ({ target }) => {
    if (target instanceof HTMLButtonElement) setStop(target);
  });
  container.addEventListener("keydown", (event) => {
    const buttons = all();
    const at = buttons.findIndex((button) => button === document.activeElement);
    const last = buttons.length - 1;
    /** @type {Record<string, number>} */
    const targets = {
      ArrowRight: at + 1,
      ArrowLeft: at - 1,
      ArrowDown: at + columns(),
      ArrowUp: at - columns(),
      Home: 0,
      End: last,
    };
    if (at < 0 || !(event.key in targets)) return;
    event.preventDefault();
    buttons[clamp(targets[event.key], 0, last)].focus();
  });
  return () => setStop(all().find((button) => button.ariaPressed === "true") ?? all()[0]);
}

/**
 * Call `draw` when the theme changes and, given an element, when its width does.
 *
 * @param {() => void} draw
 * @param {HTMLElement} [sized]
 */
function onRedraw(draw, sized) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  if (!sized) return;
  let before = sized.clientWidth;
  new ResizeObserver(() => {
    if (sized.clientWidth !== before) {
      before = sized.clientWidth;
      draw();
    }
  }).observe(sized);
}

/** Give all sections their size: see the style sheet. */
function layOutAll() {
  document.documentElement.dataset.whole = "";
}

// A page that is loaded again shows the place where the reader was. The browser would scroll
// there before the sections have their size.
const PLACE = `place in ${location.pathname}`;
const [visit] = performance.getEntriesByType("navigation");
const isReturn = visit instanceof PerformanceNavigationTiming && visit.type !== "navigate";
if (isReturn) layOutAll();
addEventListener("pagehide", () => {
  sessionStorage.setItem(PLACE, String(scrollY)); // fails where a page may store nothing
  history.scrollRestoration = "manual"; // when it is loaded again
});
addEventListener("pageshow", (event) => {
  if (event.persisted) history.scrollRestoration = "auto"; // it was kept, not loaded
});

/**
 * Functions that fill sections further down, once the first section is there.
 *
 * @type {(() => void)[]}
 */
const waiting = [];
const FILL = 100; // ms after which the page is drawn before more sections are filled

/**
 * @param {string} id of a section, which may not be on the page
 * @param {() => void} fill
 */
function fillLater(id, fill) {
  if (document.getElementById(id)) waiting.push(fill);
}

/** @param {number} end the time, in ms, after which no section is begun */
function fillUntil(end) {
  while (waiting.length && performance.now() < end) waiting.shift()?.();
}

function fillNext() {
  fillUntil(isReturn ? Infinity : performance.now() + FILL);
  if (waiting.length) {
    setTimeout(fillNext);
    return;
  }
  document.documentElement.dataset.ready = "";
  const place = isReturn && sessionStorage.getItem(PLACE);
  if (place) scrollTo({ top: Number(place), behavior: "instant" });
  history.scrollRestoration = "auto"; // within the page
}

/**
 * Functions that finish slow work at once.
 *
 * @type {(() => void)[]}
 */
const finishWork = [];

/** Fill all sections, also with what is usually done later. */
function fillAll() {
  fillUntil(Infinity);
  for (const finish of finishWork) finish();
}

addEventListener("beforeprint", fillAll);

/**
 * Scroll to a section, and move the focus to its heading for screen readers.
 *
 * @param {string} id
 * @param {ScrollBehavior} [behavior]
 */
function goTo(id, behavior = "auto") {
  const section = document.getElementById(id);
  if (!section?.matches("section")) return;
  fillAll(); // or those above would move the section
  layOutAll();
  section.scrollIntoView({ behavior });
  section.querySelector("h2")?.focus({ preventScroll: true });
}
