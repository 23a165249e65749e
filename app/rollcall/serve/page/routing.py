"""Parts that all routes of the page share: errors as responses, state and visitor."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute

from rollcall.serve.page.page import Page
from rollcall.serve.page.responses import PageError, error_response
from rollcall.serve.page.sessions import Visitor, is_same_origin
from rollcall.serve.replica.reading import ReplicaUnavailableError

GET = ["GET", "HEAD"]


class _PageRoute(APIRoute):
    """Turns errors of a handler into responses with the page's headers."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with errors as responses."""
        handler = super().get_route_handler()

        async def respond(request: Request) -> Response:
            try:
                return await handler(request)
            except PageError as error:
                return error_response(error.status, str(error))
            except ReplicaUnavailableError as error:
                return error_response(503, str(error))

        return respond


def new_router() -> APIRouter:
    """An empty router of the page."""
    return APIRouter(route_class=_PageRoute, include_in_schema=False)


async def _page(request: Request) -> Page:
    page: Page = request.app.state.page
    return page


PageState = Annotated[Page, Depends(_page)]
"""Parameter of a handler: the page's state."""


def visitor_of(request: Request, page: Page) -> Visitor:
    """The visitor who sent a request.

    Raises:
        PageError: 401, the request has neither session nor token.
    """
    return page.sessions.visitor(request.headers, time.time())


async def _signed_in(request: Request, page: PageState) -> Visitor:
    return visitor_of(request, page)


SignedIn = Annotated[Visitor, Depends(_signed_in)]
"""Parameter of a handler: the visitor. Others get status 401."""


def check_origin(request: Request) -> None:
    """Check that a form was sent by the page itself.

    Raises:
        PageError: 403.
    """
    if not is_same_origin(request.headers):
        raise PageError(403, "this form was not sent from this page")
