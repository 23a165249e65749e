"""Whatever lies on a stage's inputs: it is used, or set aside, and never an error."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcall.rosters.registry import stages
from rollcall.streaming.rows import encode_json
from rollcall.streaming.stages.stage import Change, Stage, UnusableError
from tests.examples import examples
from tests.rosters.memory import Cluster, Stored
from tests.rosters.scenarios import SCENARIOS

STAGES = stages(2107)
INPUTS = [(stage, topic) for stage in STAGES for topic in stage.inputs]

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=12,
)
KEYS = (
    st.none()
    | st.binary(max_size=12)
    | st.from_regex(rb"[1-9]{1,3}(/[1-9]{1,3}){0,3}", fullmatch=True)
)


@cache
def written() -> dict[str, list[Stored]]:
    """What the stages write and read when all goes well, by topic."""
    found: dict[str, list[Stored]] = {}
    for scenario in SCENARIOS:
        cluster = Cluster(shard=scenario.shard)
        cluster.send(scenario.events)
        cluster.settle(SimpleNamespace(below=lambda bound: bound - 1))
        for _, topic in INPUTS:
            for partition in range(2):
                found.setdefault(topic, []).extend(
                    record for record in cluster.log(topic, partition) if record.value is not None
                )
    return found


ANYTHING = st.builds(
    Stored,
    st.just(0),
    st.none() | st.integers(-1, 2**62),
    KEYS,
    st.none() | st.binary(max_size=20) | VALUES.map(orjson.dumps),
    st.just([]),
)


@cache
def records(topic: str) -> st.SearchStrategy[Stored]:
    """Records of an input."""
    return mutations(topic) | ANYTHING


@st.composite
def mutations(draw: Any, topic: str) -> Stored:
    """A record that was written, with one part of it replaced."""
    record: Stored = draw(st.sampled_from(written()[topic]))
    assert record.value is not None
    value = orjson.loads(record.value)
    place: Any = value
    for _ in range(draw(st.integers(0, 3))):
        items = list(place.items() if isinstance(place, dict) else enumerate(place))
        inner = [key for key, part in items if isinstance(part, dict | list) and part]
        if not inner:
            break
        place = place[draw(st.sampled_from(inner))]
    key = draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
    if draw(st.booleans()):
        place[key] = draw(VALUES)
    else:
        del place[key]
    return record._replace(
        value=orjson.dumps(value), key=record.key if draw(st.booleans()) else draw(KEYS)
    )


@pytest.mark.parametrize(("stage", "topic"), INPUTS, ids=[topic for _, topic in INPUTS])
@settings(max_examples=examples(150, part=5), deadline=None)
@given(data=st.data())
def test_a_record_is_used_or_set_aside(stage: Stage, topic: str, data: st.DataObject) -> None:
    record = data.draw(records(topic))
    given_input = stage.inputs[topic]
    try:
        change = given_input.read(record)
    except UnusableError:
        return
    assert isinstance(change, Change)
    row = given_input.merge(None, change.update)
    again = given_input.merge(row, change.update)
    assert again is row, "what is repeated changes nothing"
    if row is not None:
        for lead in (None, row if change.row_id == "" else None):
            kind = stage.kinds[change.row_id.partition("/")[0]]
            identity = change.row_id.partition("/")[2]
            for _topic, _key, value in kind.records(change.key, identity, row, lead):
                assert orjson.loads(encode_json(value)) is not None
