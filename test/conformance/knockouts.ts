/** Every feature of a client and how a client is made that lacks it: by a filter on its wire, or by its driver. */
import { wires } from './filters.ts';
import type { Filter } from './wire.ts';

export interface Knockout {
  /** What the client cannot do then. */
  readonly means: string;
  /** Stands between it and the service. */
  readonly wire?: () => Filter;
  /** A flag of the driver: it takes the feature from the client before it uses it. */
  readonly driver?: 'untyped' | 'clock' | 'fork' | 'threads';
  /** What `open` is given in place of what the scenario says. */
  readonly open?: (plan: Record<string, unknown>) => Record<string, unknown>;
}

/** What gives an operation up that was answered with a lease becomes a release of that lease. */
function backById(): Filter {
  const ids = new Map<string, string>();
  return {
    op: (op, { id }) => {
      const leaseId = ids.get(`${id} ${op.cancel?.seq}`);
      if (leaseId !== undefined) {
        op.cancel = null;
        op.release = { lease_id: leaseId };
      }
      return true;
    },
    result: ({ seq, acquire, resume }, _, { id }) => {
      const leaseId = (acquire?.lease ?? resume)?.lease_id;
      if (leaseId) ids.set(`${id} ${seq}`, leaseId);
    },
    event: (event) => !event.lost,
  };
}

const drivers = {
  types: { means: 'throws errors without a type', driver: 'untyped' },
  count: {
    means: 'has a clock that stands still, and does not hear of a loss',
    driver: 'clock',
    // Nor by the answer to a resume, which a process that was stopped asks for as soon as it wakes.
    wire: () => ({
      event: (event) => !event.lost,
      result: ({ seq, error }, _, { answered }) => {
        if (error?.reason === 'LEASE_LOST') answered.add(String(seq));
      },
    }),
  },
  clock: { means: 'has a clock that stands still', driver: 'clock' },
  fork: { means: 'does not notice a fork', driver: 'fork' },
  daemon: { means: 'keeps its process alive', driver: 'threads' },
  addresses: {
    means: 'knows its first address alone',
    open: (plan) => ({ ...plan, addresses: (plan.addresses as string[]).slice(0, 1) }),
  },
  keepalive: {
    means: 'never asks whether its connection lives',
    open: (plan) => ({ ...plan, keepalive: { time: 3_600_000, timeout: 20_000 } }),
  },
  binding: { means: 'gives back what it has lost by its id, and does not hear of a loss', wire: backById },
  bound: {
    means: 'counts on a lease for longer than the grace',
    open: (plan) => ({ ...plan, grace: 50_000 }),
  },
} satisfies Readonly<Record<string, Knockout>>;

export type Feature = keyof typeof wires | keyof typeof drivers;

export const knockouts: Readonly<Record<Feature, Knockout>> = { ...wires, ...drivers };
