// What Python hands over: plain values as JSON, and arrays as one compressed block.
// The scripts of this folder are put into one module, in the order of index.html.jinja:
// each uses what the ones above it define.

/**
 * Written by `payload` in digits/report/content.py. A class is known by its label, a number
 * from 0 to 99, or within a variant by its index among the variant's classes.
 *
 * @typedef {object} Payload
 * @property {DatasetInfo} dataset
 * @property {ImageFormat} image_format
 * @property {LeNet5Sizes} lenet5
 * @property {number} few_classes with more, the cells of a confusion matrix are small
 * @property {Record<string, ArrayLayout>} layout where each array is in the block
 * @property {Record<string, string[]>} model_arrays the arrays of each type of model
 * @property {number[]} levels how certain a prediction must be, ascending from 0
 * @property {RegularisationPath[]} paths those of most classes first
 * @property {PayloadVariant[]} variants in the order of params.yaml
 */

/**
 * Logistic regression for several values of C, by digits/report/regularisation.py. Lists are
 * by C; pairs are of training and test images.
 *
 * @typedef {object} RegularisationPath
 * @property {string} subset
 * @property {number[]} classes the labels, ascending
 * @property {number[]} C ascending, at least two
 * @property {number[]} limits where the colours of the weights stop
 * @property {[number, number][]} errors the misclassified images
 * @property {[number, number][]} log_loss
 * @property {number[]} half_levels the smallest change of each pixel, in grey levels, that
 *   flips half of the answers; 256: none does
 * @property {number} n_train the number of images that the models were fitted to
 * @property {number} n_test
 * @property {number} n_changed the number of test images whose answers are to be flipped
 */

/**
 * @typedef {object} DatasetInfo
 * @property {string[]} names the names of all classes, by label
 * @property {number[] | null} train_counts of training images, by label
 * @property {number} height of an image, in pixels
 * @property {number} width
 */

/**
 * The constants of the format to which a drawing is converted.
 *
 * @typedef {object} ImageFormat
 * @property {number} box the longer side of the ink, as a share of the image's
 * @property {number} ink what counts as ink, as a share of the brightest grey value
 * @property {number} centre_offset pixels from the image's centre to the centre of mass
 * @property {number} half what is added before rounding down, to round halves up
 * @property {number} thin 1/n of the shorter side: the thickness of a ruled line, at most
 * @property {number} slant 1/n of the columns in which a line is hidden: how far away it may go on
 * @property {number} large 1/n of the shorter side: what is left without lines, at least
 * @property {boolean} centred whether the ink is cropped and centred, as in MNIST
 */

/**
 * @typedef {object} LeNet5Sizes
 * @property {number} min_side the side of the padded image, in pixels, at least
 * @property {number} min_padding pixels on each side, at least
 */

/** @typedef {[type: keyof typeof ARRAY_TYPES, start: number, length: number]} ArrayLayout */

/**
 * @typedef {object} PayloadVariant
 * @property {string} name
 * @property {"linear" | "lenet5" | null} model_type null: the model cannot be run on this page
 * @property {keyof typeof DECISIONS} decision
 * @property {number[]} classes the labels, ascending
 * @property {number[]} thresholds ascending; empty for all decisions but `threshold`
 * @property {number} accuracy from 0 to 1
 * @property {number | null} C the inverse of the penalty, if the model has one
 * @property {number[][]} confusion counts of test images, by actual and predicted class
 * @property {YesCount[] | null} yes_counts of one-versus-rest: images to which no model, one
 *   or several say yes
 * @property {ScoreHistogram | null} histogram of the decision `threshold`
 * @property {BestThresholds | null} best_thresholds if there are several thresholds
 * @property {Flips | null} flips if the model can be run on this page
 */

/**
 * How many answers a change of all pixels flips, by digits/robustness/.
 *
 * @typedef {object} Flips
 * @property {number} images the number of test images that were tried, the first ones
 * @property {number[]} levels the largest change of a pixel, in grey levels, ascending
 * @property {number[]} counts of images that a change of at most so many levels flips
 * @property {boolean} is_bound whether a change in another direction may flip more
 */

/**
 * @typedef {object} YesCount
 * @property {number} images
 * @property {number} correct how many of them are classified correctly
 */

/**
 * @typedef {object} BestThresholds
 * @property {number[]} values the thresholds with which most test images are right
 * @property {number} n_right the number of these images
 */

/**
 * @typedef {object} ScoreHistogram
 * @property {number} low the lower end of the first bin
 * @property {number} high the upper end of the last bin
 * @property {number[][]} counts images by actual class and bin; the first and the last bin
 *   hold all images that are outside
 */

const ARRAY_TYPES = {
  int8: Int8Array,
  uint8: Uint8Array,
  uint32: Uint32Array,
  float32: Float32Array,
  float64: Float64Array,
};

/**
 * @param {string} id of a script element that holds data
 * @returns {string}
 */
function dataText(id) {
  return document.getElementById(id)?.textContent ?? "";
}

/**
 * Decompress base64 text in zlib's format.
 *
 * @param {string} text
 * @returns {Promise<ArrayBuffer>}
 */
async function inflate(text) {
  const packed = Uint8Array.fromBase64?.(text)
    ?? Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const { writable, readable } = new DecompressionStream("deflate");
  const writer = writable.getWriter();
  writer.write(packed);
  writer.close();
  return new Response(readable).arrayBuffer();
}

/** @type {Payload} */
const payload = JSON.parse(dataText("payload"));
