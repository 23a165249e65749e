"""What a broker keeps in its directory: who it is (ports, cluster id), its properties, its
formatted storage.
"""

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
from rollcall.sandbox.broker.files import write_whole

_PORTS = range(20_000, 32_768)
"""Where free ports are looked for: below those that Linux and macOS give to outgoing connections,
which would be taken by chance at the next start.
"""

_STATE_PARTITIONS = 8
"""Of the topics in which Kafka keeps consumer offsets and transactions. The default of 50 each is
for clusters; here every one costs files and start time.
"""

_LISTENERS = ("listeners", "advertised.listeners", "listener.security.protocol.map")


@dataclass(frozen=True, slots=True)
class Node:
    """The one node of an embedded broker. It stays the same from start to start, so that clients
    find it, and its data, again.
    """

    cluster_id: str
    host: str
    port: int
    controller_port: int

    @property
    def bootstrap(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port}"

    def properties(self, data: Path) -> dict[str, str]:
        """The contents of server.properties, with the storage in ``data``. docker-compose.kafka.yml
        has the same, and a test compares them.
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
            # A group does not wait for members that may yet come.
            "group.initial.rebalance.delay.ms": "0",
            # After a crash the controller waits for so long before it lets the broker in again: by
            # default 9 s, for brokers that are not their own controller.
            "broker.session.timeout.ms": "4000",
            "broker.heartbeat.interval.ms": "1000",
            "num.network.threads": "2",
            "num.io.threads": "4",
            "background.threads": "4",
            "log.cleaner.threads": "1",
        }


def load_node(directory: Path) -> Node | None:
    """The node that lives in ``directory``, or none yet.

    Raises:
        BrokerUnavailableError: what is there is not what this module wrote.
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


def prepare_node(directory: Path, *, host: str, port: int, further: Mapping[str, str]) -> Node:
    """The node of ``directory``, made if there is none, its ports free to listen on. ``port`` 0: as
    before, or any. ``further``: :func:`with_further`.

    Raises:
        BrokerUnavailableError: the state is damaged, or another program has the port.
    """
    known = load_node(directory)
    cluster_id = known.cluster_id if known else new_cluster_id()
    if not port:
        port = known.port if known and known.host == host else free_port(host)
    if not _is_free(host, port):
        raise BrokerUnavailableError(
            f"port {port} of {host}, for the broker of {directory}, is taken: end the program "
            "that has it, or give another port"
        )
    controller_port = known.controller_port if known and known.host == host else 0
    if controller_port in (0, port) or not _is_free(host, controller_port):
        # nobody but the broker itself knows this one
        controller_port = free_port(host, other_than=port)
    node = Node(cluster_id, host, port, controller_port)
    _check_storage(directory, node)
    write_whole(directory / "node.json", json.dumps(asdict(node), indent=2) + "\n")
    write_properties(
        directory / "server.properties", with_further(node.properties(directory / "data"), further)
    )
    return node


def format_storage(
    directory: Path, node: Node, java: list[str], *, further: Mapping[str, str]
) -> None:
    """Make ``<directory>/data`` with Kafka's own tool, if it is not there. An interrupted attempt
    leaves nothing that counts.

    Args:
        directory: the broker's directory.
        node: from :func:`prepare_node`.
        java: the command up to the name of the main class.
        further: properties, as for :func:`prepare_node`.

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
    write_properties(properties, with_further(node.properties(partial), further))
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
        said = (done.stderr or done.stdout).strip().splitlines()
        raise BrokerUnavailableError(
            f"Kafka could not format its storage in {directory}: "
            f"{said[-1] if said else f'exit code {done.returncode}'}"
        )
    properties.unlink()
    partial.rename(data)


def with_further(own: Mapping[str, str], further: Mapping[str, str]) -> dict[str, str]:
    """A node's own properties with further ones, which win; further listeners stand beside the
    node's own.
    """
    return {
        **own,
        **{
            name: f"{own[name]},{value}" if name in _LISTENERS else value
            for name, value in further.items()
        },
    }


def write_properties(path: Path, properties: dict[str, str]) -> None:
    """Java's format; a backslash would be an escape in it."""
    write_whole(
        path,
        "".join(
            f"{name}={value.replace(chr(92), chr(92) * 2)}\n" for name, value in properties.items()
        ),
    )


def damaged(directory: Path, what: str) -> BrokerUnavailableError:
    """The error for a state directory that cannot be used as it is."""
    return BrokerUnavailableError(
        f"the embedded broker's state in {directory} is damaged ({what}): delete that directory "
        "to begin anew, without its topics"
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
        raise damaged(directory, "data/ is of another cluster than node.json says")


def new_cluster_id() -> str:
    """Kafka's text form of a UUID; it may not begin with a dash, which tools would take for an
    option.
    """
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def free_port(host: str, *, other_than: int = 0) -> int:
    """A port of ``host`` that nobody listens on.

    Raises:
        BrokerUnavailableError: none was found.
    """
    for port in random.sample(_PORTS, k=100):
        if port != other_than and _is_free(host, port):
            return port
    raise BrokerUnavailableError(
        f"no free port found on {host} from {_PORTS.start} to {_PORTS.stop - 1}: name one"
    )


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        # as Java does: connections of the last run that linger are no obstacle
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(1)
        except OSError:
            return False
        return True
