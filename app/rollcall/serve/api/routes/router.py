"""Parts that all routes of the API share."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Security
from fastapi.security import HTTPBearer

from rollcall.http.protocol import MOST_HEAD_BYTES
from rollcall.serve.api import objects

CourseId = Annotated[str, Path(description="Global, local, or `shard~local`.", max_length=100)]
AnyId = Annotated[
    str,
    Path(
        description="Global, local, or `shard~local`; of users and sections also `sis_user_id:…`, "
        "`sis_section_id:…`.",
        max_length=300,
    ),
]

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": objects.Errors, "description": "A parameter is wrong; the message names it."},
    401: {"model": objects.Errors, "description": "No token, or one that is not accepted."},
    404: {"model": objects.Errors, "description": "There is no such thing."},
    431: {"description": f"Address and headers are longer than {MOST_HEAD_BYTES // 1024} KiB."},
    503: {
        "model": objects.Errors,
        "description": "The replica is not complete yet, or too much is asked for at once.",
    },
}

_BEARER = HTTPBearer(
    auto_error=False,
    description="A token of `rollcall token new NAME`. Not asked for where "
    "ROLLCALL_TOKENS_FILE is not set.",
)
"""For the OpenAPI document only: a middleware checks the token."""


def new_router() -> APIRouter:
    """An empty router below ``/api/v1``."""
    return APIRouter(prefix="/api/v1", dependencies=[Security(_BEARER)], responses=_ERRORS)
