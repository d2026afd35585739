/** How the edge drains: no new locks, the rest finishes, and nobody is left hanging. */
import { type Client, type ServiceDefinition, type ServiceError, status } from '@grpc/grpc-js';
import { service as healthService } from 'grpc-health-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Edge } from '../../src/edge/server.ts';
import { draining } from '../../src/edge/status.ts';
import type { Locks } from '../../src/locks/locks.ts';
import { acquireRequest, contract, failure, Stage, unary } from '../unit/edge/harness.ts';
import { decodeStatus } from '../unit/edge/rpc-status.ts';

const { locks: rpc, admin } = contract;
let stage: Stage;

beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.close());

const check = (client: Client, service = ''): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const { Check } = healthService as unknown as { Check: ServiceDefinition[string] };
    client.makeUnaryRequest(
      Check.path,
      Check.requestSerialize,
      Check.responseDeserialize,
      { service },
      (error, value) => (error ? reject(error) : resolve((value as { status: string }).status)),
    );
  });

/** The health service's news, as they come. */
function watch(client: Client): { news: string[]; ended: Promise<ServiceError> } {
  const { Watch } = healthService as unknown as { Watch: ServiceDefinition[string] };
  const news: string[] = [];
  const stream = client.makeServerStreamRequest(
    Watch.path,
    Watch.requestSerialize,
    Watch.responseDeserialize,
    { service: '' },
  );
  stream.on('data', ({ status: said }: { status: string }) => news.push(said));
  const ended = new Promise<ServiceError>((resolve) => stream.on('error', resolve));
  return { news, ended };
}

describe('drain', () => {
  /** Holds the first Acquire back until told, so that a drain has something to wait for. */
  function held(): { onAcquire: Locks['acquire']; go(): void } {
    let go = (): void => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    return {
      go: () => go(),
      onAcquire: async (ask) => {
        await gate;
        return stage.locks.grant(ask);
      },
    };
  }

  test('refuses new locks and serves everything else until the calls under way are over', async () => {
    const edge = await stage.edge();
    edge.setServing(true);
    const client = stage.client(edge.addresses[0]!);
    const health = watch(stage.client(edge.addresses[0]!));
    await vi.waitFor(() => expect(health.news).toEqual(['SERVING']), 10_000);
    const { lease } = await unary(client, rpc.Acquire, acquireRequest());
    const { lease_id } = lease as { lease_id: string };
    const gate = held();
    stage.locks.onAcquire = gate.onAcquire;
    const pending = unary(client, rpc.Acquire, acquireRequest({ owner: 'slow' }));
    await vi.waitFor(() => expect(stage.locks.acquires).toHaveLength(2), 10_000);

    const drained = edge.drain(60_000);
    const error = await failure(unary(client, rpc.Acquire, acquireRequest()));
    expect(error.code).toBe(status.UNAVAILABLE);
    const { details } = decodeStatus(error.metadata);
    expect(details.ErrorInfo?.reason).toBe('DRAINING');
    expect(details.RetryInfo).toBeDefined();
    expect(await check(client)).toBe('NOT_SERVING');
    expect(await unary(client, admin.Status, {})).toMatchObject({ draining: true });
    expect(await unary(client, rpc.Heartbeat, { lease_id })).toMatchObject({ lease: { owner: 'w1' } });
    expect(await unary(client, rpc.Release, { lease_id })).toEqual({ released: true });
    expect(await unary(client, rpc.Inspect, { resource: 'gpu/0' })).toBeDefined();
    expect(await unary(client, rpc.List, {})).toBeDefined();
    edge.setServing(true);
    expect(await check(client)).toBe('NOT_SERVING');

    gate.go();
    expect(await pending).toMatchObject({ lease: { owner: 'slow' } });
    await drained;
    expect(health.news).toEqual(['SERVING', 'NOT_SERVING']);
    expect((await health.ended).code).toBe(status.UNAVAILABLE);
    const refused = await failure(unary(stage.client(edge.addresses[0]!), rpc.List, {}));
    expect(refused.code).toBe(status.UNAVAILABLE);
  });

  test('answers those who wait at once, and is not held up by them', async () => {
    let answer = (): void => {};
    stage.locks.onAcquire = () =>
      new Promise((resolve) => {
        answer = () => resolve(draining);
      });
    stage.locks.onDrain = () => answer();
    const edge = await stage.edge();
    const request = acquireRequest({ wait: { seconds: 600 } });
    const pending = failure(unary(stage.client(edge.addresses[0]!), rpc.Acquire, request));
    await vi.waitFor(() => expect(stage.locks.acquires).toHaveLength(1), 10_000);
    const startedMs = performance.now();
    await Promise.all([edge.drain(60_000), edge.drain(60_000)]);
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    const error = await pending;
    expect(error.code).toBe(status.UNAVAILABLE);
    const { details } = decodeStatus(error.metadata);
    expect(details.ErrorInfo?.reason).toBe('DRAINING');
    expect(details.RetryInfo).toBeDefined();
    expect(stage.locks.drains).toBe(1);
  });

  test('is over at once when nothing is under way, although clients stay connected', async () => {
    const edge = await stage.edge();
    const client = stage.client(edge.addresses[0]!);
    await unary(client, rpc.List, {});
    const watching = watch(stage.client(edge.addresses[0]!));
    await vi.waitFor(() => expect(watching.news).toHaveLength(1), 10_000);
    const startedMs = performance.now();
    await edge.drain(30_000);
    expect(performance.now() - startedMs).toBeLessThan(5_000);
  });

  test('ends by force at its limit', async () => {
    const edge = await stage.edge();
    const client = stage.client(edge.addresses[0]!);
    const gate = held();
    stage.locks.onAcquire = gate.onAcquire;
    const pending = failure(unary(client, rpc.Acquire, acquireRequest()));
    await vi.waitFor(() => expect(stage.locks.acquires).toHaveLength(1), 10_000);
    await edge.drain(100);
    expect([status.UNAVAILABLE, status.CANCELLED]).toContain((await pending).code);
    gate.go();
    // The grant that nobody will hear of is given back even now.
    await vi.waitFor(() => expect(stage.locks.givenBack).toHaveLength(1), 10_000);
  });

  test('is not needed to stop at once, whatever is under way', async () => {
    const edge = await stage.edge();
    const gate = held();
    stage.locks.onAcquire = gate.onAcquire;
    const pending = failure(unary(stage.client(edge.addresses[0]!), rpc.Acquire, acquireRequest()));
    await vi.waitFor(() => expect(stage.locks.acquires).toHaveLength(1), 10_000);
    const startedMs = performance.now();
    await edge.stop();
    // Keepalive would end the connection, too, but only after 10 s.
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    expect((await pending).code).toBe(status.UNAVAILABLE);
    gate.go();
  });

  test('may be asked for twice, and cut short by stop', async () => {
    const edge: Edge = await stage.edge();
    const gate = held();
    stage.locks.onAcquire = gate.onAcquire;
    const pending = failure(unary(stage.client(edge.addresses[0]!), rpc.Acquire, acquireRequest()));
    await vi.waitFor(() => expect(stage.locks.acquires).toHaveLength(1), 10_000);
    const drains = [edge.drain(60_000), edge.drain(60_000)];
    await edge.stop();
    await pending;
    gate.go();
    await Promise.all(drains);
  });
});
