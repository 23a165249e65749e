"""docs/asyncapi.json, and the document of another installation, by AsyncAPI's own parser."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rollcall.catalogue.asyncapi import asyncapi_document
from rollcall.catalogue.topics import catalogue
from rollcall.settings import load_settings
from tests.tools import lack, needs
from tests.waiting import run

Document = dict[str, Any]

HERE = Path(__file__).parent
DOCUMENT: Document = json.loads(
    (HERE.parents[2] / "docs" / "asyncapi.json").read_text(encoding="utf-8")
)
NODE = shutil.which("node")
ERROR, WARNING = 0, 1

pytestmark = [
    pytest.mark.slow,
    needs("node", package="nodejs"),
    pytest.mark.skipif(
        not (HERE / "node_modules" / "@asyncapi").is_dir(),
        reason=lack("AsyncAPI's parser", "npm --prefix tests/docs/asyncapi ci"),
    ),
]


def complaints(documents: Sequence[Document]) -> list[list[str]]:
    """Errors and warnings of each document. Another sort of remark tells that there is a newer
    AsyncAPI than 3.0.

    Node's threads, which compile and collect what is gone after a moment, would take a fifth more.
    """
    done = run(
        [str(NODE), "--single-threaded", str(HERE / "check.mjs")], input=json.dumps(documents)
    )
    assert done.returncode == 0, done.stderr
    return [
        [
            f"{said['path']}: {said['message']}"
            for said in verdict
            if said["severity"] in (ERROR, WARNING)
        ]
        for verdict in json.loads(done.stdout)
    ]


def elsewhere() -> Document:
    """Of an installation in which nothing is as by default."""
    settings = load_settings(
        kafka="kafka-1:9093, kafka-2:9093",
        security_protocol="SASL_SSL",
        sasl_username="rollcall",
        sasl_password="hidden-word",
        ssl_cert_file="client.pem",
        topic_prefix="lms.prod",
        group_prefix="rc",
        partitions=12,
        replication_factor=3,
        shard=2107,
    )
    return asyncapi_document(catalogue(settings))


def broken(breaking: Callable[[Document], object]) -> Document:
    """The document cut down to the raw topic, with a fault."""
    document = copy.deepcopy(DOCUMENT)
    document["channels"] = {"raw": document["channels"]["raw"]}
    document["operations"] = {"router.receive.raw": document["operations"]["router.receive.raw"]}
    document["components"]["schemas"] = {"event": document["components"]["schemas"]["event"]}
    breaking(document)
    return document


FAULTS: list[Callable[[Document], object]] = [
    lambda document: document["operations"]["router.receive.raw"]["channel"].update(
        {"$ref": "#/channels/rawest"}
    ),
    lambda document: document["operations"]["router.receive.raw"].update(action="subscribe"),
    lambda document: document["channels"]["raw"]["bindings"]["kafka"].update(partitions="four"),
    lambda document: document["components"]["schemas"]["event"]["properties"]["body"].update(
        type="varchar"
    ),
    lambda document: document["components"]["schemas"].pop("event"),
]


@pytest.fixture(scope="module")
def verdicts() -> list[list[str]]:
    """Of both documents, of the one that is cut down, and of it with each fault: by one process,
    since the parser takes a second to load and to get warm.
    """
    return complaints([DOCUMENT, elsewhere(), broken(len), *map(broken, FAULTS)])


def test_the_documents_are_accepted(verdicts: list[list[str]]) -> None:
    assert verdicts[:2] == [[], []]


def test_a_broken_document_is_refused(verdicts: list[list[str]]) -> None:
    whole, *others = verdicts[2:]
    assert whole == []
    assert len(others) == len(FAULTS)
    assert [] not in others
