"""docs/deployment.md: what it installs is what is there."""

from __future__ import annotations

import re
from importlib.metadata import version

import pytest

from tests.docs.markdown import ROOT, documents

DOCUMENT = ROOT / "docs" / "deployment.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")


def test_the_files_are_there() -> None:
    named = set(re.findall(r"(?:deploy/[\w@./-]+|requirements-\w+\.lock|docs/settings\.env)", TEXT))
    assert {name for name in named if not (ROOT / name.rstrip(".")).exists()} == set()


def test_the_version() -> None:
    assert set(re.findall(r"rollcall[:-](\d+\.\d+\.\d+)", TEXT)) == {version("rollcall")}


def test_nothing_is_installed_by_name() -> None:
    """On PyPI, ``rollcall`` is a program of somebody else."""
    by_name = re.compile(
        r"install\s+(?:['\"]\s*)?['\"`]?rollcall(?=\[|['\"`]?(?:\s|$))", re.MULTILINE
    )
    assert by_name.search("pip install 'rollcall[sqs]'")
    assert by_name.search("pip install rollcall")
    texts = [*documents(), *sorted((ROOT / "app" / "rollcall").rglob("*.py"))]
    found = {text: by_name.findall(text.read_text(encoding="utf-8")) for text in texts}
    assert [text for text, names in found.items() if names] == [ROOT / "README.md"]
    assert "Do not\ninstall `rollcall` from PyPI" in (ROOT / "README.md").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("lock", ["requirements-build.lock", "requirements-runtime.lock"])
def test_packages_are_installed_as_in_the_container(lock: str) -> None:
    """With their hashes, and nothing that has to be built."""
    options = f"--require-hashes --only-binary :all: --requirement {lock}"
    assert options in TEXT
    assert options in (ROOT / "deploy" / "container" / "Containerfile").read_text(encoding="utf-8")


def test_the_secrets_are_those_that_are_asked_for() -> None:
    kubernetes = ROOT / "deploy" / "kubernetes"
    kafka = (kubernetes / "overlays" / "example" / "kafka.yaml").read_text(encoding="utf-8")
    serve = (kubernetes / "base" / "serve.yaml").read_text(encoding="utf-8")
    made = {
        name: set(re.findall(r"--from-(?:literal|file)=([\w.]+)", rest))
        for name, rest in re.findall(r"create secret generic (\S+) (.+)", TEXT)
    }
    component = kubernetes / "components" / "reconcile" / "reconcile.yaml"
    canvas = component.read_text(encoding="utf-8")
    (tokens,) = re.findall(r"value: /etc/rollcall/tokens/(\S+)", serve)
    assert made == {
        "rollcall-kafka": set(re.findall(r"key: (\S+)", kafka)),
        "rollcall-tokens": {tokens},
        "rollcall-canvas": set(re.findall(r"value: /etc/rollcall/canvas/(\S+)", canvas)),
    }
    assert set(made) == set(
        re.findall(
            r"(?:secretName|  name): (rollcall-(?:kafka|tokens|canvas))", kafka + serve + canvas
        )
    )
