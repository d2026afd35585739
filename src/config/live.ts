/** Which settings take effect while the service runs, and what has changed between two readings of all of them. */
import type { Settings } from '../config.ts';
import { type Key, keys, table } from './table.ts';

/** All others are built into what runs: addresses, nodes, times that nodes and replicas agree on. */
export const LIVE: ReadonlySet<Key> = new Set<Key>([
  'access',
  'alerts',
  'defaultTtlMs',
  'drainTimeoutMs',
  'logLevel',
  'maxWaiters',
  'maxWaitersPerResource',
  'minTtlMs',
  'tlsCert',
  'tlsClientCa',
  'tlsKey',
]);

export interface Changes {
  /** By key, in the order of the table. */
  readonly live: readonly Key[];
  readonly restart: readonly Key[];
}

/** Compared as they are sent to workers, secrets and all: a changed password is a change. */
export function changesBetween(
  before: Settings,
  after: Settings,
  texts: (value: unknown) => string,
): Changes {
  const [old, fresh] = [before, after] as unknown as Readonly<Record<string, unknown>>[];
  const changed = keys.filter((key) => texts(old![key]) !== texts(fresh![key]));
  return {
    live: changed.filter((key) => LIVE.has(key)),
    restart: changed.filter((key) => !LIVE.has(key)),
  };
}

export function nameOfKey(key: Key): string {
  return table[key].name;
}
