// The view that searches courses.

import { byId, fill, make, moment, number, state } from "./elements.js";
import { get, showProblem, showStatus } from "./server.js";

const SEARCH_MS = 250;

let searches = 0; // late responses for another search are dropped

export async function searchCourses() {
  const mine = ++searches;
  const query = byId("query").value;
  try {
    const { courses, more } = await get(`/page/courses?search=${encodeURIComponent(query)}`);
    if (mine !== searches) return;
    showProblem("");
    showStatus("", "");
    const noun = courses.length === 1 && !more ? "course" : "courses";
    byId("found").textContent = more
      ? `${courses.length} or more ${noun}: the first are shown`
      : `${courses.length} ${noun}`;
    // The focus stays on a course that the previous response had, too.
    const focused = byId("results").contains(document.activeElement)
      ? document.activeElement.hash
      : "";
    fill(
      byId("results"),
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
    if (focused) (byId("results").querySelector(`a[href="${focused}"]`) ?? byId("query")).focus();
  } catch (problem) {
    if (mine === searches) showProblem(problem.message);
  }
}

let typing = 0;
byId("query").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(searchCourses, SEARCH_MS);
});
byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  searchCourses();
});
