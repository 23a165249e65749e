"""Runs ``rollcall`` with a demo whose Canvas changes when ``rollcall reconcile`` has ended."""

from __future__ import annotations

from unittest.mock import patch

from rollcall.__main__ import main
from rollcall.sandbox.demo import work
from rollcall.sandbox.demo.institution import Institution
from rollcall.sandbox.demo.reconciling import Command, Reconciling

_institutions: list[Institution] = []


class _Institution(Institution):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        _institutions.append(self)


class _Reconciling(Reconciling):
    async def run(self, *, is_dry: bool) -> Command:
        ended = await super().run(is_dry=is_dry)
        if not is_dry:
            courses = _institutions[0].world.courses
            next(course for course in courses if course.state == "available").name = "Renamed"
        return ended


if __name__ == "__main__":
    with (
        patch.object(work, "Institution", _Institution),
        patch.object(work, "Reconciling", _Reconciling),
    ):
        main()
