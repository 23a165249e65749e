"""Signatures of a simulated Canvas: a key, its entry in the key set, and tokens signed with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

ISSUER = "https://live-events.canvas.instructure.com"
"""The issuer that was seen in Canvas's tokens."""

KEY_BITS = 2_048


class Signer:
    """A key with a name, made at random."""

    def __init__(self, key_id: str, bits: int = KEY_BITS) -> None:
        self.key_id = key_id
        self.private_key = rsa.generate_private_key(public_exponent=65_537, key_size=bits)

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key, as an entry of a key set."""
        return {
            **RSAAlgorithm.to_jwk(self.private_key.public_key(), as_dict=True),
            "kid": self.key_id,
            "use": "sig",
            "alg": "RS256",
        }

    def sign(self, payload: bytes) -> bytes:
        """A token with any payload."""
        return (
            jwt.PyJWS()
            .encode(payload, self.private_key, "RS256", headers={"kid": self.key_id, "typ": "JWT"})
            .encode()
        )

    def request_body(self, event: Mapping[str, Any], issued: int) -> bytes:
        """The body of a request with an event, as Canvas sends it: a token in double quotes, whose
        claims are the event's members beside its own.

        Args:
            issued: Unix time.
        """
        return b'"' + self.sign(orjson.dumps({**event, "iss": ISSUER, "iat": issued})) + b'"'


def key_set(signers: Iterable[Signer]) -> bytes:
    """The key set of several keys."""
    return orjson.dumps({"keys": [signer.jwk for signer in signers]})
