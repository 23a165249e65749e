// The page: one view at a time, named by the address's fragment.

import { openCourse } from "./course.js";
import { searchCourses } from "./courses.js";
import { followLetters } from "./dead_letters.js";
import { byId } from "./elements.js";
import { openFlow } from "./flow.js";
import { get, showProblem, showStatus, stop } from "./server.js";

const HEADINGS = {
  flow: "Flow",
  courses: "Courses",
  course: "Course",
  "dead-letters": "Dead letters",
};

function open(view, id) {
  const visit = stop();
  showProblem("");
  showStatus("", "");
  if (view === "flow") openFlow();
  else if (view === "courses") searchCourses();
  else if (view === "course") openCourse(id);
  else followLetters(visit);
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
