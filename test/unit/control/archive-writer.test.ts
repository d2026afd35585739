/** What becomes of events on their way into the archive: kept while it is away, and counted where they are lost. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { STALE_MS } from '../../../src/control/archive/keeper.ts';
import { StoreError } from '../../../src/control/archive/store.ts';
import { MARK_MS } from '../../../src/control/archive/writer.ts';
import { ArchiveScene, happening, type Part, readingOf, settled, storedOf, told } from './archive-scene.ts';

const AWAY = new StoreError('away', 'it is away');

let scene: ArchiveScene;
beforeEach(() => {
  scene = new ArchiveScene();
});
afterEach(() => scene.close());

async function started(pendingMax?: number): Promise<Part> {
  const part = scene.part(pendingMax);
  await part.archive.open();
  part.archive.start();
  await settled();
  return part;
}

function grants(resource: string, count: number, fromMs = scene.nowMs) {
  return Array.from({ length: count }, (_, at) =>
    happening('granted', resource, fromMs + at, { token: BigInt(at + 1) }),
  );
}

const up = ({ numbers }: Part) => readingOf(numbers, 'holdfast_archive_up');
const lost = ({ numbers }: Part, reason: string) =>
  readingOf(numbers, 'holdfast_archive_lost_events_total', reason);
const added = ({ numbers }: Part) => readingOf(numbers, 'holdfast_archive_events_total');

describe('an archive that is there', () => {
  test('has an event as soon as it was delivered, one row for each resource', async () => {
    const part = await started();
    const two = { ...happening('granted', 'a', scene.nowMs), resources: ['a', 'b'] };
    await part.archive.deliver(told(two));
    await settled();
    expect(await storedOf(part, 'a')).toEqual(['granted 1 w1']);
    expect(await storedOf(part, 'b')).toEqual(['granted 1 w1']);
    expect([up(part), added(part), lost(part, 'failed'), lost(part, 'dropped')]).toEqual([1, 2, 0, 0]);
  });

  test('has an event once, whoever brings it and however often', async () => {
    const [one, other] = [await started(), await started()];
    const grant = happening('granted', 'a', scene.nowMs);
    await one.archive.deliver(told(grant, grant));
    await other.archive.deliver(told({ ...grant, timeMs: grant.timeMs + 3 }));
    await settled();
    expect(await storedOf(one, 'a')).toEqual(['granted 1 w1']);
    expect((added(one) ?? 0) + (added(other) ?? 0)).toBe(1);
  });

  test('has each wait of one who waits again', async () => {
    const part = await started();
    await part.archive.deliver(told(...[1, 2].map((ms) => happening('queued', 'a', scene.nowMs + ms))));
    await settled();
    expect(await storedOf(part, 'a')).toEqual(['queued 0 w1', 'queued 0 w1']);
  });

  test('has nothing of what is no event of a lock', async () => {
    const part = await started();
    await part.archive.deliver(told({ ...happening('quorum_lost', '', 1), resources: [] }));
    await settled();
    expect(added(part)).toBe(0);
  });

  test.each(['in one batch', 'in a later batch', 'before the grant'])(
    'learns whose lease it was that somebody else released, %s',
    async (when) => {
      const part = await started();
      const grant = told(happening('granted', 'a', scene.nowMs, { owner: 'w7' }));
      const end = told(happening('released', 'a', scene.nowMs + 5, { owner: '' }));
      const batches = {
        'in one batch': [[...grant, ...end]],
        'in a later batch': [grant, end],
        'before the grant': [end, grant],
      }[when]!;
      for (const batch of batches) {
        await part.archive.deliver(batch);
        await settled();
      }
      await scene.passes(31_000);
      expect(await storedOf(part, 'a')).toEqual(['released 1 w7', 'granted 1 w7']);
    },
  );
});

describe('an archive that is away', () => {
  test('loses nothing of what can wait, and is told of as away once', async () => {
    const part = await started();
    part.store.fault = AWAY;
    for (const grant of grants('a', 20)) {
      await part.archive.deliver(told(grant));
      await scene.passes(50);
    }
    expect([up(part), added(part)]).toEqual([0, 0]);
    part.store.fault = undefined;
    await scene.passes(6000);
    expect([up(part), added(part), lost(part, 'failed')]).toEqual([1, 20, 0]);
    expect(await part.archive.gaps(0, scene.nowMs)).toEqual([]);
    expect(part.notices.filter((line) => line.startsWith('warn'))).toEqual([
      expect.stringContaining('does not take history'),
    ]);
  });

  test('is asked ever more seldom, and in no step with others', async () => {
    const part = await started();
    part.store.fault = AWAY;
    await part.archive.deliver(told(...grants('a', 1)));
    await scene.passes(20_000, 10);
    const before = part.store.asked;
    await scene.passes(20_000, 10);
    expect(part.store.asked - before).toBeGreaterThanOrEqual(3);
    expect(part.store.asked - before).toBeLessThanOrEqual(8);
  });

  test('leaves a gap for what could not wait: the oldest, counted, told at once and stored later', async () => {
    const part = await started(16);
    const fromMs = scene.nowMs;
    part.store.fault = AWAY;
    for (const grant of grants('a', 40, fromMs)) await part.archive.deliver(told(grant));
    await settled();
    const gap = { fromMs, untilMs: fromMs + 23, events: 24, reason: 'failed' };
    expect([lost(part, 'failed'), lost(part, 'dropped')]).toEqual([24, 0]);
    expect(part.lost.reduce((sum, { events }) => sum + events, 0)).toBe(24);
    part.store.fault = undefined;
    await scene.passes(6000);
    expect(await storedOf(part, 'a')).toHaveLength(16);
    const other = await started();
    expect(await other.archive.gaps(0, scene.nowMs)).toEqual([gap]);
  });

  test('stores one gap for one outage, however often its writing failed', async () => {
    const part = await started(4);
    part.store.fault = AWAY;
    for (const grant of grants('a', 100)) {
      await part.archive.deliver(told(grant));
      await scene.passes(100);
    }
    part.store.fault = undefined;
    await scene.passes(6000);
    const gaps = await part.archive.gaps(0, scene.nowMs);
    expect(gaps).toEqual([expect.objectContaining({ events: 96, reason: 'failed' })]);
  });

  test('counts as away while it hangs', async () => {
    const part = await started();
    part.store.hung = true;
    await part.archive.deliver(told(...grants('a', 1)));
    await scene.passes(6000);
    expect(up(part)).toBe(0);
  });

  test('is left a gap by rows that it will never take, and takes the others', async () => {
    const part = await started();
    part.store.fault = new StoreError('refused', 'no such value');
    await part.archive.deliver(told(...grants('a', 3)));
    await settled();
    part.store.fault = undefined;
    await part.archive.deliver(told(...grants('b', 2)));
    await scene.passes(1000);
    expect([await storedOf(part, 'a'), (await storedOf(part, 'b'))?.length]).toEqual([[], 2]);
    expect([lost(part, 'failed'), up(part)]).toEqual([3, 1]);
  });

  test('of a later release is said to be so, and looked at once a minute', async () => {
    const part = scene.part();
    part.store.fault = new StoreError('newer', 'a later release made it');
    part.archive.start();
    await scene.passes(59_000);
    expect(part.store.asked).toBe(1);
    expect(part.notices).toHaveLength(1);
  });
});

describe('gaps', () => {
  test('of events that never came here are told as dropped', async () => {
    const part = await started();
    part.archive.missed(7, 1000, 2000);
    await settled();
    expect(lost(part, 'dropped')).toBe(7);
    expect(await part.archive.gaps(1500, 9000)).toEqual([
      { fromMs: 1000, untilMs: 2000, events: 7, reason: 'dropped' },
    ]);
    expect(await part.archive.gaps(2001, 9000)).toEqual([]);
  });

  test('are known before the archive has them', async () => {
    const part = await started();
    part.store.fault = AWAY;
    part.archive.missed(7, 1000, 2000);
    await settled();
    part.store.fault = undefined;
    expect(await part.archive.gaps(0, 9000)).toEqual([
      { fromMs: 1000, untilMs: 2000, events: 7, reason: 'dropped' },
    ]);
  });

  test('that grow while they are stored are told once, and stored whole', async () => {
    const part = await started();
    const nowMs = scene.nowMs;
    part.archive.missed(7, nowMs - 3000, nowMs - 2000);
    // The first are on their way to the database.
    part.archive.missed(1, nowMs - 2000, nowMs - 1000);
    const whole = { fromMs: nowMs - 3000, untilMs: nowMs - 1000, events: 8, reason: 'dropped' };
    for (let turn = 0; turn < 40; turn += 1) {
      expect((await part.archive.gaps(0, nowMs)) ?? []).toEqual([whole]);
      await Promise.resolve();
    }
    await settled();
    const other = await started();
    expect(await other.archive.gaps(0, nowMs)).toEqual([whole]);
  });

  test('stand for a process that ended without a word, from when it last wrote', async () => {
    const dead = await started();
    await dead.archive.deliver(told(...grants('a', 1)));
    const diedMs = scene.nowMs;
    dead.store.hung = true;
    const part = await started();
    const firstMs = scene.nowMs;
    await scene.passes(STALE_MS - MARK_MS);
    expect(await part.archive.gaps(0, scene.nowMs)).toEqual([]);
    await scene.passes(3 * MARK_MS + 30_000);
    const [gap] = (await part.archive.gaps(0, scene.nowMs))!;
    expect(gap).toMatchObject({ events: 0, reason: 'failed', untilMs: firstMs });
    expect(gap!.fromMs).toBeLessThanOrEqual(diedMs);
    expect(part.notices).toContainEqual(expect.stringContaining('ended without a word'));
  });

  test('do not stand for one that lives, nor for one that was closed', async () => {
    const [living, closed, part] = [await started(), await started(), await started()];
    await closed.archive.deliver(told(...grants('a', 3)));
    await closed.archive.close();
    await scene.passes(3 * STALE_MS);
    expect(up(living)).toBe(1);
    expect(await part.archive.gaps(0, scene.nowMs)).toEqual([]);
    expect(await storedOf(part, 'a')).toHaveLength(3);
  });
});

describe('retention', () => {
  test('deletes what is older, gaps too, in steps, and nothing else', async () => {
    const part = scene.part(10_000, 120_000);
    await part.archive.open();
    part.archive.missed(1, 0, 1000);
    const oldMs = scene.nowMs - 90_000;
    await part.archive.deliver(told(...grants('a', 2500, oldMs - 10_000)));
    await part.archive.deliver(told(...grants('b', 3, scene.nowMs)));
    part.archive.start();
    await settled();
    expect(await storedOf(part, 'a')).toHaveLength(2500);
    await scene.passes(62_000, 100);
    expect([await storedOf(part, 'a'), (await storedOf(part, 'b'))?.length]).toEqual([[], 3]);
    expect(await part.archive.gaps(0, scene.nowMs)).toEqual([]);
  });
});

describe('what nodes remember', () => {
  test('is taken where it is not known, without renewals', async () => {
    const part = await started();
    await part.archive.deliver(told(happening('granted', 'a', scene.nowMs)));
    const event = { resource: 'a', owner: 'w1', leaseRef: 'r1', token: 1n, reason: '', timeMs: scene.nowMs };
    const events = (['granted', 'renewed', 'expired'] as const).map((type, at) => ({
      ...event,
      type,
      timeMs: event.timeMs + at,
    }));
    expect(part.archive.backfill(events)).toBe(2);
    await settled();
    expect(await storedOf(part, 'a')).toEqual(['expired 1 w1', 'granted 1 w1']);
  });

  test('never pushes out what was captured here', async () => {
    const part = await started(16);
    part.store.fault = AWAY;
    await part.archive.deliver(told(...grants('a', 6)));
    const event = { resource: 'b', owner: 'w1', leaseRef: 'r', reason: '', type: 'expired' as const };
    const many = Array.from({ length: 50 }, (_, at) => ({ ...event, token: BigInt(at + 1), timeMs: at }));
    expect(part.archive.backfill(many)).toBe(2);
    expect(lost(part, 'failed')).toBe(0);
  });
});

test('a close writes what waits', async () => {
  const part = await started(5000);
  part.store.fault = AWAY;
  await part.archive.deliver(told(...grants('a', 3)));
  await settled();
  part.store.fault = undefined;
  await scene.passes(200);
  await part.archive.deliver(told(...grants('b', 2000)));
  await part.archive.close();
  const other = await started();
  expect([(await storedOf(other, 'a'))?.length, (await storedOf(other, 'b'))?.length]).toEqual([3, 2000]);
});
