"""ACLs: what app/rollcall/kafka/rights.py says is needed is enough, and each right of it that is
missing is told by name.
"""

from __future__ import annotations

import asyncio
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Message
from typer.testing import CliRunner

from rollcall.catalogue.plans import plan_topics, required_rights
from rollcall.cli.roster_reading import read_roster
from rollcall.cli.topics import _apply, topics_cli
from rollcall.kafka.rights import Acl, Operation, Resource, RightsError, check_rights
from rollcall.kafka.topic_admin import ensure_topics
from rollcall.kafka.topics import TopicsError
from rollcall.reconcile.lock import RunLock
from rollcall.reconcile.rights import reconcile_rights
from rollcall.reconcile.trigger_topics import read_triggers
from rollcall.reconcile.triggers import Triggers
from rollcall.rosters.context import parse_context
from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan
from rollcall.settings import Settings, load_settings
from tests.kafka_client import Sent, read_all, send
from tests.processes import EVENTS, RollcallProcess, RouterProcess, wait_until
from tests.security.cluster import PASSWORD, Access, SecuredCluster
from tests.security.test_refusals import ENTRIES
from tests.security.test_ways_in import EVENT
from tests.waiting import wait_for_count

DEFAULTS = {
    name: rights.acls for name, rights in required_rights(Settings.model_construct()).items()
}
"""For the default prefixes, to have something to choose from before there is a broker."""


class Place(NamedTuple):
    """Topics under a prefix of their own, for users who may do the least that is needed."""

    cluster: SecuredCluster
    prefix: str

    def access(self, user: str) -> Access:
        """How a user comes in."""
        return self.cluster.access("SASLTLS", "SCRAM-SHA-512", user)

    def settings(self, user: str) -> Settings:
        """Of a process of this user."""
        return load_settings(
            topic_prefix=self.prefix,
            group_prefix=self.prefix,
            partitions=2,
            events=EVENTS,
            port=0,
            **self.access(user).settings,
        )

    def acls(self, user: str) -> Sequence[Acl]:
        """What the user needs."""
        return required_rights(self.settings(user))[user].acls

    def where(self, user: str) -> tuple[str, str]:
        """Bootstrap servers and prefix."""
        return self.access(user).bootstrap, self.prefix

    def told(self, user: str) -> dict[str, Any]:
        """What a process of this user is told of it."""
        return {"partitions": 2, "events": EVENTS, **self.access(user).settings}

    def send(self, events: Sequence[Sent]) -> None:
        """Send raw events, as a bridge does."""
        bridge = self.access("bridge")
        send(bridge.bootstrap, f"{self.prefix}.raw", events, security=bridge.security)

    def read_typed(self, at_least: int = 0) -> list[Message]:
        """What is on the typed topics, as somebody else's program reads them: with a consumer
        group.
        """
        reader = self.access("reader")
        typed = [
            plan.name for plan in plan_topics(self.settings("reader")) if ".events." in plan.name
        ]
        return read_all(
            reader.bootstrap, typed, at_least=at_least, security=reader.security, group=READERS
        )

    @contextmanager
    def without(self, user: str, acl: Acl) -> Iterator[None]:
        """One right less."""
        self.cluster.forbid(user, [acl])
        try:
            yield
        finally:
            self.cluster.allow(user, [acl])


TOLD = ("router", "rosters", "serve", "topics", "roster")
"""Those of them that are Rollcall's own."""

READERS = "warehouse"
"""The consumer group of whoever reads typed topics, which is theirs to name."""


UNKNOWN = (
    b'{"metadata":{"event_name":"quizzes.item_created",'
    b'"event_time":"2026-01-01T00:00:00Z"},"body":{}}'
)

LOST = (
    "Read on topic canvas.raw",
    "Write on topics that begin with canvas.events.",
    "Read on group rollcall-router",
    "Write on transactional ids that begin with rollcall-router-",
)
"""What a router that runs notices: each is refused at another place."""


def _named(value: object) -> str:
    return str(value)


@pytest.fixture(scope="module")
def place(secured: SecuredCluster) -> Place:
    """With topics that the user ``topics`` has made."""
    found = Place(secured, "acls")
    for user in DEFAULTS:
        secured.allow(user, found.acls(user))
    secured.allow("reader", [Acl(Resource.GROUP, READERS, False, Operation.READ)])
    asyncio.run(_apply(found.settings("topics"), found.access("topics").bootstrap))
    return found


def test_the_whole_flow_with_the_least_rights(place: Place, tmp_path: Path) -> None:
    """Every user is another one, and TLS and SCRAM-SHA-512 are in between."""
    simulation = Simulation(SimulationPlan(courses=1, steps=20, class_size=5))
    events = [Sent(event.value) for event in simulation.events()]
    truth = simulation.truth()
    place.send([*events, Sent(UNKNOWN), Sent(b"no event")])
    with (
        RouterProcess(tmp_path, *place.where("router"), **place.told("router")) as router,
        RollcallProcess(
            "rosters", tmp_path, *place.where("rosters"), **place.told("rosters")
        ) as rosters,
        RollcallProcess(
            "serve", tmp_path, *place.where("serve"), data=tmp_path, **place.told("serve")
        ) as serve,
    ):
        for process in (router, rosters, serve):
            process.wait_ready()
        wait_until(
            lambda: serve.metric("rollcall_replica_rows") == sum(map(len, truth.values())),
            what="all rows in the replica",
        )
        wait_for_count(
            lambda: router.metric("rollcall_events_received_total"),
            len(events) + 2,
            what="the other events",
        )
        routed, unknown, dead = (
            router.metric(f"rollcall_{name}_total")
            for name in ("events_routed", "events_unknown", "dead_letters")
        )
        assert (routed, unknown, dead) == (len(events), 1, 1)
        assert [process.end() for process in (router, rosters, serve)] == [0, 0, 0]
        assert PASSWORD not in "".join(
            process.log_file.read_text() for process in (router, rosters, serve)
        )
    course, row = next(iter(truth["courses"].items()))
    roster = asyncio.run(
        read_roster(
            place.settings("roster"),
            place.access("roster").bootstrap,
            parse_context(course, None)[0],
        )
    )
    assert roster.course == row
    assert roster.enrollments == tuple(
        truth["enrollments"][key]
        for key in sorted(truth["enrollments"])
        if key.startswith(f"{course}/")
    )
    assert Counter(event.value for event in events) <= Counter(
        message.value() for message in place.read_typed(len(events))
    )


def test_reconcile_needs_no_more_rights(place: Place) -> None:
    """It takes its lock, and commits how far it has read the events that trigger it."""
    settings, bootstrap = place.settings("reconcile"), place.access("reconcile").bootstrap

    async def run() -> list[int]:
        await check_rights(settings, bootstrap, reconcile_rights(settings))
        async with RunLock(settings, bootstrap, "test") as lock:
            await lock.check()
            found = await read_triggers(settings, bootstrap, Triggers(), now=0)
            await lock.check(found.places)
        return [*found.places.values()]

    assert asyncio.run(run())
    dry = reconcile_rights(settings, is_dry=True)
    for acl in set(place.acls("reconcile")) - set(dry.acls):
        place.cluster.forbid("reconcile", [acl])
    try:
        asyncio.run(check_rights(settings, bootstrap, dry))
        asyncio.run(read_triggers(settings, bootstrap, Triggers(), now=0))
    finally:
        place.cluster.allow("reconcile", place.acls("reconcile"))


@pytest.mark.parametrize(
    ("user", "number"),
    [
        (user, number)
        for user in TOLD
        for number, acl in enumerate(DEFAULTS[user])
        if acl.operation is not Operation.CREATE
    ],
    ids=_named,
)
def test_a_right_that_is_missing_is_told(
    place: Place, user: str, number: int, tmp_path: Path
) -> None:
    acl = place.acls(user)[number]
    settings = place.settings(user).model_copy(update={"data": tmp_path})
    for entry in ("topics check", "topics apply") if user == "topics" else (user,):
        with place.without(user, acl), pytest.raises(RightsError) as caught:
            asyncio.run(ENTRIES[entry](settings, place.access(user).bootstrap))
        assert f"does not allow what {user} needs: {acl}; " in str(caught.value), (
            "this one, and no other"
        )
        assert caught.value.exit_code == 1


def test_all_rights_that_are_missing_are_told_at_once(place: Place) -> None:
    acls = place.acls("router")
    place.cluster.forbid("router", acls)
    try:
        with pytest.raises(RightsError) as caught:
            asyncio.run(
                ENTRIES["router"](place.settings("router"), place.access("router").bootstrap)
            )
    finally:
        place.cluster.allow("router", acls)
    assert all(f"{acl}; " in str(caught.value) for acl in acls)


def test_a_right_on_some_topics_of_a_prefix_is_told_by_their_names(place: Place) -> None:
    everything = Acl(Resource.TOPIC, f"{place.prefix}.events.", True, Operation.WRITE)
    some = [
        replace(everything, name=plan.name, prefixed=False)
        for plan in plan_topics(place.settings("router"))
        if everything.covers(plan.name)
    ]
    place.cluster.allow("router", some[1:])
    try:
        with (
            place.without("router", everything),
            pytest.raises(RightsError, match=f"needs: Write on topic {some[0].name}; "),
        ):
            asyncio.run(
                ENTRIES["router"](place.settings("router"), place.access("router").bootstrap)
            )
    finally:
        place.cluster.forbid("router", some[1:])


@pytest.mark.parametrize(
    "number",
    [number for number, acl in enumerate(DEFAULTS["topics"]) if acl.operation is Operation.CREATE],
)
def test_topics_that_must_not_be_created_are_told(
    secured: SecuredCluster, prefix: str, number: int
) -> None:
    """Also when a router would create them, which may do less."""
    place = Place(secured, prefix)
    acls = place.acls("topics")
    granted = [acl for acl in acls if acl is not acls[number]]
    secured.allow("topics", granted)
    with pytest.raises(
        TopicsError,
        match=f"allow to create .*{acls[number].name}.*: the right Create on it seems to be "
        "missing",
    ) as caught:
        asyncio.run(_apply(place.settings("topics"), place.access("topics").bootstrap))
    assert caught.value.exit_code == 1
    secured.forbid("topics", granted)


def test_a_configuration_that_is_not_told_is_told_by_its_topic(place: Place) -> None:
    """To whoever asks without having asked for its rights: a bridge needs none to read how topics
    are configured.
    """
    plans = [
        plan for plan in plan_topics(place.settings("bridge")) if plan.name == f"{place.prefix}.raw"
    ]
    with pytest.raises(
        TopicsError,
        match=f"does not tell how {place.prefix}.raw is configured: the right DescribeConfigs on "
        "it seems to be missing",
    ):
        asyncio.run(
            ensure_topics(place.settings("bridge"), place.access("bridge").bootstrap, plans)
        )


@pytest.mark.parametrize(
    "number", [number for number, acl in enumerate(DEFAULTS["router"]) if str(acl) in LOST], ids=str
)
def test_a_router_that_loses_a_right_stops_and_loses_nothing(
    place: Place, number: int, tmp_path: Path
) -> None:
    acl = place.acls("router")[number]
    before = len(place.read_typed())
    with RouterProcess(tmp_path, *place.where("router"), **place.told("router")).expecting(
        "cannot be consumed any further"
    ) as router:
        router.wait_ready()
        place.send([Sent(EVENT)])
        wait_for_count(lambda: router.metric("rollcall_events_routed_total"), 1, what="the event")
        with place.without("router", acl):
            place.send([Sent(EVENT)] * 3)
            assert router.wait_exit() == 1
        text = router.log_file.read_text()
        [line] = [line for line in text.splitlines() if line.startswith("rollcall: ")]
        assert f"does not allow what router needs: {acl}; " in line
        assert "Traceback" not in text
        assert PASSWORD not in text
    with RouterProcess(tmp_path, *place.where("router"), **place.told("router")) as router:
        place.read_typed(before + 4)
        assert router.end() == 0
    assert len(place.read_typed()) == before + 4


def test_serve_that_loses_a_right_says_so_and_goes_on_when_it_is_back(
    place: Place, tmp_path: Path
) -> None:
    acl = place.acls("serve")[0]
    with RollcallProcess(
        "serve", tmp_path, *place.where("serve"), data=tmp_path, **place.told("serve")
    ) as serve:
        serve.wait_ready()
        with place.without("serve", acl):
            wait_until(
                lambda: f"does not allow what serve needs: {acl}; " in serve.get("/readyz")[1],
                what="the reason",
            )
        serve.wait_ready()
        assert serve.end() == 0
        assert "Traceback" not in serve.log_file.read_text()


def test_the_command_tells_what_the_test_grants(place: Place) -> None:
    for user in DEFAULTS:
        environment = {
            f"ROLLCALL_{key.upper()}": str(value) for key, value in place.told(user).items()
        }
        environment |= {
            "ROLLCALL_TOPIC_PREFIX": place.prefix,
            "ROLLCALL_GROUP_PREFIX": place.prefix,
        }
        shown = CliRunner().invoke(
            topics_cli, ["acls", user, "--user", "CN=some one"], env=environment
        )
        assert shown.exit_code == 0
        found = []
        for line in shown.stdout.splitlines():
            add, allow, principal, operation, what, resource, name, *pattern = shlex.split(line)
            assert (add, allow, principal, operation) == (
                "--add",
                "--allow-principal",
                "User:CN=some one",
                "--operation",
            )
            assert pattern in ([], ["--resource-pattern-type", "prefixed"])
            found.append(
                Acl(
                    Resource(resource.removeprefix("--")),
                    name,
                    bool(pattern),
                    next(each for each in Operation if str(each) == what),
                )
            )
        assert tuple(found) == place.acls(user)
