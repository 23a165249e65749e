"""One call of the API: from a request to its response."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Concatenate, ParamSpec
from urllib.parse import quote

import orjson
from fastapi import Depends, Request, Response

from rollcall.http.errors import JSON
from rollcall.serve.api.ids import STRING_IDS, IdFormat
from rollcall.serve.api.listings import Listings
from rollcall.serve.api.paging import Page
from rollcall.serve.api.response_builder import ResponseBuilder
from rollcall.serve.replica.reading import ReplicaReader

P = ParamSpec("P")

ObjectList = tuple[int, list[dict[str, Any]]]
"""Length of a whole list, and the objects of one page of it."""


@dataclass(frozen=True, slots=True)
class Api:
    """Parts that all calls share. Stands in the application's state as ``api``."""

    reader: ReplicaReader
    home_shard: int | None
    listings: Listings


class ApiCall:
    """Runs a function on the replica, and makes a response of its result.

    The functions get a :class:`ResponseBuilder` first, and run in a thread, each within one read
    transaction.
    """

    def __init__(self, request: Request, api: Api) -> None:
        self._request = request
        self._api = api
        accepts = request.headers.getlist("accept")
        self._ids = IdFormat(
            api.home_shard, as_text=any(STRING_IDS in accepted for accepted in accepts)
        )

    async def respond(
        self,
        build: Callable[Concatenate[ResponseBuilder, P], dict[str, Any]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Response:
        """The response with one object."""

        def run(db: sqlite3.Connection) -> bytes:
            return orjson.dumps(build(self._builder(db), *args, **kwargs))

        return _response(self._request, await self._api.reader.read(run), {})

    async def respond_with_list(
        self,
        page: Page,
        build: Callable[Concatenate[ResponseBuilder, P], ObjectList],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Response:
        """The response with a page of a list, and with links to other pages."""

        def run(db: sqlite3.Connection) -> tuple[int, bytes]:
            total, found = build(self._builder(db), *args, **kwargs)
            return total, orjson.dumps(found)

        total, body = await self._api.reader.read(run)
        parameters = self._request.query_params.multi_items()
        return _response(
            self._request, body, {"link": page.links(_address(self._request), parameters, total)}
        )

    def _builder(self, db: sqlite3.Connection) -> ResponseBuilder:
        return ResponseBuilder(
            db, ids=self._ids, home_shard=self._api.home_shard, listings=self._api.listings
        )


async def _call(request: Request) -> ApiCall:
    return ApiCall(request, request.app.state.api)


Call = Annotated[ApiCall, Depends(_call)]
"""Parameter of a handler: the call of its request."""


def _address(request: Request) -> str:
    """The URL of a request without its query, in the syntax of a header."""
    return f"{request.url.scheme}://{request.url.netloc}{quote(request.scope['path'], safe='/:~@')}"


def _response(request: Request, body: bytes, headers: dict[str, str]) -> Response:
    """A response with an entity tag; 304 if the client has the same one already."""
    digest = hashlib.blake2b(body, digest_size=16)
    digest.update(headers.get("link", "").encode())
    # Weak: the same with and without compression.
    headers = {
        **headers,
        "etag": f'W/"{digest.hexdigest()}"',
        "cache-control": "private, must-revalidate, max-age=0",
    }
    if _matches(",".join(request.headers.getlist("if-none-match")), headers["etag"]):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=JSON, headers=headers)


def _matches(if_none_match: str, etag: str) -> bool:
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in tags or etag.removeprefix("W/") in tags
