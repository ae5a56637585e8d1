// Least squares: the scores of each class's images, and thresholds that can be moved.

const STEP = 0.01;
const toStep = (value) => Number((Math.round(value / STEP) * STEP).toFixed(2));

/** A variant's scores by class, sorted, and the stretch that the picture shows. */
function spreadOf(line) {
  const sorted = Float64Array.from(line.testScores).sort();
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  const cuts = line.cuts;
  const low = Math.floor(2 * Math.min(at(0.005), cuts[0], 0)) / 2;
  const high = Math.ceil(2 * Math.max(at(0.995), cuts.at(-1), line.digits.length - 1)) / 2;
  const bins = 150;
  const hills = line.digits.map(() => new Array(bins).fill(0));
  line.testScores.forEach((score, row) => {
    const bin = Math.floor(((score - low) / (high - low)) * bins);
    hills[line.actual[row]][Math.min(Math.max(bin, 0), bins - 1)] += 1;
  });
  const shares = hills.map((hill, i) => {
    const total = Math.max(hill.reduce((a, b) => a + b), 1);
    return hill.map((count) => count / total);
  });
  // The outermost columns hold all that lies beyond; they must not flatten the rest.
  const highest = Math.max(...shares.flatMap((hill) => hill.slice(1, -1)));
  // The slider of two classes goes from 0 to 1, the labels.
  const span = line.digits.length === 2
    ? [Math.min(0, Math.floor(cuts[0])), Math.max(1, Math.ceil(cuts[0]))] : [low, high];
  return { low, high, span, shares, highest };
}

function ticks(low, high, most) {
  const step = [0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 20, 50].find((s) => (high - low) / s <= most) ?? 100;
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

whenIdle("thresholds", () => {
  const select = byId("line-variant");
  const chart = byId("ridges");
  let line;
  let spread;
  let show;
  let moveRidges = () => {};
  let moveSweep = () => {};

  function setCuts(cuts) {
    choose({ [`cuts.${line.name}`]: cuts.join(" "), at: "thresholds" });
  }

  /** Move one cut, not past its neighbours. */
  function setCut(index, value) {
    const cuts = cutsOf(line);
    const low = cuts[index - 1] ?? -Infinity;
    const high = cuts[index + 1] ?? Infinity;
    cuts[index] = Math.min(Math.max(toStep(value), low), high);
    setCuts(cuts);
  }

  function drawRidges() {
    const { low, high, shares, highest } = spread;
    const n = shares.length;
    const row = n === 2 ? 92 : n > FEW ? 20 : 40;
    const shown = line.names.map((name) => (name.length > 18 ? `${name.slice(0, 17)}…` : name));
    const letters = Math.max(...shown.map((name) => name.length));
    const [left, top, wide] = [letters > 1 ? 16 + 8 * letters : 26, 26, Math.max(chart.clientWidth, 240)];
    const right = wide - 10;
    const bottom = top + n * row;
    const x = (score) => left + ((score - low) / (high - low)) * (right - left);
    const hill = (values, base) => {
      const side = (right - left) / values.length;
      const tall = (value) => (base - Math.min(value / highest, 1) * (row - 8)).toFixed(1);
      return `M${left} ${base}${values.map((value, i) =>
        `V${tall(value)}H${(left + (i + 1) * side).toFixed(1)}`).join("")}V${base}z`;
    };
    const clips = line.digits.map((_, i) =>
      svg("rect", { y: top + i * row, height: row + 1 }));
    const parts = shown.flatMap((name, i) => {
      const base = top + (i + 1) * row;
      const path = hill(shares[i], base);
      return [
        svg("clipPath", { id: `clip-${i}` }, clips[i]),
        svg("path", { class: "hill wrong", d: path }),
        svg("path", { class: "hill right", d: path, "clip-path": `url(#clip-${i})` }),
        svg("line", { class: "grid", x1: left, x2: right, y1: base, y2: base }),
        svg("text", { class: "digit-label", x: left - 8, y: base - 6, "text-anchor": "end" }, name),
      ];
    });
    const axis = ticks(low, high, wide / 60).flatMap((tick) => [
      svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: bottom, y2: bottom + 5 }),
      svg("text", { class: "tick", x: x(tick), y: bottom + 19, "text-anchor": "middle" },
        signed(tick, Number.isInteger(tick) ? 0 : 1)),
    ]);
    const marks = line.cuts.map((_, index) => {
      const mark = svg("g", { class: "cut" },
        svg("line", { class: "cut-line", y1: top - 6, y2: bottom }),
        svg("line", { class: "cut-grip", y1: 0, y2: bottom }),
        svg("circle", { cy: top - 12, r: 7 }));
      mark.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        mark.setPointerCapture(event.pointerId);
      });
      mark.addEventListener("pointermove", (event) => {
        if (!mark.hasPointerCapture(event.pointerId)) return;
        const at = event.clientX - chart.getBoundingClientRect().left;
        const score = low + ((at - left) / (right - left)) * (high - low);
        setCut(index, Math.min(Math.max(score, spread.span[0]), spread.span[1]));
      });
      return mark;
    });
    chart.replaceChildren(svg("svg", { width: wide, height: bottom + 42, role: "img",
      "aria-label": `Scores of ${line.name} for each ${noun}, with its thresholds` },
    ...parts, ...axis,
    svg("text", { class: "axis", x: (left + right) / 2, y: bottom + 38, "text-anchor": "middle" }, "score"),
    ...marks));
    moveRidges = (cuts) => {
      const inside = (value) => Math.min(Math.max(x(value), left), right);
      const bounds = [left, ...cuts.map(inside), right];
      clips.forEach((clip, i) => {
        clip.setAttribute("x", bounds[i]);
        clip.setAttribute("width", Math.max(bounds[i + 1] - bounds[i], 0));
      });
      marks.forEach((mark, i) => mark.setAttribute("transform", `translate(${inside(cuts[i])} 0)`));
    };
  }

  /** For two classes: accuracy at each threshold of the slider. */
  function drawSweep() {
    const container = byId("sweep");
    container.replaceChildren();
    moveSweep = () => {};
    if (line.digits.length !== 2) return;
    const [from, to] = spread.span;
    const accuracy = (value) => {
      let right = 0;
      line.testScores.forEach((score, i) => { right += Number(Number(score > value) === line.actual[i]); });
      return right / line.actual.length;
    };
    const points = Array.from({ length: 101 }, (_, i) => from + (i * (to - from)) / 100)
      .map((value) => [value, accuracy(value)]);
    const least = Math.floor(20 * Math.min(...points.map(([, share]) => share))) / 20;
    const [left, top, wide, high] = [58, 16, Math.max(container.clientWidth, 240), 190];
    const [right, bottom] = [wide - 14, high - 38];
    const x = (value) => left + ((value - from) / (to - from)) * (right - left);
    const y = (share) => bottom - ((share - least) / (1 - least)) * (bottom - top);
    const dot = svg("circle", { class: "dot", r: 6 });
    const grid = [least, (1 + least) / 2, 1].flatMap((share) => [
      svg("line", { class: "grid", x1: left, x2: right, y1: y(share), y2: y(share) }),
      svg("text", { class: "tick", x: left - 8, y: y(share), dy: "0.35em", "text-anchor": "end" },
        percent(share, 1)),
    ]);
    const below = ticks(from, to, 6).map((tick) => svg("text",
      { class: "tick", x: x(tick), y: bottom + 17, "text-anchor": "middle" }, signed(tick, 1)));
    container.replaceChildren(svg("svg", { width: wide, height: high, role: "img",
      "aria-label": `Accuracy of ${line.name} at each threshold` }, ...grid, ...below,
    svg("polyline", { class: "curve", points: points.map(([v, s]) => `${x(v)},${y(s)}`).join(" ") }),
    svg("text", { class: "axis", x: (left + right) / 2, y: high - 4, "text-anchor": "middle" },
      "accuracy at each threshold"), dot));
    moveSweep = ([value]) => {
      dot.setAttribute("cx", x(Math.min(Math.max(value, from), to)));
      dot.setAttribute("cy", y(accuracy(value)));
    };
  }

  function makeSliders() {
    byId("cuts").replaceChildren(...line.names.slice(1).map((name, index) => {
      const input = element("input", { type: "range", id: `cut-${index}`, step: STEP,
        min: spread.span[0], max: spread.span[1] });
      input.addEventListener("input", () => setCut(index, input.valueAsNumber));
      return element("div", {},
        element("label", { htmlFor: input.id }, `${line.names[index]} below, ${name} above`),
        input, element("output", { htmlFor: input.id }));
    }));
    byId("cuts").classList.toggle("single", line.names.length === 2);
  }

  function perDigit(report) {
    const cell = (value) => element("td", { className: "number" }, value);
    byId("per-digit").replaceChildren(element("table", {},
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, capital(noun)),
        ...["Precision", "Recall", "Images"].map((name) =>
          element("th", { scope: "col", className: "number" }, name)))),
      element("tbody", {}, ...report.classes.map(({ precision, recall, support }, i) =>
        element("tr", {}, element("th", { scope: "row" }, line.names[i]),
          cell(precision.toFixed(4)), cell(recall.toFixed(4)), cell(formatCount(support)))))));
  }

  function drawAll() {
    drawRidges();
    drawSweep();
  }

  function redraw() {
    drawAll();
    const cuts = cutsOf(line);
    moveRidges(cuts);
    moveSweep(cuts);
  }

  select.addEventListener("change", () => choose({ line: select.value, linecell: "" }));
  byId("cuts-reset").addEventListener("click", () => setCuts(line.cuts));
  whenChanged(["line", "linecell", ...lines.map((other) => `cuts.${other.name}`)], (chosen) => {
    const next = variantOf(chosen.line);
    select.value = next.name;
    const fresh = line !== next;
    if (fresh) {
      line = next;
      spread = spreadOf(line);
      show = confusionMatrix(byId("line-matrix"), line,
        `Confusion matrix of ${line.name} at these thresholds`,
        (linecell) => choose({ linecell, at: "thresholds" }));
      makeSliders();
    }
    const cuts = cutsOf(line);
    const predicted = Uint8Array.from(line.testScores, (score) => cut(score, cuts));
    const counts = confusionOf(line, predicted);
    const report = reportOf(counts);
    cuts.forEach((value, index) => {
      const input = byId(`cut-${index}`);
      if (document.activeElement !== input || input.valueAsNumber !== toStep(value)) input.value = value;
      input.nextElementSibling.textContent = signed(value);
    });
    show(counts, chosen.linecell);
    perDigit(report);
    byId("cut-result").textContent = `Accuracy ${percent(report.right / report.total)}: `
      + `${plural(report.total - report.right, "error")} in ${plural(report.total, "image")}`;
    if (fresh) drawAll(); // only now is it known how much room there is
    moveRidges(cuts);
    moveSweep(cuts);
    const cell = cellOf(line, chosen.linecell);
    if (cell) showCell(line, predicted, cell, byId("line-cell-title"), byId("line-cell-images"));
    else {
      byId("line-cell-title").textContent = "";
      byId("line-cell-images").replaceChildren();
    }
  });
  whenRedrawn(redraw, chart);
  whenRedrawn(redraw, byId("sweep"));
});
