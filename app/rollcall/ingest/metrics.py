"""Metrics of ingest: the conventions are those of :mod:`rollcall.process.metrics`."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from rollcall.ingest.sqs.errors import Reason
from rollcall.process.metrics import LATENCY_BUCKETS, ProcessMetrics

SIZE_BUCKETS = (512.0, 1024.0, 2048.0, 4096.0, 16384.0, 65536.0, 262144.0, 524288.0, 1048576.0)


class Call(StrEnum):
    """Calls to the queue."""

    RECEIVE = "receive"
    DELETE = "delete"
    EXTEND = "extend"
    ATTRIBUTES = "attributes"


class IngestMetrics(ProcessMetrics):
    """Metrics of every process that writes raw events."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.produced_total = Counter(
            "rollcall_ingest_produced_total",
            "Events that Kafka has acknowledged, with all replicas.",
            registry=registry,
        )
        self.refused_total = Counter(
            "rollcall_ingest_refused_total",
            "Events that Kafka refused, mostly for their size. Those from SQS stay in the queue, "
            "and are counted at each delivery. Should stay zero.",
            registry=registry,
        )
        self.event_bytes = Histogram(
            "rollcall_ingest_event_bytes",
            "Size of a received event.",
            buckets=SIZE_BUCKETS,
            registry=registry,
        )
        self.kafka_away = Gauge(
            "rollcall_ingest_kafka_away",
            "1: Kafka takes no records, and nothing is received; /readyz has the reason.",
            registry=registry,
        )
        self.last_received_timestamp_seconds = Gauge(
            "rollcall_ingest_last_received_timestamp_seconds",
            "When the last event was received, Unix time; at first, the start of the process.",
            registry=registry,
        )


class SqsMetrics(IngestMetrics):
    """Metrics of ``rollcall ingest sqs``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.received_total = Counter(
            "rollcall_ingest_sqs_received_total",
            "Messages that the queue has delivered, including repeated deliveries.",
            registry=registry,
        )
        self.redelivered_total = Counter(
            "rollcall_ingest_sqs_redelivered_total",
            "Of these, messages that were delivered before, to this process or to another one.",
            registry=registry,
        )
        self.known_total = Counter(
            "rollcall_ingest_sqs_known_total",
            "Of these, messages that were not written again, because this process has them in "
            "hand or has written them.",
            registry=registry,
        )
        self.empty_receives_total = Counter(
            "rollcall_ingest_sqs_empty_receives_total",
            "Calls that brought no message. Normal for an empty queue; each call costs money.",
            registry=registry,
        )
        self.deleted_total = Counter(
            "rollcall_ingest_sqs_deleted_total",
            "Messages that the queue has deleted.",
            registry=registry,
        )
        self.delete_failures_total = Counter(
            "rollcall_ingest_sqs_delete_failures_total",
            "Attempts to delete a message that the queue refused. Such a message is delivered "
            "again, and not lost.",
            registry=registry,
        )
        self.extended_total = Counter(
            "rollcall_ingest_sqs_extended_total",
            "Messages whose invisibility was extended, because Kafka had not acknowledged them or "
            "the queue had not deleted them.",
            registry=registry,
        )
        self.extend_failures_total = Counter(
            "rollcall_ingest_sqs_extend_failures_total",
            "Messages whose invisibility the queue did not extend: they may be delivered again.",
            registry=registry,
        )
        self.let_go_total = Counter(
            "rollcall_ingest_sqs_let_go_total",
            "Messages that were left to the queue, because Kafka was away for too long or the "
            "process stopped. The queue delivers them again.",
            registry=registry,
        )
        self.call_failures_total = Counter(
            "rollcall_ingest_sqs_call_failures_total",
            "Calls to SQS that failed, by call and reason.",
            ["call", "reason"],
            registry=registry,
        )
        self.in_hand_messages = Gauge(
            "rollcall_ingest_sqs_in_hand_messages",
            "Messages that were received and are not deleted yet.",
            registry=registry,
        )
        self.in_hand_bytes = Gauge(
            "rollcall_ingest_sqs_in_hand_bytes",
            "Bytes of the messages that Kafka has not acknowledged yet.",
            registry=registry,
        )
        self.oldest_message_seconds = Gauge(
            "rollcall_ingest_sqs_oldest_message_seconds",
            "Age of the oldest message in hand, or of the last delivery; or the time in which the "
            "queue has not been read. 0: the queue is empty. Rises with a backlog. A message is "
            "lost when it is older than the queue's retention.",
            registry=registry,
        )
        self.queue_messages = Gauge(
            "rollcall_ingest_sqs_queue_messages",
            "Messages in the queue, as SQS estimates once a minute: visible, in flight (received "
            "and not deleted) and delayed. NaN: unknown.",
            ["state"],
            registry=registry,
        )
        self.retention_seconds = Gauge(
            "rollcall_ingest_sqs_retention_seconds",
            "Retention of the queue, when it was last known. NaN: it never was.",
            registry=registry,
        )
        self.retention_seconds.set(float("nan"))
        for call in Call:
            for reason in Reason:
                self.call_failures_total.labels(call.value, reason.value)
        for state in ("visible", "in_flight", "delayed"):
            self.queue_messages.labels(state).set(float("nan"))


WEBHOOK_STATUSES = (204, 400, 401, 404, 405, 408, 413, 431, 499, 500, 503)
"""Statuses that the webhook answers with. 499: the client has left before."""


class WebhookMetrics(IngestMetrics):
    """Metrics of ``rollcall ingest https``."""

    def __init__(self, registry: CollectorRegistry, refusals: Iterable[str]) -> None:
        super().__init__(registry)
        self.webhook_requests_total = Counter(
            "rollcall_ingest_webhook_requests_total",
            "Requests to the webhook, by status. 204: Kafka has acknowledged the event. 503: "
            "Canvas tries three times more, and then the event is lost.",
            ["status"],
            registry=registry,
        )
        self.webhook_request_seconds = Histogram(
            "rollcall_ingest_webhook_request_seconds",
            "Time from a request's head to its answer; for an event, with Kafka's acknowledgement. "
            "Canvas waits for 15 s.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.tokens_refused_total = Counter(
            "rollcall_ingest_tokens_refused_total",
            "Requests refused for their token (400 and 401), by reason. Many with unknown_key or "
            "signature: keys of another Canvas, or an attack. not_a_token: the subscription does "
            "not sign.",
            ["reason"],
            registry=registry,
        )
        self.key_fetches_total = Counter(
            "rollcall_ingest_key_fetches_total",
            "Fetches of the public keys for signatures, by result.",
            ["result"],
            registry=registry,
        )
        self.keys_age_seconds = Gauge(
            "rollcall_ingest_keys_age_seconds",
            "Time since the public keys were last fetched, which happens every five minutes; -1: "
            "never. Old keys stay valid, but Canvas changes its key every month.",
            registry=registry,
        )
        for status in WEBHOOK_STATUSES:
            self.webhook_requests_total.labels(str(status))
        for reason in refusals:
            self.tokens_refused_total.labels(reason)
        for result in ("success", "failure"):
            self.key_fetches_total.labels(result)

    def request(self, status: int, seconds: float) -> None:
        """Count an answered request."""
        self.webhook_requests_total.labels(str(status)).inc()
        self.webhook_request_seconds.observe(seconds)
