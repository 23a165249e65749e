"""Environment variables of a process of Rollcall.

Libraries read settings from the environment too, many with common names. Faust reads some 70, such
as ``APP_VERSION`` and ``WEB_PORT``, which override the program's own options; others are
prometheus_client (``PROMETHEUS_MULTIPROC_DIR``), uvicorn (``WEB_CONCURRENCY``), FastAPI, mode and
aiokafka. So a process drops all variables that none of its parts needs, before it loads them.
"""

from __future__ import annotations

import os
import re

KEPT = re.compile(
    r"""
    rollcall_ .*
    | otel_ .* | grpc_ .*                                     # OpenTelemetry (ROLLCALL_TRACE_RATIO)
    | aws_ .*                                                   # AWS (rollcall ingest sqs)
    | \w+ _proxy | (requests|curl)_ca_bundle                  # how its exporters connect
    | forwarded_allow_ips                                     # uvicorn (docs/security.md)
    | python .* | path | ld_ .* | malloc_ .*                    # the interpreter, and the C library
    | home | user | logname | hostname | tmpdir | temp | tmp    # files
    | lang (uage)? | lc_ .* | tz | term | columns | lines | no_color
    | ssl_cert_file | ssl_cert_dir | openssl_conf               # OpenSSL: whom to trust
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Names of variables that are kept."""


def drop_foreign_variables() -> None:
    """Drop all other variables. Call it before libraries are loaded: some read variables on
    import.
    """
    for name in list(os.environ):
        if KEPT.fullmatch(name) is None:
            del os.environ[name]
