"""What tests of every part share: a real broker, and names of their own on it."""

from __future__ import annotations

import fcntl
import gc
import signal
import uuid
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from rollcall.sandbox.broker import EmbeddedBroker
from rollcall.settings import load_settings
from tests.cluster.brokers import BrokerCluster
from tests.healthy import overheard  # noqa: F401
from tests.jvm import start_faster

# So a shell starts what it puts into the background, and nohup what it runs; programs that tests
# end by these signals inherit it.
for _number, _default in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _default)

pytest_plugins = ["tests.repeats", "tests.tools"]

MARKS = {"jars": "broker", "broker": "broker", "browser": "browser"}
"""Of a test, by the fixtures that it asks for, directly or by others."""

LOGGED_LINES, LOGGED_CHARACTERS = 10, 400


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much the rosters' tests of delivery send."""
    parser.addoption(
        "--roster-events",
        type=int,
        default=6_000,
        metavar="N",
        help="events in each test of the rosters' delivery (default: 6000)",
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Spare the garbage collector what is imported, which is half a million objects and never
    garbage: now, and each time that it looks at all there are.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # before what is not wanted is left out, by these marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with what it needs, as its fixtures say."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in MARKS:
                item.add_marker(MARKS[fixture])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show, of a test that fails, what its processes warned of."""
    report = yield
    folder = item.funcargs.get("tmp_path") if isinstance(item, pytest.Function) else None
    if report.failed and call.when == "call" and isinstance(folder, Path):
        for log in sorted(folder.rglob("*.log")):
            lines = log.read_text(errors="replace").splitlines()
            warnings = [line for line in lines if '"level":"info"' not in line]
            if warnings:
                report.sections.append(
                    (
                        f"warnings in {log.name}",
                        "\n".join(line[:LOGGED_CHARACTERS] for line in warnings[-LOGGED_LINES:]),
                    )
                )
    return report


class Broker(Protocol):
    """Whatever the tests' broker is: ours, or the one that ``ROLLCALL_KAFKA`` names."""

    @property
    def bootstrap(self) -> str:
        """Bootstrap servers, ``host:port[,host:port]``."""


@dataclass(frozen=True)
class ExternalBroker:
    """Somebody else's broker: the tests leave their topics on it."""

    bootstrap: str


@pytest.fixture(scope="session")
def jars() -> Path:
    """Kafka's libraries of all versions, as ``make kafka`` fetches them; fetched if need be."""
    if load_settings().kafka:
        pytest.skip(
            "ROLLCALL_KAFKA is set: there may be no Java here to test the embedded broker with"
        )
    folder = load_settings().data.absolute() / "kafka-libs"
    EmbeddedBroker(folder.parent / "kafka", jars=folder).ensure_libraries(announce=print)
    start_faster(folder)
    return folder


@pytest.fixture(scope="session")
def broker(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Broker]:
    """One broker for all tests, those in other processes too. Tests keep apart by
    :func:`prefix`.
    """
    external = load_settings().kafka
    if external:
        yield ExternalBroker(external)
        return
    own = tmp_path_factory.getbasetemp()
    folder = own.parent if hasattr(request.config, "workerinput") else own
    with (folder / "broker-users").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        embedded = EmbeddedBroker(folder / "broker" / "kafka", jars=request.getfixturevalue("jars"))
        started = embedded.start()
        try:
            yield embedded
        finally:
            if started:
                fcntl.flock(users, fcntl.LOCK_EX)  # once nobody else uses it
                embedded.stop()


@pytest.fixture(scope="session")
def bootstrap(broker: Broker) -> str:
    """The bootstrap servers of :func:`broker`."""
    return broker.bootstrap


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, jars: Path
) -> Iterator[BrokerCluster]:
    """Three brokers for the tests of a module, which are marked ``cluster`` and leave all of them
    running. There is one such cluster at a time.
    """
    own = tmp_path_factory.getbasetemp()
    folder = own.parent if hasattr(request.config, "workerinput") else own
    with (folder / "cluster-user").open("a") as user:
        fcntl.flock(user, fcntl.LOCK_EX)
        with BrokerCluster(tmp_path_factory.mktemp("cluster"), jars, network=True) as brokers:
            yield brokers


@pytest.fixture
def prefix() -> str:
    """A word that no other test's topics, groups and transactional ids begin with."""
    return f"t{uuid.uuid4().hex[:12]}"
