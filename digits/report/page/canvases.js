// Images and weights as pictures, a pixel of the picture for each pixel of the image.

/**
 * @param {string} className
 * @param {(data: Uint8ClampedArray) => void} paint sets red, green, blue and opacity of each
 *   pixel
 * @param {number} [wide] in pixels
 * @param {number} [high]
 * @returns {HTMLCanvasElement}
 */
function paintedCanvas(className, paint, wide = width, high = height) {
  const canvas = element("canvas", { width: wide, height: high, className });
  canvas.ariaHidden = "true"; // the text next to it says what it shows
  const context = canvas.getContext("2d");
  if (context) {
    const image = context.createImageData(wide, high);
    paint(image.data);
    context.putImageData(image, 0, 0);
  }
  return canvas;
}

/**
 * An image, its ink as opacity: the style sheet gives it the colour that fits the theme.
 *
 * @param {Uint8Array} pixels
 */
function imageCanvas(pixels) {
  return paintedCanvas("ink", (data) => {
    pixels.forEach((grey, i) => { data[4 * i + 3] = grey; });
  });
}

const sheet = element("canvas", { width, height }); // on which thumbnails are painted
const sheetContext = sheet.getContext("2d", { willReadFrequently: true });

/**
 * The same as an img element: browsers draw a thousand of these faster than canvases.
 *
 * @param {Uint8Array} pixels
 * @returns {HTMLImageElement}
 */
function thumbnail(pixels) {
  const picture = element("img", { className: "ink", alt: "", width, height, decoding: "sync" });
  if (sheetContext) {
    const image = sheetContext.createImageData(width, height);
    const { data } = image;
    for (let i = 0; i < pixels.length; i += 1) data[4 * i + 3] = pixels[i];
    sheetContext.putImageData(image, 0, 0);
    picture.src = sheet.toDataURL();
  }
  return picture;
}

/**
 * Grey values as text for an address: each value in a byte, and runs of zeros as 0 and their
 * length, in base64 with the letters that need no escape.
 *
 * @param {Uint8Array} pixels
 */
function textOf(pixels) {
  /** @type {number[]} */
  const bytes = [];
  pixels.forEach((grey) => {
    const run = bytes.at(-2) === 0 ? (bytes.at(-1) ?? 0) : 0;
    if (grey) bytes.push(grey);
    else if (run && run < 255) bytes[bytes.length - 1] = run + 1;
    else bytes.push(0, 1);
  });
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_")
    .replaceAll("=", "");
}

/**
 * @param {string} text of `textOf`
 * @returns {Uint8Array | null} height × width; null if the text is not of such an image
 */
function imageOfText(text) {
  if (!/^[\w-]+$/.test(text) || text.length % 4 === 1) return null;
  const bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  /** @type {number[]} */
  const pixels = [];
  for (let i = 0; i < bytes.length && pixels.length < height * width; i += 1) {
    const grey = bytes.charCodeAt(i);
    if (grey) pixels.push(grey);
    else pixels.push(...new Array(bytes.charCodeAt((i += 1)) || 0).fill(0));
  }
  return pixels.length === height * width ? Uint8Array.from(pixels) : null;
}

/**
 * The colours that were asked for: each question makes the browser compute all styles.
 *
 * @type {Map<string, number[]>}
 */
const colours = new Map();
onRedraw(() => colours.clear());

/**
 * @param {string} name of a custom property of the style sheet
 * @returns {number[]} red, green, blue
 */
function colourOf(name) {
  const text = () => getComputedStyle(document.documentElement).getPropertyValue(name);
  const colour = colours.get(name) ?? text().trim().split(" ").map(Number);
  colours.set(name, colour);
  return colour;
}

/**
 * Values from -limit to limit in a diverging colour map: negative ones in the colour
 * "against", positive ones in the colour "for".
 *
 * @param {ArrayLike<number>} values
 * @param {number} limit
 */
function divergingCanvas(values, limit) {
  const [against, zero, favour] = ["--against", "--zero", "--for"].map(colourOf);
  return paintedCanvas("", (data) => {
    Array.from(values).forEach((value, i) => {
      const share = Math.min(Math.abs(value) / limit, 1);
      const end = value < 0 ? against : favour;
      for (let c = 0; c < 3; c += 1) data[4 * i + c] = zero[c] + share * (end[c] - zero[c]);
      data[4 * i + 3] = 255;
    });
  });
}

const OUTLINE_INK = 96; // the grey value above which a pixel is inside the outline

/**
 * A canvas of values with the outline of an image's ink over it.
 *
 * @param {HTMLElement} shown the canvas
 * @param {Uint8Array} pixels
 */
function outlined(shown, pixels) {
  /** @type {(y: number, x: number) => boolean} */
  const isInk = (y, x) => y >= 0 && y < height && x >= 0 && x < width
    && pixels[y * width + x] > OUTLINE_INK;
  let path = "";
  for (let y = 0; y <= height; y += 1) {
    for (let x = 0; x <= width; x += 1) {
      if (isInk(y, x) !== isInk(y - 1, x)) path += `M${x} ${y}h1`;
      if (isInk(y, x) !== isInk(y, x - 1)) path += `M${x} ${y}v1`;
    }
  }
  const outline = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
    svg("path", { d: path, class: "outline" }));
  return element("div", { className: "frame outlined" }, shown, outline);
}

/**
 * The quantile of the absolute values, without zeros.
 *
 * @param {ArrayLike<number>} values
 * @param {number} share from 0 to 1
 */
function absoluteQuantile(values, share) {
  const sizes = Float64Array.from(values, Math.abs).filter((size) => size > 0).sort();
  return sizes[Math.floor(share * (sizes.length - 1))] || 1;
}

/**
 * Show the colour scale of a diverging colour map.
 *
 * @param {HTMLElement} container
 * @param {number} limit
 * @param {[low: string, high: string]} ends what the ends mean
 * @param {string} note
 */
function showColourScale(container, limit, [low, high], note) {
  container.replaceChildren(
    element("span", {}, `${low} −${limit.toPrecision(2)}`),
    element("span", { className: "ramp" }),
    element("span", {}, `+${limit.toPrecision(2)} ${high}`),
    element("span", { className: "note" }, note),
  );
}
