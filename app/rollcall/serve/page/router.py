"""The page's routes, and what runs for them in the background."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from rollcall.events.ids import whole_number
from rollcall.serve.api.parameters import only_once
from rollcall.serve.context import ServeContext
from rollcall.serve.page.access import COOKIE, SESSION_SECONDS, Access, Visitor, comes_from_here
from rollcall.serve.page.answers import (
    PageError,
    StaticFiles,
    data,
    document,
    error,
    read_document,
    redirect,
)
from rollcall.serve.page.changes import names_for, told, touched
from rollcall.serve.page.courses import (
    MOST_PEOPLE,
    read_course,
    read_head,
    read_people,
    search_courses,
)
from rollcall.serve.page.dead_letters import DeadLetters
from rollcall.serve.page.flow import ROUND_SECONDS, Flow
from rollcall.serve.page.streams import GOODBYE, HEARTBEAT, HEARTBEAT_SECONDS, HELLO, Streams, event
from rollcall.serve.replica.feed import Change
from rollcall.serve.replica.reading import ReplicaUnavailableError

log = logging.getLogger(__name__)

MOST_FORM_BYTES = 4_096

WRONG_TOKEN_SECONDS = 0.5
"""A token cannot be guessed. This is for whoever tries all the same, and for the log."""

MOST_TOLD = 100
"""Changes of a course that are told at once; of more, the latest."""

MOST_ROWS = 200
"""Rows that are sent with changes. Where more have changed, the page reads the roster anew."""

GATHER_SECONDS = 0.5
"""For so long, further changes are gathered after some were sent."""

MOST_SEARCHED_CHARACTERS = 200
AGAIN_SECONDS = 5.0
"""After something failed that should not have."""

Endpoint = Callable[[Request], Awaitable[Response]]


class Page:
    """The page of one process.

    Attributes:
        router: to be included in the application.
        letters: the dead letters that it shows.
        streams: the streams of events that it serves.
    """

    def __init__(self, context: ServeContext) -> None:
        self._context = context
        self._access = Access(context.tokens)
        self._flow = Flow(context.settings.metrics_urls, lambda: context.follower.progress)
        self.letters = DeadLetters(context.settings, context.bootstrap)
        self.streams = Streams()
        self._files = StaticFiles()
        self._page, self._login = read_document("page"), read_document("login")
        self.router = self._routes()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look at metrics and dead letters while the context is open."""
        tasks = [
            asyncio.create_task(_always(work, name), name=name)
            for work, name in ((self._flow.run, "flow"), (self.letters.run, "dead letters"))
        ]
        try:
            yield
        finally:
            self.end_streams()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def end_streams(self) -> None:
        """End the streams of events. To be called when the server is told to stop, which otherwise
        waits for them.
        """
        self.streams.end()

    # --- routes

    def _routes(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        both = ("GET", "HEAD")
        for path, endpoint, methods in (
            ("/", self._root, both),
            ("/login", self._login_form, both),
            ("/login", self._sign_in, ("POST",)),
            ("/logout", self._sign_out, ("POST",)),
            ("/static/{name}", self._static, both),
            ("/page/session", self._session, both),
            ("/page/flow", self._flow_now, both),
            ("/page/flow/events", self._flow_events, ("GET",)),
            ("/page/courses", self._courses, both),
            ("/page/courses/{course_id}", self._course, both),
            ("/page/courses/{course_id}/events", self._course_events, ("GET",)),
            ("/page/dead-letters", self._dead_letters, both),
        ):
            router.add_api_route(
                path,
                _answering(endpoint),
                methods=list(methods),
                response_model=None,
                include_in_schema=False,
                name=path,
            )
        return router

    async def _root(self, request: Request) -> Response:
        try:
            self._visitor(request)
        except PageError:
            return redirect("/login")
        return document(self._page)

    async def _static(self, request: Request) -> Response:
        return self._files.answer(request, request.path_params["name"])

    async def _login_form(self, request: Request) -> Response:
        try:
            self._visitor(request)
        except PageError:
            return document(self._login)
        return redirect("/")

    async def _sign_in(self, request: Request) -> Response:
        _check_origin(request)
        if not self._access.required:
            return redirect("/")
        visitor = self._access.sign_in(await _token_of_form(request), time.time())
        if visitor is None:
            log.warning("somebody tried to sign in with a token that is nobody's")
            await asyncio.sleep(WRONG_TOKEN_SECONDS)
            return document(
                self._login.replace(
                    "<!-- message -->",
                    '<p class="problem" role="alert">This token is not known. Is it complete?</p>',
                ),
                401,
            )
        log.info("%s has signed in", visitor.name)
        answer = redirect("/")
        assert visitor.session is not None
        answer.set_cookie(
            COOKIE,
            visitor.session,
            SESSION_SECONDS,
            path="/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return answer

    async def _sign_out(self, request: Request) -> Response:
        _check_origin(request)
        self._access.sign_out(request.headers)
        answer = redirect("/login")
        answer.delete_cookie(
            COOKIE, path="/", secure=request.url.scheme == "https", httponly=True, samesite="strict"
        )
        return answer

    async def _session(self, request: Request) -> Response:
        visitor = self._visitor(request)
        return data({"name": visitor.name, "session": visitor.session is not None})

    async def _flow_now(self, request: Request) -> Response:
        self._visitor(request)
        return data(self._flow.content)

    async def _flow_events(self, request: Request) -> Response:
        visitor = self._visitor(request)
        self._check_streams()
        return self.streams.answer(self._tell_flow(visitor))

    async def _courses(self, request: Request) -> Response:
        self._visitor(request)
        _check_forms(request, "search", "limit")
        text = request.query_params.get("search", "")
        if len(text) > MOST_SEARCHED_CHARACTERS:
            raise PageError(400, f"search: at most {MOST_SEARCHED_CHARACTERS} characters")
        limit = whole_number(request.query_params.get("limit", "50"))
        if limit is None or limit > 100:
            raise PageError(400, "limit: a number from 1 to 100")
        self._check_complete()
        return data(
            await self._context.reader.read(
                lambda db: search_courses(db, text, self._context.settings.shard, limit)
            )
        )

    async def _course(self, request: Request) -> Response:
        self._visitor(request)
        course_id = _course_id(request)
        _check_forms(request, "after")
        after = request.query_params.get("after", "")
        self._check_complete()
        course = await self._context.reader.read(
            lambda db: read_course(db, course_id, after, MOST_PEOPLE)
        )
        if course is None:
            raise PageError(404, f"there is no course {course_id} in the rosters")
        return data(course)

    async def _course_events(self, request: Request) -> Response:
        visitor = self._visitor(request)
        course_id = _course_id(request)
        self._check_streams()
        self._check_complete()
        return self.streams.answer(self._tell_course(visitor, course_id))

    async def _dead_letters(self, request: Request) -> Response:
        self._visitor(request)
        return data(self.letters.view())

    # --- what is checked

    def _visitor(self, request: Request) -> Visitor:
        return self._access.visitor(request.headers, time.time())

    def _check_streams(self) -> None:
        if self.streams.refusal is not None:
            raise PageError(503, self.streams.refusal)

    def _check_complete(self) -> None:
        progress = self._context.follower.progress
        if not progress.complete:
            why = f": {progress.problem}" if progress.problem else ""
            raise PageError(
                503, f"the replica is still being filled ({progress.records:,} records so far){why}"
            )

    # --- streams

    async def _tell_flow(self, visitor: Visitor) -> AsyncGenerator[bytes, None]:
        yield HELLO
        while self._access.is_welcome(visitor, time.time()):
            yield event("flow", self._flow.content)
            await asyncio.sleep(ROUND_SECONDS)
        yield GOODBYE

    async def _tell_course(self, visitor: Visitor, course_id: int) -> AsyncGenerator[bytes, None]:
        feed = self._context.feed
        with feed.subscribed(course_id) as subscription:
            yield HELLO
            recent = feed.recent(course_id)
            last = recent[-1].number if recent else 0
            try:
                yield event(
                    "recent",
                    (await self._told(course_id, recent[-MOST_TOLD:], rows=False))["items"],
                )
                while True:
                    changes = await subscription.next(HEARTBEAT_SECONDS)
                    if not self._access.is_welcome(visitor, time.time()):
                        yield GOODBYE
                        return
                    if changes is None:
                        yield event("reload")
                    elif new := [
                        change for change in changes if change.number > last
                    ]:  # what came while `recent` was read is in both
                        yield event("changes", await self._told(course_id, new, rows=True))
                    elif not changes:
                        yield HEARTBEAT
                    await asyncio.sleep(GATHER_SECONDS)
            except ReplicaUnavailableError:
                return  # the browser asks again, and is told why

    async def _told(self, course_id: int, changes: list[Change], *, rows: bool) -> dict[str, Any]:
        """Changes in words, and, for those that are looking at the roster, how the rows that they
        are about are now.
        """
        about = touched(changes)
        whole = about.beyond or len(about.enrollments) + len(about.users) > MOST_ROWS
        of_people: tuple[frozenset[int], frozenset[int]] = (
            (frozenset(), frozenset()) if whole or not rows else (about.enrollments, about.users)
        )

        def read(db: Any) -> dict[str, Any]:
            items = told(
                changes[-MOST_TOLD:], course_id, names_for(db, course_id, changes[-MOST_TOLD:])
            )
            if not rows:
                return {"items": items}
            people = read_people(db, course_id, *of_people)
            present = {person["id"] for person in people}
            gone = [identity for identity in map(str, of_people[0]) if identity not in present]
            return {
                "items": items,
                "reload": whole,
                "head": read_head(db, course_id),
                "people": people,
                "gone": gone,
            }

        return await self._context.reader.read(read)


def _answering(endpoint: Endpoint) -> Endpoint:
    """An endpoint whose errors are answers."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except PageError as problem:
            return error(problem.status, str(problem))
        except ReplicaUnavailableError as problem:
            return error(503, str(problem))

    return answer


async def _always(work: Callable[[], Awaitable[None]], name: str) -> None:
    """Run something that should never end, and run it again if it does: the page must not go blind
    because of one record that nobody has thought of.
    """
    while True:
        try:
            await work()
        except Exception:
            log.exception(
                "the %s of the page failed, and is begun again: a fault of Rollcall; report it, "
                "with this",
                name,
            )
        await asyncio.sleep(AGAIN_SECONDS)


def _check_forms(request: Request, *names: str) -> None:
    """A parameter in another form would be left out silently."""
    if wrong := only_once(request.query_params.multi_items(), names):
        raise PageError(400, f"{wrong}: to be given once, without brackets")


def _course_id(request: Request) -> int:
    course_id = whole_number(request.path_params["course_id"])
    if course_id is None:
        raise PageError(404, "there is no such course: its id is a number")
    return course_id


def _check_origin(request: Request) -> None:
    if not comes_from_here(request.headers):
        raise PageError(403, "this form was not sent from this page")


async def _token_of_form(request: Request) -> str:
    if (
        request.headers.get("content-type", "").partition(";")[0].strip().lower()
        != "application/x-www-form-urlencoded"
    ):
        raise PageError(415, "a form is expected: application/x-www-form-urlencoded")
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > MOST_FORM_BYTES:
                raise PageError(413, f"a form of {MOST_FORM_BYTES} bytes at most is expected")
    except ClientDisconnect:
        raise PageError(400, "the form is not complete") from None
    try:
        fields = parse_qs(body.decode(), max_num_fields=10)
    except ValueError:
        raise PageError(400, "the form cannot be read") from None
    return fields.get("token", [""])[0].strip()
