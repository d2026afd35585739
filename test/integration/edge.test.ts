/** The edge in front of scripted locks, as a real client meets it: answers, typed errors, reflection, streams. */
import { join } from 'node:path';
import { type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { limits } from '../../src/domain/limits.ts';
import { invalidField, leaseLost, noQuorum } from '../../src/domain/refusals.ts';
import type { Edge } from '../../src/edge/server.ts';
import { acquireRequest, contract, failure, holder, rawUnary, Stage, unary } from '../unit/edge/harness.ts';
import { decodeStatus } from '../unit/edge/rpc-status.ts';

const { locks: rpc, admin } = contract;
let stage: Stage;
let edge: Edge;
let address: string;

beforeEach(async () => {
  stage = new Stage();
  edge = await stage.edge();
  address = edge.addresses[0]!;
});
afterEach(() => stage.close());

const details = (error: ServiceError) => decodeStatus(error.metadata).details;
const reasonOf = (error: ServiceError): string | undefined => details(error).ErrorInfo?.reason;
const fieldsOf = (error: ServiceError): string[] | undefined =>
  details(error).BadRequest?.field_violations.map(({ field }) => field);

describe.each(['TCP', 'a unix socket'])('over %s', (kind) => {
  let client: ReturnType<Stage['client']>;

  beforeEach(async () => {
    if (kind === 'TCP') {
      client = stage.client(address);
    } else {
      const other = await stage.edge({ addresses: [`unix:${join(await stage.folder(), 's')}`] });
      client = stage.client(other.addresses[0]!);
    }
  });

  test('a lease is acquired, kept and released', async () => {
    const { lease } = await unary(client, rpc.Acquire, acquireRequest({ labels: { team: 'vision' } }));
    expect(lease).toMatchObject({ resources: ['gpu/0'], fencing_token: '1', labels: { team: 'vision' } });
    const { lease_id } = lease as { lease_id: string };
    const kept = await unary(client, rpc.Heartbeat, { lease_id, ttl: { seconds: 5 }, progress: 'half' });
    expect(kept).toMatchObject({ lease: { ttl: { seconds: '5' } }, yield_request: null });
    expect(await unary(client, rpc.Release, { lease_id, reason: 'done' })).toEqual({ released: true });
    expect(stage.locks.releases).toMatchObject([{ reason: 'done', lease: { token: 1n } }]);
  });

  test('Busy is an answer', async () => {
    stage.locks.onAcquire = async () => ({
      kind: 'busy',
      holders: [holder],
      queueLength: 0,
      position: 0,
      waitElapsed: false,
      retryAfterMs: 20,
    });
    expect(await unary(client, rpc.Acquire, acquireRequest())).toMatchObject({
      outcome: 'busy',
      busy: { holders: [{ owner: 'w2', fencing_token: '5' }], retry_after: { nanos: 20_000_000 } },
    });
  });

  test('views and the operator’s calls are answered', async () => {
    expect(await unary(client, rpc.Inspect, { resource: 'gpu/0' })).toMatchObject({ state: 'STATE_HELD' });
    expect(await unary(client, rpc.List, {})).toEqual({ locks: [], next_page_token: '' });
    expect(await unary(client, rpc.CheckToken, { resource: 'gpu/0', fencing_token: '5' })).toEqual({
      current: true,
      last_token: '5',
    });
    expect(await unary(client, admin.Status, {})).toMatchObject({ version: '0.1.0', draining: false });
    expect(await unary(client, admin.ForceRelease, { resource: 'gpu/0', reason: 'hangs' })).toMatchObject({
      freed: [{ owner: 'w2' }],
    });
  });

  test('200 calls at once each get their own answer', async () => {
    const names = Array.from({ length: 200 }, (_, at) => `gpu/${at}`);
    const answers = await Promise.all(
      names.map((name) => unary(client, rpc.Acquire, acquireRequest({ resources: [name] }))),
    );
    const leases = answers.map(({ lease }) => lease as { resources: string[]; fencing_token: string });
    expect(leases.map(({ resources }) => resources[0])).toEqual(names);
    expect(new Set(leases.map(({ fencing_token }) => fencing_token)).size).toBe(200);
  });
});

describe('errors are typed', () => {
  test.each([
    [noQuorum(1, 3, 250), status.UNAVAILABLE, 'NO_QUORUM', { answered: '1', nodes: '3' }],
    [leaseLost('expired'), status.FAILED_PRECONDITION, 'LEASE_LOST', { why: 'expired' }],
    [
      invalidField('request_id', 'was used'),
      status.INVALID_ARGUMENT,
      'INVALID_FIELD',
      { field: 'request_id' },
    ],
  ])('a refusal of the locks arrives whole: %#', async (refusal, code, reason, metadata) => {
    stage.locks.onAcquire = async () => refusal;
    const error = await failure(unary(stage.client(address), rpc.Acquire, acquireRequest()));
    expect(error.code).toBe(code);
    expect(error.details).toBe(`${reason}: ${refusal.message}`);
    expect(details(error).ErrorInfo).toEqual({ reason, domain: 'holdfast', metadata });
    expect(details(error).RetryInfo !== undefined).toBe(reason === 'NO_QUORUM');
  });

  test('a bad request names its fields and never reaches the locks', async () => {
    const request = { resources: ['a', 'a'], ttl: { seconds: 0 } };
    const error = await failure(unary(stage.client(address), rpc.Acquire, request));
    expect(error.code).toBe(status.INVALID_ARGUMENT);
    expect(fieldsOf(error)).toEqual(['resources[1]', 'owner', 'ttl']);
    expect(stage.locks.acquires).toEqual([]);
    expect(stage.operations).toEqual(['acquire refused INVALID_FIELD']);
  });

  test('an enum number that nobody knows names mode', async () => {
    const body = Buffer.concat([
      rpc.Acquire.requestSerialize(acquireRequest()),
      Buffer.from([(5 << 3) | 0, 0xac, 0x02]),
    ]);
    const error = await failure(rawUnary(stage.client(address), rpc.Acquire, body));
    expect(fieldsOf(error)).toEqual(['mode']);
  });

  test('bytes that are no UTF-8 name their field', async () => {
    const body = Buffer.from([...[0x0a, 1, 0x61], ...[0x12, 2, 0xc3, 0x28]]);
    const error = await failure(rawUnary(stage.client(address), rpc.Acquire, body));
    expect(fieldsOf(error)).toEqual(['owner']);
  });

  test('a body that is no message is the caller’s fault', async () => {
    const error = await failure(rawUnary(stage.client(address), rpc.Acquire, Buffer.from([0x0a, 0xff])));
    expect([error.code, reasonOf(error)]).toEqual([status.INVALID_ARGUMENT, 'INVALID_FIELD']);
  });

  test('a message that is too large is refused by a typed reason', async () => {
    const body = Buffer.alloc(limits.messageBytes + 1);
    const error = await failure(rawUnary(stage.client(address), rpc.Acquire, body));
    expect([error.code, reasonOf(error)]).toEqual([status.RESOURCE_EXHAUSTED, 'QUOTA']);
    expect(stage.locks.acquires).toEqual([]);
    expect(stage.calls).toEqual(['holdfast.v1.LockService/Acquire RESOURCE_EXHAUSTED']);
  });

  test.each([
    [
      'throws',
      (): never => {
        throw new Error('secret cause');
      },
    ],
    [
      'rejects',
      async (): Promise<never> => {
        throw new Error('secret cause');
      },
    ],
  ])('when the service %s the cause stays in its log', async (_how, broken) => {
    stage.locks.onAcquire = broken;
    const error = await failure(unary(stage.client(address), rpc.Acquire, acquireRequest()));
    expect([error.code, reasonOf(error)]).toEqual([status.INTERNAL, 'INTERNAL']);
    expect(JSON.stringify([error.details, decodeStatus(error.metadata)])).not.toContain('secret');
    expect(JSON.stringify(stage.notices)).toContain('secret cause');
  });

  test('Reload is not served yet', async () => {
    const error = await failure(unary(stage.client(address), admin.Reload, {}));
    expect([error.code, reasonOf(error)]).toEqual([status.UNIMPLEMENTED, 'NOT_SERVED']);
  });
});

test('shared mode, any, priority and a wait reach the locks as they were asked for', async () => {
  const client = stage.client(address);
  const request = acquireRequest({
    resources: ['gpu/0', 'gpu/1'],
    mode: 'MODE_SHARED',
    any: 1,
    priority: 3,
    wait: { seconds: 2 },
  });
  expect(await unary(client, rpc.Acquire, request)).toMatchObject({ lease: { mode: 'MODE_SHARED' } });
  expect(stage.locks.acquires[0]?.ask).toMatchObject({ mode: 'shared', any: 1, priority: 3, waitMs: 2000 });
});

test('a wait ends before the deadline of the call, and never at none', async () => {
  const client = stage.client(address);
  const wait = { seconds: 600 };
  await unary(client, rpc.Acquire, acquireRequest({ wait }), { deadline: Date.now() + 5000 });
  await unary(client, rpc.Acquire, acquireRequest({ wait }));
  await unary(client, rpc.Acquire, acquireRequest(), { deadline: Date.now() + 5000 });
  const [cut, whole, none] = stage.locks.acquires.map(({ ask }) => ask.waitMs);
  expect(cut).toBeGreaterThan(0);
  expect(cut).toBeLessThanOrEqual(4900);
  expect([whole, none]).toEqual([600_000, 0]);
});

test('every call is recorded once, with its method and code', async () => {
  const client = stage.client(address);
  await unary(client, rpc.List, {});
  await failure(unary(client, rpc.Inspect, {}));
  await failure(
    new Promise((_resolve, reject) => {
      client.makeUnaryRequest(
        '/holdfast.v1.LockService/Steal',
        (b: Buffer) => b,
        (b) => b,
        Buffer.alloc(0),
        reject,
      );
    }),
  );
  await edge.drain(10_000);
  expect(stage.calls).toEqual([
    'holdfast.v1.LockService/List OK',
    'holdfast.v1.LockService/Inspect INVALID_ARGUMENT',
  ]);
});
