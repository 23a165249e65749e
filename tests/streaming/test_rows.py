"""The bytes of rows."""

from __future__ import annotations

import msgspec
import pytest

from rollcall.streaming.rows import encode_json


class Row(msgspec.Struct, array_like=True):
    """A row with two values."""

    first: object
    second: object


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30])
def test_numbers_beyond_64_bits_are_written_as_events_are_read(number: int) -> None:
    """orjson, which reads events, makes floats of them."""
    written = encode_json([{"key": 1}, Row(number, 1e22)])
    assert written == encode_json([{"key": 1}, Row(float(number), 1e22)])


def test_numbers_of_64_bits_stay_whole() -> None:
    assert encode_json(Row(2**64 - 1, -(2**63))) == b"[18446744073709551615,-9223372036854775808]"
