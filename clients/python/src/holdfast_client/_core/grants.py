"""What answers mean: grants that are confirmed, leases that are lost, operations that are asked again."""

from __future__ import annotations

from typing import Dict, Optional, Sequence

from .. import errors
from .._proto import lock_pb2
from . import answers, views
from .effects import TellLost
from .lease import ENDED, HELD, RELEASING, LeaseState
from .ops import SEND_WITHIN, Op
from .pending import Pending
from .stream import Stream
from .views import Loss

#: Seconds before something is repeated that the service could not do, where it does not say how long.
PAUSE = 0.2


class Grants(Pending):
    """The half of a session that knows leases; the other half knows streams."""

    def __init__(self, addresses: Sequence[str]) -> None:
        super().__init__(addresses)
        #: By id: all that a caller has and that has not ended.
        self.leases: Dict[str, LeaseState] = {}

    def _answer(self, stream: Stream, op: Op, result: lock_pb2.SessionResult, now: float) -> None:
        kind = result.WhichOneof("result")
        if kind == "error":
            self._refused(stream, op, answers.operation_error(result.error), now)
        elif kind == "acquire":
            self._acquired(stream, op, result.acquire, now)
        elif kind == "release":
            self._released(op, result.release.released)
        elif kind == "heartbeat":
            self._renewed(op, result.heartbeat)
        elif kind == "resume":
            self._resumed(stream, op, result.resume)
        elif kind == "check_token":
            said = result.check_token
            self._finish(op, views.TokenCheck(said.current, said.last_token))

    # -- answers -------------------------------------------------------------------------------------------------

    def _acquired(self, stream: Stream, op: Op, answer: lock_pb2.AcquireResponse, now: float) -> None:
        if answer.WhichOneof("outcome") == "busy":
            if op.wait == float("inf") and answer.busy.wait_elapsed and not op.abandoned:
                self._enqueue(op, now)
            else:
                self._finish(op, answers.busy(answer.busy, op.request.resources))
            return
        lease = op.lease = LeaseState(answer.lease, op.sent_at, stream.number, op.seq)
        if op.abandoned:
            self._give_back(lease)
        elif op.waited or answer.lease.replayed or lease.remaining(now) < lease.validity.ttl / 2:
            # Little is left of the count, or nobody knows how much.
            self._take_over(lease, op, now)
        else:
            self._adopt(lease, op)

    def _adopt(self, lease: LeaseState, op: Op) -> None:
        self.leases[lease.lease_id] = lease
        self._wake(lease.validity.end)
        self._finish(op, lease)

    def _released(self, op: Op, released: bool) -> None:
        if op.lease is not None:
            op.lease.phase = ENDED
            self._untrack(op.lease)
        self._finish(op, released)

    def _renewed(self, op: Op, answer: lock_pb2.HeartbeatResponse) -> None:
        lease = op.lease
        if lease is not None and lease.phase == HELD:
            lease.validity.extend(op.sent_at, answers.seconds(answer.lease.ttl))
            if answer.HasField("yield_request"):
                self._tell_yield(lease, answers.yield_request(answer.yield_request))
        self._finish(op, lease is not None and lease.phase == HELD)

    def _resumed(self, stream: Stream, op: Op, told: lock_pb2.Lease) -> None:
        """The count begins anew, on that stream."""
        lease = op.lease
        if lease is None or (op.then is None and lease.resume != stream.number):
            return
        lease.resume = 0
        lease.stream = stream.number
        lease.seq = op.seq
        if lease.phase == ENDED:
            # What its holder gave up meanwhile was the older claim.
            self._drop_claim(lease)
        if lease.phase != HELD:
            return
        lease.validity.restart(op.sent_at, answers.seconds(told.ttl), answers.stamp(told.expire_time))
        if op.then is not None and not op.then.abandoned:
            self._adopt(lease, op.then)

    def _take_over(self, lease: LeaseState, then: Optional[Op], now: float, first: bool = False) -> None:
        """Asks the current stream for it; `then`: the acquire that waits for that."""
        resume = Op(lock_pb2.ResumeOp(lease_id=lease.lease_id), lease=lease)
        resume.then = then
        self._enqueue(resume, now, first=first)

    # -- refusals ------------------------------------------------------------------------------------------------

    def _refused(self, stream: Stream, op: Op, error: errors.HoldfastError, now: float) -> None:
        if isinstance(error, errors.DrainingError):
            self._drain(stream)
            op.last_error = error
            self._once_more(op, now)
        elif op.then is not None:
            self._not_confirmed(op, op.then, error, now)
        elif isinstance(op.request, lock_pb2.ResumeOp):
            self._not_resumed(stream, op, error, now)
        elif isinstance(op.request, lock_pb2.HeartbeatRequest) and op.lease is not None:
            self._not_renewed(op, op.lease, error, now)
        else:
            self._finish(op, error)

    def _once_more(self, op: Op, now: float) -> None:
        """Another replica is to answer it."""
        if op.is_resume and op.then is None:
            if op.lease is not None:
                op.lease.resume = 0
        elif not op.abandoned:
            self._enqueue(op, now)

    def _not_resumed(self, stream: Stream, op: Op, error: errors.HoldfastError, now: float) -> None:
        lease = op.lease
        if lease is None or lease.phase != HELD:
            return
        if isinstance(error, errors.LeaseLostError):
            self._lose(lease, Loss(error.why, error.message))
        elif lease.stream == stream.number:
            # It is still kept there: asked again at its next renewal.
            lease.resume = 0
        else:
            self._postpone(op, error.retry_after or PAUSE, now)

    def _not_renewed(self, op: Op, lease: LeaseState, error: errors.HoldfastError, now: float) -> None:
        if isinstance(error, errors.LeaseLostError) and lease.phase == HELD:
            self._lose(lease, Loss(error.why, error.message))
        self._finish(op, error)

    def _not_confirmed(self, resume: Op, op: Op, error: errors.HoldfastError, now: float) -> None:
        lease = resume.lease
        if lease is None or op.abandoned or lease.phase != HELD:
            return
        patience = max(SEND_WITHIN, lease.validity.ttl)
        if isinstance(error, errors.NoQuorumError) and now < (resume.asked_at or 0) + patience:
            self._postpone(resume, error.retry_after or PAUSE, now)
            return
        if not isinstance(error, errors.LeaseLostError):
            self._give_back(lease)
        self._finish(op, error)

    # -- ends ----------------------------------------------------------------------------------------------------

    def _give_back(self, lease: LeaseState) -> None:
        """Ends what nobody will use."""
        lease.phase = ENDED
        self._untrack(lease)
        self._drop_claim(lease)

    def _untrack(self, lease: LeaseState) -> None:
        """A repeat of its request by this very client has the same id, and is another's count."""
        if self.leases.get(lease.lease_id) is lease:
            del self.leases[lease.lease_id]

    def _look(self, lease: LeaseState, now: float) -> None:
        """Ends the lease if its count has."""
        end = lease.validity.end
        if now < end:
            self._wake(end)
        elif lease.phase == RELEASING:
            lease.phase = ENDED
            self._untrack(lease)
        elif lease.phase == HELD and lease.validity.capped:
            self._lose(lease, Loss("unknown", "the connection ended and the lease was not resumed in time"), True)
        elif lease.phase == HELD:
            self._lose(lease, Loss("expired", "no renewal was heard of before the count ended"), True)

    def _lose(self, lease: LeaseState, loss: Loss, tell_service: bool = False) -> None:
        """Final. `tell_service`: it may not know, and would keep the lease for nobody."""
        lease.lost = loss
        lease.phase = ENDED
        self._untrack(lease)
        self._effects.append(TellLost(lease))
        if tell_service:
            self._drop_claim(lease)

    # -- the other half ------------------------------------------------------------------------------------------

    def _drop_claim(self, lease: LeaseState) -> None:
        raise NotImplementedError

    def _drain(self, stream: Stream) -> None:
        raise NotImplementedError

    def _tell_yield(self, lease: LeaseState, request: views.YieldRequest) -> None:
        raise NotImplementedError
