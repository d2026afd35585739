from google.protobuf import duration_pb2 as _duration_pb2
from holdfast_client._proto import lock_pb2 as _lock_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
NODE_STATE_QUARANTINED: NodeState
NODE_STATE_READY: NodeState
NODE_STATE_REFUSED: NodeState
NODE_STATE_SILENT: NodeState
NODE_STATE_SUSPECT: NodeState
NODE_STATE_UNSPECIFIED: NodeState

class Finding(_message.Message):
    __slots__ = ["detail", "kind", "mended", "node", "resource"]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MENDED_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    detail: str
    kind: str
    mended: bool
    node: str
    resource: str
    def __init__(self, kind: _Optional[str] = ..., node: _Optional[str] = ..., resource: _Optional[str] = ..., detail: _Optional[str] = ..., mended: bool = ...) -> None: ...

class ForceReleaseRequest(_message.Message):
    __slots__ = ["lease_ref", "reason", "resource"]
    LEASE_REF_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    lease_ref: str
    reason: str
    resource: str
    def __init__(self, resource: _Optional[str] = ..., lease_ref: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ForceReleaseResponse(_message.Message):
    __slots__ = ["freed"]
    FREED_FIELD_NUMBER: _ClassVar[int]
    freed: _containers.RepeatedCompositeFieldContainer[_lock_pb2.Holder]
    def __init__(self, freed: _Optional[_Iterable[_Union[_lock_pb2.Holder, _Mapping]]] = ...) -> None: ...

class NodeStatus(_message.Message):
    __slots__ = ["clock_offset", "detail", "floor", "node", "quarantine_left", "state", "vote_latency"]
    CLOCK_OFFSET_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    FLOOR_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    QUARANTINE_LEFT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    VOTE_LATENCY_FIELD_NUMBER: _ClassVar[int]
    clock_offset: _duration_pb2.Duration
    detail: str
    floor: str
    node: str
    quarantine_left: _duration_pb2.Duration
    state: NodeState
    vote_latency: _duration_pb2.Duration
    def __init__(self, node: _Optional[str] = ..., state: _Optional[_Union[NodeState, str]] = ..., detail: _Optional[str] = ..., vote_latency: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., quarantine_left: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., clock_offset: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., floor: _Optional[str] = ...) -> None: ...

class ReloadRequest(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class ReloadResponse(_message.Message):
    __slots__ = ["changed", "restart_required"]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    RESTART_REQUIRED_FIELD_NUMBER: _ClassVar[int]
    changed: _containers.RepeatedScalarFieldContainer[str]
    restart_required: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, changed: _Optional[_Iterable[str]] = ..., restart_required: _Optional[_Iterable[str]] = ...) -> None: ...

class RunJanitorRequest(_message.Message):
    __slots__ = ["dry_run"]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    dry_run: bool
    def __init__(self, dry_run: bool = ...) -> None: ...

class RunJanitorResponse(_message.Message):
    __slots__ = ["findings", "found", "looked_at"]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    LOOKED_AT_FIELD_NUMBER: _ClassVar[int]
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    found: int
    looked_at: int
    def __init__(self, findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ..., found: _Optional[int] = ..., looked_at: _Optional[int] = ...) -> None: ...

class SetLogLevelRequest(_message.Message):
    __slots__ = ["level"]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    level: str
    def __init__(self, level: _Optional[str] = ...) -> None: ...

class SetLogLevelResponse(_message.Message):
    __slots__ = ["previous"]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    previous: str
    def __init__(self, previous: _Optional[str] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class StatusResponse(_message.Message):
    __slots__ = ["draining", "embedded", "nodes", "quorum_margin", "version", "warnings"]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    EMBEDDED_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    QUORUM_MARGIN_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    draining: bool
    embedded: bool
    nodes: _containers.RepeatedCompositeFieldContainer[NodeStatus]
    quorum_margin: int
    version: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., nodes: _Optional[_Iterable[_Union[NodeStatus, _Mapping]]] = ..., quorum_margin: _Optional[int] = ..., embedded: bool = ..., draining: bool = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class NodeState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
