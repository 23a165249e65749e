"""What a process of Rollcall sees of its environment.

Libraries have settings of their own there, and many have names that anybody might use. Faust reads
some 70, such as ``APP_VERSION`` and ``WEB_PORT``, which win over what the program says; others are
prometheus_client (``PROMETHEUS_MULTIPROC_DIR``), uvicorn (``WEB_CONCURRENCY``), FastAPI, mode and
aiokafka. So a process drops what none of its own parts is meant to see, before it loads them.
"""

from __future__ import annotations

import os
import re

KEPT = re.compile(
    r"""
    rollcall_ .*
    | otel_ .* | grpc_ .*                                     # OpenTelemetry (ROLLCALL_TRACE_RATIO)
    | \w+ _proxy | (requests|curl)_ca_bundle                  # how its exporters connect
    | forwarded_allow_ips                                     # uvicorn (docs/security.md)
    | python .* | path | ld_ .* | malloc_ .*                    # the interpreter, and the C library
    | home | user | logname | hostname | tmpdir | temp | tmp    # files
    | lang (uage)? | lc_ .* | tz | term | columns | lines | no_color
    | ssl_cert_file | ssl_cert_dir | openssl_conf               # OpenSSL: whom to trust
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Names of variables that stay."""


def keep_own_variables() -> None:
    """Drop all others from this process's environment. To be called before libraries are loaded:
    some look when they are.
    """
    for name in list(os.environ):
        if KEPT.fullmatch(name) is None:
            del os.environ[name]
