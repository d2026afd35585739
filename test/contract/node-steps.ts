/** Random steps for a node, with few names, leases and tokens, so that they meet; numbers are resolved while running. */
import fc from 'fast-check';
import {
  fenceAgeMicros,
  requestMemoryMs,
  tokenLeadMicros,
  tokenSlackMicros,
} from '../../src/domain/limits.ts';
import type { AdminOp } from '../../src/nodes/admin.ts';
import { SCHEMA } from '../../src/nodes/node.ts';
import { anyLineStep, type LineStep, type PlaceStep, place } from './line-steps.ts';
import { longestTtlMs } from './under-test.ts';

/** In no particular order; by bytes it is B, a, a/b, b. */
export const names = ['a', 'a/b', 'b', 'B'] as const;
/** A clock never goes back further than this below its highest reading: garbage of the nodes has a minute to spare. */
export const furthestBackMicros = 50_000_000;

/** Where a token lies: from the node's time, or from a token that was proposed before. */
export interface TokenStep {
  readonly from: 'now' | 'known' | 'aged';
  readonly index: number;
  readonly delta: number;
}

/** Which attempt an operation is about: a new one, or one that was proposed before. */
export interface LeaseStep {
  readonly again: boolean;
  readonly index: number;
  readonly secret: number;
  readonly token: TokenStep;
  readonly names: readonly string[];
  /** Whether an attempt proposed before comes with its own resources, or with `names`. */
  readonly ownNames: boolean;
  /** The mode, too, is an earlier attempt's own together with its resources. */
  readonly shared: boolean;
}

export type MarkerStep = { readonly key: string; readonly digest: string } | undefined;

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
  | { readonly do: 'force'; readonly name: string; readonly of: number | undefined }
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

const name = fc.constantFrom(...names);
const after = fc.constantFrom('', '', '', ...names);
const limit = fc.constantFrom(1, 2, 3, 4, 5, 10);
const someNames = fc.oneof(
  { weight: 3, arbitrary: name.map((one) => [one]) },
  { weight: 2, arbitrary: fc.shuffledSubarray([...names], { minLength: 2, maxLength: 3 }) },
);
const index = fc.nat(40);
const secret = fc.nat(2);

const token: fc.Arbitrary<TokenStep> = fc.oneof(
  {
    weight: 6,
    arbitrary: around('now', [0, 0, 0, -1, 1, tokenLeadMicros - 1, tokenLeadMicros, tokenLeadMicros + 1]),
  },
  {
    weight: 4,
    arbitrary: around('known', [0, 0, 0, -1, 1, ...[-1, 0, 1].map((off) => tokenSlackMicros + off)]),
  },
  { weight: 1, arbitrary: around('aged', [-1, 0, 1]) },
);

function around(from: TokenStep['from'], deltas: readonly number[]): fc.Arbitrary<TokenStep> {
  return fc.record({ from: fc.constant(from), index, delta: fc.constantFrom(...deltas) });
}

/** `often`: out of 10, how often the attempt was proposed before. */
function lease(often: number): fc.Arbitrary<LeaseStep> {
  return fc.record({
    again: fc.nat(9).map((n) => n < often),
    index,
    secret,
    token,
    names: someNames,
    ownNames: fc.nat(5).map((n) => n > 0),
    shared: fc.nat(2).map((n) => n === 0),
  });
}

const ttlMs = fc.constantFrom(100, 1000, 30_000, longestTtlMs, longestTtlMs + 1);
const seen = fc.option(token, { nil: undefined, freq: 3 });
const markerKey = fc.constantFrom('k0', 'k1');
const marker = fc.option(fc.record({ key: markerKey, digest: fc.constantFrom('d0', 'd0', 'd0', 'd1') }), {
  nil: undefined,
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
    weight: 9,
    arbitrary: step<Of<'renew'>>('renew', {
      lease: lease(9),
      ttlMs,
      progress: fc.option(progress, { nil: undefined }),
    }),
  },
  {
    weight: 9,
    arbitrary: step<Of<'repair'>>('repair', { lease: lease(7), ttlMs, binding, progress, marker }),
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
  { weight: 6, arbitrary: step<Of<'force'>>('force', { name, of: fc.option(index, { nil: undefined }) }) },
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
