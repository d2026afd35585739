/** A session at the pace of its reader: held back where it has too much to say, and ended where nothing is taken. */
import { describe, expect, test } from 'vitest';
import { limits } from '../../../src/domain/limits.ts';
import { loss } from './fake-locks.ts';
import { acquire, SessionScene } from './session-scene.ts';
import { NOTHING, turn } from './stream-scene.ts';

describe('a session is held back', () => {
  const checks = (from: number, count: number) =>
    Array.from({ length: count }, (_, at) => ({
      seq: from + at,
      check_token: { resource: 'r', fencing_token: 1 },
    }));

  test('while it has too much to answer, and read again at half of it', async () => {
    const scene = new SessionScene();
    const gates: PromiseWithResolvers<never>[] = [];
    scene.locks.checkToken = () => {
      const gate = Promise.withResolvers<never>();
      gates.push(gate);
      return gate.promise;
    };
    const most = limits.operationsPerSession;
    for (let from = 1; from < most; from += 1024) scene.send(...checks(from, Math.min(1024, most - from)));
    expect(scene.stream.paused).toBe(false);
    scene.send(...checks(most, 1));
    expect(scene.stream.paused).toBe(true);
    const answer = async (count: number): Promise<void> => {
      for (const gate of gates.splice(0, count))
        gate.resolve({ kind: 'check', current: true, lastToken: 1n } as never);
      await turn();
    };
    await answer(most / 2);
    expect(scene.stream.paused).toBe(true);
    await answer(1);
    expect(scene.stream.paused).toBe(false);
  });

  test('while its reader does not take the answers', async () => {
    const scene = new SessionScene();
    scene.stream.takes = false;
    let seq = 1;
    while (!scene.stream.paused && seq < 4 * limits.operationsPerSession) {
      await scene.ask(...checks(seq, 64));
      seq += 64;
    }
    expect(scene.stream.paused).toBe(true);
    // A few messages are on their way; the rest of what was asked is kept.
    expect(scene.results.length).toBe(8 * 64);
    expect(seq - 1 - scene.results.length).toBe(limits.operationsPerSession);
    scene.stream.takes = true;
    scene.stream.take();
    await turn();
    expect([scene.results.length, scene.stream.paused]).toEqual([seq - 1, false]);
  });

  test('not by waits, which count among the leases instead', async () => {
    const scene = new SessionScene();
    const most = limits.leasesPerSession;
    await scene.held(most);
    scene.waits();
    for (let from = 1; from < most; from += 1024) {
      const count = Math.min(1024, most - from);
      scene.send(...Array.from({ length: count }, (_, at) => acquire(from + at, { wait: { seconds: 9 } })));
    }
    expect([scene.stream.paused, scene.locks.holds.length]).toEqual([false, most]);
    await scene.ask(acquire(most + 1), { seq: most + 2, cancel: { seq: 99_999 } });
    expect(scene.result(most + 1)).toMatchObject({
      error: { reason: 'QUOTA', retry_after: { seconds: '1' } },
    });
    expect(scene.operations).toEqual(['acquire refused QUOTA']);
    const { lease } = scene.locks.kept[0]!;
    await scene.ask({ seq: most + 3, release: { lease_id: lease.leaseId } }, acquire(most + 4));
    expect(scene.locks.holds.length).toBe(most + 1);
  });
});

describe('a reader that takes nothing', () => {
  test('from one renewal of a lease to its next is taken for silent, with all leases', async () => {
    const scene = new SessionScene();
    scene.message({ ops: [acquire(1), acquire(2)], grace: { seconds: 2 } });
    await turn();
    const [one, two] = scene.locks.kept;
    scene.stream.takes = false;
    for (const kept of [one!, two!]) kept.news.renewed(kept.lease);
    await turn();
    expect(scene.stream.destroyed).toBe(false);
    two!.news.renewed(two!.lease);
    expect([one!.ends, two!.ends]).toEqual([[], []]);
    one!.news.renewed(one!.lease);
    expect([one!.ends, two!.ends]).toEqual([['silent 2000'], ['silent 2000']]);
    expect(scene.stream.destroyed).toBe(true);
    await turn();
    expect(scene.leftovers(scene.stream)).toEqual(NOTHING);
  });

  test('is found also when the lease whose renewals were looked at has gone', async () => {
    const scene = new SessionScene();
    await scene.ask(acquire(1), acquire(2));
    const [one, two] = scene.locks.kept;
    scene.stream.takes = false;
    for (const kept of [one!, two!]) kept.news.renewed(kept.lease);
    await turn();
    one!.news.lost(loss);
    await turn();
    two!.news.renewed(two!.lease);
    expect(two!.ends).toEqual([]);
    two!.news.renewed(two!.lease);
    expect(two!.ends).toEqual(['silent 0']);
  });

  test('is found by the leases that are renewed, however long others take', async () => {
    const scene = new SessionScene();
    await scene.ask(acquire(1), acquire(2));
    const [one, two] = scene.locks.kept;
    one!.news.renewed(one!.lease);
    await turn();
    scene.stream.takes = false;
    for (const round of [1, 2]) {
      two!.news.renewed(two!.lease);
      await turn();
      expect(two!.ends.length).toBe(round - 1);
    }
  });

  test('is not one that takes a little between them', async () => {
    const scene = new SessionScene();
    const kept = await scene.held(1);
    scene.stream.takes = false;
    for (let round = 0; round < 5; round += 1) {
      kept.news.renewed(kept.lease);
      await turn();
      scene.stream.take();
    }
    expect([kept.ends, scene.stream.outcome]).toEqual([[], 'open']);
  });
});
