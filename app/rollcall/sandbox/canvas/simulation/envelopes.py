"""Metadata of events: of web requests, background jobs and console sessions. Each application
server has its own clock.
"""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

from rollcall.sandbox.canvas.simulation.world import Account, Course, User, World
from rollcall.sandbox.canvas.simulation.writing import request_id, token

Metadata = dict[str, Any]

SERVERS = 12
API_SHARE = 0.35
MASQUERADE_SHARE = 0.03
OLD_VERSION_SHARE = 0.25
"""Share of application servers with an older version of Canvas, which writes null fields."""

_AGENTS = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_3) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/73.0.3683.103 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:124.0) Gecko/20100101 Firefox/124.0",
    "iCanvas/7.1.1 (2411) iPad13,4 iPadOS 17.4",
)
_API_AGENT = "sis-sync/4.2"
_ROLES = ("TeacherEnrollment", "TaEnrollment", "DesignerEnrollment", "AccountAdmin")


class Server(NamedTuple):
    """An application server."""

    ahead_ms: int
    """Offset of its clock; negative: it is behind."""
    writes_nulls: bool
    writes_uuids: bool


class Operation(NamedTuple):
    """A web request, background job or console session: the common properties of its events."""

    metadata: Metadata
    """All metadata except event_name and event_time."""
    server: Server
    offset: int
    """UTC offset of the acting user, seconds."""


class Envelopes:
    """Makes the operations of one institution."""

    def __init__(self, random: Random, world: World, skew: float) -> None:
        self._random = random
        max_ms = int(skew * 1000)
        # the first two have the maximum difference
        first = random.randint(-max_ms, 0)
        spread = [
            first,
            first + max_ms,
            *(random.randint(first, first + max_ms) for _ in range(SERVERS - 2)),
        ]
        self._servers = [
            Server(ahead, random.random() < OLD_VERSION_SHARE, random.random() < 0.5)
            for ahead in spread
        ]
        self._domain = "oxana.instructure.com"
        uuid = token(random)
        self.root_uuid = uuid
        self._root = {
            "producer": "canvas",
            "root_account_id": world.global_id(1),
            "root_account_lti_guid": f"{uuid}.{self._domain}",
            "root_account_uuid": uuid,
        }
        self._home = world.global_id(1)
        self._job = 1_020_020_528_469_291
        self._sessions = [f"{random.getrandbits(128):032x}" for _ in range(256)]
        self._addresses = [
            f"93.184.{random.randrange(256)}.{random.randrange(1, 255)}" for _ in range(256)
        ]

    @property
    def domain(self) -> str:
        """The institution's host name."""
        return self._domain

    def request(
        self, actor: User, context: Course | Account | None, path: str, method: str
    ) -> Operation:
        """A web request by a user, with the course or account of the page, if any."""
        random = self._random
        dice = random.random()
        api = dice < API_SHARE
        metadata: Metadata = {
            **self._root,
            "client_ip": self._addresses[int(random.random() * 256)],
            "hostname": self._domain,
            "http_method": method,
            "referrer": None if api else f"https://{self._domain}/",
            "request_id": request_id(random),
            "session_id": self._sessions[int(random.random() * 256)],
            "time_zone": actor.zone,
            "url": f"https://{self._domain}{'/api/v1' if api else ''}{path}",
            "user_account_id": self._home,
            "user_agent": _API_AGENT if api else _AGENTS[int(random.random() * 3)],
            "user_id": actor.gid,
            "user_login": actor.login,
            "user_sis_id": actor.sis_id,
        }
        if context is not None:
            metadata["context_id"] = context.gid
            if isinstance(context, Course):
                metadata["context_type"] = "Course"
                metadata["context_account_id"] = context.account.gid
                metadata["context_sis_source_id"] = context.sis_id
                metadata["context_role"] = _ROLES[int(random.random() * 4)]
            else:
                metadata["context_type"] = "Account"
                metadata["context_account_id"] = context.gid
        if api:
            metadata["developer_key_id"] = "170000000056"
        elif dice > 1 - MASQUERADE_SHARE:
            metadata["real_user_id"] = self._home
        return Operation(metadata, self._server(), actor.offset)

    def job(self, tag: str) -> Operation:
        """A background job."""
        self._job += 1
        return Operation(
            {**self._root, "job_id": str(self._job), "job_tag": tag}, self._server(), 0
        )

    def console(self) -> Operation:
        """A console session: no metadata except event_name and event_time."""
        return Operation({}, self._server(), 0)

    def _server(self) -> Server:
        return self._servers[int(self._random.random() * SERVERS)]
