"""A real Prometheus, as Debian packages it, with the files of deploy/prometheus/."""

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
ALERTS_TEST = FOLDER / "alerts_test.yml"

PROMETHEUS, PROMTOOL = "prometheus", "promtool"
needs_prometheus = needs(PROMETHEUS, PROMTOOL, package="prometheus")


class Series(NamedTuple):
    """One element of an instant vector."""

    labels: dict[str, str]
    value: float


def promtool(*arguments: str | Path, stdin: str | None = None) -> str:
    """Run promtool, which must find nothing wrong; what it says."""
    # a third of its time is Go's collector's
    done = run([PROMTOOL, *map(str, arguments)], input=stdin, env={**os.environ, "GOGC": "800"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def alert_rules() -> dict[str, dict[str, Any]]:
    """The alerts that are shipped, by name."""
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


class Prometheus:
    """Prometheus with the shipped configuration, of which only the addresses of the targets and the
    intervals are others.

    Args:
        targets: ``host:port`` by job.
    """

    def __init__(self, folder: Path, targets: Mapping[str, str]) -> None:
        configuration = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))
        configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        for job in configuration["scrape_configs"]:
            job["static_configs"][0]["targets"] = [targets[job["job_name"]]]
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
        wait_until(self._answers, what="Prometheus")
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

    def _answers(self) -> bool:
        assert self._process.poll() is None, "Prometheus has ended"
        try:
            # our own process
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=DEADLINE_SECONDS) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    def get(self, path: str, **parameters: str) -> Any:
        """What its HTTP API answers."""
        try:
            with urllib.request.urlopen(  # noqa: S310
                f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}",
                timeout=DEADLINE_SECONDS,
            ) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path} {parameters}: {error.read().decode()}") from None

    def query(self, expression: str) -> list[Series]:
        """An instant vector, now, without what is not a number."""
        found = [
            Series(series["metric"], float(series["value"][1]))
            for series in self.get("query", query=expression)["result"]
        ]
        return [series for series in found if not math.isnan(series.value)]

    def value(self, expression: str) -> float:
        """The sum of an instant vector; 0 for none."""
        return sum(series.value for series in self.query(expression))
