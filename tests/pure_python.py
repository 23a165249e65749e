"""Runs a module of the tests with nothing of Rollcall compiled, whatever is in place:

python -m tests.pure_python MODULE
"""

from __future__ import annotations

import runpy
import sys
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from importlib.util import find_spec
from pathlib import Path


def load_sources() -> None:
    """Let the package be loaded from its sources. Only before anything of it is loaded."""
    spec = find_spec("rollcall")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent

    def finder(folder: str) -> FileFinder:
        if not Path(folder).is_relative_to(package):
            raise ImportError("not a folder of the package")
        return FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES))

    sys.path_hooks.insert(0, finder)
    sys.path_importer_cache.clear()


if __name__ == "__main__":
    load_sources()
    runpy.run_module(sys.argv[1], run_name="__main__")
