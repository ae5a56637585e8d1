// The data: how many images each class has, their average, and the first ones.

const SAMPLES = 8; // of each class

/**
 * @param {number[]} numbers of test images
 * @returns {Uint8Array} their average
 */
function averageImage(numbers) {
  const total = new Float64Array(height * width);
  for (const image of numbers) {
    const pixels = pixelsOf(image);
    for (let i = 0; i < pixels.length; i += 1) total[i] += pixels[i];
  }
  return Uint8Array.from(total, (value) => Math.round(value / Math.max(numbers.length, 1)));
}

/** @param {string} name @param {boolean} [isNumber] */
const dataHead = (name, isNumber = false) =>
  element("th", { scope: "col", className: isNumber ? "number" : "" }, name);

/**
 * @param {number} count
 * @param {number} most of all classes
 */
function countCell(count, most) {
  const bar = element("span", { className: "bar" });
  bar.style.setProperty("--share", (count / most).toFixed(4));
  return element("td", { className: "number" }, formatCount(count), bar);
}

fillLater("data", () => {
  const { names, train_counts: training } = payload.dataset;
  /** @type {number[][]} */
  const byClass = names.map(() => []);
  labels.forEach((label, image) => byClass[label].push(image));
  const most = Math.max(...byClass.map((images) => images.length), 1);
  const mostTraining = Math.max(...(training ?? []), 1);
  const rows = byClass.map((images, label) => {
    const included = images.filter(isIncluded);
    const samples = element("div", { className: "images" });
    imageButtons(samples)(included.slice(0, SAMPLES), (image) =>
      ({ label: `Test image ${image}: class ${nameOf(label)}`, caption: "" }));
    const average = element("div", { className: "frame", role: "img",
      "aria-label": `Average of class ${nameOf(label)}` }, imageCanvas(averageImage(included)));
    return element("tr", {}, element("th", { scope: "row" }, nameOf(label)),
      ...(training ? [countCell(training[label], mostTraining)] : []),
      countCell(images.length, most), element("td", {}, average), element("td", {}, samples));
  });
  byId("classes").replaceChildren(
    element("caption", { className: "hidden" }, "The classes"),
    element("thead", {}, element("tr", {}, dataHead("Class"),
      ...(training ? [dataHead("Training images", true)] : []), dataHead("Test images", true),
      dataHead("Average"), dataHead("First test images"))),
    element("tbody", {}, ...rows));
});
