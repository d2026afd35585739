/** A session: each operation is answered once, by itself, and what happens to its leases is told. */
import { describe, expect, test } from 'vitest';
import { invalidField, noQuorum } from '../../../src/domain/refusals.ts';
import { asker, busy, holder, loss, queued } from './fake-locks.ts';
import { acquire, SessionScene } from './session-scene.ts';
import { turn } from './stream-scene.ts';

describe('an operation', () => {
  test('of each kind is answered by its seq, all of one turn in one message', async () => {
    const scene = new SessionScene();
    const { lease } = await scene.held(1);
    await scene.ask(
      { seq: 2, heartbeat: { lease_id: lease.leaseId } },
      { seq: 3, check_token: { resource: 'gpu/1', fencing_token: 5 } },
      { seq: 4, resume: { lease_id: lease.leaseId } },
      { seq: 5, cancel: { seq: 1 } },
      { seq: '18446744073709551615', release: { lease_id: lease.leaseId } },
    );
    expect(scene.result(1)).toMatchObject({
      acquire: { lease: { lease_id: lease.leaseId, fencing_token: '1' } },
    });
    expect(scene.result(2)).toMatchObject({
      heartbeat: { lease: { lease_id: lease.leaseId }, yield_request: null },
    });
    expect(scene.result(3)).toMatchObject({ check_token: { current: true, last_token: '5' } });
    expect(scene.result(4)).toMatchObject({ resume: { lease_id: lease.leaseId, fencing_token: '1' } });
    expect(scene.result(5)).toMatchObject({ cancel: { cancelled: false } });
    expect(scene.result('18446744073709551615')).toMatchObject({ release: { released: true } });
    expect([scene.results.length, scene.messages.length, scene.events]).toEqual([6, 2, []]);
  });

  test('that was answered with a lease gives it up by its seq: as a closed stream would, without grace and once', async () => {
    const scene = new SessionScene();
    const kept = await scene.held(1);
    const other = await scene.held(2);
    scene.message({ grace: { seconds: 5 }, ops: [{ seq: 3, cancel: { seq: 1 } }] });
    scene.send({ seq: 4, cancel: { seq: 1 } });
    await turn();
    expect([scene.result(3), scene.result(4)]).toMatchObject([
      { cancel: { cancelled: false } },
      { cancel: { cancelled: false } },
    ]);
    expect([kept.ends, other.ends, scene.events]).toEqual([['closed 0'], [], []]);
    // The same lease by a newer operation: the older one has nothing to give up any more.
    await scene.ask({ seq: 5, resume: { lease_id: other.lease.leaseId } });
    const resumed = scene.locks.kept.at(-1)!;
    await scene.ask({ seq: 6, cancel: { seq: 2 } });
    expect([other.ends, resumed.ends]).toEqual([[], []]);
    await scene.ask({ seq: 7, cancel: { seq: 5 } });
    expect([other.ends, resumed.ends]).toEqual([[], ['closed 0']]);
    scene.stream.leave();
    await turn();
    expect([kept.ends, resumed.ends]).toEqual([['closed 0'], ['closed 0']]);
  });

  test('that fails fails alone, with the facts of its refusal and paths from the operation', async () => {
    const scene = new SessionScene();
    scene.locks.onHold = async ({ owner }) =>
      owner === 'w2' ? noQuorum(1, 3, 1500) : invalidField('request_id', 'was used with other arguments');
    await scene.ask(
      acquire(1, { owner: 'w2' }),
      acquire(2, { request_id: 'x' }),
      acquire(3, { ttl: { seconds: 0 }, owner: '' }),
      { seq: 4, heartbeat: { lease_id: 'x' } },
      { seq: 5, release: { lease_id: 'x' } },
      { seq: 6, check_token: { resource: '' } },
      { seq: 7, resume: { lease_id: 'x' } },
      { seq: 8, cancel: {} },
      { seq: 9 },
    );
    expect(scene.result(1)).toMatchObject({
      error: {
        code: 14,
        reason: 'NO_QUORUM',
        metadata: { answered: '1', nodes: '3' },
        retry_after: { seconds: '1', nanos: 500_000_000 },
      },
    });
    const fieldsOf = (seq: number): string[] => {
      const { error } = scene.result(seq) as {
        error: { field_violations: { field: string }[]; reason: string };
      };
      expect(error.reason).toBe('INVALID_FIELD');
      return error.field_violations.map(({ field }) => field);
    };
    expect(fieldsOf(2)).toEqual(['acquire.request_id']);
    expect(fieldsOf(3)).toEqual(['acquire.owner', 'acquire.ttl']);
    expect(fieldsOf(4)).toEqual(['heartbeat.lease_id']);
    expect(fieldsOf(5)).toEqual(['release.lease_id']);
    expect(fieldsOf(6)).toEqual(['check_token.resource', 'check_token.fencing_token']);
    expect(fieldsOf(7)).toEqual(['resume.lease_id']);
    expect(fieldsOf(8)).toEqual(['cancel.seq']);
    expect(fieldsOf(9)).toEqual(['op']);
    expect(scene.stream.outcome).toBe('open');
    // What the locks refuse they count themselves.
    expect(scene.operations.filter((one) => one.startsWith('acquire'))).toEqual([
      'acquire refused INVALID_FIELD',
    ]);
  });

  test('with a defect is answered INTERNAL, and the session goes on', async () => {
    const scene = new SessionScene();
    const fails = async (): Promise<never> => {
      throw new Error('a defect');
    };
    scene.locks.onHold = fails;
    scene.locks.onResume = fails;
    scene.locks.release = fails;
    const leaseId = scene.locks.grant({ resources: ['r'], ttlMs: 1000 } as never).leaseId;
    await scene.ask(
      acquire(1),
      { seq: 2, resume: { lease_id: leaseId } },
      { seq: 3, release: { lease_id: leaseId } },
    );
    expect(scene.outcomes).toEqual(['1 error INTERNAL', '2 error INTERNAL', '3 error INTERNAL']);
    expect([scene.defects.length, scene.stream.outcome]).toEqual([3, 'open']);
  });

  test('that waits holds up nobody, and hears where it stands', async () => {
    const scene = new SessionScene();
    const { answer } = scene.waits();
    await scene.ask(acquire(1, { wait: { seconds: 60 } }));
    expect(scene.locks.holds[0]!.ask.waitMs).toBe(60_000);
    scene.locks.holds[0]!.caller.queued?.({ position: 2, queueLength: 3, holders: [holder] });
    await scene.ask({ seq: 2, check_token: { resource: 'r', fencing_token: 1 } });
    expect(scene.messages).toMatchObject([
      {
        results: [{ seq: '2', result: 'check_token' }],
        events: [{ seq: '1', lease_id: '', event: 'queued', queued: { position: 2 } }],
      },
    ]);
    scene.locks.holds[0]!.caller.queued?.({ position: 1, queueLength: 3, holders: [] });
    await answer(busy);
    expect(scene.result(1)).toMatchObject({ acquire: { busy: { wait_elapsed: true, position: 1 } } });
    scene.locks.holds[0]!.caller.queued?.({ position: 1, queueLength: 3, holders: [] });
    await turn();
    expect(scene.events.length).toBe(1);
  });

  test('without a wait does not wait, and a wait ends before the deadline of the stream', async () => {
    const scene = new SessionScene(3000);
    await scene.ask(acquire(1), acquire(2, { wait: { seconds: 60 } }));
    expect(scene.locks.holds.map(({ ask }) => ask.waitMs)).toEqual([0, 2900]);
  });
});

describe('the news of a lease', () => {
  test('come with its seq and id', async () => {
    const scene = new SessionScene();
    const kept = await scene.held(7);
    kept.news.renewed(kept.lease);
    kept.news.yieldRequested(asker);
    await turn();
    kept.news.lost(loss);
    await turn();
    const about = { seq: '7', lease_id: kept.lease.leaseId };
    expect(scene.events).toMatchObject([
      { ...about, renewed: { lease_id: kept.lease.leaseId } },
      { ...about, yield_request: { owner: 'w9' } },
      { ...about, lost: { reason: 'LOST_REASON_EXPIRED' } },
    ]);
    expect(kept.ends).toEqual([]);
  });

  test('end with its release, also where that finds no majority', async () => {
    const scene = new SessionScene();
    const kept = await scene.held(1);
    scene.locks.release = async () => {
      kept.news.lost({ ...loss, reason: 'released' });
      return noQuorum(1, 3, 1000);
    };
    kept.news.renewed(kept.lease);
    await scene.ask({ seq: 2, release: { lease_id: kept.lease.leaseId } });
    kept.news.renewed(kept.lease);
    await turn();
    expect([scene.outcomes.at(-1), scene.events]).toEqual(['2 error NO_QUORUM', []]);
    scene.stream.leave();
    expect(kept.ends).toEqual([]);
  });

  test('tell of its release by somebody else', async () => {
    const scene = new SessionScene();
    const kept = await scene.held(1);
    kept.news.lost({ ...loss, reason: 'released' });
    await turn();
    expect(scene.events).toMatchObject([{ lost: { reason: 'LOST_REASON_RELEASED' } }]);
  });

  test('go on under the newer operation where the session resumes what it has', async () => {
    const scene = new SessionScene();
    const old = await scene.held(1);
    scene.locks.onResume = async (name, news) => {
      old.news.lost({ ...loss, reason: 'unknown', takenOver: true });
      return scene.locks.keep({ ...old.lease, token: name.token }, news);
    };
    await scene.ask({ seq: 2, resume: { lease_id: old.lease.leaseId } });
    const kept = scene.locks.kept.at(-1)!;
    kept.news.renewed(kept.lease);
    await turn();
    expect(scene.events).toMatchObject([{ seq: '2', event: 'renewed' }]);
    scene.stream.leave();
    expect([old.ends, kept.ends]).toEqual([[], ['closed 0']]);
  });

  test('come after its grant, even if it was lost before we heard of that', async () => {
    const scene = new SessionScene();
    scene.locks.onHold = async (ask, _caller, news) => {
      news.lost(loss);
      return scene.locks.keep(scene.locks.grant(ask), news);
    };
    await scene.ask(acquire(1));
    expect(scene.messages).toMatchObject([
      {
        results: [{ seq: '1' }],
        events: [{ seq: '1', event: 'lost', lease_id: scene.locks.kept[0]!.lease.leaseId }],
      },
    ]);
  });
});

describe('what is given up', () => {
  test('is answered CANCELLED and leaves no lock behind', async () => {
    const scene = new SessionScene();
    const { answer } = scene.waits();
    await scene.ask(acquire(1, { wait: { seconds: 60 } }));
    const { caller } = scene.locks.holds[0]!;
    let told = 0;
    caller.whenGone(() => {
      told += 1;
    });
    await scene.ask({ seq: 2, cancel: { seq: 1 } });
    expect([caller.gone(), told]).toEqual([true, 1]);
    caller.queued?.(queued(1));
    await turn();
    expect(scene.result(2)).toMatchObject({ cancel: { cancelled: true } });
    const kept = scene.grant();
    await answer(kept);
    expect(scene.result(1)).toMatchObject({ error: { code: 1, reason: '' } });
    expect([kept.ends, scene.events]).toEqual([['closed 0'], []]);
    await scene.ask({ seq: 3, cancel: { seq: 1 } }, { seq: 4, cancel: { seq: 99 } });
    expect(scene.results.slice(-2)).toMatchObject([
      { cancel: { cancelled: false } },
      { cancel: { cancelled: false } },
    ]);
  });

  test('takes no lease from who had it before', async () => {
    const scene = new SessionScene();
    const { answer } = scene.waits();
    const leaseId = scene.locks.grant({ resources: ['r'], ttlMs: 1000 } as never).leaseId;
    await scene.ask(
      { seq: 1, resume: { lease_id: leaseId } },
      acquire(2),
      { seq: 3, cancel: { seq: 1 } },
      { seq: 4, cancel: { seq: 2 } },
    );
    const [resumed, met] = [scene.grant(), scene.grant()];
    await answer(resumed);
    const replayed = scene.locks.keep({ ...met.lease, replayed: true }, met.news);
    await answer(replayed);
    expect([resumed.ends, replayed.ends]).toEqual([['silent 0'], ['silent 0']]);
    expect(scene.outcomes.slice(-2)).toEqual(['1 error 1', '2 error 1']);
  });

  test('is no heartbeat, release or check', async () => {
    const scene = new SessionScene();
    const { promise, resolve } = Promise.withResolvers<never>();
    scene.locks.checkToken = () => promise;
    await scene.ask(
      { seq: 1, check_token: { resource: 'r', fencing_token: 1 } },
      { seq: 2, cancel: { seq: 1 } },
    );
    expect(scene.result(2)).toMatchObject({ cancel: { cancelled: false } });
    resolve({ kind: 'check', current: false, lastToken: 0n } as never);
    await turn();
    expect(scene.outcomes).toEqual(['2 cancel', '1 check_token']);
  });
});
