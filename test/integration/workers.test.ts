/** HOLDFAST_WORKERS: several processes behind the same addresses are one service. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Nodes } from '../harness/nodes.ts';
import { type Environment, ReplicaProcess } from '../harness/replica.ts';
import { Scene } from '../harness/scene.ts';
import { Workers } from '../harness/workers.ts';

let scene: Scene;
let folder = '';
const closing: (() => unknown)[] = [];

beforeAll(async () => {
  scene = await Scene.open();
  folder = await mkdtemp(join(tmpdir(), 'holdfast-workers-'));
});

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

afterAll(async () => {
  await scene.close();
  await rm(folder, { recursive: true, force: true });
});

async function open(env: Environment = {}): Promise<Workers> {
  const workers = new Workers(await scene.process({ HOLDFAST_WORKERS: '2', ...env }));
  closing.push(
    () => workers.service.stop(),
    () => workers.close(),
  );
  return workers;
}

const CALLS = ['holdfast_worker_rpcs_total{worker="1"}', 'holdfast_worker_rpcs_total{worker="2"}'] as const;
const MISSED = 'holdfast_worker_unanswered_total{worker="2"}';
const READY = '{"ready":true,"reasons":[]}';
const GRANTED = 'holdfast_operations_total{op="acquire",outcome="granted",reason=""}';

describe('two workers', () => {
  test('share the connections evenly, and /metrics is the sum of what was called at both', async () => {
    const workers = await open();
    const clients = await workers.clients(8);
    for (const [at, client] of clients.entries()) {
      for (const round of [1, 2]) await client.release((await client.lock(`sum/${at}/${round}`)).lease_id);
    }
    expect((await workers.all()).map(({ connections }) => connections)).toEqual([4, 4]);
    const method = 'rpc_method="holdfast.v1.LockService/Acquire"';
    const acquire = `rpc_system_name="grpc",${method},rpc_response_status_code="OK"`;
    await workers.counts({
      [CALLS[0]]: 20,
      [CALLS[1]]: 20,
      [GRANTED]: 16,
      'holdfast_operations_total{op="release",outcome="released",reason=""}': 16,
      [`rpc_server_call_duration_seconds_count{${acquire}}`]: 16,
      [`rpc_server_call_duration_seconds_bucket{${acquire},le="+Inf"}`]: 16,
    });
    workers.close();
    await workers.counts({
      'holdfast_worker_connections{worker="1"}': 0,
      'holdfast_worker_connections{worker="2"}': 0,
    });
  });

  test('see the same nodes, and say so once', async () => {
    const workers = await open();
    await workers.counts({
      'holdfast_node_state{node="n1",state="ready"}': 1,
      holdfast_quorum_margin: 1,
      holdfast_ready: 1,
      holdfast_workers: 2,
    });
    await workers.says('readyz', 200, READY);
    await workers.says('livez', 200, '{"live":true}');
  });

  test('grant a lock to one caller at a time, whichever of them is asked', async () => {
    const workers = await open();
    const clients = await workers.clients(6);
    const tokens: bigint[] = [];
    let inside = 0;
    await Promise.all(
      clients.map(async (client, at) => {
        for (let round = 0; round < 5; round += 1) {
          const wait = { seconds: 30, nanos: 0 };
          const lease = await client.lock('one/at/a/time', { owner: `w${at}`, wait });
          inside += 1;
          expect(inside).toBe(1);
          tokens.push(BigInt(lease.fencing_token));
          await client.inspect('one/at/a/time');
          inside -= 1;
          expect(await client.release(lease.lease_id)).toBe(true);
        }
      }),
    );
    expect(tokens).toHaveLength(30);
    expect(tokens).toEqual([...tokens].sort((a, b) => (a < b ? -1 : 1)));
    const [one, two] = await workers.metrics(...CALLS);
    expect(Math.min(one!, two!)).toBeGreaterThan(0);
  });

  test('serve a lease that the other has granted', async () => {
    const workers = await open();
    const [one, two] = await workers.clients(2);
    const lease = await one!.lock('shared/lease');
    expect(await two!.heartbeat(lease.lease_id)).toMatchObject({ lease_ref: lease.lease_ref });
    expect((await two!.acquire({ resources: ['shared/lease'], owner: 'w2' })).outcome).toBe('busy');
    expect(await two!.release(lease.lease_id)).toBe(true);
  });

  test('log whole lines, each with its worker, and `serving` is said once', async () => {
    const workers = await open();
    const lines = workers.log();
    expect(lines.filter(({ msg }) => msg === 'serving')).toMatchObject([{ workers: 2 }]);
    const served = lines.filter(({ msg }) => msg === 'a worker serves');
    expect(served.map(({ worker }) => worker).sort()).toEqual([1, 2]);
    expect(new Set(lines.map(({ pid }) => pid)).size).toBe(3);
  });
});

test('a worker that hangs is named by /livez and /readyz, and /metrics comes without it', async () => {
  const workers = await open();
  const [one, two] = await workers.clients(2);
  await one!.lock('hangs/1');
  await two!.lock('hangs/2');
  await workers.counts({ [GRANTED]: 2 });
  const [, second] = await workers.pids();
  process.kill(second!, 'SIGSTOP');
  closing.push(() => process.kill(second!, 'SIGCONT'));
  await workers.says('livez', 503, '{"live":false,"reasons":["worker 2 does not answer"]}');
  await workers.says('readyz', 503, '{"ready":false,"reasons":["worker 2: does not answer"]}');
  const [before] = await workers.metrics(MISSED);
  await workers.counts({ [GRANTED]: 2, holdfast_ready: 0 });
  const [after] = await workers.metrics(MISSED);
  expect(after).toBeGreaterThan(before!);
  process.kill(second!, 'SIGCONT');
  await workers.says('livez', 200, '{"live":true}');
  await workers.says('readyz', 200, READY);
});

describe('a unix socket', () => {
  const listen = (name: string) => ({ HOLDFAST_LISTEN: `unix:${join(folder, name)}` });

  test('is shared, open to its user only, and removed at the end', async () => {
    const workers = await open(listen('shared.sock'));
    const path = join(folder, 'shared.sock');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const clients = await workers.clients(4);
    for (const client of clients) await client.lock(`unix/${clients.indexOf(client)}`);
    expect((await workers.all()).map(({ connections }) => connections)).toEqual([2, 2]);
    workers.close();
    workers.service.signal('SIGTERM');
    expect(await workers.service.ended()).toBe(0);
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('that somebody serves is refused, and one that a dead service left is taken over', async () => {
    const workers = await open(listen('left.sock'));
    const again = scene.process({ HOLDFAST_WORKERS: '2', ...listen('left.sock') });
    await expect(again).rejects.toThrow(/ended with 2:\n.*left\.sock: the address is already in use/s);
    await workers.client().list();
    workers.service.signal('SIGKILL');
    await workers.service.ended();
    const next = await open(listen('left.sock'));
    await next.client().lock('unix/next');
  });
});

describe('what cannot be', () => {
  test('a taken address ends it with 2 and says which, and no process is left', async () => {
    const { service } = await open();
    const taken = scene.process({ HOLDFAST_WORKERS: '2', HOLDFAST_LISTEN: service.address });
    await expect(taken).rejects.toThrow(
      new RegExp(
        `ended with 2:\nholdfast: cannot start: .*${service.address}: the address is already in use`,
      ),
    );
  });

  test('workers over the embedded store: 2, and both settings are named', async () => {
    const none = ReplicaProcess.start('', { HOLDFAST_WORKERS: '2' });
    await expect(none).rejects.toThrow(/ended with 2:\nHOLDFAST_WORKERS \(2\).* HOLDFAST_REDIS_NODES/);
  });
});

test('a new cluster is bootstrapped once, before any worker looks, and each says that it is still set', async () => {
  const nodes = await Nodes.start(3);
  closing.push(() => nodes.close());
  const env = { HOLDFAST_WORKERS: '3', HOLDFAST_BOOTSTRAP: '1' };
  const workers = new Workers(await ReplicaProcess.start(nodes.list, env));
  closing.push(
    () => workers.service.stop(),
    () => workers.close(),
  );
  expect(workers.log().filter(({ msg }) => String(msg).startsWith('bootstrap:'))).toMatchObject([
    { msg: 'bootstrap: n1: ready; n2: ready; n3: ready' },
  ]);
  for (const client of await workers.clients(3)) {
    await client.lock(`new/${Math.random()}`);
    expect((await client.status()).warnings.join()).toContain('HOLDFAST_BOOTSTRAP is set');
  }
});
