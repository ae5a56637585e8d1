// What index.html.jinja defines before the scripts run, and what the scripts offer outside.

/** The decompressed arrays of the page. */
declare const arrayBytes: ArrayBuffer;

interface Uint8ArrayConstructor {
  /** Browsers before 2025 do not have it. */
  fromBase64?: (text: string) => Uint8Array<ArrayBuffer>;
}

interface Window {
  digits: Readonly<Record<string, unknown>>;
}
