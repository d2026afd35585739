"""The Python of docs/fencing.md, letter for letter; test_fencing_docs.py runs it."""

from __future__ import annotations

import json
import shutil
import urllib.request

from holdfast_client import Holdfast, Lease
from holdfast_client.fencing import FencedFile, fenced_put, fenced_set, fenced_update
from holdfast_client.fencing.postgres import Cursor
from holdfast_client.fencing.redis import Scripts
from holdfast_client.fencing.s3 import Objects
from holdfast_client.once import OnceResult


def file(hf: Holdfast, path: str, report: str) -> None:
    # snippet: file
    with hf.lock("report") as lease:
        file = FencedFile.claim(path, lease.token)
        shutil.copyfile(report, file.temporary_path)
        file.publish(replace=True)
    # end


def once_only(hf: Holdfast, path: str, url: str) -> OnceResult:
    # snippet: once
    def fetch(temporary_path: str, lease: Lease) -> None:
        with urllib.request.urlopen(url) as answer, open(temporary_path, "wb") as file:
            while chunk := answer.read(1 << 20):
                lease.check()
                file.write(chunk)

    result = hf.once("model/7b", path, fetch)
    print(result.path, "made here" if result.made else "made by another")
    # end
    return result


def row(hf: Holdfast, cursor: Cursor, job: int) -> None:
    # snippet: row
    with hf.lock(f"job/{job}") as lease:
        fenced_update(cursor, "jobs", key={"id": job}, set={"status": "done"}, token=lease.token)
    # end


def version(hf: Holdfast, cursor: Cursor, job: int, seen: int) -> None:
    # snippet: version
    with hf.lock(f"job/{job}") as lease:
        done = {"status": "done"}
        fenced_update(cursor, "jobs", key={"id": job}, set=done, token=lease.token, version=("version", seen))
    # end


def redis(hf: Holdfast, client: Scripts) -> None:
    # snippet: redis
    with hf.lock("leader") as lease:
        fenced_set(client, "leader:state", "ready", token=lease.token)
    # end


def s3_object(hf: Holdfast, s3: Objects, bucket: str) -> None:
    # snippet: object
    with hf.lock("manifest") as lease:
        body = json.dumps({"token": lease.token, "files": ["a.bin", "b.bin"]}).encode()
        fenced_put(s3, bucket, "manifest.json", body, token=lease.token)
    # end
