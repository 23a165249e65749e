"""Debian's Prometheus, with the files of deploy/prometheus/."""

from __future__ import annotations

import json
import math
import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import yaml

from tests.docs.markdown import ROOT
from tests.tools import needs
from tests.waiting import DEADLINE_SECONDS, run, wait_until

FOLDER = ROOT / "deploy" / "prometheus"
CONFIGURATION = FOLDER / "prometheus.yml"
ALERTS = FOLDER / "alerts.yml"
ALERTS_TESTS = (FOLDER / "alerts_test.yml", FOLDER / "alerts_days_test.yml")

PROMETHEUS, PROMTOOL = "prometheus", "promtool"
needs_prometheus = needs(PROMETHEUS, PROMTOOL, package="prometheus")


class Series(NamedTuple):
    """One element of an instant vector."""

    labels: dict[str, str]
    value: float


def promtool(*arguments: str | Path, stdin: str | None = None) -> str:
    """The output of promtool, which must succeed."""
    # Go's garbage collector takes a third of its time
    done = run([PROMTOOL, *map(str, arguments)], input=stdin, env={**os.environ, "GOGC": "800"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def alert_rules() -> dict[str, dict[str, Any]]:
    """Rules of all alerts, by name."""
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


class Prometheus:
    """A Prometheus process with the shipped configuration, except for intervals and addresses of
    targets.

    Args:
        folder: folder for its files.
        targets: ``host:port`` by job, of all jobs of the configuration, and of others.
    """

    def __init__(self, folder: Path, targets: Mapping[str, str]) -> None:
        configuration = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))
        configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        others = dict(targets)
        for job in configuration["scrape_configs"]:
            job["static_configs"][0]["targets"] = [others.pop(job["job_name"])]
        configuration["scrape_configs"] += [
            {"job_name": job, "static_configs": [{"targets": [address]}]}
            for job, address in others.items()
        ]
        (folder / CONFIGURATION.name).write_text(yaml.safe_dump(configuration), encoding="utf-8")
        shutil.copy(ALERTS, folder)
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        self.url = f"http://{address}"
        self._log = (folder / "prometheus.log").open("wb")
        arguments = [
            f"--config.file={folder / CONFIGURATION.name}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address={address}",
        ]
        self._process = subprocess.Popen(
            [PROMETHEUS, *arguments], stdout=self._log, stderr=self._log
        )

    def __enter__(self) -> Self:
        wait_until(self._is_ready, what="Prometheus")
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, "Prometheus has ended"
        try:
            # our own process
            url = f"{self.url}/-/ready"
            with urllib.request.urlopen(url, timeout=DEADLINE_SECONDS) as response:  # noqa: S310
                return bool(response.status == 200)
        except OSError:
            return False

    def get(self, path: str, **parameters: str) -> Any:
        """The data of a response of its HTTP API."""
        try:
            with urllib.request.urlopen(  # noqa: S310
                f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}",
                timeout=DEADLINE_SECONDS,
            ) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path} {parameters}: {error.read().decode()}") from None

    def query(self, expression: str) -> list[Series]:
        """The current instant vector, without NaN."""
        vector = [
            Series(series["metric"], float(series["value"][1]))
            for series in self.get("query", query=expression)["result"]
        ]
        return [series for series in vector if not math.isnan(series.value)]

    def value(self, expression: str) -> float:
        """The sum of the current instant vector; 0 if it is empty."""
        return sum(series.value for series in self.query(expression))
