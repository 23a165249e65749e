"""``/accounts``: an enrollment by its id."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from rollcall.serve.api import objects, queries
from rollcall.serve.api.call import Call
from rollcall.serve.api.conditions import Where
from rollcall.serve.api.response_builder import ResponseBuilder
from rollcall.serve.api.routes.router import AnyId, new_router

router = new_router()


@router.get(
    "/accounts/{account_id}/enrollments/{enrollment_id}",
    response_model=objects.Enrollment,
    tags=["enrollments"],
)
async def enrollment(call: Call, account_id: AnyId, enrollment_id: AnyId) -> Response:
    """An enrollment, whatever its state. The account must be an id; events do not tell in which
    account an enrollment is.
    """
    return await call.respond(_enrollment, account_id, enrollment_id)


def _enrollment(builder: ResponseBuilder, account_id: str, enrollment_id: str) -> dict[str, Any]:
    if account_id not in ("self", "default"):
        builder.known_id("account", account_id)
    where = Where("enrollment_id = ?", (builder.known_id("enrollment", enrollment_id),))
    row = queries.one_of(builder.db, "enrollments", where)
    assert row is not None
    return builder.enrollments([row])[0]
