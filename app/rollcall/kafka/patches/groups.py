"""Patch of group coordination: permanent errors, and heartbeats of static members."""

from __future__ import annotations

from typing import Any

from aiokafka.consumer import group_coordinator
from aiokafka.errors import (
    BrokerResponseError,
    GroupAuthorizationFailedError,
    IllegalGenerationError,
    MemberIdRequired,
    NoError,
    RebalanceInProgressError,
    UnknownMemberIdError,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct
from aiokafka.protocol.group import HeartbeatRequest, HeartbeatResponse_v1
from aiokafka.protocol.types import Int32, Schema, String


class StaticHeartbeatRequestV3(RequestStruct):  # type: ignore[misc]
    """Heartbeat with the id of the static member."""

    API_KEY = 12
    API_VERSION = 3
    RESPONSE_TYPE = type("HeartbeatResponseV3", (HeartbeatResponse_v1,), {"API_VERSION": 3})
    SCHEMA = Schema(
        ("group", String("utf-8")),
        ("generation_id", Int32),
        ("member_id", String("utf-8")),
        ("group_instance_id", String("utf-8")),
    )


class StaticHeartbeatRequest(Request[StaticHeartbeatRequestV3]):  # type: ignore[misc]
    """The same request, as clients send it."""

    API_KEY = 12

    def __init__(self, *fields: Any) -> None:
        self._fields = fields

    def build(
        self, request_struct_class: type[StaticHeartbeatRequestV3]
    ) -> StaticHeartbeatRequestV3:
        """Build the request."""
        return request_struct_class(*self._fields)


class GroupCoordinator(group_coordinator.GroupCoordinator):  # type: ignore[misc]
    """Reports permanent errors of the group, and sends the static member's id in heartbeats.

    aiokafka (``consumer/group_coordinator.py:1390``, ``1507`` and ``804``;
    https://github.com/aio-libs/aiokafka/issues/1186) turns an unexpected code into an error without
    the code. Its heartbeats are of a version without the static member's id (``:750``): a replaced
    member only learns that it is unknown, joins again, and replaces its replacement, for ever.
    Test:
    ``tests/process/test_refusals.py::test_of_two_processes_with_one_name_the_first_ends``.
    """

    _refusal: BrokerResponseError | None = None
    """Last answer of the coordinator, if it is a permanent error."""

    async def _send_req(self, request: Any) -> Any:
        if isinstance(request, HeartbeatRequest) and self._group_instance_id is not None:
            request = StaticHeartbeatRequest(
                self.group_id, self.generation, self.member_id, self._group_instance_id
            )
        response = await super()._send_req(request)
        error = for_code(getattr(response, "error_code", 0))
        self._refusal = None if error.retriable or error in HANDLED else error()
        return response

    def _push_error_to_user(self, exc: BaseException) -> Any:
        return super()._push_error_to_user(self._refusal or exc)


HANDLED = (
    NoError,
    IllegalGenerationError,
    UnknownMemberIdError,
    RebalanceInProgressError,
    MemberIdRequired,
    GroupAuthorizationFailedError,
)
"""Coordinator answers that aiokafka handles itself, or reports unchanged (authorization)."""
