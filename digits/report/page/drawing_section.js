// A drawing area. What is on it is brought to the data's form, and the variants answer.

/** A generator of numbers from 0 to 1 (mulberry32), the same for the same seed. */
function random(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const canvas = byId("canvas");
const IDLE = noun === "digit" ? "draw a digit" : "draw something";
const MOST_ROWS = 10; // of more classes the likeliest are listed
const SIDE = 280; // of the drawing area, in its own pixels
const PEN = 22; // as wide as MNIST's strokes, next to its digits
canvas.width = Math.round((SIDE * width) / Math.max(width, height));
canvas.height = Math.round((SIDE * height) / Math.max(width, height));
const ink = canvas.getContext("2d", { willReadFrequently: true });
ink.lineWidth = PEN;
ink.lineCap = "round";
ink.lineJoin = "round";

/** What the models see now, as grey values; null while there is nothing. */
let seen = null;
let speaking;

function look(pixels, caption) {
  seen = pixels;
  byId("seen").replaceChildren(inkPicture(pixels ?? new Uint8Array(height * width)));
  byId("seen-caption").textContent = caption;
  answer();
}

function lookAtDrawing() {
  const { data } = ink.getImageData(0, 0, canvas.width, canvas.height);
  const grey = new Uint8Array(data.length / 4).map((_, i) => data[4 * i + 3]);
  look(normalForm(grey, canvas.height, canvas.width), `As the models see it, ${width}\u00a0×\u00a0${height}.`);
}

function wipe() {
  ink.clearRect(0, 0, canvas.width, canvas.height);
}

/** Put an image of the data's own size on the drawing area; models take it as it is. */
function put(pixels, caption) {
  wipe();
  ink.imageSmoothingEnabled = false;
  ink.drawImage(inkPicture(pixels), 0, 0, canvas.width, canvas.height);
  look(pixels, caption);
}

function noise(seed) {
  const next = random(seed);
  return new Uint8Array(height * width).map(() => 256 * next());
}

const answers = asked.map((variant) => {
  const verdict = element("strong", { className: "verdict" }, "–");
  const sure = element("span", { className: "sure" }, IDLE);
  const many = variant.decision !== "threshold";
  const hidden = variant.decision === "largest"; // no probability follows
  const rows = many ? variant.names.slice(0, MOST_ROWS).map((name) => ({
    head: element("th", { scope: "row", title: name }, name),
    bar: element("span", { className: "bar" }),
    value: element("td", { className: "number", hidden }, "–"),
    score: element("td", { className: "number" }, "–"),
  })) : [];
  const table = element("table", { hidden: !many },
    element("caption", { className: "hidden" }, `Answers of ${variant.name}`),
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, element("span", { className: "hidden" }, capital(noun))),
      element("td", {}), element("th", { scope: "col", className: "number", hidden }, "sure"),
      element("th", { scope: "col", className: "number" }, variant.decision === "sigmoid" ? "log-odds" : "score"))),
    element("tbody", {}, ...rows.map((row) => element("tr", {},
      row.head, element("td", { className: "track" }, row.bar), row.value, row.score))));
  const pin = element("span", { className: "pin" });
  const stretch = element("div", { className: "stretch", hidden: many, ariaHidden: "true" },
    ...variant.names.map((name) => element("span", { title: name }, variant.names.length > MOST_ROWS ? "" : name)), pin);
  const card = element("article", { className: "answer" },
    element("header", {}, element("h3", {}, variant.name), verdict), sure, table, stretch);
  return { variant, card, verdict, sure, rows, pin };
});
byId("answers").append(...answers.map(({ card }) => card));

/** Where a score lies on a stretch with one cell for each class, from 0 to 1. */
function along(score, cuts) {
  const index = cut(score, cuts);
  const first = cuts[0] - 1;
  const bounds = [first, ...cuts, cuts.at(-1) + 1];
  const share = (score - bounds[index]) / (bounds[index + 1] - bounds[index]);
  return (index + Math.min(Math.max(share, 0.04), 0.96)) / (cuts.length + 1);
}

function answer() {
  for (const { variant, card, verdict, sure, rows, pin } of answers) {
    card.classList.toggle("empty", !seen);
    if (!seen) {
      verdict.textContent = "–";
      sure.textContent = IDLE;
      for (const row of rows) row.value.textContent = row.score.textContent = "–";
      for (const row of rows) row.bar.style.setProperty("--share", 0);
      continue;
    }
    const scores = scoresOf(variant, seen);
    const index = decide(variant, scores);
    const probabilities = probabilitiesOf(variant, scores);
    verdict.textContent = variant.names[index];
    sure.textContent = probabilities
      ? `${percent(probabilities[index], 1)} sure` : `score ${signed(scores.length > 1 ? scores[index] : scores[0])}`;
    const values = probabilities ?? scores;
    const order = variant.digits.map((_, i) => i);
    if (order.length > rows.length) order.sort((a, b) => values[b] - values[a]);
    rows.forEach((row, place) => {
      const i = order[place];
      row.head.textContent = row.head.title = variant.names[i];
      // Scores that are no probabilities were fitted to 1 for the right class, else 0.
      const share = probabilities ? probabilities[i] : Math.min(Math.max(scores[i], 0), 1);
      row.bar.style.setProperty("--share", share.toFixed(4));
      row.bar.parentElement.parentElement.classList.toggle("chosen", i === index);
      if (probabilities) row.value.textContent = percent(probabilities[i], 1);
      const score = variant.decision === "sigmoid" ? (i ? scores[0] : -scores[0]) : scores[i];
      row.score.textContent = signed(score, 1);
    });
    if (variant.decision === "threshold") pin.style.setProperty("--share", along(scores[0], variant.cuts).toFixed(4));
  }
  clearTimeout(speaking);
  speaking = setTimeout(() => {
    byId("verdicts").textContent = seen
      ? answers.map(({ variant, verdict }) => `${variant.name} says ${verdict.textContent}`).join(", ") : "";
  }, 600);
}

// A pointer draws as long as it is down.
let last = null;

function stroke(from, to) {
  ink.beginPath();
  ink.moveTo(...from);
  ink.lineTo(...to);
  ink.stroke();
}

function pointOf(event) {
  const box = canvas.getBoundingClientRect();
  return [
    ((event.clientX - box.left) / box.width) * canvas.width,
    ((event.clientY - box.top) / box.height) * canvas.height,
  ];
}

function startDrawing() {
  if (state.given) {
    wipe();
    choose({ given: "" });
  }
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  startDrawing();
  last = pointOf(event);
  stroke(last, last);
  lookAtDrawing();
});
canvas.addEventListener("pointermove", (event) => {
  if (!last) return;
  for (const move of event.getCoalescedEvents?.() ?? [event]) {
    const to = pointOf(move);
    stroke(last, to);
    last = to;
  }
  lookAtDrawing();
});
for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, () => { last = null; });
}

// The same by keyboard: a cursor that arrow keys move, and that Space lets draw.
const cursor = byId("cursor");
let at = [canvas.width / 2, canvas.height / 2];
let penDown = false;

function showCursor() {
  cursor.hidden = !canvas.matches(":focus-visible"); // a pointer needs no cursor
  cursor.style.left = percent(at[0] / canvas.width);
  cursor.style.top = percent(at[1] / canvas.height);
  cursor.classList.toggle("down", penDown);
}

canvas.addEventListener("keydown", (event) => {
  const side = event.shiftKey ? 30 : 10;
  const move = { ArrowLeft: [-side, 0], ArrowRight: [side, 0], ArrowUp: [0, -side], ArrowDown: [0, side] }[event.key];
  if (move) {
    const to = [canvas.width, canvas.height].map((most, i) => Math.min(Math.max(at[i] + move[i], 0), most));
    if (penDown) stroke(at, to);
    at = to;
    if (penDown) lookAtDrawing();
  } else if (event.key === " ") {
    penDown = !penDown;
    if (penDown) {
      startDrawing();
      stroke(at, at);
      lookAtDrawing();
    }
  } else if (event.key === "Delete" || event.key === "Backspace") byId("clear").click();
  else return;
  event.preventDefault();
  showCursor();
});
for (const name of ["focus", "blur"]) canvas.addEventListener(name, () => { penDown = false; showCursor(); });
canvas.addEventListener("pointerdown", () => { cursor.hidden = true; });

byId("clear").addEventListener("click", () => {
  choose({ given: "" });
  wipe();
  lookAtDrawing();
});
let seed = 0;
byId("noise").addEventListener("click", () => {
  seed += 1;
  choose({ given: `noise-${seed}`, at: "draw" });
});
byId("give").addEventListener("click", () => {
  choose({ given: `image-${kept[Math.floor(Math.random() * kept.length)]}`, at: "draw" });
});

whenChanged(["given"], ({ given }) => {
  const [kind, text] = given.split("-");
  const number = Number(text);
  if (kind === "noise" && Number.isInteger(number)) {
    seed = number;
    put(noise(number), "Noise: each pixel is any grey value.");
  } else if (kind === "image" && placeOfImage.has(number)) {
    put(pixelsOf(number), `Test image ${number}, ${oneOf(labels[number])}.`);
  }
});
if (!seen) lookAtDrawing();
