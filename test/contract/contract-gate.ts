/** Step 1: a node that is somebody else's, may have forgotten, or has a doubtful clock stays silent (node.ts). */
import { describe, expect, test } from 'vitest';
import { type Answer, SCHEMA } from '../../src/nodes/node.ts';
import { attempt, type Caller, silence, tokenAt } from './caller.ts';
import { longestTtlMs, metaOf, stampOf, startMicros } from './under-test.ts';

const T = tokenAt();
const first = attempt('one', T, 'a');
const longestMicros = longestTtlMs * 1000;

type Kind = 'hold' | 'renew' | 'repair' | 'release' | 'force' | 'look' | 'list' | 'sweep' | 'ping';

/** One of each kind, about `first`. */
const asks: Record<Kind, (node: Caller) => Promise<Answer>> = {
  hold: (node) => node.hold(attempt('two', T + 1n, 'z')),
  renew: (node) => node.renew(first),
  repair: (node) => node.repair(attempt('two', T + 1n, 'z')),
  release: (node) => node.release(first),
  force: (node) => node.force('a'),
  look: (node) => node.ask({ kind: 'look', resource: 'a', history: 0 }),
  list: (node) => node.ask({ kind: 'list', prefix: '', after: '', limit: 9 }),
  sweep: (node) => node.sweep(),
  ping: (node) => node.ask({ kind: 'ping' }),
};
const kinds = Object.keys(asks) as Kind[];
const lettingGo: readonly Kind[] = ['release', 'force'];
const reads: readonly Kind[] = ['look', 'list', 'sweep'];
const votes = kinds.filter((kind) => !lettingGo.includes(kind) && !reads.includes(kind));

/** Takes the meta away and leaves the memory, as an adoption does. */
async function loseMeta(node: Caller): Promise<void> {
  await node.admin({ kind: 'adopt', cluster: 'c', runId: node.runId, id: 'q', why: 'test', longestTtlMs });
}

/** A meta as it would stand there after another run, or for another cluster, and so on. */
async function bear(node: Caller, changes: Partial<ReturnType<typeof metaOf>>): Promise<void> {
  const meta = { ...metaOf(node.runId), ...changes };
  const { runId } = meta;
  await node.admin({ kind: 'adopt', cluster: 'c', runId, id: 'q', why: 'test', longestTtlMs });
  expect(await node.admin({ kind: 'create', quarantineId: 'q', meta })).toEqual({ kind: 'done' });
}

export function gateContract(node: () => Caller): void {
  describe('a node that was not admitted', () => {
    test.each(kinds)('is silent to %s', async (kind) => {
      node().under.node.admit(undefined);
      expect((await asks[kind](node())).kind).toBe('silent');
    });
  });

  describe('a node of another schema, id, cluster or longest ttl', () => {
    test.each(kinds)('is silent to %s with config, and changes nothing', async (kind) => {
      await node().hold(first);
      for (const changes of [
        { schema: SCHEMA + 1 },
        { nodeId: 'x' },
        { cluster: 'x' },
        { longestTtlMs: 1 },
      ]) {
        await bear(node(), changes);
        expect(await asks[kind](node())).toEqual(silence('config'));
      }
      await bear(node(), {});
      expect((await node().look('a'))?.holder?.leaseRef).toBe(first.leaseRef);
      expect(await node().look('z')).toBeNull();
    });

    test('config goes before amnesia', async () => {
      await bear(node(), { cluster: 'x', runId: 'another run' });
      expect(await node().hold(first)).toEqual(silence('config'));
    });

    test('the stamp is what it is compared with', async () => {
      node().under.node.admit(stampOf(node().runId, 'x'));
      expect(await node().hold(first)).toEqual(silence('config'));
      node().under.node.admit(stampOf(node().runId, 'c0', 1));
      expect(await node().hold(first)).toEqual(silence('config'));
    });
  });

  describeAmnesia(node);
  describeSuspicion(node);
}

function describeAmnesia(node: () => Caller): void {
  describe.each([
    ['without a meta', loseMeta],
    ['with a meta of another run', (caller: Caller) => bear(caller, { runId: 'another run' })],
  ] as const)('a node %s', (_, forget) => {
    test.each([...votes, ...reads])('is silent to %s with amnesia', async (kind) => {
      await node().hold(first);
      await forget(node());
      expect(await asks[kind](node())).toEqual(silence('amnesia'));
    });

    test.each(lettingGo)('lets go by %s', async (kind) => {
      await node().hold(first);
      await forget(node());
      const answer = await asks[kind](node());
      expect(answer).toMatchObject(kind === 'release' ? { matched: true } : { value: first.value });
      await bear(node(), {});
      expect((await node().look('a'))?.holder).toBeUndefined();
    });

    test('proves nothing by what it does not hold: a release that matched nothing is silent, and has run', async () => {
      await node().undo(attempt('x', T - 1n, 'a'));
      await forget(node());
      expect(await node().undo(first)).toEqual(silence('amnesia'));
      expect(await node().force('a')).toEqual(silence('amnesia'));
      await bear(node(), {});
      expect(await node().fence('a')).toEqual({ token: T, state: 'undone' });
    });

    test('writes no fence below its floor, which it keeps', async () => {
      await node().undo(first);
      node().at(86_400_000_000 + 1);
      await node().sweep();
      await forget(node());
      await node().undo(first);
      await bear(node(), {});
      expect(await node().look('a')).toBeNull();
      expect((await node().state()).meta?.floor).toBe(T);
    });
  });
}

function describeSuspicion(node: () => Caller): void {
  describe('a node whose clock is suspect', () => {
    const suspect = () => node().admin({ kind: 'suspect', runId: node().runId });

    test.each(votes)('is silent to %s with suspect', async (kind) => {
      await node().hold(first);
      await suspect();
      expect(await asks[kind](node())).toEqual(silence('suspect'));
    });

    test.each([...lettingGo, ...reads])('answers %s all the same', async (kind) => {
      await node().hold(first);
      await suspect();
      expect((await asks[kind](node())).kind).not.toBe('silent');
    });

    test('answers a release that matched nothing: it has forgotten nothing', async () => {
      await suspect();
      expect(await node().release(first)).toEqual({ kind: 'released', matched: false });
      expect(await node().force('a')).toMatchObject({ kind: 'forced', holder: null });
    });

    test('votes again one longest ttl later, to the microsecond', async () => {
      await suspect();
      node().at(longestMicros - 1);
      expect(await asks.ping(node())).toEqual(silence('suspect'));
      node().at(longestMicros);
      expect(await asks.ping(node())).toEqual({ kind: 'pong', nowMicros: startMicros + longestMicros });
    });

    test('is suspected for one longest ttl at most, however far its clock is set back', async () => {
      await suspect();
      node().at(-1_000_000_000);
      expect(await asks.ping(node())).toEqual(silence('suspect'));
      node().at(-1_000_000_000 + longestMicros);
      expect((await asks.ping(node())).kind).toBe('pong');
    });

    test('amnesia goes before suspicion', async () => {
      await suspect();
      await bear(node(), { runId: 'another run' });
      expect(await node().hold(first)).toEqual(silence('amnesia'));
    });
  });
}
