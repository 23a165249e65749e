"""What ``rollcall reconcile`` changed, as tables and texts. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rollcall.sandbox.canvas.rest.equality import Fault
from rollcall.sandbox.demo.reconciling import CanvasComparison, Command
from rollcall.settings import ENV_PREFIX, Settings

SHOWN_MISTAKES = 5
SHOWN_LINES = 20


def introduction(url: str, own_settings: Mapping[str, float]) -> Iterator[RenderableType]:
    """Why the rosters are not as in Canvas.

    Args:
        url: of the simulated Canvas.
        own_settings: those that differ from the defaults and count.
    """
    yield _indented(
        Text(
            "The institution is older than its subscription to events, and its SIS has just "
            "deleted enrollments by an import, which sends none. Its REST API shows all rows: "
            f"{url}/api/v1. The simulated Canvas has no replica that lags, so that short waits do:"
        )
    )
    for name, value in own_settings.items():
        default = Settings.model_fields[name].default
        setting = f"{ENV_PREFIX}{name.upper()}={value:g}"
        yield _indented(Text(f"{setting:<37}(default: {default:g})", "dim"))


def comparison(compared: CanvasComparison, *, is_final: bool) -> Iterator[RenderableType]:
    """The rows of each relation. ``is_final``: wrong ones are a mistake, and are listed."""
    faults = Counter((row.relation, row.fault) for row in compared.wrong)
    table = Table(box=box.SIMPLE_HEAD, header_style="dim", padding=(0, 1))
    for column in ("rows", "Canvas", "rosters", ""):
        table.add_column(column, justify="left" if column in ("rows", "") else "right")
    for relation, count in compared.in_canvas.items():
        wrong = ", ".join(
            f"{number:,} {fault}" for fault in Fault if (number := faults[relation, fault])
        )
        if wrong:
            verdict = Text(wrong, style="bold red" if is_final else "yellow")
        else:
            verdict = Text("as in Canvas", style="green")
        table.add_row(relation, f"{count:,}", f"{compared.in_rosters[relation]:,}", verdict)
    yield table
    if is_final and compared.wrong:
        for row in compared.wrong[:SHOWN_MISTAKES]:
            yield _indented(
                Text(f"{row.relation}: {row.id} is {row.fault}, {_fields(row.fields)}", "bold red")
            )
        yield ""


def command(ended: Command) -> RenderableType:
    """A command and the end of its output."""
    lines = ended.summary[:SHOWN_LINES]
    if len(ended.summary) > SHOWN_LINES:
        lines.append(f"… and {len(ended.summary) - SHOWN_LINES:,} more lines")
    return Group(
        _indented(
            Text(ended.line, style="bold cyan").append(f"  {ended.seconds:.1f} s", "not bold dim")
        ),
        *(Padding(Text(line), (0, 0, 0, 4)) for line in lines),
        "",
    )


def _fields(fields: Mapping[str, tuple[object, object]]) -> str:
    return ", ".join(
        f"{name}: {found!r} instead of {right!r}" for name, (right, found) in fields.items()
    )


def _indented(part: RenderableType) -> RenderableType:
    return Padding(part, (0, 0, 0, 2))
