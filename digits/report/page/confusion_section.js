// What is taken for what: a variant's confusion matrix and a cell's images.

/** The cell with most mistakes, or the first one if there is none. */
function worstCell(variant) {
  let worst = [0, 0];
  let most = 0;
  variant.counts.forEach((row, i) => row.forEach((count, j) => {
    if (i !== j && count > most) [worst, most] = [[i, j], count];
  }));
  return worst;
}

const cellName = (variant, [i, j]) => `${variant.digits[i]}-${variant.digits[j]}`;

whenIdle("confusion", () => {
  let shown;
  let show;
  const select = byId("confusion-variant");
  select.addEventListener("change", () => choose({ variant: select.value, cell: "", compare: "" }));
  whenChanged(["variant", "cell"], (chosen) => {
    const variant = variantOf(chosen.variant);
    select.value = variant.name;
    if (shown !== variant) {
      show = confusionMatrix(byId("confusion-matrix"), variant,
        `Confusion matrix of ${variant.name}`, (cell) => choose({ cell, at: "confusion" }));
      shown = variant;
    }
    const cell = cellOf(variant, chosen.cell) ?? worstCell(variant);
    show(variant.counts, cellName(variant, cell));
    showCell(variant, variant.predicted, cell, byId("cell-title"), byId("cell-images"));
  });
});
