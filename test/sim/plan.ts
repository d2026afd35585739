/** What one simulated run consists of, all of it known before it begins: so that a failure repeats, and shrinks by leaving out. */

/** Everything below is a function of the seed (generate.ts); a shrunk plan is the same with parts left out. */
export interface Plan {
  readonly seed: number;
  readonly nodes: 3 | 5;
  readonly replicas: number;
  readonly clients: readonly ClientPlan[];
  readonly resources: readonly string[];
  readonly longestTtlMs: number;
  readonly nodeTimeoutMs: number;
  /** Of the waiting line; production has 6,000. */
  readonly livenessMs: number;
  /** The usual network between replicas and nodes, and between clients and replicas: uniform between these. */
  readonly delayMs: readonly [number, number];
  readonly faults: readonly Fault[];
  /**
   * `config adopt`: all replicas stop at atMs, an operator hands the nodes over to another longest ttl (and tries again
   * until it worked), and replicas start with it at untilMs. Leases that were granted before are still promised.
   */
  readonly adoption?: { readonly atMs: number; readonly untilMs: number; readonly longestTtlMs: number };
  /** All replicas mend what faults have left, each time so long after the last; what is younger than `minAgeMs` is left alone. */
  readonly mends?: { readonly everyMs: readonly [number, number]; readonly minAgeMs: number };
  /** Faults end by then; afterwards clients go on for a while, then stop, and the nodes must come to rest. */
  readonly healMs: number;
  readonly endMs: number;
}

/** One thread of control, which does what `habits` say until the end of the run. */
export interface ClientPlan {
  readonly name: string;
  /** Its own generator: leaving a client out changes nothing for the others. */
  readonly seed: number;
  /** Which it asks first; it goes to the next one on when that does not answer. */
  readonly replica: number;
  readonly habits: Habits;
}

/** Weights and spans; a weight of 0 means never. */
export interface Habits {
  /** `stream`: keeps its leases on a stream (hold, resume); `calls`: acquire, heartbeat, release. */
  readonly manner: 'stream' | 'calls';
  readonly ttlMs: readonly [number, number];
  /** 0 to 0: does not wait. */
  readonly waitMs: readonly [number, number];
  readonly holdMs: readonly [number, number];
  readonly idleMs: readonly [number, number];
  readonly shared: number;
  readonly gang: number;
  /** k of n. */
  readonly any: number;
  readonly priority: readonly [number, number];
  /** Asks with a request id, and repeats it, at another replica, without an answer or although it has one. */
  readonly repeats: number;
  /** Cancels a call under way. */
  readonly cancels: number;
  /** Dies without a word, and another thread of control takes its place. */
  readonly dies: number;
  /** Holds past its ttl without renewing (calls), or forgets to release. */
  readonly forgets: number;
  /** Inspects, lists, checks tokens, watches. */
  readonly looks: number;
  /** Forces somebody else's lease free. */
  readonly forces: number;
}

interface Span {
  readonly atMs: number;
  readonly untilMs: number;
}

/** Where messages go astray. `in` is towards the node (or the replica), `out` back. Undefined: all of them. */
interface OnLink extends Span {
  readonly replica?: number;
  /** Undefined, with `client` undefined, too: links to all nodes. */
  readonly node?: number;
  /** A link between a client and its replicas instead. */
  readonly client?: number;
  readonly direction: 'in' | 'out' | 'both';
}

export type Fault =
  | (OnLink & { readonly kind: 'loss'; readonly share: number })
  /** Extra delay for a share of the messages: what is delayed past others is reordered, across connections and attempts. */
  | (OnLink & { readonly kind: 'delay'; readonly share: number; readonly ms: readonly [number, number] })
  /** Arrives twice; the second one after so long. A node's script never comes twice by one connection: only a client's request does. */
  | (OnLink & { readonly kind: 'duplicate'; readonly share: number; readonly ms: readonly [number, number] })
  /** Nothing passes; what is under way stays under way and arrives at the end (`hold`) or never (`drop`). */
  | (OnLink & { readonly kind: 'cut'; readonly manner: 'hold' | 'drop' | 'reset' })
  /** The process is gone from atMs to untilMs and comes back: with all it knew and durable, with all but its last writes, or with nothing. */
  | (Span & {
      readonly kind: 'crash';
      readonly node: number;
      readonly memory: 'durable' | 'tail' | 'empty';
      /** Of `tail`: how many milliseconds of writes are lost. */
      readonly lostMs: number;
    })
  /** FLUSHALL: the process lives, its memory is empty. */
  | { readonly kind: 'flush'; readonly atMs: number; readonly node: number }
  /** Stands still: what arrives meanwhile is worked off afterwards. Its clocks go on. */
  | (Span & { readonly kind: 'pause'; readonly who: Who; readonly index: number })
  /** The wall clock jumps. */
  | {
      readonly kind: 'step';
      readonly atMs: number;
      readonly who: 'node' | 'replica';
      readonly index: number;
      readonly ms: number;
    }
  /** Both clocks run faster or slower, within the 1 % of G1. */
  | (Span & { readonly kind: 'rate'; readonly who: Who; readonly index: number; readonly rate: number })
  /** Drains, stops, and is started anew at untilMs. */
  | (Span & { readonly kind: 'drain'; readonly replica: number })
  /** Dies at once, and is started anew at untilMs. */
  | (Span & { readonly kind: 'kill'; readonly replica: number });

export type Who = 'node' | 'replica' | 'client';

export const FAULT_KINDS = [
  'loss',
  'delay',
  'duplicate',
  'cut',
  'crash',
  'flush',
  'pause',
  'step',
  'rate',
  'drain',
  'kill',
] as const satisfies readonly Fault['kind'][];
