/** What the locks keep for traces: of calls that are sampled, and bounded; of any other nothing at all. */
import { expect, test } from 'vitest';
import { leaseNameOf } from '../../../src/domain/lease.ts';
import { type CallTraces, silentProbe } from '../../../src/domain/probe.ts';
import { TracedGrants } from '../../../src/locks/traced.ts';
import { stays } from '../../harness/asking.ts';
import { hold } from './keeping.ts';
import { leaseOf, quiet, Wait, World } from './world.ts';

/** Every call is the one that `now` names; undefined: not sampled. */
class Traces implements CallTraces {
  now: string | undefined;
  readonly waits: string[] = [];
  readonly releases: string[] = [];

  current(): string | undefined {
    return this.now;
  }

  waitedFor(grants: Iterable<string>): void {
    this.waits.push([...grants].join());
  }

  release<T>(grant: string, act: () => Promise<T>): Promise<T> {
    this.releases.push(grant);
    return act();
  }
}

async function scene() {
  const world = await World.of();
  const traces = new Traces();
  world.probe = { ...silentProbe, traces };
  return { world, traces, a: world.replica('a'), b: world.replica('b') };
}

const stored = (world: World): string | undefined => world.view(0)?.holder?.card;

test('a sampled grant is stored with the lock, and another is as short as ever', async () => {
  const { world, traces, a } = await scene();
  traces.now = 'span of a';
  const lease = leaseOf(await a.acquire());
  expect(JSON.parse(stored(world)!)).toEqual({ t: 10_000, tp: 'span of a' });
  await a.release(lease);
  expect(traces.releases).toEqual(['span of a']);
  traces.now = undefined;
  await a.release(leaseOf(await a.acquire()));
  expect(traces.releases).toEqual(['span of a']);
  await a.acquire();
  expect(stored(world)).toBe('{"t":10000}');
});

test('a lease that is sealed for its caller is linked to its release as any other', async () => {
  const { traces, a } = await scene();
  const seal = 'S'.repeat(16);
  traces.now = 'span of a';
  const lease = leaseOf(await a.acquire({}, { ...stays, principal: 'ann', seal }));
  await a.locks.release({ lease: leaseNameOf(lease, seal), reason: '' });
  expect(traces.releases).toEqual(['span of a']);
});

test('whoever is refused, or waits, is linked once to the grants in its way, if it is sampled itself', async () => {
  const { world, traces, a, b } = await scene();
  traces.now = 'span of a';
  const lease = leaseOf(await a.acquire());
  traces.now = 'span of b';
  await b.acquire();
  expect(traces.waits).toEqual(['span of a']);
  const seen = new Wait(b, { owner: 'w1' });
  await world.pass(100);
  traces.now = undefined;
  const unseen = new Wait(b, { owner: 'w2' });
  await world.pass(100);
  await a.release(lease);
  await world.pass(1500);
  expect([seen.kind, unseen.kind]).toEqual(['lease', 'waits']);
  expect(traces.waits).toEqual(['span of a', 'span of a']);
});

test('who joined behind others, and was never refused, learns of the grant as it is released here', async () => {
  const { world, traces, a } = await scene();
  const lease = leaseOf(await a.acquire());
  traces.now = 'span of w1';
  const first = new Wait(a, { owner: 'w1' });
  await quiet();
  traces.now = 'span of w2';
  const second = new Wait(a, { owner: 'w2' });
  await quiet();
  traces.now = 'span of w1';
  await a.release(lease);
  await world.pass(10);
  expect([first.kind, traces.waits]).toEqual(['lease', []]);
  await a.release(leaseOf(first.answer!));
  await world.pass(10);
  expect([second.kind, traces.waits]).toEqual(['lease', ['span of w1']]);
});

test('the end of a stream is linked to its grant', async () => {
  const { traces, a } = await scene();
  traces.now = 'span of a';
  const { kept } = await hold(a);
  traces.now = undefined;
  kept.end('closed', 0);
  await quiet();
  expect(traces.releases).toEqual(['span of a']);
});

test('grants that nobody releases here are forgotten, the oldest first', () => {
  const grants = new TracedGrants();
  for (let at = 0; at <= 10_000; at += 1) grants.note(`v${at}`, `t${at}`);
  expect([grants.take('v0'), grants.take('v1'), grants.take('v1')]).toEqual([undefined, 't1', undefined]);
});
