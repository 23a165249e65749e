"""``python -m release VERSION``, which is ``make release VERSION=x.y.z``: see CONTRIBUTING.md.

All work is done in a work tree of its own, below ``build/``. Only when everything has passed does
the branch get the commit, and the commit its tag. Exit code 1 and one message if it cannot be.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from release.checkout import BRANCH, Checkout
from release.distributions import build, check, run
from release.texts import (
    VERSIONED,
    ReleaseError,
    check_version,
    dated_changelog,
    project_version,
    schema_bundle,
    with_version,
)
from rollcall.events.schemas.files import RELEASED, read_schema_folder
from rollcall.events.schemas.lint import lint

ROOT = Path(__file__).parent.parent


def main() -> int:
    """Make a release."""
    parser = argparse.ArgumentParser(prog="make release")
    parser.add_argument("version", metavar="VERSION", help="x.y.z")
    parser.add_argument(
        "--dry-run", action="store_true", help="all but the commit on the branch, tag and dist/"
    )
    options = parser.parse_args()
    try:
        release(Checkout(ROOT), options.version, dry_run=options.dry_run)
    except ReleaseError as error:
        print(f"no release: {error}", file=sys.stderr)
        return 1
    return 0


def release(checkout: Checkout, version: str, *, dry_run: bool) -> None:
    """Make a release of what is checked out.

    Raises:
        ReleaseError: it cannot be, and nothing has changed but files below ``build/``.
    """
    root, tag = checkout.root, f"v{version}"
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    current = project_version((root / "pyproject.toml").read_text(encoding="utf-8"))
    check_version(version, current=current, changelog=changelog)
    dated = dated_changelog(changelog, version, datetime.now(UTC).date())
    checkout.check_clean(tag)
    if problems := lint(root / "schemas"):
        raise ReleaseError(f"rollcall schemas lint: {problems[0]}")

    work = root / "build" / "release"
    shutil.rmtree(work, ignore_errors=True)
    tree = checkout.fresh_tree(work / "tree")
    print(f"Rollcall {version}, in {tree.root}", flush=True)
    (tree.root / "CHANGELOG.md").write_text(dated, encoding="utf-8")
    _write_version(tree.root, version)
    _write_bundle(tree.root)
    for target in ("docs", "check"):
        print(f"make {target}", flush=True)
        run(["make", "--no-print-directory", target, f"PYTHON={_python()}"], tree.root)
    tree.git("commit", "--quiet", "--all", "--message", f"Release {version}")
    for distribution in _checked_distributions(tree.root, work, version):
        print(f"{distribution.name} is installed alone, and its demo passes", flush=True)

    print(tree.git("show", "--stat", "--format=%h %s"))
    if not dry_run:
        checkout.git("merge", "--quiet", "--ff-only", tree.git("rev-parse", "HEAD"))
        checkout.git("tag", "--annotate", tag, "--message", f"Rollcall {version}")
        shutil.copytree(work / "dist", root / "dist", dirs_exist_ok=True)
        print(f"released: dist/ has the files. To publish: git push origin {BRANCH} {tag}")
    else:
        print("a dry run: no commit on the branch, no tag, nothing in dist/")
    checkout.remove_tree(tree)
    shutil.rmtree(work)


def _python() -> str:
    """The Python of the virtual environment in which this runs."""
    return str(getattr(sys, "_base_executable", sys.executable))


def _write_version(root: Path, version: str) -> None:
    for name in VERSIONED:
        path = root / name
        text = with_version(name, path.read_text(encoding="utf-8"), version)
        path.write_text(text, encoding="utf-8")


def _write_bundle(root: Path) -> None:
    folder = root / "schemas"
    schemas = {name: file.document for name, file in read_schema_folder(folder).items()}
    (folder / RELEASED).write_text(schema_bundle(schemas), encoding="utf-8")


def _checked_distributions(root: Path, work: Path, version: str) -> Iterator[Path]:
    print("building", flush=True)
    for distribution in build(root / ".venv" / "bin" / "python", root, work / "dist"):
        scratch = work / distribution.name.removesuffix(".whl").removesuffix(".tar.gz")
        check(distribution, version=version, tree=root, scratch=scratch)
        yield distribution


if __name__ == "__main__":
    sys.exit(main())
