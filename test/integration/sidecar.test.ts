/** Holdfast as a sidecar: on a unix socket alone, with workers of both languages, and with the signals of a pod that ends. */
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ROOT } from '../harness/grpcurl.ts';
import { Program, PYTHON, PYTHON_ENV, withoutPython } from '../harness/program.ts';
import type { Environment, ReplicaProcess } from '../harness/replica.ts';
import { here, Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

const LEASE_TTL_MS = 4000;
interface Turn {
  readonly token: string;
  readonly fromMs: number;
  readonly untilMs: number;
}

const HOLDFAST = join(ROOT, 'bin/holdfast');

let scene: Scene;
let folder: string;
let socket: string;
const programs: Program[] = [];

beforeEach(async () => {
  scene = await Scene.open(3);
  folder = mkdtempSync(join(tmpdir(), 'hf-sidecar-'));
  socket = join(folder, 'holdfast.sock');
});
afterEach(async () => {
  for (const program of programs.splice(0)) await program.stopped();
  await scene.close();
  rmSync(folder, { recursive: true });
});

/** As deploy/helm starts it: gRPC on the socket and nowhere else. */
function sidecar(more: Environment = {}): Promise<ReplicaProcess> {
  const http = `unix:${join(folder, 'http.sock')}`;
  return scene.process({ HOLDFAST_LISTEN: `unix:${socket}`, HOLDFAST_HTTP_LISTEN: http, ...more });
}

function run(command: readonly [string, ...string[]], env: Environment = {}): Program {
  const program = new Program(command, { HOLDFAST_ADDRESS: `unix:${socket}`, ...env });
  programs.push(program);
  return program;
}

const inTypeScript = (...orders: string[]): Program =>
  run([process.execPath, here('sidecar-worker.ts'), ...orders]);
const inPython = (...orders: string[]): Program =>
  run([PYTHON, here('sidecar-worker.py'), ...orders], PYTHON_ENV);

const health = (...flags: string[]): Program =>
  run([HOLDFAST, 'health', '--address', `unix:${socket}`, '--timeout', '3s', ...flags]);

const event = (name: string) => (line: Readonly<Record<string, unknown>>) => line.event === name;

async function expiryMs(replica: ReplicaProcess, resource: string): Promise<number> {
  const { holders } = (await replica.client.inspect(resource)) as {
    holders: readonly { expire_time: { seconds: string; nanos: number } }[];
  };
  const { seconds = '0', nanos = 0 } = holders[0]?.expire_time ?? {};
  return Number(seconds) * 1000 + nanos / 1e6;
}

/** Resolves once the service has renewed the lease for longer than one ttl from now. */
async function outlivesItsTtl(replica: ReplicaProcess, resource: string): Promise<void> {
  const beforeMs = await expiryMs(replica, resource);
  await until(`${resource} is renewed`, async () => {
    return (await expiryMs(replica, resource)) > beforeMs + LEASE_TTL_MS;
  });
}

describe(`a sidecar and its workers${withoutPython}`, () => {
  test.skipIf(withoutPython !== '')('both languages take turns on one lock through the socket', async () => {
    const replica = await sidecar();
    const gate = await replica.client.lock('turn');
    const workers = [inTypeScript('turns', '20', 'turn'), inPython('turns', '20', 'turn')];
    await scene.queued('turn', 2, 40_000);
    await replica.client.release(gate.lease_id);
    for (const worker of workers) expect(await worker.ended(), worker.err).toBe(0);
    const turns = workers
      .flatMap(({ lines }, who) => lines.map((line) => ({ who, ...(line as unknown as Turn) })))
      .sort((a, b) => a.fromMs - b.fromMs);
    expect(turns).toHaveLength(40);
    expect(turns[0]?.who, 'who waits is next').not.toBe(turns[1]?.who);
    let before: Turn = { token: gate.fencing_token, fromMs: 0, untilMs: 0 };
    for (const turn of turns) {
      expect(BigInt(turn.token), 'tokens only grow').toBeGreaterThan(BigInt(before.token));
      expect(turn.fromMs, 'nobody begins before the other has ended').toBeGreaterThanOrEqual(before.untilMs);
      before = turn;
    }
  });

  test.skipIf(withoutPython !== '')(
    'the worker is told first and gives its lock back at once, the sidecar is told then and ends with 0',
    async () => {
      const replica = await sidecar({ HOLDFAST_DRAIN_TIMEOUT: '10s' });
      for (const start of [inTypeScript, inPython]) {
        const worker = start('keep', 'card', String(LEASE_TTL_MS * 5));
        await worker.says('granted', event('granted'));
        worker.signal('SIGTERM');
        expect(await worker.ended(), worker.err).toBe(0);
        // By its release, not by its ttl of 20 s.
        await scene.nodes.free('card', 10_000);
      }
      replica.signal('SIGTERM');
      expect(await replica.ended()).toBe(0);
      expect(existsSync(socket), 'the socket is left behind').toBe(false);
    },
  );

  test.skipIf(withoutPython !== '')(
    'a worker that ends slowly keeps its lock until it has ended',
    async () => {
      const replica = await sidecar();
      const workers = [
        inTypeScript('keep', 'a', String(LEASE_TTL_MS)),
        inPython('keep', 'b', String(LEASE_TTL_MS)),
      ];
      for (const worker of workers) {
        await worker.says('granted', event('granted'));
        worker.signal('SIGUSR1');
        await worker.says('slow', event('slow'));
        worker.signal('SIGTERM');
        await worker.says('told', event('told'));
      }
      await Promise.all([outlivesItsTtl(replica, 'a'), outlivesItsTtl(replica, 'b')]);
      for (const worker of workers) {
        worker.signal('SIGUSR2');
        expect(await worker.ended(), worker.err).toBe(0);
        expect(worker.lines.some(event('lost'))).toBe(false);
      }
      await Promise.all([scene.nodes.free('a', 10_000), scene.nodes.free('b', 10_000)]);
      replica.signal('SIGTERM');
      expect(await replica.ended()).toBe(0);
    },
  );

  test('told in the other order, a worker that ends slowly loses its lock: the order is what keeps it', async () => {
    const replica = await sidecar({ HOLDFAST_DRAIN_TIMEOUT: '1s' });
    const worker = inTypeScript('keep', 'card', String(LEASE_TTL_MS));
    await worker.says('granted', event('granted'));
    replica.signal('SIGTERM');
    expect(await replica.ended()).toBe(0);
    await worker.says('lost', event('lost'));
  });
});

describe('the socket', () => {
  test('is for its own user alone', async () => {
    const replica = await sidecar();
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    chmodSync(folder, 0o755);
    const knock = `import socket,sys,os
os.setuid(int(sys.argv[2]))
try: socket.socket(socket.AF_UNIX).connect(sys.argv[1])
except PermissionError: sys.exit(13)`;
    if (process.getuid?.() === 0) {
      for (const [uid, code] of [
        [0, 0],
        [65_534, 13],
      ] as const) {
        expect(await run(['python3', '-c', knock, socket, String(uid)]).ended(), `as ${uid}`).toBe(code);
      }
    } else console.warn('SKIPPED: only root can try the socket as another user');
    replica.signal('SIGTERM');
    expect(await replica.ended()).toBe(0);
  });

  test('left behind by a kill -9, it is taken over; one that answers is not', async () => {
    const killed = await sidecar();
    killed.signal('SIGKILL');
    await killed.ended();
    expect(existsSync(socket)).toBe(true);
    await expect(answers()).rejects.toThrow('ECONNREFUSED');
    const next = await sidecar();
    await answers();
    await expect(sidecar()).rejects.toThrow('already in use');
    await answers();
    next.signal('SIGTERM');
    expect(await next.ended()).toBe(0);
  });

  test('answers the built-in probe, with a majority and without', async () => {
    expect(await health('--live').ended(), 'nobody there').toBe(69);
    const replica = await sidecar();
    expect(await health('--live').ended()).toBe(0);
    await until('it serves', async () => (await health().ended()) === 0);
    await Promise.all(scene.nodes.servers.slice(1).map((server) => server.kill()));
    await until('it does not serve', async () => (await health().ended()) === 69);
    expect(await health('--live').ended(), 'alive without a majority').toBe(0);
    replica.signal('SIGTERM');
    expect(await replica.ended()).toBe(0);
  });
});

function answers(): Promise<void> {
  return new Promise((done, failed) => {
    const knocking = connect(socket, () => {
      knocking.destroy();
      done();
    });
    knocking.once('error', failed);
  });
}
