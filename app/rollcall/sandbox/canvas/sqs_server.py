"""An SQS server on a free port of this machine, until the process is ended: moto's."""

from __future__ import annotations

import json
import logging
import signal


def main() -> None:
    """Run the server, and write its address as a line of JSON."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(json.dumps({"http": f"http://{host}:{port}"}), flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
