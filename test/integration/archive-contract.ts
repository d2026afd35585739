/** What the archive's databases promise, whichever they are: run by archive-store.test.ts over each. */
import { expect, test } from 'vitest';
import { rowOfEvent } from '../../src/control/archive/row.ts';
import { MIGRATIONS } from '../../src/control/archive/schema.ts';
import type { ArchiveStore, Batch, NewRow, Question, StoredGap } from '../../src/control/archive/store.ts';
import type { LockEvent } from '../../src/locks/locks.ts';

export const EMPTY = { rows: [], gaps: [], mark: { id: 'w', seenUs: 1 } };

export function row(type: LockEvent['type'], timeMs: number, more: Partial<LockEvent> = {}): NewRow {
  const event = { resource: 'a', owner: 'o', leaseRef: 'r', token: 1n, reason: '' };
  return rowOfEvent({ ...event, type, timeMs, ...more });
}

export function batch(rows: readonly NewRow[], more: Partial<Batch> = {}): Batch {
  return { ...EMPTY, rows, ...more };
}

export const of = (value: string, more: Partial<Question> = {}): Question => {
  return { by: 'resource', value, prefixes: [], before: undefined, limit: 100, ...more };
};

export const gap = (
  id: string,
  fromUs: number,
  untilUs: number,
  more: Partial<StoredGap> = {},
): StoredGap => {
  return { id, fromUs, untilUs, events: 1, reason: 'failed', writer: 'w', ...more };
};

/** One kind of database, behind its back: a fresh one for each test. */
export interface Place {
  readonly kind: 'sqlite' | 'postgres';
  fresh(): Promise<void>;
  store(): ArchiveStore;
  /** Statements that no store has: what a release of another version did. */
  run(...statements: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

/** A store that is open, over the database of this test. */
type Fresh = () => Promise<ArchiveStore>;

export function keepsEvents(fresh: Fresh): void {
  test('each event is there once, and tells all of itself', async () => {
    const store = await fresh();
    const full = row('released', 1_800_000_000_123.456, {
      owner: 'Ünï \u{1f512} "o"\\',
      reason: "it's {over}, 100 %",
      token: (1n << 64n) - 1n,
    });
    expect(await store.append(batch([full, row('granted', 5)]))).toBe(2);
    expect(await store.append(batch([full, full, { ...row('granted', 7), owner: 'later' }]))).toBe(0);
    const { grantKey: _, ...told } = full;
    expect((await store.read(of('a')))[0]).toEqual(told);
    expect(await store.read(of('a'))).toHaveLength(2);
  });

  test('a batch of nothing is fine, and so is one of thousands', async () => {
    const store = await fresh();
    expect(await store.append(EMPTY)).toBe(0);
    const many = Array.from({ length: 3000 }, (_, at) => row('granted', at, { token: BigInt(at + 1) }));
    expect(await store.append(batch(many))).toBe(3000);
    expect(await store.read(of('a', { limit: 5000 }))).toHaveLength(3000);
  });

  test('pages follow one order, newest first, whatever has the same time', async () => {
    const store = await fresh();
    const types = ['granted', 'released', 'forced', 'lost'] as const;
    const rows = Array.from({ length: 40 }, (_, at) =>
      row(types[at % 4]!, 1000 + (at % 3), { token: 99_999_999n + BigInt(at % 5), leaseRef: `r${at}` }),
    );
    await store.append(batch(rows));
    const whole = await store.read(of('a', { limit: 1000 }));
    const paged: typeof whole = [];
    for (let more = true; more; ) {
      const page = await store.read(of('a', { limit: 7, before: paged.at(-1) }));
      paged.push(...page);
      more = page.length > 0;
    }
    expect(paged).toEqual(whole);
    expect(whole.map(({ timeUs, token, step }) => [timeUs, token, step])).toEqual(
      whole
        .map(({ timeUs, token, step }): [number, string, number] => [timeUs, token, step])
        .sort((a, b) => b[0] - a[0] || (b[1] > a[1] ? 1 : b[1] < a[1] ? -1 : b[2] - a[2])),
    );
  });
}

export function findsOwners(fresh: Fresh): void {
  test('an owner is found on all its resources, or on those with a prefix, to the letter', async () => {
    const store = await fresh();
    const names = ['gpu/1', 'gpu/2', 'gpu%', 'Gpu/1', '~t/gpu/1'];
    await store.append(batch(names.map((resource, at) => row('granted', at, { resource }))));
    await store.append(batch([row('granted', 9, { resource: 'gpu/9', owner: 'O' })]));
    const seen = async (prefixes: string[]) =>
      (await store.read(of('o', { by: 'owner', prefixes }))).map(({ resource }) => resource).sort();
    expect(await seen([])).toEqual([...names].sort());
    expect(await seen(['gpu/'])).toEqual(['gpu/1', 'gpu/2']);
    expect(await seen(['gpu%', '~t/'])).toEqual(['gpu%', '~t/gpu/1']);
    expect(await store.read(of('GPU/1'))).toEqual([]);
  });

  test.each(['together', 'grant first', 'end first'])(
    'an end without an owner gets that of its grant: %s',
    async (order) => {
      const store = await fresh();
      const grant = row('granted', 1, { owner: 'w7' });
      const end = row('released', 2, { owner: '' });
      const batches = {
        together: [[end, grant]],
        'grant first': [[grant], [end]],
        'end first': [[end], [grant]],
      };
      for (const rows of batches[order as keyof typeof batches]) await store.append(batch(rows));
      await store.settle(0);
      const rows = await store.read(of('w7', { by: 'owner' }));
      expect(rows.map(({ type }) => type)).toEqual(['released', 'granted']);
    },
  );
}

export function keepsGapsAndMarks(fresh: Fresh): void {
  test('a gap that grows is one gap, found where it overlaps', async () => {
    const store = await fresh();
    await store.append(
      batch([], { gaps: [gap('g1', 100, 200), gap('g2', 900, 950, { reason: 'dropped' })] }),
    );
    await store.append(batch([], { gaps: [gap('g1', 100, 300, { events: 8 })] }));
    expect(await store.gaps(0, 1000, 10)).toEqual([
      gap('g2', 900, 950, { reason: 'dropped' }),
      gap('g1', 100, 300, { events: 8 }),
    ]);
    expect(await store.gaps(250, 899, 10)).toHaveLength(1);
    expect(await store.gaps(301, 899, 10)).toEqual([]);
    expect(await store.gaps(0, 1000, 1)).toHaveLength(1);
  });

  test('what is old is deleted in steps of at most the limit, and nothing else', async () => {
    const store = await fresh();
    const rows = Array.from({ length: 25 }, (_, at) => row('granted', at, { token: BigInt(at + 1) }));
    await store.append(batch(rows, { gaps: [gap('old', 1, 2), gap('new', 1, 10_000_000)] }));
    expect(await store.purge(20_000, 15)).toBe(15);
    expect(await store.purge(20_000, 15)).toBe(5);
    expect(await store.purge(20_000, 15)).toBe(0);
    expect((await store.read(of('a'))).map(({ timeUs }) => timeUs)).toEqual(
      [24, 23, 22, 21, 20].map((ms) => ms * 1000),
    );
    expect((await store.gaps(0, 1e9, 10)).map(({ id }) => id)).toEqual(['new']);
  });

  test('a mark is moved, left, and buried once, and only if it stands still', async () => {
    const [store, other] = [await fresh(), await fresh()];
    await store.append({ ...EMPTY, mark: { id: 'one', seenUs: 5 } });
    await store.append({ ...EMPTY, mark: { id: 'two', seenUs: 6 } });
    await store.append({ ...EMPTY, mark: { id: 'one', seenUs: 7 } });
    await store.append({ ...EMPTY, mark: { id: 'two', seenUs: 7 }, leaves: true });
    expect(await other.marks()).toEqual([{ id: 'one', seenUs: 7 }]);
    expect(await other.bury({ id: 'one', seenUs: 5 }, gap('end', 5, 9))).toBe(false);
    const both = await Promise.all(
      [store, other].map((each) => each.bury({ id: 'one', seenUs: 7 }, gap('end', 7, 9))),
    );
    expect(both.sort()).toEqual([false, true]);
    expect([await store.marks(), (await store.gaps(0, 100, 10)).length]).toEqual([[], 1]);
  });

  test('several writers at once harm nothing', async () => {
    const stores = [await fresh(), await fresh(), await fresh()];
    const rounds = Array.from({ length: 20 }, (_, round) =>
      Array.from({ length: 30 }, (_, at) => row('granted', round, { token: BigInt(round * 30 + at + 1) })),
    );
    const added = await Promise.all(
      stores.map(async (store, at) => {
        let sum = 0;
        // Each in another order of rows.
        for (const rows of rounds) sum += await store.append(batch(at === 1 ? rows.toReversed() : rows));
        return sum;
      }),
    );
    expect(added.reduce((sum, each) => sum + each, 0)).toBe(600);
  });
}

const TEXT = { sqlite: 'TEXT', postgres: 'TEXT COLLATE "C"' } as const;

/** A database as a release with this schema left it. */
async function asOf(place: Place, version: number): Promise<void> {
  const dialect = { text: TEXT[place.kind], elements: '', hasMigrations: '', lockSchema: '', passOver: '' };
  const steps = MIGRATIONS.slice(0, version).flatMap((migration) => migration(dialect));
  const done = Array.from(
    { length: version },
    (_, at) => `INSERT INTO holdfast_migrations VALUES (${at + 1})`,
  );
  await place.run('CREATE TABLE holdfast_migrations (version INTEGER PRIMARY KEY)', ...steps, ...done);
}

export function migrates(place: () => Place, unopened: () => ArchiveStore, fresh: Fresh): void {
  test('a database of the release before is brought up to date with all that it has', async () => {
    await asOf(place(), 1);
    await place().run(
      `INSERT INTO holdfast_events (key, time_us, resource, owner, type, step, token, lease_ref, reason)
        VALUES ('${'k'.repeat(22)}', 1000, 'a', 'old', 'granted', 1, '00000000000000000007', 'r', 'why')`,
      `INSERT INTO holdfast_gaps (id, from_us, until_us, events, reason) VALUES ('g', 1, 2, 3, 'dropped')`,
    );
    const store = await fresh();
    const before = { key: 'k'.repeat(22), timeUs: 1000, token: '00000000000000000007' };
    expect(await store.read(of('old', { by: 'owner' }))).toEqual([expect.objectContaining(before)]);
    expect(await store.gaps(0, 10, 10)).toEqual([
      gap('g', 1, 2, { events: 3, reason: 'dropped', writer: '' }),
    ]);
    expect(await store.append(batch([row('released', 2, { owner: 'old' })]))).toBe(1);
    // A release of the first schema that still runs goes on writing.
    await place().run(
      `INSERT INTO holdfast_events (key, time_us, resource, owner, type, step, token, lease_ref, reason)
        VALUES ('other', 3000, 'a', 'old', 'lost', 5, '7', 'r', '') ON CONFLICT (key) DO NOTHING`,
    );
    expect(await store.read(of('a'))).toHaveLength(3);
  });

  test('several that start at once make one schema', async () => {
    const stores = Array.from({ length: 4 }, unopened);
    await Promise.all(stores.map((store) => store.open()));
    await stores[0]!.append(batch([row('granted', 1)]));
    expect(await stores[3]!.read(of('a'))).toHaveLength(1);
  });

  test('a database of a later release is refused in words, and left alone', async () => {
    await asOf(place(), MIGRATIONS.length);
    await place().run('INSERT INTO holdfast_migrations VALUES (99)');
    const store = unopened();
    await expect(store.open()).rejects.toMatchObject({
      fault: 'newer',
      message: expect.stringMatching(/schema version 99.*knows 2/),
    });
  });
}
