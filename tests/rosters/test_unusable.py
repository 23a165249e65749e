"""Any record on a stage's inputs is used or rejected, and never an error."""

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
from tests.rosters.test_snapshots import random_history, seen_and_missed

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
def valid_records() -> dict[str, list[Stored]]:
    """Valid records of the stages' inputs, by topic."""
    valid: dict[str, list[Stored]] = {}
    histories = [(scenario.events, scenario.shard) for scenario in SCENARIOS]
    histories += [(tuple(seen_and_missed()), None)]
    histories += [(tuple(random_history(seed)), None) for seed in range(20)]
    for events, shard in histories:
        cluster = Cluster(shard=shard)
        cluster.send(events)
        cluster.settle(SimpleNamespace(below=lambda bound: bound - 1))
        for _, topic in INPUTS:
            for partition in range(2):
                valid.setdefault(topic, []).extend(
                    record for record in cluster.log(topic, partition) if record.value is not None
                )
    return valid


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
    """A valid record with one changed part."""
    record: Stored = draw(st.sampled_from(valid_records()[topic]))
    assert record.value is not None
    value = orjson.loads(record.value)
    part: Any = value
    for _ in range(draw(st.integers(0, 3))):
        items = list(part.items() if isinstance(part, dict) else enumerate(part))
        inner = [key for key, item in items if isinstance(item, dict | list) and item]
        if not inner:
            break
        part = part[draw(st.sampled_from(inner))]
    key = draw(st.sampled_from(list(part) if isinstance(part, dict) else range(len(part))))
    if draw(st.booleans()):
        part[key] = draw(VALUES)
    else:
        del part[key]
    return record._replace(
        value=orjson.dumps(value), key=record.key if draw(st.booleans()) else draw(KEYS)
    )


@pytest.mark.parametrize(("stage", "topic"), INPUTS, ids=[topic for _, topic in INPUTS])
@settings(max_examples=examples(150, part=5), deadline=None)
@given(data=st.data())
def test_a_record_is_used_or_rejected(stage: Stage, topic: str, data: st.DataObject) -> None:
    record = data.draw(records(topic))
    spec = stage.inputs[topic]
    try:
        change = spec.read(record)
    except UnusableError:
        return
    assert isinstance(change, Change)
    row = spec.merge(None, change.update)
    again = spec.merge(row, change.update)
    assert again is row, "a repeated update must not change the row"
    if row is not None:
        for lead in (None, row if change.row_id == "" else None):
            kind = stage.kinds[change.row_id.partition("/")[0]]
            identity = change.row_id.partition("/")[2]
            for _topic, _key, value in kind.records(change.key, identity, row, lead):
                assert orjson.loads(encode_json(value)) is not None
