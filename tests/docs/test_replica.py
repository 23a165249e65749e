"""docs/replica.md: its views and columns are those of the file, its examples run while the file is
written, and what it says of a rebuild is in the code.
"""

from __future__ import annotations

import ast
import inspect
import re
import sqlite3
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rollcall.serve.replica import file, follower, rebuild_reasons
from rollcall.serve.replica.feed import Feed
from rollcall.serve.replica.file import WAL_BYTES, ReplicaError
from rollcall.serve.replica.follower import BATCH_RECORDS, Follower
from rollcall.serve.replica.rebuild_reasons import MOST_AWAY_SECONDS
from rollcall.serve.replica.store import ReplicaStore
from rollcall.serve.replica.tables import APPLICATION_ID, COLUMNS, TABLES, Table
from rollcall.settings import load_settings
from tests.docs.markdown import ROOT, blocks, code, rows
from tests.docs.test_rosters import examples, rosters_of
from tests.serve.served import batch_of
from tests.tools import needs
from tests.waiting import run, wait_until

DOCUMENT = ROOT / "docs" / "replica.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
PLAIN = " ".join(TEXT.split())
PATH = ".rollcall/replica.sqlite"
UNTYPED = ("", "BLOB")
"""The type of a view's column that has none: SQLite 3.40 and 3.46."""

_SHOWN = re.compile(
    r"^```sql\n(?P<query>.*?)^```\n(?:\n(?P<lines>(?: {4}[^\n]*\n)+))?", re.MULTILINE | re.DOTALL
)


@contextmanager
def written(folder: Path) -> Iterator[Path]:
    """The replica of the schemas' examples, at the place that the document names, while it is
    written.
    """
    path = folder / PATH
    replica = ReplicaStore(path, "canvas")
    made = rosters_of(examples())
    replica.apply(batch_of(made), {})
    replica.note_complete(1.0)
    stop, turns = threading.Event(), 0
    course = {
        "courses": {
            "21070000000000999": {
                **made["courses"]["21070000000000565"],
                "course_id": "21070000000000999",
            }
        }
    }

    def write() -> None:
        nonlocal turns
        while not stop.is_set():
            turns += 1
            replica.apply(
                batch_of(
                    {
                        "courses": {
                            key: {**row, "name": f"turn {turns}"}
                            for key, row in course["courses"].items()
                        }
                    }
                ),
                {},
                with_changes=True,
            )

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_until(lambda: turns > 1, what="the writer")
        yield path
    finally:
        stop.set()
        writer.join()
        replica.close()


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """See :func:`written`."""
    with written(tmp_path_factory.mktemp("replica")) as path:
        yield path


def opened(path: Path) -> sqlite3.Connection:
    """As the document opens it."""
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)


def test_the_views(replica: Path) -> None:
    """The columns in the document are those of the file, in their order, with their types."""
    with closing(opened(replica)) as database:
        views = [
            name
            for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'view'")
        ]
        assert sorted(views) == sorted(COLUMNS)
        for view in views:
            described = [
                (code(column)[0], kind)
                for column, kind, _what in rows(DOCUMENT, f"column of `{view}`")
            ]
            types = {
                name: kind for _, name, kind, *_ in database.execute(f"PRAGMA table_info({view})")
            }
            assert [name for name, _kind in described] == list(types)
            for name, kind in described:
                wanted = (kind,) if kind in ("INTEGER", "TEXT") else UNTYPED
                assert types[name] in wanted, (view, name)
            flags = [name for name, kind in described if kind == "0 or 1"]
            for row in database.execute(f"SELECT {', '.join(flags) or 'NULL'} FROM {view}"):  # noqa: S608
                assert set(row) <= {0, 1, None}


def test_the_tables_behind_them(replica: Path) -> None:
    """Each is named as what nobody may rely on."""
    with closing(opened(replica)) as database:
        tables = {
            name
            for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        }
        (application_id,) = database.execute("PRAGMA application_id").fetchone()
    (sentence,) = re.findall(r"\*\*The tables behind the views.*?\n\n", TEXT, re.DOTALL)
    others = set(code(sentence)) - {"roster_"}
    assert others == {name for name in tables if not name.startswith("roster_")}
    assert application_id == APPLICATION_ID
    assert f"0x{APPLICATION_ID:X}" in TEXT


def test_the_python_example(tmp_path: Path) -> None:
    """In the folder in which serve was started, as another process."""
    (source,) = blocks(DOCUMENT, "python")
    with written(tmp_path):
        done = run([sys.executable, "-c", source], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"    {done.stdout}" in TEXT


@pytest.mark.parametrize(
    "shown", list(_SHOWN.finditer(TEXT)), ids=lambda match: str(match["query"]).split("\n", 1)[0]
)
def test_the_queries(replica: Path, shown: re.Match[str]) -> None:
    """They give what is shown."""
    lines = [line.strip() for line in (shown["lines"] or "").splitlines()]
    with closing(opened(replica)) as database:
        found = [
            "|".join("" if value is None else str(value) for value in row)
            for row in database.execute(shown["query"])
        ]
    assert found == lines


@needs("sqlite3", package="sqlite3")
def test_the_shell(tmp_path: Path) -> None:
    (command,) = re.findall(r"`(sqlite3 [^`]+)`", TEXT)
    query = next(_SHOWN.finditer(TEXT))
    with written(tmp_path):
        done = run([*command.split(), query["query"]], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, query["lines"].lstrip()), done.stderr


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_rows_are_found_by_an_index(replica: Path, table: Table) -> None:
    """By the key and each lookup, and by the first columns of them."""
    lookups = (table.relation.key, *table.relation.lookups)
    beginnings = [names[:count] for names in lookups for count in range(1, len(names) + 1)]
    with closing(opened(replica)) as database:
        for columns in beginnings:
            condition = " AND ".join(f"{name} = 1" for name in columns)
            plan = [
                row[3]
                for row in database.execute(
                    f"EXPLAIN QUERY PLAN SELECT * FROM {table.name} WHERE {condition}"  # noqa: S608
                )
            ]
            assert len(plan) == 1
            assert plan[0].startswith("SEARCH"), plan


def _reasons(module: ModuleType) -> Iterator[str]:
    """The texts that are given as a reason, without the values in them."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        match node:
            case ast.Call(func=ast.Name(id="RebuildError"), args=[ast.Constant(value=str(text))]):
                yield text
            case (
                ast.Call(ast.Name(id="RebuildError"), [ast.JoinedStr(values=parts)])
                | ast.Call(ast.Attribute(attr="_rebuild"), [ast.JoinedStr(values=parts)])
                | ast.Return(ast.JoinedStr(values=parts))
            ):
                yield "…".join(str(part.value) for part in parts if isinstance(part, ast.Constant))


def test_the_reasons_to_make_it_anew() -> None:
    """What the log is said to say is in the code, and there is no other reason."""
    reasons = [
        reason for module in (rebuild_reasons, follower, file) for reason in _reasons(module)
    ]
    described = [code(said)[0] for _cause, said in rows(DOCUMENT, "cause")]
    for said in described:
        assert any(said in reason for reason in reasons), said
    assert [reason for reason in reasons if not any(said in reason for said in described)] == []
    assert f"more than {MOST_AWAY_SECONDS // 86_400} days" in TEXT
    assert "`the replica is made anew`" in TEXT
    assert '"the replica is made anew: %s"' in inspect.getsource(file)


def test_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where it is, who may read it, who may write it, and that it may be deleted."""
    settings = load_settings(kafka="127.0.0.1:1", data=tmp_path)
    assert settings.replica_file == tmp_path / "replica.sqlite"
    first = ReplicaStore(settings.replica_file, "canvas")
    first.apply(batch_of(rosters_of(examples())), {("canvas.rosters.users", 0): 1})
    with pytest.raises(ReplicaError, match="another process writes the replica"):
        ReplicaStore(settings.replica_file, "canvas")
    kinds: dict[str, Any] = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()
    }
    assert kinds.keys() == {
        "replica.sqlite",
        "replica.sqlite-wal",
        "replica.sqlite-shm",
        "replica.sqlite.lock",
    }
    assert all(f"`{name}`" in TEXT for name in kinds)
    assert {mode for name, mode in kinds.items() if not name.endswith(".lock")} == {0o600}
    first.close()
    settings.replica_file.unlink()
    (tmp_path / "replica.sqlite-wal").write_bytes(b"left behind")
    with closing(ReplicaStore(settings.replica_file, "canvas")) as again:
        assert again.positions == {}
        assert set(again.row_counts.values()) == {0}
        assert Follower(settings, "127.0.0.1:1", again, Feed()).progress.complete is False
    assert "made anew" not in caplog.text


def test_the_numbers() -> None:
    assert f"up to {BATCH_RECORDS:,} records" in PLAIN
    assert f"at most {WAL_BYTES // 1024**2} MiB" in PLAIN
