// Test images as buttons. A click explains the image in the inspector.

/**
 * The function that fills a container with those of the images that this page includes.
 * `describe` gives the accessible label of an image, and a caption or "".
 *
 * @typedef {(images: number[],
 *   describe: (image: number) => { label: string, caption: string }) => void} ShowImages
 */

const MOST_IMAGES = 200; // that are drawn before the reader asks for all

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
    if (button.classList.contains("more")) {
      show(Infinity);
      container.querySelectorAll("button")[MOST_IMAGES].focus();
      return;
    }
    inspect(button.value, button);
  });
  /** @type {number[]} */
  let images = [];
  /** @type {Parameters<ShowImages>[1]} */
  let describe;
  /** @param {number} most */
  function show(most) {
    const buttons = images.slice(0, most).map((image) => {
      const { label, caption } = describe(image);
      const button = element("button", { type: "button", className: "image", title: label,
        value: image, "aria-label": label, ariaPressed: "false" }, thumbnail(pixelsOf(image)));
      if (caption) button.append(element("span", {}, caption));
      return button;
    });
    if (images.length > most) {
      buttons.push(element("button", { type: "button", className: "more" },
        `Show all ${formatCount(images.length)}`));
    }
    container.replaceChildren(...buttons);
    resetTabStop();
  }

  return (numbers, description) => {
    images = numbers.filter(isIncluded);
    describe = description;
    show(MOST_IMAGES);
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
