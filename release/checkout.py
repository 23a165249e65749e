"""The git repository of a release."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from release.texts import ReleaseError

BRANCH = "main"


class Checkout:
    """A work tree. What git refuses is a :class:`ReleaseError` with git's own words."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def git(self, *arguments: str) -> str:
        """What git prints."""
        done = subprocess.run(
            ["git", *arguments],  # noqa: S607 - the git of whoever releases
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ReleaseError(f"git {arguments[0]}: {done.stderr.strip()}")
        return done.stdout.strip()

    def check_clean(self, tag: str) -> None:
        """Whether a release can be made of this work tree.

        Raises:
            ReleaseError: another branch, uncommitted changes, or the tag exists.
        """
        if (branch := self.git("branch", "--show-current")) != BRANCH:
            raise ReleaseError(
                f"a release is made of {BRANCH}, and this is {branch or 'no branch'}: "
                f"git switch {BRANCH}"
            )
        if changes := self.git("status", "--porcelain").splitlines():
            raise ReleaseError(
                f"the work tree is not clean ({changes[0].strip()}, {len(changes)} in all): commit "
                "or stash first"
            )
        if self.git("tag", "--list", tag):
            raise ReleaseError(
                f"the tag {tag} exists: git tag --delete {tag}, if it was not pushed"
            )

    def fresh_tree(self, folder: Path) -> Checkout:
        """The commit that is checked out here, in a work tree of its own, on no branch."""
        shutil.rmtree(folder, ignore_errors=True)
        self.git("worktree", "prune")
        self.git("worktree", "add", "--quiet", "--detach", str(folder))
        return Checkout(folder)

    def remove_tree(self, tree: Checkout) -> None:
        """Take away what :meth:`fresh_tree` made."""
        self.git("worktree", "remove", "--force", str(tree.root))
