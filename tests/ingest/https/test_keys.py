"""Keys: the set, where it comes from, and how long it is kept."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm

from rollcall.ingest.https import key_source, keys
from rollcall.ingest.https.key_set import KeySetError, parse_key_set
from rollcall.ingest.https.key_source import FetchError, FileSource, HttpsSource
from rollcall.ingest.https.keys import COOL_DOWN_SECONDS, Keys, KeysUnavailableError
from rollcall.sandbox.canvas.signing import Signer, key_set
from tests.ingest.https.key_server import KeyServer, serving_keys
from tests.waiting import eventually, in_time


@cache
def signer(name: str, bits: int = 2_048) -> Signer:
    """A key, made once."""
    return Signer(name, bits)


def jwk(**changes: Any) -> dict[str, Any]:
    """An entry with changes; None removes a field."""
    entry = {**signer("current").jwk, **changes}
    return {name: value for name, value in entry.items() if value is not None}


def numbers(key: RSAPublicKey | None) -> object:
    """What makes a key equal to another one."""
    return key and key.public_numbers()


# --- the set


def test_keys_by_name() -> None:
    found = parse_key_set(key_set([signer("previous"), signer("current"), signer("next")]))
    assert {name: numbers(key) for name, key in found.items()} == {
        name: signer(name).private_key.public_key().public_numbers()
        for name in ("previous", "current", "next")
    }


@pytest.mark.parametrize(
    "entry",
    [
        jwk(kty="EC"),
        jwk(kty="oct", k="c2VjcmV0"),
        jwk(kid=None),
        jwk(kid=7),
        jwk(use="enc"),
        jwk(alg="RS512"),
        jwk(alg="HS256"),
        jwk(n="AQAB"),
        jwk(n=None),
        jwk(e="!!"),
        jwk(n=7),
        "current",
        None,
        {},
    ],
)
def test_entries_that_are_not_for_us(entry: object) -> None:
    """They are skipped, and the others are used."""
    entries = {"keys": [entry, signer("next").jwk]}
    assert [*parse_key_set(json.dumps(entries).encode())] == ["next"]
    with pytest.raises(KeySetError):
        parse_key_set(json.dumps({"keys": [entry]}).encode())


def test_weak_and_private_keys() -> None:
    """A key of 1024 bits can be broken. A private one is a mistake of its owner."""
    with pytest.raises(KeySetError):
        parse_key_set(key_set([signer("weak", 1_024)]))
    entry = {**RSAAlgorithm.to_jwk(signer("current").private_key, as_dict=True), "kid": "x"}
    with pytest.raises(KeySetError):
        parse_key_set(json.dumps({"keys": [entry]}).encode())


def test_fields_that_may_be_missing() -> None:
    assert parse_key_set(json.dumps({"keys": [jwk(use=None, alg=None)]}).encode())


@pytest.mark.parametrize(
    "document", [b"", b"<html>", b"[]", b"{}", b'{"keys": {}}', b'{"keys": []}', b"\xff", b"7"]
)
def test_what_is_no_key_set(document: bytes) -> None:
    with pytest.raises(KeySetError):
        parse_key_set(document)


# --- the source


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyServer]:
    """A server whose certificate is trusted."""
    with serving_keys(tmp_path, key_set([signer("current")])) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.files.cert))
        yield server


async def test_a_server(server: KeyServer) -> None:
    assert await HttpsSource(server.url).read() == server.document


async def test_a_server_that_nobody_trusts(
    server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its keys are not used: they might be anybody's."""
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(FetchError, match="cannot be reached"):
        await HttpsSource(server.url).read()
    assert server.requests == 0


async def test_a_server_that_fails(server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors, redirects and endless answers have an end."""
    server.respond = server.fail
    with pytest.raises(FetchError, match="status 500"):
        await HttpsSource(server.url).read()
    server.respond = server.redirect
    with pytest.raises(FetchError, match="status 302"):
        await HttpsSource(server.url).read()
    server.respond = server.send_without_end
    with pytest.raises(FetchError, match="more than"):
        await HttpsSource(server.url).read()
    monkeypatch.setattr(key_source, "FETCH_SECONDS", 0.5)
    server.respond = server.hang
    with pytest.raises(FetchError, match="within"):
        await HttpsSource(server.url).read()
    with pytest.raises(FetchError, match="cannot be reached"):
        await HttpsSource("https://127.0.0.1:1/jwks").read()


async def test_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "two words.json"
    source = key_source.key_source(path.as_uri())
    assert isinstance(source, FileSource)
    with pytest.raises(FetchError, match="No such file"):
        await source.read()
    path.write_bytes(b"x" * 100)
    assert await source.read() == b"x" * 100
    monkeypatch.setattr(key_source, "MOST_BYTES", 99)
    with pytest.raises(FetchError, match="more than"):
        await source.read()


# --- the cache


class Source:
    """A source that a test controls."""

    def __init__(self, *signers: str) -> None:
        self.document: bytes | None = key_set(map(signer, signers)) if signers else b"{}"
        self.reads = 0
        self.go = asyncio.Event()
        self.go.set()

    async def read(self) -> bytes:
        """The document; None: a failure."""
        self.reads += 1
        await self.go.wait()
        if self.document is None:
            raise FetchError("away")
        return self.document


class Clock:
    """A clock that a test moves."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def test_a_key_is_fetched_once() -> None:
    source, results = Source("current"), list[bool]()
    cache = Keys(source, on_fetch=results.append, clock=Clock())
    for _ in range(3):
        assert numbers(await cache.key("current"))
    assert (source.reads, results, cache.age_seconds) == (1, [True], 0)


async def test_rotation() -> None:
    """A new key is fetched when it is first seen, and one that is gone is refused."""
    source, clock = Source("previous", "current"), Clock()
    cache = Keys(source, clock=clock)
    assert await cache.key("previous")
    source.document = key_set([signer("current"), signer("next")])
    clock.now += COOL_DOWN_SECONDS
    assert await cache.key("next")
    assert await cache.key("current")
    assert await cache.key("previous") is None
    assert source.reads == 2


async def test_a_flood_of_unknown_keys() -> None:
    """One fetch in thirty seconds, whatever comes, and one for all that come at once."""
    source, clock = Source("current"), Clock()
    cache = Keys(source, clock=clock)
    assert await cache.key("current")
    for _ in range(3):
        clock.now += COOL_DOWN_SECONDS
        before = source.reads
        found = await asyncio.gather(*(cache.key(f"unknown {n}") for n in range(200)))
        assert found == [None] * 200
        assert source.reads == before + 1
        clock.now += COOL_DOWN_SECONDS - 1
        assert await cache.key("another") is None
        assert source.reads == before + 1
        clock.now += 1


async def test_the_flood_without_a_cool_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: each unknown key causes a fetch."""
    monkeypatch.setattr(keys, "COOL_DOWN_SECONDS", 0.0)
    source = Source("current")
    cache = Keys(source, clock=Clock())
    for number in range(20):
        assert await cache.key(f"unknown {number}") is None
    assert source.reads == 20


async def test_a_caller_that_gives_up() -> None:
    """The others get their key."""
    source = Source("current")
    source.go.clear()
    cache = Keys(source)
    first, second = (asyncio.create_task(cache.key("current")) for _ in range(2))
    await eventually(lambda: source.reads == 1, what="the fetch")
    first.cancel()
    source.go.set()
    assert await in_time(second, what="the key")
    assert source.reads == 1


async def test_a_source_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """Earlier keys stay valid. Others cannot be judged, and this is no fault of the sender."""
    source, clock, results = Source(), Clock(), list[bool]()
    cache = Keys(source, on_fetch=results.append, clock=clock)
    for document in (b"{}", b"<html>", None):
        source.document = document
        with pytest.raises(KeysUnavailableError):
            await cache.key("current")
        clock.now += COOL_DOWN_SECONDS
    source.document = key_set([signer("current")])
    assert await cache.key("current")
    for document in (key_set([]), None):
        clock.now += COOL_DOWN_SECONDS
        source.document = document
        with pytest.raises(KeysUnavailableError):
            await cache.key("next")
        assert await cache.key("current")
    assert results == [False, False, False, True, False, False]
    assert cache.age_seconds == 2 * COOL_DOWN_SECONDS
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert "earlier keys stay valid" in caplog.messages[-1]


async def test_an_unexpected_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is a failure as any other one, and the next fetch comes."""
    monkeypatch.setattr(keys, "COOL_DOWN_SECONDS", 0.0)
    source = Source("current")
    read = source.read
    results = list[bool]()

    async def fail() -> bytes:
        raise LookupError("a fault")

    monkeypatch.setattr(source, "read", fail)
    cache = Keys(source, on_fetch=results.append)
    task = asyncio.create_task(cache.keep_fresh())
    await eventually(lambda: len(results) > 1, what="another fetch")
    assert "LookupError" in str(cache.problem)
    with pytest.raises(KeysUnavailableError):
        await cache.key("current")
    assert "Traceback" in caplog.text
    monkeypatch.setattr(source, "read", read)
    await eventually(lambda: cache.age_seconds is not None, what="the keys")
    task.cancel()
    await cache.close()


async def test_keys_are_fetched_without_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start, and again and again: a key that Canvas withdraws is refused."""
    monkeypatch.setattr(keys, "REFRESH_SECONDS", 0.0)
    monkeypatch.setattr(keys, "COOL_DOWN_SECONDS", 0.0)
    source = Source("current")
    cache = Keys(source)
    task = asyncio.create_task(cache.keep_fresh())
    await eventually(lambda: cache.age_seconds is not None, what="the keys")
    source.document = key_set([signer("next")])
    before = source.reads
    await eventually(lambda: source.reads > before + 1, what="another fetch")
    assert await cache.key("current") is None
    task.cancel()
    await cache.close()


async def test_the_end_during_a_fetch() -> None:
    source = Source("current")
    source.go.clear()
    cache = Keys(source)
    waiting = asyncio.create_task(cache.keep_fresh())
    await eventually(lambda: source.reads == 1, what="the fetch")
    waiting.cancel()
    await in_time(cache.close(), what="the end")
    assert cache.age_seconds is None
