/** BINDING: which stream keeps a lease, and what those that kept it before can no longer do to it (node.ts). */
import { describe, expect, test } from 'vitest';
import type { NodeHolder } from '../../src/nodes/node.ts';
import {
  type Attempt,
  attempt,
  type Caller,
  cardOf,
  eventOf,
  holderOf,
  placeOf,
  tokenAt,
  ttlMs,
} from './caller.ts';
import { startMicros } from './under-test.ts';

const T = tokenAt();
const first = attempt('one', T, 'a');
const both = attempt('one', T, 'a', 'b');
const matched = { kind: 'released', matched: true };
const unmatched = { kind: 'released', matched: false };

export function bindingContract(node: () => Caller): void {
  describe('binding', () => {
    describe.each([{}, { mode: 'shared' as const }])('of a lease with %o', (mode) =>
      describeRenewal(node, mode),
    );

    test('that is equal is its own, unless it takes the lease over', async () => {
      await holdUnder(node(), 1, 2);
      expect(await node().renew(both, { binding: 2, binds: true })).toEqual({ kind: 'bound', binding: 2 });
      expect(await bindings(node())).toEqual([1, 2]);
      expect((await node().renew(both, { binding: 2, binds: false })).kind).toBe('extended');
      expect(await bindings(node())).toEqual([2, 2]);
    });

    test('goes to one of those who ask for it', async () => {
      await node().hold(first);
      expect(await node().renew(first, { binding: 0, binds: true })).toEqual({ kind: 'bound', binding: 0 });
      const resume = () => node().renew(first, { binding: 1, binds: true });
      expect(await resume()).toMatchObject({ kind: 'extended', holder: { binding: 1 } });
      expect(await resume()).toEqual({ kind: 'bound', binding: 1 });
      expect(await node().renew(first, { binding: 0 })).toEqual({ kind: 'bound', binding: 1 });
      expect((await node().renew(first, { binding: 1 })).kind).toBe('extended');
    });

    test('matters only where the lease is held: else it is missing', async () => {
      await node().repair(first, { binding: 2 });
      expect(await node().renew(both, { binding: 1 })).toEqual({ kind: 'missing', why: 'unknown' });
      await node().release(first);
      expect(await node().renew(first, { binding: 1 })).toEqual({ kind: 'missing', why: 'released' });
    });

    test('that is refused keeps what steps 2 and 3 changed', async () => {
      const other = attempt('two', T + 1n, 'a');
      await node().repair(first, { binding: 1, mode: 'shared' });
      await node().hold(other, { mode: 'shared', ttlMs: 1000 });
      await node().join(placeOf('dying', 1, { livenessMs: 1000 }));
      node().at(1_000_000);
      expect(await node().renew(first, { binding: 0 })).toEqual({ kind: 'bound', binding: 1 });
      const view = await node().look('a', 1);
      expect(view?.history).toEqual([eventOf(other, 'expired', { timeMicros: startMicros + 1_000_000 })]);
      expect(view?.line).toBeUndefined();
    });

    describeEnds(node);
  });
}

type Mode = { readonly mode?: 'shared' };

/** Both resources, each under its own binding, as at a node that missed a resume of one of them. */
async function holdUnder(caller: Caller, a: number, b: number, mode: Mode = {}): Promise<void> {
  const more = { ...mode, card: cardOf(both) };
  await caller.repair({ ...both, resources: ['a'] }, { ...more, binding: a });
  await caller.repair({ ...both, resources: ['b'] }, { ...more, binding: b });
}

async function holderAt(caller: Caller, resource: string): Promise<NodeHolder | undefined> {
  const view = await caller.look(resource);
  return view?.holder ?? view?.readers?.[0];
}

async function bindings(caller: Caller): Promise<unknown> {
  return [(await holderAt(caller, 'a'))?.binding, (await holderAt(caller, 'b'))?.binding];
}

function describeRenewal(node: () => Caller, mode: Mode): void {
  test.each([1, 3, 4_294_967_295])(
    'becomes %i of every holder when none has a newer one',
    async (binding) => {
      await holdUnder(node(), 1, 0, mode);
      const answer = await node().renew(both, { binding });
      expect(answer).toMatchObject({ kind: 'extended', holder: { resource: 'a', binding } });
      expect(await bindings(node())).toEqual([binding, binding]);
    },
  );

  test('stays where the renewal names none', async () => {
    await holdUnder(node(), 2, 1, mode);
    expect(await node().renew(both)).toMatchObject({ kind: 'extended', holder: { binding: 2 } });
    expect(await bindings(node())).toEqual([2, 1]);
  });

  test.each([
    [3, 1],
    [1, 3],
  ])('refuses an older one where the resources have %i and %i: nothing changes', async (a, b) => {
    await holdUnder(node(), a, b, mode);
    node().at(1_000_000);
    const answer = await node().renew(both, { binding: 2, progress: 'half' });
    expect(answer).toEqual({ kind: 'bound', binding: 3 });
    expect(await bindings(node())).toEqual([a, b]);
    for (const resource of ['a', 'b']) {
      const unchanged = { binding: expect.any(Number), remainingMs: ttlMs - 1000 };
      expect(await holderAt(node(), resource)).toEqual(holderOf(both, { resource, ...unchanged }));
      expect(await node().history(resource)).toEqual([eventOf(both, 'renewed')]);
    }
  });
}

/** How a stream ends: a plain release, but for its binding. */
function describeEnds(node: () => Caller): void {
  const resume = (of: Attempt) => node().renew(of, { binding: 1, binds: true });

  test.each([0, 1])('%i lets go of a lease that nobody has resumed', async (binding) => {
    await node().hold(first);
    expect(await node().release(first, { binding })).toEqual(matched);
    expect(await node().fence('a')).toEqual({ token: T, state: 'released' });
    expect((await node().history('a'))[0]).toEqual(eventOf(first, 'released'));
  });

  test.each([first, both])('0 leaves a lease that was resumed, 1 lets it go: $resources', async (lease) => {
    await node().hold(lease);
    await resume(lease);
    expect(await node().release(lease, { binding: 0 })).toEqual(unmatched);
    for (const resource of lease.resources) {
      expect((await node().look(resource))?.holder).toEqual(holderOf(lease, { resource, binding: 1 }));
    }
    expect(await node().release(lease, { binding: 1 })).toEqual(matched);
    for (const resource of lease.resources) expect((await node().look(resource))?.holder).toBeUndefined();
  });

  test('255 and 256 are told apart, as are all below 2^32', async () => {
    for (const [index, binding] of [1, 256, 65_536, 16_777_216].entries()) {
      const lease = attempt('one', T, `r${index}`);
      await node().hold(lease);
      await node().renew(lease, { binding });
      expect(await node().release(lease, { binding: 0 }), String(binding)).toEqual(unmatched);
      expect(await node().release(lease, { binding: binding - 1 }), String(binding)).toEqual(unmatched);
      expect(await node().release(lease, { binding }), String(binding)).toEqual(matched);
    }
  });

  test('of an end matters on the resources that were resumed', async () => {
    await node().hold(both);
    await resume({ ...both, resources: ['b'] });
    expect(await node().release(both, { binding: 0 })).toEqual(matched);
    expect((await node().look('a'))?.holder).toBeUndefined();
    expect((await node().look('b'))?.holder).toEqual(holderOf(both, { resource: 'b', binding: 1 }));
  });

  test('0 leaves a lease that a repeat has taken over, also where only its other half bears the marker', async () => {
    const marker = { key: 'k', digest: 'd' };
    await node().hold(first);
    await node().hold({ ...both, resources: ['b'] }, { marker });
    const repeat = attempt('two', tokenAt(1), 'a');
    expect(await node().hold(repeat, { marker })).toMatchObject({ kind: 'replay', value: first.value });
    expect(await node().release(first, { binding: 0 })).toEqual(unmatched);
    expect(await node().release(first, { binding: 1 })).toEqual(matched);
  });

  test('of an end or not: a Release without one always lets go', async () => {
    await node().hold(first);
    await resume(first);
    expect(await node().release(first)).toEqual(matched);
  });
}
