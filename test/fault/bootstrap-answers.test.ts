/** A bootstrap whose nodes are slow: an answer that is late or lost costs it nothing but time. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AdminAnswer, AdminOp } from '../../src/nodes/admin.ts';
import { RedisNode } from '../../src/nodes/redis-node.ts';
import { type BootNode, bootstrap } from '../../src/quorum/bootstrap.ts';
import { systemClock } from '../../src/std/clock.ts';
import { systemRandom } from '../../src/std/random.ts';
import { Nodes } from '../harness/nodes.ts';

type Kind = AdminOp['kind'];
const FAILED: AdminAnswer = { kind: 'failed', detail: 'no answer in time' };

let nodes: Nodes;
let members: RedisNode[];

beforeEach(async () => {
  nodes = await Nodes.start(3);
  members = nodes.servers.map(
    ({ url }, at) =>
      new RedisNode({ id: `n${at + 1}`, url, namespace: 'holdfast', timeoutMs: 5000, clock: systemClock }),
  );
});
afterEach(async () => {
  for (const member of members) member.close();
  await nodes.close();
});

const start = (of: readonly BootNode[]) =>
  bootstrap({ nodes: of, cluster: 'c', longestTtlMs: 2000, clock: systemClock, random: systemRandom });

const but = (node: RedisNode, other: Partial<BootNode>): BootNode => ({
  id: node.id,
  ready: (withinMs) => node.ready(withinMs),
  facts: () => node.facts(),
  admin: (op) => node.admin(op),
  ...other,
});

/** The node as a caller sees it whose first ask for `kind` fails: it does not get there, or is done and nobody hears of it. */
function unheard(node: RedisNode, kind: Kind, done: boolean): BootNode {
  let heard = false;
  return but(node, {
    admin: async (op) => {
      if (op.kind !== kind || heard) return node.admin(op);
      heard = true;
      if (done) await node.admin(op);
      return FAILED;
    },
  });
}

describe.each([0, 2])('an answer of node %i that is lost', (at) => {
  test.each<[Kind, boolean]>([
    ['read', true],
    ['quarantine', false],
    ['quarantine', true],
    ['create', false],
    ['create', true],
  ])('%s, done: %s', async (kind, done) => {
    const report = await start(
      members.map((member, index) => (index === at ? unheard(member, kind, done) : member)),
    );
    expect(report).toEqual({ ok: true, lines: ['n1: ready', 'n2: ready', 'n3: ready'] });
    for (const member of members) {
      expect(await member.admin({ kind: 'read' })).toMatchObject({ kind: 'state', meta: { cluster: 'c' } });
    }
  });
});

test('a node that stays silent is named, with what it said, and is no news of another bootstrap', async () => {
  const [first, second, third] = members as [RedisNode, RedisNode, RedisNode];
  const mute = but(third, { admin: async (op) => (op.kind === 'quarantine' ? FAILED : third.admin(op)) });
  expect(await start([first, second, mute])).toEqual({
    ok: false,
    lines: ['n3 gave no answer of use (no answer in time); what was claimed sits a quarantine out'],
  });
});

test('a node that restarts between the first look and its facts is not written to', async () => {
  const [first, second, third] = members as [RedisNode, RedisNode, RedisNode];
  const other = but(third, { facts: async () => ({ ...(await third.facts())!, runId: 'another' }) });
  const before = await nodes.dumps();
  const report = await start([first, second, other]);
  expect(report).toMatchObject({ ok: false, lines: ['n3 has restarted meanwhile; nothing was written'] });
  expect(await nodes.dumps()).toEqual(before);
});
