/** What the service promises its callers, over every store: embedded, three nodes and five. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, expireMs, type RpcClient, refusal, span, TestReplica } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

const stores: [string, number][] = [
  ['the embedded store', 0],
  ['three nodes', 3],
  ['five nodes', 5],
];

describe.each(stores)('over %s', (_, count) => {
  let nodes: Nodes | undefined;
  let replica: TestReplica;
  let client: RpcClient;
  let serial = 0;
  /** A name that no other test has touched. */
  const fresh = (): string => {
    serial += 1;
    return `res/${serial}`;
  };

  beforeAll(async () => {
    nodes = count === 0 ? undefined : await Nodes.start(count);
    const list = nodes?.list ?? '';
    if (list !== '') await bootstrapped(list);
    replica = await TestReplica.start(list);
    ({ client } = replica);
  });
  afterAll(async () => {
    await replica?.stop();
    await nodes?.close();
  });

  test('a free lock is granted with everything that was asked for', async () => {
    const name = fresh();
    const beforeMs = Date.now();
    const lease = await client.lock(name, { owner: 'host/1/0', ttl: span(1500), labels: { team: 'vision' } });
    expect(lease).toMatchObject({
      resources: [name],
      owner: 'host/1/0',
      mode: 'MODE_EXCLUSIVE',
      ttl: { seconds: '1', nanos: 500_000_000 },
      labels: { team: 'vision' },
      replayed: false,
    });
    expect(Number(lease.fencing_token) / 1000).toBeGreaterThanOrEqual(beforeMs - 1);
    // Never more than was asked for, and less by what clocks may differ.
    expect(expireMs(lease)).toBeLessThan(Date.now() + 1500);
    expect(expireMs(lease)).toBeGreaterThan(beforeMs + 1400);
  });

  test('a held lock is Busy, and says who holds it without giving the lease away', async () => {
    const name = fresh();
    const lease = await client.lock(name, { labels: { team: 'vision' } });
    const answer = await client.acquire({ resources: [name], owner: 'w2' });
    expect(answer.outcome).toBe('busy');
    expect(answer.busy).toMatchObject({
      holders: [
        { resource: name, owner: 'w1', lease_ref: lease.lease_ref, fencing_token: lease.fencing_token },
      ],
      wait_elapsed: false,
    });
    expect(JSON.stringify(answer)).not.toContain(lease.lease_id.split('.')[1]);
    // Not reentrant: the same owner is another caller.
    expect((await client.acquire({ resources: [name] })).outcome).toBe('busy');
  });

  test('a heartbeat extends, never shortens, and keeps the token', async () => {
    const lease = await client.lock(fresh(), { ttl: span(1000) });
    const longer = await client.heartbeat(lease.lease_id, 2000);
    expect(expireMs(longer)).toBeGreaterThan(expireMs(lease));
    const askedMs = performance.now();
    const shorter = await client.heartbeat(lease.lease_id, 100);
    // Counted from before it was asked for.
    const tookMs = performance.now() - askedMs;
    expect(expireMs(shorter)).toBeGreaterThanOrEqual(expireMs(longer) - 50 - tookMs);
    for (const kept of [longer, shorter]) {
      expect(kept).toMatchObject({ lease_ref: lease.lease_ref, fencing_token: lease.fencing_token });
      expect(kept.lease_id).toBe(lease.lease_id);
    }
  });

  test('a lease that nobody renews is gone after its ttl, and its heartbeat is told why', async () => {
    const name = fresh();
    // Longer than a vote may be late at one node: a lease that begins there after it ended elsewhere can be released.
    const lease = await client.lock(name, { ttl: span(600) });
    const next = await until('the lock is free again', () => client.tryLock(name, { owner: 'w2' }));
    expect(Date.now()).toBeGreaterThan(expireMs(lease));
    expect(BigInt(next.fencing_token)).toBeGreaterThan(BigInt(lease.fencing_token));
    const said = await refusal(client.heartbeat(lease.lease_id));
    expect(said).toMatchObject({ code: 9, reason: 'LEASE_LOST', metadata: { why: 'expired' } });
    // The old id frees nothing of the new holder's.
    expect(await client.release(lease.lease_id)).toBe(false);
    expect((await client.inspect(name)).holders[0]?.lease_ref).toBe(next.lease_ref);
  });

  test('a release frees at once, says whether there was something to free, and may be repeated', async () => {
    const name = fresh();
    const lease = await client.lock(name);
    expect(await client.release(lease.lease_id, 'done')).toBe(true);
    expect(await client.release(lease.lease_id)).toBe(false);
    const said = await refusal(client.heartbeat(lease.lease_id));
    expect(said).toMatchObject({ reason: 'LEASE_LOST', metadata: { why: 'released' } });
    expect(BigInt((await client.lock(name)).fencing_token)).toBeGreaterThan(BigInt(lease.fencing_token));
  });

  test('inspect tells the holder while there is one, and the history afterwards', async () => {
    const name = fresh();
    expect(await refusal(client.inspect(name))).toMatchObject({ code: 5, reason: 'UNKNOWN_RESOURCE' });
    const lease = await client.lock(name);
    await client.heartbeat(lease.lease_id, undefined, 'step 3');
    await until(
      'the progress is told',
      async () => (await client.inspect(name)).holders[0]?.progress === 'step 3',
    );
    await client.release(lease.lease_id, 'finished');
    const after = await client.inspect(name, 10);
    expect(after).toMatchObject({
      state: 'STATE_FREE',
      source: 'SOURCE_HISTORY',
      last_token: lease.fencing_token,
    });
    expect(after.nodes).toHaveLength(Math.max(1, count));
    const types = after.history.map(({ type }) => type);
    expect(types.sort()).toEqual(['EVENT_TYPE_GRANTED', 'EVENT_TYPE_RELEASED', 'EVENT_TYPE_RENEWED']);
    expect(after.history.find(({ type }) => type === 'EVENT_TYPE_RELEASED')).toMatchObject({
      lease_ref: lease.lease_ref,
      reason: 'finished',
    });
    expect((await client.inspect(name)).history).toEqual([]);
  });

  test('check_token tells the current token from a stale one', async () => {
    const name = fresh();
    const first = await client.lock(name);
    expect(await client.checkToken(name, first.fencing_token)).toMatchObject({ current: true });
    await client.release(first.lease_id);
    const second = await client.lock(name);
    const told = await client.checkToken(name, first.fencing_token);
    expect(told).toEqual({ current: false, last_token: second.fencing_token });
  });

  test('list names what is held, by prefix and owner, page by page', async () => {
    const names = ['list/a', 'list/b', 'list/c', 'list/d', 'list/e'];
    for (const [at, name] of names.entries()) await client.lock(name, { owner: at < 3 ? 'w3' : 'w4' });
    const all = await client.list({ prefix: 'list/' });
    expect(all.locks.map(({ resource }) => resource)).toEqual(names);
    const owned = await client.list({ prefix: 'list/', owner: 'w4' });
    expect(owned.locks.map(({ resource }) => resource)).toEqual(['list/d', 'list/e']);
    const paged: string[] = [];
    let page_token = '';
    do {
      const page = await client.list({ prefix: 'list/', page_size: 2, page_token });
      expect(page.locks.length).toBeLessThanOrEqual(2);
      paged.push(...page.locks.map(({ resource }) => resource));
      page_token = page.next_page_token;
    } while (page_token !== '');
    expect(paged).toEqual(names);
  });

  test('force-release of a name that nobody ever used is told apart from one that is free', async () => {
    const name = fresh();
    const never = client.force({ resource: 'never/used', reason: 'a slip of the pen' });
    expect(await refusal(never)).toMatchObject({ reason: 'UNKNOWN_RESOURCE' });
    const lease = await client.lock(name);
    await client.release(lease.lease_id);
    expect(await client.force({ resource: name, reason: 'to be sure' })).toEqual({ freed: [] });
  });

  test('force-release frees the named lease only, and its holder is told', async () => {
    const name = fresh();
    const lease = await client.lock(name);
    expect(await client.force({ resource: name, lease_ref: 'A'.repeat(16), reason: 'wrong one' })).toEqual({
      freed: [],
    });
    expect((await client.inspect(name)).state).toBe('STATE_HELD');
    const { freed } = await client.force({ resource: name, lease_ref: lease.lease_ref, reason: 'hangs' });
    expect(freed).toMatchObject([{ resource: name, lease_ref: lease.lease_ref }]);
    const said = await refusal(client.heartbeat(lease.lease_id));
    expect(said).toMatchObject({ reason: 'LEASE_LOST', metadata: { why: 'forced' } });
    expect(await client.release(lease.lease_id)).toBe(false);
    expect(BigInt((await client.lock(name)).fencing_token)).toBeGreaterThan(BigInt(lease.fencing_token));
  });

  test('a repeated request_id is the same lease, also when it is asked again after the release', async () => {
    const name = fresh();
    const ask = { resources: [name], request_id: `request of ${name}` };
    const first = (await client.acquire(ask)).lease!;
    const again = (await client.acquire(ask)).lease!;
    expect(again).toMatchObject({
      replayed: true,
      fencing_token: first.fencing_token,
      lease_ref: first.lease_ref,
    });
    expect(await client.heartbeat(again.lease_id)).toMatchObject({ lease_ref: first.lease_ref });
    const other = await refusal(client.acquire({ ...ask, labels: { other: 'arguments' } }));
    expect(other).toMatchObject({ code: 3, reason: 'INVALID_FIELD', fields: ['request_id'] });
    expect(await client.release(again.lease_id)).toBe(true);
    const late = await refusal(client.acquire(ask));
    expect(late).toMatchObject({ code: 9, reason: 'LEASE_LOST', metadata: { why: 'released' } });
    expect((await client.inspect(name)).state).toBe('STATE_FREE');
    // Another owner's request of the same name is another request.
    expect((await client.lock(name, { owner: 'w2', request_id: ask.request_id })).replayed).toBe(false);
  });

  test('several resources are had together or not at all, under one token above all earlier ones', async () => {
    const names = [fresh(), fresh(), fresh()];
    const held = await client.lock(names[1]!);
    const answer = await client.acquire({ resources: names, owner: 'w2' });
    expect(answer.busy?.holders).toMatchObject([{ resource: names[1], lease_ref: held.lease_ref }]);
    for (const name of [names[0]!, names[2]!]) {
      await client.release((await client.lock(name)).lease_id);
    }
    await client.release(held.lease_id);
    const all = await client.lock(names);
    expect(all.resources).toEqual(names);
    expect(BigInt(all.fencing_token)).toBeGreaterThan(BigInt(held.fencing_token));
    for (const name of names)
      expect((await client.acquire({ resources: [name], owner: 'w3' })).outcome).toBe('busy');
    expect(await client.release(all.lease_id)).toBe(true);
    for (const name of names) expect((await client.inspect(name)).state).toBe('STATE_FREE');
  });

  test('what is malformed is INVALID_FIELD with every field named, and locks nothing', async () => {
    const name = fresh();
    const said = await refusal(
      client.acquire({
        resources: [name, name, 'no spaces'],
        owner: '',
        ttl: span(60_000),
        labels: { '': '' },
      }),
    );
    expect(said).toMatchObject({ code: 3, reason: 'INVALID_FIELD' });
    expect(said.fields.join(' ')).toMatch(/resources.*owner.*ttl/s);
    expect(await refusal(client.inspect(name))).toMatchObject({ reason: 'UNKNOWN_RESOURCE' });
  });
});
