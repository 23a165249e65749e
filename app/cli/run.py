"""``rollcall router``, ``rosters``, ``serve`` and ``up``: processes that run until they are told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections.abc import Callable
from typing import Annotated

import typer
import uvloop

from app.cli.broker import bootstrap_servers, broker_if_needed
from app.cli.children import ATTACHED, end_with_standard_input, run_children
from app.errors import ConfigurationError
from app.logs import configure_logging
from app.process import Process, run_process
from app.settings import ENV_PREFIX, Settings, load_settings, misspelt_variables

GC_THRESHOLDS = (200_000, 50, 1_000)
"""A chunk is hundreds of thousands of objects that live for a moment and form no cycles. With Python's defaults the collector walks them again and again,
which takes an eighth of the router's time."""

PROCESSES = ("router", "rosters", "serve")
"""What runs for Rollcall to be whole."""

MAX_PORT = 65_535

log = logging.getLogger(__name__)


Attached = Annotated[bool, typer.Option(ATTACHED, hidden=True, help="End when the standard input ends.")]


def router(attached: Attached = False) -> None:
    """Route raw events to typed topics until stopped (SIGTERM or Ctrl-C; both drain)."""
    from app.router.application import new_router  # Faust takes a quarter of a second, which no other command should

    settings = _begin(attached)
    bootstrap = bootstrap_servers(settings)
    run_on_uvloop(settings, lambda: new_router(settings, bootstrap))


def rosters(attached: Attached = False) -> None:
    """Keep the rosters until stopped (SIGTERM or Ctrl-C; both drain): who is in which course, section and group now."""
    from app.rosters.application import new_rosters  # likewise

    settings = _begin(attached)
    bootstrap = bootstrap_servers(settings)
    run_on_uvloop(settings, lambda: new_rosters(settings, bootstrap))


def serve(attached: Attached = False) -> None:
    """Answer who is in which course until stopped (SIGTERM or Ctrl-C): Canvas's API, and a page, from a replica of the rosters."""
    from app.serve.process import ServeProcess  # a web framework takes a third of a second, which no other command should

    settings = _begin(attached)
    bootstrap = bootstrap_servers(settings)
    run_on_uvloop(settings, lambda: ServeProcess(settings, bootstrap))


def up() -> None:
    """Everything on one machine: an embedded broker, unless ROLLCALL_KAFKA names a cluster, the router, the rosters and serve."""
    settings = _begin()
    with broker_if_needed(settings) as bootstrap:
        environment = {name: value for name, value in os.environ.items() if name.upper() not in (f"{ENV_PREFIX}KAFKA", f"{ENV_PREFIX}PORT")}
        environment[f"{ENV_PREFIX}KAFKA"] = bootstrap
        environments = {name: {**environment, **port_of(settings, place)} for place, name in enumerate(PROCESSES)}
        if settings.port and f"{ENV_PREFIX}METRICS_URLS" not in environment:
            urls = [f"http://{settings.bind}:{settings.port + place}/metrics" for place in range(len(PROCESSES) - 1)]
            environments["serve"][f"{ENV_PREFIX}METRICS_URLS"] = ",".join(urls)
        asyncio.run(run_children({name: [name] for name in PROCESSES}, environments))


def port_of(settings: Settings, place: int) -> dict[str, str]:
    """The variable for the port of one process among several: their defaults, any free ones, or those that follow the one that is set."""
    if settings.port is None:
        return {}
    port = settings.port + place if settings.port else 0
    if port > MAX_PORT:
        raise ConfigurationError(f"{ENV_PREFIX}PORT: {len(PROCESSES)} processes need ports from {settings.port} on, and there is none above {MAX_PORT}")
    return {f"{ENV_PREFIX}PORT": str(port)}


def _begin(attached: bool = False) -> Settings:
    if attached:
        end_with_standard_input()
    settings = load_settings()
    configure_logging(settings)
    log.info("settings", extra={"settings": settings.masked()})
    for sentence in misspelt_variables(os.environ):
        log.warning("%s", sentence)
    return settings


def run_on_uvloop(settings: Settings, new_process: Callable[[], Process]) -> None:
    """Run a process on uvloop, in this thread and in those that Faust makes."""
    gc.set_threshold(*GC_THRESHOLDS)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    run_process(settings, new_process)


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command("router")(router)
    cli.command("rosters")(rosters)
    cli.command("serve")(serve)
    cli.command("up")(up)
