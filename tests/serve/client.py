"""A client that sends requests and returns responses unchanged, unlike libraries."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.waiting import DEADLINE_SECONDS, answer_of

DEADLINE = DEADLINE_SECONDS
"""Time that a test waits for the server, in seconds."""


@dataclass(frozen=True)
class Answer:
    """A response of the server."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """Message of an error in Canvas's form."""
        return str(self.json["errors"][0]["message"])

    @property
    def field(self) -> str | None:
        """The parameter that an error names."""
        field: str | None = self.json["errors"][0].get("field")
        return field

    @property
    def ids(self) -> list[Any]:
        """Ids of the objects in a list."""
        return [one["id"] for one in self.json]

    @property
    def links(self) -> dict[str, str]:
        """Addresses by relation."""
        return links_in(self.headers["link"])


def links_in(header: str) -> dict[str, str]:
    """Addresses by relation, of a header ``Link`` that has these and nothing else."""
    found = re.findall(r'<([^<>\s"]*)>; rel="([a-z]+)"', header)
    assert header == ",".join(f'<{url}>; rel="{relation}"' for url, relation in found)
    return {relation: url for url, relation in found}


def fetch(
    url: str,
    path: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request. The path is sent as it is, without the server's address."""
    return answer_of(
        lambda seconds: _fetch(seconds, url, path, method, body, headers),
        what=f"an answer to {method} {path}",
    )


def _fetch(
    seconds: float,
    url: str,
    path: str,
    method: str,
    body: bytes | None,
    headers: Mapping[str, str] | None,
) -> Answer:
    address = urlsplit(url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=seconds)
    try:
        connection.putrequest(
            method,
            path.removeprefix(url),
            skip_host="host" in map(str.lower, headers or {}),
            skip_accept_encoding=True,
        )
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def get(url: str, **options: Any) -> requests.Response:
    """:func:`requests.get`."""
    return answer_of(
        lambda seconds: requests.get(url, timeout=seconds, **options),
        what=f"an answer to GET {url}",
        timeouts=(requests.Timeout,),
    )


def connected(url: str) -> socket.socket:
    """A new connection."""
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), timeout=DEADLINE)


def exchange(connection: socket.socket, request: bytes) -> bytes:
    """Send bytes, and return all that comes until the server ends the connection."""
    connection.sendall(request)
    return b"".join(received(connection))


def received(connection: socket.socket) -> Iterator[bytes]:
    """Bytes that come until the server ends the connection."""
    while True:
        try:
            part = connection.recv(65_536)
        except ConnectionResetError:
            return
        if not part:
            return
        yield part
