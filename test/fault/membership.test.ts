/** Setting up a cluster and changing its node list: what may be done once, what is refused, and that tokens go on growing. */
import { afterEach, describe, expect, test } from 'vitest';
import { adopt, bootstrap } from '../../src/app.ts';
import { Nodes } from '../harness/nodes.ts';
import { withFence } from '../harness/record.ts';
import { bootstrapped, expireMs, refusal, settingsFor, TestReplica } from '../harness/replica.ts';
import { repeat, until } from '../harness/until.ts';

const closing: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function start(count: number): Promise<Nodes> {
  const nodes = await Nodes.start(count);
  closing.push(() => nodes.close());
  return nodes;
}

async function replica(list: string, bootstraps = false): Promise<TestReplica> {
  const started = await TestReplica.start(list, bootstraps ? { HOLDFAST_BOOTSTRAP: '1' } : {});
  closing.push(() => started.stop());
  return started;
}

describe('HOLDFAST_BOOTSTRAP=1', () => {
  test('at two replicas that start at the same time on empty nodes: both serve at once, five times', async () => {
    await repeat(5, async () => {
      const nodes = await start(3);
      const [one, two] = await Promise.all([replica(nodes.list, true), replica(nodes.list, true)]);
      // Not after a quarantine: the first look finds them ready.
      expect([one.states, two.states]).toEqual(Array(2).fill(['ready', 'ready', 'ready']));
      const lease = await one.client.lock('gpu/0');
      expect(await two.client.heartbeat(lease.lease_id)).toMatchObject({ lease_ref: lease.lease_ref });
      for (const { client } of [one, two]) {
        const { warnings } = await client.status();
        expect(warnings.filter((text) => /was asked for and not done/.test(text))).toEqual([]);
        expect(warnings).toEqual([expect.stringMatching(/HOLDFAST_BOOTSTRAP is set: unset it/)]);
      }
    });
  });

  test('does not help a node that lost its memory: it sits its quarantine out', async () => {
    const nodes = await start(3);
    await bootstrapped(nodes.list);
    await nodes.servers[1]!.restart({ empty: true });
    const one = await replica(nodes.list, true);
    expect(one.states[1]).toBe('quarantined');
    expect((await one.client.status()).warnings.join()).toMatch(/was asked for and not done/);
    await one.client.lock('gpu/0');
    expect(await nodes.holder(1, 'gpu/0')).toBe('');
    await one.becomes('ready', 'ready', 'ready');
  });

  test('acts at the first contact only: nodes that lose everything later are quarantined', async () => {
    const nodes = await start(3);
    const one = await replica(nodes.list, true);
    await one.client.lock('gpu/0');
    await Promise.all(nodes.servers.map((server) => server.restart({ empty: true })));
    await one.becomes('quarantined', 'quarantined', 'quarantined');
    expect(await refusal(one.client.acquire({ resources: ['gpu/0'] }))).toMatchObject({
      reason: 'NO_QUORUM',
    });
    await one.becomes('ready', 'ready', 'ready');
    expect((await one.client.status()).nodes.map(({ floor }) => floor)).toContain('clocks');
  });
});

describe('config bootstrap', () => {
  test('is refused, and writes nothing, when one node bears the data of an older cluster', async () => {
    const nodes = await start(3);
    await bootstrapped(`${nodes.servers[0]!.url}#n1`);
    const before = await nodes.dumps();
    const report = await bootstrap(settingsFor(nodes.list));
    expect(report).toEqual({
      ok: false,
      lines: [expect.stringMatching(/some nodes bear a meta and some do not/)],
    });
    expect(await nodes.dumps()).toEqual(before);
  });

  test('is refused when one node is in quarantine', async () => {
    const nodes = await start(3);
    const one = await replica(nodes.list);
    await one.becomes('quarantined', 'quarantined', 'quarantined');
    const report = await bootstrap(settingsFor(nodes.list));
    expect(report).toMatchObject({ ok: false });
    expect(report.lines.join()).toMatch(/n1 is in quarantine and must sit it out/);
    // Without any bootstrap the cluster comes up by itself, after the wait.
    await one.becomes('ready', 'ready', 'ready');
    expect((await one.client.lock('gpu/0')).replayed).toBe(false);
  });

  test('is one-shot: a second one changes nothing', async () => {
    const nodes = await start(3);
    await bootstrapped(nodes.list);
    const before = await nodes.dumps();
    const report = await bootstrap(settingsFor(nodes.list));
    expect(report).toEqual({ ok: true, lines: [expect.stringMatching(/nothing to do/)] });
    expect(await nodes.dumps()).toEqual(before);
  });
});

describe('config adopt', () => {
  test('from three nodes to five refuses the old replicas, and tokens keep growing', async () => {
    const nodes = await start(5);
    const old = nodes.list.split(',').slice(0, 3).join(',');
    await bootstrapped(old);
    const before = await replica(old);
    const kept = await before.client.lock('kept', { owner: 'first' });
    const freed = await before.client.lock('freed');
    expect(await before.client.release(freed.lease_id)).toBe(true);

    const report = await adopt(settingsFor(nodes.list), settingsFor(old).redisNodes);
    expect(report).toMatchObject({ ok: true });
    expect(await refusal(before.client.acquire({ resources: ['freed'] }))).toMatchObject({
      reason: 'NO_QUORUM',
    });
    expect(await refusal(before.client.heartbeat(kept.lease_id))).toMatchObject({ reason: 'NO_QUORUM' });

    // Before anybody serves the new list: an old replica must not be the one who ends the quarantine.
    await before.becomes('refused', 'refused', 'refused');
    expect(before.detail(0)).toMatch(/for cluster|belongs to cluster/);

    const after = await replica(nodes.list);
    expect(new Set(after.states)).toEqual(new Set(['quarantined']));
    const next = await until('the new list serves', () => after.client.tryLock('kept', { owner: 'second' }));
    // Not while the lease of the old list may be counted on.
    expect(Date.now()).toBeGreaterThan(expireMs(kept));
    expect(BigInt(next.fencing_token)).toBeGreaterThan(BigInt(kept.fencing_token));
    const again = await after.client.lock('freed');
    expect(BigInt(again.fencing_token)).toBeGreaterThan(BigInt(freed.fencing_token));
    await after.becomes('ready', 'ready', 'ready', 'ready', 'ready');
    expect(before.states).toEqual(['refused', 'refused', 'refused']);
  });

  test('carries a fence that is ahead of every clock to the new list', async () => {
    const nodes = await start(5);
    const old = nodes.list.split(',').slice(0, 3).join(',');
    await bootstrapped(old);
    const before = await replica(old);
    const lease = await before.client.lock('gpu/0');
    await before.client.release(lease.lease_id);
    // As a clock that ran ahead within the lead may leave it, and more.
    const ahead = BigInt(Date.now() + 3600_000) * 1000n;
    for (const index of [0, 1, 2]) {
      const header = (await nodes.header(index, 'gpu/0'))!;
      await nodes.run(index, 'HSET', 'holdfast:r:gpu/0', 's', withFence(header, Number(ahead)));
    }
    expect(await adopt(settingsFor(nodes.list), settingsFor(old).redisNodes)).toMatchObject({ ok: true });
    const after = await replica(nodes.list);
    const next = await until('the new list serves', () => after.client.tryLock('gpu/0'));
    expect(BigInt(next.fencing_token)).toBeGreaterThan(ahead);
  });

  test('from a list that is not the old one changes nothing', async () => {
    const nodes = await start(5);
    const [a, b, c] = nodes.list.split(',') as [string, string, string];
    await bootstrapped([a, b, c].join(','));
    const one = await replica([a, b, c].join(','));
    const wrong = nodes.list.split(',').slice(2).join(',');
    const report = await adopt(settingsFor(nodes.list), settingsFor(wrong).redisNodes);
    expect(report.ok).toBe(false);
    expect((await one.client.lock('gpu/0')).replayed).toBe(false);
    expect(one.states).toEqual(['ready', 'ready', 'ready']);
  });
});
