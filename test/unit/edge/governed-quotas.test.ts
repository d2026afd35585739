/** A visit: what is counted for an identity, what is refused beyond its quota, and what is ended. */
import { describe, expect, test } from 'vitest';
import { parseLeaseId } from '../../../src/domain/lease.ts';
import { refuse } from '../../../src/domain/refusals.ts';
import type { Loss } from '../../../src/locks/locks.ts';
import { asking, stays } from '../../harness/asking.ts';
import { busy, settings } from './fake-locks.ts';
import { ALL, GovernedScene, leaseOf, over, quiet } from './governed-scene.ts';
import { turn } from './stream-scene.ts';

describe('quotas', () => {
  test('of leases count what was granted until it is released, lost or expired', async () => {
    const scene = new GovernedScene();
    const visit = scene.visit({ leases: 1 });
    const ask = () => visit.locks.acquire(asking({ ttlMs: 1000 }), stays);
    const lease = await leaseOf(visit, { ttlMs: 1000 });
    expect(await ask()).toMatchObject(over('leases'));
    expect(scene.counted).toEqual(['acquire refused QUOTA', 'over leases']);
    await visit.locks.release({ lease, reason: '' });
    const again = await leaseOf(visit, { ttlMs: 1000 });
    scene.locks.heartbeat = async () => refuse('LEASE_LOST', 'gone', { metadata: { why: 'forced' } });
    await visit.locks.heartbeat({ lease: again, progress: '' });
    await leaseOf(visit, { ttlMs: 1000 });
    expect(await ask()).toMatchObject(over('leases'));
    scene.clock.advance(1000);
    expect(await ask()).toMatchObject({ kind: 'lease' });
  });

  test('count nothing for who is refused, finds it busy or meets a defect', async () => {
    const scene = new GovernedScene();
    const visit = scene.visit({ leases: 1 });
    for (const answer of [async () => busy, async () => refuse('NO_QUORUM', 'no')]) {
      scene.locks.onAcquire = answer;
      await visit.locks.acquire(asking(), stays);
    }
    scene.locks.onAcquire = async () => Promise.reject(new Error('a defect'));
    await expect(visit.locks.acquire(asking(), stays)).rejects.toThrow('a defect');
    scene.locks.onAcquire = async (ask) => scene.locks.grant(ask);
    expect(await visit.locks.acquire(asking(), stays)).toMatchObject({ kind: 'lease' });
  });

  test('are one for all calls of an identity, and another’s are its own', async () => {
    const scene = new GovernedScene();
    const quota = { leases: 1 };
    await leaseOf(scene.visit(quota));
    expect(await scene.visit(quota).locks.acquire(asking(), stays)).toMatchObject(over('leases'));
    const [bob, namesake] = [
      { name: 'bob', tenant: '', rules: ALL, quota },
      { name: 'ann', tenant: 'acme', rules: ALL, quota },
    ].map((identity) => scene.visits.of(scene.call(identity)));
    expect(await bob!.locks.acquire(asking(), stays)).toMatchObject({ kind: 'lease' });
    expect(await namesake!.locks.acquire(asking(), stays)).toMatchObject({ kind: 'lease' });
    // After a reload: other limits, the same counts.
    expect(await scene.visit({ leases: 2 }).locks.acquire(asking(), stays)).toMatchObject({ kind: 'lease' });
    expect(await scene.visit({ leases: 2 }).locks.acquire(asking(), stays)).toMatchObject(over('leases'));
  });

  test('of ttls lower the usual one, and refuse what is asked for beyond them', async () => {
    const scene = new GovernedScene();
    const visit = scene.visit({ maxTtlMs: 5000 });
    expect(visit.settings).toEqual({ ...settings, defaultTtlMs: 5000 });
    expect(scene.visit({ maxTtlMs: 60_000 }).settings).toBe(settings);
    expect(await visit.locks.acquire(asking({ ttlMs: 5001 }), stays)).toMatchObject(over('max_ttl'));
    const lease = await leaseOf(visit, { ttlMs: 5000 });
    expect(await visit.locks.heartbeat({ lease, ttlMs: 6000, progress: '' })).toMatchObject(over('max_ttl'));
    expect(await visit.locks.resume({ ...lease, ttlMs: 6000 }, quiet)).toMatchObject(over('max_ttl'));
  });

  test('of holds refuse the renewal that would go beyond, and let those before it pass', async () => {
    const scene = new GovernedScene();
    const visit = scene.visit({ maxHoldMs: 3000 });
    const answer = await visit.locks.acquire(asking({ ttlMs: 1000 }), stays);
    if (answer.kind !== 'lease') throw new Error('not granted');
    const lease = { ...parseLeaseId(answer.leaseId)!, token: answer.token };
    scene.clock.advance(2000);
    expect(await visit.locks.heartbeat({ lease, progress: '' })).toMatchObject({ kind: 'renewed' });
    scene.clock.advance(1);
    expect(await visit.locks.heartbeat({ lease, progress: '' })).toMatchObject(over('max_hold'));
    expect(await visit.locks.heartbeat({ lease, ttlMs: 500, progress: '' })).toMatchObject({
      kind: 'renewed',
    });
  });

  test('of holds end a stream’s lease: it is released, and its stream hears why', async () => {
    const scene = new GovernedScene();
    const losses: Loss[] = [];
    const visit = scene.visit({ maxHoldMs: 3000, leases: 1 });
    const news = { ...quiet, lost: (loss: Loss) => losses.push(loss) };
    const answer = await visit.locks.hold(asking({ ttlMs: 1000 }), stays, news);
    expect(answer).toMatchObject({ kind: 'granted' });
    scene.clock.advance(2999);
    expect(losses).toEqual([]);
    scene.clock.advance(1);
    await turn();
    expect(losses).toMatchObject([{ reason: 'released', detail: expect.stringContaining('as long as') }]);
    expect(scene.locks.releases).toMatchObject([{ reason: expect.stringContaining('as long as') }]);
    // What the locks say of it themselves is no second end, and the stream's own end no second release.
    scene.locks.kept[0]!.news.lost({ reason: 'released', leaseRef: '', token: 1n, detail: 'by its id' });
    if (answer.kind === 'granted') answer.kept.end('closed', 0);
    expect(losses).toHaveLength(1);
    expect(scene.locks.kept[0]!.ends).toEqual([]);
    expect(await visit.locks.hold(asking({ ttlMs: 1000 }), stays, news)).toMatchObject({ kind: 'granted' });
  });

  test('of leases are given back when a stream ends, and kept for its grace', async () => {
    const scene = new GovernedScene();
    const visit = scene.visit({ leases: 1 });
    const hold = async () => {
      const answer = await visit.locks.hold(asking({ ttlMs: 1000 }), stays, quiet);
      return answer.kind === 'granted' ? answer.kept : undefined;
    };
    const first = await hold();
    expect(await hold()).toBeUndefined();
    first!.end('closed', 0);
    const second = await hold();
    second!.end('closed', 500);
    expect(await hold()).toBeUndefined();
    scene.clock.advance(500);
    const third = await hold();
    third!.end('silent', 0);
    expect(await hold()).toBeUndefined();
    scene.clock.advance(1000);
    expect(await hold()).toBeDefined();
  });

  test('of the rate are paced by call and say which', () => {
    const scene = new GovernedScene();
    const call = scene.call({ name: 'ann', tenant: '', rules: ALL, quota: { ratePerSecond: 2 } });
    const paced = () => scene.visits.of(call).pace(call)?.reason;
    expect([paced(), paced(), paced()]).toEqual([undefined, undefined, 'QUOTA']);
    expect(scene.acts).toMatchObject([{ action: 'check_token', outcome: 'QUOTA' }]);
    for (let at = 0; at < 100; at += 1) paced();
    expect(scene.acts).toHaveLength(20);
    expect(scene.counted.filter((line) => line === 'over rate')).toHaveLength(101);
    scene.clock.advance(1000);
    for (let at = 0; at < 3; at += 1) paced();
    expect(scene.acts.at(-1)!.detail).toContain('81 more changed nothing');
  });
});
