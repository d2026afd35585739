/** A holder whose process is killed lets go at once, or after its grace, and never only when its ttl is over. */
import { accessSync, constants } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { HoldingProcess } from '../harness/holding.ts';
import { keeps } from '../harness/kept.ts';
import { HoldStream } from '../harness/lock-streams.ts';
import type { ReplicaProcess } from '../harness/replica.ts';
import { type Lease, span } from '../harness/rpc-client.ts';
import { Scene } from '../harness/scene.ts';

const TTL_MS = 20_000;
/** What is far below the ttl, and below keepalive too; how fast it really is, the bench says. */
const SOON_MS = 5000;
const ROUNDS = 5;
const WAIT = { seconds: 50 };

const python = fileURLToPath(new URL('../../.venv/bin/python', import.meta.url));
function runnable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
const withoutPython = runnable(python) ? '' : ' [skipped: no .venv here; run make tools]';
if (withoutPython !== '') process.stderr.write(`streams-death.test.ts:${withoutPython}\n`);

let scene: Scene;
let [one, two] = [] as unknown as [ReplicaProcess, ReplicaProcess];
const processes: HoldingProcess[] = [];

beforeAll(async () => {
  scene = await Scene.open();
  [one, two] = await Promise.all([scene.process(), scene.process()]);
});
afterEach(async () => {
  await Promise.all(processes.splice(0).map((client) => client.kill()));
});
afterAll(() => scene.close());

async function started(starting: Promise<HoldingProcess>): Promise<HoldingProcess> {
  const client = await starting;
  processes.push(client);
  return client;
}

/** Stands in line for it at the other replica. */
async function behind(resource: string): Promise<{ lease: Promise<Lease> }> {
  const lease = two.client.lock(resource, { owner: `next of ${resource}`, wait: WAIT });
  // Whoever fails hears of it below.
  lease.catch(() => {});
  await scene.queued(resource, 1);
  return { lease };
}

function tell(who: string, tookMs: readonly number[]): void {
  const sorted = tookMs.map(Math.round).sort((a, b) => a - b);
  process.stderr.write(
    `streams-death.test.ts: ${who}: SIGKILL to the next grant, median ${sorted[sorted.length >> 1]} ms of ${sorted.join(', ')}\n`,
  );
}

/** Kills each and waits for all who stood behind its leases. */
async function killed(
  clients: readonly HoldingProcess[],
  names: (round: number) => readonly string[],
): Promise<number[]> {
  const tookMs: number[] = [];
  for (const [round, client] of clients.entries()) {
    const held = new Map(client.leases.map((lease) => [lease.resources[0]!, lease]));
    expect([...held.keys()].sort()).toEqual([...names(round)].sort());
    const waiting = await Promise.all(names(round).map((name) => behind(name)));
    const killedMs = performance.now();
    await client.kill();
    const next = await Promise.all(waiting.map(({ lease }) => lease));
    tookMs.push(performance.now() - killedMs);
    for (const { resources, fencing_token } of next) {
      expect(BigInt(fencing_token)).toBeGreaterThan(BigInt(held.get(resources[0]!)!.fencing_token));
    }
  }
  await keeps(one, 0);
  for (const ms of tookMs) expect(ms).toBeLessThan(SOON_MS);
  return tookMs;
}

const rounds = Array.from({ length: ROUNDS }, (_, round) => round);
const hold = (resource: string, more = {}, ttlMs = TTL_MS) => ({
  ttlMs,
  hold: { acquire: { resources: [resource], owner: `holder of ${resource}`, ttl: span(ttlMs) }, ...more },
});

describe('SIGKILL of a process with a ttl of 20 s', () => {
  test('frees what it holds by Hold', async () => {
    const name = (round: number) => `node/${round}`;
    const clients = await Promise.all(
      rounds.map((round) => started(HoldingProcess.start(one.address, hold(name(round))))),
    );
    tell('a Hold of grpc-js', await killed(clients, (round) => [name(round)]));
  });

  describe.skipIf(withoutPython !== '')(`of Python${withoutPython}`, () => {
    test('frees what it holds by Hold', async () => {
      const name = (round: number) => `python/${round}`;
      const clients = await Promise.all(
        rounds.map((round) => started(HoldingProcess.python(python, one.address, name(round)))),
      );
      tell('a Hold of grpcio', await killed(clients, (round) => [name(round)]));
    });
  });

  test('frees all that it holds by a Session', async () => {
    const names = (round: number) => [0, 1, 2, 3].map((lock) => `session/${round}/${lock}`);
    const clients = await Promise.all(
      rounds.map((round) => started(HoldingProcess.start(one.address, { session: names(round) }))),
    );
    tell('four locks of a Session', await killed(clients, names));
  });
});

describe('SIGKILL of a process whose Hold has a grace', () => {
  test.each([
    { ttlMs: 20_000, graceMs: 1500, than: 'shorter' },
    { ttlMs: 1500, graceMs: 4000, than: 'longer' },
  ])(
    'frees the lock when the grace is over, which is $than than the ttl',
    async ({ ttlMs, graceMs, than }) => {
      const name = `grace/${than}`;
      const grace = { grace: span(graceMs) };
      const client = await started(HoldingProcess.start(one.address, hold(name, grace, ttlMs)));
      const next = await behind(name);
      const killedMs = performance.now();
      await client.kill();
      await next.lease;
      const tookMs = performance.now() - killedMs;
      expect(tookMs).toBeGreaterThanOrEqual(graceMs);
      expect(tookMs).toBeLessThan(graceMs + SOON_MS);
      await keeps(one, 0);
    },
  );

  test('leaves the lock to whoever resumes it within the grace', async () => {
    const name = 'grace/resumed';
    const client = await started(HoldingProcess.start(one.address, hold(name, { grace: span(3000) })));
    const next = await behind(name);
    await client.kill();
    const resumed = HoldStream.resume(two.address, client.lease);
    expect((await resumed.granted()).fencing_token).toBe(client.lease.fencing_token);
    // Its grace ends, and with it nothing.
    await keeps(one, 0);
    // Behind whatever that replica still sent, over the same connections.
    const { holders, waiters } = await one.client.inspect(name);
    expect(holders.map(({ fencing_token }) => fencing_token)).toEqual([client.lease.fencing_token]);
    expect(waiters).toHaveLength(1);
    resumed.cancel();
    await next.lease;
  });
});

describe('SIGKILL of a process that waits', () => {
  test.each(['hold', 'session'] as const)('by a %s takes it out of the line at once', async (kind) => {
    const name = `waits/${kind}`;
    const held = await two.client.lock(name, { owner: 'holder' });
    const wish = kind === 'hold' ? hold(name) : { session: [name] };
    const client = await started(HoldingProcess.start(one.address, wish, 'queued'));
    await scene.queued(name, 1);
    await client.kill();
    // A place that nobody left would stand for its liveness, 6 s.
    await scene.queued(name, 0, SOON_MS);
    await two.client.release(held.lease_id);
    expect((await two.client.lock(name, { owner: 'next' })).owner).toBe('next');
  });
});
