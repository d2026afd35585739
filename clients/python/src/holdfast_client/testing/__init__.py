"""An in-process fake of the service for the tests of those who use the client; see docs/testing.md."""

from __future__ import annotations

from ._aio import AioFake
from ._clock import ManualClock, Running
from ._desk import Call
from ._fake import FakeHoldfast
from ._words import Holder, Lease, Waiter

__all__ = ["AioFake", "Call", "FakeHoldfast", "Holder", "Lease", "ManualClock", "Running", "Waiter"]
