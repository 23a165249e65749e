"""Runs router, rosters and serve: one of them as this process, or all as its children."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
from collections.abc import Callable

import uvloop

from rollcall.cli.children import end_with_standard_input, run_children
from rollcall.cli.cluster import bootstrap_servers, broker_if_needed
from rollcall.cli.run import PROCESSES
from rollcall.errors import ConfigurationError
from rollcall.process.logs import configure_logging
from rollcall.process.running import Process, run_process
from rollcall.settings import ENV_PREFIX, Settings, load_settings, misspelt_variables

MAX_PORT = 65_535

log = logging.getLogger(__name__)


def run_until_stopped(new_process: Callable[[Settings, str], Process], *, attached: bool) -> None:
    """Run a process, made of the settings and the bootstrap servers, on uvloop, in this thread and
    in those that Faust makes.

    ``attached``: it also ends when its standard input does.
    """
    if attached:
        end_with_standard_input()
    faulthandler.enable()  # a crash in compiled code says where
    settings = _begin()
    bootstrap = bootstrap_servers(settings)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    run_process(settings, lambda: new_process(settings, bootstrap))


def run_everything() -> None:
    """Run all of them as children of this process, and a broker where no cluster is named."""
    settings = _begin()
    with broker_if_needed(settings) as bootstrap:
        environment = {
            name: value
            for name, value in os.environ.items()
            if name.upper() not in (f"{ENV_PREFIX}KAFKA", f"{ENV_PREFIX}PORT")
        }
        environment[f"{ENV_PREFIX}KAFKA"] = bootstrap
        environments = {
            name: {**environment, **port_of(settings, place)}
            for place, name in enumerate(PROCESSES)
        }
        if settings.port and f"{ENV_PREFIX}METRICS_URLS" not in environment:
            host = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
            urls = [
                f"http://{host}:{settings.port + place}/metrics"
                for place in range(len(PROCESSES) - 1)
            ]
            environments["serve"][f"{ENV_PREFIX}METRICS_URLS"] = ",".join(urls)
        asyncio.run(run_children({name: [name] for name in PROCESSES}, environments))


def port_of(settings: Settings, place: int) -> dict[str, str]:
    """The variable for the port of one process among several: their defaults, any free ones, or
    those that follow the one that is set.
    """
    if settings.port is None:
        return {}
    port = settings.port + place if settings.port else 0
    if port > MAX_PORT:
        raise ConfigurationError(
            f"{ENV_PREFIX}PORT: {len(PROCESSES)} processes need ports from {settings.port} on, "
            f"and there is none above {MAX_PORT}"
        )
    return {f"{ENV_PREFIX}PORT": str(port)}


def _begin() -> Settings:
    settings = load_settings()
    configure_logging(settings)
    log.info("settings", extra={"settings": settings.masked()})
    for sentence in misspelt_variables(os.environ):
        log.warning("%s", sentence)
    return settings
