"""What the documentation names is there: files, headings, settings, metrics, commands, topics,
codes, keys, headers.
"""

from __future__ import annotations

import json
import re
import runpy
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from jsonschema import Draft202012Validator

from rollcall.catalogue.plans import plan_topics
from rollcall.catalogue.row_schemas import row_schema
from rollcall.cli.main import cli
from rollcall.events.outcomes import ErrorCode
from rollcall.events.registry import REGISTRY
from rollcall.events.schemas.files import read_schema_folder
from rollcall.kafka.topics import DAY_MS, barrier_topic
from rollcall.process.topics import TopicNames
from rollcall.reconcile import facts
from rollcall.rosters import registry as roster_registry
from rollcall.rosters.registry import stages
from rollcall.rosters.topics import plan_roster_topics, roster_topics
from rollcall.serve.api import objects
from rollcall.serve.page.sessions import COOKIE
from rollcall.serve.replica.tables import Table
from rollcall.settings import ENV_PREFIX, Settings
from tests.docs.markdown import ROOT, anchors, blocks, code, documents, links, rows
from tests.docs.tables import registries
from tests.rosters.memory import Cluster
from tests.rosters.reference import TypedEvent

README = ROOT / "README.md"
EVENTS = ROOT / "docs" / "events.md"
OPERATIONS = ROOT / "docs" / "operations.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
DEPLOYMENT = sorted(
    path
    for path in (ROOT / "deploy").rglob("*")
    if path.is_file() and path.suffix != ".md" and path.parent.name != "__pycache__"
)
TEXTS = [
    *documents(),
    ROOT / "docs" / "settings.env",
    ROOT / "docker-compose.kafka.yml",
    ROOT / "Makefile",
    *DEPLOYMENT,
]
DEFAULTS = Settings.model_construct()
DOCUMENTED = ROOT / "tests" / "fixtures" / "documented"

NO_METRICS = {
    COOKIE,
    *(
        name
        for model in (objects.Enrollment, objects.Course)
        for name in model.model_fields
        if name.startswith("rollcall_")
    ),
    *(name for name in REGISTRY if name.startswith("rollcall_")),
    *(name.removesuffix("snapshot") for name in REGISTRY if name.startswith("rollcall_")),
    *(each.family for each in REGISTRY.values() if each.family.startswith("rollcall_")),
}
"""What else begins with the same word."""

each_document = pytest.mark.parametrize(
    "document", documents(), ids=lambda path: str(path.relative_to(ROOT))
)
each_text = pytest.mark.parametrize("text", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))


@each_document
def test_links_lead_somewhere(document: Path) -> None:
    for link in links(document):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_document_is_linked_to() -> None:
    linked = {
        (document.parent / link.partition("#")[0]).resolve()
        for document in documents()
        for link in links(document)
    }
    assert [
        path.name
        for path in (ROOT / "docs").rglob("*")
        if path.is_file() and path not in linked and path.name != "README.md"
    ] == []


@each_text
def test_variables_exist(text: Path) -> None:
    named = set(re.findall(rf"\b{ENV_PREFIX}[A-Z_]*[A-Z]", text.read_text(encoding="utf-8")))
    assert named - {ENV_PREFIX + name.upper() for name in Settings.model_fields} == set()


@each_document
def test_metrics_exist(document: Path) -> None:
    suffixes = {
        "counter": ("_total",),
        "histogram": ("", "_bucket", "_count", "_sum"),
        "info": ("_info",),
        "gauge": ("",),
    }
    names = {
        family.name + suffix
        for registry in registries()
        for family in registry.collect()
        for suffix in suffixes[family.type]
    }
    text = document.read_text(encoding="utf-8")
    assert set(re.findall(r"\b(?:rollcall|process)_[a-z_]+", text)) - names - NO_METRICS == set()


@cache
def commands() -> Any:
    return typer.main.get_command(cli)


@each_document
def test_commands_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    shell = re.findall(r"^(?: {4}|)rollcall (.+)$", text, re.MULTILINE)
    inline = re.findall(r"`rollcall ([a-z][^`]*)`", text)
    for line in (*shell, *inline):
        command = commands()
        words = line.split("#")[0].split()
        while hasattr(command, "commands") and words:
            for choice in words.pop(0).split("|"):
                assert choice in command.commands, line
            command = command.commands[choice]


@each_document
def test_make_targets_exist(document: Path) -> None:
    targets = set(
        re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    text = document.read_text(encoding="utf-8")
    assert set(re.findall(r"(?:`|^ {4})make ([a-z]+)", text, re.MULTILINE)) - targets == set()


def test_the_table_of_topics() -> None:
    planned = {plan.name: plan for plan in plan_topics(DEFAULTS)}
    table = {code(topic)[0]: kept for topic, _what, _key, kept in rows(README, "topic")}
    names = TopicNames("canvas")
    assert set(table) == {
        names.raw,
        names.unknown,
        names.dead_letter,
        "canvas.events.<event_name>",
        "canvas.rosters.<relation>",
        "rollcall-rosters-<name>",
        "rollcall-router-barrier",
    }
    seen = set()
    for topic, kept in table.items():
        plans = [
            plan
            for name, plan in planned.items()
            if re.fullmatch(re.sub("<.*>", ".*", re.escape(topic)), name)
        ]
        assert plans
        for plan in plans:
            compacted = plan.config["cleanup.policy"] == "compact"
            assert kept == (
                "compacted" if compacted else f"{int(plan.config['retention.ms']) // DAY_MS} days"
            )
            seen.add(plan.name)
    assert seen == set(planned), "every topic is in the table"
    (what,) = (
        what
        for topic, what, _key, _kept in rows(README, "topic")
        if code(topic) == ["canvas.rosters.<relation>"]
    )
    relations = {
        name.removeprefix("canvas.rosters.")
        for name in planned
        if name.startswith("canvas.rosters.")
    }
    assert set(re.split(r", | and ", what.removeprefix("rows of "))) == relations
    assert "number of partitions (4)" in " ".join(README.read_text(encoding="utf-8").split())
    assert DEFAULTS.partitions == 4


def test_how_the_rosters_are_made_anew() -> None:
    """What is to be deleted is what the rosters write and nobody else does."""
    (script,) = (text for text in blocks(OPERATIONS, "sh") if "--delete" in text)
    (pattern,) = re.findall(r"--topic '([^']+)'", script)
    kept = {plan.name for plan in plan_topics(DEFAULTS)} - {
        plan.name for plan in plan_roster_topics(DEFAULTS)
    }
    deleted = {plan.name for plan in plan_topics(DEFAULTS) if re.fullmatch(pattern, plan.name)}
    names = roster_topics(DEFAULTS)
    assert not deleted & kept
    written = {names.full(topic) for stage in stages(None) for topic in stage.outputs} | {
        names.changelog(stage) for stage in stages(None)
    }
    assert deleted == written | {barrier_topic(names.group)}
    assert f"--group {DEFAULTS.group('rosters')}\n" in script


def test_how_everything_but_raw_is_made_anew() -> None:
    """What is to be deleted for another number of partitions."""
    text = OPERATIONS.read_text(encoding="utf-8").partition(
        "### Changing the number of partitions"
    )[2]
    (pattern, *_others) = re.findall(r"--delete --topic '([^']+)'", text)
    planned = {plan.name for plan in plan_topics(DEFAULTS)}
    assert {name for name in planned if not re.fullmatch(pattern, name)} == {
        TopicNames("canvas").raw
    }
    assert f"--group {DEFAULTS.group('router')} --group {DEFAULTS.group('rosters')}\n" in text


def test_the_table_of_causes() -> None:
    assert sorted(value for row in rows(OPERATIONS, "code") for value in code(row[0])) == sorted(
        ErrorCode
    )


def test_the_relation_that_is_added_as_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = blocks(ARCHITECTURE, "python")
    module: Any = ModuleType("category")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(source, module.__dict__)  # noqa: S102
    monkeypatch.setattr(roster_registry, "STAGES", (*roster_registry.STAGES, module.stage))
    monkeypatch.setattr(
        roster_registry, "RELATIONS", (*roster_registry.RELATIONS, module.CATEGORIES)
    )
    # Reconcile reads other relations only: it must load nevertheless.
    runpy.run_path(facts.__file__)
    planned = {plan.name for plan in plan_topics(DEFAULTS)}
    assert {"canvas.rosters.categories", "rollcall-rosters-category-changelog"} <= planned
    cluster = Cluster(all_stages=roster_registry.stages(None))
    events = {
        name: (DOCUMENTED / f"{name}.json").read_bytes()
        for name in ("group_category_created", "group_category_updated")
    }
    cluster.send(TypedEvent(name, value) for name, value in events.items())
    cluster.settle(_Nothing())
    assert cluster.rejected == []
    written = {
        record.key: json.loads(record.value or b"")
        for n in range(2)
        for record in cluster.log("rosters.categories", n)
    }
    names = {row["group_category_name"] for row in written.values()}
    assert names == {json.loads(value)["body"]["group_category_name"] for value in events.values()}
    # The JSON Schema of rows and the replica's table follow from the declaration.
    schema = row_schema(module.CATEGORIES, read_schema_folder())
    for row in written.values():
        Draft202012Validator(schema).validate(row)
    table = Table(module.CATEGORIES)
    stored = [
        table.columns_of(table.key_of(key), json.dumps(row).encode())
        for key, row in written.items()
    ]
    place = table.columns.index("group_category_name")
    assert {columns[place] for columns in stored} == names


class _Nothing:
    """Choices that leave nothing to chance."""

    def below(self, _bound: int) -> int:
        """The first."""
        return 0
