/** A lease outlives its replica: drained, killed, or cut off, it goes on at another one with the same token. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Cable } from '../../../../test/harness/cable.ts';
import { Scene } from '../../../../test/harness/scene.ts';
import { until } from '../../../../test/harness/until.ts';
import { BusyError, Holdfast, type Lease } from '../../src/index.ts';

let scene: Scene;
const closing: (() => unknown)[] = [];
beforeAll(async () => {
  scene = await Scene.open();
}, 60_000);
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(() => scene?.close());

/** A stall of a busy machine must not look like the loss of a quorum: that is not what is tried here. */
const replica = () => scene.process({ HOLDFAST_NODE_TIMEOUT: '3s' });

function client(...[options]: ConstructorParameters<typeof Holdfast>): Holdfast {
  const hf = new Holdfast({ ttl: '6s', grace: '4s', ...options });
  closing.push(() => hf.close());
  return hf;
}

/** Somebody renews it twice from now on, and its holder counts along. */
async function outlives(lease: Lease, watcher: Holdfast): Promise<void> {
  const { token } = lease;
  const [name = ''] = lease.resources;
  const ends = async (): Promise<number> => {
    const { holders } = await watcher.inspect(name);
    return holders[0]?.expireTime?.getTime() ?? 0;
  };
  for (let renewal = 0; renewal < 2; renewal += 1) {
    const before = await ends();
    // What is left at a node is rounded: the same end may seem a little later.
    await until('it was renewed', async () => (await ends()) > before + 500);
  }
  await until('the holder has heard of it', () => lease.remainingMs > lease.ttlMs / 2);
  expect(lease.lost).toBeUndefined();
  expect(lease.token).toBe(token);
  expect(await watcher.checkToken(name, token)).toEqual({ current: true, lastToken: token });
}

test('drained: the lease is resumed elsewhere with the same token, and its wait finds its place', async () => {
  const [old, next] = [await replica(), await replica()];
  const watcher = client({ address: next.address });
  const hf = client({ addresses: [old.address, next.address] });
  const lease = await hf.acquire('drained');
  const held = await watcher.acquire('drained/held', { owner: 'holder' });
  const waits = hf.hold('drained/held', { owner: 'ahead' });
  await until('ahead waits', async () => (await watcher.inspect('drained/held')).waiters.length === 1);
  const behind = watcher.hold('drained/held', { owner: 'behind' });
  await until('behind waits', async () => (await watcher.inspect('drained/held')).waiters.length === 2);
  old.signal('SIGTERM');
  expect(await old.ended()).toBe(0);
  await outlives(lease, watcher);
  await held.release();
  const ahead = await waits;
  expect(ahead.remainingMs).toBeGreaterThan(0);
  expect(await ahead.release()).toBe(true);
  await (await behind).release();
  expect(await lease.release()).toBe(true);
});

test('killed: the lease is resumed at the other replica with the same token', async () => {
  const [old, next] = [await replica(), await replica()];
  const watcher = client({ address: next.address });
  const hf = client({ addresses: [old.address, next.address] });
  const lease = await hf.acquire('killed');
  old.signal('SIGKILL');
  await old.ended();
  await outlives(lease, watcher);
  expect(await lease.release()).toBe(true);
  expect((await watcher.inspect('killed')).state).toBe('free');
});

test('reset at the server alone: noticed by keepalive, resumed within the grace, whose end then frees nothing', async () => {
  const only = await replica();
  const [host = '', port = ''] = only.address.split(':');
  const cable = await Cable.to({ host, port: Number(port) });
  closing.push(() => cable.close());
  const where = cable.where as { readonly host: string; readonly port: number };
  const watcher = client({ address: only.address });
  const addresses = [`${where.host}:${where.port}`, only.address];
  const hf = client({ addresses, grace: '3s', keepalive: { time: 500, timeout: 500 } });
  const lease = await hf.acquire('cut');
  cable.cut('out');
  cable.reset();
  await outlives(lease, watcher);
  expect(await lease.release()).toBe(true);
});

test('with a grace of 0 an unannounced end is a loss at once, and the lock is free', async () => {
  const [old, next] = [await replica(), await replica()];
  const watcher = client({ address: next.address });
  const hf = client({ addresses: [old.address, next.address], grace: 0 });
  const lease = await hf.acquire('no-grace');
  const { signal } = lease;
  old.signal('SIGKILL');
  await until('it is lost', () => signal.aborted);
  expect(lease.lost?.reason).toBe('unknown');
  // The replica died without a word: the nodes keep it until its time is up.
  await until('it is free', async () => (await watcher.inspect('no-grace')).state === 'free');
  expect(() => lease.check()).toThrow('unknown');
});

test('a lease is lost when nobody can be reached for longer than its count', async () => {
  const [only, other] = [await replica(), await replica()];
  const watcher = client({ address: other.address });
  const hf = client({ address: only.address, grace: '1s' });
  const lease = await hf.acquire('alone');
  const { signal } = lease;
  only.signal('SIGKILL');
  await until('it is lost', () => signal.aborted);
  expect(lease.lost?.reason).toBe('unknown');
  // Told in time: the lock is still taken.
  await expect(watcher.lock('alone')).rejects.toThrow(BusyError);
});

test('what is asked while the connection breaks is asked again, and answered once', async () => {
  const [old, next] = [await replica(), await replica()];
  const hf = client({ addresses: [old.address, next.address], grace: 0 });
  await hf.status();
  const asked = Array.from({ length: 50 }, (_, at) => hf.acquire(`again/${at}`, { wait: '10s' }));
  old.signal('SIGKILL');
  const leases = await Promise.all(asked);
  expect(new Set(leases.map(({ token }) => token)).size).toBe(50);
  await Promise.all(leases.map((lease) => lease.release()));
});
