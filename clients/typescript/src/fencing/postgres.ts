/** Rows that refuse a stale lease: one guarded UPDATE, for any client with `query(text, values)` such as `pg`. */
import { checkToken, MissingTargetError, StaleTokenError, VersionConflictError } from './errors.ts';

/** What is needed of a client, a pool, or a client inside a transaction. */
export interface Queries {
  query(
    text: string,
    values: unknown[],
  ): Promise<{ readonly rows: readonly Readonly<Record<string, unknown>>[] }>;
}

export interface FencedUpdate {
  /** `table` or `schema.table`. Names are quoted: they are taken letter for letter. */
  readonly table: string;
  /** The columns that choose the row: its primary key. */
  readonly key: Readonly<Record<string, unknown>>;
  /** The columns to set. May be empty: then the row just remembers the token. */
  readonly set: Readonly<Record<string, unknown>>;
  readonly token: bigint;
  /** `fencing_token` unless set: bigint (tokens up to 2^63 - 1) or numeric(20), null while nobody has written. */
  readonly tokenColumn?: string;
  /** Also requires that the row is still at this version, and raises it by one. */
  readonly version?: { readonly column: string; readonly expected: bigint | number };
}

export interface Statement {
  readonly text: string;
  readonly values: unknown[];
}

/** What a bigint column holds. */
const LARGEST = 2n ** 63n - 1n;
const TOKEN_COLUMN = 'fencing_token';

/** The statement that `fencedUpdate` runs; it returns a row if it has written, none if not. */
export function fencedUpdateStatement(update: FencedUpdate): Statement {
  checkToken(update.token, LARGEST);
  const values: unknown[] = [update.token.toString()];
  const bind = (value: unknown): string => `$${values.push(value)}`;
  const token = quoted(update.tokenColumn ?? TOKEN_COLUMN);
  const sets = Object.entries(update.set).map(([column, value]) => `${quoted(column)} = ${bind(value)}`);
  const conditions = [...keyed(update, bind), `(${token} IS NULL OR ${token} <= $1)`];
  const { version } = update;
  if (version !== undefined) {
    const column = quoted(version.column);
    sets.push(`${column} = ${column} + 1`);
    conditions.push(`${column} = ${bind(String(version.expected))}`);
  }
  const text =
    `UPDATE ${table(update.table)} SET ${[`${token} = $1`, ...sets].join(', ')} ` +
    `WHERE ${conditions.join(' AND ')} RETURNING 1 AS written`;
  return { text, values };
}

/**
 * Writes one row under a lease, if no newer lease has written it. Equal tokens pass: the same lease writes again.
 *
 * Throws StaleTokenError, VersionConflictError, or MissingTargetError where there is no such row; nothing was changed
 * then. One statement decides: at READ COMMITTED, Postgres' default, it looks at the row again if another transaction
 * has changed it meanwhile.
 */
export async function fencedUpdate(client: Queries, update: FencedUpdate): Promise<void> {
  const { text, values } = fencedUpdateStatement(update);
  const written = await client.query(text, values);
  if (written.rows.length > 1) throw new RangeError(`key: it chooses ${written.rows.length} rows, not one`);
  if (written.rows.length === 1) return;
  const seen = await client.query(...lookAt(update));
  throw refusal(update, seen.rows[0]);
}

function lookAt(update: FencedUpdate): [string, unknown[]] {
  const values: unknown[] = [];
  const columns = [`${quoted(update.tokenColumn ?? TOKEN_COLUMN)}::text AS token`];
  if (update.version !== undefined) columns.push(`${quoted(update.version.column)}::text AS version`);
  const where = keyed(update, (value) => `$${values.push(value)}`).join(' AND ');
  return [`SELECT ${columns.join(', ')} FROM ${table(update.table)} WHERE ${where}`, values];
}

function refusal(update: FencedUpdate, row: Readonly<Record<string, unknown>> | undefined): Error {
  const what = `the row of ${update.table}`;
  if (row === undefined) return new MissingTargetError(`${update.table} has no such row`);
  const current = BigInt(String(row.token ?? 0));
  if (current > update.token) return new StaleTokenError(what, update.token, current);
  return new VersionConflictError(
    what,
    BigInt(update.version?.expected ?? 0),
    BigInt(String(row.version ?? 0)),
  );
}

function keyed({ key }: FencedUpdate, bind: (value: unknown) => string): string[] {
  const columns = Object.entries(key);
  // Without one the statement would write every row.
  if (columns.length === 0) throw new RangeError('key: at least one column is needed');
  return columns.map(([column, value]) => `${quoted(column)} = ${bind(value)}`);
}

function table(name: string): string {
  return name.split('.').map(quoted).join('.');
}

function quoted(name: string): string {
  if (name === '' || name.includes('\0'))
    throw new RangeError('a name of a table or column must not be empty');
  return `"${name.replaceAll('"', '""')}"`;
}
