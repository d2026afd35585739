/** The tables of the archive, version by version; each step runs once, in a transaction of its own. */
import { StoreError } from './store.ts';

export type Value = string | number | null;
export type Fields = Readonly<Record<string, unknown>>;

/** Inside one transaction. */
export interface Session {
  /** How many rows it changed. */
  run(text: string, ...values: readonly Value[]): Promise<number>;
  all(text: string, ...values: readonly Value[]): Promise<readonly Fields[]>;
}

/** In what the two databases differ. */
export interface Dialect {
  /** Text that is compared byte by byte. */
  readonly text: string;
  /** `value` of each element of the JSON array that the first parameter is. */
  readonly elements: string;
  /** One row, `known`: whether there is a table of migrations. */
  readonly hasMigrations: string;
  /** Waits until nobody else migrates; held to the end of the transaction. */
  readonly lockSchema: string | undefined;
  /** Rows that another process is deleting are left to it. */
  readonly passOver: string;
}

/** `slow`: a write that may take minutes. */
export type Access = 'read' | 'write' | 'slow';

export interface Database {
  readonly dialect: Dialect;
  /** A read is one statement, and waits for no writer. */
  transaction<T>(access: Access, work: (session: Session) => Promise<T>): Promise<T>;
}

type Migration = (dialect: Dialect) => readonly string[];

/** Only ever add: replicas of the release before go on writing while an upgrade rolls over them. */
export const MIGRATIONS: readonly Migration[] = [
  ({ text }) => [
    `CREATE TABLE holdfast_events (
      key ${text} PRIMARY KEY, time_us BIGINT NOT NULL, resource ${text} NOT NULL, owner ${text} NOT NULL,
      type ${text} NOT NULL, step INTEGER NOT NULL, token ${text} NOT NULL, lease_ref ${text} NOT NULL,
      reason ${text} NOT NULL)`,
    'CREATE INDEX holdfast_events_by_resource ON holdfast_events (resource, time_us, token, step, key)',
    'CREATE INDEX holdfast_events_by_time ON holdfast_events (time_us)',
    `CREATE TABLE holdfast_gaps (
      id ${text} PRIMARY KEY, from_us BIGINT NOT NULL, until_us BIGINT NOT NULL, events BIGINT NOT NULL,
      reason ${text} NOT NULL)`,
    'CREATE INDEX holdfast_gaps_by_time ON holdfast_gaps (until_us)',
  ],
  ({ text }) => [
    `ALTER TABLE holdfast_events ADD COLUMN grant_key ${text} NOT NULL DEFAULT ''`,
    'CREATE INDEX holdfast_events_by_owner ON holdfast_events (owner, time_us, token, step, key)',
    `CREATE TABLE holdfast_writers (id ${text} PRIMARY KEY, seen_us BIGINT NOT NULL)`,
    `ALTER TABLE holdfast_gaps ADD COLUMN writer ${text} NOT NULL DEFAULT ''`,
  ],
];

/** `target`: tests stop at an old version. */
export async function migrate(database: Database, target = MIGRATIONS.length): Promise<void> {
  const known = MIGRATIONS.length;
  let done = await database.transaction('read', (session) => versionOf(session, database.dialect));
  while (done < target) {
    done = await database.transaction('slow', (session) => step(session, database.dialect, target));
  }
  if (done > known) {
    throw new StoreError(
      'newer',
      `the archive has schema version ${done}, this release knows ${known}: a later release made it`,
    );
  }
}

async function versionOf(session: Session, { hasMigrations }: Dialect): Promise<number> {
  const [found] = await session.all(hasMigrations);
  if (!found?.known) return 0;
  const [row] = await session.all('SELECT max(version) AS version FROM holdfast_migrations');
  return Number(row?.version ?? 0);
}

/** Looks again under the lock: of several that start at once one migrates, the others find it done. */
async function step(session: Session, dialect: Dialect, target: number): Promise<number> {
  if (dialect.lockSchema !== undefined) await session.all(dialect.lockSchema);
  const before = await versionOf(session, dialect);
  if (before >= target) return before;
  if (before === 0) {
    await session.run('CREATE TABLE IF NOT EXISTS holdfast_migrations (version INTEGER PRIMARY KEY)');
  }
  for (const statement of MIGRATIONS[before]!(dialect)) await session.run(statement);
  await session.run('INSERT INTO holdfast_migrations (version) VALUES ($1)', before + 1);
  return before + 1;
}
