// The view of dead letters.

import { byId, make, moment } from "./elements.js";
import { get, isCurrent, later, showProblem, showStatus } from "./server.js";

const LETTERS_MS = 3000;

export async function followLetters(visit) {
  try {
    const found = await get("/page/dead-letters");
    if (!isCurrent(visit)) return;
    showProblem("");
    showStatus(found.problem ? "Not followed now" : "Live", found.problem ? "off" : "on");
    byId("letters-topic").textContent = found.topic;
    showLettersState(found);
    showLetters(found.letters);
  } catch (problem) {
    if (!isCurrent(visit)) return;
    showStatus("Connection lost, trying again", "off");
    showProblem(problem.message);
  }
  later(() => followLetters(visit), LETTERS_MS);
}

function showLettersState({ problem, letters }) {
  let text = letters.length ? "" : "There is none.";
  if (problem) text = `Not followed now: ${problem}.`;
  if (byId("letters-state").textContent !== text) byId("letters-state").textContent = text;
}

// Letters that are listed already stay, so that open ones stay open and keep the focus.
function showLetters(letters) {
  const list = byId("letters");
  const wanted = new Set(letters.map((letter) => letter.id));
  for (const item of [...list.children]) if (!wanted.has(item.dataset.id)) item.remove();
  const known = new Set([...list.children].map((item) => item.dataset.id));
  for (const letter of letters.filter((one) => !known.has(one.id)).reverse())
    list.prepend(showLetter(letter));
}

function showLetter(letter) {
  const fact = (name, ...values) => [make("dt", null, name), make("dd", null, ...values)];
  const code = (text) => make("code", null, text);
  const facts = make(
    "dl",
    null,
    ...fact("Pointer", letter.path ? code(letter.path) : "the record as a whole"),
    ...fact("Schema", letter.schema ? code(letter.schema) : "none was applied"),
    ...fact(
      "Came from",
      code(
        `${letter.from.topic}, partition ${letter.from.partition}, offset ${letter.from.offset}`,
      ),
    ),
    ...fact("Is at", `partition ${letter.partition}, offset ${letter.offset}`),
    ...fact("Attempt", letter.attempt),
    ...fact("Size", `${letter.size} bytes`),
    ...fact("Value", letter.kind),
  );
  const lines = letter.lines.map(([depth, name, what]) =>
    make(
      "li",
      { class: `d${depth}` },
      name ? make("strong", null, name) : null,
      name ? ": " : "",
      what,
    ),
  );
  const summary = make(
    "summary",
    null,
    moment(letter.at),
    make("span", { class: "state bad" }, letter.code || "no code"),
    ` ${letter.event_name || "no event name"}: ${letter.message}`,
  );
  return make(
    "li",
    { "data-id": letter.id },
    make(
      "details",
      null,
      summary,
      facts,
      lines.length
        ? make("ul", { class: "outline", "aria-label": "Structure of the value" }, ...lines)
        : null,
    ),
  );
}
