"""Fixtures for all tests: a real broker, and unique names on it."""

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
from hypothesis import HealthCheck, settings

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

# Hypothesis has limits of time for examples, and a busy machine exceeds them. No test depends on
# speed.
_PROFILE = settings.get_current_profile_name()
settings.register_profile(
    _PROFILE,
    settings.get_profile(_PROFILE),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(_PROFILE)

pytest_plugins = ["tests.repeats", "tests.tools"]

MARKS = {"jars": "broker", "broker": "broker", "browser": "browser"}
"""Marks of a test, by its direct and indirect fixtures."""

LOGGED_LINES, LOGGED_CHARACTERS = 10, 400


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the size of the rosters' delivery tests."""
    parser.addoption(
        "--roster-events",
        type=int,
        default=6_000,
        metavar="N",
        help="events in each test of the rosters' delivery (default: 6000)",
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exclude imported objects from garbage collection: half a million objects that are never
    garbage.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # before what is not wanted is left out, by these marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by its fixtures."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in MARKS:
                item.add_marker(MARKS[fixture])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the warnings of its processes to a failed test's report."""
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
    """The tests' broker: the embedded one, or the one in ``ROLLCALL_KAFKA``."""

    @property
    def bootstrap(self) -> str:
        """Bootstrap servers, ``host:port[,host:port]``."""


@dataclass(frozen=True)
class ExternalBroker:
    """A foreign broker: the tests leave their topics on it."""

    bootstrap: str


@pytest.fixture(scope="session")
def jars() -> Path:
    """Kafka's libraries of all versions, fetched like ``make kafka`` if they are missing."""
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
    """One broker for all tests, including those in other processes. Tests use separate names: see
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
        embedded = EmbeddedBroker(
            folder / "broker" / "kafka",
            jars=request.getfixturevalue("jars"),
            # Tests send records of years ago. Kafka looks every 5 minutes for those to delete.
            properties={"log.retention.check.interval.ms": str(24 * 60 * 60 * 1000)},
        )
        started = embedded.start()
        try:
            yield embedded
        finally:
            if started:
                fcntl.flock(users, fcntl.LOCK_EX)  # once nobody else uses it
                embedded.stop()


@pytest.fixture(scope="session")
def bootstrap(broker: Broker) -> str:
    """Bootstrap servers of :func:`broker`."""
    return broker.bootstrap


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, jars: Path
) -> Iterator[BrokerCluster]:
    """Three brokers for the tests of a module, which are marked ``cluster`` and leave all three
    running. Only one such cluster exists at a time.
    """
    own = tmp_path_factory.getbasetemp()
    folder = own.parent if hasattr(request.config, "workerinput") else own
    with (folder / "cluster-user").open("a") as user:
        fcntl.flock(user, fcntl.LOCK_EX)
        with BrokerCluster(tmp_path_factory.mktemp("cluster"), jars, network=True) as brokers:
            yield brokers


@pytest.fixture
def prefix() -> str:
    """Unique prefix for the test's topics, groups and transactional ids."""
    return f"t{uuid.uuid4().hex[:12]}"
