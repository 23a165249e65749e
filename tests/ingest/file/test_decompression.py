"""Decompression of gzip and Zstandard, in any chunks and in bounded memory."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcall.ingest.file.decompression import MAGIC_BYTES, MOST_BYTES, decompressor
from tests.examples import examples

FORMS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "none": bytes,
}


def read(data: bytes, size: int = 2**20) -> tuple[bytes, str | None]:
    """The content of a stream that comes in chunks of a size, and its damage."""
    stream = decompressor(data[:MAGIC_BYTES])
    pieces = [
        piece for at in range(0, len(data), size) for piece in stream.feed(data[at : at + size])
    ]
    assert all(0 < len(piece) <= max(MOST_BYTES, size) for piece in pieces)
    return b"".join(pieces), stream.damage


@given(
    st.lists(st.binary(max_size=50), min_size=1, max_size=4),
    st.sampled_from(list(FORMS)),
    st.integers(1, 30),
)
@settings(max_examples=examples(200), deadline=None)
def test_members_one_after_another(parts: list[bytes], form: str, size: int) -> None:
    data = b"".join(FORMS[form](part) for part in parts)
    if form == "none":
        data = b" " + data  # no magic bytes
        parts = [data]
    assert read(data, size) == (b"".join(parts), None)


@pytest.mark.parametrize("form", ["gzip", "zstd"])
@pytest.mark.parametrize("size", [1000, 2**20])
def test_pieces_are_bounded(form: str, size: int) -> None:
    for content in (bytes(5 * MOST_BYTES), random.Random(1).randbytes(2 * MOST_BYTES)):
        assert read(FORMS[form](content), size) == (content, None)


@pytest.mark.parametrize("form", ["gzip", "zstd"])
def test_a_truncated_stream_gives_what_it_has(form: str) -> None:
    content = random.Random(2).randbytes(300_000)
    data = FORMS[form](content)
    for end in (len(data) - 1, len(data) // 2, 5):
        found, damage = read(data[:end])
        assert content.startswith(found)
        assert "ends too early" in (damage or "")
    assert len(read(data[: len(data) // 2])[0]) > 100_000


@pytest.mark.parametrize("form", ["gzip", "zstd"])
def test_damage_is_reported_and_ends_the_stream(form: str) -> None:
    data = FORMS[form](b"first")
    found, damage = read(data + b"something else" + data, 7)
    assert (found, "damaged" in (damage or "")) == (b"first", True)


def test_padding() -> None:
    assert read(gzip.compress(b"a") + bytes(1000) + gzip.compress(b"b") + bytes(3), 10) == (
        b"ab",
        None,
    )
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00none"
    assert read(skippable + zstd.compress(b"a") + skippable, 3) == (b"a", None)
