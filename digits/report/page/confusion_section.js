// A variant's confusion matrix, and the images of a cell.

/**
 * @param {Variant} variant
 * @returns {Cell} the one with most mistakes, or the first one if there are no mistakes
 */
function worstCell(variant) {
  /** @type {Cell} */
  let worst = [0, 0];
  let most = 0;
  variant.confusion.forEach((row, i) => row.forEach((count, j) => {
    if (i !== j && count > most) [worst, most] = [[i, j], count];
  }));
  return worst;
}

/**
 * @param {Variant} variant
 * @param {Cell} cell
 */
const cellName = (variant, [i, j]) => `${variant.classes[i]}-${variant.classes[j]}`;

/**
 * The most frequent mistake, in words.
 *
 * @param {Variant} variant
 */
function confusionText(variant) {
  const [i, j] = worstCell(variant);
  if (i === j) return `${variant.name} makes no mistakes on the test images.`;
  const most = variant.confusion[i][j];
  const others = sum(variant.confusion.map((row, a) =>
    row.filter((count, b) => a !== b && count === most).length)) - 1;
  const tie = others ? ` ${plural(others, "other pair")} of classes ${others === 1 ? "has" : "have"} as many mistakes.` : "";
  return `${variant.name} most often mistakes ${variant.names[i]} for ${variant.names[j]}: `
    + `${formatCount(variant.confusion[i][j])} of ${plural(sum(variant.confusion[i]), "test image")} `
    + `of ${variant.names[i]}.${tie}`;
}

fillLater("confusion", () => {
  const showImages = imageButtons(byId("cell-images"));
  const select = byId("confusion-variant", HTMLSelectElement);
  /** @type {Variant | undefined} */
  let shown;
  /** @type {ReturnType<typeof confusionMatrix>} */
  let showMatrix;
  select.addEventListener("change", () => takeStep(changesTo(select.value)));
  onChange(["variant", "cell"], (chosen) => {
    const variant = variantOf(chosen.variant);
    select.value = variant.name;
    if (shown !== variant) {
      showMatrix = confusionMatrix(byId("confusion-matrix"), variant,
        `Confusion matrix of ${variant.name}`, (cell) => takeStep({ cell, section: "confusion" }));
      shown = variant;
    }
    const cell = cellOf(variant, chosen.cell) ?? worstCell(variant);
    showMatrix(variant.confusion, cellName(variant, cell));
    byId("confusion-report").replaceChildren(
      classReportTable(variant, classificationReport(variant.confusion).classes));
    byId("confusion-answer").textContent = confusionText(variant);
    showCell(variant, variant.predicted, cell, byId("cell-title"), showImages);
  });
});
