/** Random steps for a node, with few names, leases and tokens, so that they meet; numbers are resolved while running. */
import fc from 'fast-check';
import { fenceAgeMicros, requestMemoryMs } from '../../src/domain/limits.ts';
import type { AdminOp } from '../../src/nodes/admin.ts';
import { SCHEMA } from '../../src/nodes/node.ts';
import { index, type LeaseStep, lease, name, names, secret, type TokenStep, token } from './lease-steps.ts';
import { anyLineStep, type LineStep, type PlaceStep, place } from './line-steps.ts';
import { longestTtlMs } from './under-test.ts';

/** A clock never goes back further than this below its highest reading: garbage of the nodes has a minute to spare. */
export const furthestBackMicros = 50_000_000;

export type MarkerStep = { readonly key: string; readonly digest: string } | undefined;

/** Of the stream that renews; `binds`: it takes the lease over. */
export interface BindingStep {
  readonly binding: number;
  readonly binds: boolean;
}

/** From the last reading, or from an instant at which something ends. */
export type MoveStep =
  | { readonly to: 'delta'; readonly micros: number }
  | { readonly to: 'instant'; readonly index: number; readonly micros: number };

export type Step =
  | {
      readonly do: 'hold';
      readonly lease: LeaseStep;
      readonly ttlMs: number;
      readonly seen: TokenStep | undefined;
      readonly marker: MarkerStep;
      readonly place: PlaceStep | undefined;
    }
  | {
      readonly do: 'renew';
      readonly lease: LeaseStep;
      readonly ttlMs: number;
      readonly progress: string | undefined;
      readonly binding: BindingStep | undefined;
    }
  | {
      readonly do: 'repair';
      readonly lease: LeaseStep;
      readonly ttlMs: number;
      readonly binding: number;
      readonly progress: string;
      readonly marker: MarkerStep;
    }
  | {
      readonly do: 'release';
      readonly lease: LeaseStep;
      readonly why: 'released' | 'forced' | 'undone';
      readonly closing: boolean;
      readonly binding: number | undefined;
      readonly seen: TokenStep | undefined;
      readonly markerKey: string | undefined;
    }
  /** A stream's end: a release that takes the node's short way, see answer.lua. */
  | { readonly do: 'end'; readonly lease: LeaseStep; readonly binding: number }
  | { readonly do: 'bar'; readonly lease: LeaseStep }
  | { readonly do: 'force'; readonly name: string; readonly of: number | undefined }
  | { readonly do: 'reveal'; readonly name: string; readonly of: number }
  | { readonly do: 'look'; readonly name: string; readonly history: number; readonly line: number }
  | { readonly do: 'list'; readonly prefix: string; readonly after: string; readonly limit: number }
  | { readonly do: 'sweep'; readonly after: string; readonly limit: number }
  | { readonly do: 'ping' }
  | LineStep
  | { readonly do: 'churn'; readonly name: string; readonly times: number }
  | { readonly do: 'move'; readonly move: MoveStep }
  | { readonly do: 'admit'; readonly cluster: string; readonly longestTtlMs: number }
  | { readonly do: 'admin'; readonly op: AdminStep }
  | { readonly do: 'heal'; readonly brought: Brought | undefined }
  | { readonly do: 'lose' };

/** What a takeover brings. */
export interface Brought {
  readonly floor: TokenStep;
  readonly entries: readonly {
    readonly name: string;
    readonly token: TokenStep;
    readonly state: 'open' | 'released' | 'forced' | 'undone';
    readonly secret: number;
  }[];
}

/** An admin operation whose runs are indices and whose tokens are steps. */
export type AdminStep = {
  readonly kind: AdminOp['kind'];
  readonly run: number;
  readonly otherRun: number;
  readonly id: string;
  readonly cluster: string;
  readonly longestTtlMs: number;
  readonly schema: number;
  readonly durable: boolean;
  readonly after: string;
  readonly limit: number;
  readonly brought: Brought;
};

const after = fc.constantFrom('', '', '', ...names);
const limit = fc.constantFrom(1, 2, 3, 4, 5, 10);
const ttlMs = fc.constantFrom(100, 1000, 30_000, longestTtlMs, longestTtlMs + 1);
const seen = fc.option(token, { nil: undefined, freq: 3 });
const markerKey = fc.constantFrom('k0', 'k1');
const marker = fc.option(fc.record({ key: markerKey, digest: fc.constantFrom('d0', 'd0', 'd0', 'd1') }), {
  nil: undefined,
  freq: 2,
});
const binding = fc.nat(2);
const why = fc.constantFrom('released', 'forced', 'undone', 'undone');
const progress = fc.constantFrom('p0', 'p1');

const move: fc.Arbitrary<MoveStep> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      to: fc.constant('delta'),
      micros: fc.constantFrom(1, 1, 999, 1000, 100_000, 1_000_000, -1, -1000, -2_000_000, -40_000_000),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ to: fc.constant('instant'), index, micros: fc.constantFrom(-1, 0, 0, 1) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      to: fc.constant('delta'),
      micros: fc.constantFrom(requestMemoryMs * 1000, fenceAgeMicros, fenceAgeMicros + 1),
    }),
  },
);

const adminKind = fc.constantFrom<AdminOp['kind'][]>(
  'read',
  'read',
  'quarantine',
  'create',
  'inherit',
  'durable',
  'suspect',
  'suspect',
  'fences',
  'fences',
  'takeover',
  'retire',
  'adopt',
);

const brought: fc.Arbitrary<Brought> = fc.record({
  floor: token,
  entries: fc.array(
    fc.record({ name, token, state: fc.constantFrom('open', 'released', 'forced', 'undone'), secret }),
    { maxLength: 3 },
  ),
});

const admin: fc.Arbitrary<AdminStep> = fc.record({
  kind: adminKind,
  run: fc.constantFrom(0, 0, 0, 1, 2),
  otherRun: fc.constantFrom(0, 1, 2),
  id: fc.constantFrom('q0', 'q1'),
  cluster: fc.constantFrom('c0', 'c0', 'c0', 'c1'),
  longestTtlMs: fc.constantFrom(longestTtlMs, longestTtlMs, 30_000),
  schema: fc.constantFrom(SCHEMA, SCHEMA, SCHEMA, SCHEMA + 1),
  durable: fc.boolean(),
  after,
  limit,
  brought,
});

function step<S extends Step>(
  kind: S['do'],
  fields: { [K in keyof Omit<S, 'do'>]: fc.Arbitrary<S[K & keyof S]> },
) {
  return fc.record({ do: fc.constant(kind), ...fields }) as unknown as fc.Arbitrary<Step>;
}

type Of<K extends Step['do']> = Extract<Step, { do: K }>;

/** Weights: mostly votes, often a move of the clock, now and then something that happens to the node as a whole. */
export const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 22,
    arbitrary: step<Of<'hold'>>('hold', {
      lease: lease(2),
      ttlMs,
      seen,
      marker,
      place: fc.option(place, { nil: undefined, freq: 2 }),
    }),
  },
  { weight: 15, arbitrary: anyLineStep },
  {
    weight: 14,
    arbitrary: step<Of<'renew'>>('renew', {
      lease: lease(9),
      ttlMs,
      progress: fc.option(progress, { nil: undefined, freq: 2 }),
      binding: fc.option(fc.record({ binding: fc.nat(3), binds: fc.boolean() }), { nil: undefined, freq: 2 }),
    }),
  },
  {
    weight: 9,
    arbitrary: step<Of<'repair'>>('repair', {
      lease: lease(7),
      ttlMs,
      binding,
      progress: fc.constantFrom('', '', 'p0', 'p1'),
      marker,
    }),
  },
  {
    weight: 16,
    arbitrary: step<Of<'release'>>('release', {
      lease: lease(8),
      why,
      closing: fc.boolean(),
      binding: fc.option(binding, { nil: undefined, freq: 2 }),
      seen,
      markerKey: fc.option(markerKey, { nil: undefined }),
    }),
  },
  { weight: 8, arbitrary: step<Of<'end'>>('end', { lease: lease(9), binding: fc.constantFrom(0, 0, 0, 1) }) },
  { weight: 6, arbitrary: step<Of<'force'>>('force', { name, of: fc.option(index, { nil: undefined }) }) },
  { weight: 4, arbitrary: step<Of<'reveal'>>('reveal', { name, of: index }) },
  { weight: 6, arbitrary: step<Of<'bar'>>('bar', { lease: lease(6) }) },
  {
    weight: 7,
    arbitrary: step<Of<'look'>>('look', {
      name,
      history: fc.constantFrom(0, 1, 5, 64, 100),
      line: fc.constantFrom(0, 0, 1, 2, 100),
    }),
  },
  {
    weight: 3,
    arbitrary: step<Of<'list'>>('list', { prefix: fc.constantFrom('', '', 'a', 'a/', 'c'), after, limit }),
  },
  { weight: 4, arbitrary: step<Of<'sweep'>>('sweep', { after, limit }) },
  { weight: 1, arbitrary: step<Of<'ping'>>('ping', {}) },
  { weight: 1, arbitrary: step<Of<'churn'>>('churn', { name, times: fc.constantFrom(3, 31, 32, 33, 40) }) },
  { weight: 22, arbitrary: step<Of<'move'>>('move', { move }) },
  {
    weight: 1,
    arbitrary: step<Of<'admit'>>('admit', {
      cluster: fc.constantFrom('c0', 'c0', 'c1'),
      longestTtlMs: fc.constantFrom(longestTtlMs, longestTtlMs, 30_000),
    }),
  },
  { weight: 5, arbitrary: step<Of<'admin'>>('admin', { op: admin }) },
  {
    weight: 5,
    arbitrary: step<Of<'heal'>>('heal', { brought: fc.option(brought, { nil: undefined, freq: 2 }) }),
  },
  { weight: 1, arbitrary: step<Of<'lose'>>('lose', {}) },
);
