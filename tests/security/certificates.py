"""Certificates, keys and tokens for the tests, by the program ``openssl``."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.waiting import run_bytes


def openssl(*arguments: str | Path, given: bytes = b"") -> bytes:
    """What the program answers."""
    done = run_bytes(["openssl", *map(str, arguments)], input=given)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key."""

    certificate: Path
    key: Path

    @property
    def keystore(self) -> Path:
        """Both in one file, as Kafka takes them."""
        store = self.key.with_suffix(".keystore.pem")
        store.write_bytes(self.key.read_bytes() + self.certificate.read_bytes())
        return store


class Authority:
    """An authority that signs certificates, with all its files in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self.certificate = folder / f"{name}.crt"
        self._key = folder / f"{name}.key"
        self._new_key(self._key)
        openssl(
            "req",
            "-x509",
            "-key",
            self._key,
            "-out",
            self.certificate,
            "-days",
            "2",
            "-subj",
            f"/CN={name}",
        )

    def issue(
        self,
        name: str,
        *,
        hosts: Sequence[str] = (),
        expired: bool = False,
        passphrase: str | None = None,
    ) -> Identity:
        """A certificate for a name, and for hosts such as ``DNS:localhost``. ``expired``: it was
        good for a second, years ago.
        """
        file = f"{name}{'-expired' if expired else ''}{'-locked' if passphrase else ''}"
        key, request, certificate = (
            self._folder / f"{file}.{suffix}" for suffix in ("key", "csr", "crt")
        )
        self._new_key(key)
        openssl("req", "-new", "-key", key, "-out", request, "-subj", f"/CN={name}")
        extensions = self._folder / f"{file}.ext"
        extensions.write_text(
            f"subjectAltName={','.join(hosts)}\n" if hosts else "basicConstraints=CA:FALSE\n",
            encoding="utf-8",
        )
        (index := self._folder / f"{file}.index").write_text("", encoding="utf-8")
        configuration = self._folder / f"{file}.cnf"
        configuration.write_text(
            f"[ca]\ndefault_ca=here\n[here]\ndatabase={index}\nnew_certs_dir={self._folder}\ndefault_md=sha256\npolicy=any\nrand_serial=yes\n[any]\ncommonName=supplied\n",
            encoding="utf-8",
        )
        period = (
            ("-startdate", "20200101000000Z", "-enddate", "20200101000001Z")
            if expired
            else ("-days", "2")
        )
        authority = ("-cert", self.certificate, "-keyfile", self._key)
        openssl(
            "ca",
            "-batch",
            "-notext",
            "-config",
            configuration,
            *authority,
            *period,
            "-extfile",
            extensions,
            "-in",
            request,
            "-out",
            certificate,
        )
        if passphrase is not None:
            locked = openssl(
                "pkcs8",
                "-topk8",
                "-v2",
                "aes-256-cbc",
                "-in",
                key,
                "-passout",
                f"pass:{passphrase}",
            )
            key.write_bytes(locked)
        return Identity(certificate, key)

    @staticmethod
    def _new_key(path: Path) -> None:
        path.write_bytes(
            openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        )


class TokenIssuer:
    """Signs JSON Web Tokens (RS256), and publishes its key as a file (JWKS)."""

    def __init__(self, folder: Path, audience: str) -> None:
        self._key = folder / "issuer.key"
        self._audience = audience
        self._key.write_bytes(
            openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
        )
        modulus = (
            openssl("rsa", "-in", self._key, "-noout", "-modulus")
            .decode()
            .strip()
            .removeprefix("Modulus=")
        )
        self.keys = folder / "keys.json"
        key = {
            "kty": "RSA",
            "kid": "1",
            "use": "sig",
            "alg": "RS256",
            "n": _base64(bytes.fromhex(modulus)),
            "e": "AQAB",
        }
        self.keys.write_text(json.dumps({"keys": [key]}), encoding="utf-8")

    def token(self, subject: str, *, seconds: float = 600) -> str:
        """A token for a user, good for so many seconds from now (or, below 0, until so many seconds
        ago).
        """
        now = int(time.time())
        claims = {
            "sub": subject,
            "aud": self._audience,
            "iat": now - 1000,
            "exp": int(now + seconds),
            "scope": "kafka",
        }
        signed = f"{_json({'alg': 'RS256', 'kid': '1', 'typ': 'JWT'})}.{_json(claims)}"
        signature = openssl("dgst", "-sha256", "-sign", self._key, given=signed.encode())
        return f"{signed}.{_base64(signature)}"


def _json(value: Mapping[str, object]) -> str:
    return _base64(json.dumps(value).encode())


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
