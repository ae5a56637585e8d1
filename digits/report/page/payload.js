// What the page holds: plain values as JSON, arrays as one deflated block in base64.

const page = JSON.parse(document.getElementById("content").textContent);

const ARRAY_TYPES = {
  uint8: Uint8Array,
  uint32: Uint32Array,
  float32: Float32Array,
  float64: Float64Array,
};

async function inflate(text) {
  const letters = atob(text);
  const packed = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i += 1) packed[i] = letters.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

const block = await inflate(document.getElementById("block").textContent);

function heldArray(name) {
  const [type, start, length] = page.layout[name];
  return new ARRAY_TYPES[type](block, start, length);
}

// A test image is named by its number in the test split, from 0.
const labels = heldArray("labels");
const kept = heldArray("kept"); // the numbers of the images on this page, ascending
const { height, width } = page.dataset;
const imageBytes = heldArray("images");
const placeOfImage = new Map(Array.from(kept, (image, place) => [image, place]));

/** The grey values of a test image, or undefined if this page does not hold it. */
function pixelsOf(image) {
  const place = placeOfImage.get(image);
  if (place === undefined) return undefined;
  return imageBytes.subarray(place * height * width, (place + 1) * height * width);
}
