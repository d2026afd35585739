"""The guard of the asyncio client: a coroutine runs under a lock that its arguments name."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import TYPE_CHECKING, Callable, Coroutine, Optional, TypeVar

from ._core.asking import LockOptions, Names, failure_reason
from ._guard import CLEANUP, RELEASE, Endings, Incident, Record, Reporter, Template
from ._guard import force_reason, incident, lease_of_body

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    from .aio import Holdfast, Lease

    P = ParamSpec("P")

T = TypeVar("T")


class Guard:
    """The three layers at the end: the caller's clean-up, the release, and where that fails the release by force."""

    def __init__(
        self,
        client: "Holdfast",
        names: Names,
        options: LockOptions,
        on_cleanup: Optional[Callable[["Lease"], object]],
        on_alert: Optional[Callable[[Incident], object]],
        record: Optional[Record],
    ) -> None:
        self._client = client
        self._names = names
        self._options = options
        self._on_cleanup = on_cleanup
        self._reporter = Reporter(record, on_alert)

    def decorate(self, function: "Callable[P, Coroutine[object, object, T]]") -> "Callable[P, Coroutine[object, object, T]]":
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"{function.__qualname__} is no coroutine function: use holdfast_client.Holdfast")
        template = Template(self._names, function)

        @functools.wraps(function)
        async def guarded(*args: "P.args", **kwargs: "P.kwargs") -> T:
            names = template.names(args, dict(kwargs))
            scope = self._client.lock(names, **self._options)
            lease = await scope.__aenter__()
            before = lease_of_body.set(lease)
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                told = scope.left(error)
                await self._end_undisturbed(template, lease, error)
                if told is not None:
                    raise told from error
                raise
            finally:
                lease_of_body.reset(before)
            told = scope.left(None)
            await self._end_undisturbed(template, lease, None)
            if told is not None:
                raise told
            return result

        return guarded

    async def _end_undisturbed(self, template: Template, lease: "Lease", body: Optional[BaseException]) -> None:
        """In a task of its own, so that cancelling the caller does not cut it short; it is cancelled afterwards."""
        if not lease.here:
            return
        end = asyncio.ensure_future(self._end(template, lease, Endings(body)))
        cancelled: Optional[BaseException] = None
        while not end.done():
            try:
                await asyncio.wait([end])
            except asyncio.CancelledError as error:
                cancelled = error
        endings = end.result()
        order = endings.order or cancelled
        if body is None and order is not None:
            raise order

    async def _end(self, template: Template, lease: "Lease", endings: Endings) -> Endings:
        await self._clean_up(template, lease, endings)
        if lease.lost is None:
            await self._release(template, lease, endings)
        return endings

    async def _clean_up(self, template: Template, lease: "Lease", endings: Endings) -> None:
        if self._on_cleanup is None:
            return
        try:
            done = self._on_cleanup(lease)
            if inspect.isawaitable(done):
                await done
        except BaseException as error:
            endings.met(error)
            self._reporter.tell(incident(CLEANUP, template, lease, error, endings.body))

    async def _release(self, template: Template, lease: "Lease", endings: Endings) -> None:
        try:
            await lease.release("" if endings.body is None else failure_reason(endings.body))
        except BaseException as error:
            endings.met(error)
            failed = await self._force(lease, error, endings)
            self._reporter.tell(incident(RELEASE, template, lease, error, endings.body, failed))

    async def _force(self, lease: "Lease", error: BaseException, endings: Endings) -> Optional[BaseException]:
        """What it failed with; one name ends the lease on all of them."""
        try:
            await self._client.force_release(
                lease.resources[0], reason=force_reason(error), lease_ref=lease.lease_ref
            )
        except BaseException as failed:
            endings.met(failed)
            return failed
        return None
