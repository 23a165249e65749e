"""Tokens: a file of their names and digests. The tokens themselves are not stored."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import secrets
import stat
import time
from pathlib import Path

from rollcall.errors import ConfigurationError

# People, and programs that search for secrets, recognise a token by it.
TOKEN_PREFIX = "rollcall_"  # noqa: S105
TOKEN_BYTES = 32
"""Random bytes of a token. It cannot be guessed, so a fast digest is as good as a slow one."""

CHECK_SECONDS = 1.0
"""Interval in which the file is checked: a revoked token is refused a second later."""

_LINE = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._@-]{0,63})\s+(?P<digest>[0-9a-f]{64})")
_legal_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}").fullmatch


def digest_of(token: str) -> str:
    """SHA-256 of a token, in hexadecimal digits."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def new_token() -> str:
    """A new random token."""
    return TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def read_tokens(path: Path) -> dict[str, str]:
    """Digests by name.

    Raises:
        ConfigurationError: the file cannot be read, or a line of it is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"the tokens cannot be read from {path} ({error}); make one with 'rollcall token new "
            "NAME', or set ROLLCALL_TOKENS_FILE"
        ) from None
    digests: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        match = _LINE.fullmatch(content)
        if match is None:
            # The line is not quoted: it may be a token.
            raise ConfigurationError(
                f"{path}, line {number}: must be a name and the SHA-256 of a token, as 'rollcall "
                "token new NAME' writes them; or set ROLLCALL_TOKENS_FILE"
            )
        if match["name"] in digests:
            # The name is not quoted either: it may be a token, too.
            raise ConfigurationError(
                f"{path}, line {number}: a line above has the same name; ROLLCALL_TOKENS_FILE is "
                "to have each name once"
            )
        digests[match["name"]] = match["digest"]
    return digests


def add_token(path: Path, name: str) -> str:
    """Add a new token to a file, and return it. Creates the file if there is none.

    Raises:
        ConfigurationError: the name is illegal or taken, or the file cannot be written.
    """
    if not _legal_name(name):
        raise ConfigurationError(
            "a token's name is 1 to 64 letters, digits, '.', '_', '@', '-', and begins with a "
            "letter or digit"
        )
    if path.exists() and name in read_tokens(path):
        raise ConfigurationError(
            f"{path} has a token named {name}: remove it first with 'rollcall token revoke {name}'"
        )
    token = new_token()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "a+b") as file:
            file.seek(0, os.SEEK_END)
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(f"{name} {digest_of(token)}\n".encode())
    except OSError as error:
        raise ConfigurationError(
            f"the token cannot be written to {path} ({error.strerror}); set ROLLCALL_TOKENS_FILE"
        ) from None
    return token


def revoke_token(path: Path, name: str) -> None:
    """Remove a token from a file.

    Raises:
        ConfigurationError: the file has no token of this name, or cannot be written.
    """
    if name not in read_tokens(path):
        raise ConfigurationError(f"{path} has no token named {name}")
    kept = [
        line
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.partition("#")[0].split()[:1] != [name]
    ]
    target = path.resolve()  # a symbolic link stays
    new = target.with_name(f"{target.name}.new")
    try:
        before = target.stat()
        with os.fdopen(
            os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
        ) as file:
            # Owner and mode stay, because serve may run as another user.
            with contextlib.suppress(PermissionError):
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
            file.writelines(f"{line}\n" for line in kept)
        new.replace(target)
    except OSError as error:
        raise ConfigurationError(
            f"the tokens cannot be written to {path} ({error.strerror}); set ROLLCALL_TOKENS_FILE"
        ) from None


class Tokens:
    """The accepted tokens.

    Args:
        path: the file, which is read again after a change; None: no token is required.

    Raises:
        ConfigurationError: the file is wrong, or has no token.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._digests: dict[str, str] = {}
        self._stamp: tuple[int, int, int] | None = None
        self._checked_at = float("-inf")
        self.problem: str | None = None
        """Why the changed file cannot be read. Meanwhile the previous tokens stay valid."""
        if path is not None:
            with contextlib.suppress(OSError):
                self._stamp = _stamp(path)  # first: what is written in between is read again
            self._digests = read_tokens(path)
            if not self._digests:
                raise ConfigurationError(
                    f"{path} has no token; make one with 'rollcall token new NAME', or set "
                    "ROLLCALL_TOKENS_FILE"
                )

    @property
    def required(self) -> bool:
        """Whether requests need a token."""
        return self._path is not None

    def name_of(self, token: str) -> str | None:
        """The name of a token; None: the token is unknown.

        Takes the same time for all tokens of one length.
        """
        self._reload()
        token_digest, found = digest_of(token), None
        for name, digest in self._digests.items():
            if hmac.compare_digest(token_digest, digest):
                found = name
        return found

    def digest_named(self, name: str) -> str | None:
        """The digest of the token of a name; None: there is none any more."""
        self._reload()
        return self._digests.get(name)

    def _reload(self) -> None:
        now = time.monotonic()
        if self._path is None or now - self._checked_at < CHECK_SECONDS:
            return
        self._checked_at = now
        try:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._digests, self._stamp = read_tokens(self._path), stamp
            self.problem = None
        except (ConfigurationError, OSError) as error:
            self.problem = f"the tokens could not be read anew ({error})"


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size
