/** The fake through the real client: what a user's test orders is what the user's code sees. */
import { once } from 'node:events';
import { test as base, describe, expect } from 'vitest';
import {
  BusyError,
  DeadlockError,
  DrainingError,
  Holdfast,
  InvalidFieldError,
  LeaseLostError,
  NoQuorumError,
  QuotaError,
  UnavailableError,
  UnknownResourceError,
} from '../../src/index.ts';
import { FakeHoldfast, type HoldfastContext, holdfastFixture, ManualClock } from '../../src/testing/index.ts';

const test = base.extend<HoldfastContext>(holdfastFixture());

/** What `promise` is rejected with. */
async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => expect.unreachable(`resolved with ${String(value)}`),
    (error: unknown) => error,
  );
}

describe('a lease of the fake', () => {
  test('is granted, seen and released', async ({ fake, holdfast }) => {
    const lease = await holdfast.lock('gpu/0', { owner: 'w1', ttl: '10s', labels: { job: '7' } });
    expect(fake.holders('gpu/0')).toMatchObject([{ owner: 'w1', token: lease.token, labels: { job: '7' } }]);
    expect(lease.remainingMs).toBeGreaterThan(9000);
    expect(await lease.release()).toBe(true);
    expect(fake.holders('gpu/0')).toEqual([]);
    expect(fake.calls.map(({ name, owner }) => [name, owner])).toEqual([
      ['acquire', 'w1'],
      ['release', 'w1'],
    ]);
  });

  test('has a larger token each time, too large for 32 bits', async ({ holdfast }) => {
    const first = await holdfast.lock('gpu/0');
    await first.release();
    const second = await holdfast.lock('gpu/0');
    expect(second.token).toBeGreaterThan(first.token);
    expect(first.token).toBeGreaterThan(2n ** 32n);
  });

  test('is lost when the test says so, and the code that holds it knows at once', async ({
    fake,
    holdfast,
  }) => {
    const lease = await holdfast.lock('gpu/0');
    const { signal } = lease;
    await fake.lose('gpu/0', { reason: 'forced', detail: 'an operator' });
    expect(signal.aborted).toBe(true);
    expect(lease.lost).toEqual({ reason: 'forced', detail: 'an operator' });
    expect(() => lease.check()).toThrow(LeaseLostError);
    expect(await lease.release()).toBe(false);
  });

  test('expires when the test says so', async ({ fake, holdfast }) => {
    const lease = await holdfast.lock('gpu/0', { ttl: '30s' });
    await fake.expire('gpu/0');
    expect(lease.lost?.reason).toBe('expired');
    expect(fake.holders('gpu/0')).toEqual([]);
  });

  test('outlives any time that goes by well', async ({ fake, holdfast }) => {
    const lease = await holdfast.lock('gpu/0', { ttl: '10s' });
    await fake.clock.advance('1h');
    expect(lease.lost).toBeUndefined();
    expect(lease.remainingMs).toBeGreaterThan(5000);
    expect(fake.holders('gpu/0')).toHaveLength(1);
  });

  test('ends by its own count when time jumps, and no event is needed', async ({ fake, holdfast }) => {
    const lease = await holdfast.lock('gpu/0', { ttl: '10s' });
    const { signal } = lease;
    fake.clock.jump('9s');
    lease.check();
    fake.clock.jump('1s');
    expect(() => lease.check()).toThrow(LeaseLostError);
    expect(lease.lost?.reason).toBe('expired');
    expect(lease.remainingMs).toBe(0);
    expect(signal.aborted).toBe(true);
  });

  test('ends by its own count when the service goes silent', async ({ fake, holdfast }) => {
    const lease = await holdfast.lock('gpu/0', { ttl: '10s' });
    const aborted = once(lease.signal, 'abort');
    fake.stall();
    await fake.clock.advance('11s');
    await aborted;
    expect(lease.lost?.reason).toBe('expired');
    await fake.goOn();
    const next = await holdfast.lock('gpu/0');
    expect(next.token).toBeGreaterThan(lease.token);
  });

  test('tells its holder that somebody asks for it', async ({ fake, holdfast }) => {
    const asked: string[] = [];
    await holdfast.lock('gpu/0', { onYieldRequest: ({ owner }) => asked.push(owner) });
    await fake.askToYield('gpu/0', { owner: 'urgent' });
    expect(asked).toEqual(['urgent']);
  });
});

describe('somebody else at the fake', () => {
  test('is in the way until the test frees it', async ({ fake, holdfast }) => {
    await fake.hold('gpu/0', { owner: 'w9' });
    const busy = await failure(holdfast.lock('gpu/0'));
    expect(busy).toBeInstanceOf(BusyError);
    expect((busy as BusyError).holders).toMatchObject([{ owner: 'w9', resource: 'gpu/0' }]);
    await fake.free('gpu/0');
    await holdfast.lock('gpu/0');
  });

  test('is waited for, in line', async ({ fake, holdfast }) => {
    await fake.hold('gpu/0');
    const positions: number[] = [];
    const onQueued = ({ position }: { position: number }): void => void positions.push(position);
    const waiting = holdfast.lock('gpu/0', { wait: '1m', owner: 'w1', onQueued });
    await fake.until(() => fake.waiters('gpu/0').length === 1);
    await fake.queue('gpu/0', { owner: 'later' });
    expect(fake.waiters('gpu/0').map(({ owner }) => owner)).toEqual(['w1', 'later']);
    await fake.free('gpu/0');
    const lease = await waiting;
    expect(positions).toEqual([1]);
    await lease.release();
    expect(fake.holders('gpu/0')).toMatchObject([{ owner: 'later' }]);
  });

  test('keeps it beyond the end of a wait', async ({ fake, holdfast }) => {
    await fake.hold('gpu/0');
    const waiting = failure(holdfast.lock('gpu/0', { wait: '5s' }));
    await fake.until(() => fake.waiters('gpu/0').length === 1);
    await fake.clock.advance('5s');
    const busy = (await waiting) as BusyError;
    expect([busy.waitElapsed, busy.position]).toEqual([true, 1]);
    expect(fake.waiters('gpu/0')).toEqual([]);
  });

  test('waits for what one holds, and a cycle is refused', async ({ fake, holdfast }) => {
    await holdfast.lock('a', { owner: 'w1' });
    await fake.hold('b', { owner: 'w2' });
    await fake.queue('a', { owner: 'w2' });
    const error = (await failure(holdfast.lock('b', { owner: 'w1', wait: '1m' }))) as DeadlockError;
    expect(error).toBeInstanceOf(DeadlockError);
    expect(error.owners).toEqual(['w1', 'w2']);
    expect(error.resources).toEqual(['b', 'a']);
  });
});

describe('a refusal that the test orders', () => {
  test('comes as often as was ordered, as its own error', async ({ fake, holdfast }) => {
    fake.refuse('NO_QUORUM', { times: 2 });
    fake.refuse('QUOTA');
    const first = (await failure(holdfast.lock('gpu/0'))) as NoQuorumError;
    expect(first).toBeInstanceOf(NoQuorumError);
    expect([first.answered, first.nodes, first.retryAfterMs]).toEqual([1, 3, 1000]);
    expect(await failure(holdfast.lock('gpu/0'))).toBeInstanceOf(NoQuorumError);
    expect(await failure(holdfast.lock('gpu/0'))).toBeInstanceOf(QuotaError);
    await holdfast.lock('gpu/0');
  });

  test('can be that of another call, by status details', async ({ fake, holdfast }) => {
    fake.refuse('NO_QUORUM', { on: 'inspect' });
    expect(await failure(holdfast.inspect('gpu/0'))).toBeInstanceOf(NoQuorumError);
    expect(await failure(holdfast.inspect('gpu/0'))).toBeInstanceOf(UnknownResourceError);
  });
});

describe('the connection to the fake', () => {
  test('breaks, and the lease is resumed', async ({ fake, holdfast }) => {
    const lease = await holdfast.lock('gpu/0', { ttl: '10s' });
    await fake.disconnect();
    expect(fake.calls.map(({ name }) => name)).toEqual(['acquire', 'resume']);
    await fake.clock.advance('1m');
    lease.check();
    expect(fake.holders('gpu/0')).toMatchObject([{ token: lease.token }]);
  });

  test('stays away for longer than the grace: the lease is lost, and free', async ({ fake, holdfast }) => {
    const lease = await holdfast.lock('gpu/0', { ttl: '10s' });
    await fake.disconnect({ stay: true });
    await fake.clock.advance('2s');
    expect(lease.lost?.reason).toBe('unknown');
    expect(fake.holders('gpu/0')).toEqual([]);
    await fake.reconnect();
    await holdfast.lock('gpu/0');
  });

  test('drains, and lease and wait go on at the next replica', async ({ fake, holdfast }) => {
    const lease = await holdfast.lock('gpu/0', { ttl: '10s' });
    await fake.hold('gpu/1');
    const waiting = holdfast.lock('gpu/1', { wait: '10m', owner: 'w1' });
    await fake.until(() => fake.waiters('gpu/1').length === 1);
    await fake.drain();
    await fake.clock.advance('1m');
    lease.check();
    expect(fake.waiters('gpu/1')).toMatchObject([{ owner: 'w1', position: 1 }]);
    await fake.free('gpu/1');
    await waiting;
  });

  test('drains for good, and the lease ends by its count', async ({ fake, holdfast }) => {
    const lease = await holdfast.lock('gpu/0', { ttl: '10s' });
    await fake.drain({ forGood: true });
    await fake.clock.advance('40s');
    expect(lease.lost).toBeDefined();
    expect(fake.holders('gpu/0')).toEqual([]);
    const refused = failure(holdfast.lock('gpu/0'));
    for (let turn = 0; turn < 15; turn += 1) await fake.clock.advance('1s');
    expect(await refused).toBeInstanceOf(DrainingError);
  });

  test('was never there', async ({ fake }) => {
    await fake.disconnect({ stay: true });
    const holdfast = fake.client();
    const refused = failure(holdfast.lock('gpu/0'));
    for (let turn = 0; turn < 11; turn += 1) await fake.clock.advance('1s');
    expect(await refused).toBeInstanceOf(UnavailableError);
  });
});

test('bad fields are refused by the fake as by the service', async ({ holdfast }) => {
  const error = (await failure(holdfast.lock('gpu/0', { ttl: '2h' }))) as InvalidFieldError;
  expect(error).toBeInstanceOf(InvalidFieldError);
  expect(error.fields.map(({ field }) => field)).toEqual(['ttl']);
});

test('a client without its clock lives by its own time', async () => {
  const clock = new ManualClock();
  await using fake = await FakeHoldfast.start({ clock });
  const holdfast = new Holdfast({ address: fake.address });
  const lease = await holdfast.lock('gpu/0', { ttl: '10s' });
  clock.jump('1h');
  lease.check();
  await holdfast.close();
});
