/** Two replicas over three nodes act as one lock service, and an id that is not genuine moves nothing in it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatLeaseId, parseLeaseId } from '../../src/domain/lease.ts';
import { TOKEN_MAX } from '../../src/domain/token.ts';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, ReplicaProcess, refusal, TestReplica } from '../harness/replica.ts';
import { repeat, until } from '../harness/until.ts';

let nodes: Nodes;
let one: TestReplica;
let two: TestReplica;

beforeAll(async () => {
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list);
  [one, two] = await Promise.all([TestReplica.start(nodes.list), TestReplica.start(nodes.list)]);
});
afterAll(async () => {
  await Promise.all([one?.stop(), two?.stop()]);
  await nodes?.close();
});

describe('two replicas over three nodes', () => {
  test('200 grants of one resource, in turns, bear strictly growing tokens', async () => {
    let last = 0n;
    await repeat(200, async (round) => {
      const [here, there] = round % 2 === 0 ? [one, two] : [two, one];
      const lease = await here.client.lock('in-turns');
      expect(BigInt(lease.fencing_token)).toBeGreaterThan(last);
      last = BigInt(lease.fencing_token);
      // Freed by the other replica: one that never saw it.
      expect(await there.client.release(lease.lease_id)).toBe(true);
    });
  });

  test('a lease of one replica is seen, extended and freed at the other', async () => {
    const lease = await one.client.lock('shared-view', { labels: { team: 'vision' } });
    const seen = await two.client.inspect('shared-view');
    expect(seen).toMatchObject({
      state: 'STATE_HELD',
      source: 'SOURCE_LIVE',
      last_token: lease.fencing_token,
      holders: [{ owner: 'w1', lease_ref: lease.lease_ref, labels: { team: 'vision' } }],
    });
    const kept = await two.client.heartbeat(lease.lease_id, 1500, 'half');
    expect(kept).toMatchObject({ lease_ref: lease.lease_ref, fencing_token: lease.fencing_token });
    // The majority knows at once, the last node soon.
    await until('the progress is told', async () => {
      const { holders } = await one.client.inspect('shared-view');
      return holders[0]?.progress === 'half';
    });
    expect(await two.client.release(lease.lease_id)).toBe(true);
    expect((await one.client.inspect('shared-view')).state).toBe('STATE_FREE');
    expect(await one.client.release(lease.lease_id)).toBe(false);
    expect(await refusal(one.client.heartbeat(lease.lease_id))).toMatchObject({
      reason: 'LEASE_LOST',
      metadata: { why: 'released' },
    });
  });

  test('of 40 callers at both replicas at the same moment at most one gets the lock', async () => {
    const asked = Array.from({ length: 40 }, (_, at) =>
      (at % 2 === 0 ? one : two).client.tryLock('rush', { owner: `w${at}` }),
    );
    const leases = (await Promise.all(asked)).filter((lease) => lease !== undefined);
    expect(leases.length).toBeLessThanOrEqual(1);
    for (const { lease_id } of leases) await one.client.release(lease_id);
    await nodes.free('rush');
  });
});

describe('a lease id that is not genuine', () => {
  const secret = 'A'.repeat(22);
  const idOf = (name: { secret?: string; token: bigint; resources: readonly string[] }): string =>
    formatLeaseId({ secret, ttlMs: 2000, ...name });

  /** Nothing expires and no probe writes while this runs, so any change is the id's doing. */
  async function movesNothing(act: () => Promise<unknown>): Promise<void> {
    const before = await nodes.dumps();
    await act();
    // Whatever the replicas still send in the background has been answered once they have asked all nodes again.
    for (const { client } of [one, two]) await client.inspect('genuine');
    expect(await nodes.dumps()).toEqual(before);
  }

  test.each([
    ['a token of this moment', () => BigInt(Date.now()) * 1000n],
    ['the token 1', () => 1n],
    ['the highest token there is', () => TOKEN_MAX],
    ['a token beyond what a double holds', () => 2n ** 53n + 1n],
  ])('with %s frees nothing, holds nothing and moves no fence', async (_, tokenOf) => {
    const lease = await one.client.lock('genuine');
    const resources = ['genuine', 'never-locked'];
    const ids = [
      idOf({ token: tokenOf(), resources }),
      idOf({ token: tokenOf(), resources: ['genuine'] }),
      idOf({ token: tokenOf(), resources: ['never-locked'] }),
    ];
    await movesNothing(async () => {
      for (const id of ids) {
        expect(await one.client.release(id)).toBe(false);
        expect(await refusal(two.client.heartbeat(id))).toMatchObject({
          reason: 'LEASE_LOST',
          metadata: { why: 'unknown' },
        });
      }
    });
    expect(await one.client.release(lease.lease_id)).toBe(true);
  });

  test('with the true token and another secret frees nothing', async () => {
    const lease = await one.client.lock('genuine');
    const id = idOf({ token: BigInt(lease.fencing_token), resources: ['genuine'] });
    await movesNothing(async () => {
      expect(await two.client.release(id)).toBe(false);
      expect(await refusal(two.client.heartbeat(id))).toMatchObject({ reason: 'LEASE_LOST' });
    });
    expect(await one.client.release(lease.lease_id)).toBe(true);
  });

  test('with the true secret and other resources frees nothing of them', async () => {
    const [lease, other] = [await one.client.lock('genuine'), await one.client.lock('bystander')];
    const name = parseLeaseId(lease.lease_id)!;
    const id = formatLeaseId({ ...name, resources: ['bystander'] });
    await movesNothing(async () => {
      expect(await two.client.release(id)).toBe(false);
      expect(await refusal(two.client.heartbeat(id))).toMatchObject({ reason: 'LEASE_LOST' });
    });
    for (const { lease_id } of [lease, other]) expect(await one.client.release(lease_id)).toBe(true);
  });

  test('that is truncated, mistyped or random is INVALID_FIELD', async () => {
    const lease = await one.client.lock('genuine');
    const { lease_id: id } = lease;
    const swapped = id.endsWith('0') ? `${id.slice(0, -1)}1` : `${id.slice(0, -1)}0`;
    const wrong = [
      id.slice(0, -1),
      id.slice(0, 20),
      swapped,
      id.toUpperCase(),
      `${id}x`,
      'x',
      lease.lease_ref,
    ];
    const tooBig = idOf({ token: TOKEN_MAX + 1n, resources: ['genuine'] });
    await movesNothing(async () => {
      for (const lease_id of [...wrong, tooBig]) {
        const freed = await refusal(one.client.release(lease_id));
        const kept = await refusal(two.client.heartbeat(lease_id));
        for (const said of [freed, kept])
          expect(said).toMatchObject({ reason: 'INVALID_FIELD', fields: ['lease_id'] });
      }
    });
    expect(await one.client.release(id)).toBe(true);
  });
});

test('a lease id never appears in what others can read', async () => {
  const alone = await ReplicaProcess.start(nodes.list);
  try {
    const { client } = alone;
    const lease = await client.lock('private', { request_id: 'my-request', labels: { team: 'vision' } });
    await client.heartbeat(lease.lease_id, undefined, 'half');
    const busy = await client.acquire({ resources: ['private'], owner: 'w2' });
    const forged = formatLeaseId({ ...parseLeaseId(lease.lease_id)!, resources: ['elsewhere'] });
    const read: unknown[] = [
      busy,
      await client.inspect('private', 100),
      await client.list(),
      await client.status(),
      await client.checkToken('private', lease.fencing_token),
      await refusal(client.heartbeat(forged)),
      await client.force({ resource: 'private', reason: 'test' }),
      await refusal(client.heartbeat(lease.lease_id)),
      await client.inspect('private', 100),
    ];
    for (const path of ['/metrics', '/readyz', '/']) {
      read.push(await (await fetch(`http://${alone.http}${path}`)).text());
    }
    alone.signal('SIGTERM');
    expect(await alone.ended()).toBe(0);
    read.push(alone.output);
    const everything = JSON.stringify(read);
    expect(everything).toContain(lease.lease_ref);
    expect(everything).not.toContain(lease.lease_id);
    expect(everything).not.toContain(parseLeaseId(lease.lease_id)!.secret);
    expect(everything).not.toContain('my-request');
  } finally {
    await alone.stop();
  }
});
