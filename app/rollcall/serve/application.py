"""The FastAPI application: API, page and health, with the OpenAPI document of the API."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException

from rollcall.http.errors import JSON, RETRY_SECONDS, HttpError, error_body
from rollcall.process.metrics import ServeMetrics
from rollcall.rosters.registry import RELATIONS
from rollcall.serve import health
from rollcall.serve.api.call import Api
from rollcall.serve.api.errors import NOT_FOUND, ApiError
from rollcall.serve.api.listings import Listings
from rollcall.serve.api.routes import accounts, courses, groups, sections, users
from rollcall.serve.context import ServeContext
from rollcall.serve.health import Health
from rollcall.serve.middleware.paths import OTHER_ROUTE
from rollcall.serve.page import routes as page_routes
from rollcall.serve.page import sign_in
from rollcall.serve.page.page import Page
from rollcall.serve.replica.reading import ReplicaUnavailableError
from rollcall.version import package_version

log = logging.getLogger(__name__)

_ABOUT = """\
Who is in which course, section and group, as Canvas's live events tell: the paths, parameters and \
objects of Canvas's own REST API, read-only.
Fields that begin with `rollcall_` are not Canvas's. What differs from Canvas is in docs/api.md."""

_API_ROUTERS = (courses.router, sections.router, users.router, accounts.router, groups.router)
"""In the order of the OpenAPI document."""


def new_application(
    context: ServeContext, *, page: Page | None = None, health_state: Health | None = None
) -> FastAPI:
    """The application.

    Handlers find their parts in the application's state: ``api``, ``page``, ``health`` and
    ``metrics``, which have the routes as labels.

    Args:
        page: None: without the page.
        health_state: None: without the paths of health and metrics.
    """
    app = _Application(
        title="Rollcall",
        version=package_version(),
        description=_ABOUT,
        docs_url=None,  # these pages would fetch scripts from another site
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.api = Api(context.reader, context.settings.shard, Listings())
    for router in _API_ROUTERS:
        app.include_router(router)
    if health_state is not None:
        app.state.health = health_state
        app.include_router(health.router, include_in_schema=False)
    if page is not None:
        app.state.page = page
        for router in (page_routes.router, sign_in.router):
            app.include_router(router, include_in_schema=False)
    app.exception_handler(HttpError)(_refused)
    app.exception_handler(ReplicaUnavailableError)(_replica_unavailable)
    app.exception_handler(RequestValidationError)(_invalid_parameter)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(Exception)(_unexpected_error)
    app.state.metrics = ServeMetrics(
        CollectorRegistry(),
        [relation.name for relation in RELATIONS],
        [*_paths_of(app), OTHER_ROUTE],
    )
    return app


class _Application(FastAPI):
    """FastAPI with an OpenAPI document without status 422: Rollcall answers with 400 to a wrong
    parameter, as Canvas does.
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


def _paths_of(app: FastAPI) -> list[str]:
    """The paths of all routes."""
    found: dict[str, None] = {}

    def collect(routes: Sequence[object]) -> None:
        for route in routes:
            included = getattr(route, "original_router", None)
            if included is not None:
                collect(included.routes)
            else:
                # not all kinds of routes have one
                found[str(getattr(route, "path_format"))] = None  # noqa: B009

    collect(app.routes)
    return [*found]


def _response(
    status: int, message: str, field: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    return Response(orjson.dumps(error_body(message, field)), status, headers, media_type=JSON)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HttpError)
    field = error.field if isinstance(error, ApiError) else None
    return _response(error.status, error.message, field, error.headers)


async def _replica_unavailable(_request: Request, error: Exception) -> Response:
    log.warning("%s", error)
    return _response(
        503,
        "the replica cannot be read now; come back later",
        headers={"retry-after": RETRY_SECONDS},
    )


async def _unexpected_error(_request: Request, _error: Exception) -> Response:
    """Response to a fault of Rollcall. Starlette raises the error again, for the log."""
    return _response(500, "Rollcall cannot answer this, and its log says why")


async def _invalid_parameter(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    if fault["loc"][0] == "path":
        return _response(404, NOT_FOUND)
    field = str(fault["loc"][1]) if len(fault["loc"]) > 1 else str(fault["loc"][-1])
    return _response(400, f"{field}: {fault['msg']}", field)


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _response(
        error.status_code,
        NOT_FOUND if error.status_code == 404 else str(error.detail),
        headers=dict(error.headers or {}),
    )
