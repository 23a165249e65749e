"""Lazy stand-ins for Rich's Markdown and tracebacks, which take a third of ``rollcall --help``.

typer/rich_utils.py imports both at its top (``from rich.markdown import Markdown``, ``from
rich.traceback import Traceback``), for Markdown help and unhandled errors. Rollcall's help is not
Markdown, and Rollcall prints its own errors.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import Any

UNUSED = {"rich.markdown": "Markdown", "rich.traceback": "Traceback"}
"""Modules, with the name that Typer imports from each."""


def install_lazy_modules() -> None:
    """Install stand-ins that load the module on the first call. Call this before Typer prints."""
    if not os.environ.get("TERMINAL_WIDTH", "0").isdecimal():
        # typer/rich_utils.py: MAX_WIDTH = int(_TERMINAL_WIDTH) if _TERMINAL_WIDTH else None
        del os.environ["TERMINAL_WIDTH"]
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

        # a class: Typer uses the name in type annotations
        setattr(self, name, type(name, (), {"__new__": load}))
