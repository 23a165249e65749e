"""The source, while the queue fails, without a broker and a server."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from prometheus_client import CollectorRegistry

from rollcall.ingest.metrics import SqsMetrics
from rollcall.ingest.sink import RecordRefusedError
from rollcall.ingest.sqs.client import BatchResult, Message, Queue
from rollcall.ingest.sqs.errors import QueueError, Reason
from rollcall.ingest.sqs.ledger import BATCH, Ledger, Receipt
from rollcall.ingest.sqs.source import EMPTY_PAUSE_SECONDS, SqsSource
from rollcall.process.logs import configure_logging
from rollcall.settings import load_settings
from tests.ingest.shim import Refusal, Shim
from tests.waiting import eventually, in_time


class FakeQueue:
    """A queue with so many messages, whose calls fail while they are in ``down``."""

    def __init__(self, messages: int) -> None:
        self.left = messages
        self.down: set[str] = set()
        self.hanging: set[str] = set()
        self.error: QueueError | None = None
        self.wait = 0.05
        """How long an empty receive lasts."""
        self.calls: Counter[str] = Counter()
        self.open: Counter[str] = Counter()
        self.most_open: Counter[str] = Counter()
        self.released: set[str] = set()

    async def _call(self, name: str) -> None:
        self.calls[name] += 1
        if name in self.hanging:
            await asyncio.sleep(3_600)
        self.open[name] += 1
        self.most_open[name] = max(self.most_open[name], self.open[name])
        await asyncio.sleep(0)
        self.open[name] -= 1
        if name in self.down:
            raise self.error or QueueError(Reason.SERVER, f"SQS has a problem ({name})")

    async def receive(self) -> list[Message]:
        """As the client's."""
        await self._call("receive")
        if not self.left:
            await asyncio.sleep(self.wait)
            return []
        ids = [f"m{number}" for number in range(self.left, max(self.left - BATCH, 0), -1)]
        self.left -= len(ids)
        now = int(time.time() * 1000)
        return [Message(Receipt(each, "handle"), b"{}", now, 1) for each in ids]

    async def delete(self, receipts: Sequence[Receipt]) -> BatchResult:
        """As the client's."""
        await self._call("delete")
        return BatchResult(list(receipts), [])

    async def set_visibility(self, receipts: Sequence[Receipt], seconds: int) -> BatchResult:
        """As the client's."""
        await self._call("extend")
        if not seconds:
            self.released |= {receipt.message_id for receipt in receipts}
        return BatchResult(list(receipts), [])

    async def attributes(self) -> dict[str, str]:
        """As the client's."""
        await self._call("attributes")
        return {"MessageRetentionPeriod": "345600"}


class OpenSink:
    """Acknowledges all, or waits, or fails."""

    unavailable_reason: str | None = None

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def send(self, _record: object) -> None:
        """As the sink's."""
        await self.gate.wait()
        if self.error is not None:
            raise self.error


@asynccontextmanager
async def moving(
    queue: FakeQueue, sink: OpenSink | None = None, *, visibility: float = 1
) -> AsyncIterator[SqsSource]:
    """A running source."""
    settings: Any = SimpleNamespace(
        sqs_wait_seconds=1, sqs_visibility_seconds=visibility, sqs_pollers=1
    )
    source = SqsSource(
        settings,
        queue=queue,  # type: ignore[arg-type]
        sink=OpenSink() if sink is None else sink,  # type: ignore[arg-type]
        keys=SimpleNamespace(key=lambda _body: b"key"),  # type: ignore[arg-type]
        metrics=SqsMetrics(CollectorRegistry()),
    )
    stop = asyncio.Event()
    run = asyncio.create_task(source.run(stop))
    try:
        yield source
    finally:
        stop.set()
        await in_time(run, what="the end of the source")


async def test_failing_extensions_are_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a round only the first batch is tried, and the pauses grow."""
    pauses: list[float] = []
    pause = SqsSource._pause

    async def recorded(source: SqsSource, seconds: float) -> None:
        pauses.append(seconds)
        await pause(source, seconds)

    monkeypatch.setattr(SqsSource, "_pause", recorded)
    queue, sink = FakeQueue(300), OpenSink()
    queue.down = {"extend"}
    sink.gate.clear()
    async with moving(queue, sink, visibility=4) as source:
        await eventually(lambda: queue.calls["extend"] > 4, what="extensions")
        assert queue.most_open["extend"] == 1
        assert any(0.8 <= each <= 1 for each in pauses)
        queue.down.clear()
        await eventually(
            lambda: source._metrics.extended_total._value.get() >= 300, what="all extended"
        )
        sink.gate.set()


async def test_a_round_ends_with_the_first_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = FakeQueue(0)
    async with moving(queue, visibility=10_000) as source:
        due = [Receipt(f"m{number}", "handle") for number in range(500)]
        original = queue._call

        async def fails_later(name: str) -> None:
            if queue.calls["extend"] == 5:
                queue.down.add("extend")
            await original(name)

        monkeypatch.setattr(queue, "_call", fails_later)
        await source._extend_all(due)
        assert queue.calls["extend"] < 12
        queue.down.clear()


@pytest.mark.parametrize("call", ["extend", "delete"])
async def test_a_problem_ends_when_nothing_is_left_to_do(call: str) -> None:
    """Readiness does not keep it for ever."""
    queue, sink = FakeQueue(5), OpenSink()
    queue.down = {call}
    if call == "extend":
        sink.gate.clear()
    async with moving(queue, sink) as source:
        await eventually(lambda: source.problems, what="the problem")
        if call == "extend":
            sink.gate.set()
        else:
            source._ledger = Ledger(1)
        await eventually(lambda: not source.problems, what="no problem")
        assert call in queue.down


async def test_hanging_extensions_do_not_stop_letting_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rollcall.ingest.sqs.ledger.KEEP_SECONDS", 1.0)
    queue, sink = FakeQueue(5), OpenSink()
    queue.hanging = {"extend"}
    sink.gate.clear()
    async with moving(queue, sink) as source:
        await eventually(lambda: queue.calls["extend"], what="a call that hangs")
        await eventually(
            lambda: source._metrics.let_go_total._value.get() == 5, what="messages let go"
        )
        sink.gate.set()


async def test_the_oldest_age_grows_while_the_queue_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the retention, with which an alert compares it, is kept."""
    monkeypatch.setattr("rollcall.ingest.sqs.source.ANSWER_SECONDS", -0.9)
    monkeypatch.setattr("rollcall.ingest.sqs.source.ATTRIBUTES_SECONDS", 0.01)
    queue = FakeQueue(0)
    async with moving(queue) as source:
        metrics = source._metrics
        await eventually(lambda: metrics.retention_seconds._value.get() == 345_600, what="it")
        queue.down = {"receive", "attributes"}
        before = queue.calls["attributes"]
        await eventually(lambda: source._oldest_seconds() > 1, what="an age")
        assert queue.calls["attributes"] > before
        assert metrics.retention_seconds._value.get() == 345_600
        queue.down.clear()
        await eventually(lambda: source._oldest_seconds() == 0, what="an empty queue")


async def test_short_empty_answers_are_no_hot_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def recorded(_source: SqsSource, seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0.01)

    monkeypatch.setattr(SqsSource, "_pause", recorded)
    queue = FakeQueue(0)
    queue.wait = 0
    async with moving(queue):
        await eventually(lambda: queue.calls["receive"] > 3, what="calls")
    assert pauses.count(EMPTY_PAUSE_SECONDS) >= queue.calls["receive"] - 1


async def test_an_unexpected_error_leaves_the_message_to_the_queue(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is received again, and its content is not in the log."""
    queue, sink = FakeQueue(1), OpenSink()
    sink.error = ValueError("a marked body")
    async with moving(queue, sink) as source:
        await eventually(lambda: "ValueError" in caplog.text, what="the line")
        assert len(source._ledger) == 0
        sink.error = None
        queue.left = 1
        await eventually(
            lambda: source._metrics.deleted_total._value.get() == 1, what="the deletion"
        )
    assert "marked" not in caplog.text


async def test_a_refused_role_is_no_lack_of_rights_on_the_queue() -> None:
    queue = Queue(load_settings(sqs_queue_url="http://127.0.0.1:1/1/queue"))
    with (
        pytest.raises(QueueError, match="because AssumeRole failed") as found,
        queue._errors_explained("ReceiveMessage"),
    ):
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "AssumeRole")
    assert found.value.reason is Reason.CREDENTIALS


@pytest.mark.parametrize(
    ("endpoint", "named"),
    [(None, "https://sqs.eu-west-1.amazonaws.com"), ("http://127.0.0.1:2", "http://127.0.0.1:2")],
)
async def test_the_server_that_does_not_answer_is_named(endpoint: str | None, named: str) -> None:
    """It is the service of the region or the endpoint, not the host of the queue's URL."""
    queue = Queue(load_settings(sqs_queue_url="http://127.0.0.1:1/1/queue", sqs_endpoint=endpoint))
    with (
        pytest.raises(QueueError, match=f"^SQS at {named} does not answer ") as found,
        queue._errors_explained("ReceiveMessage"),
    ):
        raise EndpointConnectionError(endpoint_url=f"{named}/", error=None)
    assert found.value.reason is Reason.CONNECTION
    assert "ROLLCALL_SQS_ENDPOINT" in str(found.value)


@pytest.mark.parametrize("endpoint", [None, "http://127.0.0.1:2"])
async def test_without_a_named_server_it_is_that_of_the_settings(endpoint: str | None) -> None:
    url = "http://127.0.0.1:1/1/queue"
    queue = Queue(load_settings(sqs_queue_url=url, sqs_endpoint=endpoint))
    with (
        pytest.raises(QueueError, match=f"^SQS at {endpoint or url} does not answer "),
        queue._errors_explained("ReceiveMessage"),
    ):
        raise TimeoutError


async def test_the_variable_of_the_message_gives_the_region(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    async with Queue(load_settings(sqs_queue_url="http://127.0.0.1:1/1/queue")) as queue:
        with pytest.raises(QueueError, match=r"region of the queue is not known") as found:
            await queue.attributes()
        monkeypatch.setenv(str(found.value).rpartition("set ")[2], "eu-west-1")
        assert (await queue._get_client()).api.meta.region_name == "eu-west-1"


async def test_refused_credentials_cost_few_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no call is ended by another one's failure."""
    monkeypatch.setattr("rollcall.ingest.sqs.client.RENEW_SECONDS", 3_600.0)
    with Shim("http://127.0.0.1:1") as shim:
        shim.always["*"] = Refusal(400, "ExpiredToken")
        queue = Queue(load_settings(sqs_queue_url=f"{shim.url}/1/queue", sqs_endpoint=shim.url))
        made = counted(monkeypatch, queue)
        receipts = [Receipt("m", "handle")]
        async with queue:
            results = await asyncio.gather(
                *(queue.set_visibility(receipts, 30) for _ in range(30)), return_exceptions=True
            )
            assert {type(each) for each in results} == {QueueError}
            assert {getattr(each, "reason", None) for each in results} == {Reason.CREDENTIALS}
            for _ in range(3):
                with pytest.raises(QueueError, match="expired"):
                    await queue.set_visibility(receipts, 30)
            assert made() == 1
            monkeypatch.setattr("rollcall.ingest.sqs.client.RENEW_SECONDS", 0.0)
            results = await asyncio.gather(
                *(queue.set_visibility(receipts, 30) for _ in range(30)), return_exceptions=True
            )
            assert {getattr(each, "reason", None) for each in results} == {Reason.CREDENTIALS}
            assert len(queue._clients) <= 1


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """The logging of the tests, afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("logging_restored")
async def test_each_reason_and_each_refused_message_is_logged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Through the log's own filter, which leaves out repetitions."""
    configure_logging(load_settings(log_format="json"))
    queue, sink = FakeQueue(3), OpenSink()
    sink.error = RecordRefusedError("canvas.raw does not take it")
    async with moving(queue, sink) as source:
        await eventually(
            lambda: source._metrics.refused_total._value.get() == 3, what="refused messages"
        )
        for reason in (Reason.CREDENTIALS, Reason.KMS, Reason.NO_QUEUE):
            queue.error = QueueError(reason, f"the problem {reason}")
            queue.down.add("receive")
            await eventually(
                lambda reason=reason: f"the problem {reason}" in source.problems,  # type: ignore[misc]
                what="the problem",
            )
    output = capsys.readouterr().err
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    messages = [line["message"] for line in lines if line["level"] == "warning"]
    assert [line["message_id"] for line in lines if "message_id" in line] == ["m3", "m2", "m1"]
    for reason in (Reason.CREDENTIALS, Reason.KMS, Reason.NO_QUEUE):
        assert f"the problem {reason}" in messages


def counted(monkeypatch: pytest.MonkeyPatch, queue: Queue) -> Callable[[], int]:
    """Counts the clients that a queue makes."""
    count, original = 0, queue._new_client

    def new_client() -> Any:
        nonlocal count
        count += 1
        return original()

    monkeypatch.setattr(queue, "_new_client", new_client)
    return lambda: count
