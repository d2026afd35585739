/** What Inspect and History answer with an archive behind the nodes: everything once, in one order, and from where. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { READ_MS } from '../../../src/control/archive/archive.ts';
import { withPast } from '../../../src/control/archive/past.ts';
import { invalidField, noQuorum, type Refusal, refuse } from '../../../src/domain/refusals.ts';
import type {
  HistoryAsk,
  HistoryPage,
  Inspection,
  LockEvent,
  Locks,
  NodeOpinion,
} from '../../../src/locks/locks.ts';
import { ArchiveScene, happening, type Part, settled, told } from './archive-scene.ts';

const NODES: NodeOpinion[] = [
  { node: 'n1', vote: 'free', fence: 0n, fenceClosed: false, leaseRef: '', remainingMs: 0, detail: '' },
];
const unknown = { ...refuse('UNKNOWN_RESOURCE', 'never seen'), nodes: NODES };

let scene: ArchiveScene;
let part: Part;
beforeEach(async () => {
  scene = new ArchiveScene();
  part = scene.part(100_000);
  await part.archive.open();
  part.archive.start();
  await settled();
});
afterEach(() => scene.close());

/** As nodes tell it; of the lease `r<token>`. */
function event(type: LockEvent['type'], timeMs: number, token: bigint, resource = 'a'): LockEvent {
  const lease = { leaseRef: `r${token}`, token };
  return { type, timeMs, resource, owner: 'w1', ...lease, reason: '', source: 'history' };
}

/** Locks of which nodes remember these events of `a`, or refuse so. */
function nodesThat(known: readonly LockEvent[] | Refusal, state: Partial<Inspection> = {}): Locks {
  const refused = 'kind' in known ? known : undefined;
  const events = 'kind' in known ? [] : known;
  return {
    inspect: async (resource: string, historyLimit: number) =>
      refused ?? {
        ...{ kind: 'inspection', resource, state: 'free', holders: [], waiters: [], lastToken: 9n },
        ...{ source: 'history', nodes: NODES, history: events.slice(0, historyLimit), ...state },
      },
    history: async (ask: HistoryAsk) => {
      if (ask.after !== '') return invalidField('page_token', 'is none of mine');
      if (ask.resource === '') return refuse('NOT_SERVED', 'no archive');
      return refused ?? { kind: 'past', events: events.slice(0, ask.pageSize), gaps: [], next: '' };
    },
    keptCount: 5,
  } as unknown as Locks;
}

function over(nodes: Locks, { archive }: Pick<Part, 'archive'> = part): Locks {
  return withPast({ locks: nodes, past: archive, clock: scene.clock });
}

const ask = (more: Partial<HistoryAsk>): HistoryAsk => {
  return { resource: '', owner: '', prefixes: [], pageSize: 100, after: '', ...more };
};

async function page(locks: Locks, more: Partial<HistoryAsk>): Promise<HistoryPage> {
  const answer = await locks.history(ask(more));
  if (answer.kind === 'refusal') throw new Error(answer.message);
  return answer;
}

async function allPages(locks: Locks, more: Partial<HistoryAsk>): Promise<LockEvent[]> {
  const events: LockEvent[] = [];
  let after = '';
  do {
    const { events: some, next } = await page(locks, { ...more, after });
    events.push(...some);
    after = next;
  } while (after !== '');
  return events;
}

const words = (events: readonly LockEvent[]) =>
  events.map(({ type, token, source }) => `${type} ${token} ${source}`);

async function archived(...all: Parameters<typeof happening>[]): Promise<void> {
  await part.archive.deliver(told(...all.map((each) => happening(...each))));
  await settled();
}

describe('Inspect', () => {
  test('adds what only the archive knows, newest first, each event once and with its source', async () => {
    await archived(
      ['granted', 'a', 1000, { token: 1n }],
      ['released', 'a', 2000, { token: 1n }],
      ['granted', 'a', 3001, { token: 2n }],
    );
    const locks = over(nodesThat([event('renewed', 3500, 2n), event('granted', 3000, 2n)]));
    const seen = (await locks.inspect('a', 10)) as Inspection;
    expect(words(seen.history)).toEqual([
      'renewed 2 history',
      'granted 2 history',
      'released 1 archive',
      'granted 1 archive',
    ]);
    expect(words(((await locks.inspect('a', 3)) as Inspection).history)).toHaveLength(3);
    expect(seen.source).toBe('history');
  });

  test('tells of a name that nodes have forgotten, with what they said', async () => {
    await archived(['granted', 'a', 1000, { token: 7n }], ['expired', 'a', 2000, { token: 7n }]);
    expect(await over(nodesThat(unknown)).inspect('a', 1)).toEqual({
      ...{ kind: 'inspection', resource: 'a', state: 'free', holders: [], waiters: [], lastToken: 7n },
      ...{ source: 'archive', nodes: NODES, history: [expect.objectContaining({ type: 'expired' })] },
    });
    expect(await over(nodesThat(unknown)).inspect('b', 1)).toBe(unknown);
  });

  test('is no answer without a majority, whatever the archive has', async () => {
    await archived(['granted', 'a', 1000]);
    const refusal = noQuorum(1, 3, 100);
    expect(await over(nodesThat(refusal)).inspect('a', 10)).toBe(refusal);
  });

  test('asks the archive only for history, and answers without it in time', async () => {
    part.store.hung = true;
    const locks = over(nodesThat([event('granted', 1000, 1n)], { state: 'held', source: 'live' }));
    expect(await locks.inspect('a', 0)).toMatchObject({ state: 'held' });
    const asked = locks.inspect('a', 5);
    await scene.passes(1.5 * READ_MS);
    expect(await asked).toMatchObject({ state: 'held', source: 'live', history: [{ type: 'granted' }] });
    expect(part.notices).toContainEqual(expect.stringContaining('did not answer'));
    // Left alone for a while: the next does not wait at all.
    expect(await locks.inspect('a', 5)).toMatchObject({ state: 'held' });
  });

  test('passes on everything else', () => {
    expect(over(nodesThat([])).keptCount).toBe(5);
  });
});

describe('History of a resource', () => {
  test.each([1, 2, 3, 7, 1000])(
    'in pages of %i is whole, without repeats, in one order',
    async (pageSize) => {
      for (let token = 1n; token <= 20n; token += 1n) {
        const timeMs = Number(token) * 100;
        await archived(['granted', 'a', timeMs, { token }], ['released', 'a', timeMs + 50, { token }]);
        await archived(['queued', 'a', timeMs, { owner: `w${token}` }], ['granted', 'b', timeMs, { token }]);
      }
      // Their clocks differ from ours, in both directions.
      const known = [20n, 19n, 18n, 17n].flatMap((token) => [
        event('released', Number(token) * 100 + 120, token),
        event('granted', Number(token) * 100 - 80, token),
      ]);
      const events = await allPages(over(nodesThat(known)), { resource: 'a', pageSize });
      expect(events).toHaveLength(60);
      expect(new Set(words(events.filter(({ type }) => type !== 'queued'))).size).toBe(40);
      expect(events.filter(({ source }) => source === 'history')).toHaveLength(8);
      const times = events.map(({ timeMs }) => timeMs);
      expect(times).toEqual([...times].sort((a, b) => b - a));
    },
  );

  test('comes in pages from the nodes alone where there is no archive', async () => {
    const known = [3n, 2n, 1n].map((token) => event('granted', Number(token), token));
    const locks = withPast({ locks: nodesThat(known), past: undefined, clock: scene.clock });
    expect(words(await allPages(locks, { resource: 'a', pageSize: 2 }))).toEqual([
      'granted 3 history',
      'granted 2 history',
      'granted 1 history',
    ]);
    expect(await locks.history(ask({ owner: 'w1' }))).toMatchObject({ reason: 'NOT_SERVED' });
    expect((await page(locks, { resource: 'a' })).gaps).toEqual([]);
  });

  test('comes from the archive alone where the nodes are silent or know nothing', async () => {
    await archived(['granted', 'a', 1000]);
    for (const refusal of [noQuorum(1, 3, 100), unknown]) {
      const locks = over(nodesThat(refusal));
      expect(words((await page(locks, { resource: 'a' })).events)).toEqual(['granted 1 archive']);
      expect(await locks.history(ask({ resource: 'b' }))).toBe(refusal);
    }
  });

  test.each([
    ['of another resource', 'b', ''],
    ['of an owner of that name', '', 'a'],
  ])('refuses a page token %s, or a changed one', async (_, resource, owner) => {
    await archived(['granted', 'a', 1000], ['released', 'a', 2000]);
    const locks = over(nodesThat([]));
    const { next } = await page(locks, { resource: 'a', pageSize: 1 });
    const refused = { reason: 'INVALID_FIELD', metadata: { field: 'page_token' } };
    expect(await locks.history(ask({ resource, owner, after: next }))).toMatchObject(refused);
    for (const after of [`${next}x`, next.slice(1), 'x', '~', '1']) {
      expect(await locks.history(ask({ resource: 'a', after }))).toMatchObject(refused);
    }
    expect((await page(locks, { resource: 'a', after: next })).next).toBe('');
  });

  test('says that anything may be missing when the archive does not answer', async () => {
    part.store.hung = true;
    const asked = page(over(nodesThat([event('granted', 1000, 1n)])), { resource: 'a' });
    await scene.passes(1.5 * READ_MS);
    const { events, gaps } = await asked;
    expect(words(events)).toEqual(['granted 1 history']);
    expect(gaps).toEqual([{ fromMs: 0, untilMs: expect.any(Number), events: 0, reason: 'failed' }]);
    expect(gaps[0]!.untilMs).toBeGreaterThan(scene.nowMs - 2 * READ_MS);
  });

  test('tells each gap with the page of its time', async () => {
    await archived(...[1000, 2000, 3000, 4000].map((ms, at) => grantAt(ms, at)));
    part.archive.missed(3, 3500, 3600);
    await settled();
    part.archive.missed(1, 500, 600);
    await settled();
    const locks = over(nodesThat([]));
    const first = await page(locks, { resource: 'a', pageSize: 2 });
    expect(first.gaps).toMatchObject([{ events: 3 }]);
    const second = await page(locks, { resource: 'a', pageSize: 2, after: first.next });
    expect(second.gaps).toMatchObject([{ events: 1 }]);
  });

  test('fits a page into one message however long its texts are', async () => {
    const reason = '\u{20ac}'.repeat(512);
    await archived(
      ...Array.from({ length: 900 }, (_, at): Parameters<typeof happening> => {
        return ['released', 'a', at, { token: BigInt(at + 1), reason }];
      }),
    );
    const locks = over(nodesThat([]));
    const { events, next } = await page(locks, { resource: 'a', pageSize: 1000 });
    expect(Buffer.byteLength(JSON.stringify(events.map((each) => each.reason)))).toBeLessThan(1 << 20);
    expect(next).not.toBe('');
    expect(await allPages(locks, { resource: 'a', pageSize: 1000 })).toHaveLength(900);
  });
});

function grantAt(ms: number, at: number): Parameters<typeof happening> {
  return ['granted', 'a', ms, { token: BigInt(at + 1) }];
}

describe('History of an owner', () => {
  test('is what it did on any resource, within the prefixes that are asked for', async () => {
    await archived(
      ['granted', 'gpu/1', 1000, { token: 1n }],
      ['granted', 'gpu/2', 2000, { token: 2n }],
      ['granted', 'db/1', 3000, { token: 3n }],
      ['granted', 'gpu/3', 4000, { token: 4n, owner: 'w2' }],
    );
    const locks = over(nodesThat([]));
    expect(words(await allPages(locks, { owner: 'w1', pageSize: 1 }))).toEqual([
      'granted 3 archive',
      'granted 2 archive',
      'granted 1 archive',
    ]);
    expect(words((await page(locks, { owner: 'w1', prefixes: ['gpu/2', 'db/'] })).events)).toEqual([
      'granted 3 archive',
      'granted 2 archive',
    ]);
    expect((await page(locks, { owner: 'nobody' })).events).toEqual([]);
  });

  test('is nothing of another tenant, in any spelling', async () => {
    await archived(
      ['granted', 'a', 1000, { token: 1n, owner: 'w1' }],
      ['granted', '~red/a', 2000, { token: 2n, owner: '~red/w1' }],
      ['granted', '~blue/a', 3000, { token: 3n, owner: '~blue/w1' }],
      // What cannot be, unless somebody writes to the database.
      ['granted', '~red/b', 4000, { token: 4n, owner: 'w1' }],
      ['granted', 'b', 5000, { token: 5n, owner: '~red/w1' }],
    );
    const locks = over(nodesThat([]));
    const seen = async (owner: string, prefixes: string[] = []) =>
      (await page(locks, { owner, prefixes })).events.map(({ resource }) => resource);
    expect(await seen('w1')).toEqual(['a']);
    expect(await seen('~red/w1')).toEqual(['~red/a']);
    expect(await seen('~red/w1', ['~red/a'])).toEqual(['~red/a']);
    expect(await seen('~red/w1', ['~blue/'])).toEqual([]);
    expect(await seen('w1', ['a', '~red/'])).toEqual(['a']);
  });
});
