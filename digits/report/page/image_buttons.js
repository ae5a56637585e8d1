// Test images to choose from. Choosing one shows the evidence for it.

/**
 * Fill a container with images; `about(image)` gives a caption and a label.
 * Those that this page does not hold are left out, and their number is returned.
 */
function showImages(container, images, about) {
  const here = images.filter((image) => placeOfImage.has(image));
  container.replaceChildren(...here.map((image) => {
    const { caption, label } = about(image);
    const button = element("button", { type: "button", className: "digit", title: label, value: image,
      "aria-label": label, ariaPressed: "false" }, inkPicture(pixelsOf(image)));
    if (caption) button.append(element("span", {}, caption));
    return button;
  }));
  container.rove ??= roving(container, "button", () => {
    const tops = [...container.children].map((child) => child.offsetTop);
    return Math.max(tops.findIndex((top) => top > tops[0]), 1);
  });
  container.rove();
  container.onclick = (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    choose({ image: button.value, compare: "", at: "weights" });
    goTo("weights");
  };
  return images.length - here.length;
}
