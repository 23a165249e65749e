"""Files that belong to Rollcall but are not Python: schemas, what Maven and the broker read."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent
_CHECKOUT = _PACKAGE.parent.parent
_INSTALLED = _PACKAGE / "_data"


def resource_path(*parts: str) -> Path:
    """The file or folder ``parts`` (``"schemas"``; ``"deploy", "kafka", "pom.xml"``): in a checkout
    as it stands there, else as the wheel carries it.

    Raises:
        FileNotFoundError: neither has it; then this installation is damaged.
    """
    # Above an installed package there may be a project of somebody else's, with a folder of the
    # same name.
    path = (_INSTALLED if _INSTALLED.is_dir() else _CHECKOUT).joinpath(*parts)
    if path.exists():
        return path
    raise FileNotFoundError(
        f"{'/'.join(parts)} is not part of this installation of Rollcall ({_PACKAGE}): install it "
        "again"
    )
