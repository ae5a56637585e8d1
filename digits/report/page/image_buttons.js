// Test images as buttons. A click shows the evidence for the image.

/**
 * The function that fills a container with those of the images that this page includes.
 * `describe` gives the accessible label of an image, and a caption or "".
 *
 * @typedef {(images: number[],
 *   describe: (image: number) => { label: string, caption: string }) => void} ShowImages
 */

/**
 * @param {HTMLElement} container
 * @returns {ShowImages}
 */
function imageButtons(container) {
  const resetTabStop = rovingTabindex(container, () => {
    const tops = Array.from(container.querySelectorAll("button"), (button) => button.offsetTop);
    return Math.max(tops.findIndex((top) => top > tops[0]), 1);
  });
  container.addEventListener("click", (event) => {
    const button = clickedButton(event);
    if (!button) return;
    setState({ image: button.value, compare: "", section: "weights" });
    goTo("weights");
  });
  return (images, describe) => {
    container.replaceChildren(...images.filter(isIncluded).map((image) => {
      const { label, caption } = describe(image);
      const button = element("button", { type: "button", className: "image", title: label,
        value: image, "aria-label": label, ariaPressed: "false" }, imageCanvas(pixelsOf(image)));
      if (caption) button.append(element("span", {}, caption));
      return button;
    }));
    resetTabStop();
  };
}

/**
 * What an image's button says.
 *
 * @param {Variant} variant
 * @param {number} image
 * @param {number} actual a class index
 * @param {number} predicted
 */
const imageLabel = (variant, image, actual, predicted) =>
  `Test image ${image}: actual ${variant.names[actual]}, predicted ${variant.names[predicted]}`;
