/** A caller that goes away in mid-Acquire keeps no lock: nobody would renew it, and nobody could release it. */

import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { callerWho } from '../harness/asking.ts';
import { Desk } from '../harness/desk.ts';
import { linksTo } from '../harness/link.ts';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, TestReplica } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

/** A vote may take long here, so that it is the caller who gives up and not the replica. */
const env = { HOLDFAST_NODE_TIMEOUT: '1500ms', HOLDFAST_MAX_TTL: '20s', HOLDFAST_DEFAULT_TTL: '20s' };

let nodes: Nodes;
let net: Awaited<ReturnType<typeof linksTo>>;
const closing: (() => void | Promise<void>)[] = [];

beforeEach(async () => {
  nodes = await Nodes.start(3);
  net = await linksTo(nodes.servers);
  await bootstrapped(net.list, env);
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  net.close();
  await nodes.close();
});

async function replica(): Promise<TestReplica> {
  const started = await TestReplica.start(net.list, env);
  closing.push(() => started.stop());
  return started;
}

/** The votes are cast, and their answers are on the way for as long as the test likes. */
async function castUnanswered(name: string): Promise<void> {
  await until('a majority holds it', async () => {
    return (await nodes.holders(name)).filter((value) => value !== '').length >= 2;
  });
}

/** Holds what nodes 2 and 3 answer. */
function holdAnswers(): void {
  for (const link of net.links.slice(1)) link.hold('out');
}

function letAnswersGo(): void {
  for (const link of net.links) link.flow();
}

describe('a client', () => {
  test('that cancels while its votes are in flight keeps no lock', async () => {
    const { client } = await replica();
    holdAnswers();
    const { call, ended } = client.acquireCall({ resources: ['gpu/0', 'gpu/1'] });
    await castUnanswered('gpu/0');
    call.cancel();
    expect((await ended)?.code).toBe(status.CANCELLED);
    // Over the same connection, so behind the cancellation: the replica knows of it when it answers this.
    await client.status();
    letAnswersGo();
    await nodes.free('gpu/0');
    await nodes.free('gpu/1');
    expect((await client.lock(['gpu/0', 'gpu/1'])).replayed).toBe(false);
  });

  test('whose deadline passes while its votes are in flight keeps no lock', async () => {
    const { client } = await replica();
    holdAnswers();
    const answer = client.acquire({ resources: ['gpu/0'] }, { deadline: Date.now() + 300 });
    const ended = answer.then(
      () => 'answered',
      ({ code }: { code: status }) => code,
    );
    await castUnanswered('gpu/0');
    expect(await ended).toBe(status.DEADLINE_EXCEEDED);
    // By its own count the replica's caller may have a moment left: what crosses that moment ends by its ttl (G4).
    await client.status();
    letAnswersGo();
    await nodes.free('gpu/0');
  });

  test('that is gone before any vote arrived keeps no lock when the votes come late', async () => {
    const { client } = await replica();
    for (const link of net.links) link.hold('in');
    const { call, ended } = client.acquireCall({ resources: ['gpu/0'] });
    await until('the votes are on their way', () => net.links.every((link) => link.kept('in') > 0));
    call.cancel();
    expect((await ended)?.code).toBe(status.CANCELLED);
    await client.status();
    letAnswersGo();
    await until('the votes arrived', async () => {
      const known = [0, 1, 2].map((at) => nodes.run(at, 'EXISTS', 'holdfast:r:gpu/0'));
      return (await Promise.all(known)).every((exists) => exists === 1);
    });
    await nodes.free('gpu/0');
  });
});

describe('the locks', () => {
  async function abandoned(gone: boolean): Promise<string[]> {
    const desk = await Desk.open(nodes.list, { maxTtlMs: 20_000, nodeTimeoutMs: 1500 });
    closing.push(() => desk.close());
    const answer = await desk.acquire(
      'gpu/0',
      { ttlMs: 20_000 },
      callerWho(() => gone),
    );
    expect(answer.kind).toBe(gone ? 'refusal' : 'lease');
    return nodes.holders('gpu/0');
  }

  test('undo a grant whose caller is gone before they answer', async () => {
    await bootstrappedDirectly();
    const left = await abandoned(true);
    expect(left.filter((value) => value !== '').length).toBeLessThan(2);
    await nodes.free('gpu/0');
  });

  test('leave it standing for nobody when they do not ask whether the caller is gone', async () => {
    await bootstrappedDirectly();
    expect((await abandoned(false)).filter((value) => value !== '').length).toBeGreaterThanOrEqual(2);
  });
});

/** The names of the nodes are the same on both lists, so there is nothing left to do; it must say so. */
async function bootstrappedDirectly(): Promise<void> {
  await bootstrapped(nodes.list, env);
}
