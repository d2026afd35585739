/** Opens the archive that the settings ask for, and says what becomes of the service where it cannot. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Settings } from '../../config.ts';
import { pause } from '../../std/clock.ts';
import { Archive, type ArchiveOptions } from './archive.ts';
import { SqliteStore } from './sqlite.ts';
import { type ArchiveStore, StoreError } from './store.ts';

export interface OpenOptions extends Omit<ArchiveOptions, 'store' | 'retentionMs' | 'pendingMax'> {
  readonly settings: Pick<
    Settings,
    'archive' | 'archiveMaxBytes' | 'archiveRetentionMs' | 'eventBuffer' | 'stateDir'
  >;
}

/** How long a start waits to hear that a Postgres database is not for this release. */
const FIRST_MS = 2000;
const FILE = 'history.db';

/** Undefined: there is none. Rejects where the service must not start without it. */
export async function openArchive({ settings, ...options }: OpenOptions): Promise<Archive | undefined> {
  const { archive: where, archiveRetentionMs: retentionMs, eventBuffer: pendingMax, stateDir } = settings;
  const opened = (store: ArchiveStore): Archive =>
    new Archive({ ...options, store, retentionMs, pendingMax });
  const sqlite = (path: string): Archive =>
    opened(new SqliteStore(path, settings.archiveMaxBytes, (rows) => options.numbers.trimmed(rows)));
  if (where.kind === 'off') return undefined;
  if (where.kind === 'auto') return automatic(stateDir, sqlite, options.notice);
  if (where.kind === 'sqlite') return asked(sqlite(where.path), where.path);
  // Only here: whoever keeps no Postgres needs none of its driver.
  const { PostgresStore } = await import('./postgres.ts');
  return away(opened(new PostgresStore(where.url.reveal())), options);
}

/**
 * Nobody has asked for this one: without it the service is whole, as long as it says so. A file that is locked, or a
 * disk that is full, may be better in a moment: until then the archive is away, and misses what it cannot keep.
 */
async function automatic(
  stateDir: string | undefined,
  opened: (path: string) => Archive,
  notice: ArchiveOptions['notice'],
): Promise<Archive | undefined> {
  const path = stateDir === undefined ? '' : join(stateDir, FILE);
  try {
    if (stateDir === undefined) throw new Error('there is no state directory: HOME is not set');
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    return await started(opened(path), 'or later');
  } catch (error) {
    notice(
      'warn',
      'NO HISTORY ARCHIVE: its file cannot be used; set HOLDFAST_ARCHIVE to a place, or to off',
      { path, cause: causeOf(error) },
    );
    return undefined;
  }
}

async function asked(archive: Archive, path: string): Promise<Archive> {
  try {
    return await started(archive);
  } catch (error) {
    throw new Error(`HOLDFAST_ARCHIVE sqlite:${path} cannot be opened: ${causeOf(error)}`);
  }
}

/** `or later`: one that is away for now is tried again from here on. */
async function started(archive: Archive, when: 'now' | 'or later' = 'now'): Promise<Archive> {
  try {
    await archive.open();
  } catch (error) {
    const passes = error instanceof StoreError && error.fault === 'away';
    if (when === 'now' || !passes) {
      await archive.close();
      throw error;
    }
  }
  archive.start();
  return archive;
}

/** A database may come later than the locks; one of a later release would never come. */
async function away(archive: Archive, { clock }: Pick<ArchiveOptions, 'clock'>): Promise<Archive> {
  const first = archive.open().catch((error: unknown) => error);
  const failed = await Promise.race([first, pause(clock, FIRST_MS)]);
  if (failed instanceof StoreError && failed.fault === 'newer') {
    await archive.close();
    throw new Error(`HOLDFAST_ARCHIVE: ${failed.message}`);
  }
  archive.start();
  return archive;
}

function causeOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
