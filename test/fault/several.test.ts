/** A request for several resources gets all of them or none, and what it does not get it does not keep either. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Desk } from '../harness/desk.ts';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, refusal, TestReplica } from '../harness/replica.ts';
import { oneFreeWillDo } from '../harness/rules-off.ts';
import { repeat } from '../harness/until.ts';

let nodes: Nodes;
let one: TestReplica;
let two: TestReplica;

beforeEach(async () => {
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list);
  [one, two] = await Promise.all([TestReplica.start(nodes.list), TestReplica.start(nodes.list)]);
});
afterEach(async () => {
  await Promise.all([one.stop(), two.stop()]);
  await nodes.close();
});

const nothing = ['', '', ''];

test('one of three resources held elsewhere refuses all three', async () => {
  const held = await one.client.lock('b', { owner: 'w9' });
  const { busy } = await two.client.acquire({ resources: ['a', 'b', 'c'] });
  expect(busy?.holders).toMatchObject([{ resource: 'b', owner: 'w9', lease_ref: held.lease_ref }]);
  expect([await nodes.holders('a'), await nodes.holders('c')]).toEqual([nothing, nothing]);
  expect(await one.client.release(held.lease_id)).toBe(true);
  const all = await two.client.lock(['a', 'b', 'c']);
  expect(BigInt(all.fencing_token)).toBeGreaterThan(BigInt(held.fencing_token));
  // One token for all, on every node.
  for (const name of ['a', 'b', 'c']) {
    expect((await one.client.inspect(name)).holders[0]?.fencing_token).toBe(all.fencing_token);
  }
});

test('without that rule a free one among them takes the held one along', async () => {
  const desk = await Desk.open(nodes.list, { scripts: oneFreeWillDo });
  try {
    const held = await desk.lock('b', { owner: 'w9' });
    const taken = await desk.acquire(['a', 'b', 'c'], { owner: 'w1' });
    expect(taken.kind).toBe('lease');
    expect((await desk.heartbeat(held)).kind).toBe('refusal');
  } finally {
    desk.close();
  }
});

describe.each([
  ['all nodes up', -1],
  ['one node down', 1],
])('two replicas that ask for overlapping sets in opposite order, %s,', (_, down) => {
  test('never both get them, and leave nothing behind, 100 times', async () => {
    if (down >= 0) await nodes.servers[down]!.kill('SIGKILL');
    let granted = 0;
    await repeat(100, async (round) => {
      const names = ['a', 'b', 'c', 'd'].map((name) => `${name}/${round}`);
      const [a, b, c, d] = names as [string, string, string, string];
      const leases = await Promise.all([
        one.client.tryLock([a, b, c], { owner: 'w1' }),
        two.client.tryLock([d, c, b], { owner: 'w2' }),
      ]);
      const got = leases.filter((lease) => lease !== undefined);
      expect(got.length).toBeLessThanOrEqual(1);
      granted += got.length;
      for (const lease of got) {
        // Whoever has it has all of it: a majority of the nodes, for each name.
        for (const name of lease.resources) {
          expect((await one.client.inspect(name)).holders[0]?.lease_ref).toBe(lease.lease_ref);
        }
        expect(await two.client.release(lease.lease_id)).toBe(true);
      }
      for (const name of names) await nodes.free(name, 1500);
    });
    // They may refuse each other now and then, but not as a rule.
    expect(granted).toBeGreaterThan(50);
  });
});

test('the same resource twice in one request is INVALID_FIELD', async () => {
  const said = await refusal(one.client.acquire({ resources: ['a', 'a'] }));
  expect(said).toMatchObject({ reason: 'INVALID_FIELD', fields: [expect.stringMatching(/^resources/)] });
});
