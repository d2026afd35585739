/** Random steps about the waiting line: few waiters with few orders, so that they meet, overtake and die. */
import fc from 'fast-check';
import type { LeaveOp, Place } from '../../src/nodes/line.ts';
import type { NodeOp } from '../../src/nodes/node.ts';
import { startMicros } from './under-test.ts';

/** An id always names the same resources: it stands for one request, however often that is repeated. */
const resourcesOf = {
  w0: ['a'],
  w1: ['a'],
  w2: ['b', 'a'],
  w3: ['a/b', 'a', 'B'],
  w4: ['b'],
} as const satisfies Record<string, readonly string[]>;

export type WaiterId = keyof typeof resourcesOf;
const ids = Object.keys(resourcesOf) as WaiterId[];

/** Owners of leases, so that waits meet in cycles, and one that is nobody's. */
const owners = ['owner of secret0', 'owner of secret1', 'owner of secret2', 'häuptling "x" \\ {}'] as const;

export interface PlaceStep {
  readonly id: WaiterId;
  readonly ticket: number;
  readonly order: number;
  readonly priority: number;
  readonly replica: string;
  readonly owner: string;
  readonly shared: boolean;
  /** Whether one of several resources will do, and which one a hold tries. */
  readonly oneWillDo: boolean;
  readonly wanted: number;
  readonly livenessMs: number;
  readonly most: number;
}

export type LineStep =
  | { readonly do: 'join'; readonly place: PlaceStep }
  | {
      readonly do: 'leave';
      readonly id: WaiterId;
      readonly shared: boolean;
      readonly partly: boolean;
      readonly replica: string;
    }
  | { readonly do: 'waits'; readonly owner: string }
  | { readonly do: 'settle'; readonly names: readonly string[]; readonly deep: boolean }
  | { readonly do: 'watch'; readonly forMs: number }
  | { readonly do: 'tell'; readonly names: readonly string[] };

export const place: fc.Arbitrary<PlaceStep> = fc.record({
  id: fc.constantFrom(...ids),
  ticket: fc.nat(3),
  order: fc.constantFrom(0, 1, 2, 3, -30_000_000),
  priority: fc.nat(9),
  replica: fc.constantFrom('r0', 'r0', 'r1'),
  owner: fc.constantFrom(...owners),
  shared: fc.nat(2).map((n) => n === 0),
  oneWillDo: fc.boolean(),
  wanted: fc.nat(2),
  livenessMs: fc.constantFrom(100, 1000, 5000, 5000, 120_000),
  most: fc.constantFrom(1, 2, 3, 100, 100),
});

export const anyLineStep: fc.Arbitrary<LineStep> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('join' as const), place }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('leave' as const),
      id: fc.constantFrom(...ids),
      shared: fc.boolean(),
      partly: fc.nat(4).map((n) => n === 0),
      replica: fc.constantFrom('r0', 'r1'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('waits' as const), owner: fc.constantFrom(...owners) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      names: fc.constantFrom<readonly string[]>(['a'], ['b', 'a'], ['B', 'a/b']),
      deep: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('watch' as const), forMs: fc.constantFrom(1, 5000, 30_000) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('tell' as const),
      names: fc.constantFrom<readonly string[]>(['a'], ['b', 'a']),
    }),
  },
);

export function placeOf(step: PlaceStep): Place {
  const { id, priority, replica, owner, oneWillDo, livenessMs, most } = step;
  return {
    id,
    ticket: startMicros + step.ticket,
    order: startMicros + step.order,
    priority,
    replica,
    owner,
    mode: step.shared ? 'shared' : 'exclusive',
    any: oneWillDo ? 1 : 0,
    resources: resourcesOf[id],
    livenessMs,
    most,
  };
}

/** What a hold with this place tries: all, or the one that it picked. */
export function triedAt({ id, oneWillDo, wanted }: PlaceStep): readonly string[] {
  const resources: readonly string[] = resourcesOf[id];
  return oneWillDo ? [resources[wanted % resources.length]!] : resources;
}

/** `token`: of the lease that a `tell` is about. */
export function lineOp(step: LineStep, token: bigint): NodeOp {
  switch (step.do) {
    case 'join':
      return { kind: 'join', place: placeOf(step.place) };
    case 'leave':
      return leaveOf(step);
    case 'waits':
      return { kind: 'waits', owner: step.owner };
    case 'settle':
      return { kind: 'settle', resources: step.names, ...(step.deep && { deep: true }) };
    case 'watch':
      return { kind: 'watch', forMs: step.forMs };
    case 'tell': {
      const who = { token, leaseRef: `ref of ${token}`, owner: 'owner', reason: 'a "reason"' };
      return { kind: 'tell', resources: step.names, ...who };
    }
  }
}

/** How long something goes on that such a step begins: its end is worth a visit of the clock. */
export function lastsMs(step: LineStep): number {
  if (step.do === 'join') return step.place.livenessMs;
  return step.do === 'watch' ? step.forMs : 0;
}

function leaveOf({ id, shared, partly, replica }: Extract<LineStep, { do: 'leave' }>): LeaveOp {
  const resources: readonly string[] = resourcesOf[id];
  return {
    kind: 'leave',
    id,
    replica,
    mode: shared ? 'shared' : 'exclusive',
    resources: partly ? resources.slice(-1) : resources,
  };
}
