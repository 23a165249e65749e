"""docs/ingest.md says of the webhook what the code does."""

from __future__ import annotations

import re

from rollcall.http.protocol import HEAD_SECONDS, MOST_HEAD_BYTES, MOST_WAITING
from rollcall.http.server import HANDSHAKE_SECONDS
from rollcall.ingest.https.application import (
    MOST_BODY_BYTES,
    MOST_HELD_BYTES,
    MOST_REQUESTS,
    REQUEST_SECONDS,
)
from rollcall.ingest.https.bodies import BODY_SECONDS
from rollcall.ingest.https.keys import COOL_DOWN_SECONDS, REFRESH_SECONDS
from rollcall.ingest.https.process import (
    DEFAULT_PORT,
    KEEP_ALIVE_SECONDS,
    MOST_CONNECTIONS,
    SECRET_CHARACTERS,
)
from rollcall.ingest.https.token import LEEWAY_SECONDS
from rollcall.ingest.metrics import WEBHOOK_STATUSES
from rollcall.settings import Settings
from tests.docs.markdown import ROOT

TEXT = (ROOT / "docs" / "ingest.md").read_text(encoding="utf-8").partition("\n## HTTPS\n")[2]
HTTPS = " ".join(TEXT.split())


def test_the_limits() -> None:
    assert f"| requests at once | {MOST_REQUESTS} |" in HTTPS
    assert f"| connections, idle ones too | {MOST_CONNECTIONS:,} |" in HTTPS
    assert f"wait for the answer to an earlier one | {MOST_WAITING}; with more" in HTTPS
    assert f"{MOST_HELD_BYTES // 1024**2} MiB |" in HTTPS
    assert f"being read or checked | {MOST_HELD_BYTES // 2 // 1024**2} MiB;" in HTTPS
    assert f"| time for a body | {BODY_SECONDS:g} s |" in HTTPS
    assert f"the body did not come within {BODY_SECONDS:g} s" in HTTPS
    assert HEAD_SECONDS == HANDSHAKE_SECONDS
    assert f"for a TLS handshake | {HEAD_SECONDS:g} s each |" in HTTPS
    assert f"from the head to the answer | {REQUEST_SECONDS:g} s |" in HTTPS
    assert f"an idle connection after an event | {KEEP_ALIVE_SECONDS:g} s |" in HTTPS
    assert f"the body has more than {MOST_BODY_BYTES // 1024**2} MiB" in HTTPS
    assert f"have more than {MOST_HEAD_BYTES // 1024} KiB" in HTTPS


def test_keys_and_tokens() -> None:
    assert REFRESH_SECONDS == LEEWAY_SECONDS == 5 * 60
    assert "every five minutes" in HTTPS
    assert "a tolerance of five minutes" in HTTPS
    assert f"every {COOL_DOWN_SECONDS:g} s" in HTTPS
    assert f"a word of {SECRET_CHARACTERS} characters or more" in HTTPS


def test_the_statuses() -> None:
    """Those of a fault of ours (500) and of a client that has left (499) are no answers to plan
    with.
    """
    rows = re.findall(r"^\| (\d{3}(?:, \d{3})*) \|", TEXT, re.MULTILINE)
    assert [int(status) for row in rows for status in row.split(", ")] == sorted(
        {*WEBHOOK_STATUSES} - {499, 500}
    )


def test_the_ports() -> None:
    assert f"on port {DEFAULT_PORT}" in HTTPS
    assert f"http://127.0.0.1:{Settings.model_construct().webhook_port}/events" in HTTPS
