/** The one door to key names: everything Holdfast stores on a node begins with the namespace. */

export interface Keys {
  /** Hash: the node's meta. */
  readonly meta: string;
  /** Sorted set, all scores 0: every resource with a record, for paging in byte order. */
  readonly names: string;
  /** Prefix of the hashes that hold one resource's record each. */
  readonly record: string;
  /** Prefix of the hashes that remember a request id each. */
  readonly marker: string;
  /** Hash: the quarantine of this run, while it lasts. */
  readonly quarantine: string;
  /** Prefix of what stands beside the records, and of the channels: see lua/layout.lua. */
  readonly beside: string;
}

export function keysOf(namespace: string): Keys {
  return {
    meta: `${namespace}:meta`,
    names: `${namespace}:names`,
    record: `${namespace}:r:`,
    marker: `${namespace}:q:`,
    quarantine: `${namespace}:quarantine`,
    beside: `${namespace}:b:`,
  };
}

/** In the order in which every script takes them as KEYS. */
export function keyList(keys: Keys): string[] {
  return [keys.meta, keys.names, keys.record, keys.marker, keys.quarantine, keys.beside];
}

/** The channel on which one replica is woken. */
export function wakeChannel(keys: Keys, replica: string): string {
  return `${keys.beside}wake:${replica}`;
}

/** The channel on which a node tells everybody which leases were ended by force. */
export function forcedChannel(keys: Keys): string {
  return `${keys.beside}forced`;
}

/** The channel on which a node tells its news while somebody watches. */
export function newsChannel(keys: Keys): string {
  return `${keys.beside}news`;
}
