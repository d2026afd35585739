/** The archive in a Postgres database: few connections, and a bound on whatever is asked of it. */
import pg from 'pg';
import { append, bury, gaps, marks, purge, read, settle } from './queries.ts';
import {
  type Access,
  type Database,
  type Dialect,
  type Fields,
  migrate,
  type Session,
  type Value,
} from './schema.ts';
import {
  type ArchiveStore,
  type Batch,
  type FaultKind,
  type Question,
  type StoredGap,
  StoreError,
  type WriterMark,
} from './store.ts';

/** Any number that nobody else takes for an advisory lock. */
const SCHEMA_LOCK = 6_874_100_391;

const dialect: Dialect = {
  text: 'TEXT COLLATE "C"',
  elements: 'json_array_elements($1::json) AS elements(value)',
  // Not to_regclass(): after the wait for the lock it still answers what it had found before.
  hasMigrations: `SELECT EXISTS (SELECT FROM pg_catalog.pg_tables
    WHERE tablename = 'holdfast_migrations' AND schemaname = ANY (current_schemas(false))) AS known`,
  lockSchema: `SELECT pg_advisory_xact_lock(${SCHEMA_LOCK})`,
  passOver: ' FOR UPDATE SKIP LOCKED',
};

/** One writes while others read. */
const CONNECTIONS = 3;
const CONNECT_MS = 3000;
const STATEMENT_MS = 5000;
/** An index over a long history takes a while. */
const MIGRATION_MS = 15 * 60_000;
/** A server that hangs does not even end its statement: then the connection goes. */
const SILENT_MS = 2000;

class PostgresDatabase implements Database {
  readonly dialect = dialect;
  readonly #pool: pg.Pool;

  constructor(url: string) {
    this.#pool = new pg.Pool({
      connectionString: url,
      max: CONNECTIONS,
      connectionTimeoutMillis: CONNECT_MS,
      statement_timeout: STATEMENT_MS,
      application_name: 'holdfast',
      keepAlive: true,
      allowExitOnIdle: true,
    });
    // A connection that breaks between two questions: the next one opens another. Unheard it would end the process.
    this.#pool.on('error', () => {});
    this.#pool.on('connect', (client) => client.on('error', () => {}));
  }

  async transaction<T>(access: Access, work: (session: Session) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect();
    let broken = true;
    try {
      const session = sessionOf(client, (access === 'slow' ? MIGRATION_MS : STATEMENT_MS) + SILENT_MS);
      if (access !== 'read') await session.run('BEGIN');
      if (access === 'slow') await session.run(`SET LOCAL statement_timeout = ${MIGRATION_MS}`);
      const result = await work(session);
      if (access !== 'read') await session.run('COMMIT');
      broken = false;
      return result;
    } finally {
      // Closing the connection rolls back, whatever state it is in.
      client.release(broken);
    }
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}

function sessionOf(client: pg.PoolClient, limitMs: number): Session {
  const ask = (text: string, values: readonly Value[]) =>
    client.query({ text, values: [...values], query_timeout: limitMs } as pg.QueryConfig);
  return {
    run: async (text, ...values) => (await ask(text, values)).rowCount ?? 0,
    all: async (text, ...values) => (await ask(text, values)).rows as readonly Fields[],
  };
}

export class PostgresStore implements ArchiveStore {
  readonly kind = 'postgres';
  readonly #url: string;
  #database: PostgresDatabase | undefined;
  readonly #password: string;

  constructor(url: string) {
    this.#url = url;
    this.#password = decodeURIComponent(new URL(url).password);
  }

  open(): Promise<void> {
    return this.#told((database) => migrate(database));
  }

  append(batch: Batch): Promise<number> {
    return this.#told((database) => append(database, batch));
  }

  read(question: Question): ReturnType<ArchiveStore['read']> {
    return this.#told((database) => read(database, question));
  }

  gaps(fromUs: number, untilUs: number, limit: number): Promise<StoredGap[]> {
    return this.#told((database) => gaps(database, fromUs, untilUs, limit));
  }

  purge(beforeUs: number, limit: number): Promise<number> {
    return this.#told((database) => purge(database, beforeUs, limit));
  }

  settle(sinceUs: number): Promise<void> {
    return this.#told((database) => settle(database, sinceUs));
  }

  marks(): Promise<WriterMark[]> {
    return this.#told((database) => marks(database));
  }

  bury(mark: WriterMark, gap: StoredGap): Promise<boolean> {
    return this.#told((database) => bury(database, mark, gap));
  }

  async close(): Promise<void> {
    await this.#database?.close();
  }

  async #told<T>(act: (database: PostgresDatabase) => Promise<T>): Promise<T> {
    try {
      this.#database ??= new PostgresDatabase(this.#url);
      return await act(this.#database);
    } catch (error) {
      if (error instanceof StoreError) throw error;
      throw new StoreError(faultOf(error), this.#said(error));
    }
  }

  /** For the log; some errors quote what they were given. */
  #said(error: unknown): string {
    const { code, message } = error as { code?: unknown; message?: unknown };
    const text = `${typeof message === 'string' && message !== '' ? message : String(error)}${
      typeof code === 'string' ? ` (${code})` : ''
    }`;
    return this.#password === '' ? text : text.replaceAll(this.#password, '***');
  }
}

/** Classes of SQLSTATE: 22 a value that cannot be, 23 a constraint. */
function faultOf(error: unknown): FaultKind {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^2[23]/.test(code) ? 'refused' : 'away';
}
