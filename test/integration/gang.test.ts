/** Gangs: several resources at once or none of them, and no stream of smaller requests keeps them out. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Lease } from '../../src/domain/lease.ts';
import { type Ask, byToken, Site } from '../harness/site.ts';
import { repeat, until } from '../harness/until.ts';

const cards = Array.from({ length: 8 }, (_, at) => `gpu/${at}`);
const nobody = ['', '', ''];
let site: Site;

beforeEach(async () => {
  site = await Site.open();
});
afterEach(async () => {
  await site.close();
});

test('while one card is taken nothing of the gang is held at any node, and then all of it at once', async () => {
  const held = await site.lock(1, 'gpu/3', { owner: 'w1' });
  const gang = site.wait(0, cards, { owner: 'gang' });
  for (const card of cards) await site.becomes(card, { line: ['gang'] });
  const others = cards.filter((card) => card !== 'gpu/3');
  for (const card of others) expect(await site.nodes.holders(card), card).toEqual(nobody);
  // Nobody overtakes it, though those cards are free.
  for (const card of others) expect((await site.ask(1, card, { owner: 'w2' }).answer).kind).toBe('busy');
  expect(gang.outcome).toBeUndefined();
  await site.release(held);
  const lease = await gang.lease();
  expect(lease.resources).toEqual(cards);
  expect(lease.token).toBeGreaterThan(held.token);
  for (const card of cards) {
    await site.becomes(card, { held: ['gang'], line: [] });
    expect(await site.desks[1]!.locks.inspect(card, 0)).toMatchObject({ lastToken: lease.token });
  }
  await site.release(lease);
  for (const card of cards) await site.nodes.free(card);
  await site.nobodyWaits();
});

test('a gang that gives up frees every line it stood in', async () => {
  await site.lock(0, 'gpu/0', { owner: 'w1' });
  const gang = site.wait(0, cards, { owner: 'gang' });
  for (const card of cards) await site.becomes(card, { line: ['gang'] });
  const behind = site.wait(1, 'gpu/5', { owner: 'w2' });
  await site.becomes('gpu/5', { held: [], line: ['gang', 'w2'] });
  gang.leave();
  expect((await behind.lease()).resources).toEqual(['gpu/5']);
  await site.nobodyWaits();
});

describe('against 40 callers that ask for single cards for ever', () => {
  test('a gang of eight waits for those who stood ahead of it, and for nobody else', async () => {
    const singles = new Singles(site, 40);
    await until('the lines are long', () => singles.grants.length > 40);
    const gang = site.wait(0, cards, { owner: 'gang' });
    await until('it stands in every line', async () => {
      const shown = await Promise.all(cards.map((card) => site.shown(card, 1)));
      return shown.every(({ line }) => line.includes('gang'));
    });
    // Each card is handed over at most to those who have asked for it by now and were not served yet.
    const [came, handed, outstanding] = [singles.asked, singles.grants.length, singles.outstanding()];
    const lease = await gang.lease();
    await site.release(lease);
    await until('the others go on', () => singles.grants.some(({ token }) => token > lease.token));
    await singles.stop();
    const before = singles.grants.filter(({ serial, token }) => serial > came && token < lease.token);
    expect(before, 'granted before the gang, though they came after it').toEqual([]);
    for (const card of cards) {
      const since = singles.grants.slice(handed).filter((grant) => grant.card === card);
      const first = since.filter(({ token }) => token < lease.token);
      expect(first.length, card).toBeLessThanOrEqual(outstanding.get(card) ?? 0);
    }
    await site.nobodyWaits();
  });

  test('gangs are served in the order in which they came', async () => {
    const held = await site.lock(0, 'gpu/7', { owner: 'w1' });
    const singles = new Singles(site, 12);
    const gangs: Ask[] = [];
    await repeat(6, async (at) => {
      gangs.push(site.wait(at % 2, cards, { owner: `gang${at}` }));
      await until('it stands in line', async () => (await site.shown('gpu/7')).line.includes(`gang${at}`));
    });
    await site.release(held);
    const served: Lease[] = [];
    for (const gang of gangs) {
      const lease = await gang.lease();
      served.push(lease);
      await site.release(lease);
    }
    await singles.stop();
    expect(byToken(served)).toEqual(gangs.map(({ owner }) => owner));
    await site.nobodyWaits();
  });
});

test('gangs over overlapping sets through two replicas neither lock each other up nor meet', async () => {
  const sets = [
    ['a', 'b'],
    ['b', 'c'],
    ['c', 'a'],
  ];
  const inside = new Map<string, string>();
  let served = 0;
  const caller = (at: number): Promise<void> =>
    repeat(5, async (round) => {
      const names = sets[(at + round) % 3]!;
      const lease = await site.wait(at % 2, names, { owner: `w${at}` }).lease();
      for (const name of names) {
        expect(inside.get(name)).toBeUndefined();
        inside.set(name, lease.owner);
      }
      await site.shown(names[0]!, at % 2);
      for (const name of names) inside.delete(name);
      await site.release(lease);
      served += 1;
    });
  await Promise.all(Array.from({ length: 12 }, (_, at) => caller(at)));
  expect(served).toBe(60);
  await site.nobodyWaits();
});

interface Grant {
  /** The how manieth request it was. */
  readonly serial: number;
  readonly card: string;
  readonly token: bigint;
}

/** Callers that ask for one card after the other, at both desks, until they are stopped. */
class Singles {
  asked = 0;
  readonly grants: Grant[] = [];
  readonly #site: Site;
  readonly #loops: readonly Promise<void>[];
  readonly #waiting = new Map<number, string>();
  #stopped = false;

  constructor(of: Site, callers: number) {
    this.#site = of;
    this.#loops = Array.from({ length: callers }, (_, at) => this.#loop(at));
  }

  /** By card, how many have asked and not been answered yet. */
  outstanding(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const card of this.#waiting.values()) counts.set(card, (counts.get(card) ?? 0) + 1);
    return counts;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  async #loop(at: number): Promise<void> {
    for (let round = 0; !this.#stopped; round += 1) {
      this.asked += 1;
      const serial = this.asked;
      const card = cards[(at * 3 + round * 5) % cards.length]!;
      this.#waiting.set(serial, card);
      const lease = await this.#site.wait(at % 2, card, { owner: `s${serial}` }).lease();
      this.#waiting.delete(serial);
      this.grants.push({ serial, card, token: lease.token });
      await this.#site.release(lease);
    }
  }
}
