// Elements of the page, and values as people read them. Values become text nodes, never HTML.

const GOOD = ["active", "available", "accepted", "registered"];
const WARN = [
  "invited",
  "creation_pending",
  "pending_active",
  "pending_invited",
  "requested",
  "inactive",
];
const BAD = ["deleted", "rejected"];

export const byId = (id) => document.getElementById(id);

export function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) element.setAttribute(name, value);
  element.append(
    ...children
      .filter((child) => child !== null && child !== undefined)
      .map((child) => (child instanceof Node ? child : String(child))),
  );
  return element;
}

export const number = (value) =>
  value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en");
export const rate = (value) => (value > 0 && value < 9.95 ? value.toFixed(1) : number(value));

export function duration(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

export function moment(text, precision = "second") {
  const date = new Date(text);
  if (!text || Number.isNaN(date.getTime())) return text || "";
  const iso = date.toISOString();
  return make(
    "time",
    { datetime: iso, title: iso, class: "time" },
    `${iso.slice(0, 10)} ${iso.slice(11, precision === "minute" ? 16 : 19)}Z`,
  );
}

function stateClass(name) {
  if (GOOD.includes(name)) return "good";
  if (WARN.includes(name)) return "warn";
  return BAD.includes(name) ? "bad" : "idle";
}

export const state = (name) => make("span", { class: `state ${stateClass(name)}` }, name);

// A row of a table. The first cell is its header. A cell with a number is {number: text}.
export function row(table, cells) {
  const labels = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const stacked = table.classList.contains("stack");
  const line = make("tr", stacked ? { role: "row" } : null);
  cells.forEach((cell, index) => {
    const element =
      index === 0 ? make("th", { scope: "row" }) : make("td", { "data-label": labels[index] });
    if (stacked) element.setAttribute("role", index === 0 ? "rowheader" : "cell");
    const isNumber = cell && cell.number !== undefined;
    if (isNumber) element.className = "number";
    element.append(isNumber ? cell.number : (cell ?? ""));
    line.append(element);
  });
  return line;
}

export function fill(table, rows, emptyText) {
  const lines = rows.map((cells) => row(table, cells));
  if (!lines.length) {
    const columns = table.tHead.rows[0].cells.length;
    lines.push(make("tr", null, make("td", { colspan: columns, class: "quiet" }, emptyText)));
  }
  table.tBodies[0].replaceChildren(...lines);
}
