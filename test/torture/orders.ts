/** What a client process of a run is told to do. */

/** What stands between the clients and the nodes: Holdfast, or a library that asks the nodes itself. */
export const subjects = ['holdfast', 'redlock', 'redlock4', 'redis-semaphore'] as const;
export type Subject = (typeof subjects)[number];

export interface Orders {
  readonly name: string;
  readonly seed: number;
  readonly subject: Subject;
  /** Of Holdfast the replicas, which each client asks in another order; of a library the sockets of the nodes. */
  readonly places: readonly string[];
  /** The socket of the redis-server with the registers. */
  readonly register: string;
  /** Where it writes down what it does. */
  readonly journal: string;
  readonly threads: number;
  readonly resources: readonly string[];
  readonly ttlMs: number;
  /** After which a library gives a node up, as Holdfast's replicas do: they set no bound of their own. */
  readonly nodeTimeoutMs: number;
  /** Of the register, for a client that is written in another language. */
  readonly scripts: { readonly read: string; readonly write: string };
  /** Exclusive leases on one resource alone, which is all that every library has. */
  readonly plain: boolean;
}
