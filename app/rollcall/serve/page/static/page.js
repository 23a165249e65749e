// The page: one view at a time, named by the address's fragment.

import { openCourse } from "./course.js";
import { searchCourses } from "./courses.js";
import { followLetters } from "./dead_letters.js";
import { byId } from "./elements.js";
import { openFlow } from "./flow.js";
import { get, showProblem, showStatus, stop } from "./server.js";

// Of each view, by its name in page.html: its title, and the function that opens it.
const VIEWS = {
  flow: ["Flow", () => openFlow()],
  courses: ["Courses", () => searchCourses()],
  course: ["Course", (id) => openCourse(id)],
  "dead-letters": ["Dead letters", (_id, visit) => followLetters(visit)],
};

function open(view, id) {
  const visit = stop();
  showProblem("");
  showStatus("", "");
  VIEWS[view][1](id, visit);
}

function currentView() {
  const [view, id] = location.hash.slice(1).split("/");
  if (view === "course" && /^[0-9]{1,19}$/.test(id ?? "")) return [view, id];
  return [Object.hasOwn(VIEWS, view) && view !== "course" ? view : "flow"];
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
  document.title = `${VIEWS[view][0]} - Rollcall`;
  open(view, id);
  if (first !== true) document.querySelector(`[data-view="${view}"] h1`).focus();
}

byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
addEventListener("hashchange", show);
// A tab in the background needs no connection, and other tabs may.
document.addEventListener("visibilitychange", () =>
  document.hidden ? stop() : open(...currentView()),
);
get("/page/session").then(
  (session) => {
    byId("logout").hidden = !session.session;
    byId("who").textContent = session.name ?? "";
  },
  (problem) => showProblem(problem.message),
);
show(true);
