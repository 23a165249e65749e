"""The API as an ASGI application, with its OpenAPI document."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from rollcall.serve.api.errors import JSON, NOT_FOUND, RETRY_SECONDS, ApiError, error_body
from rollcall.serve.api.routes import api_router
from rollcall.serve.context import ServeContext
from rollcall.serve.replica.reading import ReplicaUnavailableError
from rollcall.version import package_version

log = logging.getLogger(__name__)

_ABOUT = """\
Who is in which course, section and group, as Canvas's live events tell: the paths, parameters and \
objects of Canvas's own REST API, read-only.
Fields that begin with `rollcall_` are not Canvas's. What differs from Canvas is in docs/api.md."""


def new_application(context: ServeContext, others: Sequence[APIRouter]) -> FastAPI:
    """The application.

    Args:
        others: what is served beside the API.
    """
    app = _Application(
        title="Rollcall",
        version=package_version(),
        description=_ABOUT,
        docs_url=None,  # these pages would fetch their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(api_router(context))
    for router in others:
        app.include_router(router, include_in_schema=False)
    app.exception_handler(ApiError)(_refused)
    app.exception_handler(ReplicaUnavailableError)(_unavailable)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_other)
    app.exception_handler(Exception)(_failed)
    return app


class _Application(FastAPI):
    """FastAPI's, without an answer in the document that is never given: what is wrong with a
    parameter is told with 400, as Canvas does.
    """

    def openapi(self) -> dict[str, Any]:
        """The document."""
        if self.openapi_schema is None:
            document = super().openapi()
            for calls in document["paths"].values():
                for call in calls.values():
                    call["responses"].pop("422", None)
            for unused in ("HTTPValidationError", "ValidationError"):
                document["components"]["schemas"].pop(unused, None)
        assert self.openapi_schema is not None
        return self.openapi_schema


def routes_of(app: FastAPI) -> list[str]:
    """The paths that an application answers to, by which its requests are counted."""
    found: dict[str, None] = {}

    def look(routes: Sequence[object]) -> None:
        for route in routes:
            included = getattr(route, "original_router", None)
            if included is not None:
                look(included.routes)
            else:
                # not all kinds of routes have one
                found[str(getattr(route, "path_format"))] = None  # noqa: B009

    look(app.routes)
    return [*found]


def _answer(
    status: int, message: str, field: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    return Response(orjson.dumps(error_body(message, field)), status, headers, media_type=JSON)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _answer(error.status, error.message, error.field, error.headers)


async def _unavailable(_request: Request, error: Exception) -> Response:
    log.warning("%s", error)
    return _answer(
        503,
        "the replica cannot be read now; come back later",
        headers={"retry-after": RETRY_SECONDS},
    )


async def _failed(_request: Request, _error: Exception) -> Response:
    """Starlette answers with this, and raises the error again for the log."""
    return _answer(500, "Rollcall cannot answer this, and its log says why")


async def _invalid(_request: Request, error: Exception) -> Response:
    """A parameter is not what it may be."""
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    if fault["loc"][0] == "path":
        return _answer(404, NOT_FOUND)
    field = str(fault["loc"][1]) if len(fault["loc"]) > 1 else str(fault["loc"][-1])
    return _answer(400, f"{field}: {fault['msg']}", field)


async def _other(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _answer(
        error.status_code,
        NOT_FOUND if error.status_code == 404 else str(error.detail),
        headers=dict(error.headers or {}),
    )
