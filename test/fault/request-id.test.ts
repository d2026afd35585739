/** One request_id is one lease, whichever replica it reaches, whatever happens to the first call. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { leaseRefOf } from '../../src/domain/lease.ts';
import { scripts } from '../../src/nodes/scripts.ts';
import { Desk } from '../harness/desk.ts';
import { linksTo } from '../harness/link.ts';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, refusal, TestReplica } from '../harness/replica.ts';
import { bindingIgnored } from '../harness/rules-off.ts';
import { repeat, until } from '../harness/until.ts';

let nodes: Nodes;
const closing: (() => void | Promise<void>)[] = [];

beforeEach(async () => {
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list);
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await nodes.close();
});

async function replica(): Promise<TestReplica> {
  const started = await TestReplica.start(nodes.list);
  closing.push(() => started.stop());
  return started;
}

describe('a request_id repeated at another replica', () => {
  test('is answered with the same lease, which can be used', async () => {
    const [one, two] = [await replica(), await replica()];
    const ask = { resources: ['gpu/0', 'gpu/1'], request_id: 'r-1', labels: { team: 'vision' } };
    const first = (await one.client.acquire(ask)).lease!;
    const again = (await two.client.acquire(ask)).lease!;
    expect(again).toMatchObject({
      replayed: true,
      fencing_token: first.fencing_token,
      lease_ref: first.lease_ref,
      resources: ask.resources,
      labels: ask.labels,
    });
    expect(await two.client.heartbeat(again.lease_id)).toMatchObject({ fencing_token: first.fencing_token });
    expect(await one.client.release(again.lease_id)).toBe(true);
    for (const { client } of [one, two]) {
      const said = await refusal(client.acquire(ask));
      expect(said).toMatchObject({ code: 9, reason: 'LEASE_LOST', metadata: { why: 'released' } });
    }
    expect(await nodes.holders('gpu/0')).toEqual(['', '', '']);
    expect(await nodes.holders('gpu/1')).toEqual(['', '', '']);
  });

  test.each([
    ['other resources', { resources: ['gpu/0', 'gpu/2'] }],
    ['other labels', { labels: { team: 'speech' } }],
    ['another ttl', { ttl: { seconds: 1 } }],
  ])('with %s is INVALID_FIELD, and locks nothing', async (_, other) => {
    const [one, two] = [await replica(), await replica()];
    const ask = { resources: ['gpu/0'], request_id: 'r-1', labels: { team: 'vision' } };
    await one.client.acquire(ask);
    const said = await refusal(two.client.acquire({ ...ask, ...other }));
    expect(said).toMatchObject({ code: 3, reason: 'INVALID_FIELD', fields: ['request_id'] });
    expect(await nodes.holders('gpu/2')).toEqual(['', '', '']);
  });

  test('at the same moment, 100 times, never makes two leases', async () => {
    const [one, two] = [await replica(), await replica()];
    await repeat(100, async (round) => {
      const name = `race/${round}`;
      const ask = { request_id: `r-${round}` };
      const leases = (
        await Promise.all([one.client.tryLock(name, ask), two.client.tryLock(name, ask)])
      ).filter((lease) => lease !== undefined);
      expect(new Set(leases.map(({ lease_ref }) => lease_ref)).size).toBeLessThanOrEqual(1);
      if (leases.length === 2) expect(leases.map(({ replayed }) => replayed).sort()).toEqual([false, true]);
      // Nothing that a majority holds is unknown to both callers.
      const refs = (await nodes.holders(name)).filter((value) => value !== '').map(leaseRefOf);
      const told = new Set(leases.map(({ lease_ref }) => lease_ref));
      for (const ref of new Set(refs)) {
        const backing = refs.filter((other) => other === ref).length;
        if (backing >= 2) expect(told).toContain(ref);
      }
      for (const lease of leases) await two.client.release(lease.lease_id);
    });
  });
});

describe('the first caller is cut off, and its undo arrives after the repeat was answered', () => {
  /** Where the lease of the repeat stands when the late undo of the first call has been executed everywhere. */
  async function lateUndo(
    using: typeof scripts,
  ): Promise<{ holders: string[]; ref: string; renewed: string }> {
    const net = await linksTo(nodes.servers);
    closing.push(() => net.close());
    const [one, two] = [
      await Desk.open(net.list, { scripts: using }),
      await Desk.open(nodes.list, { scripts: using }),
    ];
    closing.push(
      () => one.close(),
      () => two.close(),
    );
    // The votes arrive, their answers do not; what the first replica sends from then on is late.
    for (const link of net.links) link.hold('out');
    const first = one.acquire('gpu/0', { requestId: 'r-1' });
    await until('the votes are cast', async () =>
      (await nodes.holders('gpu/0')).every((value) => value !== ''),
    );
    for (const link of net.links) link.hold('in');
    expect(await first).toMatchObject({ kind: 'refusal', reason: 'NO_QUORUM' });
    const again = await two.lock('gpu/0', { requestId: 'r-1' });
    expect(again.replayed).toBe(true);
    for (const link of net.links) link.flow();
    await until('no undo is owed any more', () =>
      [0, 1, 2].every((index) => one.quorum.undo.count(index) === 0),
    );
    const renewed = await two.heartbeat(again);
    return { holders: await nodes.holders('gpu/0'), ref: again.leaseRef, renewed: renewed.kind };
  }

  test('the lease stays with the repeat', async () => {
    const { holders, ref, renewed } = await lateUndo(scripts);
    expect(holders.map((value) => leaseRefOf(value))).toEqual([ref, ref, ref]);
    expect(renewed).toBe('lease');
  });

  test('without the binding the lease is lost', async () => {
    const { holders, renewed } = await lateUndo(bindingIgnored);
    expect(holders).toEqual(['', '', '']);
    expect(renewed).toBe('refusal');
  });
});
