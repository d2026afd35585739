/** The client against a real service on its embedded store: what every caller meets. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ReplicaProcess } from '../../../../test/harness/replica.ts';
import { until } from '../../../../test/harness/until.ts';
import {
  BusyError,
  ClosedError,
  DeadlockError,
  Holdfast,
  InvalidFieldError,
  type Lease,
  LeaseLostError,
  type Queued,
  QuotaError,
  UnavailableError,
  UnknownResourceError,
} from '../../src/index.ts';

let replica: ReplicaProcess;
let hf: Holdfast;
beforeAll(async () => {
  replica = await ReplicaProcess.start('', { HOLDFAST_MAX_TTL: '20s', HOLDFAST_DEFAULT_TTL: '20s' });
  hf = new Holdfast({ address: replica.address });
});
afterAll(async () => {
  await hf?.close();
  await replica?.stop();
});

/** What `promise` rejects with. */
async function thrown<E extends Error>(
  promise: Promise<unknown>,
  kind: new (...args: never[]) => E,
): Promise<E> {
  const error = await promise.then(
    (value) => new Error(`resolved to ${String(value)}`),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(kind);
  return error as E;
}

test('a lease carries what was granted, and a scope gives it back', async () => {
  let token = 0n;
  {
    await using lease = await hf.lock(['a/0', 'a/1'], { ttl: '5s', owner: 'me', labels: { team: 'x' } });
    token = lease.token;
    expect(lease.resources).toEqual(['a/0', 'a/1']);
    expect(lease.owner).toBe('me');
    expect(lease.mode).toBe('exclusive');
    expect(lease.labels).toEqual({ team: 'x' });
    expect(lease.ttlMs).toBe(5000);
    expect(lease.remainingMs).toBeGreaterThan(3000);
    expect(lease.remainingMs).toBeLessThanOrEqual(4948);
    expect(lease.lost).toBeUndefined();
    expect(JSON.stringify(lease)).not.toContain(lease.leaseId);
    await lease.progress('epoch 3 of 10');
    const { holders, state } = await hf.inspect('a/0');
    expect(state).toBe('held');
    expect(holders[0]).toMatchObject({
      owner: 'me',
      token,
      leaseRef: lease.leaseRef,
      progress: 'epoch 3 of 10',
    });
  }
  const { state, lastToken, history } = await hf.inspect('a/0', { history: 10 });
  expect({ state, lastToken }).toEqual({ state: 'free', lastToken: token });
  expect(history[0]?.type).toBe('released');
});

test('held by others is BusyError at once, and with a wait when that is over', async () => {
  await using _held = await hf.lock('busy', { owner: 'first' });
  const busy = await thrown(hf.lock('busy'), BusyError);
  expect(busy).toMatchObject({ reason: 'BUSY', queueLength: 0, position: 0, waitElapsed: false });
  expect(busy.holders[0]).toMatchObject({ resource: 'busy', owner: 'first' });
  expect(busy.retryAfterMs).toBeGreaterThan(0);
  const late = await thrown(hf.lock('busy', { wait: 50 }), BusyError);
  expect(late).toMatchObject({ waitElapsed: true, position: 1 });
});

test('who waits is told its place, and gets the lease when it is given back', async () => {
  const first = await hf.acquire('line', { owner: 'first' });
  const queued: Queued[] = [];
  const second = hf.hold('line', { owner: 'second', onQueued: (news) => queued.push(news) });
  await until('it is queued', () => queued.length > 0);
  expect(queued[0]).toMatchObject({ position: 1, queueLength: 1 });
  expect(queued[0]!.holders[0]!.owner).toBe('first');
  expect(await first.release('done')).toBe(true);
  const lease = await second;
  expect(lease.token).toBeGreaterThan(first.token);
  expect(await first.release()).toBe(false);
  expect(await lease.release()).toBe(true);
});

test('a wait that is given up by its signal leaves the line, and rejects with its reason', async () => {
  await using _held = await hf.lock('aborted');
  const controller = new AbortController();
  let queued = false;
  const waits = hf.hold('aborted', { signal: controller.signal, onQueued: () => (queued = true) });
  await until('it is queued', () => queued);
  controller.abort(new Error('no longer needed'));
  await expect(waits).rejects.toThrow('no longer needed');
  await until('nobody waits', async () => (await hf.inspect('aborted')).waiters.length === 0);
  await expect(hf.lock('aborted', { signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow(
    'before',
  );
});

test('readers share, and any k of n are picked', async () => {
  await using one = await hf.lock('shared', { mode: 'shared' });
  await using two = await hf.lock('shared', { mode: 'shared' });
  expect(one.mode).toBe('shared');
  expect(two.token).not.toBe(one.token);
  await thrown(hf.lock('shared'), BusyError);
  await using _taken = await hf.lock('pool/0');
  await using picked = await hf.lock(['pool/0', 'pool/1', 'pool/2'], { any: 1 });
  expect(picked.resources).toHaveLength(1);
  expect(picked.resources[0]).not.toBe('pool/0');
});

test('a circle of waits is DeadlockError, with who is in it', async () => {
  const [a, b] = [await hf.lock('circle/a', { owner: 'ann' }), await hf.lock('circle/b', { owner: 'bob' })];
  const waits = hf.lock('circle/b', { owner: 'ann', wait: '10s' });
  await until('ann waits', async () => (await hf.inspect('circle/b')).waiters.length === 1);
  const error = await thrown(hf.lock('circle/a', { owner: 'bob', wait: '10s' }), DeadlockError);
  expect([...error.owners].sort()).toEqual(['ann', 'bob']);
  expect(error.cycle).not.toBe('');
  await b.release();
  await (await waits).release();
  await a.release();
});

test('what breaks a rule is named, by this client and by the service', async () => {
  const wrong = { ttl: 'soon', wait: -1, priority: 10, any: 3, labels: { '': 'x' }, owner: '' };
  const error = await thrown(hf.lock(['fine', 'not fine', 'fine'], { ...wrong, any: 4 }), InvalidFieldError);
  const fields = ['resources[1]', 'resources[2]', 'owner', 'ttl', 'wait', 'any', 'priority', 'labels[""]'];
  expect(error.fields.map(({ field }) => field)).toEqual(fields);
  const theirs = await thrown(hf.lock('fine', { ttl: '1h' }), InvalidFieldError);
  expect(theirs.fields.map(({ field }) => field)).toEqual(['ttl']);
  expect(theirs).toMatchObject({ code: 3, reason: 'INVALID_FIELD' });
  await thrown(hf.inspect('never/heard/of'), UnknownResourceError);
});

test('a lease that is forced from its holder is lost in every way that tells', async () => {
  const lease = await hf.acquire('forced');
  const { signal } = lease;
  const freed = await hf.forceRelease('forced', { reason: 'a test', leaseRef: lease.leaseRef });
  expect(freed.map(({ leaseRef }) => leaseRef)).toEqual([lease.leaseRef]);
  await until('it is told', () => signal.aborted);
  expect(signal.reason).toBeInstanceOf(LeaseLostError);
  expect(lease.lost?.reason).toBe('forced');
  expect(lease.remainingMs).toBe(0);
  expect(() => lease.check()).toThrow(LeaseLostError);
  expect(await lease.release()).toBe(false);
});

test('a scope that ended well although its lease was lost throws, and one that failed throws its own error', async () => {
  const lose = async (lease: Lease): Promise<void> => {
    await hf.forceRelease(lease.resources[0]!, { reason: 'a test' });
    await until('it is lost', () => lease.lost !== undefined);
  };
  const error = await thrown(hf.withLock('scope', lose), LeaseLostError);
  expect(error.why).toBe('forced');
  const fails = async (lease: Lease): Promise<void> => {
    await lose(lease);
    throw new Error('its own');
  };
  await expect(hf.withLock('scope', fails)).rejects.toThrow('its own');
  expect(await hf.withLock('scope', ({ resources }) => resources.length)).toBe(1);
  expect((await hf.inspect('scope')).state).toBe('free');
});

test('tokens are checked, locks listed page by page, and the service shows itself', async () => {
  await using lease = await hf.lock('shown/1');
  await using _other = await hf.lock('shown/2');
  expect(await hf.checkToken('shown/1', lease.token)).toEqual({ current: true, lastToken: lease.token });
  expect((await hf.checkToken('shown/1', lease.token - 1n)).current).toBe(false);
  await thrown(hf.checkToken('shown/1', 0n), InvalidFieldError);
  const names: string[] = [];
  for await (const { resource } of hf.list({ prefix: 'shown/' })) names.push(resource);
  expect(names).toEqual(['shown/1', 'shown/2']);
  expect(await hf.status()).toMatchObject({ embedded: true, draining: false, nodes: [{ state: 'ready' }] });
});

test('a hundred locks at once, and each given back', async () => {
  const leases = await Promise.all(Array.from({ length: 100 }, (_, at) => hf.acquire(`many/${at}`)));
  expect(new Set(leases.map(({ token }) => token)).size).toBe(100);
  expect(await Promise.all(leases.map((lease) => lease.release()))).toEqual(leases.map(() => true));
});

test('a line that is full is QuotaError', async () => {
  const small = await ReplicaProcess.start('', { HOLDFAST_MAX_WAITERS_PER_RESOURCE: '1' });
  const other = new Holdfast({ address: small.address });
  try {
    const held = await other.lock('full');
    const first = other.hold('full', { owner: 'first' });
    await until('one waits', async () => (await other.inspect('full')).waiters.length === 1);
    const error = await thrown(other.hold('full', { owner: 'second' }), QuotaError);
    expect(error.reason).toBe('TOO_MANY_WAITERS');
    await held.release();
    await (await first).release();
  } finally {
    await other.close();
    await small.stop();
  }
});

test('a closed client has released what it held, and refuses everything', async () => {
  const other = new Holdfast({ address: replica.address, grace: '20s' });
  const lease = await other.acquire('closing');
  await using _held = await hf.lock('closing/held');
  let queued = false;
  const waits = other.hold('closing/held', { onQueued: () => (queued = true) });
  await until('it is queued', () => queued);
  const closing = other.close();
  await thrown(waits, ClosedError);
  await closing;
  expect(lease.lost?.reason).toBe('released');
  expect((await hf.inspect('closing')).state).toBe('free');
  await until('nobody waits', async () => (await hf.inspect('closing/held')).waiters.length === 0);
  await thrown(other.lock('closing'), ClosedError);
  await thrown(other.status(), ClosedError);
});

test('nobody there is UnavailableError once the time is over, with the addresses', async () => {
  const nobody = new Holdfast({ addresses: ['127.0.0.1:1', 'unix:/nowhere/holdfast.sock'] });
  const error = await thrown(nobody.lock('x'), UnavailableError);
  expect(error.addresses).toEqual(['127.0.0.1:1', 'unix:/nowhere/holdfast.sock']);
  await nobody.close();
});
