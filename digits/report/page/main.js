// The address's fragment leads to a section; what the page offers to tests and consoles.

for (const link of document.querySelectorAll("a[href^='#']")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const at = link.getAttribute("href").slice(1);
    choose({ at });
    goTo(at);
  });
}

function show() {
  choose(readFragment());
  if (state.at) goTo(state.at);
}
addEventListener("hashchange", show);
if (state.at) goTo(state.at);

/**
 * What can be asked of the page from outside, such as a browser's console:
 *
 *   variants                   the names of the variants; those whose weights are here can be asked
 *   images(variant)            the numbers of its test images in the test split
 *   pixels(image)              a test image's grey values
 *   scores(variant, image)     its scores, computed from the weights, of a test image by
 *                              number or of any grey values
 *   answer(variant, image)     the label it decides on
 *   normalForm(grey, high, wide)  a drawing in the data's form
 *   seen()                     the grey values that the models see on the drawing area
 */
const given = (image) => (typeof image === "number" ? pixelsOf(image) : image);
window.digits = Object.freeze({
  variants: variants.map((variant) => variant.name),
  images: (name) => variantOf(name).images,
  pixels: (image) => Array.from(pixelsOf(image)),
  scores: (name, image) => scoresOf(variantOf(name), given(image)),
  answer: (name, image) => {
    const variant = variantOf(name);
    return variant.digits[decide(variant, scoresOf(variant, given(image)))];
  },
  normalForm: (grey, high, wide) => {
    const framed = normalForm(Uint8Array.from(grey), high, wide);
    return framed && Array.from(framed);
  },
  seen: () => (asked.length && seen ? Array.from(seen) : null),
});
setTimeout(fillNext);
