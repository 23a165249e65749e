"""Rules for tokens. PyJWT signs, as the oracle; hypothesis changes tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from functools import cache
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rollcall.ingest.https import token as token_module
from rollcall.ingest.https.token import (
    LEEWAY_SECONDS,
    Refusal,
    TokenError,
    parse_token,
    verified_payload,
)
from rollcall.sandbox.canvas.signing import ISSUER, Signer

NOW = 1_800_000_000.0
ISSUERS = ("https://canvas.instructure.com", ISSUER)
EVENT = {"metadata": {"event_name": "course_created"}, "body": {"course_id": "21070000000000565"}}


@cache
def signer(name: str = "current") -> Signer:
    """A key, made once."""
    return Signer(name)


def claims(**others: Any) -> dict[str, Any]:
    """The claims of an event."""
    return {**EVENT, "iss": ISSUER, "iat": int(NOW), **others}


def encoded(header: object, payload: bytes, signature: bytes) -> bytes:
    """A token from its parts."""
    parts = (json.dumps(header).encode(), payload, signature)
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)


def verify(body: bytes, issuers: tuple[str, ...] = ISSUERS, now: float = NOW) -> bytes:
    """The payload of a body that is signed with the current key."""
    token = parse_token(body)
    if token.key_id != signer().key_id:
        raise TokenError(Refusal.UNKNOWN_KEY, "another key")
    return verified_payload(token, signer().private_key.public_key(), issuers=issuers, now=now)


def refusal(body: bytes, issuers: tuple[str, ...] = ISSUERS, now: float = NOW) -> Refusal:
    """The reason for which a body is refused."""
    with pytest.raises(TokenError) as caught:
        verify(body, issuers, now)
    return caught.value.refusal


def signed(**others: Any) -> bytes:
    """A token with an event, signed by PyJWT."""
    return signer().sign(json.dumps(claims(**others)).encode())


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"", b""), (b'"', b'"'), (b"\n ", b"\t\r\n"), (b' "', b'" \n')],
    ids=["bare", "quoted", "blanks", "both"],
)
def test_the_payload_stays_as_it_is(before: bytes, after: bytes) -> None:
    """Byte for byte: blanks and escapes, too."""
    payload = b'{ "iss": "' + ISSUER.encode() + b'",\n "body": {"name": "\\u00c9\\/x"} }\n'
    assert verify(before + signer().sign(payload) + after) == payload


@given(st.binary(min_size=1, max_size=400))
@hypothesis_settings(max_examples=50)
def test_any_payload(payload: bytes) -> None:
    """Content is not judged, unless an issuer is required."""
    body = signer().sign(payload)
    assert verify(body, issuers=()) == payload
    assert refusal(body) is Refusal.ISSUER


def test_content_that_orjson_does_not_take() -> None:
    """The claims of an event with half a surrogate pair are seen all the same."""
    payload = json.dumps(claims(body={"name": "\ud83d"})).encode()
    assert verify(signer().sign(payload)) == payload
    assert refusal(signer().sign(payload), issuers=("https://other.example",)) is Refusal.ISSUER


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'""',
        b'"',
        b"..",
        b"a.b",
        b"a.b.c.d",
        b"e30..e30",
        b"e30.e30.",
        b'{"metadata": {}, "body": {}}',
        b"not a token at all",
        b"\xff\xfe\x00.a.a",
        b"''.e30.e30",
        b"e30=.e30=.e30=",
        base64.urlsafe_b64encode(b"[" * 3_000) + b".e30.e30",
        b"A" * 5_000 + b".e30.e30",
        base64.urlsafe_b64encode(b'"RS256"') + b".e30.e30",
    ],
)
def test_what_is_no_token(body: bytes) -> None:
    assert refusal(body) is Refusal.NOT_A_TOKEN


def test_two_pairs_of_quotes() -> None:
    """One pair is removed."""
    assert refusal(b'""' + signed() + b'""') is Refusal.NOT_A_TOKEN
    assert refusal(b'"' + signed()) is Refusal.NOT_A_TOKEN


def confused(algorithm: str) -> bytes:
    """A token with an HMAC whose secret is the public key, in the usual form."""
    public = signer().private_key.public_key()
    secret = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    header = {"alg": algorithm, "kid": signer().key_id}
    unsigned = encoded(header, json.dumps(claims()).encode(), b"")[:-1]
    digest = hmac.digest(secret, unsigned, hashlib.sha256)
    return unsigned + b"." + base64.urlsafe_b64encode(digest).rstrip(b"=")


@pytest.mark.parametrize(
    "algorithm",
    ["none", "None", "", "HS256", "RS384", "RS512", "PS256", "ES256", "rs256", "RS256 "],
)
def test_other_algorithms(algorithm: str) -> None:
    """None but RS256, not even in other letters."""
    header = {"alg": algorithm, "kid": signer().key_id}
    assert refusal(encoded(header, json.dumps(claims()).encode(), b"x")) is Refusal.ALGORITHM


def test_confused_algorithms() -> None:
    """A public key is no secret for an HMAC, whatever the header says."""
    assert refusal(confused("HS256")) is Refusal.ALGORITHM
    assert refusal(confused("RS256")) is Refusal.SIGNATURE


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_valid_signatures_with_other_algorithms(algorithm: str) -> None:
    body = jwt.encode(
        claims(), signer().private_key, algorithm, headers={"kid": signer().key_id}
    ).encode()
    assert refusal(body) is Refusal.ALGORITHM


@pytest.mark.parametrize("extra", [{"crit": ["b64"], "b64": False}, {"b64": False}, {"crit": []}])
def test_critical_extensions(extra: dict[str, Any]) -> None:
    """None is understood (RFC 7515, 4.1.11)."""
    header = {"alg": "RS256", "kid": signer().key_id, **extra}
    assert refusal(encoded(header, b"{}", b"x")) is Refusal.ALGORITHM


@pytest.mark.parametrize("key_id", [None, "", 7, ["current"], "previous"])
def test_unknown_keys(key_id: object) -> None:
    header = {"alg": "RS256"} | ({} if key_id is None else {"kid": key_id})
    assert refusal(encoded(header, b"{}", b"x")) is Refusal.UNKNOWN_KEY


def test_a_signature_of_another_key() -> None:
    stranger = Signer(signer().key_id)
    assert refusal(stranger.sign(json.dumps(claims()).encode())) is Refusal.SIGNATURE


@pytest.mark.parametrize(
    ("name", "second", "refused"),
    [
        ("exp", -LEEWAY_SECONDS, Refusal.EXPIRED),
        ("exp", -LEEWAY_SECONDS + 1, None),
        ("exp", 60, None),
        ("nbf", LEEWAY_SECONDS + 1, Refusal.NOT_YET_VALID),
        ("nbf", LEEWAY_SECONDS, None),
        ("nbf", -60, None),
    ],
)
def test_times(name: str, second: int, refused: Refusal | None) -> None:
    """With a leeway of five minutes, as PyJWT decides, too."""
    body = signed(**{name: int(NOW) + second})
    assert refused is None or refusal(body) is refused
    if refused is None:
        assert verify(body)


@pytest.mark.parametrize("value", ["1800000060", None, True, [], {}, float("nan"), float("inf")])
def test_times_that_are_none(value: object) -> None:
    """Refused, but for an end that never comes."""
    assert refusal(signed(nbf=value)) is Refusal.NOT_YET_VALID
    if value != float("inf"):
        assert refusal(signed(exp=value)) is Refusal.EXPIRED


@pytest.mark.parametrize("issuer", [None, "", ISSUER + "/", ISSUER.upper(), [ISSUER], 1, {}])
def test_issuers(issuer: object) -> None:
    body = signed(iss=issuer)
    assert refusal(body) is Refusal.ISSUER
    assert verify(body, issuers=())
    assert verify(signed(iss=ISSUERS[0]))


@st.composite
def changed_tokens(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A valid token, and the same with a change: bytes replaced, inserted or removed anywhere, or
    parts of two tokens put together.
    """
    token = signed(number=draw(st.integers(0, 3)))
    other = signed(number=9)
    kind = draw(st.sampled_from(["replace", "insert", "remove", "swap"]))
    if kind == "swap":
        parts, others = token.split(b"."), other.split(b".")
        picks = draw(st.lists(st.booleans(), min_size=3, max_size=3).filter(lambda b: any(b[1:])))
        parts = [o if pick else p for p, o, pick in zip(parts, others, picks, strict=True)]
        return token, b".".join(parts)
    at = draw(st.one_of(st.integers(0, len(token) - 1), st.just(len(token) - 1)))
    byte = bytes([draw(st.one_of(st.sampled_from(list(b'ABQgwxyz0_-=."')), st.integers(0, 255)))])
    if kind == "replace":
        return token, token[:at] + byte + token[at + 1 :]
    if kind == "insert":
        return token, token[:at] + byte + token[at:]
    return token, token[:at] + token[at + 1 :]


@given(changed_tokens())
@hypothesis_settings(max_examples=300)
def test_any_changed_token_is_refused(both: tuple[bytes, bytes]) -> None:
    """Or it is the same token, in blanks."""
    token, changed = both
    swapped_whole = changed == signed(number=9)
    if changed.strip() == token or swapped_whole:
        assert verify(changed)
        return
    with pytest.raises(TokenError):
        verify(changed)


def test_the_last_character_of_a_signature() -> None:
    """Its last bits mean nothing, and a decoder would ignore them: they must be zero."""
    token = signed()
    accepted = [
        letter
        for letter in token_module._BASE64URL
        if not _is_refused(token[:-1] + bytes([letter]))
    ]
    assert accepted == [token[-1]]


def test_the_test_of_changes_sees_a_missing_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: without the check of the form, or of the signature, changes pass."""
    token = signed()
    with monkeypatch.context() as patched:
        patched.setattr(
            token_module,
            "_decode",
            lambda part: base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)),
        )
        last = [not _is_refused(token[:-1] + bytes([letter])) for letter in token_module._BASE64URL]
        assert sum(last) > 1
    with monkeypatch.context() as patched:
        patched.setattr(token_module._RS256, "verify", lambda *_: True)
        assert verify(
            encoded({"alg": "RS256", "kid": "current"}, json.dumps(claims()).encode(), b"x")
        )


def _is_refused(body: bytes) -> bool:
    try:
        verify(body)
    except TokenError:
        return True
    return False


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=4))
def test_any_bytes(parts: list[bytes]) -> None:
    """Any bytes are refused, and cause no other error."""
    with pytest.raises(TokenError):
        verify(b".".join(parts))
    with pytest.raises(TokenError):
        verify(b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    )
)
@hypothesis_settings(max_examples=20)
def test_no_message_repeats_the_token(header: object) -> None:
    """Neither of header nor of claims."""
    body = encoded({"kid": "SECRET-KID", "alg": "RS256", "SECRET": header}, b"SECRET", b"SECRET")
    with pytest.raises(TokenError) as caught:
        verify(body)
    assert "SECRET" not in str(caught.value)
