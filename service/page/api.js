// What is asked of the server, and how its refusals are told. All addresses are relative: they
// hold behind a proxy that adds a prefix.

const KEY = "blendmask-key"; // sessionStorage: this tab only

/** A refusal in the words of the server's problem document. */
export class Refusal extends Error {
  /**
   * @param {number} status 0 where the server was not reached
   * @param {string} title
   * @param {string} detail what to change
   * @param {number | null} retryAfter seconds
   */
  constructor(status, title, detail, retryAfter = null) {
    super(detail);
    this.status = status;
    this.title = title;
    this.retryAfter = retryAfter;
  }
}

/** Keep a key for this tab, or forget it. */
export function keepKey(key) {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

/** Return the loaded models as /models tells them. Raises Refusal. */
export async function loadModels() {
  const answer = await send("GET", "models", null, {});
  return JSON.parse(answer.text).models;
}

/** Return whether the server takes pictures at the moment. */
export async function isReady() {
  try {
    return (await fetch("readyz", { cache: "no-store" })).ok;
  } catch {
    return false;
  }
}

/**
 * Ask for one picture's instances or partition.
 * @param {"segment" | "panoptic"} task
 * @param {Blob} picture
 * @param {Record<string, string>} options query parameters
 * @param {(share: number) => void} onProgress of the upload, 0 to 1
 * @param {AbortSignal} signal
 * @returns {Promise<{answer: object, stages: [string, number][]}>} stages in milliseconds
 * @throws {Refusal}
 */
export async function ask(task, picture, options, onProgress, signal) {
  const query = new URLSearchParams(options);
  const { text, timing } = await send("POST", `${task}?${query}`, picture, { onProgress, signal });
  return { answer: JSON.parse(text), stages: readTiming(timing) };
}

/** XMLHttpRequest, since fetch tells nothing of an upload's progress. */
function send(method, address, body, { onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, address);
    const key = sessionStorage.getItem(KEY);
    if (key) request.setRequestHeader("X-API-Key", key);
    request.setRequestHeader("Accept", "application/json");
    if (body) request.setRequestHeader("Content-Type", "application/octet-stream");
    if (onProgress) {
      request.upload.addEventListener("progress", (event) =>
        onProgress(event.lengthComputable ? event.loaded / event.total : 0),
      );
    }
    request.addEventListener("load", () => {
      if (request.status === 200) {
        resolve({ text: request.responseText, timing: request.getResponseHeader("Server-Timing") });
      } else reject(refusalOf(request));
    });
    const lost = "the server was not reached; is it running?";
    request.addEventListener("error", () => reject(new Refusal(0, "No connection", lost)));
    request.addEventListener("abort", () => reject(signal.reason));
    signal?.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}

function refusalOf(request) {
  const wait = Number(request.getResponseHeader("Retry-After"));
  let told = {};
  try {
    told = JSON.parse(request.responseText);
  } catch {
    // A proxy's page, perhaps: its status has to do.
  }
  return new Refusal(
    request.status,
    told.title ?? `Status ${request.status}`,
    told.detail ?? "the answer was not the server's own; a proxy in between may have refused it",
    Number.isFinite(wait) && wait > 0 ? wait : null,
  );
}

function readTiming(header) {
  return (header ?? "")
    .split(",")
    .map((entry) => entry.trim().match(/^([\w-]+);.*?dur=([\d.]+)/))
    .filter(Boolean)
    .map(([, name, milliseconds]) => [name, Number(milliseconds)]);
}
