// The misclassified test images, the worst first.

const FIRST_MISTAKES = 60;

whenIdle("mistakes", () => {
  const select = byId("mistakes-variant");
  const [actual, predicted] = [byId("mistakes-actual"), byId("mistakes-predicted")];
  const more = byId("mistakes-more");
  let most = FIRST_MISTAKES;

  function show() {
    const variant = variantOf(state.variant);
    select.value = variant.name;
    for (const [control, value] of [[actual, state.actual], [predicted, state.predicted]]) {
      options(control, [["", "any"], ...variant.digits.map((digit) => [digit, nameOf(digit)])]);
      control.value = variant.digits.includes(Number(value)) ? value : "";
    }
    const digit = (index) => String(variant.digits[index]);
    const rows = Array.from(variant.worst).filter((row) =>
      (!actual.value || digit(variant.actual[row]) === actual.value)
      && (!predicted.value || digit(variant.predicted[row]) === predicted.value));
    const images = rows.map((row) => variant.images[row]);
    const here = images.filter((image) => placeOfImage.has(image));
    const shown = here.slice(0, most);
    showImages(byId("mistakes-images"), shown, (image) => {
      const row = variant.place.get(image);
      const [is, called] = [digit(variant.actual[row]), digit(variant.predicted[row])];
      return { caption: `${nameOf(is)} → ${nameOf(called)}`, label: `Test image ${image}: ${oneOf(is)}, called ${nameOf(called)}` };
    });
    more.hidden = shown.length === here.length;
    byId("mistakes-count").textContent = images.length
      ? `${plural(images.length, "mistake")}${shown.length < images.length ? `, the worst ${formatCount(shown.length)} shown` : ""}`
      : "No mistakes";
  }

  const filter = () => {
    most = FIRST_MISTAKES;
    choose({ variant: select.value, actual: actual.value, predicted: predicted.value, at: "mistakes" });
  };
  select.addEventListener("change", () => { choose({ cell: "", compare: "" }); filter(); });
  actual.addEventListener("change", filter);
  predicted.addEventListener("change", filter);
  more.addEventListener("click", () => {
    const before = most;
    most *= 2;
    show();
    byId("mistakes-images").children[before]?.focus();
  });
  whenChanged(["variant", "actual", "predicted"], show);
});
