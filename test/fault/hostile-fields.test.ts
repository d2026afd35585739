/** Anything in any field of any call: an answer or a typed refusal that names the field, and nobody else's lock is touched (G10). */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { refusals } from '../../src/domain/refusals.ts';
import type { SessionOp } from '../../src/edge/gen/holdfast/v1/SessionOp.ts';
import { BareConnection } from '../harness/bare-streams.ts';
import {
  encoded,
  HostileCaller,
  type MethodName,
  type Outcome,
  type StreamName,
  topOf,
} from '../harness/hostile-caller.ts';
import { damaged, foreignId, type Wild, wild } from '../harness/hostile-fields.ts';
import { Target } from '../harness/hostile-target.ts';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, type Lease, span } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

/** By hand more. A failure prints its seed. */
const RUNS = Number(process.env.HOLDFAST_RUNS ?? 40);
const OPERATIONS = 64;
const env = { HOLDFAST_MAX_TTL: '60s', HOLDFAST_DEFAULT_TTL: '30s' };

let nodes: Nodes;
let target: Target;
let caller: HostileCaller;
let held: Lease[];
let before: string;
let granted = 0;

beforeAll(async () => {
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list, env);
  target = await Target.start(nodes.list, env);
  caller = new HostileCaller(target.address);
  const { client } = target.replica;
  const ttl = span(60_000);
  held = [
    await client.lock('fuzz/held', { owner: 'bystander', ttl }),
    await client.lock(['fuzz/both', 'fuzz/more'], { owner: 'bystander', ttl }),
    await client.lock('fuzz/read', { owner: 'bystander', mode: 'MODE_SHARED', ttl }),
  ];
  before = await locks();
});
afterAll(async () => {
  caller?.close();
  await target?.stop();
  await nodes?.close();
});

/** All locks but those of the client beside: who holds what by which lease, and who waits. */
async function locks(): Promise<string> {
  const { locks, next_page_token } = await target.replica.client.list({ prefix: 'fuzz/', page_size: 1000 });
  expect(next_page_token).toBe('');
  return JSON.stringify(
    locks.map(({ resource, queue_length, holders }) => [
      resource,
      queue_length,
      holders.map(({ owner, lease_ref, fencing_token, mode }) => [owner, lease_ref, fencing_token, mode]),
    ]),
  );
}

async function unchanged(): Promise<void> {
  let now = '';
  const same = async (): Promise<boolean> => {
    now = await locks();
    return now === before;
  };
  await until('the locks are as before', same, 5000).catch((error: unknown) => {
    throw new Error(`${String(error)}\nbefore: ${before}\nnow:    ${now}`);
  });
}

/** What was granted goes back; everything else has left nothing. */
async function tidied(outcome: Outcome): Promise<void> {
  const lease = (outcome.message as { lease?: Lease | null } | undefined)?.lease;
  if (lease) {
    granted += 1;
    await target.replica.client.release(lease.lease_id);
  }
  await unchanged();
}

/** The fields that a refusal names are those that are broken, all of them and no other. */
function judge({ reason, fields }: Outcome, { broken }: Wild, path = ''): void {
  const named = new Set(fields.map((field) => topOf(field.slice(path.length))));
  // None of no resources are two many; and a request_id may have been used by an earlier run.
  if (broken.includes('resources')) named.delete('any');
  if (!broken.includes('request_id')) named.delete('request_id');
  expect([...named].sort()).toEqual([...broken].sort());
  if (broken.length > 0) expect(reason).toBe('INVALID_FIELD');
}

const check = <Values extends [unknown, ...unknown[]]>(
  arbitraries: { [At in keyof Values]: fc.Arbitrary<Values[At]> },
  act: (...values: Values) => Promise<void>,
): Promise<void> => fc.assert(fc.asyncProperty(...arbitraries, act), { numRuns: RUNS, endOnFailure: true });

describe('a request with anything in its fields', () => {
  const plain: [MethodName, fc.Arbitrary<Wild>][] = [
    ['Acquire', wild.acquire],
    ['Inspect', wild.inspect],
    ['List', wild.list],
    ['CheckToken', wild.checkToken],
    ['ForceRelease', wild.forceRelease],
  ];
  test.each(plain)('%s names exactly what is broken, and touches no lock', async (method, requests) => {
    await check<[Wild]>([requests], async (one) => {
      const outcome = await caller.call(method, encoded(method, one.request));
      judge(outcome, one);
      await tidied(outcome);
    });
  });

  test.each<[MethodName, fc.Arbitrary<Wild>]>([
    ['Heartbeat', wild.heartbeat],
    ['Release', wild.release],
  ])('%s by an id that is almost somebody’s is refused, or finds nothing', async (method, requests) => {
    const ids = foreignId(held.map(({ lease_id }) => lease_id));
    await check<[Wild, string]>([requests, ids], async (one, lease_id) => {
      const outcome = await caller.call(method, encoded(method, { ...one.request, lease_id }));
      const named = outcome.fields.map(topOf).filter((field) => field !== 'lease_id');
      expect(named).toEqual(one.broken);
      if (outcome.reason === undefined) expect(outcome.message).toEqual({ released: false });
      else expect(['INVALID_FIELD', 'LEASE_LOST']).toContain(outcome.reason);
      await unchanged();
    });
  });

  test('Watch names exactly what is broken', async () => {
    await check<[Wild]>([wild.watch], async (one) => {
      judge(await caller.stream('Watch', encoded('Watch', one.request)), one);
    });
    await unchanged();
  });

  test('Hold names exactly what is broken, and what it was granted goes with its stream', async () => {
    await check<[Wild]>([wild.acquire], async (one) => {
      const acquire = { ...one.request, wait: one.request.wait ?? span(0) };
      const outcome = await caller.stream('Hold', encoded('Hold', { acquire }));
      judge(outcome, one, 'acquire.');
      await unchanged();
    });
  });
});

test('bytes that were requests once are answered or refused like any other', async () => {
  const kinds: [MethodName | StreamName, fc.Arbitrary<Wild>][] = [
    ['Acquire', wild.acquire],
    ['Heartbeat', wild.heartbeat],
    ['Release', wild.release],
    ['Inspect', wild.inspect],
    ['List', wild.list],
    ['CheckToken', wild.checkToken],
    ['Watch', wild.watch],
    [
      'Hold',
      wild.acquire.map(({ request, broken }) => ({
        request: { acquire: { ...request, wait: span(1) } },
        broken,
      })),
    ],
  ];
  const any = fc.oneof(
    ...kinds.map(([method, requests]) =>
      requests.map(({ request }) => ({ method, bytes: encoded(method, request) })),
    ),
  );
  const accident = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }), fc.nat());
  await check<[{ method: MethodName | StreamName; bytes: Buffer }, [number, number, number]]>(
    [any, accident],
    async ({ method, bytes }, how) => {
      const body = damaged(bytes, ...how);
      if (method === 'Hold' || method === 'Watch') {
        await caller.stream(method, body);
        await unchanged();
      } else {
        await tidied(await caller.call(method, body));
      }
    },
  );
});

test('each operation of a session is answered once, with its result or a reason, and leaves nothing', async () => {
  const ids = foreignId(held.map(({ lease_id }) => lease_id));
  const operation = fc.oneof(
    wild.acquire.map(({ request }) => ({ acquire: request })),
    wild.checkToken.map(({ request }) => ({ check_token: request })),
    fc.tuple(wild.heartbeat, ids).map(([{ request }, lease_id]) => ({ heartbeat: { ...request, lease_id } })),
    fc.tuple(wild.release, ids).map(([{ request }, lease_id]) => ({ release: { ...request, lease_id } })),
    ids.map((lease_id) => ({ resume: { lease_id } })),
    fc.nat().map((seq) => ({ cancel: { seq } })),
    fc.constant({}),
  );
  const connection = await BareConnection.to(target.address);
  const many = fc.array(operation, { minLength: OPERATIONS, maxLength: OPERATIONS });
  await fc.assert(
    fc.asyncProperty(many, async (ops) => {
      const session = connection.openSession();
      session.ask(ops as SessionOp[]);
      await until('all are answered', () => session.closed || session.results.length >= ops.length);
      session.halfClose();
      await session.over();
      expect([session.status, session.detail]).toEqual([0, 'OK']);
      expect(session.results.map(({ seq }) => Number(seq)).sort((a, b) => a - b)).toEqual(
        ops.map((_, at) => at + 1),
      );
      for (const { error, cancel } of session.results) {
        if (!error || cancel || error.code === 1) continue;
        expect(Object.keys(refusals)).toContain(error.reason);
        expect(error.reason).not.toBe('INTERNAL');
        expect(error.field_violations.length > 0).toBe(error.reason === 'INVALID_FIELD');
      }
      granted += session.results.filter(({ acquire }) => acquire?.lease).length;
      await unchanged();
    }),
    { numRuns: Math.ceil(RUNS / 6), endOnFailure: true },
  );
  connection.close();
});

test('some were granted, all others’ leases stand, and the service is well', async () => {
  // A service that refuses everything would have passed all of the above.
  expect(granted).toBeGreaterThan(3);
  for (const { lease_id, fencing_token } of held) {
    expect((await target.replica.client.heartbeat(lease_id)).fencing_token).toBe(fencing_token);
  }
  await target.unharmed();
});
