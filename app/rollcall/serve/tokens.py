"""Who may ask: a file of names and digests of tokens. The tokens themselves are nowhere."""

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

# by which people, and programs that look for secrets, know what it is
TOKEN_PREFIX = "rollcall_"  # noqa: S105
TOKEN_BYTES = 32
"""Of randomness: nobody guesses it, so a fast digest is as good as a slow one."""

LOOK_SECONDS = 1.0
"""How often the file is looked at: a token that was taken out is of no use a second later."""

_LINE = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._@-]{0,63})\s+(?P<digest>[0-9a-f]{64})")
_legal_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}").fullmatch


def digest_of(token: str) -> str:
    """SHA-256 of a token, in hexadecimal digits."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def new_token() -> str:
    """A token that nobody has."""
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
            # Nor is this one: what stands where the name belongs may be one too.
            raise ConfigurationError(
                f"{path}, line {number}: a line above has the same name; ROLLCALL_TOKENS_FILE is "
                "to have each name once"
            )
        digests[match["name"]] = match["digest"]
    return digests


def add_token(path: Path, name: str) -> str:
    """Add a new token to a file, which is made if need be, and return the token.

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
    """Take a token out of a file.

    Raises:
        ConfigurationError: there is none of this name, or the file cannot be written.
    """
    if name not in read_tokens(path):
        raise ConfigurationError(f"{path} has no token named {name}")
    kept = [
        line
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.partition("#")[0].split()[:1] != [name]
    ]
    place = path.resolve()  # where a link leads to: the link stays
    new = place.with_name(f"{place.name}.new")
    try:
        before = place.stat()
        with os.fdopen(
            os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
        ) as file:
            # Whoever could read it still can: serve may run as another user.
            with contextlib.suppress(PermissionError):
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
            file.writelines(f"{line}\n" for line in kept)
        new.replace(place)
    except OSError as error:
        raise ConfigurationError(
            f"the tokens cannot be written to {path} ({error.strerror}); set ROLLCALL_TOKENS_FILE"
        ) from None


class Tokens:
    """The tokens that are accepted now.

    Args:
        path: the file, which is read anew when it has changed; None: no token is asked for.

    Raises:
        ConfigurationError: the file is wrong, or has no token.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._digests: dict[str, str] = {}
        self._stamp: tuple[int, int, int] | None = None
        self._looked_at = float("-inf")
        self.problem: str | None = None
        """Why the file could not be read when it changed. Until it can, what it said before holds.
        """
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
        """Whether a token is asked for."""
        return self._path is not None

    def name_of(self, token: str) -> str | None:
        """Whose token this is; None: nobody's. As long as for any other token of the same
        length.
        """
        self._look()
        given, found = digest_of(token), None
        for name, digest in self._digests.items():
            if hmac.compare_digest(given, digest):
                found = name
        return found

    def digest_named(self, name: str) -> str | None:
        """The digest of the token of this name, while there is one."""
        self._look()
        return self._digests.get(name)

    def _look(self) -> None:
        now = time.monotonic()
        if self._path is None or now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
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
