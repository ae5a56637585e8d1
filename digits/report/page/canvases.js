// Grey values and weights as pictures, a canvas pixel for each pixel of the image.

function picture(paint, name = "", wide = width, high = height) {
  const canvas = element("canvas", { width: wide, height: high, className: name });
  canvas.ariaHidden = "true"; // what it shows is said in words beside it
  paint(canvas);
  return canvas;
}

/** Ink as opacity: the style gives it the colour that fits the theme. */
function inkPicture(pixels) {
  return picture((canvas) => {
    const context = canvas.getContext("2d");
    const data = context.createImageData(width, height);
    pixels.forEach((grey, i) => { data.data[4 * i + 3] = grey; });
    context.putImageData(data, 0, 0);
  }, "ink");
}

const styleColour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim().split(" ").map(Number);

/** Values from -limit to limit, from the colour of "against" over zero to that of "for". */
function signedPicture(values, limit) {
  return picture((canvas) => {
    const [against, zero, favour] = ["--against", "--zero", "--for"].map(styleColour);
    const context = canvas.getContext("2d");
    const data = context.createImageData(width, height);
    values.forEach((value, i) => {
      const share = Math.min(Math.abs(value) / limit, 1);
      const end = value < 0 ? against : favour;
      for (let c = 0; c < 3; c += 1) data.data[4 * i + c] = zero[c] + share * (end[c] - zero[c]);
      data.data[4 * i + 3] = 255;
    });
    context.putImageData(data, 0, 0);
  });
}

/** The value that a share of the values lie within, in absolute size. */
function reach(values, share) {
  const sizes = Float64Array.from(values, Math.abs).filter((size) => size > 0).sort();
  return sizes[Math.floor(share * (sizes.length - 1))] || 1;
}

function showScale(container, limit, low, high) {
  container.replaceChildren(
    element("span", {}, `${low} −${limit.toPrecision(2)}`),
    element("span", { className: "ramp" }),
    element("span", {}, `+${limit.toPrecision(2)} ${high}`),
  );
}
