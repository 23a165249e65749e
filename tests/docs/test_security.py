"""docs/security.md: headers, cookie and numbers are those of the code, and its proxy is
believed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from rollcall.serve.page.responses import CONTENT_SECURITY_POLICY, SECURITY_HEADERS, stream_headers
from rollcall.serve.page.sessions import COOKIE, MOST_SESSIONS, SESSION_SECONDS
from rollcall.serve.page.sign_in import WRONG_TOKEN_SECONDS
from rollcall.serve.tokens import TOKEN_BYTES, TOKEN_PREFIX, add_token, digest_of, read_tokens
from rollcall.settings import Settings
from tests.docs.markdown import ROOT, blocks, code, rows
from tests.docs.test_rosters import examples, rosters_of
from tests.serve.client import get
from tests.serve.served import serving

DOCUMENT = ROOT / "docs" / "security.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
PLAIN = " ".join(TEXT.split())


def test_the_headers() -> None:
    """All of them, word by word."""
    for name, value in SECURITY_HEADERS.items():
        assert f"{name}: {value}" in PLAIN
    assert f"`X-Accel-Buffering: {stream_headers()['X-Accel-Buffering']}`" in PLAIN
    assert CONTENT_SECURITY_POLICY in PLAIN


def test_the_tokens(tmp_path: Path) -> None:
    """A file as it is described."""
    token = add_token(tmp_path / "tokens", "registrar")
    (shown,) = re.findall(r"^    (registrar [0-9a-f]+)$", TEXT, re.MULTILINE)
    (tmp_path / "shown").write_text(f"# a comment\n{shown}\n", encoding="utf-8")
    assert (
        read_tokens(tmp_path / "shown").keys()
        == read_tokens(tmp_path / "tokens").keys()
        == {"registrar"}
    )
    assert (tmp_path / "tokens").read_text(encoding="utf-8") == f"registrar {digest_of(token)}\n"
    assert token.startswith(TOKEN_PREFIX)
    assert f"`{TOKEN_PREFIX}` and {TOKEN_BYTES * 8} random bits" in TEXT


def test_the_proxy(tmp_path: Path) -> None:
    """What the example sends is what it needs to."""
    (example,) = blocks(DOCUMENT, "nginx")
    sent = dict(re.findall(r"proxy_set_header (\S+) (\S+);", example))
    assert (
        sent.items()
        >= {
            "Host": "$host",
            "X-Forwarded-Proto": "$scheme",
            "X-Forwarded-For": "$remote_addr",
        }.items()
    )
    token = add_token(tmp_path / "tokens", "program")
    headers = {
        "Host": "rosters.example.edu",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "192.0.2.1",
        "Authorization": f"Bearer {token}",
    }
    with serving(
        tmp_path / "served", rosters_of(examples()), tokens_file=tmp_path / "tokens"
    ) as served:
        answer = get(f"{served.url}/api/v1/courses/570/enrollments", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Link"].startswith(
        "<https://rosters.example.edu/api/v1/courses/570/enrollments?"
    )


def test_the_protocols_and_mechanisms() -> None:
    """All of them are explained."""
    explained = {
        word for row in rows(DOCUMENT, "the cluster wants") for cell in row for word in code(cell)
    }
    for name in ("security_protocol", "sasl_mechanism"):
        assert set(get_args(Settings.model_fields[name].annotation)) - {"PLAINTEXT"} <= explained


def test_the_numbers() -> None:
    assert f"| cookie | `{COOKIE}`; " in TEXT
    assert f"lasts {SESSION_SECONDS // 3600} hours" in PLAIN
    assert f"at most {MOST_SESSIONS:,}; " in TEXT
    assert WRONG_TOKEN_SECONDS == 0.5
    assert "after half a second" in TEXT
