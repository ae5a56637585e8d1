// Elements, and how numbers are written.

const byId = (id) => document.getElementById(id);

/** An element with properties, attributes ("aria-label", "data-x") and children. */
function element(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function filled(made, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

function options(select, entries) {
  select.replaceChildren(...entries.map(([value, text]) => element("option", { value }, text)));
}

const formatCount = new Intl.NumberFormat("en").format;
const plural = (count, word) => `${formatCount(count)} ${word}${count === 1 ? "" : "s"}`;
const percent = (share, places = 2) => `${(100 * share).toFixed(places)}%`;

/** A number with a true minus sign. */
function signed(value, places = 2, plus = false) {
  const text = Math.abs(value).toFixed(places);
  if (Number(text) === 0) return text;
  return (value < 0 ? "−" : plus ? "+" : "") + text;
}

/** One tab stop for many buttons: arrow keys, Home and End move among them. */
function roving(container, selector, columns) {
  const all = () => [...container.querySelectorAll(selector)];
  const mark = (chosen) => {
    for (const button of all()) button.tabIndex = button === chosen ? 0 : -1;
  };
  container.addEventListener("focusin", (event) => {
    if (event.target.matches(selector)) mark(event.target);
  });
  container.addEventListener("keydown", (event) => {
    const buttons = all();
    const at = buttons.indexOf(document.activeElement);
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(), ArrowUp: -columns() }[event.key];
    const to = event.key === "Home" ? 0 : event.key === "End" ? buttons.length - 1 : at + step;
    if (at < 0 || Number.isNaN(to)) return;
    event.preventDefault();
    buttons[Math.min(Math.max(to, 0), buttons.length - 1)].focus();
  });
  return () => mark(all().find((button) => button.ariaPressed === "true") ?? all()[0]);
}

/** Redraw when the theme changes or, given an element, when its width does. */
function whenRedrawn(draw, sized) {
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

/** Sections further down are filled once the first ones are there, one at a time. */
const waiting = [];

function whenIdle(id, start) {
  if (byId(id)) waiting.push(start);
}

function fillNext() {
  waiting.shift()?.();
  if (waiting.length) setTimeout(fillNext);
  else document.documentElement.dataset.ready = "";
}

function fillAll() {
  while (waiting.length) waiting.shift()();
}

/** Go to a section and let a screen reader read on from there. */
function goTo(id) {
  const section = byId(id);
  if (!section?.matches("section")) return;
  fillAll(); // or the section would be moved by those above it
  section.scrollIntoView();
  section.querySelector("h2").focus({ preventScroll: true });
}
