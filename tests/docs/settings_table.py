"""The tables of docs/settings.md, from the settings."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from rollcall.settings import ENV_PREFIX, Settings
from tests.docs.markdown import ROOT

REFERENCE = ROOT / "docs" / "settings.env"

_HEADING = re.compile(r"# --- (?P<name>.+?) -+")
_LINE = re.compile(rf"#(?P<name>{ENV_PREFIX}[A-Z_]+)=(?P<value>.*)")
_WORDS = {
    bool: "`true`, `false`",
    Path: "a path",
    SecretStr: "text, never shown",
    str: "text",
    int: "a whole number",
    float: "a number",
}


def settings_tables() -> Iterator[str]:
    """The lines of a heading and a table for each part of docs/settings.env, in its order."""
    for line in REFERENCE.read_text(encoding="utf-8").splitlines():
        if heading := _HEADING.fullmatch(line):
            yield from (
                "",
                f"## {heading['name']}",
                "",
                "| setting | takes | default | |",
                "|---|---|---|---|",
            )
        elif found := _LINE.fullmatch(line):
            field = Settings.model_fields[found["name"].removeprefix(ENV_PREFIX).lower()]
            default = f"`{found['value']}`" if found["value"] else ""
            yield f"| `{found['name']}` | {_takes(field)} | {default} | {field.description} |"


def _takes(field: FieldInfo) -> str:
    kind: Any = field.annotation
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = (part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return "words, separated by commas"
    least = next((limit.ge for limit in field.metadata if isinstance(limit, Ge)), None)
    most = next((limit.le for limit in field.metadata if isinstance(limit, Le)), None)
    return _WORDS[kind] if least is None or most is None else f"{least} to {most}"
