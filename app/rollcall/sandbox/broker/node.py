"""The files in a broker's directory: node (ports, cluster id), properties, formatted storage."""

from __future__ import annotations

import base64
import json
import random
import shutil
import socket
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rollcall.errors import BrokerUnavailableError
from rollcall.sandbox.broker.files import write_atomically

_PORTS = range(20_000, 32_768)
"""Range of free ports: below the ephemeral ports of Linux and macOS, which an outgoing connection
could use at the next start.
"""

_STATE_PARTITIONS = 8
"""Partitions of Kafka's topics for offsets and transactions. The default of 50 is for clusters;
each costs files and start time.
"""

_LISTENERS = ("listeners", "advertised.listeners", "listener.security.protocol.map")


@dataclass(frozen=True, slots=True)
class Node:
    """The node of an embedded broker. It is the same at every start, for clients and data."""

    cluster_id: str
    host: str
    port: int
    controller_port: int

    @property
    def bootstrap(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port}"

    def properties(self, data: Path) -> dict[str, str]:
        """The entries of server.properties, with the storage in ``data``. A test compares them with
        docker-compose.kafka.yml.
        """
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{self.host}:{self.controller_port}",
            "listeners": f"PLAINTEXT://{self.host}:{self.port},CONTROLLER://{self.host}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.host}:{self.port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(data),
            "auto.create.topics.enable": "false",
            "default.replication.factor": "1",
            "min.insync.replicas": "1",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": str(_STATE_PARTITIONS),
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": str(_STATE_PARTITIONS),
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": str(_STATE_PARTITIONS),
            # Do not wait for more members of a group.
            "group.initial.rebalance.delay.ms": "0",
            # After a crash, the controller admits the broker again only after this time. The
            # default of 9 s is for brokers with a separate controller.
            "broker.session.timeout.ms": "4000",
            "broker.heartbeat.interval.ms": "1000",
            "num.network.threads": "2",
            "num.io.threads": "4",
            "background.threads": "4",
            "log.cleaner.threads": "1",
        }


def load_node(directory: Path) -> Node | None:
    """The node of ``directory``, or None before the first start.

    Raises:
        BrokerUnavailableError: the state is damaged.
    """
    file = directory / "node.json"
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        return Node(
            cluster_id=str(fields["cluster_id"]),
            host=str(fields["host"]),
            port=int(fields["port"]),
            controller_port=int(fields["controller_port"]),
        )
    except FileNotFoundError:
        if (directory / "data").exists():
            raise damaged(directory, "node.json is missing") from None
        return None
    except (ValueError, KeyError, TypeError):
        raise damaged(directory, "node.json cannot be read") from None


def prepare_node(directory: Path, *, host: str, port: int, extra: Mapping[str, str]) -> Node:
    """The node of ``directory``, created if it is missing, with free ports. ``port`` 0: the last
    port, or any. ``extra``: see :func:`merge_properties`.

    Raises:
        BrokerUnavailableError: the state is damaged, or another program uses the port.
    """
    known = load_node(directory)
    cluster_id = known.cluster_id if known else new_cluster_id()
    if not port:
        port = known.port if known and known.host == host else free_port(host)
    if not _is_free(host, port):
        raise BrokerUnavailableError(
            f"port {port} of {host}, for the broker of {directory}, is taken: end the program "
            "that uses it, or choose another port"
        )
    controller_port = known.controller_port if known and known.host == host else 0
    if controller_port in (0, port) or not _is_free(host, controller_port):
        # only the broker itself uses this port
        controller_port = free_port(host, other_than=port)
    node = Node(cluster_id, host, port, controller_port)
    _check_storage(directory, node)
    write_atomically(directory / "node.json", json.dumps(asdict(node), indent=2) + "\n")
    write_properties(
        directory / "server.properties",
        merge_properties(node.properties(directory / "data"), extra),
    )
    return node


def format_storage(
    directory: Path, node: Node, java: list[str], *, extra: Mapping[str, str]
) -> None:
    """Create ``<directory>/data`` with Kafka's own tool if it is missing. An interrupted attempt is
    repeated.

    Args:
        directory: the broker's directory.
        node: from :func:`prepare_node`.
        java: the command before the name of the main class.
        extra: properties, as for :func:`prepare_node`.

    Raises:
        BrokerUnavailableError: the tool failed.
    """
    data, partial, properties = (
        directory / "data",
        directory / "data.partial",
        directory / "format.properties",
    )
    if data.exists():
        return
    shutil.rmtree(partial, ignore_errors=True)
    write_properties(properties, merge_properties(node.properties(partial), extra))
    command = [
        *java,
        "kafka.tools.StorageTool",
        "format",
        "--cluster-id",
        node.cluster_id,
        "--config",
        str(properties),
    ]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise BrokerUnavailableError(
            f"Kafka could not format its storage in {directory}: "
            f"{lines[-1] if lines else f'exit code {done.returncode}'}"
        )
    properties.unlink()
    partial.rename(data)


def merge_properties(own: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """A node's own properties with extra ones, which win. Extra listeners are appended to the own
    ones.
    """
    return {
        **own,
        **{
            name: f"{own[name]},{value}" if name in _LISTENERS else value
            for name, value in extra.items()
        },
    }


def write_properties(path: Path, properties: dict[str, str]) -> None:
    """Write properties in Java's format, in which a backslash is an escape."""
    write_atomically(
        path,
        "".join(
            f"{name}={value.replace(chr(92), chr(92) * 2)}\n" for name, value in properties.items()
        ),
    )


def damaged(directory: Path, fault: str) -> BrokerUnavailableError:
    """The error for a damaged state directory."""
    return BrokerUnavailableError(
        f"the embedded broker's state in {directory} is damaged ({fault}): delete that directory "
        "to start without its topics"
    )


def _check_storage(directory: Path, node: Node) -> None:
    data = directory / "data"
    if not data.exists():
        return
    try:
        lines = (data / "meta.properties").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise damaged(directory, "data/meta.properties is missing") from None
    if f"cluster.id={node.cluster_id}" not in lines:
        raise damaged(directory, "data/ and node.json are of different clusters")


def new_cluster_id() -> str:
    """A UUID in Kafka's text form, without a dash at the start, which tools take for an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def free_port(host: str, *, other_than: int = 0) -> int:
    """A free port of ``host``.

    Raises:
        BrokerUnavailableError: there is none.
    """
    for port in random.sample(_PORTS, k=100):
        if port != other_than and _is_free(host, port):
            return port
    raise BrokerUnavailableError(
        f"no free port found on {host} from {_PORTS.start} to {_PORTS.stop - 1}: name one"
    )


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        # as Java does: old connections in TIME_WAIT do not matter
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(1)
        except OSError:
            return False
        return True
