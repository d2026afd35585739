"""Generates the Python stubs of proto/ into the running environment, beside the installed packages.

Run it once after `pip install -r requirements.txt`, and again when proto/ changes:

    python generate_stubs.py
"""

import pathlib
import sys
import sysconfig

import grpc_tools
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"
WELL_KNOWN = pathlib.Path(grpc_tools.__file__).parent / "_proto"


def main() -> int:
    if sys.prefix == sys.base_prefix:
        print("run this with the Python of a virtual environment", file=sys.stderr)
        return 1
    out = sysconfig.get_paths()["purelib"]
    files = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    options = [f"-I{PROTO}", f"-I{WELL_KNOWN}"]
    options += [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")]
    code = protoc.main(["protoc", *options, *files])
    if code == 0:
        print("generated the stubs of " + ", ".join(files))
    return code


if __name__ == "__main__":
    sys.exit(main())
