"""What the guards of both shells share: names from arguments, and what is told when the end of a guarded call fails."""

from __future__ import annotations

import inspect
import json
import logging
import os
import string
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Callable, Dict, List, Optional, Union

from ._core.asking import Names
from ._core.views import Loss
from ._lease import LeaseFace

log = logging.getLogger("holdfast_client")

#: What a guarded body sees as its lease.
lease_of_body: "ContextVar[Optional[LeaseFace]]" = ContextVar("holdfast_lease", default=None)

CLEANUP = "cleanup"
RELEASE = "release"


@dataclass(frozen=True)
class Incident:
    """What went wrong at the end of a guarded call.

    stage: `cleanup`, the caller's own; or `release`, and then `forced` says whether force_release ended the lease
    instead, and `force_error` why not. `error` is what failed; `body_error` what the body itself had raised.
    """

    time: str
    stage: str
    function: str
    resources: List[str]
    owner: str
    lease_ref: str
    token: int
    error: str
    body_error: str = ""
    forced: bool = False
    force_error: str = ""

    def line(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=True, sort_keys=True)


#: A path to a file of JSON lines, or whatever takes an incident.
Record = Union[str, "os.PathLike[str]", Callable[[Incident], object]]


class Template:
    """Names with fields that the arguments of a call fill in; a field that no argument can fill is a TypeError."""

    def __init__(self, template: Names, function: Callable[..., object]) -> None:
        self._names = [template] if isinstance(template, str) else list(template)
        self._signature = inspect.signature(function)
        self.function = f"{function.__module__}.{function.__qualname__}"
        kinds = self._signature.parameters.values()
        self._open = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in kinds)
        fields = set()
        for name in self._names:
            fields |= self._fields(name)
        unknown = [] if self._open else sorted(fields - set(self._signature.parameters))
        if unknown:
            raise TypeError(f"{self._names} needs {', '.join(unknown)}, which {self.function} does not take")
        self._needed = fields

    def names(self, args: "tuple[object, ...]", kwargs: Dict[str, object]) -> List[str]:
        """The names for one call."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        values: Dict[str, object] = {}
        for name, value in bound.arguments.items():
            if self._signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
                values.update(value)
            else:
                values[name] = value
        missing = sorted(self._needed - set(values))
        if missing:
            raise TypeError(f"{self.function}: {self._names} needs {', '.join(missing)}, which the call does not give")
        return [name.format(**values) for name in self._names]

    @staticmethod
    def _fields(name: str) -> "set[str]":
        """The arguments that a name needs; `job.id` and `job[id]` need `job`."""
        try:
            parts = [field for _, field, _, _ in string.Formatter().parse(name) if field is not None]
        except ValueError as error:
            raise TypeError(f"{name!r} is no template: {error}") from None
        roots = {part.split(".")[0].split("[")[0] for part in parts}
        for root in roots:
            if not root.isidentifier():
                raise TypeError(f"{name!r} is no template: a field is named after an argument, not {{{root}}}")
        return roots


class Reporter:
    """Tells of incidents: durably first, then whoever is to be alarmed; neither may fail the call."""

    def __init__(self, record: Optional[Record], on_alert: Optional[Callable[[Incident], object]]) -> None:
        self._record = record
        self._on_alert = on_alert

    def tell(self, incident: Incident) -> None:
        log.error("guard: %s", incident.line())
        try:
            if callable(self._record):
                self._record(incident)
            elif self._record is not None:
                append(self._record, incident.line())
        except Exception:
            log.exception("guard: the record of an incident could not be written")
        try:
            if self._on_alert is not None:
                self._on_alert(incident)
        except Exception:
            log.exception("guard: on_alert failed")


def incident(
    stage: str,
    template: Template,
    lease: LeaseFace,
    error: BaseException,
    body: Optional[BaseException],
    force: Optional[BaseException] = None,
) -> Incident:
    """`force`: what force_release failed with."""
    return Incident(
        time=datetime.now(timezone.utc).isoformat(),
        stage=stage,
        function=template.function,
        resources=lease.resources,
        owner=lease.owner,
        lease_ref=lease.lease_ref,
        token=lease.token,
        error=said(error),
        body_error="" if body is None else said(body),
        forced=stage == RELEASE and force is None,
        force_error="" if force is None else said(force),
    )


def said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def append(path: Union[str, "os.PathLike[str]"], line: str) -> None:
    """One line, in one write, on the disk when this returns; several processes may share the file."""
    is_new = not os.path.exists(path)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, f"{line}\n".encode())
        os.fsync(file)
    finally:
        os.close(file)
    if is_new and hasattr(os, "O_DIRECTORY"):
        folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Endings:
    """What is raised when a guarded call is over: the body's own error before anything else."""

    def __init__(self, body: Optional[BaseException]) -> None:
        self.body = body
        #: Asks the process or the task to end (SystemExit, KeyboardInterrupt, CancelledError): never swallowed.
        self.order: Optional[BaseException] = None

    def met(self, error: BaseException) -> None:
        if not isinstance(error, Exception) and self.order is None:
            self.order = error

    def raised(self, lost: Optional[BaseException]) -> Optional[BaseException]:
        """`lost`: the error of a lease that was lost under a body that ended well."""
        return self.body or self.order or lost


def force_reason(error: BaseException) -> str:
    return f"guard: its release failed: {type(error).__name__}"[:200]


__all__ = ["Incident", "Loss", "Record"]
