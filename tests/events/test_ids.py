"""One key for one entity."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.events.ids import SHARD_SIZE, normal_id, parse_id, shard_of

LOCAL = st.integers(1, SHARD_SIZE - 1)
SHARD = st.integers(1, 922_336)


@given(LOCAL, SHARD)
def test_every_way_to_write_an_id_is_one_key(local: int, shard: int) -> None:
    whole = shard * SHARD_SIZE + local
    assert {normal_id(written, shard) for written in (local, str(local), whole, str(whole))} == {
        str(whole)
    }
    assert shard_of(str(whole)) == shard_of(whole) == shard
    assert shard_of(local) is None
    assert normal_id(normal_id(local, shard), None) == str(whole), "normal form is final"


@given(LOCAL)
def test_without_a_shard_an_id_stays_as_it_is(local: int) -> None:
    assert normal_id(local, None) == normal_id(str(local), None) == str(local)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        "",
        "x",
        "1.5",
        1.5,
        -1,
        0,
        "0",
        "-1",
        2**63,
        "9" * 20,
        2.0**54,
        float("inf"),
        "１２",
        " 1",
        "1\n",
        [1],
        {},
        b"1",
    ],
)
def test_what_is_no_id_has_no_normal_form(value: object) -> None:
    assert normal_id(value, 2107) is None
    assert shard_of(value) is None


@given(LOCAL, SHARD)
def test_an_id_in_a_url(local: int, shard: int) -> None:
    whole = str(shard * SHARD_SIZE + local)
    assert (
        parse_id(f"{shard}~{local}", None)
        == parse_id(whole, None)
        == parse_id(str(local), shard)
        == whole
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "~",
        "1~",
        "~1",
        "0~1",
        "1~0",
        "x~1",
        "1~x",
        "1~2~3",
        "1 ~1",
        f"1~{SHARD_SIZE}",
        "922337~9999999999999",
    ],
)
def test_what_is_no_id_in_a_url(text: str) -> None:
    assert parse_id(text, 2107) is None


@pytest.mark.parametrize("text", ["0002107~1533", "2107~00000000000001533"])
def test_zeros_that_make_an_id_longer_than_any_are_none(text: str) -> None:
    assert parse_id(text, 2107) is None
