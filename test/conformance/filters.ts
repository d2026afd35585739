/** Every feature that a filter on the wire can take from a client: what it asks for or is told is changed in between. */
import type { Lease } from '../../src/edge/gen/holdfast/v1/Lease.ts';
import type { SessionOp } from '../../src/edge/gen/holdfast/v1/SessionOp.ts';
import type { SessionResult } from '../../src/edge/gen/holdfast/v1/SessionResult.ts';
import type { Filter } from './wire.ts';

export interface Wired {
  /** What the client cannot do then. */
  readonly means: string;
  /** Made anew for each stage. */
  readonly wire: () => Filter;
}

type Seq = NonNullable<SessionOp['seq']>;
type Acquire = NonNullable<SessionOp['acquire']>;

/** Changes every acquire before the service sees it. */
const asking = (means: string, change: (acquire: Acquire) => void): Wired => ({
  means,
  wire: () => ({
    op: ({ acquire }) => {
      if (acquire) change(acquire);
      return true;
    },
  }),
});

/** Keeps one kind of news from the client. */
const silent = (means: string, kind: 'queued' | 'renewed' | 'lost'): Wired => ({
  means,
  wire: () => ({ event: (event) => !event[kind] }),
});

/** Changes the answers of one rpc outside the Session. */
const blind = (means: string, rpc: string, change: (answer: Record<string, unknown>) => void): Wired => ({
  means,
  wire: () => ({
    answer: (name, answer) => {
      if (name === rpc) change(answer);
    },
  }),
});

const leasesIn = ({ acquire, heartbeat, resume }: SessionResult): Lease[] =>
  [acquire?.lease, heartbeat?.lease, resume].filter((lease) => lease != null);

const lost = (seq: Seq, why: string): SessionResult => ({
  seq,
  error: { code: 9, reason: 'LEASE_LOST', message: 'LEASE_LOST', metadata: { why } },
});

export const wires = {
  grant: {
    means: 'never gets a lock',
    wire: () => ({
      result: (result) => {
        if (result.acquire?.lease) result.acquire = { busy: { holders: [], queue_length: 0 } };
      },
    }),
  },
  tokens: {
    means: 'calls every token 7',
    wire: () => ({
      result: (result) => {
        for (const lease of leasesIn(result)) lease.fencing_token = '7';
      },
    }),
  },
  exclusion: {
    means: 'locks names of its own',
    wire: () => ({
      op: ({ acquire }, { id }) => {
        if (acquire) acquire.resources = (acquire.resources ?? []).map((name) => `${name}-own-${id}`);
        return true;
      },
      result: (result) => {
        for (const lease of leasesIn(result)) {
          lease.resources = (lease.resources ?? []).map((name) => name.replace(/-own-\d+$/, ''));
        }
      },
    }),
  },
  holders: {
    means: 'does not say who holds',
    wire: () => ({
      result: ({ acquire }) => {
        if (acquire?.busy) acquire.busy.holders = [];
      },
    }),
  },
  several: asking('locks the first of several names', (acquire) => {
    acquire.resources = (acquire.resources ?? []).slice(0, 1);
  }),
  any: asking('wants all where any will do', (acquire) => {
    acquire.any = 0;
  }),
  mode: asking('locks exclusively whatever it is told', (acquire) => {
    acquire.mode = 'MODE_EXCLUSIVE';
  }),
  labels: asking('drops labels', (acquire) => {
    acquire.labels = {};
  }),
  ttl: asking('drops the ttl', (acquire) => {
    acquire.ttl = null;
  }),
  requestId: asking('drops the request id', (acquire) => {
    acquire.request_id = '';
  }),
  repeat: {
    means: 'does not repeat what a cut left unanswered',
    wire: () => {
      const known = new Set<string>();
      const op: Filter['op'] = ({ acquire }) => {
        const id = acquire?.request_id ?? '';
        const again = id !== '' && known.has(id);
        known.add(id);
        return !again;
      };
      return { op };
    },
  },
  wait: asking('does not wait', (acquire) => {
    acquire.wait = null;
  }),
  priority: asking('drops the priority', (acquire) => {
    acquire.priority = 0;
  }),
  names: asking('has one name for all its calls', (acquire) => {
    acquire.owner = 'somebody';
  }),
  owner: {
    means: 'is a new owner with each request',
    wire: () => {
      let count = 0;
      const op: Filter['op'] = ({ acquire }) => {
        count += 1;
        if (acquire) acquire.owner = `${acquire.owner}-${count}`;
        return true;
      };
      return { op };
    },
  },
  order: {
    means: 'pushes the latest to the front of the line',
    wire: () => {
      let count = 0;
      const op: Filter['op'] = ({ acquire }) => {
        if (acquire?.wait) {
          acquire.priority = Math.min(count, 9);
          count += 1;
        }
        return true;
      };
      return { op };
    },
  },
  cancel: {
    means: 'gives up without telling the service',
    wire: () => ({
      op: ({ seq = '', cancel }, { say, answered }) => {
        if (!cancel) return true;
        answered.add(String(cancel.seq));
        const given = { seq: cancel.seq ?? '', error: { code: 1, reason: '', message: 'cancelled' } };
        say({ results: [{ seq, cancel: { cancelled: true } }, given] });
        return false;
      },
    }),
  },
  release: {
    means: 'leaves its leases behind, by release and by the end of its stream',
    wire: () => ({
      deaf: true,
      op: ({ seq = '', release }, { say }) => {
        if (!release) return true;
        say({ results: [{ seq, release: { released: true } }] });
        return false;
      },
    }),
  },
  reason: {
    means: 'drops the reason of a release',
    wire: () => ({
      op: ({ release }) => {
        if (release) release.reason = '';
        return true;
      },
    }),
  },
  progress: {
    means: 'keeps its progress to itself',
    wire: () => ({
      op: ({ heartbeat }) => {
        if (heartbeat) heartbeat.progress = '';
        return true;
      },
    }),
  },
  checkToken: {
    means: 'takes every token for good',
    wire: () => ({
      result: ({ check_token }) => {
        if (check_token) check_token.current = true;
      },
      answer: (rpc, answer) => {
        if (rpc === 'CheckToken') answer.current = true;
      },
    }),
  },
  details: {
    means: 'sees of an error nothing but its code',
    wire: () => ({
      blunt: true,
      result: (result) => {
        if (result.error) result.error = { code: result.error.code ?? 2, message: 'refused' };
      },
    }),
  },
  resume: {
    means: 'cannot take its leases over',
    wire: () => ({
      op: ({ seq = '', resume }, { say }) => {
        if (!resume) return true;
        say({ results: [lost(seq, 'unknown')] });
        return false;
      },
    }),
  },
  grace: {
    means: 'asks for no grace',
    wire: () => ({
      head: (request) => {
        if (request.grace) request.grace = { seconds: 0, nanos: 0 };
      },
    }),
  },
  noGrace: {
    means: 'asks for a grace of its own',
    wire: () => ({
      head: (request) => {
        request.grace = { seconds: 50, nanos: 0 };
      },
    }),
  },
  yield: {
    means: 'does not hear that somebody asks for the lock',
    wire: () => ({
      event: ({ yield_request }) => !yield_request,
      result: ({ heartbeat }) => {
        if (heartbeat) heartbeat.yield_request = null;
      },
    }),
  },
  patience: {
    means: 'takes a heartbeat without quorum for a loss',
    wire: () => {
      const seqs = new Map<string, SessionResult['seq']>();
      const result: Filter['result'] = ({ seq, acquire, resume, error }, asked, { say }) => {
        const kept = acquire?.lease ?? resume;
        if (kept) seqs.set(kept.lease_id ?? '', seq);
        const lease_id = asked?.heartbeat?.lease_id ?? '';
        if (lease_id === '' || error?.reason !== 'NO_QUORUM') return;
        const gone = { reason: 'LOST_REASON_UNKNOWN' as const, detail: 'gave up' };
        say({ events: [{ seq: seqs.get(lease_id) ?? '0', lease_id, lost: gone }] });
      };
      return { result };
    },
  },
  queued: silent('does not hear of its place in line', 'queued'),
  renewed: silent('does not hear of renewals', 'renewed'),
  lost: silent('does not hear of a loss', 'lost'),
  draining: {
    means: 'does not hear that its replica goes',
    wire: () => ({ blunt: true, event: ({ draining }) => !draining }),
  },
  inspect: blind('sees nobody', 'Inspect', (answer) => Object.assign(answer, { holders: [], waiters: [] })),
  history: blind('knows no past', 'Inspect', (answer) => Object.assign(answer, { history: [] })),
  pages: blind('reads the first page alone', 'List', (answer) =>
    Object.assign(answer, { next_page_token: '' }),
  ),
  list: {
    means: 'lists what it was not asked for',
    wire: () => ({
      call: (rpc, request) => {
        if (rpc === 'List') Object.assign(request, { prefix: '', owner: '' });
        return undefined;
      },
    }),
  },
  status: blind('sees no node', 'Status', (answer) => Object.assign(answer, { nodes: [] })),
  force: {
    means: 'says that it has forced a lease and has not',
    wire: () => ({ call: (rpc) => (rpc === 'ForceRelease' ? { freed: [] } : undefined) }),
  },
} satisfies Readonly<Record<string, Wired>>;
