// The arrays of the page as typed arrays, and the test images among them.

/**
 * @param {string} name as in the payload's layout
 * @returns {Int8Array | Uint8Array | Uint32Array | Float32Array | Float64Array}
 */
function typedArray(name) {
  const [type, start, length] = payload.layout[name];
  return new ARRAY_TYPES[type](arrayBytes, start, length);
}

// A test image is identified by its number in the test split, from 0.
const includedImages = typedArray("included_images"); // numbers, ascending
const { height, width } = payload.dataset;
const imageBytes = /** @type {Uint8Array} */ (typedArray("images"));
const imagePlace = new Map(Array.from(includedImages, (image, place) => [image, place]));

/**
 * @param {number} image
 * @returns {boolean} whether this page includes the test image
 */
const isIncluded = (image) => imagePlace.has(image);

/**
 * The grey values of a test image that this page includes, row by row.
 *
 * @param {number} image
 * @returns {Uint8Array}
 */
function pixelsOf(image) {
  const place = imagePlace.get(image);
  if (place === undefined) throw new RangeError(`this page does not include image ${image}`);
  const size = height * width;
  return imageBytes.subarray(place * size, (place + 1) * size);
}
