"""The chunk histogram counts like Prometheus's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from rollcall.process.chunk_histogram import ChunkHistogram
from tests.docs.tables import registries

BUCKETS = (0.1, 0.5, 1.0, 5.0)
VALUES = st.lists(
    st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0, 5.0]) | st.floats(0, 100), max_size=20),
    max_size=4,
)


@given(VALUES)
def test_counts_equal_those_of_prometheus_client(chunks: list[list[float]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    histogram = ChunkHistogram("x_seconds", "X.", BUCKETS, ours, label="stage", values=("r", "s"))
    theirs_by_stage = Histogram("x_seconds", "X.", ["stage"], buckets=BUCKETS, registry=theirs)
    theirs_by_stage.labels("r")
    reference = theirs_by_stage.labels("s")
    for chunk in chunks:
        histogram.observe_many(chunk, "s")
        for value in chunk:
            reference.observe(value)

    def samples(registry: CollectorRegistry) -> dict[tuple[str, str, str], float]:
        families = text_string_to_metric_families(generate_latest(registry).decode())
        return {
            (s.name, s.labels["stage"], s.labels.get("le", "")): round(s.value, 6)
            for family in families
            for s in family.samples
            if not s.name.endswith("_created")
        }

    assert samples(ours) == samples(theirs)


def test_names_are_in_base_units_and_documented() -> None:
    for family in (family for registry in registries() for family in registry.collect()):
        if not family.name.startswith(("process_", "python_")):
            assert family.name.startswith("rollcall_")
            assert family.documentation.endswith(".")
