// The inspector explains one image. It opens next to the image that is chosen, and its place
// on the page is where the contents lead.

const inspector = byId("inspector");
const inspectorPlace = byId("inspector-place");
/** @type {HTMLElement | null} */
let inspectorOpener = null;

/**
 * Explain an image. Inside the inspector, the image changes in place; elsewhere the inspector
 * opens on the side where the image is not.
 *
 * @param {string} image a test image's number, or DRAWING
 * @param {HTMLElement} opener the button that was clicked
 */
function inspect(image, opener) {
  const changes = { image, compare: "", level: "" };
  if (inspector.contains(opener)) {
    takeStep(changes);
    inspector.scrollTo({ top: 0 });
    return;
  }
  inspectorOpener = opener;
  const { left, right, top, bottom } = opener.getBoundingClientRect();
  const isNarrow = matchMedia("(max-width: 700px)").matches;
  const space = Math.max(top, innerHeight - bottom); // above or below the opener
  inspector.style.setProperty("--space", `${Math.floor(space) - 4}px`);
  const isAtEnd = isNarrow ? top + bottom > innerHeight : left + right > innerWidth;
  takeStep({ ...changes, panel: isAtEnd ? "start" : "end" });
  inspector.scrollTo({ top: 0 });
  inspector.focus({ preventScroll: true });
}

/** @param {State} chosen `panel`: the "start" or "end" of the window; "" on the page */
function placeInspector({ panel }) {
  const isOpen = panel !== "";
  if (isOpen && !inspector.classList.contains("open")) { // the page does not move
    inspectorPlace.style.minHeight = `${inspectorPlace.getBoundingClientRect().height}px`;
  }
  inspector.classList.toggle("open", isOpen);
  inspector.classList.toggle("start", panel === "start");
  if (!isOpen) inspectorPlace.style.minHeight = "";
}

function closeInspector() {
  const isInside = inspector.contains(document.activeElement);
  takeStep({ panel: "" });
  if (isInside && inspectorOpener?.isConnected) inspectorOpener.focus({ preventScroll: true });
}

onChange(["panel"], placeInspector);
byId("inspector-close").addEventListener("click", closeInspector);
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && state.panel) closeInspector();
});
