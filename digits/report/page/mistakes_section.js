// The misclassified test images, the worst first.

const FIRST_MISTAKES = 60;

fillLater("mistakes", () => {
  const select = byId("mistakes-variant", HTMLSelectElement);
  const actual = byId("mistakes-actual", HTMLSelectElement);
  const predicted = byId("mistakes-predicted", HTMLSelectElement);
  const more = byId("mistakes-more");
  const container = byId("mistakes-images");
  const showImages = imageButtons(container);
  let most = FIRST_MISTAKES;

  function show() {
    const variant = variantOf(state.variant);
    const { classes, names } = variant;
    select.value = variant.name;
    for (const [control, value] of /** @type {const} */ ([
      [actual, state.actual], [predicted, state.predicted],
    ])) {
      setOptions(control, [["", "any"], ...classes.map((label) =>
        /** @type {[number, string]} */ ([label, nameOf(label)]))]);
      control.value = classes.includes(Number(value)) ? value : "";
    }
    /**
     * @param {HTMLSelectElement} filter
     * @param {number} index
     */
    const passes = (filter, index) => !filter.value || filter.value === String(classes[index]);
    const images = variant.mistakes
      .filter((row) => passes(actual, variant.actual[row])
        && passes(predicted, variant.predicted[row]))
      .map((row) => variant.images[row]);
    const included = images.filter(isIncluded);
    const shown = included.slice(0, most);
    showImages(shown, (image) => {
      const row = variant.rowOf.get(image) ?? 0;
      const [i, j] = [variant.actual[row], variant.predicted[row]];
      return { caption: `${names[i]} → ${names[j]}`, label: imageLabel(variant, image, i, j) };
    });
    more.hidden = shown.length === included.length;
    const part = shown.length < images.length ? `, the worst ${formatCount(shown.length)} shown` : "";
    byId("mistakes-count").textContent = images.length
      ? `${plural(images.length, "mistake")}${part}` : "No mistakes";
  }

  const filter = () => {
    most = FIRST_MISTAKES;
    takeStep({ actual: actual.value, predicted: predicted.value, section: "mistakes" });
  };
  select.addEventListener("change", () => {
    most = FIRST_MISTAKES;
    takeStep({ ...changesTo(select.value), section: "mistakes" });
  });
  actual.addEventListener("change", filter);
  predicted.addEventListener("change", filter);
  more.addEventListener("click", () => {
    const before = most;
    most *= 2;
    show();
    container.querySelectorAll("button")[before]?.focus();
  });
  onChange(["variant", "actual", "predicted"], show);
});
