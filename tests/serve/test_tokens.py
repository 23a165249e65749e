"""Tokens: the file, the command, and who is let in."""

from __future__ import annotations

import hmac
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from rollcall.cli.token import token_cli
from rollcall.errors import ConfigurationError
from rollcall.serve import tokens
from rollcall.serve.tokens import (
    TOKEN_PREFIX,
    Tokens,
    add_token,
    digest_of,
    read_tokens,
    revoke_token,
)
from tests.examples import examples
from tests.serve.client import Answer, fetch
from tests.serve.page.rows import course
from tests.serve.served import Served, serving
from tests.waiting import run

PATH = "/api/v1/courses/565"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of tokens, also for the command. Changes take effect at once."""
    path = tmp_path / "kept" / "tokens"
    monkeypatch.setenv("ROLLCALL_TOKENS_FILE", str(path))
    monkeypatch.setattr(tokens, "CHECK_SECONDS", 0.0)
    return path


@pytest.fixture
def token(file: Path) -> str:
    """An accepted token."""
    return add_token(file, "reporting")


@pytest.fixture
def served(tmp_path: Path, file: Path, token: str) -> Iterator[Served]:
    """A server that requires a token, with a course."""
    with serving(tmp_path / "serve", course("Physics"), tokens_file=file) as served:
        yield served


@pytest.fixture(scope="module")
def lasting_token(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A file that no test changes, and its token."""
    path = tmp_path_factory.mktemp("kept") / "tokens"
    return path, add_token(path, "reporting")


@pytest.fixture(scope="module")
def lasting(
    tmp_path_factory: pytest.TempPathFactory, lasting_token: tuple[Path, str]
) -> Iterator[Served]:
    """One server for all tests that only read."""
    with serving(
        tmp_path_factory.mktemp("serve"), course("Physics"), tokens_file=lasting_token[0]
    ) as served:
        yield served


def ask_with(served: Served, authorization: str, path: str = PATH, method: str = "GET") -> Answer:
    """A request with a header ``Authorization``."""
    return fetch(served.url, path, method, headers={"Authorization": authorization})


# --- who is let in


@pytest.mark.parametrize("kind", ["Bearer ", "bearer ", "BEARER   "])
def test_whoever_has_a_token(lasting: Served, lasting_token: tuple[Path, str], kind: str) -> None:
    """The request is served."""
    assert ask_with(lasting, kind + lasting_token[1]).json["name"] == "Physics"


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Basic {}", "Token {}", "{}", "Bearer{}", "Bearer\u00a0{}"],
)
def test_what_is_no_token(
    lasting: Served, lasting_token: tuple[Path, str], authorization: str
) -> None:
    """The response is Canvas's."""
    answer = ask_with(lasting, authorization.format(lasting_token[1]))
    assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="canvas-lms"')
    assert list(answer.json) == ["errors"]
    assert lasting_token[1] not in answer.body.decode()


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it[:-1],
        lambda it: it + "x",
        str.upper,
        lambda it: it[::-1],
        digest_of,
        lambda it: f'"{it}"',
        lambda it: it + ", x",
    ],
)
def test_another_token(lasting: Served, lasting_token: tuple[Path, str], change: object) -> None:
    """The digest of a token is no token."""
    assert callable(change)
    answer = ask_with(lasting, f"Bearer {change(lasting_token[1])}")
    assert (answer.status, answer.json) == (401, {"errors": [{"message": "Invalid access token."}]})


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize(
    "path",
    [
        PATH,
        "/api/v1/courses/1",
        "/api/v1/nowhere",
        "/api/",
        f"{PATH}?page=x",
        f"{PATH}?access_token={{}}",
        "/api/v1/courses/565%2F..",
    ],
)
def test_nothing_is_told_to_others(
    lasting: Served, lasting_token: tuple[Path, str], path: str, method: str
) -> None:
    """Not even whether an object exists, or a parameter is wrong."""
    assert fetch(lasting.url, path.format(lasting_token[1]), method).status == 401


@pytest.mark.parametrize(
    "path",
    [
        "//api/v1/courses/565",
        "/API/v1/courses/565",
        "/x/../api/v1/courses/565",
        "/%2fapi/v1/courses/565",
        "/./api/v1/courses/565",
        "/api;/v1/courses/565",
    ],
)
def test_no_way_around(lasting: Served, path: str) -> None:
    """Paths that only resemble the API's are not the API."""
    assert fetch(lasting.url, path).status == 404


def test_how_a_token_is_compared(file: Path, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each digest is compared as a whole, so the time is the same for all tokens."""
    other = add_token(file, "other")
    compared: list[tuple[str, str]] = []

    def compare(presented: str, digest: str) -> bool:
        compared.append((presented, digest))
        return presented == digest

    monkeypatch.setattr(hmac, "compare_digest", compare)
    known = Tokens(file)
    for presented, owner in ((token, "reporting"), (other, "other"), ("unknown", None)):
        compared.clear()
        assert known.name_of(presented) == owner
        assert compared == [(digest_of(presented), digest_of(one)) for one in (token, other)]


# --- a file that changes


def test_a_token_that_is_taken_back(served: Served, file: Path, token: str) -> None:
    """It is refused from then on; others and new ones are accepted."""
    other = add_token(file, "other")
    assert [ask_with(served, f"Bearer {one}").status for one in (token, other)] == [200, 200]
    revoke_token(file, "reporting")
    assert [ask_with(served, f"Bearer {one}").status for one in (token, other)] == [401, 200]
    revoke_token(file, "other")
    assert [ask_with(served, f"Bearer {one}").status for one in (token, other)] == [401, 401]
    assert fetch(served.url, PATH).status == 401, "without any token, nobody is let in"


@pytest.mark.parametrize(
    "broken", [b"reporting rollcall_secret\n", b"\xff\xfe", b"reporting\n", None]
)
def test_a_file_that_breaks(served: Served, file: Path, token: str, broken: bytes | None) -> None:
    """The previous tokens stay valid, and /readyz says so, without the line."""
    kept = file.read_bytes()
    file.unlink()
    if broken is not None:
        file.write_bytes(broken)
    assert ask_with(served, f"Bearer {token}").status == 200
    assert ask_with(served, f"Bearer {token}x").status == 401
    problem = served.context.tokens.problem
    assert problem is not None
    assert str(file) in problem
    assert "secret" not in problem
    file.write_bytes(kept)
    assert ask_with(served, f"Bearer {token}").status == 200
    assert served.context.tokens.problem is None


def test_a_file_is_not_looked_at_all_the_time(
    file: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only once in an interval."""
    now = [0.0]
    monkeypatch.setattr(tokens, "CHECK_SECONDS", 1.0)
    monkeypatch.setattr("rollcall.serve.tokens.time.monotonic", lambda: now[0])
    known = Tokens(file)
    assert known.name_of(token) == "reporting"
    revoke_token(file, "reporting")
    now[0] = 0.9
    assert known.name_of(token) == "reporting"
    now[0] = 1.0
    assert known.name_of(token) is None


def test_a_change_while_the_file_is_read(
    file: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes effect at the next check."""
    read, other = read_tokens, list[str]()

    def read_and_change(path: Path) -> dict[str, str]:
        found = read(path)
        if not other:
            other.append("")  # only once
            other[0] = add_token(path, "other")
        return found

    monkeypatch.setattr(tokens, "read_tokens", read_and_change)
    known = Tokens(file)
    assert known.name_of(other[0]) == "other"


# --- the file


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no token"),
        ("# none yet\n\n", "has no token"),
        (f"a {'0' * 64}\na {'1' * 64}\n", "line 2"),
        (f"a {'0' * 64}\nrollcall_secret\n", "line 2"),
        (f"rollcall_secret {'0' * 63}\n", "line 1"),
        (f"rollcall_secret {'0' * 64} x\n", "line 1"),
        (f"rollcall_secret {'0' * 64}\nrollcall_secret {'0' * 64}\n", "line 2"),
        (f"{'0' * 64} rollcall_secret\n", "line 1"),
        (f"-secret {'0' * 64}\n", "line 1"),
        (f"{'secret' * 11} {'0' * 64}\n", "line 1"),
    ],
)
def test_a_file_that_is_wrong(tmp_path: Path, text: str, reason: str) -> None:
    """The error names the line and does not quote it: it may be a token."""
    path = tmp_path / "tokens"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        Tokens(path)
    assert reason in str(refused.value)
    assert "secret" not in str(refused.value)


@given(
    text=st.one_of(
        st.text(),
        st.binary().map(lambda raw: raw.decode("latin-1")),
        st.from_regex(r"([a-z]{1,3} [0-9a-f]{64}[ \n#]{1,2}){0,4}.{0,9}"),
    )
)
@settings(
    max_examples=examples(200),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_file(tmp_path: Path, text: str) -> None:
    """It has names and digests, or is refused with a reason that quotes nothing."""
    path = tmp_path / "tokens"
    path.write_bytes(text.encode(errors="surrogatepass"))
    try:
        found = read_tokens(path)
    except ConfigurationError as error:
        message = str(error).replace(str(path), "")
        assert not [word for word in text.split() if len(word) > 12 and word in message]
    else:
        assert all(len(digest) == 64 for digest in found.values())
        path.write_text("".join(f"{name} {digest}\n" for name, digest in found.items()))
        assert read_tokens(path) == found


def test_a_new_file(file: Path) -> None:
    """Only the owner may read it, and it does not have the token."""
    made = add_token(file, "first")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert made.startswith(TOKEN_PREFIX)
    assert len(made) > 40
    assert file.read_text() == f"first {digest_of(made)}\n"
    assert add_token(file, "second") != made
    assert list(read_tokens(file)) == ["first", "second"]


def test_a_line_that_is_not_ended(file: Path, token: str) -> None:
    """The next token gets a line of its own."""
    file.write_text(file.read_text() + f"# ours\nother {'0' * 64}")
    add_token(file, "third")
    assert list(read_tokens(file)) == ["reporting", "other", "third"]


def test_taking_a_token_back(file: Path, token: str, tmp_path: Path) -> None:
    """Only its line goes. Comments, permissions, and a link to the file stay."""
    file.write_text(f"# ours\n{file.read_text()}\nreporting2 {'0' * 64}  # the other one\n")
    file.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(file)
    revoke_token(link, "reporting")
    assert file.read_text() == f"# ours\n\nreporting2 {'0' * 64}  # the other one\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert link.is_symlink()
    assert os.listdir(file.parent) == ["tokens"]
    with pytest.raises(ConfigurationError, match="has no token named reporting"):
        revoke_token(link, "reporting")


@pytest.mark.parametrize("name", ["", " ", "a b", "-a", ".a", "a\n", "a#b", "ä", "a" * 65, "a/b"])
def test_names_that_are_none(file: Path, name: str) -> None:
    """They could not be read from the file."""
    with pytest.raises(ConfigurationError, match="a token's name is"):
        add_token(file, name)
    assert not file.exists()


# --- the command


def test_the_command(file: Path) -> None:
    """A token is printed once; names are listed; the name of a revoked token is free again."""
    run = CliRunner().invoke
    made = run(token_cli, ["new", "reporting"])
    assert made.exit_code == 0
    token = made.output.strip()
    assert Tokens(file).name_of(token) == "reporting"
    run(token_cli, ["new", "other"])
    assert run(token_cli, ["list"]).output == "reporting\nother\n"
    again = run(token_cli, ["new", "reporting"])
    assert isinstance(again.exception, ConfigurationError)
    assert "rollcall token revoke reporting" in str(again.exception)
    assert run(token_cli, ["revoke", "reporting"]).exit_code == 0
    assert run(token_cli, ["list"]).output == "other\n"
    assert isinstance(run(token_cli, ["revoke", "reporting"]).exception, ConfigurationError)
    assert run(token_cli, ["new", "reporting"]).output.strip() != token
    assert Tokens(file).name_of(token) is None


def test_the_command_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says in one line what to set."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("ROLLCALL_")
    }
    ended = run([sys.executable, "-m", "rollcall", "token", "new", "x"], env=environment)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("rollcall: ROLLCALL_TOKENS_FILE is not set")
    assert ended.stderr.count("\n") == 1
