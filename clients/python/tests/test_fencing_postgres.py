"""The Postgres guard against a real server, through psycopg."""

from __future__ import annotations

import threading
from typing import Iterator, List, Optional, Tuple

import psycopg
import pytest
from holdfast_client.fencing import (
    FencingError,
    MissingTargetError,
    StaleTokenError,
    VersionConflictError,
    fenced_update,
    fenced_update_statement,
)

from .fencing_servers import postgres
from .service import until

TABLE = "CREATE TABLE jobs (id int PRIMARY KEY, status text, fencing_token bigint, version int NOT NULL DEFAULT 1)"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres() as address:
        with psycopg.connect(address, autocommit=True) as opened:
            opened.execute(TABLE)
        yield address


@pytest.fixture
def db(server: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server, autocommit=True) as opened:
        opened.execute("TRUNCATE jobs; INSERT INTO jobs (id, status) VALUES (1, 'new'), (2, 'other')")
        yield opened


def update(db: psycopg.Connection, token: int, status: str, version: Optional[int] = None, row: int = 1) -> None:
    expected = None if version is None else ("version", version)
    with db.cursor() as cursor:
        fenced_update(cursor, "jobs", key={"id": row}, set={"status": status}, token=token, version=expected)


def row(db: psycopg.Connection) -> Optional[Tuple[object, ...]]:
    return db.execute("SELECT status, fencing_token, version FROM jobs WHERE id = 1").fetchone()


def test_a_stale_write_is_refused_and_gets_through_without_the_guard(db: psycopg.Connection) -> None:
    update(db, 34, "done")
    with pytest.raises(StaleTokenError) as refused:
        update(db, 33, "late")
    assert (refused.value.token, refused.value.current) == (33, 34)
    assert row(db) == ("done", 34, 1)
    db.execute("UPDATE jobs SET status = 'late' WHERE id = 1")
    assert row(db) == ("late", 34, 1)


def test_equal_and_newer_tokens_pass_and_no_other_row_is_touched(db: psycopg.Connection) -> None:
    for token in (34, 34, 2**63 - 1):
        update(db, token, f"by {token}")
        assert row(db) == (f"by {token}", token, 1)
    assert db.execute("SELECT status, fencing_token FROM jobs WHERE id = 2").fetchone() == ("other", None)


def test_a_version_that_is_no_longer_there_is_refused_though_the_token_is_good(db: psycopg.Connection) -> None:
    update(db, 34, "first", version=1)
    with pytest.raises(VersionConflictError) as refused:
        update(db, 34, "second", version=1)
    assert (refused.value.expected, refused.value.current) == (1, 2)
    with pytest.raises(StaleTokenError):
        update(db, 33, "late", version=1)
    assert row(db) == ("first", 34, 2)
    update(db, 34, "second", version=2)
    assert row(db) == ("second", 34, 3)


def test_a_row_that_is_not_there_is_named_and_several_are_refused(db: psycopg.Connection) -> None:
    with pytest.raises(MissingTargetError):
        update(db, 34, "done", row=9)
    with pytest.raises(ValueError, match="key: at least one"):
        fenced_update_statement("jobs", key={}, set={}, token=34)
    with pytest.raises(ValueError, match="token"):
        fenced_update_statement("jobs", key={"id": 1}, set={}, token=2**63)
    quoted = fenced_update_statement('public.a"b', key={"50%": 1}, set={}, token=1).text
    assert '"public"."a""b"' in quoted and '"50%%"' in quoted


def test_it_is_decided_anew_where_another_transaction_was_writing_meanwhile(
    db: psycopg.Connection, server: str
) -> None:
    came: List[str] = []

    def late() -> None:
        with psycopg.connect(server, autocommit=True) as other:
            try:
                update(other, 33, "late")
                came.append("written")
            except FencingError as error:
                came.append(type(error).__name__)

    thread = threading.Thread(target=late)
    with db.transaction():
        update(db, 34, "new lease")
        thread.start()
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        with psycopg.connect(server, autocommit=True) as watch:
            until("the late write waits for the row", lambda: watch.execute(waiting).fetchone())
    thread.join()
    assert came == ["StaleTokenError"]
    assert row(db) == ("new lease", 34, 1)
