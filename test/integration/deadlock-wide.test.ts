/** Deadlock where a wait is for several: through `any`, through gangs, and through who merely stands ahead in a line. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Lease } from '../../src/domain/lease.ts';
import type { Refusal } from '../../src/domain/refusals.ts';
import { Site } from '../harness/site.ts';
import { until } from '../harness/until.ts';

let site: Site;

beforeEach(async () => {
  site = await Site.open({ desks: 3 });
});
afterEach(async () => {
  await site.close();
});

const ownersIn = ({ metadata }: Refusal): string[] => JSON.parse(metadata.owners!) as string[];

/** w1 has a, w2 has b, w3 has c. */
async function three(): Promise<{ a: Lease; b: Lease; c: Lease }> {
  const [a, b, c] = (await Promise.all(
    ['a', 'b', 'c'].map((name, at) => site.lock(at, name, { owner: `w${at + 1}` })),
  )) as [Lease, Lease, Lease];
  return { a, b, c };
}

describe('a wait for any of several', () => {
  test('is no deadlock while one way out is left, and is served through it', async () => {
    const { c } = await three();
    const first = site.wait(0, 'b', { owner: 'w1' });
    await site.becomes('b', { line: ['w1'] });
    const open = site.wait(1, ['a', 'c'], { owner: 'w2', any: 1 });
    await site.becomes('a', { line: ['w2'] });
    await site.becomes('c', { line: ['w2'] });
    await site.release(c);
    const lease = await open.lease();
    expect(lease.resources).toEqual(['c']);
    expect(first.outcome).toBeUndefined();
    await site.becomes('a', { held: ['w1'], line: [] });
  });

  test('is one when all its ways lead back to it', async () => {
    const { b } = await three();
    const others = [site.wait(0, 'b', { owner: 'w1' }), site.wait(2, 'b', { owner: 'w3' })];
    for (const { owner } of others) await standsIn('b', owner);
    const refusal = await site.wait(1, ['a', 'c'], { owner: 'w2', any: 1 }).refusal();
    expect(refusal.reason).toBe('DEADLOCK');
    expect(ownersIn(refusal)[0]).toBe('w2');
    expect(others.map(({ outcome }) => outcome)).toEqual([undefined, undefined]);
    await site.release(b);
    await Promise.race(others.map(({ answer }) => answer));
  });

  test('becomes one when its last way is shut, and whoever shuts it gives way', async () => {
    const { c } = await three();
    const first = site.wait(0, 'b', { owner: 'w1' });
    await site.becomes('b', { line: ['w1'] });
    const open = site.wait(1, ['a', 'c'], { owner: 'w2', any: 1 });
    await site.becomes('c', { line: ['w2'] });
    const refusal = await site.wait(2, 'b', { owner: 'w3' }).refusal();
    expect(ownersIn(refusal)[0]).toBe('w3');
    expect([first.outcome, open.outcome]).toEqual([undefined, undefined]);
    await site.release(c);
    expect((await open.lease()).resources).toEqual(['c']);
  });

  test('among what its own owner holds is for the others, or refused where they are too few', async () => {
    const { b } = await three();
    const rest = site.wait(1, ['a', 'b'], { owner: 'w1', any: 1 });
    await standsIn('b', 'w1');
    await site.release(b);
    const lease = await rest.lease();
    expect(lease.resources).toEqual(['b']);
    const refusal = await site.wait(2, ['a', 'b', 'c'], { owner: 'w1', any: 2 }).refusal();
    expect(ownersIn(refusal)).toEqual(['w1']);
    await site.nobodyWaits();
  });
});

describe('a gang', () => {
  test('that closes a cycle with one of its resources is refused, and holds nothing of the others', async () => {
    const { b } = await three();
    const first = site.wait(0, 'b', { owner: 'w1' });
    await site.becomes('b', { line: ['w1'] });
    const refusal = await site.wait(1, ['x', 'y', 'a'], { owner: 'w2' }).refusal();
    expect(refusal.metadata.cycle).toBe('w2 -> a -> w1 -> b -> w2');
    await site.becomes('x', { held: [], line: [] });
    expect(first.outcome).toBeUndefined();
    await site.release(b);
    expect((await first.lease()).owner).toBe('w1');
    await site.nobodyWaits();
  });

  test('that waits is a link of the cycle that somebody else closes', async () => {
    const { b } = await three();
    const gang = site.wait(1, ['c', 'a'], { owner: 'w2' });
    await site.becomes('a', { line: ['w2'] });
    const refusal = await site.wait(0, 'b', { owner: 'w1' }).refusal();
    expect(refusal.metadata.cycle).toBe('w1 -> b -> w2 -> a -> w1');
    expect(gang.outcome).toBeUndefined();
    await site.becomes('b', { held: ['w2'], line: [] });
    await site.release(b);
    gang.leave();
    await site.nobodyWaits();
  });
});

describe('who stands ahead in a line without holding anything', () => {
  test('is a link, too: a gang keeps the free card that the holder of its other card wants', async () => {
    const held = await site.lock(0, 'a', { owner: 'w1' });
    const gang = site.wait(1, ['a', 'b'], { owner: 'gang' });
    await site.becomes('b', { held: [], line: ['gang'] });
    expect((await site.ask(2, 'b', { owner: 'w1' }).answer).kind).toBe('busy');
    const refusal = await site.wait(2, 'b', { owner: 'w1' }).refusal();
    expect(refusal.metadata.cycle).toBe('w1 -> b -> gang -> a -> w1');
    expect(gang.outcome).toBeUndefined();
    await site.release(held);
    expect((await gang.lease()).resources).toEqual(['a', 'b']);
    await site.nobodyWaits();
  });

  test('is none for whoever comes before it by priority', async () => {
    await site.lock(0, 'a', { owner: 'w1' });
    const gang = site.wait(1, ['a', 'b'], { owner: 'gang' });
    await site.becomes('b', { held: [], line: ['gang'] });
    const lease = await site.wait(2, 'b', { owner: 'w1', priority: 9 }).lease();
    expect(lease.resources).toEqual(['b']);
    expect(gang.outcome).toBeUndefined();
  });
});

describe('a writer that stands between two readers', () => {
  /** A wait that nobody refuses ends by itself: the test then says so soon. */
  const waitMs = 5000;

  test('is a link: whoever reads already and asks again behind it would wait for itself', async () => {
    const held = await site.lock(0, 'a', { owner: 'r1', mode: 'shared' });
    const writer = site.wait(1, 'a', { owner: 'w1' });
    await site.becomes('a', { line: ['w1'] });
    const refusal = await site.wait(2, 'a', { owner: 'r1', mode: 'shared', waitMs }).refusal();
    expect(refusal.metadata.cycle).toBe('r1 -> a -> w1 -> a -> r1');
    await site.release(held);
    expect((await writer.lease()).owner).toBe('w1');
  });

  test('is a link of a longer cycle, too', async () => {
    const [, other] = await Promise.all([
      site.lock(0, 'a', { owner: 'r1', mode: 'shared' }),
      site.lock(1, 'b', { owner: 'r2' }),
    ]);
    const writer = site.wait(2, 'a', { owner: 'w1' });
    await site.becomes('a', { line: ['w1'] });
    const first = site.wait(0, 'b', { owner: 'r1' });
    await site.becomes('b', { line: ['r1'] });
    const refusal = await site.wait(1, 'a', { owner: 'r2', mode: 'shared', waitMs }).refusal();
    expect(refusal.metadata.cycle).toBe('r2 -> a -> w1 -> a -> r1 -> b -> r2');
    expect([writer.outcome, first.outcome]).toEqual([undefined, undefined]);
    await site.release(other);
    expect((await first.lease()).owner).toBe('r1');
  });
});

async function standsIn(resource: string, owner: string): Promise<void> {
  await until(`${owner} stands in line for ${resource}`, async () => {
    const shown = await Promise.all(site.desks.map((_, desk) => site.shown(resource, desk)));
    return shown.every(({ line }) => line.includes(owner));
  });
}
