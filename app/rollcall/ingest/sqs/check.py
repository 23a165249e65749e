"""``rollcall ingest sqs --check``: examines a queue and the rights on it, and receives nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from rollcall.errors import RollcallError
from rollcall.ingest.sqs.client import Queue
from rollcall.ingest.sqs.errors import QueueError, Reason
from rollcall.settings import Settings

CANVAS_ACCOUNT = "636161780776"
"""Instructure's AWS account, which sends the events (Canvas's documents on live events)."""

QUEUE_PREFIX = "canvas-live-events"
"""Canvas's documents ask for a queue whose name begins so."""

DAY_SECONDS = 86_400
RETENTION_SECONDS = 14 * DAY_SECONDS
"""The most that SQS allows."""

MESSAGE_BYTES = 1024**2
"""The most that SQS allows."""

MIN_RECEIVES = 50
"""Smallest advised ``maxReceiveCount`` of a redrive policy: with fewer, an outage of Kafka moves
events to the dead-letter queue.
"""


class Finding(NamedTuple):
    """A fact about the queue."""

    must_change: bool
    text: str


class CheckError(RollcallError):
    """The queue cannot be examined."""

    exit_code = 4


def check_queue(settings: Settings) -> tuple[list[str], int]:
    """The lines of the report, and the exit code: 0, or 1 if something must be changed.

    Raises:
        ConfigurationError: there is no queue in the settings.
        CheckError: AWS does not answer, or does not let this client in.
    """
    return asyncio.run(_check(settings))


async def _check(settings: Settings) -> tuple[list[str], int]:
    async with Queue(settings) as queue:
        findings: list[Finding] = []
        attributes: Mapping[str, str] = {}
        try:
            attributes = await queue.attributes()
        except QueueError as error:
            if error.reason is not Reason.ACCESS:
                raise CheckError(str(error)) from None
            findings.append(Finding(True, f"{error}; without it, nothing else can be checked"))
        refusals = await queue.missing_rights()
    lines = [f"queue {queue.name}"]
    if attributes:
        lines[0] += (
            f": {attributes.get('ApproximateNumberOfMessages', '?')} messages visible, "
            f"{attributes.get('ApproximateNumberOfMessagesNotVisible', '?')} in flight"
        )
        findings += findings_of(queue.name, attributes)
    findings += [Finding(True, refusal) for refusal in refusals]
    lines += [
        f"{'change' if finding.must_change else 'note'}: {finding.text}" for finding in findings
    ]
    must_change = sum(finding.must_change for finding in findings)
    lines.append(
        f"{must_change} to change" if must_change else "the queue is as Rollcall and Canvas need it"
    )
    return lines, int(must_change > 0)


def findings_of(name: str, attributes: Mapping[str, str]) -> Iterator[Finding]:
    """What an operator should know about a queue.

    Args:
        attributes: as SQS reports them.
    """
    if name.endswith(".fifo") or attributes.get("FifoQueue") == "true":
        yield Finding(
            True, "it is a FIFO queue, to which Canvas does not send: create a standard one"
        )
    if not name.startswith(QUEUE_PREFIX):
        yield Finding(
            False,
            f"Canvas's documents want a name that begins with {QUEUE_PREFIX}: {name} does not",
        )
    yield from _retention(attributes)
    yield from _size(attributes)
    yield from _redrive(attributes)
    yield from _encryption(attributes)
    if CANVAS_ACCOUNT not in attributes.get("Policy", ""):
        yield Finding(
            False,
            f"the queue policy does not name Canvas's account {CANVAS_ACCOUNT}: Canvas can send "
            "only with an access key that was typed into it",
        )
    if (delay := _number(attributes, "DelaySeconds")) is not None and delay > 0:
        yield Finding(True, f"DelaySeconds is {delay}: each event comes so much later; set it to 0")
    if (visibility := _number(attributes, "VisibilityTimeout")) is not None:
        yield Finding(
            False,
            f"VisibilityTimeout is {visibility} s, and has no effect: Rollcall asks for "
            "ROLLCALL_SQS_VISIBILITY_SECONDS at each call",
        )


def _retention(attributes: Mapping[str, str]) -> Iterator[Finding]:
    retention = _number(attributes, "MessageRetentionPeriod")
    if retention is not None and retention < RETENTION_SECONDS:
        yield Finding(
            True,
            f"MessageRetentionPeriod is {retention / DAY_SECONDS:.4g} days: a longer outage loses "
            f"events; set it to {RETENTION_SECONDS} (14 days)",
        )


def _size(attributes: Mapping[str, str]) -> Iterator[Finding]:
    size = _number(attributes, "MaximumMessageSize")
    if size is not None and size < MESSAGE_BYTES:
        yield Finding(
            True,
            f"MaximumMessageSize is {size}: the queue refuses larger events, and they are lost; "
            f"set it to {MESSAGE_BYTES}",
        )


def _redrive(attributes: Mapping[str, str]) -> Iterator[Finding]:
    policy = attributes.get("RedrivePolicy")
    if not policy:
        return
    try:
        receives = int(json.loads(policy)["maxReceiveCount"])
    except (ValueError, KeyError, TypeError):
        return
    if receives < MIN_RECEIVES:
        yield Finding(
            True,
            f"maxReceiveCount of the redrive policy is {receives}: while Kafka is away, events "
            f"would go to the dead-letter queue; set it to {MIN_RECEIVES} or more",
        )


def _encryption(attributes: Mapping[str, str]) -> Iterator[Finding]:
    key = attributes.get("KmsMasterKeyId")
    if not key:
        return
    if key == "alias/aws/sqs":
        yield Finding(
            True,
            "it is encrypted with AWS's own KMS key, which other accounts cannot use: Canvas's "
            "sends fail unseen; use SSE-SQS (SqsManagedSseEnabled)",
        )
        return
    yield Finding(
        False,
        f"it is encrypted with a KMS key of yours: the key's policy must allow Canvas's account "
        f"{CANVAS_ACCOUNT} kms:GenerateDataKey and kms:Decrypt, and Rollcall kms:Decrypt; SSE-SQS "
        "needs none of it",
    )


def _number(attributes: Mapping[str, str], name: str) -> int | None:
    text = attributes.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else None
