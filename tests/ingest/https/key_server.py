"""A server of public keys over https that counts, fails, hangs and sends too much on request."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ingest.https.certificates import CertificateFiles, write_certificate
from tests.waiting import DEADLINE_SECONDS

Handler = http.server.BaseHTTPRequestHandler


class KeyServer:
    """The server's behaviour and its history."""

    def __init__(self, port: int, files: CertificateFiles, document: bytes) -> None:
        self.url = f"https://127.0.0.1:{port}/jwks"
        self.files = files
        self.document = document
        self.requests = 0
        self.respond: Callable[[Handler], None] = self.send_document
        self.released = threading.Event()
        """Ends all hanging responses."""

    def send_document(self, handler: Handler) -> None:
        """Respond with the key set."""
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(self.document)))
        handler.end_headers()
        handler.wfile.write(self.document)

    def fail(self, handler: Handler) -> None:
        """Respond with an error."""
        handler.send_error(500)

    def hang(self, _handler: Handler) -> None:
        """Respond with nothing."""
        self.released.wait(DEADLINE_SECONDS)

    def redirect(self, handler: Handler) -> None:
        """Respond with another address, which has the key set."""
        if handler.path == "/other":
            self.send_document(handler)
            return
        handler.send_response(302)
        handler.send_header("Location", self.url.replace("/jwks", "/other"))
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def send_without_end(self, handler: Handler) -> None:
        """Respond with blanks, which would be legal before a key set."""
        handler.send_response(200)
        handler.end_headers()
        while not self.released.is_set():
            handler.wfile.write(b" " * 65_536)


@contextmanager
def serving_keys(folder: Path, document: bytes) -> Iterator[KeyServer]:
    """Serve a key set with a new certificate."""
    files = write_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)

    class Requests(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.requests += 1
            with contextlib.suppress(OSError):  # the client has left
                keys.respond(self)

        def log_message(self, *_: object) -> None:
            pass

    class TlsServer(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: object, client_address: object) -> None:
            with (
                contextlib.suppress(OSError),
                context.wrap_socket(request, server_side=True) as secured,  # type: ignore[arg-type]
            ):
                super().finish_request(secured, client_address)

    with TlsServer(("127.0.0.1", 0), Requests) as server:
        keys = KeyServer(server.server_port, files, document)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield keys
        finally:
            keys.released.set()
            server.shutdown()
            thread.join(DEADLINE_SECONDS)
