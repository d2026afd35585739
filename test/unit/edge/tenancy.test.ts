/** Tenants: names come back as they went in, nodes see them under their tenant, and nobody else's show. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseLeaseId } from '../../../src/domain/lease.ts';
import { limits } from '../../../src/domain/limits.ts';
import { resourceFault } from '../../../src/domain/names.ts';
import type { Refusal } from '../../../src/domain/refusals.ts';
import { TenantLocks, TenantsHidden } from '../../../src/edge/access/tenancy.ts';
import { isTenants, looksLikeTenants, TenantNames } from '../../../src/edge/access/tenant-names.ts';
import type {
  AcquireAsk,
  Busy,
  Caller,
  Granted,
  KeptNews,
  Locks,
  Watcher,
} from '../../../src/locks/locks.ts';
import { asking, stays } from '../../harness/asking.ts';
import { EchoLocks } from './echo-locks.ts';
import { FakeLocks } from './fake-locks.ts';

const ALLOWED = 'abzAZ09._:/@+-';
const resource = fc.string({ unit: fc.constantFrom(...ALLOWED), minLength: 1, maxLength: 30 });
const owner = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
  .filter((text) => text.isWellFormed());
const tenant = fc.string({ unit: fc.constantFrom(...'abAB01._-'), minLength: 1, maxLength: 64 });
const resources = fc.uniqueArray(resource, { minLength: 1, maxLength: 5 });

/** What it keeps is known by its name. */
function shown(answer: Granted | Busy | Refusal): unknown {
  return answer.kind === 'granted' ? [answer.lease, answer.kept.name] : answer;
}

/** All that one caller hears, whatever it asks. */
async function heard(locks: Locks, asked: Partial<AcquireAsk>): Promise<unknown[]> {
  const told: unknown[] = [];
  const caller: Caller = { ...stays, queued: (queued) => told.push(queued) };
  const news: KeptNews = {
    renewed: (lease) => told.push(lease),
    lost: (loss) => told.push(loss),
    yieldRequested: (asker) => told.push(asker),
  };
  const watcher: Watcher = {
    event: (event) => told.push(event),
    missed: (count) => told.push(count),
  };
  const ask = asking(asked);
  const [name = ''] = ask.resources;
  const page = { pageSize: 10 };
  const answer = await locks.acquire(ask, caller);
  told.push(answer, shown(await locks.hold(ask, caller, news)));
  const id = answer.kind === 'lease' ? answer.leaseId : undefined;
  const lease = id === undefined ? undefined : parseLeaseId(id);
  if (lease !== undefined) {
    told.push(shown(await locks.resume(lease, news)));
    told.push(await locks.heartbeat({ lease, progress: '' }));
    told.push(await locks.release({ lease, reason: '' }), await locks.giveBack(lease));
  }
  told.push(
    await locks.inspect(name, 10),
    await locks.checkToken(name, 1n),
    await locks.forceRelease({ resource: name, leaseRef: '', reason: 'r' }),
    await locks.list({ ...page, prefix: name, owner: ask.owner, after: name }),
    await locks.list({ ...page, prefix: '', owner: '', after: '' }),
    await locks.history({ ...page, resource: name, owner: '', prefixes: [], after: '' }),
    await locks.history({ ...page, resource: '', owner: ask.owner, prefixes: [name], after: '' }),
  );
  await locks.watch({ resources: ask.resources, prefix: '' }, watcher);
  await locks.watch({ resources: [], prefix: name }, watcher);
  await locks.watch({ resources: [], prefix: '' }, watcher);
  return told;
}

describe.each(['granted', 'busy', 'refused'] as const)('a tenant that is %s', (mode) => {
  test('hears its own names in every answer, and the nodes hear them under its name', () =>
    fc.assert(
      fc.asyncProperty(tenant, resources, owner, async (whose, names, by) => {
        const [plain, inner] = [new EchoLocks(), new EchoLocks()];
        plain.mode = mode;
        inner.mode = mode;
        const asked = { resources: names, owner: by };
        const expected = await heard(plain, asked);
        expect(await heard(new TenantLocks(inner, whose), asked)).toEqual(expected);
        expect(inner.asked.length).toBeGreaterThan(0);
        for (const name of inner.asked) expect(name.startsWith(`~${whose}/`), name).toBe(true);
      }),
      { numRuns: 100 },
    ));
});

test('two tenants never store the same name', () =>
  fc.assert(
    fc.property(tenant, tenant, resource, resource, (a, b, one, other) => {
      if (a === b && one === other) return;
      expect(new TenantNames(a).stored(one)).not.toBe(new TenantNames(b).stored(other));
    }),
  ));

test('no name that a caller may say is one of a tenant, and all of those sort behind it', () =>
  fc.assert(
    fc.property(tenant, resource, resource, (whose, name, other) => {
      const stored = new TenantNames(whose).stored(name);
      expect(resourceFault(stored)).toBeDefined();
      expect(isTenants(stored)).toBe(true);
      expect(isTenants(other)).toBe(false);
      expect(other < stored).toBe(true);
      expect(looksLikeTenants(stored)).toBe(true);
    }),
  ));

test('stored names have room: a key holds the longest tenant before the longest name', () => {
  const stored = new TenantNames('t'.repeat(64)).stored('n'.repeat(limits.resourceLength));
  // Lengths in a node's operations have two bytes.
  expect(stored.length).toBe(limits.resourceLength + 66);
  expect(stored.length).toBeLessThan(0xffff);
});

describe('whoever is of no tenant', () => {
  const theirs = { ...asking(), resources: ['~acme/gpu'] };

  test('sees a list that ends where tenants begin', async () => {
    const inner = new FakeLocks();
    const summary = (name: string) =>
      ({ resource: name, state: 'held', holders: [], queueLength: 0, lastToken: 1n }) as const;
    inner.list = async () => ({ kind: 'page', locks: ['z', '~acme/gpu'].map(summary), next: '~acme/gpu' });
    const page = await new TenantsHidden(inner).list({ prefix: '', owner: '', pageSize: 10, after: '' });
    expect(page).toMatchObject({ locks: [{ resource: 'z' }], next: '' });
    inner.list = async () => ({ kind: 'page', locks: [summary('z')], next: 'z' });
    const more = await new TenantsHidden(inner).list({ prefix: '', owner: '', pageSize: 1, after: '' });
    expect(more).toMatchObject({ locks: [{ resource: 'z' }], next: 'z' });
  });

  test('hears of no tenant in Watch and History', async () => {
    const told: string[] = [];
    const hidden = new TenantsHidden(new EchoLocks());
    const watcher = { event: ({ resource }: { resource: string }) => told.push(resource), missed: () => {} };
    await hidden.watch({ resources: ['~acme/gpu', 'gpu'], prefix: '' }, watcher);
    expect(told).toEqual(['gpu']);
    const ask = { resource: theirs.resources[0]!, owner: '', prefixes: [], pageSize: 1, after: '' };
    expect(await hidden.history(ask)).toMatchObject({ events: [] });
  });
});
