"""What a release asks of a git repository, and what it leaves of it: with a real one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from release.__main__ import release
from release.checkout import Checkout
from release.distributions import run
from release.texts import VERSIONED, ReleaseError, dated_changelog
from rollcall.events.schemas.files import RELEASED, read_schema_folder
from tests.docs.markdown import ROOT

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A repository with what a release reads before it begins, on main, clean."""
    for name in (*VERSIONED, "CHANGELOG.md", ".gitignore"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    changelog = "## [Unreleased]\n\n- A change.\n"
    (tmp_path / "CHANGELOG.md").write_text(changelog, encoding="utf-8")
    checkout = Checkout(tmp_path)
    checkout.git("init", "--quiet", "--initial-branch", "main")
    checkout.git("config", "user.name", "Test")
    checkout.git("config", "user.email", "test@example.org")
    commit(checkout)
    return checkout


def commit(checkout: Checkout) -> None:
    checkout.git("add", "--all")
    checkout.git("commit", "--quiet", "--message", "A commit")


def state(checkout: Checkout) -> str:
    return checkout.git("status", "--porcelain", "--ignored") + checkout.git("log", "--all")


def dirty(checkout: Checkout) -> None:
    (checkout.root / "new.py").write_text("", encoding="utf-8")


def other_branch(checkout: Checkout) -> None:
    checkout.git("switch", "--quiet", "--create", "feature")


def tagged(checkout: Checkout) -> None:
    checkout.git("tag", "v9.0.0")


def nothing_new(checkout: Checkout) -> None:
    path = checkout.root / "CHANGELOG.md"
    path.write_text(dated_changelog(path.read_text(encoding="utf-8"), "8.0.0", date(2026, 1, 2)))
    commit(checkout)


def narrowed(checkout: Checkout) -> None:
    (checkout.root / "schemas" / "course_created.json").unlink()
    commit(checkout)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (dirty, r"not clean \(\?\? new.py, 1 in all\): commit or stash"),
        (other_branch, "made of main, and this is feature: git switch main"),
        (tagged, "the tag v9.0.0 exists"),
        (nothing_new, r"nothing below \[Unreleased\]"),
        (narrowed, "rollcall schemas lint: .*course_created"),
    ],
)
def test_what_cannot_be_released_is_left_as_it_is(
    checkout: Checkout, change: Callable[[Checkout], None], expected: str
) -> None:
    change(checkout)
    before = state(checkout)
    with pytest.raises(ReleaseError, match=expected):
        release(checkout, "9.0.0", dry_run=False)
    assert state(checkout) == before


@pytest.fixture
def without_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    """make, the builds and the trial of what was built take minutes: none of them here."""

    def build(_python: Path, _tree: Path, target: Path) -> list[Path]:
        target.mkdir()
        (target / "rollcall-9.0.0.tar.gz").write_text("sdist", encoding="utf-8")
        return list(target.iterdir())

    monkeypatch.setattr("release.__main__.run", lambda *_arguments: "")
    monkeypatch.setattr("release.__main__.build", build)
    monkeypatch.setattr("release.__main__.check", lambda *_arguments, **_named: None)


@pytest.mark.usefixtures("without_builds")
def test_a_release_is_one_commit_and_its_tag(checkout: Checkout) -> None:
    before = checkout.git("rev-parse", "main")
    release(checkout, "9.0.0", dry_run=False)
    assert checkout.git("log", "--format=%s", f"{before}..main") == "Release 9.0.0"
    assert checkout.git("rev-parse", "v9.0.0^{commit}") == checkout.git("rev-parse", "HEAD")
    assert checkout.git("cat-file", "-t", "v9.0.0") == "tag"
    changed = checkout.git("diff", "--name-only", before, "main").splitlines()
    schemas = checkout.root / "schemas"
    released = json.loads((schemas / RELEASED).read_text(encoding="utf-8"))
    assert set(changed) - {f"schemas/{RELEASED}"} == {*VERSIONED, "CHANGELOG.md"}
    assert released == {name: file.document for name, file in read_schema_folder(schemas).items()}
    assert checkout.git("status", "--porcelain") == ""
    assert checkout.git("worktree", "list").count("\n") == 0
    assert [path.name for path in (checkout.root / "dist").iterdir()] == ["rollcall-9.0.0.tar.gz"]
    with pytest.raises(ReleaseError, match=r"9\.0\.0 is released"):
        release(checkout, "9.0.0", dry_run=False)


@pytest.mark.usefixtures("without_builds")
def test_a_dry_run_changes_nothing(checkout: Checkout) -> None:
    (checkout.root / "build").mkdir()
    before = state(checkout)
    release(checkout, "9.0.0", dry_run=True)
    (checkout.root / "build").rmdir()
    assert state(checkout) == before


def test_a_tree_of_its_own(checkout: Checkout) -> None:
    """A commit in it is none of the branch, and one that was left behind is no hindrance."""
    before = state(checkout)
    tree = checkout.fresh_tree(checkout.root / "build" / "tree")
    (tree.root / "CHANGELOG.md").write_text("", encoding="utf-8")
    commit(tree)
    shutil.rmtree(tree.root)
    tree = checkout.fresh_tree(checkout.root / "build" / "tree")
    assert (tree.root / "CHANGELOG.md").read_bytes()
    checkout.remove_tree(tree)
    shutil.rmtree(checkout.root / "build")
    assert state(checkout) == before


def test_what_git_refuses_is_told_in_its_words(checkout: Checkout) -> None:
    with pytest.raises(ReleaseError, match="git switch: fatal: invalid reference: other"):
        checkout.git("switch", "other")


def test_make_says_what_is_missing() -> None:
    with pytest.raises(ReleaseError, match="make release VERSION="):
        run(["make", "release"], ROOT)
