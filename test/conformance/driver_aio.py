"""Drives the asyncio Python client by lines of JSON, through its public face alone."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from pathlib import Path

import driver_words as words

words.knock_out()

from holdfast_client.aio import Holdfast  # noqa: E402

clients: dict = {}
leases: dict = {}
scopes: dict = {}
waits: dict = {}


class Scope:
    """A body that runs under a lock, in a task of its own, until it is told to end."""

    def __init__(self) -> None:
        self.end = asyncio.Event()
        self.over = asyncio.Event()
        self.error: str | None = None
        self.outcome: dict = {}


def options_of(request: dict) -> dict:
    given = words.arguments(request["with"], ("names", "via", "template", "values"))
    tell = {kind: words.news(kind, request["lease"]) for kind in ("queued", "yield")}
    return {**given, "on_queued": tell["queued"], "on_yield_request": tell["yield"]}


def kept(name: str, lease) -> dict:
    leases[name] = lease

    async def watch() -> None:
        await lease.lost_event.wait()
        words.send({"event": "lost", "lease": name, "told": words.plain(lease.lost)})

    tasks.add(asyncio.ensure_future(watch()))
    return words.view(lease)


async def acquire(hf, request: dict) -> dict:
    waits[request["lease"]] = asyncio.current_task()
    return kept(request["lease"], await hf.acquire(request["with"]["names"], **options_of(request)))


async def enter(hf, request: dict) -> dict:
    """Begins a body under the lock and answers when it has begun; this task is that of the body."""
    given, scope, begun = request["with"], Scope(), []
    waits[request["lease"]] = asyncio.current_task()

    async def body(lease) -> str:
        begun.append(lease)
        scopes[request["lease"]] = scope
        answer = kept(request["lease"], lease) if lease is not None else {}
        words.send({"id": request["id"], "ok": answer})
        await scope.end.wait()
        if scope.error is not None:
            raise RuntimeError(scope.error)
        return "what the body gives"

    async def run() -> object:
        if given["via"] == "withLock":
            return await hf.with_lock(given["names"], body, **options_of(request))
        if given["via"] == "guard":

            async def guarded(**_values: object) -> str:
                return await body(None)

            return await hf.guard(given["template"], **options_of(request))(guarded)(**given["values"])
        async with hf_scope(hf, request) as lease:
            return await body(lease)

    try:
        scope.outcome = {"ok": {"gave": await run()}}
    except BaseException as error:
        if not begun:
            raise
        scope.outcome = {"error": words.described(error)}
        words.send({"event": "ended", "lease": request["lease"], "told": scope.outcome["error"]})
    scope.over.set()
    return {"answered": True}


def hf_scope(hf, request: dict):
    return getattr(hf, request["with"]["via"])(request["with"]["names"], **options_of(request))


async def leave(_hf, request: dict) -> dict:
    scope = scopes[request["lease"]]
    scope.error = request["with"].get("error")
    scope.end.set()
    await scope.over.wait()
    return scope.outcome


async def once(hf, request: dict) -> dict:
    """Makes a file, if it is the one to make it, when it is told to."""
    given = request["with"]
    scope = scopes[request["lease"]] = Scope()

    async def make(temporary: str, _lease) -> None:
        words.news("making", request["lease"])({})
        await scope.end.wait()
        if scope.error is not None:
            raise RuntimeError(scope.error)
        Path(temporary).write_text(given["text"])

    made = (await hf.once(given["key"], given["path"], make)).made
    return {"made": made, "text": Path(given["path"]).read_text()}


async def finish(_hf, request: dict) -> dict:
    scope = scopes[request["lease"]]
    scope.error = request["with"].get("error")
    scope.end.set()
    return {}


async def open_client(_hf, request: dict) -> dict:
    first, rest = words.addresses_of(request["with"])
    clients[request["client"]] = Holdfast(first, **rest) if first is not None else Holdfast(**rest)
    return {}


async def drop(_hf, request: dict) -> dict:
    client = clients.pop(request["client"], None)
    if client is not None:
        await client.close()
    return {}


async def give_up(_hf, request: dict) -> dict:
    waits[request["lease"]].cancel()
    return {}


async def release(lease, given: dict) -> dict:
    return {"released": await lease.release(**given)}


async def listed(hf, given: dict) -> dict:
    found = hf.list(**given)
    return {"locks": [lock async for lock in found] if hasattr(found, "__aiter__") else list(await found)}


async def forced(hf, given: dict) -> dict:
    return {"freed": await hf.force_release(given["name"], **words.arguments(given, ("name",)))}


async def view(lease, _given: dict) -> dict:
    return words.view(lease)


async def check(lease, _given: dict) -> None:
    lease.check()


def on_lease(act):
    return lambda _hf, request: act(leases[request["lease"]], request["with"])


def on_client(act):
    return lambda hf, request: act(hf, request["with"])


ACTS = {
    "open": open_client,
    "drop": drop,
    "acquire": acquire,
    "acquireHere": acquire,
    "enter": enter,
    "leave": leave,
    "once": once,
    "finish": finish,
    "giveUp": give_up,
    "view": on_lease(view),
    "check": on_lease(check),
    "progress": on_lease(lambda lease, given: lease.progress(given["text"])),
    "release": on_lease(release),
    "inspect": on_client(lambda hf, given: hf.inspect(given["name"], history=given.get("history", 0))),
    "list": on_client(listed),
    "checkToken": on_client(lambda hf, given: hf.check_token(given["name"], int(given["token"]))),
    "forceRelease": on_client(forced),
    "status": on_client(lambda hf, _: hf.status()),
    "close": on_client(lambda hf, _: hf.close()),
}


async def answer(request: dict) -> None:
    try:
        found = await ACTS[request["op"]](clients.get(request["client"]), request)
        if found == {"answered": True}:
            return
        if request["op"] == "leave":
            words.send({"id": request["id"], **found})
            return
        words.send({"id": request["id"], "ok": words.plain(found) if found is not None else {}})
    except BaseException as error:
        words.send({"id": request["id"], "error": words.described(error)})


tasks: set = set()


async def main() -> None:
    loop, lines = asyncio.get_running_loop(), asyncio.Queue()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    words.send({"event": "ready"})
    while (line := await lines.get()) is not None:
        request = json.loads(line)
        if request["op"] == "stopReading":
            words.nothing_is_read_any_more()
            words.send({"id": request["id"], "ok": {}})
            return
        task = asyncio.ensure_future(answer(request))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


asyncio.run(main())
