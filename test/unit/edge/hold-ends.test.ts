/** How a Hold ends and is drained, and what then becomes of its lease. */
import { describe, expect, test } from 'vitest';
import { draining } from '../../../src/edge/status.ts';
import { asker, loss } from './fake-locks.ts';
import { acquire, events, HoldScene } from './hold-scene.ts';
import { type FakeStream, NOTHING, turn } from './stream-scene.ts';

describe('the end of a Hold', () => {
  const grace = { seconds: 3 };

  test.each([
    ['closed', 'closed', 'closed 3000'],
    ['silent', 'silent', 'silent 3000'],
    ['of an unknown connection', undefined, 'silent 3000'],
  ] as const)('%s', async (_, ended, said) => {
    const scene = new HoldScene();
    scene.ended = ended;
    const { stream, kept } = await scene.held({ acquire, grace });
    stream.leave();
    await turn();
    expect(kept.ends).toEqual([said]);
    expect(scene.leftovers(stream)).toEqual(NOTHING);
  });

  test.each(['close', 'cancelled'])('told by %s alone', async (event) => {
    const scene = new HoldScene();
    const { stream, kept } = await scene.held();
    stream.emit(event);
    expect(kept.ends).toEqual(['closed 0']);
  });

  test('by its deadline counts as closed, whatever the connection says', async () => {
    const scene = new HoldScene();
    scene.ended = 'silent';
    const { stream, kept } = await scene.held({ acquire, grace }, 5000);
    scene.clock.advance(4999);
    expect(kept.ends).toEqual([]);
    scene.clock.advance(2);
    expect([kept.ends, stream.destroyed]).toEqual([['closed 3000'], true]);
  });

  test('by the cut of all connections leaves the lease to its client', async () => {
    const scene = new HoldScene();
    const { kept } = await scene.held();
    scene.flights.cut();
    expect(kept.ends).toEqual(['drained 0']);
  });

  test('that overtakes its own grant gives back what nobody heard of, and leaves what its client knows', async () => {
    const scene = new HoldScene();
    scene.ended = 'silent';
    const one = scene.waiting({ acquire, grace });
    one.stream.leave();
    const kept = scene.grant();
    await one.answer(kept);
    expect(kept.ends).toEqual(['closed 3000']);

    const two = scene.waiting({ resume_lease_id: kept.lease.leaseId });
    two.stream.leave();
    const again = scene.grant();
    await two.answer(again);
    expect(again.ends).toEqual(['silent 0']);
    expect(scene.streams.count('hold')).toBe(0);
  });

  test('by a defect is INTERNAL, and the lease is released', async () => {
    const scene = new HoldScene();
    scene.locks.onHold = async () => {
      throw new Error('a defect');
    };
    const stream = scene.open();
    await turn();
    expect([stream.outcome, scene.defects.length]).toEqual(['INTERNAL', 1]);

    const other = new HoldScene();
    const { stream: standing, kept } = await other.held();
    kept.news.renewed(null as never);
    expect([standing.outcome, kept.ends]).toEqual(['INTERNAL', ['closed 0']]);
    expect(other.defects.length).toBe(1);
  });

  test('says nothing more, whatever the locks still tell', async () => {
    const scene = new HoldScene();
    const { stream, kept } = await scene.held();
    stream.leave();
    kept.news.renewed(kept.lease);
    kept.news.yieldRequested(asker);
    kept.news.lost(loss);
    await turn();
    expect([events(stream), kept.ends]).toEqual([['granted'], ['closed 0']]);
  });
});

describe('a drain', () => {
  test('is told to who holds; the lease then stays, whatever ends the stream', async () => {
    for (const end of [
      (stream: FakeStream) => stream.leave(),
      (_: FakeStream, scene: HoldScene) => scene.clock.advance(60_000),
      (_: FakeStream, scene: HoldScene) => scene.streams.end(draining),
    ]) {
      const scene = new HoldScene();
      const { stream, kept } = await scene.held({ acquire }, 50_000);
      scene.streams.drain(1500);
      await turn();
      expect(stream.said.at(-1)).toMatchObject({
        draining: { remaining: { seconds: '1', nanos: 500_000_000 } },
      });
      end(stream, scene);
      await turn();
      expect(kept.ends).toEqual(['drained 0']);
      expect(scene.leftovers(stream)).toEqual(NOTHING);
    }
  });

  test('ends with DRAINING once the lease was resumed elsewhere, and with the loss where it was lost', async () => {
    for (const [how, outcome, last] of [
      [{ reason: 'unknown', takenOver: true }, 'DRAINING', 'draining'],
      [{ reason: 'unknown' }, 'OK', 'lost'],
      [{ reason: 'forced' }, 'OK', 'lost'],
    ] as const) {
      const scene = new HoldScene();
      const { stream, kept } = await scene.held();
      scene.streams.drain(1000);
      await turn();
      kept.news.lost({ ...loss, ...how });
      expect([stream.outcome, events(stream).at(-1)]).toEqual([outcome, last]);
      await scene.streams.idle();
    }
  });

  test('leaves who waits to the locks, and tells it after all if they grant', async () => {
    const scene = new HoldScene();
    const one = scene.waiting();
    scene.streams.drain(1000);
    scene.clock.advance(400);
    expect(one.stream.said).toEqual([]);
    await one.answer(scene.grant());
    expect(one.stream.said).toMatchObject([
      { granted: {} },
      { draining: { remaining: { nanos: 600_000_000 } } },
    ]);

    const other = new HoldScene();
    const two = other.waiting();
    other.streams.drain(1000);
    await two.answer(draining as never);
    expect(two.stream.outcome).toBe('DRAINING');
    await other.streams.idle();
  });

  test('may be none: the end of all streams leaves the lease to its client, too', async () => {
    const scene = new HoldScene();
    const { stream, kept } = await scene.held();
    scene.streams.end(draining);
    expect([stream.outcome, kept.ends]).toEqual(['DRAINING', ['drained 0']]);
  });

  test('refuses who comes during it', () => {
    const scene = new HoldScene();
    scene.draining = true;
    const stream = scene.open();
    expect(stream.outcome).toBe('DRAINING');
    expect([scene.locks.holds, scene.streams.count('hold')]).toEqual([[], 0]);
  });

  test('waits for the last stream', async () => {
    const scene = new HoldScene();
    const { stream } = await scene.held();
    const { stream: other } = await scene.held();
    let idle = false;
    void scene.streams.idle().then(() => {
      idle = true;
    });
    stream.leave();
    await turn();
    expect(idle).toBe(false);
    other.leave();
    await turn();
    expect(idle).toBe(true);
  });
});
