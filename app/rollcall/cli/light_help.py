"""Has Typer's help load no more than it uses: Rich's Markdown and tracebacks, with their parsers,
would take a third of the time of ``rollcall --help``.

typer/rich_utils.py imports both at its top (``from rich.markdown import Markdown``, ``from
rich.traceback import Traceback``), for help in Markdown and for unforeseen errors. Rollcall's help
is not in Markdown, and it shows its errors itself.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import Any

UNUSED = {"rich.markdown": "Markdown", "rich.traceback": "Traceback"}
"""Modules, and what Typer takes from each."""


def load_when_used() -> None:
    """Put stand-ins in their places, which load the modules when they are called. To be called
    before Typer shows anything.
    """
    if not os.environ.get("TERMINAL_WIDTH", "0").isdecimal():
        del os.environ[
            "TERMINAL_WIDTH"
        ]  # typer/rich_utils.py: MAX_WIDTH = int(_TERMINAL_WIDTH) if _TERMINAL_WIDTH else None
    for module, name in UNUSED.items():
        if module not in sys.modules:
            sys.modules[module] = _StandIn(module, name)


class _StandIn(ModuleType):
    def __init__(self, module: str, name: str) -> None:
        super().__init__(module)

        def load(_stand_in: type, *arguments: Any, **options: Any) -> Any:
            if isinstance(sys.modules[module], _StandIn):
                del sys.modules[module]
            return getattr(importlib.import_module(module), name)(*arguments, **options)

        # a class, since Typer has it in its types
        setattr(self, name, type(name, (), {"__new__": load}))
