"""The Python of docs/fencing.md does what the page says, over the real things."""

from __future__ import annotations

import functools
import http.server
import pathlib
import threading
from typing import Any, Iterator, List

import boto3  # type: ignore[import-untyped]
import psycopg
import pytest
import redis
from holdfast_client import Holdfast
from holdfast_client.fencing import TOKEN_METADATA, VersionConflictError, published_file, token_key_of

from . import fencing_snippets as snippets
from .fencing_servers import postgres, redis_server, s3_server


def granted(hf: Holdfast, name: str) -> int:
    return hf.check_token(name, 1).last_token


def test_it_publishes_a_file_under_its_token(hf: Holdfast, tmp_path: pathlib.Path) -> None:
    draft, path = tmp_path / "draft", tmp_path / "report.csv"
    draft.write_text("a,b")
    snippets.file(hf, str(path), str(draft))
    assert path.read_text() == "a,b"
    assert published_file(path) == (str(path), granted(hf, "report"))


def test_it_fetches_a_file_once(hf: Holdfast, tmp_path: pathlib.Path) -> None:
    asked: List[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"weights")

        def log_message(self, *_: Any) -> None:
            pass

    path = tmp_path / "model.bin"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as site:
        threading.Thread(target=functools.partial(site.serve_forever, 0.05), daemon=True).start()
        url = f"http://127.0.0.1:{site.server_address[1]}/"
        results = [snippets.once_only(hf, str(path), url) for _ in range(2)]
        site.shutdown()
    assert (asked, path.read_bytes()) == (["/"], b"weights")
    assert [result.made for result in results] == [True, False]


def test_it_writes_rows_with_token_and_version(hf: Holdfast) -> None:
    with postgres() as address, psycopg.connect(address, autocommit=True) as db, db.cursor() as cursor:
        db.execute("CREATE TABLE jobs (id int PRIMARY KEY, status text, fencing_token bigint, version int DEFAULT 3)")
        db.execute("INSERT INTO jobs (id, status) VALUES (7, 'new')")
        snippets.row(hf, cursor, 7)
        columns = "SELECT status, fencing_token, version FROM jobs"
        assert db.execute(columns).fetchone() == ("done", granted(hf, "job/7"), 3)
        snippets.version(hf, cursor, 7, 3)
        assert db.execute(columns).fetchone() == ("done", granted(hf, "job/7"), 4)
        with pytest.raises(VersionConflictError):
            snippets.version(hf, cursor, 7, 3)


def test_it_sets_a_key_beside_its_token(hf: Holdfast) -> None:
    with redis_server() as socket, redis.Redis(unix_socket_path=socket, decode_responses=True) as client:
        snippets.redis(hf, client)
        assert client.get("leader:state") == "ready"
        assert client.get(token_key_of("leader:state")) == str(granted(hf, "leader"))


def test_it_puts_an_object_that_names_its_token(hf: Holdfast) -> None:
    with s3_server() as url:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
        s3.create_bucket(Bucket="models")
        snippets.s3_object(hf, s3, "models")
        told = s3.head_object(Bucket="models", Key="manifest.json")["Metadata"]
        assert told == {TOKEN_METADATA: str(granted(hf, "manifest"))}
