// The data: how many images each class has, their average, and the first ones.

const SAMPLES = 8; // of each class

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
  const averages = /** @type {Uint8Array} */ (typedArray("averages"));
  const size = height * width;
  const rows = byClass.map((images, label) => {
    const samples = element("div", { className: "images" });
    imageButtons(samples)(images.filter(isIncluded).slice(0, SAMPLES), (image) =>
      ({ label: `Test image ${image}: class ${nameOf(label)}`, caption: "" }));
    const average = element("div", { className: "frame", role: "img",
      "aria-label": `Average of class ${nameOf(label)}` },
    imageCanvas(averages.subarray(label * size, (label + 1) * size)));
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
