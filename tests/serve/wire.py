"""Requests and responses of a connection, byte for byte, and the rows that they are about."""

from __future__ import annotations

import socket

from tests.serve.page.rows import course, person, section, together

PATH = "/api/v1/courses/565/enrollments"
PEOPLE = together(
    course("Physics"),
    section("Monday"),
    *(person(number, f"Person {number}") for number in range(1, 101)),
)


def request(path: str = PATH, *headers: str, method: str = "GET", close: bool = True) -> bytes:
    """A request as bytes."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        *headers,
        *(["Connection: close"] if close else []),
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1")


def status_of(answer: bytes) -> int:
    """Status of a response."""
    return int(answer.split(b" ", 2)[1])


def answer_on(connection: socket.socket) -> bytes:
    """The next whole response on a connection that stays open."""
    found = b""
    while b"\r\n\r\n" not in found:
        found += connection.recv(1)
    head = found.lower()
    left = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while left:
        part = connection.recv(left)
        assert part
        found, left = found + part, left - len(part)
    return found
