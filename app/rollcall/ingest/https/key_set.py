"""Canvas's public keys, from a JSON Web Key Set (RFC 7517). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from rollcall.ingest.https.token import ALGORITHM

KEY_BITS = range(2_048, 8_192 + 1)
"""Sizes of accepted keys. Shorter ones are not safe, and longer ones take long to verify with."""

MOST_KEYS = 100
"""Keys of a set that are read. Canvas has three: the previous one, the current one, the next."""

PublicKeys = Mapping[str, RSAPublicKey]
"""Keys by ``kid``."""


class KeySetError(Exception):
    """The document is no key set, or has no key for signatures with RS256."""


def parse_key_set(document: bytes) -> PublicKeys:
    """The RSA keys of a set that are meant for RS256 signatures. Others are skipped.

    Raises:
        KeySetError: there is none.
    """
    try:
        content = orjson.loads(document)
    except orjson.JSONDecodeError:
        raise KeySetError("the answer is not JSON") from None
    entries = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise KeySetError("the answer is no JSON Web Key Set")
    keys: dict[str, RSAPublicKey] = {}
    for entry in entries[:MOST_KEYS]:
        key = _public_key(entry)
        if key is not None:
            keys.setdefault(entry["kid"], key)
    if not keys:
        raise KeySetError(f"the key set has no key for {ALGORITHM}")
    return keys


def _public_key(entry: Any) -> RSAPublicKey | None:
    """The key of an entry; None: it is not for us, or a private one."""
    if not (
        isinstance(entry, dict)
        and entry.get("kty") == "RSA"
        and isinstance(entry.get("kid"), str)
        and entry.get("use", "sig") == "sig"
        and entry.get("alg", ALGORITHM) == ALGORITHM
    ):
        return None
    try:
        key = PyJWK(entry, ALGORITHM).key
    except (PyJWTError, ValueError, TypeError):
        return None
    is_usable = isinstance(key, RSAPublicKey) and key.key_size in KEY_BITS
    return key if is_usable else None
