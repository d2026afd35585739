/** Shared leases: readers beside each other, writers beside nobody, and neither keeps the other out for ever. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Lease } from '../../src/domain/lease.ts';
import { limits } from '../../src/domain/limits.ts';
import { byToken, Site } from '../harness/site.ts';
import { repeat, until } from '../harness/until.ts';

const mode = 'shared';
let site: Site;

beforeEach(async () => {
  site = await Site.open();
});
afterEach(async () => {
  await site.close();
});

/** Readers that hold `set`, one after the other at either desk in turn. */
async function read(...owners: readonly string[]): Promise<Lease[]> {
  const leases: Lease[] = [];
  for (const [at, owner] of owners.entries()) leases.push(await site.lock(at % 2, 'set', { owner, mode }));
  return leases;
}

describe('readers', () => {
  test('hold at once through two replicas, each with a larger token than the one before', async () => {
    const leases = await read('r1', 'r2', 'r3');
    await site.becomes('set', { held: ['r1', 'r2', 'r3'], line: [] });
    const tokens = leases.map(({ token }) => token);
    expect(new Set(tokens).size).toBe(3);
    expect(tokens).toEqual(tokens.toSorted((a, b) => (a < b ? -1 : 1)));
    const seen = await site.desks[1]!.locks.inspect('set', 0);
    expect(seen).toMatchObject({ state: 'held', lastToken: tokens[2] });
    expect(leases.every((lease) => lease.mode === 'shared')).toBe(true);
  });

  test('that ask at the same moment all get in', async () => {
    const owners = Array.from({ length: 20 }, (_, at) => `r${String(at).padStart(2, '0')}`);
    const asks = owners.map((owner, at) => site.wait(at % 2, 'set', { owner, mode }));
    const leases = await Promise.all(asks.map((ask) => ask.lease()));
    await site.becomes('set', { held: owners, line: [] });
    expect(new Set(leases.map(({ token }) => token)).size).toBe(20);
  });

  test('and a writer exclude each other', async () => {
    const readers = await read('r1', 'r2');
    const busy = await site.ask(1, 'set', { owner: 'w1' }).answer;
    expect(busy).toMatchObject({ kind: 'busy', waitElapsed: false });
    expect('holders' in busy && busy.holders.map(({ owner }) => owner).sort()).toEqual(['r1', 'r2']);
    await site.release(readers[0]!);
    expect((await site.ask(0, 'set', { owner: 'w1' }).answer).kind).toBe('busy');
    await site.release(readers[1]!);
    const writer = await site.lock(0, 'set', { owner: 'w1' });
    expect(writer.token).toBeGreaterThan(readers[1]!.token);
    expect(await site.ask(1, 'set', { owner: 'r3', mode }).answer).toMatchObject({
      kind: 'busy',
      holders: [{ owner: 'w1', mode: 'exclusive' }],
    });
    await site.release(writer);
    expect((await read('r3'))[0]!.token).toBeGreaterThan(writer.token);
  });

  test('are renewed each by itself, with its own token', async () => {
    const [first, second] = (await read('r1', 'r2')) as [Lease, Lease];
    expect(await site.desks[1]!.heartbeat(first)).toMatchObject({ token: first.token, mode: 'shared' });
    await site.release(second);
    expect(await site.desks[0]!.heartbeat(first)).toMatchObject({ token: first.token, owner: 'r1' });
    expect(await site.desks[0]!.heartbeat(second)).toMatchObject({
      reason: 'LEASE_LOST',
      metadata: { why: 'released' },
    });
    await site.becomes('set', { held: ['r1'] });
  });
});

describe('a writer that waits', () => {
  test('gets in when the last reader leaves, before readers that came after it', async () => {
    const [first, second] = (await read('r1', 'r2')) as [Lease, Lease];
    const writer = site.wait(1, 'set', { owner: 'w1' });
    await site.becomes('set', { line: ['w1'] });
    const late = [site.wait(0, 'set', { owner: 'r3', mode }), site.wait(1, 'set', { owner: 'r4', mode })];
    await until('they stand in line', async () => (await site.shown('set')).line.length === 3);
    expect((await site.shown('set')).line[0]).toBe('w1');
    expect(await site.ask(0, 'set', { owner: 'r5', mode }).answer).toMatchObject({
      kind: 'busy',
      queueLength: 3,
    });
    await site.release(first);
    expect((await site.ask(1, 'set', { owner: 'r5', mode }).answer).kind).toBe('busy');
    expect(writer.outcome).toBeUndefined();
    await site.release(second);
    const wrote = await writer.lease();
    await site.becomes('set', { held: ['w1'] });
    expect(late.map(({ outcome }) => outcome)).toEqual([undefined, undefined]);
    await site.release(wrote);
    const leases = [wrote, ...(await Promise.all(late.map((ask) => ask.lease())))];
    expect(byToken(leases)[0]).toBe('w1');
    await site.becomes('set', { held: ['r3', 'r4'], line: [] });
    await site.nobodyWaits();
  });

  test('is passed by nobody though readers arrive for ever, with and without waiting', async () => {
    const kept = await site.lock(0, 'set', { owner: 'kept', mode });
    const readers = new Arrivals(site);
    await until('readers come and go', () => readers.granted.length > 20);
    const writer = site.wait(1, 'set', { owner: 'w1' });
    await until('it stands in line', async () => (await site.shown('set')).line.includes('w1'));
    // Whoever asks from now on has come after it.
    const before = readers.asked;
    await until(
      'only the one that stays is left',
      async () => String((await site.shown('set')).held) === 'kept',
    );
    await until('many more have come', () => readers.refused > 200);
    expect((await site.shown('set')).line[0]).toBe('w1');
    await site.release(kept);
    const wrote = await writer.lease();
    await site.release(wrote);
    await until('readers come and go again', () => readers.granted.some(({ serial }) => serial > before));
    await readers.stop();
    const overtakers = readers.granted.filter(({ serial, token }) => serial > before && token < wrote.token);
    expect(overtakers).toEqual([]);
    await site.nobodyWaits();
  });

  test('that gives up lets the readers behind it in', async () => {
    await read('r1');
    const writer = site.wait(0, 'set', { owner: 'w1' });
    await site.becomes('set', { line: ['w1'] });
    const late = site.wait(1, 'set', { owner: 'r2', mode });
    await site.becomes('set', { line: ['w1', 'r2'] });
    writer.leave();
    expect((await late.lease()).mode).toBe('shared');
    await site.becomes('set', { held: ['r1', 'r2'], line: [] });
    await site.nobodyWaits();
  });
});

test('after the writer all readers that queued get in together', async () => {
  const writer = await site.lock(0, 'set', { owner: 'w1' });
  const owners = ['r1', 'r2', 'r3', 'r4', 'r5', 'r6'];
  const readers = owners.map((owner, at) => site.wait(at % 2, 'set', { owner, mode }));
  await until('they stand in line', async () => (await site.shown('set', 1)).line.length === 6);
  const next = site.wait(1, 'set', { owner: 'w2' });
  await until('it stands behind them', async () => (await site.shown('set')).line[6] === 'w2');
  await site.release(writer);
  const leases = await Promise.all(readers.map((ask) => ask.lease()));
  await site.becomes('set', { held: owners, line: ['w2'] });
  expect(next.outcome).toBeUndefined();
  await site.release(...leases);
  expect((await next.lease()).token).toBeGreaterThan(
    leases
      .map(({ token }) => token)
      .sort()
      .at(-1)!,
  );
  await site.nobodyWaits();
});

test('so many readers that one replica cannot ask for all at once get in one after the other', async () => {
  const writer = await site.lock(0, 'set', { owner: 'w1' });
  const readers = Array.from({ length: limits.sharedAtOnce + 30 }, (_, at) =>
    site.wait(at % 10 === 0 ? 1 : 0, 'set', { owner: `r${at}`, mode }),
  );
  await until('all stand in line', async () => (await site.shown('set')).line.length === readers.length);
  await site.release(writer);
  await Promise.all(readers.map((ask) => ask.lease()));
  expect((await site.shown('set', 1)).held).toHaveLength(readers.length);
  await site.nobodyWaits();
});

test('there is no upgrade: a reader that waits to write is told that it would wait for itself', async () => {
  const [reader] = (await read('r1')) as [Lease];
  expect((await site.ask(0, 'set', { owner: 'r1' }).answer).kind).toBe('busy');
  const refusal = await site.wait(1, 'set', { owner: 'r1' }).refusal();
  expect(refusal).toMatchObject({
    reason: 'DEADLOCK',
    metadata: { cycle: 'r1 -> set -> r1', owners: '["r1"]', resources: '["set"]', links: '1' },
  });
  await site.nobodyWaits();
  expect((await site.desks[0]!.heartbeat(reader)).kind).toBe('lease');
  // Another one may go on waiting: nobody's wait closes a cycle.
  const writer = site.wait(1, 'set', { owner: 'w1' });
  await site.becomes('set', { line: ['w1'] });
  await site.release(reader);
  expect((await writer.lease()).mode).toBe('exclusive');
});

test('writers and readers that contend through two replicas never meet, and all are served', async () => {
  const inside = { readers: 0, writers: 0, most: 0 };
  const caller = (at: number) =>
    repeat(8, async (round) => {
      const writes = (at + round) % 3 === 0;
      const more = writes ? { owner: `w${at}` } : { owner: `r${at}`, mode: 'shared' as const };
      const lease = await site.wait(at % 2, 'set', more).lease();
      if (writes) inside.writers += 1;
      else inside.readers += 1;
      inside.most = Math.max(inside.most, inside.readers);
      expect(inside.writers === 0 || (inside.writers === 1 && inside.readers === 0)).toBe(true);
      await site.shown('set', at % 2);
      if (writes) inside.writers -= 1;
      else inside.readers -= 1;
      await site.release(lease);
    });
  await Promise.all(Array.from({ length: 9 }, (_, at) => caller(at)));
  expect(inside.most).toBeGreaterThan(1);
  await site.nobodyWaits();
});

/** Readers that come again and again until they are stopped, some of them waiting. */
class Arrivals {
  asked = 0;
  refused = 0;
  readonly granted: { readonly serial: number; readonly token: bigint }[] = [];
  readonly #site: Site;
  readonly #loops: readonly Promise<void>[];
  #stopped = false;

  constructor(of: Site) {
    this.#site = of;
    this.#loops = Array.from({ length: 6 }, (_, at) => this.#loop(at));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  async #loop(at: number): Promise<void> {
    while (!this.#stopped) {
      this.asked += 1;
      const serial = this.asked;
      const more = { owner: `a${serial}`, mode } as const;
      const ask = at < 3 ? this.#site.wait(at % 2, 'set', more) : this.#site.ask(at % 2, 'set', more);
      const answered = await ask.answer;
      if (answered.kind === 'lease') {
        this.granted.push({ serial, token: answered.token });
        await this.#site.release(answered);
      } else {
        // Nothing but Busy is to be expected, as long as the site stands.
        if (answered.kind === 'refusal') throw new Error(answered.message);
        this.refused += 1;
      }
    }
  }
}
