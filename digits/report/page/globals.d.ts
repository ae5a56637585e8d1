// What index.html.jinja defines before the scripts run, and what the scripts offer outside.

/** The decompressed arrays of the page. */
declare const arrayBytes: ArrayBuffer;

interface Window {
  digits: Readonly<Record<string, unknown>>;
}
