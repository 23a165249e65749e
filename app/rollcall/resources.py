"""Files of Rollcall other than Python code: schemas, and the files of Maven and the broker."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent
_CHECKOUT = _PACKAGE.parent.parent
_INSTALLED = _PACKAGE / "_data"


def resource_path(*parts: str) -> Path:
    """Path of a file or folder (``"schemas"``; ``"deploy", "kafka", "pom.xml"``): in the checkout,
    or in the installed package.

    Raises:
        FileNotFoundError: it does not exist: the installation is damaged.
    """
    # Above an installed package there may be another project with a folder of the same name.
    path = (_INSTALLED if _INSTALLED.is_dir() else _CHECKOUT).joinpath(*parts)
    if path.exists():
        return path
    raise FileNotFoundError(
        f"{'/'.join(parts)} is not part of this installation of Rollcall ({_PACKAGE}): install it "
        "again"
    )
