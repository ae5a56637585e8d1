// The test images that are most similar to the explained one.

const N_NEIGHBOURS = 10;
const IMAGES_PER_STEP = 200;

/**
 * The squared distance of two images, or a larger number than `most` if it exceeds that.
 *
 * @param {Uint8Array} pixels
 * @param {number} start of the other image, in `imageBytes`
 * @param {number} most
 */
function squaredDistance(pixels, start, most) {
  let total = 0;
  for (let row = 0; row < pixels.length && total <= most; row += width) {
    for (let i = row; i < row + width; i += 1) {
      const difference = pixels[i] - imageBytes[start + i];
      total += difference * difference;
    }
  }
  return total;
}

/**
 * The included test images nearest to an image, the nearest first; of equal ones, those with
 * a lower number.
 *
 * @param {Uint8Array} pixels
 * @param {number | null} except a test image
 * @returns {Generator<void, number[]>} their numbers
 */
function* nearestImages(pixels, except) {
  /** @type {[distance: number, image: number][]} */
  const nearest = [];
  let most = Infinity;
  for (const [place, image] of includedImages.entries()) {
    if (place % IMAGES_PER_STEP === 0) yield;
    const distance = image === except ? Infinity
      : squaredDistance(pixels, place * pixels.length, most);
    if (distance < most) {
      nearest.push([distance, image]);
      nearest.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
      if (nearest.length > N_NEIGHBOURS) nearest.pop();
      if (nearest.length === N_NEIGHBOURS) [[most]] = nearest.slice(-1);
    }
  }
  return nearest.map(([, image]) => image);
}

/**
 * Which classes the neighbours have, the most frequent first.
 *
 * @param {number[]} images
 */
function neighboursText(images) {
  /** @type {Map<number, number>} */
  const counts = new Map();
  for (const image of images) counts.set(labels[image], (counts.get(labels[image]) ?? 0) + 1);
  const shares = [...counts].sort((a, b) => b[1] - a[1])
    .map(([label, count]) => `${count} ${count === 1 ? "is" : "are"} of class ${nameOf(label)}`);
  return `Of the ${images.length} nearest, ${shares.join(", ")}.`;
}

fillLater("neighbours", () => {
  const container = byId("neighbours");
  const showImages = imageButtons(container);
  const find = lazily(container, function* show() {
    const shown = subject();
    if (!shown) return;
    const images = yield* nearestImages(shown.pixels, shown.image);
    showImages(images, (image) => ({ caption: nameOf(labels[image]),
      label: `Test image ${image}: class ${nameOf(labels[image])}` }));
    byId("neighbours-text").textContent = neighboursText(images);
  });
  onSubject([], () => find());
});
