// The view of one course: its people, sections and groups, and its changes as they come.

import { byId, make, moment, number, row, state } from "./elements.js";
import { get, listen, showProblem } from "./server.js";

const MOST_CHANGES = 100;

let course = null;

const compare = (one, other) => (one < other ? -1 : one > other ? 1 : 0);

// By surname, then by id. Ids are text, so a shorter one is a smaller number.
const order = (one, other) =>
  compare(one.sort, other.sort) || one.id.length - other.id.length || compare(one.id, other.id);

export function openCourse(id) {
  course = { id, people: new Map(), next: null, loaded: false, loading: 0, missed: [] };
  byId("people").tBodies[0].replaceChildren();
  for (const list of ["changes", "counts", "sections", "groups", "course-facts"])
    byId(list).replaceChildren();
  byId("course-heading").textContent = `Course ${id}`;
  byId("more").hidden = true;
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
    byId("people").tBodies[0].replaceChildren();
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
  byId("more").hidden = !found.next;
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
  byId("course-heading").textContent = head.name || `Course ${head.course_id}`;
  document.title = `${byId("course-heading").textContent} - Rollcall`;
  const facts = head.state
    ? [state(head.state), ` ${head.why}, as of `, moment(head.as_of)]
    : ["No event of the course itself yet"];
  byId("course-facts").replaceChildren(...facts, ", id ", make("code", null, head.course_id));
  byId("counts").replaceChildren(
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
  byId("sections").replaceChildren(
    ...head.sections.map((one) =>
      part(one, one.nonxlist_course_id ? `cross-listed from course ${one.nonxlist_course_id}` : ""),
    ),
  );
  const groupNote = ({ category, members }) => {
    const count = `${number(members)} ${members === 1 ? "member" : "members"}`;
    return category ? `${category}, ${count}` : count;
  };
  byId("groups").replaceChildren(...head.groups.map((group) => part(group, groupNote(group))));
}

// Insert a person's row in order. It replaces the previous row.
function place(person, changed) {
  const body = byId("people").tBodies[0];
  course.people.get(person.id)?.line.remove();
  const line = row(byId("people"), [
    person.name || `User ${person.user_id}`,
    person.role,
    state(person.state),
    person.history
      ? make("span", { title: person.history }, person.why || person.state_reason)
      : person.why || person.state_reason,
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
  const last = byId("people").tBodies[0].lastElementChild;
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
  byId("changes").prepend(
    make(
      "li",
      null,
      moment(item.at),
      make("strong", null, item.subject),
      item.kind === "change" ? ": " : " ",
      item.text,
    ),
  );
  while (byId("changes").children.length > MOST_CHANGES) byId("changes").lastElementChild.remove();
  byId("no-changes").hidden = true;
}

// Changes from before the visit are not announced by screen readers.
function showRecent(items) {
  byId("log").setAttribute("aria-live", "off");
  byId("changes").replaceChildren();
  byId("no-changes").hidden = false;
  items.forEach(addChange);
  setTimeout(() => byId("log").setAttribute("aria-live", "polite"), 100);
}

byId("more").addEventListener("click", morePeople);
