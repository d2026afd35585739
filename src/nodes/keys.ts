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
}

export function keysOf(namespace: string): Keys {
  return {
    meta: `${namespace}:meta`,
    names: `${namespace}:names`,
    record: `${namespace}:r:`,
    marker: `${namespace}:q:`,
    quarantine: `${namespace}:quarantine`,
  };
}

/** In the order in which every script takes them as KEYS. */
export function keyList(keys: Keys): string[] {
  return [keys.meta, keys.names, keys.record, keys.marker, keys.quarantine];
}
