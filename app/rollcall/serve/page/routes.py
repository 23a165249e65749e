"""Routes of the page: documents, files, data as JSON, and streams of events."""

from __future__ import annotations

from fastapi import Request, Response

from rollcall.events.ids import whole_number
from rollcall.serve.api.parameter_names import only_once
from rollcall.serve.page.courses import MOST_PEOPLE, read_course, search_courses
from rollcall.serve.page.event_streams import course_events, flow_events
from rollcall.serve.page.responses import PageError, document, json_response, redirect
from rollcall.serve.page.routing import GET, PageState, SignedIn, new_router, visitor_of

MOST_SEARCH_CHARACTERS = 200
MOST_COURSES = 100

router = new_router()


@router.api_route("/", methods=GET)
async def root(request: Request, page: PageState) -> Response:
    """The page, or the way to the login."""
    try:
        visitor_of(request, page)
    except PageError:
        return redirect("/login")
    return document(page.document)


@router.api_route("/static/{name}", methods=GET)
async def static_file(request: Request, page: PageState) -> Response:
    """Script, style or icon. The login needs them too, so no session is necessary."""
    return page.files.response(request, request.path_params["name"])


@router.api_route("/page/session", methods=GET)
async def session(visitor: SignedIn) -> Response:
    """The visitor's name."""
    return json_response({"name": visitor.name, "session": visitor.session is not None})


@router.api_route("/page/flow", methods=GET)
async def flow(page: PageState, _visitor: SignedIn) -> Response:
    """Rates, lag and processes."""
    return json_response(page.flow.content)


@router.get("/page/flow/events")
async def flow_stream(page: PageState, visitor: SignedIn) -> Response:
    """The same, as a stream."""
    page.check_streams()
    return page.streams.response(flow_events(page, visitor))


@router.api_route("/page/courses", methods=GET)
async def courses(request: Request, page: PageState, _visitor: SignedIn) -> Response:
    """Courses with a text in their name, or with an id."""
    _check_parameters(request, "search", "limit")
    text = request.query_params.get("search", "")
    if len(text) > MOST_SEARCH_CHARACTERS:
        raise PageError(400, f"search: at most {MOST_SEARCH_CHARACTERS} characters")
    limit = whole_number(request.query_params.get("limit", "50"))
    if limit is None or limit > MOST_COURSES:
        raise PageError(400, f"limit: a number from 1 to {MOST_COURSES}")
    page.check_replica()
    shard = page.context.settings.shard
    return json_response(
        await page.context.reader.read(lambda db: search_courses(db, text, shard, limit))
    )


@router.api_route("/page/courses/{course_id}", methods=GET)
async def course(request: Request, page: PageState, _visitor: SignedIn) -> Response:
    """A course, and one part of its people."""
    course_id = _course_id(request)
    _check_parameters(request, "after")
    after = request.query_params.get("after", "")
    page.check_replica()
    found = await page.context.reader.read(
        lambda db: read_course(db, course_id, after, MOST_PEOPLE)
    )
    if found is None:
        raise PageError(404, f"there is no course {course_id} in the rosters")
    return json_response(found)


@router.get("/page/courses/{course_id}/events")
async def course_stream(request: Request, page: PageState, visitor: SignedIn) -> Response:
    """Changes of a course, as a stream."""
    course_id = _course_id(request)
    page.check_streams()
    page.check_replica()
    return page.streams.response(course_events(page, visitor, course_id))


@router.api_route("/page/dead-letters", methods=GET)
async def dead_letters(page: PageState, _visitor: SignedIn) -> Response:
    """The last dead letters."""
    return json_response(page.dead_letters.view())


def _check_parameters(request: Request, *names: str) -> None:
    """Refuse parameters in a form that would be ignored silently.

    Raises:
        PageError: 400.
    """
    if wrong := only_once(request.query_params.multi_items(), names):
        raise PageError(400, f"{wrong}: to be given once, without brackets")


def _course_id(request: Request) -> int:
    course_id = whole_number(request.path_params["course_id"])
    if course_id is None:
        raise PageError(404, "there is no such course: its id is a number")
    return course_id
