/** What a Hold tells its client while it waits and while it holds, at the pace at which that listens. */
import { describe, expect, test } from 'vitest';
import { invalidField, leaseLost, noQuorum } from '../../../src/domain/refusals.ts';
import { MALFORMED } from '../../../src/edge/protos.ts';
import { asker, busy, loss, queued } from './fake-locks.ts';
import { acquire, events, HoldScene } from './hold-scene.ts';
import { contract, FakeStream, NOTHING, turn } from './stream-scene.ts';

describe('what a Hold tells', () => {
  test('the grant, each renewal, who asks for it, and its loss, with which it ends well', async () => {
    const scene = new HoldScene();
    const { stream, kept } = await scene.held();
    kept.news.renewed({ ...kept.lease, expireTimeMs: 1_900_000_000_000 });
    await turn();
    kept.news.yieldRequested(asker);
    await turn();
    kept.news.lost(loss);
    expect(stream.said).toMatchObject([
      { granted: { lease_id: kept.lease.leaseId, fencing_token: '1', mode: 'MODE_EXCLUSIVE' } },
      { renewed: { expire_time: { seconds: '1900000000' } } },
      {
        yield_request: {
          owner: 'w9',
          priority: 7,
          waited: { seconds: '6', nanos: 500_000_000 },
          deadline: null,
        },
      },
      { lost: { reason: 'LOST_REASON_EXPIRED', fencing_token: '1', detail: 'too late' } },
    ]);
    expect(stream.outcome).toBe('OK');
    expect(kept.ends).toEqual([]);
  });

  test('and lets go of what it was asked, which grpc-js would keep with the stream', async () => {
    const scene = new HoldScene();
    const { stream, kept } = await scene.held();
    expect(stream.request).toMatchObject({ acquire: null, resume_lease_id: '' });
    const resumed = await scene.held({ resume_lease_id: kept.lease.leaseId });
    expect(resumed.stream.request).toMatchObject({ acquire: null, resume_lease_id: '' });
    expect(events(resumed.stream)).toEqual(['granted']);
  });

  test('where it stands in line, and then that the lock is busy, with which it ends well', async () => {
    const scene = new HoldScene();
    const { stream, answer } = scene.waiting();
    const { caller } = scene.locks.holds[0]!;
    caller.queued?.(queued(2));
    await turn();
    caller.queued?.(queued(1));
    await turn();
    await answer(busy);
    expect(stream.said).toMatchObject([
      { queued: { position: 2, queue_length: 4, holders: [{ owner: 'w2' }] } },
      { queued: { position: 1 } },
      { busy: { wait_elapsed: true, retry_after: { nanos: 30_000_000 } } },
    ]);
    expect(stream.outcome).toBe('OK');
  });

  test('a refusal as its status, with the path of each field from the top', async () => {
    const scene = new HoldScene();
    scene.locks.onHold = async () => noQuorum(1, 3, 1000);
    const stream = scene.open();
    await turn();
    expect(stream.outcome).toBe('NO_QUORUM');
    scene.locks.onHold = async () => invalidField('request_id', 'was used with other arguments');
    const again = scene.open();
    await turn();
    expect(again.refusal.details.BadRequest?.field_violations.map(({ field }) => field)).toEqual([
      'acquire.request_id',
    ]);
    const bad = scene.open({ acquire: { ...acquire, owner: '' }, grace: { seconds: -1 } });
    expect(bad.refusal.details.BadRequest?.field_violations.map(({ field }) => field)).toEqual([
      'acquire.owner',
      'grace',
    ]);
    expect(scene.operations).toEqual(['acquire refused INVALID_FIELD']);
  });

  test('the grant first where a lease is resumed', async () => {
    const scene = new HoldScene();
    const { kept } = await scene.held();
    const { stream } = await scene.held({ resume_lease_id: kept.lease.leaseId });
    expect(stream.said).toMatchObject([{ granted: { lease_id: kept.lease.leaseId, fencing_token: '1' } }]);
    scene.locks.onResume = async () => leaseLost('forced');
    const late = scene.open({ resume_lease_id: kept.lease.leaseId });
    await turn();
    expect(late.outcome).toBe('LEASE_LOST');
  });

  test('that a request was no message', () => {
    const scene = new HoldScene();
    const stream = new FakeStream(contract.locks.Hold, MALFORMED);
    scene.serve(stream);
    expect(stream.outcome).toBe('INVALID_FIELD');
  });

  test('the loss after the grant, even if the lease was lost before we heard of the grant', async () => {
    const scene = new HoldScene();
    const { stream, answer } = scene.waiting();
    const kept = scene.grant();
    kept.news.lost(loss);
    await answer(kept);
    expect(events(stream)).toEqual(['granted', 'lost']);
  });
});

describe('the news of a lease of which the grant was not told yet', () => {
  test('follow the grant', async () => {
    const scene = new HoldScene();
    const { stream, answer } = scene.waiting();
    const kept = scene.grant();
    kept.news.yieldRequested(asker);
    await turn();
    expect(stream.said).toEqual([]);
    await answer(kept);
    expect(events(stream)).toEqual(['granted', 'yield_request']);
  });

  test('do not swallow it, even if they are its loss', async () => {
    const scene = new HoldScene();
    const { stream, answer } = scene.waiting();
    stream.takes = false;
    scene.locks.holds[0]!.caller.queued?.(queued(1));
    const kept = scene.grant();
    await answer(kept);
    expect(events(stream)).toEqual(['queued']);
    kept.news.lost(loss);
    expect([events(stream), stream.outcome]).toEqual([['queued', 'granted', 'lost'], 'OK']);
  });
});

describe('the wait of a Hold', () => {
  test('lasts as long as the stream where nothing is said of it', () => {
    const scene = new HoldScene();
    scene.open();
    scene.open({ acquire: { ...acquire, wait: { seconds: 0 } } });
    scene.open({ acquire: { ...acquire, wait: { seconds: 5 } } });
    scene.open({ acquire }, 3000);
    scene.open({ acquire: { ...acquire, wait: { seconds: 1 } } }, 3000);
    expect(scene.locks.holds.map(({ ask }) => ask.waitMs)).toEqual([Infinity, 0, 5000, 2900, 1000]);
  });

  test('ends when its client leaves', async () => {
    const scene = new HoldScene();
    const { stream, answer } = scene.waiting();
    const { caller } = scene.locks.holds[0]!;
    let told = 0;
    caller.whenGone(() => {
      told += 1;
    });
    stream.leave();
    expect([told, caller.gone()]).toEqual([1, true]);
    expect(scene.streams.count('hold')).toBe(1);
    await answer(busy);
    expect(scene.streams.count('hold')).toBe(0);
    expect(stream.said).toEqual([]);
  });
});

describe('a reader that is slow', () => {
  test('gets the newest of each kind', async () => {
    const scene = new HoldScene();
    const { stream, answer } = scene.waiting();
    const { caller } = scene.locks.holds[0]!;
    stream.takes = false;
    for (const position of [4, 3, 2, 1]) caller.queued?.(queued(position));
    await turn();
    stream.take();
    expect(stream.said).toMatchObject([{ queued: { position: 4 } }, { queued: { position: 1 } }]);
    caller.queued?.(queued(5));
    await answer(scene.grant());
    stream.take();
    stream.take();
    expect(events(stream)).toEqual(['queued', 'queued', 'granted']);
  });

  test('loses nothing but renewals between two of which it took something', async () => {
    const scene = new HoldScene();
    const { stream, kept } = await scene.held();
    stream.takes = false;
    for (let round = 1; round <= 5; round += 1) {
      kept.news.renewed({ ...kept.lease, expireTimeMs: round * 1000 });
      kept.news.yieldRequested({ ...asker, priority: round });
      stream.take();
    }
    expect(stream.outcome).toBe('open');
    expect(kept.ends).toEqual([]);
    stream.take();
    expect(stream.said.filter(({ event }) => event === 'renewed').at(-1)).toMatchObject({
      renewed: { expire_time: { seconds: '5' } },
    });
  });

  test('is taken for a silent one when it takes nothing from one renewal to the next', async () => {
    const scene = new HoldScene();
    const { stream, kept } = await scene.held({ acquire, grace: { seconds: 2 } });
    stream.takes = false;
    kept.news.renewed(kept.lease);
    expect(kept.ends).toEqual([]);
    kept.news.renewed(kept.lease);
    expect(kept.ends).toEqual(['silent 2000']);
    expect([stream.destroyed, events(stream)]).toEqual([true, ['granted', 'renewed']]);
    await turn();
    expect(scene.leftovers(stream)).toEqual(NOTHING);
  });

  test('is not, for what was written in the moment of a renewal', async () => {
    const scene = new HoldScene();
    const { stream, kept } = await scene.held();
    stream.takes = false;
    kept.news.yieldRequested(asker);
    kept.news.renewed(kept.lease);
    stream.take();
    kept.news.renewed(kept.lease);
    expect(kept.ends).toEqual([]);
    expect(stream.outcome).toBe('open');
  });

  test('is one that did not even take the grant', async () => {
    const scene = new HoldScene();
    const stream = scene.open();
    stream.takes = false;
    await turn();
    const kept = scene.locks.kept[0]!;
    kept.news.renewed(kept.lease);
    expect(kept.ends).toEqual(['silent 0']);
  });

  test('is one that has taken its place in line, and not the grant', async () => {
    const scene = new HoldScene();
    const { stream, answer } = scene.waiting();
    scene.locks.holds[0]!.caller.queued?.(queued(1));
    await turn();
    stream.takes = false;
    const kept = scene.grant();
    await answer(kept);
    kept.news.renewed(kept.lease);
    expect([kept.ends, events(stream)]).toEqual([['silent 0'], ['queued', 'granted']]);
  });
});
