"""Groups of paths, and names of routes."""

from __future__ import annotations

from starlette.types import Scope

API_PREFIX = "/api/"

HEALTH_PATHS = ("/livez", "/readyz", "/metrics")
"""Answered even if the process is overloaded, and neither logged nor counted: probes would drown
the requests of people.
"""

OTHER_ROUTE = "other"
"""Route of refused requests, and of paths without a route."""


def is_api(scope: Scope) -> bool:
    """Whether the request is for Canvas's API."""
    path: str = scope["path"]
    return path.startswith(API_PREFIX)


def route_of(scope: Scope) -> str:
    """The route that answered the request, with placeholders for ids. Known after the answer.

    Paths contain ids of people, so logs and metrics have routes only.
    """
    route: str = getattr(scope.get("route"), "path_format", OTHER_ROUTE)
    return route
