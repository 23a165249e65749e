"""An SQS server on a free port of this machine: moto's.

As a program, it runs until it is ended, and writes its address as a line of JSON.
"""

from __future__ import annotations

import json
import logging
import signal
from typing import Any

from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.sqs.models import Queue


def start_server() -> ThreadedMotoServer:
    """A running server, in a thread of this process."""
    _lock_deletions()
    _copy_pending_messages()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    return server


def address(server: ThreadedMotoServer) -> str:
    """The server's URL."""
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


def _lock_deletions() -> None:
    """Delete a message under the lock under which messages are added.

    ``moto/sqs/models.py:613`` (5.2.5) writes a new list of all other messages: a message that
    another request adds meanwhile is lost, and one that it deletes is there again.
    """
    delete = Queue.delete_message
    if hasattr(delete, "is_locked"):
        return

    def delete_message(self: Any, receipt_handle: str) -> None:
        with self._messages_lock:
            delete(self, receipt_handle)

    delete_message.is_locked = True  # type: ignore[attr-defined]
    Queue.delete_message = delete_message  # type: ignore[method-assign]


def _copy_pending_messages() -> None:
    """Let several clients receive at once: ``moto/sqs/models.py:321`` (5.2.5) iterates over a set
    that other requests change, and answers with status 500.
    """

    def pending_message_groups(queue: Any) -> set[str]:
        pending = tuple(queue.pending_messages)
        return {message.group_id for message in pending if message.group_id is not None}

    Queue.pending_message_groups = property(pending_message_groups)  # type: ignore[method-assign,assignment]


def main() -> None:
    """Run the server."""
    print(json.dumps({"http": address(start_server())}), flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
