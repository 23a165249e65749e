"""The flow, from real pages of metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry

from rollcall.events.outcomes import ErrorCode
from rollcall.events.registry import REGISTRY
from rollcall.process.health import serve_health
from rollcall.process.metrics import RosterMetrics, RouterMetrics
from rollcall.serve.page.flow import Flow, ProcessView, summary
from rollcall.serve.page.rates import DEAD, RECEIVED, ROUTED, Reading
from rollcall.serve.replica.progress import Progress
from tests.waiting import eventually


@asynccontextmanager
async def looking(*urls: str) -> AsyncIterator[Flow]:
    """A flow that looks at these."""
    flow = Flow(urls, lambda: Progress(complete=True, rows={"courses": 3}))
    task = asyncio.create_task(flow.run())
    try:
        yield flow
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_process(flow: Flow, what: str, expected: object, place: int = 0) -> None:
    """Wait until the flow says this of a process."""
    await eventually(
        lambda: orjson.loads(flow.content)["processes"][place].get(what) == expected,
        what=f"{what}: {expected}",
    )


async def test_router_and_rosters_are_looked_at() -> None:
    router, rosters = (
        RouterMetrics(CollectorRegistry(), REGISTRY),
        RosterMetrics(CollectorRegistry(), ["course"], REGISTRY),
    )
    router.events_received_total.inc(100)
    router.events_routed_total.labels("user_created").inc(90)
    router.dead_letters_total.labels(ErrorCode.NOT_JSON.value, "unknown").inc(10)
    router.consumer_lag_records.labels("canvas.raw", "0").set(5)
    rosters.table_rows.labels("course").set(7)
    rosters.consumer_lag_records.labels("canvas.events.user_created", "0").set(2)
    rosters.oldest_unprocessed_seconds.set(4)
    async with (
        serve_health("127.0.0.1", 0, live=list, ready=list, registry=router.registry) as one,
        serve_health("127.0.0.1", 0, live=list, ready=list, registry=rosters.registry) as other,
        looking(f"http://127.0.0.1:{one}/metrics", f"http://127.0.0.1:{other}/metrics") as flow,
    ):
        await until_process(flow, "kind", "router")
        await until_process(flow, "kind", "rosters", 1)

        def moves() -> bool:
            router.events_received_total.inc(100)
            return bool(orjson.loads(flow.content)["totals"]["received"]["rate"])

        await eventually(moves, what="a rate")
        found = orjson.loads(flow.content)
        assert found["totals"]["routed"]["total"] == 90
        assert found["totals"]["dead"]["total"] == 10
        assert found["dead_letters"] == [{"code": "not_json", "rate": 0, "total": 10}]
        assert [(one["name"], one["total"]) for one in found["event_types"]] == [
            ("user_created", 90)
        ]
        assert found["lag"] == {"router": 5, "rosters": 2}
        assert found["oldest_seconds"] == {"router": 0, "rosters": 4}
        assert found["stages"][0]["name"] == "course"
        assert found["stages"][0]["rows"] == 7
        assert found["replica"]["rows"] == {"courses": 3}
        assert found["history"]


async def test_whatever_does_not_answer_is_said_to() -> None:
    async def broken(_request: web.Request) -> web.Response:
        raise web.HTTPNotFound

    async def no_metrics(_request: web.Request) -> web.Response:
        return web.Response(body=b"rollcall_events_received_total{\n")

    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b"#" * 65_536)

    async def elsewhere(_request: web.Request) -> web.Response:
        raise web.HTTPFound("http://127.0.0.1:1/")

    app = web.Application()
    for path, handler in (
        ("/broken", broken),
        ("/no", no_metrics),
        ("/endless", endless),
        ("/elsewhere", elsewhere),
    ):
        app.router.add_get(path, handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with looking(
            "http://127.0.0.1:1/metrics",
            *(f"{host}/{name}" for name in ("broken", "no", "endless", "elsewhere")),
        ) as flow:
            await until_process(flow, "problem", "cannot be reached (Connection refused)")
            await until_process(flow, "problem", "answers with status 404", 1)
            await until_process(flow, "problem", "does not answer with metrics", 2)
            await until_process(flow, "problem", "does not answer with metrics", 3)
            await until_process(flow, "problem", "answers with status 302", 4)
            assert orjson.loads(flow.content)["totals"]["received"] == {"rate": None, "total": None}
    finally:
        await runner.cleanup()


def test_several_processes_are_added_up_and_what_is_not_known_is_left_out() -> None:
    views = [
        ProcessView(f"http://user:secret@host-{number}:9101/metrics?key=secret")
        for number in range(3)
    ]
    for number, view in enumerate(views[:2], start=1):
        for at in (0.0, 2.0):
            counts = {
                (RECEIVED, ""): 10.0 * number * at,
                (ROUTED, "user_created"): 6.0 * number * at,
                (DEAD, "empty"): 4.0 * number * at,
            }
            view.add_reading(
                Reading(
                    at, started=1.0, counts=counts, lag={"canvas.raw": 2.0}, oldest=float(number)
                )
            )
    found = summary(views, Progress(), [1.0, None], now=0.0)
    assert found["totals"]["received"] == {"rate": 30, "total": 60}
    assert found["totals"]["unknown"] == {"rate": None, "total": None}
    assert found["dead_letters"] == [{"code": "empty", "rate": 12, "total": 24}]
    assert found["lag"] == {"router": 4}
    assert found["oldest_seconds"] == {"router": 2}
    assert found["processes"][2] == {
        "url": "http://host-2:9101/metrics",
        "reachable": False,
        "problem": "not read yet",
    }
    assert b"secret" not in orjson.dumps(found)

    views[0].set_problem("gone")
    found = summary(views, Progress(), [], now=0.0)
    assert found["totals"]["received"] == {"rate": 20, "total": 40}
    views[0].add_reading(Reading(3.0, counts={(RECEIVED, ""): 1.0}))
    assert views[0].rates is None, "one look is no rate"


def test_a_process_that_is_started_again_has_no_rate_at_first() -> None:
    view = ProcessView("http://127.0.0.1:9101/metrics")
    view.add_reading(Reading(0.0, started=1.0, counts={(RECEIVED, ""): 500.0}))
    view.add_reading(Reading(1.0, started=1.0, counts={(RECEIVED, ""): 600.0}))
    view.add_reading(Reading(2.0, started=9.0, counts={(RECEIVED, ""): 5.0}))
    assert view.rates is None
    view.add_reading(Reading(3.0, started=9.0, counts={(RECEIVED, ""): 12.0}))
    assert view.rates == {(RECEIVED, ""): 7.0}
