/** The ends of workers and of their primary: a drain is one, a death is made good, and nobody lives on alone. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Folder } from '../harness/certificates.ts';
import { ROOT } from '../harness/grpcurl.ts';
import { Program } from '../harness/program.ts';
import { type Environment, refusal } from '../harness/replica.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';
import { gone, runs, Workers } from '../harness/workers.ts';

let scene: Scene;
const closing: (() => unknown)[] = [];
const GRANTED = 'holdfast_operations_total{op="acquire",outcome="granted",reason=""}';
const wait = { seconds: 30, nanos: 0 };

beforeAll(async () => {
  scene = await Scene.open();
});

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

afterAll(() => scene.close());

async function open(env: Environment = {}): Promise<Workers> {
  const workers = new Workers(await scene.process({ HOLDFAST_WORKERS: '2', ...env }));
  closing.push(
    () => workers.service.stop(),
    () => workers.close(),
  );
  return workers;
}

/** One who waits for a lock at each worker; all are told DRAINING in the end. */
async function waiting(workers: Workers, resource: string): Promise<Promise<unknown>[]> {
  const clients = await workers.clients(2);
  const asked = clients.map((client, at) =>
    refusal(client.acquire({ resources: [resource], owner: `q${at}`, wait })),
  );
  await scene.queued(resource, 2);
  return asked;
}

async function draining(asked: readonly Promise<unknown>[]): Promise<void> {
  for (const answer of asked) expect(await answer).toMatchObject({ reason: 'DRAINING' });
}

describe('SIGTERM', () => {
  test('drains all workers: waiters are told, leases stay, nothing is left, exit 0', async () => {
    const workers = await open();
    const pids = await workers.pids();
    const lease = await workers.client().lock('drained');
    const asked = await waiting(workers, 'drained');
    workers.service.signal('SIGTERM');
    await draining(asked);
    expect(await workers.service.ended()).toBe(0);
    expect(pids.filter(runs)).toEqual([]);
    const msgs = workers.log().map(({ msg, worker }) => `${msg} ${worker ?? ''}`);
    expect(msgs.filter((msg) => msg.startsWith('stopped')).sort()).toEqual([
      'stopped ',
      'stopped 1',
      'stopped 2',
    ]);
    expect(msgs.at(-1)).toBe('stopped ');
    const other = await scene.replica();
    expect(await other.client.heartbeat(lease.lease_id)).toMatchObject({ lease_ref: lease.lease_ref });
  });

  test('that reaches every process, more than once, is one drain, and the code is 0', async () => {
    const workers = await open();
    const pids = await workers.pids();
    const clients = await workers.clients(2);
    for (const pid of pids) {
      process.kill(pid, 'SIGINT');
      process.kill(pid, 'SIGTERM');
    }
    // Whoever obeys such a signal is not there to answer this.
    for (const [at, client] of clients.entries()) await client.lock(`signalled/${at}`);
    expect(await workers.pids()).toEqual(pids);
    const asked = await waiting(workers, 'signalled/0');
    for (const signal of ['SIGINT', 'SIGINT', 'SIGTERM', 'SIGTERM'] as const) workers.service.signal(signal);
    await draining(asked);
    expect(await workers.service.ended()).toBe(0);
    expect(workers.log().filter(({ msg }) => msg === 'draining')).toHaveLength(3);
    expect(pids.filter(runs)).toEqual([]);
  });

  test('gets over a worker that does not end by itself: it is killed, and the code is 1', async () => {
    const workers = await open({ HOLDFAST_DRAIN_TIMEOUT: '100ms' });
    const [first] = await workers.pids();
    process.kill(first!, 'SIGSTOP');
    workers.service.signal('SIGTERM');
    expect(await workers.service.ended()).toBe(1);
    expect(runs(first!)).toBe(false);
  });
});

describe('kill -9 of a worker', () => {
  test('leaves the other serving, the leases where they are, and brings a new one', async () => {
    const workers = await open();
    const [one] = await workers.clients(1);
    const victim = (await workers.all()).find(({ connections }) => connections === 1)!;
    const [two] = await workers.clients(1);
    const leases = [await one!.lock('killed/1'), await two!.lock('killed/2')];
    await workers.counts({ [GRANTED]: 2 });
    const before = await workers.pids();
    process.kill(victim.pid, 'SIGKILL');
    // Only the connections of the one are gone.
    expect(await two!.heartbeat(leases[0]!.lease_id)).toMatchObject({ lease_ref: leases[0]!.lease_ref });
    const now = await until('there are two again', async () => {
      const pids = await workers.pids();
      return pids.length === 2 && !pids.includes(victim.pid) && pids;
    });
    expect(now.filter((pid) => before.includes(pid))).toHaveLength(1);
    await workers.says('readyz', 200, '{"ready":true,"reasons":[]}');
    // The new one has none yet, so it gets the next.
    const fresh = workers.client();
    for (const lease of leases) {
      expect(await fresh.heartbeat(lease.lease_id)).toMatchObject({ lease_ref: lease.lease_ref });
      expect(await fresh.release(lease.lease_id)).toBe(true);
    }
    await workers.counts({
      holdfast_worker_restarts_total: 1,
      [GRANTED]: 2,
      [`holdfast_worker_rpcs_total{worker="${victim.worker}"}`]: 4,
    });
    expect(workers.log().find(({ msg }) => String(msg).includes('is replaced'))).toMatchObject({
      level: 'error',
      worker: victim.worker,
      pid: victim.pid,
      why: 'signal SIGKILL',
    });
  });

  test('of both keeps the address, and whoever connects meanwhile is served by the next', async () => {
    const workers = await open();
    for (const pid of await workers.pids()) process.kill(pid, 'SIGKILL');
    await workers.client().lock('killed/both');
    workers.service.signal('SIGTERM');
    expect(await workers.service.ended()).toBe(0);
  });
});

describe('kill -9 of the primary', () => {
  test('ends its workers by a drain, and another service may have the address at once', async () => {
    const workers = await open();
    const pids = await workers.pids();
    const lease = await workers.client().lock('orphans');
    const asked = await waiting(workers, 'orphans');
    workers.service.signal('SIGKILL');
    expect(await workers.service.ended()).toBe('SIGKILL');
    const next = await open({ HOLDFAST_LISTEN: workers.service.address });
    await draining(asked);
    expect(await next.client().heartbeat(lease.lease_id)).toMatchObject({ lease_ref: lease.lease_ref });
    await gone(pids);
  });
});

test('signals reach a service that is still starting: SIGHUP reads its settings again, SIGTERM ends it with 0', async () => {
  const folder = new Folder();
  closing.push(() => folder.remove());
  const socket = `unix:${join(folder.path, 'early.sock')}`;
  // Nobody is there: a bootstrap asks for longer than this takes.
  const nodes = `unix://${join(folder.path, 'nobody.sock')}#n1`;
  const service = new Program([join(ROOT, 'bin/holdfast'), 'serve'], {
    ...{ HOLDFAST_WORKERS: '2', HOLDFAST_BOOTSTRAP: '1', HOLDFAST_ARCHIVE: 'off', HOLDFAST_JANITOR: '0' },
    ...{ HOLDFAST_LISTEN: socket, HOLDFAST_HTTP_LISTEN: '127.0.0.1:0', HOLDFAST_REDIS_NODES: nodes },
  });
  closing.push(() => service.stopped());
  await until('it listens', () => existsSync(join(folder.path, 'early.sock')) || service.over);
  service.signal('SIGHUP');
  await service.says('that it has read them', ({ msg }) => msg === 'settings were read again');
  service.signal('SIGTERM');
  expect(await service.ended()).toBe(0);
  expect(service.lines.filter(({ msg }) => msg === 'serving')).toEqual([]);
});
