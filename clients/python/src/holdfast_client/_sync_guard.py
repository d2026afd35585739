"""The guard of the synchronous client: a function runs under a lock that its arguments name."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Callable, Optional, TypeVar

from ._core.asking import LockOptions, Names, failure_reason
from ._guard import CLEANUP, RELEASE, Endings, Incident, Record, Reporter, Template
from ._guard import force_reason, incident, lease_of_body

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    from ._sync import Holdfast, Lease

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

    def decorate(self, function: "Callable[P, T]") -> "Callable[P, T]":
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"{function.__qualname__} is a coroutine function: use holdfast_client.aio.Holdfast")
        template = Template(self._names, function)

        @functools.wraps(function)
        def guarded(*args: "P.args", **kwargs: "P.kwargs") -> T:
            names = template.names(args, dict(kwargs))
            lease = self._client.acquire(names, **self._options)
            before = lease_of_body.set(lease)
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                self._end(template, lease, error)
                raise
            finally:
                lease_of_body.reset(before)
            self._end(template, lease, None)
            return result

        return guarded

    def _end(self, template: Template, lease: "Lease", body: Optional[BaseException]) -> None:
        """Raises only where the body ended well."""
        if not lease.here:
            return
        endings = Endings(body)
        self._clean_up(template, lease, endings)
        lost = lease.lost
        if lost is None:
            self._release(template, lease, endings)
        error = endings.raised(None if lost is None else lease.lost_error(lost))
        if error is not None and error is not body:
            raise error

    def _clean_up(self, template: Template, lease: "Lease", endings: Endings) -> None:
        if self._on_cleanup is None:
            return
        try:
            self._on_cleanup(lease)
        except BaseException as error:
            endings.met(error)
            self._reporter.tell(incident(CLEANUP, template, lease, error, endings.body))

    def _release(self, template: Template, lease: "Lease", endings: Endings) -> None:
        try:
            lease.release("" if endings.body is None else failure_reason(endings.body))
        except BaseException as error:
            endings.met(error)
            failed = self._force(lease, error, endings)
            self._reporter.tell(incident(RELEASE, template, lease, error, endings.body, failed))

    def _force(self, lease: "Lease", error: BaseException, endings: Endings) -> Optional[BaseException]:
        """What it failed with; one name ends the lease on all of them."""
        try:
            self._client.force_release(
                lease.resources[0], reason=force_reason(error), lease_ref=lease.lease_ref
            )
        except BaseException as failed:
            endings.met(failed)
            return failed
        return None
