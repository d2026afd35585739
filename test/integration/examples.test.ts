/** The examples, as a reader would run them: against `bin/holdfast serve` over three real lock nodes. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Ended,
  INSTALL_MS,
  installedGrpcurl,
  ROOT,
  run,
  runnable,
  withoutGrpcurl,
} from '../harness/grpcurl.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';

const BIN = join(ROOT, 'bin/holdfast');
const WORKER = join(ROOT, 'examples/python/worker.py');

const python = join(ROOT, '.venv/bin/python');
const worker = runnable(python) ? '' : ' [skipped: no .venv here; run make tools]';
for (const reason of [worker, withoutGrpcurl])
  if (reason !== '') process.stderr.write(`examples.test.ts:${reason}\n`);

let nodes: RedisServer[] = [];
let service: ChildProcess | undefined;
let address = '';

beforeAll(async () => {
  nodes = await Promise.all([1, 2, 3].map(() => startRedis()));
  const env = {
    ...process.env,
    HOLDFAST_ARCHIVE: 'off',
    HOLDFAST_REDIS_NODES: nodes.map(({ url }) => url).join(','),
    HOLDFAST_LISTEN: '127.0.0.1:0',
    HOLDFAST_HTTP_LISTEN: '127.0.0.1:0',
  };
  const made = spawnSync(BIN, ['config', 'bootstrap'], { env, encoding: 'utf8' });
  expect(made.status, made.stderr).toBe(0);
  service = spawn(BIN, ['serve'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: service.stdout! })) {
    const { msg, addresses } = JSON.parse(line) as { msg: string; addresses: string[] };
    if (msg !== 'serving') continue;
    address = addresses[0]!;
    break;
  }
  // Whatever else it logs must not fill the pipe.
  service.stdout!.resume();
});

afterAll(async () => {
  if (service !== undefined && service.exitCode === null) {
    const gone = once(service, 'exit');
    service.kill('SIGTERM');
    await gone;
  }
  await Promise.all(nodes.map((node) => node.stop()));
});

describe.skipIf(worker !== '')(`the Python worker${worker}`, () => {
  const work = (...args: string[]): Promise<Ended> => run(python, [WORKER, '--address', address, ...args]);

  test('takes the lease, renews it, sends its token with each effect and gives it back', async () => {
    const { code, out, err } = await work(
      '--ttl',
      '3',
      '--steps',
      '3',
      '--step-seconds',
      '0.7',
      '--owner',
      'w1',
    );
    expect(code, err).toBe(0);
    const token = /^acquired gpu\/0 as w1: token (\d+), lease_ref \S{16}$/m.exec(out)?.[1];
    expect(token, out).toBeDefined();
    expect(out).toMatch(/^heartbeat: renewed, \d\.\d s left$/m);
    for (const step of [1, 2, 3])
      expect(out).toContain(`store: wrote 'step ${step} of 3' under token ${token}\n`);
    expect(out).toContain(`\nreleased\n`);
    expect(out).toContain(
      `store: refused 'a late write': token ${BigInt(token!) - 1n} is smaller than ${token}\n`,
    );
  });

  test('finds the lock busy and says who has it', async () => {
    const held = await run(BIN, ['acquire', 'gpu/busy', '--address', address, '--owner', 'somebody']);
    expect(held.code, held.err).toBe(0);
    const { code, out } = await work('--resource', 'gpu/busy');
    expect(out).toMatch(/^busy: gpu\/busy is held by somebody \(token \d+\)$/m);
    expect(code).toBe(75);
  });

  test('stops writing when its lease is taken away by force, and says why', async () => {
    const running = work(
      '--resource',
      'gpu/forced',
      '--ttl',
      '1.5',
      '--steps',
      '20',
      '--step-seconds',
      '0.25',
    );
    const force = (): Promise<Ended> =>
      run(BIN, ['force-release', 'gpu/forced', '--reason', 'test', '--address', address, '--json']);
    await expect.poll(async () => (await force()).out, { timeout: 10_000 }).toContain('gpu/forced');
    const { code, out } = await running;
    expect(out).toMatch(/^heartbeat: LEASE_LOST why=forced$/m);
    expect(out).toMatch(/^stopped: lease \S+ is not valid any more$/m);
    expect(out).toContain('release: it was gone already');
    expect(code).toBe(76);
  });

  test('reads the fields of a refusal from its details', async () => {
    const { code, out } = await work('--ttl', '3600');
    expect(out).toMatch(
      /^acquire: INVALID_FIELD field=ttl ttl=must lie within 100ms and 60000ms, not 3600000ms$/m,
    );
    expect(code).toBe(1);
  });
});

describe.skipIf(withoutGrpcurl !== '')(`the grpcurl session of examples/grpcurl.md${withoutGrpcurl}`, () => {
  let grpcurl = '';

  beforeAll(async () => {
    grpcurl = await installedGrpcurl();
  }, INSTALL_MS);

  const call = (...args: string[]): Promise<Ended> => run(grpcurl, ['-plaintext', ...args]);
  const ask = (method: string, request: object): Promise<Ended> =>
    call('-d', JSON.stringify(request), address, `holdfast.v1.${method}`);

  /** In line behind itself and behind another one, and where one of several is free. */
  async function waits(asks: typeof ask, held: { owner: string; resources: string[] }): Promise<void> {
    const late = { resources: held.resources, owner: 'late', wait: '0.3s' };
    const elapsed = JSON.parse((await asks('LockService/Acquire', late)).out);
    expect(elapsed.busy).toMatchObject({ wait_elapsed: true, position: 1, queue_length: 1 });
    const cycle = await asks('LockService/Acquire', { ...late, owner: held.owner });
    expect(cycle.err).toContain(`DEADLOCK: this wait would never end: ${held.owner} -> `);
    const several = { resources: [...held.resources, 'gpu/2'], any: 1, owner: 'late', wait: '5s', ttl: '1s' };
    const picked = JSON.parse((await asks('LockService/Acquire', several)).out);
    expect(picked.lease.resources).toEqual(['gpu/2']);
  }

  test('lists, describes, acquires, meets Busy, waits, renews, releases, and decodes an error', async (context) => {
    if (grpcurl === '') context.skip('grpcurl could not be installed by go');

    expect((await call(address, 'list')).out.split('\n')).toEqual(
      expect.arrayContaining([
        'grpc.health.v1.Health',
        'holdfast.v1.AdminService',
        'holdfast.v1.LockService',
      ]),
    );
    expect((await call(address, 'describe', 'holdfast.v1.Busy')).out).toContain('message Busy {');

    const request = { resources: ['gpu/1'], owner: 'me', ttl: '30s' };
    const granted = JSON.parse((await ask('LockService/Acquire', request)).out);
    expect(granted.lease).toMatchObject({
      resources: ['gpu/1'],
      owner: 'me',
      mode: 'MODE_EXCLUSIVE',
      ttl: '30s',
    });

    const busy = JSON.parse((await ask('LockService/Acquire', { ...request, owner: 'you' })).out);
    expect(busy.busy.holders[0]).toMatchObject({ owner: 'me', fencing_token: granted.lease.fencing_token });

    const shown = JSON.parse((await ask('LockService/Inspect', { resource: 'gpu/1', history_limit: 5 })).out);
    expect(shown).toMatchObject({
      state: 'STATE_HELD',
      source: 'SOURCE_LIVE',
      last_token: granted.lease.fencing_token,
    });
    expect(shown.nodes).toHaveLength(3);

    await waits(ask, granted.lease);

    const lease = { lease_id: granted.lease.lease_id };
    const renewed = JSON.parse((await ask('LockService/Heartbeat', { ...lease, progress: 'epoch 3' })).out);
    expect(renewed.lease.fencing_token).toBe(granted.lease.fencing_token);

    expect(JSON.parse((await ask('LockService/Release', lease)).out)).toEqual({ released: true });

    const lost = await ask('LockService/Heartbeat', lease);
    expect(lost.code).not.toBe(0);
    expect(lost.err).toContain('Code: FailedPrecondition');
    expect(lost.err).toContain('Message: LEASE_LOST: the lease is gone: released');
    // grpcurl was given no description of google.rpc.ErrorInfo, so it shows the bytes.
    const packed = /"@value": "([^"]+)"/.exec(lost.err)?.[1] ?? '';
    expect(Buffer.from(packed, 'base64').toString('latin1')).toMatch(/LEASE_LOST.*holdfast.*why.*released/s);
  });
});
