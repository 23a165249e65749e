"""An HTTP server before moto's SQS, with the faults that real queues have and moto has not:
duplicates, disorder, old receipt handles, refused entries, errors, calls without an answer.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp
from aiohttp import web

HANG = "hang"
"""A fault: no answer, until the client goes away."""


class Refusal(NamedTuple):
    """A fault: an answer of SQS."""

    status: int
    code: str


class Delivery(NamedTuple):
    """A message under one of its handles."""

    message_id: str
    real_handle: str
    message: dict[str, Any]


class Shim:
    """Listens on a free port, in a thread of its own. A context manager.

    Args:
        target: URL of the real server.
        seed: of all chances.
        duplicates: chance that a message is delivered once more, with another handle, now or later,
            even after it was deleted.
        refused: chance that an entry of a call to delete fails.
        disorder: deliver the messages of a call in any order.
        old_handles: "refused", or "ignored": the queue says that it has deleted the message, and
            has not.
        before_delete: called with the ids of messages that are to be deleted, in any thread.
    """

    def __init__(
        self,
        target: str,
        *,
        seed: int = 1,
        duplicates: float = 0,
        refused: float = 0,
        disorder: bool = False,
        old_handles: str = "ignored",
        before_delete: Callable[[Sequence[str]], None] = lambda ids: None,
    ) -> None:
        self._target = target
        self._random = Random(seed)
        self.duplicates = duplicates
        self.refused = refused
        self.disorder = disorder
        self.old_handles = old_handles
        self._before_delete = before_delete
        self.faults: defaultdict[str, deque[Refusal | str]] = defaultdict(deque)
        """Faults of the next calls, by action."""
        self.always: dict[str, Refusal | str] = {}
        """Faults of all calls, by action; the action ``*`` stands for all."""
        self.calls: Counter[str] = Counter()
        self.open: Counter[str] = Counter()
        self.most_open: Counter[str] = Counter()
        self.visibilities: list[int] = []
        """Requested by calls to change the visibility, one for each message."""
        self.deleted: set[str] = set()
        self.wrong: list[str] = []
        """Requests that SQS would refuse as a whole, and other faults of the client."""
        self._handles: dict[str, Delivery] = {}
        self._latest: dict[str, str] = {}
        self.waiting: list[Delivery] = []
        """Deliveries that come once more."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="shim", daemon=True)
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if error is None:
            assert self.wrong == []

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _start(self) -> None:
        self._session = aiohttp.ClientSession()
        application = web.Application(client_max_size=16 * 1024**2)
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def _end(self) -> None:
        await self._runner.cleanup()
        await self._session.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:  # calls that hang
            task.cancel()
        if left:
            await asyncio.wait(left)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        action = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        self.calls[action] += 1
        self.open[action] += 1
        self.most_open[action] = max(self.most_open[action], self.open[action])
        try:
            fault = self._fault(action)
            if fault == HANG:
                await asyncio.sleep(3_600)
            if isinstance(fault, Refusal):
                return _refusal(fault)
            body = json.loads(await request.read())
            handler = {
                "ReceiveMessage": self._receive,
                "DeleteMessageBatch": self._delete,
                "ChangeMessageVisibilityBatch": self._change_visibility,
            }.get(action)
            if handler is None or not body.get("Entries", [1]):
                return await self._forward(request, body)
            return await handler(request, body)
        finally:
            self.open[action] -= 1

    def _fault(self, action: str) -> Refusal | str | None:
        if self.faults[action]:
            return self.faults[action].popleft()
        return self.always.get(action, self.always.get("*"))

    async def _ask(self, request: web.Request, body: Any) -> tuple[int, Any]:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in ("host", "content-length", "accept-encoding")
        }
        async with self._session.post(
            self._target + request.path, data=json.dumps(body), headers=headers
        ) as answer:
            return answer.status, await answer.json(content_type=None)

    async def _forward(self, request: web.Request, body: Any) -> web.Response:
        status, answer = await self._ask(request, body)
        return _json(answer, status)

    async def _receive(self, request: web.Request, body: Any) -> web.Response:
        if self.waiting:
            body = {**body, "WaitTimeSeconds": 0}
        status, answer = await self._ask(request, body)
        if status != 200:
            return _json(answer, status)
        deliveries = [
            Delivery(message["MessageId"], message["ReceiptHandle"], message)
            for message in (answer or {}).get("Messages", ())
        ]
        for delivery in list(deliveries):
            while self._random.random() < self.duplicates:
                self.waiting.append(delivery)
        while self.waiting and len(deliveries) < body.get("MaxNumberOfMessages", 1):
            place = self._random.randrange(len(self.waiting))
            deliveries.append(self.waiting.pop(place))
        if self.disorder:
            self._random.shuffle(deliveries)
        return _json({"Messages": list(map(self._delivered, deliveries))})

    def _delivered(self, delivery: Delivery) -> dict[str, Any]:
        handle = f"handle-{len(self._handles)}"
        self._handles[handle] = delivery
        self._latest[delivery.message_id] = handle
        return {**delivery.message, "ReceiptHandle": handle}

    def _check(self, entries: Sequence[dict[str, Any]], action: str) -> Refusal | None:
        ids = [entry["Id"] for entry in entries]
        messages = [
            self._handles[entry["ReceiptHandle"]].message_id
            for entry in entries
            if entry["ReceiptHandle"] in self._handles
        ]
        if len(entries) > 10 or len(set(ids)) < len(ids) or len(set(messages)) < len(messages):
            self.wrong.append(f"{action}: {ids}")
            return Refusal(400, "BatchEntryIdsNotDistinct")
        return None

    async def _delete(self, request: web.Request, body: Any) -> web.Response:
        entries = body["Entries"]
        if (fault := self._check(entries, "delete")) is not None:
            return _refusal(fault)
        named = [
            self._handles[entry["ReceiptHandle"]].message_id
            for entry in entries
            if entry["ReceiptHandle"] in self._handles
        ]
        await asyncio.to_thread(self._before_delete, named)
        done, failed, forwarded = [], [], []
        messages: dict[str, str] = {}
        for entry in entries:
            delivery = self._handles.get(entry["ReceiptHandle"])
            if delivery is None or self._random.random() < self.refused:
                code = "InternalError" if delivery else "ReceiptHandleIsInvalid"
                failed.append({"Id": entry["Id"], "Code": code, "SenderFault": False})
            elif self._latest[delivery.message_id] != entry["ReceiptHandle"]:
                if self.old_handles == "refused":
                    failed.append(
                        {"Id": entry["Id"], "Code": "ReceiptHandleIsInvalid", "SenderFault": True}
                    )
                else:
                    done.append({"Id": entry["Id"]})
            elif delivery.message_id in self.deleted:
                done.append({"Id": entry["Id"]})
            else:
                forwarded.append({"Id": entry["Id"], "ReceiptHandle": delivery.real_handle})
                messages[entry["Id"]] = delivery.message_id
        if forwarded:
            # a client that goes away meanwhile ends this, and the message may stay
            _status, answer = await self._ask(request, {**body, "Entries": forwarded})
            self.deleted |= {messages[each["Id"]] for each in answer.get("Successful", ())}
            done += answer.get("Successful", ())
            failed += answer.get("Failed", ())
        return _json({"Successful": done, "Failed": failed})

    async def _change_visibility(self, request: web.Request, body: Any) -> web.Response:
        entries = body["Entries"]
        if (fault := self._check(entries, "visibility")) is not None:
            return _refusal(fault)
        done, failed, forwarded = [], [], []
        for entry in entries:
            delivery = self._handles.get(entry["ReceiptHandle"])
            if delivery is None or delivery.message_id in self.deleted:
                failed.append({"Id": entry["Id"], "Code": "ReceiptHandleIsInvalid"})
                continue
            self.visibilities.append(entry["VisibilityTimeout"])
            forwarded.append({**entry, "ReceiptHandle": delivery.real_handle})
        if forwarded:
            _status, answer = await self._ask(request, {**body, "Entries": forwarded})
            done += answer.get("Successful", ())
            failed += answer.get("Failed", ())
        return _json({"Successful": done, "Failed": failed})


def _json(answer: Any, status: int = 200) -> web.Response:
    return web.json_response(answer, status=status, content_type="application/x-amz-json-1.0")


def _refusal(refusal: Refusal) -> web.Response:
    return web.json_response(
        {"__type": f"com.amazonaws.sqs#{refusal.code}", "message": "secret-of-aws"},
        status=refusal.status,
        content_type="application/x-amz-json-1.0",
        headers={"x-amzn-query-error": f"{refusal.code};Sender"},
    )
