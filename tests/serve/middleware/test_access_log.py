"""The access log."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from rollcall.serve.middleware import access_log
from rollcall.serve.tokens import add_token
from tests.serve.client import connected, exchange, fetch
from tests.serve.page.rows import SHARD, course, group, member, person, section, together
from tests.serve.served import serving
from tests.serve.wire import PATH


def test_the_log_has_no_personal_data(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log has no id, name, token or address, for any request and status; but it has the name of
    the token.
    """
    caplog.set_level(logging.DEBUG)
    secret, number, name = add_token(tmp_path / "tokens", "reporting"), 987_654, "Zacharias Quux"
    rosters = together(
        course("Physics"), section("Monday"), group("Lab"), person(number, name), member(number)
    )
    with serving(tmp_path, rosters, tokens_file=tmp_path / "tokens", log_level="DEBUG") as served:
        paths = [
            f"{PATH}?user_id={number}",
            f"/api/v1/courses/565/users?search_term={name.replace(' ', '%20')}",
            f"/api/v1/users/{number}",
            f"/api/v1/users/{number}7",
        ]
        paths += [
            f"/api/v1/users/{number}/enrollments?state[]={secret}",
            f"/api/v1/accounts/1/enrollments/2107~{number}",
            f"/{number}/{secret}",
            f"{PATH}?page={secret}",
        ]
        paths += [
            f"/api/v1/users/sis_user_id:{number}",
            f"{PATH}?sis_course_id={secret}",
            f"/api/v1/groups/51/users?access_token={secret}",
        ]
        for path in paths:
            for method in ("GET", "HEAD", "POST"):
                for authorization in (
                    f"Bearer {secret}",
                    f"Bearer {secret}x",
                    f"Basic {secret}",
                    "",
                ):
                    fetch(
                        served.url,
                        path,
                        method,
                        headers={
                            "Authorization": authorization,
                            "User-Agent": name,
                            "X-Request-Id": secret,
                        },
                    )
        with connected(served.url) as connection:
            exchange(
                connection,
                f"GET /{secret} {name}\r\nAuthorization: Bearer {secret}\r\n\r\n".encode(),
            )
    entries = [record for record in caplog.records if record.name == access_log.__name__]
    assert len(entries) == len(paths) * 12
    assert {vars(record)["method"] for record in entries} == {"GET", "HEAD", "POST"}
    assert {vars(record).get("token") for record in entries} == {"reporting", None}
    assert {vars(record)["status"] for record in entries} == {200, 400, 401, 404, 405}
    for record in caplog.records:
        values = {**vars(record), "message": record.getMessage()}
        # Where and when the record was made.
        for own in (
            "created",
            "msecs",
            "relativeCreated",
            "thread",
            "process",
            "pathname",
            "ms",
            "bytes",
        ):
            values.pop(own, None)
        text = repr(values)
        for personal in (
            secret,
            secret[-10:],
            str(number),
            str(SHARD * 10**13 + number),
            "Zacharias",
            "Quux",
        ):
            assert personal not in text
        if record.name == access_log.__name__:
            assert "127.0.0.1" not in text
