// Of each variant: the matrix of differences, and the images with another prediction.

/**
 * Written by `content` in digits/report/comparison.py. The older revision is A, the newer B.
 *
 * @typedef {object} Difference
 * @property {string} name of the variant
 * @property {string[]} classes the names
 * @property {number[][]} before the confusion matrix of A
 * @property {number[][]} after that of B
 * @property {boolean} is_paired whether it is known which images have another prediction
 * @property {boolean} has_images whether the number of an image is that in the test split
 */

/** @typedef {[image: number, actual: number, before: number, after: number]} Flip */

const FIRST_FLIPS = 60; // of a group that are drawn before the reader asks for all

/**
 * @param {string} name of a variant
 * @returns {Flip[]} the images with another prediction, and the indices of their classes
 */
function flipsOf(name) {
  const values = typedArray(`${name}/flips`);
  return Array.from({ length: values.length / 4 }, (_, i) =>
    /** @type {Flip} */ (Array.from(values.subarray(4 * i, 4 * i + 4))));
}

/**
 * @param {Difference} difference
 * @param {Flip} flip
 * @returns {HTMLLIElement} an image, if it is on this page, with its two predictions
 */
function flipItem({ classes }, [image, actual, before, after]) {
  const names = classes.map(isolated);
  const aside = actual !== before && actual !== after ? `, is ${names[actual]}` : "";
  return element("li", { className: "image" },
    ...(isIncluded(image) ? [thumbnail(pixelsOf(image))] : []),
    element("span", {}, `${names[before]} → ${names[after]}${aside}`),
    element("span", { className: "of" }, element("span", { className: "hidden" }, "test image "), String(image)));
}

/**
 * @param {Difference} difference
 * @param {string} title
 * @param {Flip[]} flips
 * @returns {Node[]} the title, the first of the images, and a button that shows all
 */
function flipGroup(difference, title, flips) {
  if (!flips.length) return [];
  const items = (/** @type {Flip[]} */ some) => some.map((flip) => flipItem(difference, flip));
  const list = element("ul", { className: "images" }, ...items(flips.slice(0, FIRST_FLIPS)));
  const more = element("button", { type: "button" }, `Show all ${formatCount(flips.length)}`);
  more.addEventListener("click", () => {
    list.append(...items(flips.slice(FIRST_FLIPS)));
    more.parentElement?.remove();
  });
  return [
    element("h4", {}, `${title}: ${plural(flips.length, "image")}`), list,
    ...(flips.length > FIRST_FLIPS ? [element("div", { className: "controls" }, more)] : []),
  ];
}

/**
 * @param {Flip[]} flips
 * @param {[actual: number, predicted: number] | null} cell only its images; null: all
 * @returns {[title: string, flips: Flip[]][]}
 */
function flipGroups(flips, cell) {
  if (cell) {
    const [actual, predicted] = cell;
    const inRow = flips.filter((flip) => flip[1] === actual);
    return [
      ["In this cell only in B", inRow.filter((flip) => flip[3] === predicted)],
      ["In this cell only in A", inRow.filter((flip) => flip[2] === predicted)],
    ];
  }
  return [
    ["Only A correct", flips.filter(([, actual, before]) => before === actual)],
    ["Only B correct", flips.filter(([, actual, , after]) => after === actual)],
    ["Both wrong, but differently", flips.filter(([, actual, before, after]) =>
      before !== actual && after !== actual)],
  ];
}

/**
 * @param {HTMLElement} section
 * @param {Difference} difference
 */
function showDifference(section, difference) {
  const { name, classes, before, after } = difference;
  const names = classes.map(isolated);
  const [matrix, title, images] = [".differences", ".cell-title", ".flips"].map((selector) =>
    /** @type {HTMLElement} */ (section.querySelector(selector)));
  const flips = flipsOf(name);
  /** @param {number} i @param {number} j */
  const changeOf = (i, j) => after[i][j] - before[i][j];
  const largest = Math.max(1, ...after.flatMap((row, i) => row.map((_, j) => Math.abs(changeOf(i, j)))));
  let chosen = "";

  /** @param {string} cell */
  function choose(cell) {
    chosen = cell === chosen ? "" : cell;
    showMatrix((i, j) => {
      const change = changeOf(i, j);
      return {
        text: signed(change, 0, "+"),
        label: `${formatCount(before[i][j])} in A, ${formatCount(after[i][j])} in B, ${signed(change, 0, "+")}`,
        share: (0.7 * Math.abs(change)) / largest, // so that the text keeps its contrast
        correct: i === j ? change >= 0 : change <= 0,
        none: change === 0,
      };
    }, chosen);
    const place = /** @type {[number, number] | null} */ (chosen ? chosen.split("-").map(Number) : null);
    title.textContent = place
      ? `Actual ${names[place[0]]}, predicted ${names[place[1]]}: ${
        formatCount(before[place[0]][place[1]])} in A, ${formatCount(after[place[0]][place[1]])} in B`
      : difference.is_paired ? "All images with another prediction" : "";
    title.hidden = !title.textContent;
    images.replaceChildren(...flipGroups(flips, place).flatMap(([heading, group]) =>
      flipGroup(difference, heading, group)));
  }
  const showMatrix = cellMatrix(matrix, names, classes.map((_, i) => i),
    `Confusion matrix of ${name}: B minus A`, choose);
  choose("");
}

/** @type {Difference[]} */
const differences = JSON.parse(dataText("differences"));
for (const section of document.querySelectorAll("section[data-variant]")) {
  if (!(section instanceof HTMLElement)) continue;
  fillLater(section.id, () => showDifference(section, differences[Number(section.dataset.variant)]));
}
layOutAll(); // the browser itself follows this page's links
if (location.hash) goTo(location.hash.slice(1), "instant");
setTimeout(fillNext);
