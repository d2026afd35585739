/** Every public word of the contract (clients/README.md) and what in a scenario is its use. */

/** One of these is found in a step, or in the plan of a client. */
export interface Use {
  readonly do?: string;
  readonly via?: string;
  /** What `open` is given. */
  readonly plan?: string;
  /** What a lock is given. */
  readonly with?: string;
  /** What an answer or an error is asked for. */
  readonly says?: string;
  /** The class of an error. */
  readonly error?: string;
  readonly event?: string;
}

const option = (name: string): Use => ({ with: name });
const fact = (name: string): Use => ({ says: name });
const verb = (name: string): Use => ({ do: name });
const failure = (name: string): Use => ({ error: name });

/** By the name in TypeScript, or in Python where only Python has it. */
export const words: Readonly<Record<string, Use>> = {
  // new Holdfast({ ... }); one address is `address`, several are `addresses`.
  Holdfast: { plan: 'owner' },
  address: { plan: 'knows' },
  addresses: { do: 'drain' },
  owner: { plan: 'owner' },
  ttl: { plan: 'ttl' },
  grace: { plan: 'grace' },
  keepalive: { plan: 'keepalive' },
  credentials: { plan: 'credentials' },
  lock: { via: 'lock' },
  acquire: verb('acquire'),
  hold: { via: 'hold' },
  withLock: { via: 'withLock' },
  guard: { via: 'guard' },
  once: verb('once'),
  inspect: verb('inspect'),
  list: verb('list'),
  checkToken: verb('checkToken'),
  forceRelease: verb('forceRelease'),
  status: verb('status'),
  close: verb('close'),
  prefix: option('prefix'),
  history: option('history'),
  reason: fact('reason'),
  leaseRef: fact('leaseRef'),
  // Of a lease.
  token: fact('token'),
  resources: fact('resources'),
  mode: fact('mode'),
  labels: fact('labels'),
  leaseId: fact('hasId'),
  remainingMs: fact('remaining'),
  lost: fact('lost'),
  detail: fact('lost'),
  signal: fact('told'),
  check: verb('check'),
  progress: verb('progress'),
  release: verb('release'),
  // Of a request.
  wait: option('wait'),
  any: option('any'),
  priority: option('priority'),
  requestId: option('requestId'),
  onQueued: { event: 'queued' },
  onYieldRequest: { event: 'yield' },
  // Errors, and what they say.
  HoldfastError: failure('HoldfastError'),
  BusyError: failure('BusyError'),
  LeaseLostError: failure('LeaseLostError'),
  NoQuorumError: failure('NoQuorumError'),
  DeadlockError: failure('DeadlockError'),
  InvalidFieldError: failure('InvalidFieldError'),
  QuotaError: failure('QuotaError'),
  DeniedError: failure('DeniedError'),
  DrainingError: failure('DrainingError'),
  UnknownResourceError: failure('UnknownResourceError'),
  UnavailableError: failure('UnavailableError'),
  ClosedError: failure('ClosedError'),
  code: fact('code'),
  metadata: fact('metadata'),
  retryAfterMs: fact('retryAfter'),
  holders: fact('holders'),
  queueLength: fact('queueLength'),
  position: fact('position'),
  waitElapsed: fact('waitElapsed'),
  why: fact('why'),
  answered: fact('answered'),
  nodes: fact('nodes'),
  cycle: fact('cycle'),
  owners: fact('owners'),
  fields: fact('fields'),
};
