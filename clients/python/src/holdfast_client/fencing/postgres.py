"""Rows that refuse a stale lease: one guarded UPDATE, for any DB-API cursor on Postgres (psycopg, pg8000)."""

from __future__ import annotations

from typing import Callable, List, Mapping, NamedTuple, Optional, Protocol, Sequence, Tuple

from ._errors import MissingTargetError, StaleTokenError, VersionConflictError, check_token

# What a bigint column holds.
_LARGEST = 2**63 - 1


class Cursor(Protocol):
    """What is needed of a DB-API cursor with the paramstyle ``format`` (``%s``)."""

    def execute(self, query: str, params: Sequence[object], /) -> object: ...

    def fetchall(self) -> Sequence[Sequence[object]]: ...


class Statement(NamedTuple):
    """What to execute."""

    text: str
    values: List[object]


class _Binder:
    """Collects values in the order in which their places stand in the text."""

    def __init__(self) -> None:
        self.values: List[object] = []

    def __call__(self, value: object) -> str:
        self.values.append(value)
        return "%s"


def fenced_update_statement(
    table: str,
    *,
    key: Mapping[str, object],
    set: Mapping[str, object],
    token: int,
    token_column: str = "fencing_token",
    version: Optional[Tuple[str, int]] = None,
) -> Statement:
    """The statement that ``fenced_update`` runs; it returns a row if it has written, none if not."""
    check_token(token, _LARGEST)
    bind = _Binder()
    fence = _quoted(token_column)
    sets = [f"{fence} = {bind(token)}"]
    sets += [f"{_quoted(column)} = {bind(value)}" for column, value in set.items()]
    if version is not None:
        sets.append(f"{_quoted(version[0])} = {_quoted(version[0])} + 1")
    where = [*_keyed(key, bind), f"({fence} IS NULL OR {fence} <= {bind(token)})"]
    if version is not None:
        where.append(f"{_quoted(version[0])} = {bind(version[1])}")
    text = f"UPDATE {_table(table)} SET {', '.join(sets)} WHERE {' AND '.join(where)} RETURNING 1"
    return Statement(text, bind.values)


def fenced_update(
    cursor: Cursor,
    table: str,
    *,
    key: Mapping[str, object],
    set: Mapping[str, object],
    token: int,
    token_column: str = "fencing_token",
    version: Optional[Tuple[str, int]] = None,
) -> None:
    """Writes one row under a lease, if no newer lease has written it. Equal tokens pass: the same lease writes again.

    table: ``table`` or ``schema.table``; names are quoted, so taken letter for letter. key: the columns that choose
    the row, its primary key. set: the columns to set; may be empty, then the row just remembers the token.
    token_column: bigint (tokens up to 2**63 - 1) or numeric(20), null while nobody has written. version:
    ``(column, expected)`` also requires that the row is still at this version, and raises it by one.

    Raises StaleTokenError, VersionConflictError, or MissingTargetError where there is no such row; nothing was changed
    then. One statement decides: at READ COMMITTED, Postgres' default, it looks at the row again if another transaction
    has changed it meanwhile. The caller commits.
    """
    written = _run(
        cursor,
        fenced_update_statement(
            table, key=key, set=set, token=token, token_column=token_column, version=version
        ),
    )
    if len(written) > 1:
        raise ValueError(f"key: it chooses {len(written)} rows, not one")
    if written:
        return
    columns = [_quoted(token_column), *([_quoted(version[0])] if version else [])]
    bind = _Binder()
    text = f"SELECT {', '.join(columns)} FROM {_table(table)} WHERE {' AND '.join(_keyed(key, bind))}"
    seen = _run(cursor, Statement(text, bind.values))
    if not seen:
        raise MissingTargetError(f"{table} has no such row")
    current = _whole(seen[0][0])
    if current > token:
        raise StaleTokenError(f"the row of {table}", token, current)
    expected = version[1] if version else 0
    raise VersionConflictError(f"the row of {table}", expected, _whole(seen[0][1]) if version else 0)


def _run(cursor: Cursor, statement: Statement) -> Sequence[Sequence[object]]:
    cursor.execute(statement.text, statement.values)
    return cursor.fetchall()


def _whole(value: object) -> int:
    return int(str(value)) if value is not None else 0


def _keyed(key: Mapping[str, object], bind: Callable[[object], str]) -> List[str]:
    # Without one the statement would write every row.
    if not key:
        raise ValueError("key: at least one column is needed")
    return [f"{_quoted(column)} = {bind(value)}" for column, value in key.items()]


def _table(name: str) -> str:
    return ".".join(_quoted(part) for part in name.split("."))


def _quoted(name: str) -> str:
    if not name or "\0" in name:
        raise ValueError("a name of a table or column must not be empty")
    # A percent sign would be taken for the place of a value.
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'
