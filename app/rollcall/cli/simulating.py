"""Runs a simulation, writes its events to a file or to standard output, and answers like Canvas."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO

import orjson

from rollcall.errors import ConfigurationError
from rollcall.sandbox.canvas.simulation import SimulatedEvent, Simulation, SimulationPlan

LINES_AT_ONCE = 200


def play(
    plan: SimulationPlan, *, output: Path | None, truth: Path | None, canvas_port: int | None
) -> None:
    """Run ``rollcall simulate`` with checked options."""
    simulation = Simulation(plan)
    with ExitStack() as files:
        truth_file = None if truth is None else files.enter_context(_open(truth))
        if output is not None:
            _write(simulation.events(), files.enter_context(_open(output)), output)
        else:
            try:
                _write(simulation.events(), sys.stdout.buffer, None)
            except BrokenPipeError:
                # The reader closed the pipe. Python flushes standard output again at exit, and must
                # not fail again.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return
        if truth is not None and truth_file is not None:
            _write_truth(simulation, truth_file, truth)
    if canvas_port is not None:
        _answer(simulation, canvas_port)


def _answer(simulation: Simulation, port: int) -> None:
    """Be the institution's Canvas until a signal."""
    from rollcall.sandbox.canvas.rest import ADMIN_TOKEN, CanvasServer

    world, ends = simulation.canvas.world, {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with CanvasServer(lambda: world, port=port) as canvas:
        print(
            f"Canvas's API is at {canvas.url}, with the token {ADMIN_TOKEN}; Ctrl-C ends it",
            file=sys.stderr,
            flush=True,
        )
        signal.sigwait(ends)


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("wb")
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"cannot write {str(path)!a}: {error.strerror or error}")


def _write(events: Iterator[SimulatedEvent], file: IO[bytes], path: Path | None) -> None:
    try:
        while lines := [event.value for event in islice(events, LINES_AT_ONCE)]:
            file.write(b"\n".join(lines) + b"\n")
        file.flush()
    except OSError as error:
        if path is None:
            raise
        raise _unwritable(path, error) from None


def _write_truth(simulation: Simulation, file: IO[bytes], path: Path) -> None:
    try:
        for relation, rows in simulation.truth().items():
            for key, row in rows.items():
                file.write(
                    orjson.dumps(
                        {"relation": relation, "key": key, "row": row},
                        option=orjson.OPT_APPEND_NEWLINE,
                    )
                )
        file.flush()
    except OSError as error:
        raise _unwritable(path, error) from None
