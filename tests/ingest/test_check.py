"""What ``rollcall ingest sqs --check`` finds."""

from __future__ import annotations

import json

import pytest

from rollcall.ingest.sqs.check import CANVAS_ACCOUNT, findings_of
from rollcall.ingest.sqs.client import region_of

GOOD = {
    "MessageRetentionPeriod": "1209600",
    "MaximumMessageSize": "1048576",
    "SqsManagedSseEnabled": "true",
    "DelaySeconds": "0",
    "Policy": json.dumps({"Statement": [{"Principal": {"AWS": CANVAS_ACCOUNT}}]}),
}
NAME = "canvas-live-events-prod"


def test_a_good_queue_has_no_findings() -> None:
    assert list(findings_of(NAME, GOOD)) == []


@pytest.mark.parametrize(
    ("attribute", "value", "must_change", "text"),
    [
        ("MessageRetentionPeriod", "345600", True, "4 days"),
        ("MaximumMessageSize", "262144", True, "set it to 1048576"),
        ("RedrivePolicy", json.dumps({"maxReceiveCount": 3}), True, "maxReceiveCount"),
        ("RedrivePolicy", json.dumps({"maxReceiveCount": "49"}), True, "maxReceiveCount"),
        ("KmsMasterKeyId", "alias/aws/sqs", True, "SSE-SQS"),
        ("KmsMasterKeyId", "alias/own", False, "kms:GenerateDataKey"),
        ("DelaySeconds", "5", True, "DelaySeconds"),
        ("FifoQueue", "true", True, "FIFO"),
        ("Policy", "", False, CANVAS_ACCOUNT),
        ("VisibilityTimeout", "30", False, "no effect"),
    ],
)
def test_each_finding(attribute: str, value: str, must_change: bool, text: str) -> None:
    (finding,) = findings_of(NAME, {**GOOD, attribute: value})
    assert finding.must_change is must_change
    assert text in finding.text


def test_names() -> None:
    (finding,) = findings_of("events", GOOD)
    assert not finding.must_change
    assert "canvas-live-events" in finding.text
    assert [each.must_change for each in findings_of(f"{NAME}.fifo", GOOD)] == [True]


def test_a_redrive_policy_that_is_large_enough() -> None:
    assert list(findings_of(NAME, {**GOOD, "RedrivePolicy": '{"maxReceiveCount": 50}'})) == []
    assert list(findings_of(NAME, {**GOOD, "RedrivePolicy": "no json"})) == []


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/1/q", "eu-west-1"),
        ("https://sqs-fips.us-gov-west-1.amazonaws.com/1/q", "us-gov-west-1"),
        ("https://eu-central-1.queue.amazonaws.com/1/q", "eu-central-1"),
        ("https://vpce-1.sqs.us-east-2.vpce.amazonaws.com/1/q", "us-east-2"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/1/q", "cn-north-1"),
        ("http://127.0.0.1:9324/1/q", None),
    ],
)
def test_the_region_comes_from_the_url(url: str, region: str | None) -> None:
    assert region_of(url) == region
