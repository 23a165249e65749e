"""Runs router, rosters, serve and ingest: one of them as this process, or all as its children."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
from collections.abc import Callable, Iterator

import uvloop

from rollcall.cli.children import end_with_stdin, run_children
from rollcall.cli.cluster import bootstrap_servers, broker_if_needed
from rollcall.cli.run import INGEST_HTTPS, INGEST_SQS, PROCESSES
from rollcall.errors import ConfigurationError
from rollcall.process.logs import configure_logging
from rollcall.process.running import Process, run_process
from rollcall.settings import ENV_PREFIX, Settings, load_settings, misspelt_variables

MAX_PORT = 65_535

log = logging.getLogger(__name__)


def run_until_stopped(
    new_process: Callable[[Settings, str], Process],
    *,
    attached: bool,
    stopping_seconds: Callable[[Settings], float] | None = None,
) -> None:
    """Run a process on uvloop, in this thread and in Faust's, until it is stopped.

    Args:
        new_process: takes the settings and the bootstrap servers.
        attached: also stop at the end of standard input.
        stopping_seconds: time limit of a stop. Default: that of a process with lanes.
    """
    if attached:
        end_with_stdin()
    faulthandler.enable()  # traces crashes in compiled code
    settings = _load_and_log_settings()
    bootstrap = bootstrap_servers(settings)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    run_process(
        settings,
        lambda: new_process(settings, bootstrap),
        stopping_seconds=None if stopping_seconds is None else stopping_seconds(settings),
    )


def run_everything() -> None:
    """Run all processes as children of this one, with an embedded broker if no cluster is set. The
    queue of SQS is read if the settings name one, and the webhook listens if one of its settings is
    set.
    """
    settings = _load_and_log_settings()
    with broker_if_needed(settings) as bootstrap:
        environment = {
            name: value
            for name, value in os.environ.items()
            if name.upper() not in (f"{ENV_PREFIX}KAFKA", f"{ENV_PREFIX}PORT")
        }
        environment[f"{ENV_PREFIX}KAFKA"] = bootstrap
        names = (*PROCESSES, *_ingest_processes(settings))
        environments = {
            name: {**environment, **port_variable(settings, number, len(names))}
            for number, name in enumerate(names)
        }
        if settings.port and f"{ENV_PREFIX}METRICS_URLS" not in environment:
            host = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
            urls = [
                f"http://{host}:{settings.port + number}/metrics"
                for number in range(len(PROCESSES) - 1)
            ]
            environments["serve"][f"{ENV_PREFIX}METRICS_URLS"] = ",".join(urls)
        asyncio.run(run_children({name: name.split() for name in names}, environments))


def _ingest_processes(settings: Settings) -> Iterator[str]:
    """The processes that bring events, as far as they are configured."""
    if settings.sqs_queue_url is not None:
        yield INGEST_SQS
    if settings.has_webhook:
        yield INGEST_HTTPS


def port_variable(settings: Settings, number: int, processes: int) -> dict[str, str]:
    """The environment variable for the port of the process with a number, counted from 0.

    No variable if no port is set; 0 if it is set to 0; else consecutive ports from the one that is
    set.
    """
    if settings.port is None:
        return {}
    port = settings.port + number if settings.port else 0
    if port > MAX_PORT:
        raise ConfigurationError(
            f"{ENV_PREFIX}PORT: {processes} processes need consecutive ports from "
            f"{settings.port} on, but the last port is {MAX_PORT}"
        )
    return {f"{ENV_PREFIX}PORT": str(port)}


def _load_and_log_settings() -> Settings:
    settings = load_settings()
    configure_logging(settings)
    log.info("settings", extra={"settings": settings.masked()})
    for warning in misspelt_variables(os.environ):
        log.warning("%s", warning)
    return settings
