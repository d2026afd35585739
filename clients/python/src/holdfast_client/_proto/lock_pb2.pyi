from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from holdfast_client._proto import error_pb2 as _error_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
EVENT_TYPE_EXPIRED: EventType
EVENT_TYPE_FORCED: EventType
EVENT_TYPE_GRANTED: EventType
EVENT_TYPE_LOST: EventType
EVENT_TYPE_QUEUED: EventType
EVENT_TYPE_RELEASED: EventType
EVENT_TYPE_RENEWED: EventType
EVENT_TYPE_UNSPECIFIED: EventType
LOST_REASON_EXPIRED: LostReason
LOST_REASON_FORCED: LostReason
LOST_REASON_RELEASED: LostReason
LOST_REASON_UNKNOWN: LostReason
LOST_REASON_UNSPECIFIED: LostReason
MODE_EXCLUSIVE: Mode
MODE_SHARED: Mode
MODE_UNSPECIFIED: Mode
SOURCE_ARCHIVE: Source
SOURCE_HISTORY: Source
SOURCE_LIVE: Source
SOURCE_UNSPECIFIED: Source
STATE_FREE: State
STATE_HELD: State
STATE_UNKNOWN: State
STATE_UNSPECIFIED: State
VOTE_FREE: Vote
VOTE_HELD: Vote
VOTE_QUARANTINED: Vote
VOTE_SILENT: Vote
VOTE_UNSPECIFIED: Vote

class AcquireRequest(_message.Message):
    __slots__ = ["any", "labels", "mode", "owner", "priority", "request_id", "resources", "ttl", "wait"]
    class LabelsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ANY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    any: int
    labels: _containers.ScalarMap[str, str]
    mode: Mode
    owner: str
    priority: int
    request_id: str
    resources: _containers.RepeatedScalarFieldContainer[str]
    ttl: _duration_pb2.Duration
    wait: _duration_pb2.Duration
    def __init__(self, resources: _Optional[_Iterable[str]] = ..., owner: _Optional[str] = ..., ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., wait: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., mode: _Optional[_Union[Mode, str]] = ..., any: _Optional[int] = ..., priority: _Optional[int] = ..., request_id: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class AcquireResponse(_message.Message):
    __slots__ = ["busy", "lease"]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    busy: Busy
    lease: Lease
    def __init__(self, lease: _Optional[_Union[Lease, _Mapping]] = ..., busy: _Optional[_Union[Busy, _Mapping]] = ...) -> None: ...

class Busy(_message.Message):
    __slots__ = ["holders", "position", "queue_length", "retry_after", "wait_elapsed"]
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    QUEUE_LENGTH_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    WAIT_ELAPSED_FIELD_NUMBER: _ClassVar[int]
    holders: _containers.RepeatedCompositeFieldContainer[Holder]
    position: int
    queue_length: int
    retry_after: _duration_pb2.Duration
    wait_elapsed: bool
    def __init__(self, holders: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ..., queue_length: _Optional[int] = ..., position: _Optional[int] = ..., wait_elapsed: bool = ..., retry_after: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CancelOp(_message.Message):
    __slots__ = ["seq"]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    seq: int
    def __init__(self, seq: _Optional[int] = ...) -> None: ...

class CancelResult(_message.Message):
    __slots__ = ["cancelled"]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    cancelled: bool
    def __init__(self, cancelled: bool = ...) -> None: ...

class CheckTokenRequest(_message.Message):
    __slots__ = ["fencing_token", "resource"]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    fencing_token: int
    resource: str
    def __init__(self, resource: _Optional[str] = ..., fencing_token: _Optional[int] = ...) -> None: ...

class CheckTokenResponse(_message.Message):
    __slots__ = ["current", "last_token"]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    LAST_TOKEN_FIELD_NUMBER: _ClassVar[int]
    current: bool
    last_token: int
    def __init__(self, current: bool = ..., last_token: _Optional[int] = ...) -> None: ...

class Draining(_message.Message):
    __slots__ = ["remaining"]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    remaining: _duration_pb2.Duration
    def __init__(self, remaining: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ["fencing_token", "lease_ref", "owner", "reason", "resource", "source", "time", "type"]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    LEASE_REF_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    fencing_token: int
    lease_ref: str
    owner: str
    reason: str
    resource: str
    source: Source
    time: _timestamp_pb2.Timestamp
    type: EventType
    def __init__(self, type: _Optional[_Union[EventType, str]] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., resource: _Optional[str] = ..., owner: _Optional[str] = ..., lease_ref: _Optional[str] = ..., fencing_token: _Optional[int] = ..., reason: _Optional[str] = ..., source: _Optional[_Union[Source, str]] = ...) -> None: ...

class HeartbeatRequest(_message.Message):
    __slots__ = ["lease_id", "progress", "ttl"]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    progress: str
    ttl: _duration_pb2.Duration
    def __init__(self, lease_id: _Optional[str] = ..., ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., progress: _Optional[str] = ...) -> None: ...

class HeartbeatResponse(_message.Message):
    __slots__ = ["lease", "yield_request"]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    YIELD_REQUEST_FIELD_NUMBER: _ClassVar[int]
    lease: Lease
    yield_request: YieldRequest
    def __init__(self, lease: _Optional[_Union[Lease, _Mapping]] = ..., yield_request: _Optional[_Union[YieldRequest, _Mapping]] = ...) -> None: ...

class HistoryGap(_message.Message):
    __slots__ = ["events", "reason", "until"]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    events: int
    reason: str
    until: _timestamp_pb2.Timestamp
    def __init__(self, until: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., events: _Optional[int] = ..., reason: _Optional[str] = ..., **kwargs) -> None: ...

class HistoryRequest(_message.Message):
    __slots__ = ["owner", "page_size", "page_token", "resource"]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    owner: str
    page_size: int
    page_token: str
    resource: str
    def __init__(self, resource: _Optional[str] = ..., owner: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class HistoryResponse(_message.Message):
    __slots__ = ["events", "gaps", "next_page_token"]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    GAPS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    gaps: _containers.RepeatedCompositeFieldContainer[HistoryGap]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., gaps: _Optional[_Iterable[_Union[HistoryGap, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class HoldRequest(_message.Message):
    __slots__ = ["acquire", "grace", "resume_lease_id"]
    ACQUIRE_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    RESUME_LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    acquire: AcquireRequest
    grace: _duration_pb2.Duration
    resume_lease_id: str
    def __init__(self, acquire: _Optional[_Union[AcquireRequest, _Mapping]] = ..., resume_lease_id: _Optional[str] = ..., grace: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class HoldResponse(_message.Message):
    __slots__ = ["busy", "draining", "granted", "lost", "queued", "renewed", "yield_request"]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    RENEWED_FIELD_NUMBER: _ClassVar[int]
    YIELD_REQUEST_FIELD_NUMBER: _ClassVar[int]
    busy: Busy
    draining: Draining
    granted: Lease
    lost: Lost
    queued: Queued
    renewed: Lease
    yield_request: YieldRequest
    def __init__(self, queued: _Optional[_Union[Queued, _Mapping]] = ..., granted: _Optional[_Union[Lease, _Mapping]] = ..., busy: _Optional[_Union[Busy, _Mapping]] = ..., renewed: _Optional[_Union[Lease, _Mapping]] = ..., lost: _Optional[_Union[Lost, _Mapping]] = ..., yield_request: _Optional[_Union[YieldRequest, _Mapping]] = ..., draining: _Optional[_Union[Draining, _Mapping]] = ...) -> None: ...

class Holder(_message.Message):
    __slots__ = ["acquire_time", "expire_time", "fencing_token", "labels", "lease_ref", "mode", "owner", "progress", "resource", "traceparent"]
    class LabelsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ACQUIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    LEASE_REF_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    acquire_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    fencing_token: int
    labels: _containers.ScalarMap[str, str]
    lease_ref: str
    mode: Mode
    owner: str
    progress: str
    resource: str
    traceparent: str
    def __init__(self, resource: _Optional[str] = ..., owner: _Optional[str] = ..., lease_ref: _Optional[str] = ..., fencing_token: _Optional[int] = ..., mode: _Optional[_Union[Mode, str]] = ..., acquire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., progress: _Optional[str] = ..., traceparent: _Optional[str] = ...) -> None: ...

class InspectRequest(_message.Message):
    __slots__ = ["history_limit", "resource"]
    HISTORY_LIMIT_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    history_limit: int
    resource: str
    def __init__(self, resource: _Optional[str] = ..., history_limit: _Optional[int] = ...) -> None: ...

class InspectResponse(_message.Message):
    __slots__ = ["history", "holders", "last_token", "nodes", "resource", "source", "state", "waiters"]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    LAST_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WAITERS_FIELD_NUMBER: _ClassVar[int]
    history: _containers.RepeatedCompositeFieldContainer[Event]
    holders: _containers.RepeatedCompositeFieldContainer[Holder]
    last_token: int
    nodes: _containers.RepeatedCompositeFieldContainer[NodeView]
    resource: str
    source: Source
    state: State
    waiters: _containers.RepeatedCompositeFieldContainer[Waiter]
    def __init__(self, resource: _Optional[str] = ..., state: _Optional[_Union[State, str]] = ..., holders: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ..., waiters: _Optional[_Iterable[_Union[Waiter, _Mapping]]] = ..., last_token: _Optional[int] = ..., source: _Optional[_Union[Source, str]] = ..., nodes: _Optional[_Iterable[_Union[NodeView, _Mapping]]] = ..., history: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class Lease(_message.Message):
    __slots__ = ["acquire_time", "expire_time", "fencing_token", "labels", "lease_id", "lease_ref", "mode", "owner", "replayed", "resources", "ttl"]
    class LabelsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ACQUIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_REF_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    acquire_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    fencing_token: int
    labels: _containers.ScalarMap[str, str]
    lease_id: str
    lease_ref: str
    mode: Mode
    owner: str
    replayed: bool
    resources: _containers.RepeatedScalarFieldContainer[str]
    ttl: _duration_pb2.Duration
    def __init__(self, lease_id: _Optional[str] = ..., lease_ref: _Optional[str] = ..., resources: _Optional[_Iterable[str]] = ..., fencing_token: _Optional[int] = ..., owner: _Optional[str] = ..., mode: _Optional[_Union[Mode, str]] = ..., ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., acquire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., replayed: bool = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ["owner", "page_size", "page_token", "prefix"]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    owner: str
    page_size: int
    page_token: str
    prefix: str
    def __init__(self, prefix: _Optional[str] = ..., owner: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ["locks", "next_page_token"]
    LOCKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    locks: _containers.RepeatedCompositeFieldContainer[LockSummary]
    next_page_token: str
    def __init__(self, locks: _Optional[_Iterable[_Union[LockSummary, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class LockSummary(_message.Message):
    __slots__ = ["holders", "last_token", "queue_length", "resource", "state"]
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    LAST_TOKEN_FIELD_NUMBER: _ClassVar[int]
    QUEUE_LENGTH_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    holders: _containers.RepeatedCompositeFieldContainer[Holder]
    last_token: int
    queue_length: int
    resource: str
    state: State
    def __init__(self, resource: _Optional[str] = ..., state: _Optional[_Union[State, str]] = ..., holders: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ..., queue_length: _Optional[int] = ..., last_token: _Optional[int] = ...) -> None: ...

class Lost(_message.Message):
    __slots__ = ["detail", "fencing_token", "lease_ref", "reason"]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    LEASE_REF_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    detail: str
    fencing_token: int
    lease_ref: str
    reason: LostReason
    def __init__(self, reason: _Optional[_Union[LostReason, str]] = ..., lease_ref: _Optional[str] = ..., fencing_token: _Optional[int] = ..., detail: _Optional[str] = ...) -> None: ...

class NodeView(_message.Message):
    __slots__ = ["detail", "fence", "fence_closed", "lease_ref", "node", "remaining", "vote"]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    FENCE_CLOSED_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    LEASE_REF_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    VOTE_FIELD_NUMBER: _ClassVar[int]
    detail: str
    fence: int
    fence_closed: bool
    lease_ref: str
    node: str
    remaining: _duration_pb2.Duration
    vote: Vote
    def __init__(self, node: _Optional[str] = ..., vote: _Optional[_Union[Vote, str]] = ..., fence: _Optional[int] = ..., fence_closed: bool = ..., lease_ref: _Optional[str] = ..., remaining: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., detail: _Optional[str] = ...) -> None: ...

class Queued(_message.Message):
    __slots__ = ["holders", "position", "queue_length"]
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    QUEUE_LENGTH_FIELD_NUMBER: _ClassVar[int]
    holders: _containers.RepeatedCompositeFieldContainer[Holder]
    position: int
    queue_length: int
    def __init__(self, position: _Optional[int] = ..., queue_length: _Optional[int] = ..., holders: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ["lease_id", "reason"]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    reason: str
    def __init__(self, lease_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ReleaseResponse(_message.Message):
    __slots__ = ["released"]
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    released: bool
    def __init__(self, released: bool = ...) -> None: ...

class ResumeOp(_message.Message):
    __slots__ = ["lease_id"]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    def __init__(self, lease_id: _Optional[str] = ...) -> None: ...

class SessionEvent(_message.Message):
    __slots__ = ["draining", "lease_id", "lost", "queued", "renewed", "seq", "yield_request"]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    RENEWED_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    YIELD_REQUEST_FIELD_NUMBER: _ClassVar[int]
    draining: Draining
    lease_id: str
    lost: Lost
    queued: Queued
    renewed: Lease
    seq: int
    yield_request: YieldRequest
    def __init__(self, seq: _Optional[int] = ..., lease_id: _Optional[str] = ..., queued: _Optional[_Union[Queued, _Mapping]] = ..., renewed: _Optional[_Union[Lease, _Mapping]] = ..., lost: _Optional[_Union[Lost, _Mapping]] = ..., yield_request: _Optional[_Union[YieldRequest, _Mapping]] = ..., draining: _Optional[_Union[Draining, _Mapping]] = ...) -> None: ...

class SessionOp(_message.Message):
    __slots__ = ["acquire", "cancel", "check_token", "heartbeat", "release", "resume", "seq"]
    ACQUIRE_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    CHECK_TOKEN_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    acquire: AcquireRequest
    cancel: CancelOp
    check_token: CheckTokenRequest
    heartbeat: HeartbeatRequest
    release: ReleaseRequest
    resume: ResumeOp
    seq: int
    def __init__(self, seq: _Optional[int] = ..., acquire: _Optional[_Union[AcquireRequest, _Mapping]] = ..., heartbeat: _Optional[_Union[HeartbeatRequest, _Mapping]] = ..., release: _Optional[_Union[ReleaseRequest, _Mapping]] = ..., check_token: _Optional[_Union[CheckTokenRequest, _Mapping]] = ..., resume: _Optional[_Union[ResumeOp, _Mapping]] = ..., cancel: _Optional[_Union[CancelOp, _Mapping]] = ...) -> None: ...

class SessionRequest(_message.Message):
    __slots__ = ["grace", "ops"]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    OPS_FIELD_NUMBER: _ClassVar[int]
    grace: _duration_pb2.Duration
    ops: _containers.RepeatedCompositeFieldContainer[SessionOp]
    def __init__(self, ops: _Optional[_Iterable[_Union[SessionOp, _Mapping]]] = ..., grace: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SessionResponse(_message.Message):
    __slots__ = ["events", "results"]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[SessionEvent]
    results: _containers.RepeatedCompositeFieldContainer[SessionResult]
    def __init__(self, results: _Optional[_Iterable[_Union[SessionResult, _Mapping]]] = ..., events: _Optional[_Iterable[_Union[SessionEvent, _Mapping]]] = ...) -> None: ...

class SessionResult(_message.Message):
    __slots__ = ["acquire", "cancel", "check_token", "error", "heartbeat", "release", "resume", "seq"]
    ACQUIRE_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    CHECK_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    acquire: AcquireResponse
    cancel: CancelResult
    check_token: CheckTokenResponse
    error: _error_pb2.Error
    heartbeat: HeartbeatResponse
    release: ReleaseResponse
    resume: Lease
    seq: int
    def __init__(self, seq: _Optional[int] = ..., acquire: _Optional[_Union[AcquireResponse, _Mapping]] = ..., heartbeat: _Optional[_Union[HeartbeatResponse, _Mapping]] = ..., release: _Optional[_Union[ReleaseResponse, _Mapping]] = ..., check_token: _Optional[_Union[CheckTokenResponse, _Mapping]] = ..., resume: _Optional[_Union[Lease, _Mapping]] = ..., cancel: _Optional[_Union[CancelResult, _Mapping]] = ..., error: _Optional[_Union[_error_pb2.Error, _Mapping]] = ...) -> None: ...

class Waiter(_message.Message):
    __slots__ = ["mode", "owner", "position", "priority", "since"]
    MODE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    mode: Mode
    owner: str
    position: int
    priority: int
    since: _timestamp_pb2.Timestamp
    def __init__(self, owner: _Optional[str] = ..., position: _Optional[int] = ..., priority: _Optional[int] = ..., since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., mode: _Optional[_Union[Mode, str]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ["prefix", "resources"]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    resources: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, resources: _Optional[_Iterable[str]] = ..., prefix: _Optional[str] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ["events", "missed"]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    missed: int
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., missed: _Optional[int] = ...) -> None: ...

class YieldRequest(_message.Message):
    __slots__ = ["deadline", "owner", "priority", "waited"]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    WAITED_FIELD_NUMBER: _ClassVar[int]
    deadline: _timestamp_pb2.Timestamp
    owner: str
    priority: int
    waited: _duration_pb2.Duration
    def __init__(self, owner: _Optional[str] = ..., priority: _Optional[int] = ..., waited: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., deadline: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class Source(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class Vote(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class LostReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class EventType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
