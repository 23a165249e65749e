// Requests and the one stream of the open view, and what the page says about both.

import { byId } from "./elements.js";

const RETRY_MS = 3000;

export async function get(path) {
  let response;
  try {
    response = await fetch(path, { headers: { Accept: "application/json" } });
  } catch {
    throw new Error("The server does not answer.");
  }
  if (response.status === 401) location.assign("/login");
  const body = await response.json().catch(() => null);
  if (response.ok) return body;
  const message = body?.errors?.[0]?.message;
  throw new Error(message ?? `The server answers with status ${response.status}.`);
}

export function showProblem(problem) {
  const text = problem ? `${problem.charAt(0).toUpperCase()}${problem.slice(1)}` : "";
  if (byId("problem").textContent !== text) byId("problem").textContent = text;
  byId("problem").hidden = !problem;
}

export function showStatus(text, kind) {
  if (byId("live").textContent !== text) byId("live").textContent = text;
  byId("live").className = `live ${kind}`;
}

let source = null;
let timer = 0;
let visit = 0;

// End what the open view does. Returns the number of the next visit.
export function stop() {
  source?.close();
  source = null;
  clearTimeout(timer);
  return ++visit;
}

// Whether this visit goes on. Responses to an earlier one are dropped.
export const isCurrent = (number) => number === visit;

// Call a function later, unless the view is left.
export function later(action, milliseconds) {
  timer = setTimeout(action, milliseconds);
}

// One stream at a time: a browser has six connections to a server, for all its tabs together.
export function listen(path, handlers, onLost) {
  stop();
  const stream = (source = new EventSource(path));
  stream.addEventListener("hello", () => showStatus("Live", "on"));
  stream.addEventListener("goodbye", () => location.assign("/login"));
  for (const [name, handle] of Object.entries(handlers))
    stream.addEventListener(name, (event) => handle(JSON.parse(event.data)));
  stream.onerror = () => {
    showStatus("Connection lost, trying again", "off");
    if (stream !== source || stream.readyState !== EventSource.CLOSED) return;
    later(() => listen(path, handlers, onLost), RETRY_MS);
    onLost();
  };
}
