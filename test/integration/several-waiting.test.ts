/** Any k of n: callers spread over a pool, wait for whichever comes free, and leave nothing behind in the other lines. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Lease } from '../../src/domain/lease.ts';
import { Site } from '../harness/site.ts';
import { repeat, until } from '../harness/until.ts';

const cards = ['gpu/0', 'gpu/1', 'gpu/2', 'gpu/3'];
let site: Site;

beforeEach(async () => {
  site = await Site.open();
});
afterEach(async () => {
  await site.close();
});

const namesOf = (leases: readonly Lease[]): string[] => leases.flatMap(({ resources }) => resources).sort();

/** Four callers at two desks that take one card each, all at once. */
function takeAll(): Promise<Lease[]> {
  const asks = cards.map((_, at) => site.wait(at % 2, cards, { owner: `w${at}`, any: 1 }));
  return Promise.all(asks.map((ask) => ask.lease()));
}

/** Resolves once `owner` stands in the line of every one of these cards, as each desk tells. */
async function standsInAll(owner: string, names: readonly string[] = cards): Promise<void> {
  await until(`${owner} stands in every line`, async () => {
    const shown = await Promise.all(names.flatMap((name) => [site.shown(name, 0), site.shown(name, 1)]));
    return shown.every(({ line }) => line.includes(owner));
  });
}

describe('any one of four', () => {
  test('gives four callers four cards, and tells the fifth that all are taken', async () => {
    const leases = await takeAll();
    expect(namesOf(leases)).toEqual(cards);
    expect(new Set(leases.map(({ token }) => token)).size).toBe(4);
    const busy = await site.ask(0, cards, { owner: 'w4', any: 1 }).answer;
    expect(busy.kind).toBe('busy');
    const resources = 'holders' in busy ? busy.holders.map(({ resource }) => resource).sort() : [];
    expect(resources).toEqual(cards);
    for (const lease of leases) await site.becomes(lease.resources[0]!, { held: [lease.owner], line: [] });
    await site.nobodyWaits();
  });

  test('without waiting gives whoever asks alone one that is free', async () => {
    const taken: Lease[] = [];
    for (const at of [0, 1, 2, 3]) {
      taken.push(await site.lock(at % 2, cards, { owner: `w${at}`, any: 1 }));
    }
    expect(namesOf(taken)).toEqual(cards);
    const freed = taken[2]!;
    await site.release(freed);
    expect((await site.lock(0, cards, { owner: 'w4', any: 1 })).resources).toEqual(freed.resources);
  });

  test('gives a fifth that waits exactly the card that is freed', async () => {
    const leases = await takeAll();
    const [freed, next] = [leases[1]!, leases[3]!];
    const fifth = site.wait(1, cards, { owner: 'w4', any: 1 });
    await standsInAll('w4');
    await site.release(freed);
    const lease = await fifth.lease();
    expect(lease.resources).toEqual(freed.resources);
    expect(lease.token).toBeGreaterThan(freed.token);
    await site.nobodyWaits();
    // And it stands in no line any more: the next card that is freed stays free for somebody else.
    await site.release(next);
    await site.becomes(next.resources[0]!, { held: [], line: [] });
    expect((await site.lock(0, next.resources, { owner: 'w5' })).resources).toEqual(next.resources);
  });

  test('a caller that leaves while it waits leaves every line', async () => {
    const leases = await takeAll();
    const asks = [site.wait(0, cards, { owner: 'w4', any: 1 }), site.wait(1, cards, { owner: 'w5', any: 1 })];
    await standsInAll('w4');
    await standsInAll('w5');
    asks[0]!.leave();
    expect((await asks[0]!.answer).kind).toBe('refusal');
    for (const card of cards) await site.becomes(card, { line: ['w5'] });
    await site.release(leases[0]!);
    expect((await asks[1]!.lease()).resources).toEqual(leases[0]!.resources);
    await site.nobodyWaits();
  });

  test('a wait that is over leaves every line, and says where it stood', async () => {
    await takeAll();
    const first = site.wait(0, cards, { owner: 'w4', any: 1 });
    await standsInAll('w4');
    const busy = await site.ask(1, cards, { owner: 'w5', any: 1, waitMs: 50 }).answer;
    expect(busy).toMatchObject({ kind: 'busy', waitElapsed: true, position: 2, queueLength: 2 });
    for (const card of cards) await site.becomes(card, { line: ['w4'] });
    first.leave();
    await site.nobodyWaits();
  });

  test('counts readers of a card as taking it from writers only', async () => {
    const readers = await Promise.all(
      cards.map((card, at) => site.lock(at % 2, card, { owner: `r${at}`, mode: 'shared' })),
    );
    expect((await site.ask(0, cards, { owner: 'w1', any: 1 }).answer).kind).toBe('busy');
    const shared = await site.lock(1, cards, { owner: 'r4', any: 1, mode: 'shared' });
    const writer = site.wait(0, cards, { owner: 'w1', any: 1 });
    await standsInAll('w1');
    const free = readers.find(({ resources }) => resources[0] !== shared.resources[0])!;
    await site.release(free);
    expect((await writer.lease()).resources).toEqual(free.resources);
    await site.nobodyWaits();
  });
});

describe('any two of four', () => {
  test('are one lease with one token, which names the two', async () => {
    const [one, two] = (await Promise.all([
      site.wait(0, cards, { owner: 'w1', any: 2 }).lease(),
      site.wait(1, cards, { owner: 'w2', any: 2 }).lease(),
    ])) as [Lease, Lease];
    expect(namesOf([one, two])).toEqual(cards);
    expect([one.resources.length, two.resources.length]).toEqual([2, 2]);
    for (const lease of [one, two]) {
      for (const name of lease.resources) {
        const seen = await site.desks[0]!.locks.inspect(name, 0);
        const holder = { owner: lease.owner, token: lease.token, leaseRef: lease.leaseRef };
        expect(seen).toMatchObject({ holders: [holder] });
      }
    }
    // One lease: it is renewed and let go as one.
    expect(await site.desks[1]!.heartbeat(one)).toMatchObject({ token: one.token, resources: one.resources });
    await site.release(one);
    for (const name of one.resources) await site.becomes(name, { held: [], line: [] });
    await site.nobodyWaits();
  });

  test('take no card while there is but one, and get two when the second is freed', async () => {
    const leases = await takeAll();
    const pair = site.wait(0, cards, { owner: 'pair', any: 2 });
    await standsInAll('pair');
    await site.release(leases[0]!);
    const [first] = leases[0]!.resources as [string];
    await site.becomes(first, { held: [], line: ['pair'] });
    expect(await site.nodes.holders(first)).toEqual(['', '', '']);
    // It heads that line, so nobody overtakes it.
    expect((await site.ask(1, first, { owner: 'w9' }).answer).kind).toBe('busy');
    expect(pair.outcome).toBeUndefined();
    await site.release(leases[2]!);
    expect([...(await pair.lease()).resources].sort()).toEqual(namesOf([leases[0]!, leases[2]!]));
    await site.nobodyWaits();
  });
});

test('40 callers that loop over a pool of four through two replicas never meet, and all are served', async () => {
  const inside = new Map<string, string>();
  const served = new Set<string>();
  let most = 0;
  const caller = async (at: number): Promise<void> => {
    const owner = `w${at}`;
    await repeat(3, async () => {
      const lease = await site.wait(at % 2, cards, { owner, any: 1 }).lease();
      const [card] = lease.resources as [string];
      expect(lease.resources).toHaveLength(1);
      expect(inside.get(card)).toBeUndefined();
      inside.set(card, owner);
      most = Math.max(most, inside.size);
      // The first stay until the whole pool is in use.
      await until('four are inside', () => most === 4);
      await site.shown(card, at % 2);
      expect(inside.get(card)).toBe(owner);
      inside.delete(card);
      await site.release(lease);
    });
    served.add(owner);
  };
  await Promise.all(Array.from({ length: 40 }, (_, at) => caller(at)));
  expect(served.size).toBe(40);
  expect(most).toBe(4);
  await site.nobodyWaits();
});

test('callers that want one, two or three of a pool are all served', async () => {
  const inside = new Map<string, string>();
  const caller = (at: number): Promise<void> =>
    repeat(3, async (round) => {
      const any = 1 + ((at + round) % 3);
      const lease = await site.wait(at % 2, cards, { owner: `w${at}`, any }).lease();
      expect(new Set(lease.resources).size).toBe(any);
      for (const card of lease.resources) {
        expect(inside.get(card)).toBeUndefined();
        inside.set(card, lease.owner);
      }
      await site.shown(lease.resources[0]!, at % 2);
      for (const card of lease.resources) inside.delete(card);
      await site.release(lease);
    });
  await Promise.all(Array.from({ length: 12 }, (_, at) => caller(at)));
  await site.nobodyWaits();
});
