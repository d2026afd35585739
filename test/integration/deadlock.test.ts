/** Deadlock: a wait that can never end is refused with its cycle named, and no other wait is. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Lease } from '../../src/domain/lease.ts';
import type { Refusal } from '../../src/domain/refusals.ts';
import { type Ask, Site } from '../harness/site.ts';

let site: Site;

beforeEach(async () => {
  site = await Site.open({ desks: 3 });
});
afterEach(async () => {
  await site.close();
});

/** Each owner takes its resource at its own desk. */
function hold(holds: Readonly<Record<string, string>>): Promise<Lease[]> {
  return Promise.all(Object.entries(holds).map(([owner, name], at) => site.lock(at % 3, name, { owner })));
}

const cycleIn = ({ metadata }: Refusal) => ({
  owners: JSON.parse(metadata.owners!) as string[],
  resources: JSON.parse(metadata.resources!) as string[],
});

describe('a cycle of one', () => {
  test('is refused to whoever waits for what its own owner holds, and is Busy without waiting', async () => {
    const [lease] = (await hold({ w1: 'a' })) as [Lease];
    expect(await site.ask(1, 'a', { owner: 'w1' }).answer).toMatchObject({
      kind: 'busy',
      holders: [{ owner: 'w1' }],
    });
    const refusal = await site.wait(1, 'a', { owner: 'w1' }).refusal();
    expect(refusal).toMatchObject({ reason: 'DEADLOCK', message: expect.stringContaining('w1 -> a -> w1') });
    expect(cycleIn(refusal)).toEqual({ owners: ['w1'], resources: ['a'] });
    await site.nobodyWaits();
    expect((await site.desks[0]!.heartbeat(lease)).kind).toBe('lease');
  });

  test('is found behind a waiter of the same replica, where the nodes are told of it later', async () => {
    await hold({ w1: 'a' });
    const ahead = site.wait(0, 'a', { owner: 'w2' });
    await site.becomes('a', { line: ['w2'] });
    const refusal = await site.wait(0, 'a', { owner: 'w1' }).refusal();
    expect(cycleIn(refusal)).toEqual({ owners: ['w1'], resources: ['a'] });
    expect(ahead.outcome).toBeUndefined();
    await site.becomes('a', { held: ['w1'], line: ['w2'] });
  });

  test('is found though others stand ahead, and in whichever of several resources it is', async () => {
    await hold({ w1: 'a', w2: 'b' });
    const ahead = site.wait(0, 'b', { owner: 'w3' });
    await site.becomes('b', { line: ['w3'] });
    const refusal = await site.wait(2, ['c', 'b', 'a'], { owner: 'w1' }).refusal();
    expect(cycleIn(refusal)).toEqual({ owners: ['w1'], resources: ['a'] });
    expect(ahead.outcome).toBeUndefined();
    await site.becomes('b', { held: ['w2'], line: ['w3'] });
  });
});

describe('a cycle of two', () => {
  test('refuses exactly the one that closes it, and the other is served when the way is free', async () => {
    const [, second] = (await hold({ w1: 'a', w2: 'b' })) as [Lease, Lease];
    const first = site.wait(0, 'b', { owner: 'w1' });
    await site.becomes('b', { line: ['w1'] });
    const refusal = await site.wait(1, 'a', { owner: 'w2' }).refusal();
    expect(refusal).toMatchObject({
      reason: 'DEADLOCK',
      metadata: { cycle: 'w2 -> a -> w1 -> b -> w2', links: '2' },
    });
    expect(cycleIn(refusal)).toEqual({ owners: ['w2', 'w1'], resources: ['a', 'b'] });
    expect(first.outcome).toBeUndefined();
    await site.becomes('a', { held: ['w1'], line: [] });
    await site.release(second);
    expect((await first.lease()).owner).toBe('w1');
    await site.nobodyWaits();
  });

  test('between two who read the same and want to write it is broken, too', async () => {
    // No upgrade, but the same trap over two sets.
    await site.lock(0, 'a', { owner: 'w1', mode: 'shared' });
    await site.lock(1, 'b', { owner: 'w2', mode: 'shared' });
    const first = site.wait(0, 'b', { owner: 'w1' });
    await site.becomes('b', { line: ['w1'] });
    const refusal = await site.wait(1, 'a', { owner: 'w2' }).refusal();
    expect(cycleIn(refusal)).toEqual({ owners: ['w2', 'w1'], resources: ['a', 'b'] });
    expect(first.outcome).toBeUndefined();
  });

  test('is none where both only read', async () => {
    await site.lock(0, 'a', { owner: 'w1', mode: 'shared' });
    await site.lock(1, 'b', { owner: 'w2', mode: 'shared' });
    const asks = [
      site.wait(0, 'b', { owner: 'w1', mode: 'shared' }),
      site.wait(1, 'a', { owner: 'w2', mode: 'shared' }),
    ];
    for (const ask of asks) expect((await ask.lease()).mode).toBe('shared');
  });
});

test('a cycle of three over three replicas refuses the one that closes it', async () => {
  const [, , third] = (await hold({ w1: 'a', w2: 'b', w3: 'c' })) as [Lease, Lease, Lease];
  const first = site.wait(0, 'b', { owner: 'w1' });
  const second = site.wait(1, 'c', { owner: 'w2' });
  await site.becomes('b', { line: ['w1'] });
  await site.becomes('c', { line: ['w2'] });
  const refusal = await site.wait(2, 'a', { owner: 'w3' }).refusal();
  expect(refusal.metadata.cycle).toBe('w3 -> a -> w1 -> b -> w2 -> c -> w3');
  expect([first.outcome, second.outcome]).toEqual([undefined, undefined]);
  await site.release(third);
  await site.release(await second.lease());
  expect((await site.shown('b')).held).toEqual(['w2']);
});

test.each([8, 20])('a cycle of %i owners is walked to its end', async (size) => {
  const owners = Array.from({ length: size }, (_, at) => `w${at}`);
  await hold(Object.fromEntries(owners.map((owner, at) => [owner, `r${at}`])));
  const asks: Ask[] = [];
  for (const at of owners.keys()) {
    if (at === size - 1) break;
    asks.push(site.wait(at % 3, `r${at + 1}`, { owner: `w${at}` }));
    await site.becomes(`r${at + 1}`, { line: [`w${at}`] });
  }
  const refusal = await site.wait(1, 'r0', { owner: owners.at(-1)!, waitMs: 5000 }).refusal();
  expect(refusal.metadata.links).toBe(String(size));
  expect(cycleIn(refusal).owners).toEqual([owners.at(-1), ...owners.slice(0, -1)]);
  expect(asks.every(({ outcome }) => outcome === undefined)).toBe(true);
});

describe('whoever is not part of the cycle', () => {
  test('but waits behind it is not refused, and is served in the end', async () => {
    const [one, two] = (await hold({ w1: 'a', w2: 'b' })) as [Lease, Lease];
    const first = site.wait(0, 'b', { owner: 'w1' });
    await site.becomes('b', { line: ['w1'] });
    const behind = [site.wait(2, 'a', { owner: 'w3' }), site.wait(1, 'b', { owner: 'w4' })];
    await site.becomes('a', { line: ['w3'] });
    await site.becomes('b', { line: ['w1', 'w4'] });
    const refusal = await site.wait(1, 'a', { owner: 'w2' }).refusal();
    expect(cycleIn(refusal).owners).toEqual(['w2', 'w1']);
    expect([first, ...behind].map(({ outcome }) => outcome)).toEqual([undefined, undefined, undefined]);
    await site.release(two);
    await site.release(await first.lease(), one);
    for (const ask of behind) expect((await ask.answer).kind).toBe('lease');
    await site.nobodyWaits();
  });

  test('but joins after it was closed by others is not refused', async () => {
    const [one] = (await hold({ w1: 'a', w2: 'b' })) as [Lease, Lease];
    const first = site.wait(0, 'b', { owner: 'w1' });
    await site.becomes('b', { line: ['w1'] });
    const [closing, late] = [site.wait(1, 'a', { owner: 'w2' }), site.wait(2, ['a', 'c'], { owner: 'w3' })];
    expect((await closing.refusal()).reason).toBe('DEADLOCK');
    await site.becomes('a', { line: ['w3'] });
    expect([first.outcome, late.outcome]).toEqual([undefined, undefined]);
    await site.release(one);
    expect((await late.lease()).owner).toBe('w3');
  });
});
