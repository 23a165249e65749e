"use strict";
// Values of events become text nodes, never HTML.

const by = (id) => document.getElementById(id);
const HEADINGS = {
  flow: "Flow",
  courses: "Courses",
  course: "Course",
  "dead-letters": "Dead letters",
};
const LETTERS_MS = 3000;
const RETRY_MS = 3000;
const SEARCH_MS = 250;
const MOST_CHANGES = 100;
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

// --- elements

function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) element.setAttribute(name, value);
  element.append(
    ...children
      .filter((child) => child !== null && child !== undefined)
      .map((child) => (child instanceof Node ? child : String(child))),
  );
  return element;
}

const number = (value) =>
  value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en");
const rate = (value) => (value > 0 && value < 9.95 ? value.toFixed(1) : number(value));

function duration(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

function moment(text, precision = "second") {
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

const state = (name) => make("span", { class: `state ${stateClass(name)}` }, name);

// A row of a table. The first cell is its header. A cell with a number is {number: text}.
function row(table, cells) {
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

function fill(table, rows, emptyText) {
  const lines = rows.map((cells) => row(table, cells));
  if (!lines.length) {
    const columns = table.tHead.rows[0].cells.length;
    lines.push(make("tr", null, make("td", { colspan: columns, class: "quiet" }, emptyText)));
  }
  table.tBodies[0].replaceChildren(...lines);
}

// --- the server

async function get(path) {
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

function showProblem(problem) {
  const text = problem ? `${problem.charAt(0).toUpperCase()}${problem.slice(1)}` : "";
  if (by("problem").textContent !== text) by("problem").textContent = text;
  by("problem").hidden = !problem;
}

function showStatus(text, kind) {
  if (by("live").textContent !== text) by("live").textContent = text;
  by("live").className = `live ${kind}`;
}

let source = null;
let timer = 0;
let visit = 0; // number of the open view: late responses for another one are dropped

function stop() {
  source?.close();
  source = null;
  clearTimeout(timer);
}

// One stream at a time: a browser has six connections to a server, for all its tabs together.
function listen(path, handlers, onLost) {
  stop();
  const stream = (source = new EventSource(path));
  stream.addEventListener("hello", () => showStatus("Live", "on"));
  stream.addEventListener("goodbye", () => location.assign("/login"));
  for (const [name, handle] of Object.entries(handlers))
    stream.addEventListener(name, (event) => handle(JSON.parse(event.data)));
  stream.onerror = () => {
    showStatus("Connection lost, trying again", "off");
    if (stream !== source || stream.readyState !== EventSource.CLOSED) return;
    timer = setTimeout(() => listen(path, handlers, onLost), RETRY_MS);
    onLost();
  };
}

// --- flow

function showFlow(flow) {
  const { totals, replica } = flow;
  const tile = (name, value, note) =>
    make("div", null, make("dt", null, name), make("dd", null, value), make("dd", null, note));
  const countTile = (name, count) =>
    tile(
      name,
      count.rate === null ? "–" : `${rate(count.rate)}/s`,
      count.total === null ? "no router answers" : `${number(count.total)} in all`,
    );
  const lag = Object.entries(flow.lag);
  const oldest = Math.max(0, ...Object.values(flow.oldest_seconds));
  const fresh = replica.freshness_seconds;
  by("tiles").replaceChildren(
    countTile("Events", totals.received),
    countTile("Routed", totals.routed),
    countTile("Unknown", totals.unknown),
    countTile("Dead letters", totals.dead),
    tile(
      "Lag, records",
      lag.length ? number(lag.reduce((sum, [, value]) => sum + value, 0)) : "–",
      lag.map(([kind, value]) => `${kind} ${number(value)}`).join(", ") || "no process answers",
    ),
    tile("Oldest unprocessed", lag.length ? duration(oldest) : "–", "by the processes"),
    tile(
      "Rosters here are",
      !replica.complete ? "incomplete" : fresh < 1.5 ? "up to date" : `${duration(fresh)} old`,
      `${number(replica.lag)} records behind`,
    ),
  );
  const known = flow.history.filter((value) => value !== null);
  const greatest = Math.max(1, ...known);
  const left = 180 - flow.history.length;
  by("curve-line").setAttribute(
    "points",
    flow.history
      .map((value, at) => `${left + at},${(38 - (36 * (value ?? 0)) / greatest).toFixed(1)}`)
      .join(" "),
  );
  const peak = known.length ? `, at most ${rate(Math.max(...known))}` : ": not known";
  by("curve-caption").textContent = `Events per second over the last three minutes${peak}`;
  fill(
    by("types"),
    flow.event_types.map((type) => [
      type.name,
      { number: rate(type.rate) },
      { number: number(type.total) },
      { number: number(type.dead) },
    ]),
    "No events yet.",
  );
  fill(
    by("codes"),
    flow.dead_letters.map((count) => [
      count.code,
      { number: rate(count.rate) },
      { number: number(count.total) },
    ]),
    "None since the processes were started.",
  );
  fill(by("replica"), [
    ...Object.entries(replica.rows).map(([name, rows]) => [
      `rows of ${name}`,
      { number: number(rows) },
    ]),
    ["records taken since the start", { number: number(replica.records) }],
    ["unusable records", { number: number(replica.unusable) }],
  ]);
  fill(
    by("processes"),
    flow.processes.map((process) => [
      make("code", null, process.url),
      process.reachable ? `${process.kind || "?"} ${process.version}` : "",
      { number: process.reachable ? rate(process.rate) : "" },
      { number: process.reachable ? number(process.lag) : "" },
      { number: process.reachable ? duration(process.oldest_seconds) : "" },
      remarks(process),
    ]),
    "None: ROLLCALL_METRICS_URLS is empty.",
  );
  fill(
    by("stages"),
    flow.stages.map((stage) => [
      stage.name,
      ...[stage.rows, stage.parked, stage.to_follow].map((value) => ({ number: number(value) })),
      ...[stage.consumed_rate, stage.published_rate, stage.withdrawn_rate].map((value) => ({
        number: rate(value),
      })),
    ]),
    "No rosters process answers.",
  );
  showProblem(replica.problem);
}

function remarks(process) {
  if (!process.reachable) return make("span", { class: "state bad long" }, process.problem);
  const problems = process.breakers.map((partition) => `breaker open: ${partition}`);
  if (process.expired) problems.push(`${number(process.expired)} records expired unread`);
  if (process.failures) problems.push(`${number(process.failures)} failures to write`);
  return problems.length
    ? make("span", { class: "state bad long" }, problems.join("; "))
    : make("span", { class: "state good" }, "fine");
}

// --- courses

let searches = 0; // late responses for another search are dropped

async function searchCourses() {
  const mine = ++searches;
  const query = by("query").value;
  try {
    const { courses, more } = await get(`/page/courses?search=${encodeURIComponent(query)}`);
    if (mine !== searches) return;
    showProblem("");
    showStatus("", "");
    const noun = courses.length === 1 && !more ? "course" : "courses";
    by("found").textContent = more
      ? `${courses.length} or more ${noun}: the first are shown`
      : `${courses.length} ${noun}`;
    // The focus stays on a course that the previous response had, too.
    const focused = by("results").contains(document.activeElement)
      ? document.activeElement.hash
      : "";
    fill(
      by("results"),
      courses.map((course) => [
        make(
          "a",
          { href: `#course/${course.course_id}` },
          course.name || `Course ${course.course_id}`,
        ),
        course.state ? state(course.state) : "no event yet",
        { number: number(course.active) },
        make("code", null, course.course_id),
        moment(course.as_of, "minute"),
      ]),
      query ? "No course has this name or id." : "There are no courses yet.",
    );
    if (focused) (by("results").querySelector(`a[href="${focused}"]`) ?? by("query")).focus();
  } catch (problem) {
    if (mine === searches) showProblem(problem.message);
  }
}

// --- one course

let course = null;

const compare = (one, other) => (one < other ? -1 : one > other ? 1 : 0);

// By surname, then by id. Ids are text, so a shorter one is a smaller number.
const order = (one, other) =>
  compare(one.sort, other.sort) || one.id.length - other.id.length || compare(one.id, other.id);

function openCourse(id) {
  course = { id, people: new Map(), next: null, loaded: false, loading: 0, missed: [] };
  by("people").tBodies[0].replaceChildren();
  for (const list of ["changes", "counts", "sections", "groups", "course-facts"])
    by(list).replaceChildren();
  by("course-heading").textContent = `Course ${id}`;
  by("more").hidden = true;
  listen(
    `/page/courses/${id}/events`,
    { hello: loadCourse, recent: showRecent, changes: change, reload: loadCourse },
    loadCourse,
  );
}

async function loadCourse() {
  const mine = course;
  const loading = ++course.loading;
  course.missed = [];
  try {
    const found = await get(`/page/courses/${course.id}`);
    if (mine !== course || loading !== course.loading) return;
    showProblem("");
    showHead(found);
    course.people.clear();
    by("people").tBodies[0].replaceChildren();
    addPeople(found);
    course.loaded = true;
    const missed = course.missed;
    course.missed = null;
    missed.forEach(applyRows);
  } catch (problem) {
    if (mine === course && loading === course.loading) showProblem(problem.message);
  }
}

function addPeople(found) {
  found.people.forEach((person) => place(person, false));
  course.next = found.next;
  by("more").hidden = !found.next;
}

async function morePeople() {
  const mine = course;
  try {
    const found = await get(`/page/courses/${course.id}?after=${encodeURIComponent(course.next)}`);
    if (mine === course) addPeople(found);
  } catch (problem) {
    showProblem(problem.message);
  }
}

function showHead(head) {
  by("course-heading").textContent = head.name || `Course ${head.course_id}`;
  document.title = `${by("course-heading").textContent} - Rollcall`;
  const facts = head.state
    ? [state(head.state), ` ${head.why}, as of `, moment(head.as_of)]
    : ["No event of the course itself yet"];
  by("course-facts").replaceChildren(...facts, ", id ", make("code", null, head.course_id));
  by("counts").replaceChildren(
    ...head.counts.map((found) =>
      make("li", null, `${found.role}: ${number(found.count)} `, state(found.state)),
    ),
  );
  const part = (one, note) =>
    make(
      "li",
      null,
      one.name || one.id,
      " ",
      state(one.state),
      note ? make("span", { class: "quiet" }, ` ${note}`) : null,
    );
  by("sections").replaceChildren(
    ...head.sections.map((one) =>
      part(one, one.nonxlist_course_id ? `cross-listed from course ${one.nonxlist_course_id}` : ""),
    ),
  );
  const groupNote = ({ category, members }) => {
    const count = `${number(members)} ${members === 1 ? "member" : "members"}`;
    return category ? `${category}, ${count}` : count;
  };
  by("groups").replaceChildren(...head.groups.map((group) => part(group, groupNote(group))));
}

// Insert a person's row in order. It replaces the previous row.
function place(person, changed) {
  const body = by("people").tBodies[0];
  course.people.get(person.id)?.line.remove();
  const line = row(by("people"), [
    person.name || `User ${person.user_id}`,
    person.role,
    state(person.state),
    person.why || person.state_reason,
    person.section || person.section_id,
    person.groups.join(", "),
    moment(person.as_of, "minute"),
  ]);
  line.dataset.id = person.id;
  if (changed) line.className = "changed";
  course.people.set(person.id, { person, line });
  const last = body.lastElementChild;
  const isLast = !last || order(course.people.get(last.dataset.id).person, person) < 0;
  const after = isLast
    ? null
    : [...body.rows].find((other) => order(course.people.get(other.dataset.id).person, person) > 0);
  body.insertBefore(line, after);
}

function applyRows({ people, gone }) {
  for (const id of gone) {
    course.people.get(id)?.line.remove();
    course.people.delete(id);
  }
  const last = by("people").tBodies[0].lastElementChild;
  for (const person of people) {
    const isBeyond =
      course.next &&
      !course.people.has(person.id) &&
      last &&
      order(course.people.get(last.dataset.id)?.person ?? person, person) < 0;
    if (!isBeyond) place(person, true);
  }
}

function change(changes) {
  changes.items.forEach(addChange);
  if (changes.reload || !course.loaded) return void loadCourse();
  if (changes.head) showHead(changes.head);
  if (course.missed) course.missed.push(changes);
  else applyRows(changes);
}

function addChange(item) {
  by("changes").prepend(
    make(
      "li",
      null,
      moment(item.at),
      make("strong", null, item.subject),
      item.kind === "change" ? ": " : " ",
      item.text,
    ),
  );
  while (by("changes").children.length > MOST_CHANGES) by("changes").lastElementChild.remove();
  by("no-changes").hidden = true;
}

// Changes from before the visit are not announced by screen readers.
function showRecent(items) {
  by("log").setAttribute("aria-live", "off");
  by("changes").replaceChildren();
  by("no-changes").hidden = false;
  items.forEach(addChange);
  setTimeout(() => by("log").setAttribute("aria-live", "polite"), 100);
}

// --- dead letters

async function followLetters(mine) {
  try {
    const found = await get("/page/dead-letters");
    if (mine !== visit) return;
    showProblem("");
    showStatus(found.problem ? "Not followed now" : "Live", found.problem ? "off" : "on");
    by("letters-topic").textContent = found.topic;
    showLettersState(found);
    showLetters(found.letters);
  } catch (problem) {
    if (mine !== visit) return;
    showStatus("Connection lost, trying again", "off");
    showProblem(problem.message);
  }
  timer = setTimeout(() => followLetters(mine), LETTERS_MS);
}

function showLettersState({ problem, letters }) {
  let text = letters.length ? "" : "There is none.";
  if (problem) text = `Not followed now: ${problem}.`;
  if (by("letters-state").textContent !== text) by("letters-state").textContent = text;
}

// Letters that are listed already stay, so that open ones stay open and keep the focus.
function showLetters(letters) {
  const list = by("letters");
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

// --- views

function open(view, id) {
  stop();
  showProblem("");
  showStatus("", "");
  const mine = ++visit;
  if (view === "flow")
    listen("/page/flow/events", { flow: showFlow }, () =>
      get("/page/flow").then(showFlow, (problem) => showProblem(problem.message)),
    );
  else if (view === "courses") searchCourses();
  else if (view === "course") openCourse(id);
  else followLetters(mine);
}

function currentView() {
  const [view, id] = location.hash.slice(1).split("/");
  if (view === "course" && /^[0-9]{1,19}$/.test(id ?? "")) return [view, id];
  return [view in HEADINGS && view !== "course" ? view : "flow"];
}

function show(first) {
  const [view, id] = currentView();
  for (const section of document.querySelectorAll("[data-view]"))
    section.hidden = section.dataset.view !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${view === "course" ? "courses" : view}`)
      link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${HEADINGS[view]} - Rollcall`;
  open(view, id);
  if (first !== true) document.querySelector(`[data-view="${view}"] h1`).focus();
}

let typing = 0;
by("query").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(searchCourses, SEARCH_MS);
});
by("search").addEventListener("submit", (event) => {
  event.preventDefault();
  searchCourses();
});
by("more").addEventListener("click", morePeople);
by("skip").addEventListener("click", (event) => {
  event.preventDefault();
  by("main").focus();
});
addEventListener("hashchange", show);
// A tab in the background needs no connection, and other tabs may.
document.addEventListener("visibilitychange", () =>
  document.hidden ? stop() : open(...currentView()),
);
get("/page/session").then(
  (session) => {
    by("logout").hidden = !session.session;
    by("who").textContent = session.name ?? "";
  },
  (problem) => showProblem(problem.message),
);
show(true);
