/** How a session ends and is drained, and what then becomes of its leases. */
import { describe, expect, test } from 'vitest';
import { draining } from '../../../src/edge/status.ts';
import { busy, loss } from './fake-locks.ts';
import { acquire, SessionScene } from './session-scene.ts';
import { NOTHING, turn } from './stream-scene.ts';

describe('the end of a session', () => {
  test.each([
    ['closed', 'closed', 'closed 3000'],
    ['silent', 'silent', 'silent 3000'],
    ['of an unknown connection', undefined, 'silent 3000'],
  ] as const)('%s: for each lease that it still has', async (_, ended, said) => {
    const scene = new SessionScene();
    scene.message({ ops: [acquire(1), acquire(2), acquire(3)], grace: { seconds: 3 } });
    await turn();
    const [one, two, three] = scene.locks.kept;
    two!.news.lost(loss);
    await scene.ask({ seq: 4, release: { lease_id: three!.lease.leaseId } });
    // The scene was made with a connection that is known.
    scene.ended = ended;
    scene.stream.leave();
    await turn();
    expect([one!.ends, two!.ends, three!.ends]).toEqual([[said], [], []]);
    expect(scene.leftovers(scene.stream)).toEqual(NOTHING);
  });

  test('the newest grace counts, and a message without one leaves it', async () => {
    const scene = new SessionScene();
    scene.message({ ops: [acquire(1)], grace: { seconds: 3 } });
    scene.message({ ops: [], grace: { seconds: 5 } });
    scene.message({ ops: [acquire(2)] });
    await turn();
    scene.stream.leave();
    expect(scene.locks.kept.map(({ ends }) => ends)).toEqual([['closed 5000'], ['closed 5000']]);
  });

  test('tells who waits, and gives back what is granted too late', async () => {
    const scene = new SessionScene();
    scene.ended = 'silent';
    const { answer } = scene.waits();
    await scene.ask(acquire(1, { wait: { seconds: 60 } }), acquire(2, { wait: { seconds: 60 } }));
    const told: boolean[] = [];
    const { caller } = scene.locks.holds[0]!;
    caller.whenGone(() => told.push(caller.gone()));
    scene.stream.leave();
    expect(told).toEqual([true]);
    const kept = scene.grant(0);
    await answer(kept);
    expect([kept.ends, scene.streams.count('session')]).toEqual([['closed 0'], 1]);
    await answer(busy);
    expect([scene.streams.count('session'), scene.results]).toEqual([0, []]);
  });

  test('by its deadline counts as closed, whatever the connection says', async () => {
    const scene = new SessionScene(5000);
    scene.ended = 'silent';
    const kept = await scene.held(1);
    scene.clock.advance(5001);
    expect([kept.ends, scene.stream.destroyed]).toEqual([['closed 0'], true]);
  });

  test('by a half-close: what was asked is answered first', async () => {
    const scene = new SessionScene();
    const kept = await scene.held(1);
    const { answer } = scene.waits();
    await scene.ask(acquire(2, { wait: { seconds: 60 } }));
    scene.stream.emit('end');
    await turn();
    expect([scene.stream.outcome, kept.ends]).toEqual(['open', []]);
    await answer(busy);
    expect([scene.stream.outcome, scene.outcomes, kept.ends]).toEqual([
      'OK',
      ['1 acquire', '2 acquire'],
      ['closed 0'],
    ]);
    expect(scene.leftovers(scene.stream)).toEqual(NOTHING);
  });

  test('by a half-close waits for a reader that is slow', async () => {
    const scene = new SessionScene();
    scene.stream.takes = false;
    for (let seq = 1; seq <= 20; seq += 1) await scene.ask({ seq, cancel: { seq: 99 } });
    scene.stream.emit('end');
    await turn();
    expect([scene.stream.outcome, scene.results.length]).toEqual(['open', 8]);
    scene.stream.take();
    await turn();
    expect([scene.stream.outcome, scene.results.length]).toEqual(['OK', 20]);
  });

  test('by a half-close with nothing to answer, at once', async () => {
    const scene = new SessionScene();
    scene.stream.emit('end');
    await turn();
    expect(scene.stream.outcome).toBe('OK');
    expect(scene.leftovers(scene.stream)).toEqual(NOTHING);
  });

  test('is no half-close where the end of the call follows: so says grpc-js of a connection that fell silent', async () => {
    const scene = new SessionScene();
    scene.ended = 'silent';
    const kept = await scene.held(1);
    scene.stream.emit('end');
    await Promise.resolve();
    scene.stream.leave();
    await turn();
    expect(kept.ends).toEqual(['silent 0']);
  });

  test('by a defect of its own is INTERNAL, and its leases are released', async () => {
    const scene = new SessionScene();
    const kept = await scene.held(1);
    kept.news.renewed(null as never);
    await turn();
    expect([scene.stream.outcome, kept.ends, scene.defects.length]).toEqual(['INTERNAL', ['closed 0'], 1]);
    expect(scene.leftovers(scene.stream)).toEqual(NOTHING);
  });

  test('is not stopped by a lease that fails to end', async () => {
    const scene = new SessionScene();
    await scene.ask(acquire(1), acquire(2));
    const [one, two] = scene.locks.kept;
    one!.end = () => {
      throw new Error('a defect');
    };
    scene.stream.leave();
    expect([two!.ends, scene.defects.length, scene.streams.count('session')]).toEqual([['closed 0'], 1, 0]);
  });
});

describe('a drain', () => {
  test('is told once with seq 0, refuses what would take leases, and serves the rest', async () => {
    const scene = new SessionScene();
    const kept = await scene.held(1);
    const leaseId = kept.lease.leaseId;
    scene.streams.drain(2500);
    scene.clock.advance(500);
    await scene.ask(
      acquire(2),
      { seq: 3, resume: { lease_id: leaseId } },
      { seq: 4, heartbeat: { lease_id: leaseId } },
      { seq: 5, check_token: { resource: 'r', fencing_token: 1 } },
      { seq: 6, cancel: { seq: 9 } },
    );
    expect(scene.outcomes.slice(1).sort()).toEqual([
      '2 error DRAINING',
      '3 error DRAINING',
      '4 heartbeat',
      '5 check_token',
      '6 cancel',
    ]);
    expect(scene.events).toMatchObject([
      { seq: '0', lease_id: '', draining: { remaining: { seconds: '2', nanos: 0 } } },
    ]);
    expect(scene.operations).toEqual(['acquire refused DRAINING', 'resume refused DRAINING']);
    await scene.ask({ seq: 7, release: { lease_id: leaseId } });
    expect(scene.outcomes.at(-1)).toBe('7 release');
  });

  test('leaves the leases, whatever ends the session', async () => {
    for (const end of [
      (scene: SessionScene) => scene.stream.leave(),
      (scene: SessionScene) => scene.stream.emit('end'),
      (scene: SessionScene) => scene.clock.advance(60_000),
      (scene: SessionScene) => scene.streams.end(draining),
      (scene: SessionScene) => scene.send(acquire(0)),
    ]) {
      const scene = new SessionScene(50_000);
      const kept = await scene.held(1);
      scene.streams.drain(1000);
      await turn();
      end(scene);
      await turn();
      expect(kept.ends).toEqual(['drained 0']);
      expect(scene.leftovers(scene.stream)).toEqual(NOTHING);
      await scene.streams.idle();
    }
  });

  test('may be none: the end of all streams leaves the leases to their client, too', async () => {
    const scene = new SessionScene();
    const kept = await scene.held(1);
    scene.streams.end(draining);
    expect([scene.stream.outcome, kept.ends]).toEqual(['DRAINING', ['drained 0']]);
  });

  test('makes a resume elsewhere no loss, but every other end one', async () => {
    const scene = new SessionScene();
    await scene.ask(acquire(1), acquire(2));
    const [one, two] = scene.locks.kept;
    scene.streams.drain(1000);
    one!.news.lost({ ...loss, reason: 'unknown', takenOver: true });
    two!.news.lost({ ...loss, reason: 'forced' });
    await turn();
    expect(scene.events.map(({ seq, event }) => `${seq} ${event}`).sort()).toEqual(['0 draining', '2 lost']);
    scene.streams.end(draining);
    expect([scene.stream.outcome, one!.ends, two!.ends]).toEqual(['DRAINING', [], []]);
  });

  test('refuses who comes during it', () => {
    const scene = new SessionScene(Infinity, true);
    expect([scene.stream.outcome, scene.streams.count('session')]).toEqual(['DRAINING', 0]);
  });
});
