"""Canvas's REST API over the rows of a simulated institution, read-only.

    with CanvasServer(lambda: simulation.canvas.world) as server:
        Canvas(server.url, ADMIN_TOKEN).get_account(1).get_courses(state=["all"])

The rows may change while requests are answered. :func:`world_tables` gives the actual rows, to
compare with.
"""

from __future__ import annotations

from rollcall.sandbox.canvas.rest.access import ADMIN_TOKEN, Access
from rollcall.sandbox.canvas.rest.faults import Times
from rollcall.sandbox.canvas.rest.recording import RecordedRequest
from rollcall.sandbox.canvas.rest.server import CanvasServer
from rollcall.sandbox.canvas.rest.tables import world_tables

__all__ = ["ADMIN_TOKEN", "Access", "CanvasServer", "RecordedRequest", "Times", "world_tables"]
