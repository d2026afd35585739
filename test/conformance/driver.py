"""Drives the sync Python client by lines of JSON, through its public face alone."""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path

import driver_words as words

words.knock_out()

from holdfast_client import Holdfast  # noqa: E402

clients: dict = {}
leases: dict = {}
scopes: dict = {}
main_thread_jobs: queue.Queue = queue.Queue()


class Scope:
    """A body that runs under a lock, in a thread of its own, until it is told to end."""

    def __init__(self) -> None:
        self.end = threading.Event()
        self.over = threading.Event()
        self.error: str | None = None
        self.outcome: dict = {}


def options_of(request: dict) -> dict:
    given = words.arguments(request["with"], ("names", "via", "template", "values"))
    tell = {kind: words.news(kind, request["lease"]) for kind in ("queued", "yield")}
    return {**given, "on_queued": tell["queued"], "on_yield_request": tell["yield"]}


def kept(name: str, lease) -> dict:
    leases[name] = lease

    def watch() -> None:
        lease.lost_event.wait()
        words.send({"event": "lost", "lease": name, "told": words.plain(lease.lost)})

    threading.Thread(target=watch, daemon=True).start()
    return words.view(lease)


def acquire(hf, request: dict) -> dict:
    return kept(request["lease"], hf.acquire(request["with"]["names"], **options_of(request)))


def enter(hf, request: dict) -> dict:
    """Begins a body under the lock and answers when it has begun; this thread is that of the body."""
    given, scope, begun = request["with"], Scope(), []

    def body(lease) -> str:
        begun.append(lease)
        scopes[request["lease"]] = scope
        answer = kept(request["lease"], lease) if lease is not None else {}
        words.send({"id": request["id"], "ok": answer})
        scope.end.wait()
        if scope.error is not None:
            raise RuntimeError(scope.error)
        return "what the body gives"

    def run() -> object:
        if given["via"] == "withLock":
            return hf.with_lock(given["names"], body, **options_of(request))
        if given["via"] == "guard":
            guarded = hf.guard(given["template"], **options_of(request))(lambda **_values: body(None))
            return guarded(**given["values"])
        with getattr(hf, given["via"])(given["names"], **options_of(request)) as lease:
            return body(lease)

    try:
        scope.outcome = {"ok": {"gave": run()}}
    except BaseException as error:
        if not begun:
            raise
        scope.outcome = {"error": words.described(error)}
    scope.over.set()
    return {"answered": True}


def leave(_hf, request: dict) -> dict:
    scope = scopes[request["lease"]]
    scope.error = request["with"].get("error")
    scope.end.set()
    scope.over.wait()
    return scope.outcome


def once(hf, request: dict) -> dict:
    """Makes a file, if it is the one to make it, when it is told to."""
    given = request["with"]
    scope = scopes[request["lease"]] = Scope()

    def make(temporary: str, _lease) -> None:
        words.news("making", request["lease"])({})
        scope.end.wait()
        if scope.error is not None:
            raise RuntimeError(scope.error)
        Path(temporary).write_text(given["text"])

    made = hf.once(given["key"], given["path"], make).made
    return {"made": made, "text": Path(given["path"]).read_text()}


def finish(_hf, request: dict) -> dict:
    scope = scopes[request["lease"]]
    scope.error = request["with"].get("error")
    scope.end.set()
    return {}


def fork(hf, request: dict) -> dict:
    """What a child says of its parent's lease and of a lock of its own."""
    lease, (reader, writer) = leases[request["lease"]], os.pipe()
    child = os.fork()
    if child == 0:
        # Whatever happens, this process does not stay behind.
        signal.alarm(30)
        said: dict = {}
        try:
            try:
                lease.check()
                said["check"] = "passes"
            except Exception as error:
                said["check"] = type(error).__name__
            said["released"] = lease.release()
            lease.__exit__(None, None, None)
            mine = hf.acquire(request["with"]["name"], wait=20)
            said["token"] = str(mine.token)
            said["mine"] = mine.release()
        except BaseException as error:
            said["error"] = f"{type(error).__name__}: {error}"
        os.write(writer, json.dumps(said).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = json.loads(pipe.read() or "{}")
    os.waitpid(child, 0)
    return said


def open_client(_hf, request: dict) -> dict:
    first, rest = words.addresses_of(request["with"])
    clients[request["client"]] = Holdfast(first, **rest) if first is not None else Holdfast(**rest)
    return {}


def drop(_hf, request: dict) -> dict:
    client = clients.pop(request["client"], None)
    if client is not None:
        client.close()
    return {}


def give_up(_hf, _request: dict) -> dict:
    # What Ctrl-C does: it reaches the main thread, where waits that may be given up stand.
    os.kill(os.getpid(), signal.SIGINT)
    return {}


def on_lease(act):
    return lambda _hf, request: act(leases[request["lease"]], request["with"])


ACTS = {
    "open": open_client,
    "drop": drop,
    "acquire": acquire,
    "acquireHere": acquire,
    "enter": enter,
    "leave": leave,
    "giveUp": give_up,
    "once": once,
    "finish": finish,
    "fork": fork,
    "view": on_lease(lambda lease, _: words.view(lease)),
    "check": on_lease(lambda lease, _: lease.check()),
    "progress": on_lease(lambda lease, given: lease.progress(given["text"])),
    "release": on_lease(lambda lease, given: {"released": lease.release(**given)}),
    "inspect": lambda hf, request: hf.inspect(request["with"]["name"], history=request["with"].get("history", 0)),
    "list": lambda hf, request: {"locks": list(hf.list(**request["with"]))},
    "checkToken": lambda hf, request: hf.check_token(request["with"]["name"], int(request["with"]["token"])),
    "forceRelease": lambda hf, request: {
        "freed": hf.force_release(request["with"]["name"], **words.arguments(request["with"], ("name",)))
    },
    "status": lambda hf, _: hf.status(),
    "close": lambda hf, _: hf.close(),
}


def answer(request: dict) -> None:
    try:
        found = ACTS[request["op"]](clients.get(request["client"]), request)
        if found == {"answered": True}:
            return
        if request["op"] == "leave":
            words.send({"id": request["id"], **found})
            return
        words.send({"id": request["id"], "ok": words.plain(found) if found is not None else {}})
    except BaseException as error:
        words.send({"id": request["id"], "error": words.described(error)})


def read() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "stopReading":
            words.nothing_is_read_any_more()
            words.send({"id": request["id"], "ok": {}})
            main_thread_jobs.put(None)
            return
        if request["op"] == "acquireHere":
            main_thread_jobs.put(request)
        else:
            threading.Thread(target=answer, args=(request,), daemon=True).start()
    main_thread_jobs.put(None)


threading.Thread(target=read, daemon=True).start()
words.send({"event": "ready"})
while True:
    try:
        job = main_thread_jobs.get()
        if job is None:
            break
        answer(job)
    except KeyboardInterrupt:
        continue
