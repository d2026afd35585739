/** What an operator sees and does, over three nodes of which one is away for a while. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { linksTo } from '../harness/link.ts';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, refusal, TestReplica } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

const env = { HOLDFAST_MAX_TTL: '60s', HOLDFAST_DEFAULT_TTL: '60s' };

let nodes: Nodes;
let net: Awaited<ReturnType<typeof linksTo>>;
let one: TestReplica;
let two: TestReplica;

beforeEach(async () => {
  nodes = await Nodes.start(3);
  net = await linksTo(nodes.servers);
  await bootstrapped(net.list, env);
  [one, two] = await Promise.all([TestReplica.start(net.list, env), TestReplica.start(net.list, env)]);
});
afterEach(async () => {
  await Promise.all([one.stop(), two.stop()]);
  net.close();
  await nodes.close();
});

async function away(index: number): Promise<void> {
  net.links[index]!.cut();
  await until('both replicas miss the node', () =>
    [one, two].every(({ states }) => states[index] === 'silent'),
  );
}

async function back(index: number): Promise<void> {
  net.links[index]!.mend();
  await until('both replicas have the node', () =>
    [one, two].every(({ states }) => states[index] === 'ready'),
  );
}

async function heldByAll(name: string): Promise<void> {
  await until('all three hold it', async () => (await nodes.holders(name)).every((value) => value !== ''));
}

describe('ForceRelease', () => {
  test('frees exactly the named lease, at the other replica too, and its holder learns why', async () => {
    const lease = await one.client.lock(['gpu/0', 'gpu/1']);
    const bystander = await one.client.lock('gpu/2', { owner: 'w2' });
    const wrong = await two.client.force({
      resource: 'gpu/0',
      lease_ref: bystander.lease_ref,
      reason: 'mistaken',
    });
    expect(wrong.freed).toEqual([]);
    expect(await one.client.heartbeat(lease.lease_id)).toMatchObject({ lease_ref: lease.lease_ref });
    const { freed } = await two.client.force({
      resource: 'gpu/1',
      lease_ref: lease.lease_ref,
      reason: 'hangs',
    });
    expect(freed.map(({ resource }) => resource).sort()).toEqual(['gpu/0', 'gpu/1']);
    for (const name of ['gpu/0', 'gpu/1']) await nodes.free(name);
    expect(await refusal(one.client.heartbeat(lease.lease_id))).toMatchObject({
      reason: 'LEASE_LOST',
      metadata: { why: 'forced' },
    });
    expect(await one.client.release(lease.lease_id)).toBe(false);
    expect(await one.client.heartbeat(bystander.lease_id)).toMatchObject({ lease_ref: bystander.lease_ref });
    const { history } = await one.client.inspect('gpu/0', 10);
    expect(history[0]).toMatchObject({
      type: 'EVENT_TYPE_FORCED',
      lease_ref: lease.lease_ref,
      reason: 'hangs',
    });
  });

  test('reaches a node that was away when it returns, and a late heartbeat brings nothing back', async () => {
    const lease = await one.client.lock('gpu/0');
    await heldByAll('gpu/0');
    await away(2);
    expect((await one.client.force({ resource: 'gpu/0', reason: 'hangs' })).freed).toHaveLength(1);
    expect((await nodes.holders('gpu/0')).map((value) => value !== '')).toEqual([false, false, true]);
    const next = await two.client.lock('gpu/0', { owner: 'w2' });
    await back(2);
    await until('node 3 has let go of it', async () => {
      const value = await nodes.holder(2, 'gpu/0');
      return value === '' || value === (await nodes.holder(0, 'gpu/0'));
    });
    expect(await refusal(one.client.heartbeat(lease.lease_id))).toMatchObject({
      metadata: { why: 'forced' },
    });
    expect((await one.client.inspect('gpu/0')).holders).toMatchObject([{ lease_ref: next.lease_ref }]);
    expect(await two.client.heartbeat(next.lease_id)).toMatchObject({ lease_ref: next.lease_ref });
  });
});

describe('Inspect', () => {
  test('shows each node with its opinion, and one history out of three', async () => {
    const first = await one.client.lock('gpu/0', { owner: 'w1' });
    await heldByAll('gpu/0');
    await away(0);
    await two.client.heartbeat(first.lease_id);
    await two.client.release(first.lease_id, 'done');
    const second = await one.client.lock('gpu/0', { owner: 'w2' });
    const cut = await one.client.inspect('gpu/0', 10);
    expect(cut).toMatchObject({ state: 'STATE_HELD', last_token: second.fencing_token });
    expect(cut.nodes.map(({ node, vote }) => [node, vote])).toEqual([
      ['n1', 'VOTE_SILENT'],
      ['n2', 'VOTE_HELD'],
      ['n3', 'VOTE_HELD'],
    ]);
    await back(0);
    await until('the release has reached node 1', async () => {
      await two.client.heartbeat(second.lease_id);
      const [here, there] = [await nodes.holder(0, 'gpu/0'), await nodes.holder(1, 'gpu/0')];
      return here === there;
    });
    const { history, holders } = await two.client.inspect('gpu/0', 10);
    expect(holders).toMatchObject([{ lease_ref: second.lease_ref }]);
    const told = history.map(({ type, lease_ref }) => [type.replace('EVENT_TYPE_', ''), lease_ref]);
    // Each step once, although up to three nodes recorded it.
    expect(told.sort()).toEqual(
      [
        ['GRANTED', first.lease_ref],
        ['RENEWED', first.lease_ref],
        ['RELEASED', first.lease_ref],
        ['GRANTED', second.lease_ref],
        ['RENEWED', second.lease_ref],
      ].sort(),
    );
    expect(history.find(({ type }) => type === 'EVENT_TYPE_RELEASED')?.reason).toBe('done');
  });

  test('does not tell of attempts that were never granted', async () => {
    const held = await one.client.lock('gpu/0');
    for (const owner of ['w2', 'w3']) await two.client.acquire({ resources: ['gpu/0', 'gpu/1'], owner });
    const { history, last_token } = await one.client.inspect('gpu/0', 100);
    expect(history.map(({ type }) => type)).toEqual(['EVENT_TYPE_GRANTED']);
    expect(last_token).toBe(held.fencing_token);
  });
});

describe('CheckToken', () => {
  test('says which token is current at any replica, and NO_QUORUM when it cannot know', async () => {
    const lease = await one.client.lock('gpu/0');
    expect(await two.client.checkToken('gpu/0', lease.fencing_token)).toEqual({
      current: true,
      last_token: lease.fencing_token,
    });
    await two.client.release(lease.lease_id);
    expect(await one.client.checkToken('gpu/0', lease.fencing_token)).toMatchObject({ current: false });
    await away(0);
    await away(1);
    expect(await refusal(one.client.checkToken('gpu/0', lease.fencing_token))).toMatchObject({
      reason: 'NO_QUORUM',
    });
  });
});

describe('List', () => {
  test('names 250 locks once each, in order, although one node misses half of them', async () => {
    const names = Array.from({ length: 250 }, (_, at) => `lock/${String(at).padStart(3, '0')}`);
    const lockAll = (some: string[]) => Promise.all(some.map((name) => one.client.lock(name)));
    await lockAll(names.filter((_, at) => at % 2 === 0));
    await away(1);
    await lockAll(names.filter((_, at) => at % 2 === 1));
    await back(1);
    // Free ones in between are known to the nodes and not listed.
    for (const name of ['lock/100x', 'lock/200x'])
      await one.client.release((await one.client.lock(name)).lease_id);
    for (const page_size of [0, 7, 100, 1000]) {
      const seen: string[] = [];
      let page_token = '';
      do {
        const page = await two.client.list({ prefix: 'lock/', page_size, page_token });
        seen.push(...page.locks.map(({ resource }) => resource));
        for (const { state } of page.locks) expect(state).toBe('STATE_HELD');
        page_token = page.next_page_token;
      } while (page_token !== '');
      expect(seen).toEqual(names);
    }
  });
});
