/** What the archive asks of its database, in the SQL that both have in common. */
import type { Database, Fields, Session, Value } from './schema.ts';
import type { Batch, NewRow, Question, Row, StoredGap, WriterMark } from './store.ts';

const EVENT_COLUMNS = 'key, time_us, resource, owner, type, step, token, lease_ref, reason';
const GAP_COLUMNS = 'id, from_us, until_us, events, reason, writer';

/** One parameter for any number of rows; in the order of their keys, so that two writers cannot lock each other out. */
function insertEvents(elements: string): string {
  return `INSERT INTO holdfast_events (${EVENT_COLUMNS}, grant_key)
    SELECT value->>0, CAST(value->>1 AS BIGINT), value->>2, value->>3, value->>4, CAST(value->>5 AS INTEGER),
      value->>6, value->>7, value->>8, value->>9
    FROM ${elements} WHERE true ORDER BY 1 ON CONFLICT (key) DO NOTHING`;
}

const SETTLE = `UPDATE holdfast_events AS late SET owner = granted.owner FROM holdfast_events AS granted
  WHERE late.owner = '' AND late.time_us >= $1 AND late.grant_key <> '' AND granted.key = late.grant_key`;

/** As stored, with the owners that the batch itself knows: short leases end in the batch that they began in. */
function fieldsOf(rows: readonly NewRow[]): (readonly Value[])[] {
  const owners = new Map<string, string>();
  for (const { type, key, owner } of rows) if (type === 'granted') owners.set(key, owner);
  return rows.map(({ key, timeUs, resource, type, step, token, leaseRef, reason, ...row }) => {
    const owner = row.grantKey === '' ? row.owner : (owners.get(row.grantKey) ?? '');
    const grantKey = owner === '' ? row.grantKey : '';
    return [key, timeUs, resource, owner, type, step, token, leaseRef, reason, grantKey];
  });
}

export function append(database: Database, batch: Batch): Promise<number> {
  const { rows, gaps, mark, leaves } = batch;
  const fields = fieldsOf(rows);
  const json = JSON.stringify(fields);
  // Only then: the looking costs as much as the writing.
  const unsettled = fields.filter((each) => each[3] === '' && each[9] !== '').map((each) => Number(each[1]));
  return database.transaction('write', async (session) => {
    const added = rows.length === 0 ? 0 : await session.run(insertEvents(database.dialect.elements), json);
    if (unsettled.length > 0) await session.run(SETTLE, Math.min(...unsettled));
    for (const gap of gaps) await putGap(session, gap);
    if (leaves) await session.run('DELETE FROM holdfast_writers WHERE id = $1', mark.id);
    else {
      await session.run(
        `INSERT INTO holdfast_writers (id, seen_us) VALUES ($1, $2)
          ON CONFLICT (id) DO UPDATE SET seen_us = excluded.seen_us`,
        mark.id,
        mark.seenUs,
      );
    }
    return added;
  });
}

async function putGap(session: Session, gap: StoredGap): Promise<void> {
  await session.run(
    `INSERT INTO holdfast_gaps (${GAP_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6)
      ON CONFLICT (id) DO UPDATE SET from_us = excluded.from_us, until_us = excluded.until_us,
        events = excluded.events`,
    ...[gap.id, gap.fromUs, gap.untilUs, gap.events, gap.reason, gap.writer],
  );
}

export function read(database: Database, question: Question): Promise<Row[]> {
  const { by, value, prefixes, before, limit } = question;
  const values: Value[] = [value];
  const put = (each: Value): string => `$${values.push(each)}`;
  const where = [`${by} = $1`];
  if (before !== undefined) {
    const { timeUs, token, step, key } = before;
    where.push(`(time_us, token, step, key) < (${[timeUs, token, step, key].map(put).join(', ')})`);
  }
  if (prefixes.length > 0) {
    const begins = prefixes.map((prefix) => `substr(resource, 1, ${prefix.length}) = ${put(prefix)}`);
    where.push(`(${begins.join(' OR ')})`);
  }
  const text = `SELECT ${EVENT_COLUMNS} FROM holdfast_events WHERE ${where.join(' AND ')}
    ORDER BY time_us DESC, token DESC, step DESC, key DESC LIMIT ${Math.trunc(limit)}`;
  return database.transaction('read', async (session) => (await session.all(text, ...values)).map(rowOf));
}

function rowOf(fields: Fields): Row {
  const text = (name: string): string => String(fields[name]);
  return {
    key: text('key'),
    timeUs: Number(fields.time_us),
    resource: text('resource'),
    owner: text('owner'),
    type: text('type'),
    step: Number(fields.step),
    token: text('token'),
    leaseRef: text('lease_ref'),
    reason: text('reason'),
  };
}

export function gaps(
  database: Database,
  fromUs: number,
  untilUs: number,
  limit: number,
): Promise<StoredGap[]> {
  const text = `SELECT ${GAP_COLUMNS} FROM holdfast_gaps WHERE until_us >= $1 AND from_us <= $2
    ORDER BY until_us DESC, id LIMIT ${Math.trunc(limit)}`;
  return database.transaction('read', async (session) =>
    (await session.all(text, fromUs, untilUs)).map((fields) => ({
      id: String(fields.id),
      fromUs: Number(fields.from_us),
      untilUs: Number(fields.until_us),
      events: Number(fields.events),
      reason: fields.reason === 'dropped' ? 'dropped' : 'failed',
      writer: String(fields.writer),
    })),
  );
}

function deleteOldest({ dialect }: Database, where: string, limit: number): string {
  const oldest = `SELECT key FROM holdfast_events ${where} ORDER BY time_us LIMIT ${Math.trunc(limit)}`;
  return `DELETE FROM holdfast_events WHERE key IN (${oldest}${dialect.passOver})`;
}

export function purge(database: Database, beforeUs: number, limit: number): Promise<number> {
  return database.transaction('write', async (session) => {
    await session.run('DELETE FROM holdfast_gaps WHERE until_us < $1', beforeUs);
    return session.run(deleteOldest(database, 'WHERE time_us < $1', limit), beforeUs);
  });
}

/** Deletes the oldest events, however young they are; how many. */
export function trim(database: Database, limit: number): Promise<number> {
  return database.transaction('write', (session) => session.run(deleteOldest(database, '', limit)));
}

export async function settle(database: Database, sinceUs: number): Promise<void> {
  await database.transaction('write', (session) => session.run(SETTLE, sinceUs));
}

export function marks(database: Database): Promise<WriterMark[]> {
  return database.transaction('read', async (session) =>
    (await session.all('SELECT id, seen_us FROM holdfast_writers')).map((fields) => ({
      id: String(fields.id),
      seenUs: Number(fields.seen_us),
    })),
  );
}

export function bury(database: Database, { id, seenUs }: WriterMark, gap: StoredGap): Promise<boolean> {
  return database.transaction('write', async (session) => {
    const text = 'DELETE FROM holdfast_writers WHERE id = $1 AND seen_us = $2';
    if ((await session.run(text, id, seenUs)) === 0) return false;
    await putGap(session, gap);
    return true;
  });
}

/** The questions by name, as they travel to a worker thread. */
export const queries = { append, read, gaps, purge, settle, marks, bury } as const;
