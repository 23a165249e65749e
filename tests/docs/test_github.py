"""What GitHub is told of the project: it names what is there."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import yaml

from tests.deploy.installed import ROOT

GITHUB = ROOT / ".github"


def document(path: str) -> Any:
    """A YAML document. YAML 1.1 takes the key ``on`` for true."""
    return yaml.safe_load((ROOT / path).read_text())


def test_the_workflow_runs_ci_with_each_supported_python() -> None:
    (job,) = document(".github/workflows/ci.yml")["jobs"].values()
    assert [step["run"] for step in job["steps"] if step.get("run", "").startswith(".ci/")] == [
        ".ci/run"
    ]
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    supported = [
        found[1]
        for line in classifiers
        if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line))
    ]
    assert job["strategy"]["matrix"]["python"] == supported


def test_folders_are_there() -> None:
    updates = document(".github/dependabot.yml")["updates"]
    folders = [
        folder
        for update in updates
        for folder in update.get("directories", [update.get("directory")])
    ]
    owned = [
        line.split()[0]
        for line in (GITHUB / "CODEOWNERS").read_text().splitlines()
        if line.startswith("/")
    ]
    assert [folder for folder in folders + owned if not (ROOT / folder.lstrip("/")).is_dir()] == []


def test_forms_ask_for_something() -> None:
    for form in (GITHUB / "ISSUE_TEMPLATE").glob("[!c]*.yml"):
        asked = [
            element
            for element in document(str(form.relative_to(ROOT)))["body"]
            if element["type"] != "markdown"
        ]
        assert len({element["id"] for element in asked}) == len(asked) > 0


def test_hooks_run_what_lint_runs() -> None:
    lint = (ROOT / "Makefile").read_text().split("\nlint:")[1].split("\n\n")[0]
    (repository,) = document(".pre-commit-config.yaml")["repos"]
    programs = {hook["entry"].split()[0] for hook in repository["hooks"]}
    assert programs == {f".venv/bin/{name}" for name in re.findall(r"\$\(BIN\)/(\S+)", lint)}
