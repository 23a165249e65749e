"""Canvas's JWTs: from the bytes of a request to the bytes of an event. Pure.

Facts: Canvas signs with RS256, names its key by ``kid``, and in practice sends the token as a JSON
string, in double quotes. Signature and algorithm are PyJWT's; the form is checked here, because one
token must have one form only.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm

ALGORITHM = "RS256"

LEEWAY_SECONDS = 300
"""Tolerance for the clocks of Canvas and of this machine."""

MOST_HEADER_BYTES = 4_096
"""Largest header of a token, encoded. Canvas's has three fields."""

_BASE64URL = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

_RS256 = RSAAlgorithm(RSAAlgorithm.SHA256)


class Refusal(StrEnum):
    """Reasons to refuse a request for its token."""

    NOT_A_TOKEN = "not_a_token"  # noqa: S105 - a reason, not a secret
    ALGORITHM = "algorithm"
    UNKNOWN_KEY = "unknown_key"
    SIGNATURE = "signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    ISSUER = "issuer"


class TokenError(Exception):
    """A token is refused. The message has nothing of the token."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(message)
        self.refusal = refusal
        self.message = message


@dataclass(frozen=True, slots=True)
class Token:
    """A token in its parts, not verified yet."""

    key_id: str
    signed: bytes
    """Header and payload as they were signed."""
    payload: bytes
    """Encoded."""
    signature: bytes


def parse_token(body: bytes) -> Token:
    """The token in a request's body, with or without blanks and double quotes around it.

    Raises:
        TokenError: ``not_a_token``; ``algorithm``: another one, or with critical extensions;
            ``unknown_key``: the token names no key.
    """
    text = body.strip()
    if len(text) >= 2 and text.startswith(b'"') and text.endswith(b'"'):
        text = text[1:-1]
    parts = text.split(b".", 3)
    if len(parts) != 3 or not all(map(_is_base64url, parts)):
        raise _no_token()
    header_part, payload, signature_part = parts
    header = _header(header_part)
    if header.get("alg") != ALGORITHM or "crit" in header or "b64" in header:
        raise TokenError(Refusal.ALGORITHM, f"a token must be signed with {ALGORITHM}")
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not key_id:
        raise TokenError(Refusal.UNKNOWN_KEY, "a token must name its key (kid)")
    signed = text[: len(text) - len(signature_part) - 1]
    return Token(key_id, signed, payload, _decode(signature_part))


def verified_payload(
    token: Token, key: RSAPublicKey, *, issuers: Collection[str], now: float
) -> bytes:
    """The payload of a token, byte for byte, if signature, times and issuer are right.

    Args:
        key: the one that the token names.
        issuers: allowed values of ``iss``; none: any issuer.
        now: Unix time.

    Raises:
        TokenError: the token is refused.
    """
    if not _RS256.verify(token.signed, key, token.signature):
        raise TokenError(Refusal.SIGNATURE, "the signature is wrong")
    payload = _decode(token.payload)
    claims = _claims(payload)
    _check_times(claims, now)
    if issuers and not _is_allowed(claims.get("iss"), issuers):
        raise TokenError(Refusal.ISSUER, "the issuer (iss) is not in ROLLCALL_WEBHOOK_ISSUERS")
    return payload


def _is_base64url(part: bytes) -> bool:
    return bool(part) and not part.translate(None, _BASE64URL)


def _decode(part: bytes) -> bytes:
    """Decode a part.

    Raises:
        TokenError: it is not in the one form that encoders write: bits that mean nothing are set.
    """
    if len(part) % 4 == 1:
        raise _no_token()
    decoded = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != part:
        raise _no_token()
    return decoded


def _header(part: bytes) -> dict[str, Any]:
    if len(part) > MOST_HEADER_BYTES:
        raise _no_token()
    try:
        header = orjson.loads(_decode(part))
    except orjson.JSONDecodeError:
        raise _no_token() from None
    if not isinstance(header, dict):
        raise _no_token()
    return header


def _claims(payload: bytes) -> dict[str, Any]:
    """The claims; empty if there are none to be seen. The payload is signed, and its content is
    judged by the router.
    """
    try:
        claims = orjson.loads(payload)
    except orjson.JSONDecodeError:
        # Python's parser takes more: halves of surrogate pairs, control characters.
        try:
            claims = json.loads(payload.decode(errors="replace"), strict=False)
        except (ValueError, RecursionError):
            return {}
    return claims if isinstance(claims, dict) else {}


def _check_times(claims: dict[str, Any], now: float) -> None:
    """RFC 7519, 4.1.4 and 4.1.5. A time that is no number is refused."""
    if "exp" in claims and not now < _number(claims["exp"]) + LEEWAY_SECONDS:
        raise TokenError(Refusal.EXPIRED, "the token has expired (exp)")
    if "nbf" in claims and not now >= _number(claims["nbf"]) - LEEWAY_SECONDS:
        raise TokenError(Refusal.NOT_YET_VALID, "the token is not valid yet (nbf)")


def _number(value: object) -> float:
    """A time; NaN, which fails every comparison, for what is none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        return float(value) if is_number else math.nan  # type: ignore[arg-type]
    except OverflowError:
        return math.nan


def _is_allowed(issuer: object, issuers: Collection[str]) -> bool:
    return isinstance(issuer, str) and issuer in issuers


def _no_token() -> TokenError:
    return TokenError(
        Refusal.NOT_A_TOKEN,
        'the body is no JWT: switch "Sign Payload" on in the subscription, or see '
        "ROLLCALL_WEBHOOK_UNSIGNED",
    )
