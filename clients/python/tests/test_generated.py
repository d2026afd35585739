"""The generated messages are those of proto/, whichever version of protoc made them, and collide with nobody's."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import grpc_tools
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

from holdfast_client._proto import admin_pb2, error_pb2, lock_pb2, rich_status_pb2

HOME = Path(__file__).resolve().parents[1]
MADE = (error_pb2, lock_pb2, admin_pb2, rich_status_pb2)


def plain(file: descriptor_pb2.FileDescriptorProto) -> descriptor_pb2.FileDescriptorProto:
    """Without what only some versions of protoc write."""

    def strip(message: descriptor_pb2.DescriptorProto) -> None:
        for field in message.field:
            field.ClearField("json_name")
        for inner in message.nested_type:
            strip(inner)

    for message in file.message_type:
        strip(message)
    file.ClearField("source_code_info")
    return file


def test_the_messages_are_fresh(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("generate", HOME / "generate.py")
    assert spec is not None and spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    files = generate.write_copies(tmp_path / "proto")
    includes = [f"-I{tmp_path}/proto", f"-I{Path(grpc_tools.__file__).parent}/_proto"]
    assert protoc.main(["protoc", *includes, f"--descriptor_set_out={tmp_path}/all", *files]) == 0
    fresh = descriptor_pb2.FileDescriptorSet.FromString((tmp_path / "all").read_bytes())
    wanted = {file.name: plain(file) for file in fresh.file}
    for module in MADE:
        there = descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        assert plain(there) == wanted[there.name], f"{there.name} is stale: run generate.py"


def test_a_programs_own_stubs_may_be_loaded_besides() -> None:
    """Those of the example worker, which `make tools` generates; in either order."""
    for order in ("holdfast.v1.lock_pb2, holdfast_client", "holdfast_client, holdfast.v1.lock_pb2"):
        subprocess.run([sys.executable, "-W", "error", "-c", f"import {order}"], check=True, timeout=60)
