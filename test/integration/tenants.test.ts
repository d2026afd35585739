/** Tenants on the same nodes: each uses the same names for its own locks, and hears of nobody else's, whatever it asks. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Folder } from '../harness/certificates.ts';
import { all, GovernedSite, type Hands } from '../harness/governed.ts';
import { refusal, span } from '../harness/replica.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';
import { wordOf } from '../harness/watching.ts';

const folder = new Folder();
let scene: Scene;
let site: GovernedSite;
let ann: Hands;
let bob: Hands;
let ops: Hands;
/** All that anybody was told; searched for what must not be in it. */
const heard: unknown[] = [];

const hears = <T>(answer: T): T => {
  heard.push(answer);
  return answer;
};

beforeAll(async () => {
  scene = await Scene.open();
  site = await GovernedSite.open(
    [
      { name: 'ann', tenant: 'acme.example', allow: all },
      { name: 'bob', tenant: 'bravo.example', allow: all },
      { name: 'ops', allow: all },
    ],
    scene.nodes.list,
    { HOLDFAST_ARCHIVE: `sqlite:${folder.path}/history.db` },
  );
  [ann, bob, ops] = ['ann', 'bob', 'ops'].map((name) => site.by(name)) as [Hands, Hands, Hands];
});

afterAll(async () => {
  await site.close();
  await scene.close();
  folder.remove();
});

test('one name is three locks, with a line and a request id for each', async () => {
  const more = { owner: 'w1', request_id: 'r1' };
  const leases = await Promise.all([ann, bob, ops].map(({ client }) => client.lock('same', more)));
  expect(new Set(leases.map(({ lease_ref }) => lease_ref)).size).toBe(3);
  expect(leases.map(({ replayed }) => replayed)).toEqual([false, false, false]);
  for (const lease of hears(leases)) expect(lease).toMatchObject({ resources: ['same'], owner: 'w1' });
  const again = await ann.client.lock('same', more);
  expect(again).toMatchObject({ replayed: true, lease_id: leases[0]!.lease_id });
  const { busy } = hears(await bob.client.acquire({ resources: ['same'], owner: 'w2' }));
  expect(busy).toMatchObject({
    holders: [{ resource: 'same', owner: 'w1', lease_ref: leases[1]!.lease_ref }],
  });
  for (const [at, { client }] of [ann, bob, ops].entries()) {
    expect(await client.heartbeat(leases[at]!.lease_id)).toMatchObject({ resources: ['same'], owner: 'w1' });
    expect(await client.release(leases[at]!.lease_id)).toBe(true);
  }
});

test('a lease id in other hands is one that nobody knows, whoever is on the other side', async () => {
  const lease = await ann.client.lock(['a', 'b']);
  for (const { client } of [bob, ops]) {
    expect(hears(await refusal(client.heartbeat(lease.lease_id)))).toMatchObject({
      reason: 'LEASE_LOST',
      metadata: { why: 'unknown' },
    });
    expect(await client.release(lease.lease_id)).toBe(false);
  }
  expect(await ann.client.heartbeat(lease.lease_id)).toMatchObject({ resources: ['a', 'b'] });
  expect(await ann.client.release(lease.lease_id)).toBe(true);
});

test('who waits is told of its own line, gets its own turn, and its own deadlock', async () => {
  await bob.client.lock('x', { owner: 'b1' });
  const first = await ann.client.lock('x', { owner: 'w1' });
  await ann.client.lock('y', { owner: 'w2' });
  const hold = ann.hold({ acquire: { resources: ['x'], owner: 'w2' } });
  expect(hears(await hold.first('queued'))).toMatchObject({
    position: 1,
    queue_length: 1,
    holders: [{ resource: 'x', owner: 'w1' }],
  });
  const knot = hears(
    await refusal(ann.client.acquire({ resources: ['y'], owner: 'w1', wait: span(10_000) })),
  );
  expect(knot).toMatchObject({ reason: 'DEADLOCK', metadata: { cycle: 'w1 -> y -> w2 -> x -> w1' } });
  expect(JSON.parse(knot.metadata.owners!)).toEqual(['w1', 'w2']);
  expect(JSON.parse(knot.metadata.resources!)).toEqual(['y', 'x']);
  const seen = hears(await ann.client.inspect('x', 10));
  expect(seen.waiters).toMatchObject([{ owner: 'w2', position: 1 }]);
  await ann.client.release(first.lease_id);
  expect(hears(await hold.granted())).toMatchObject({ resources: ['x'], owner: 'w2' });
  await hold.renewals(0);
  hold.cancel();
});

test('owners of the same name in two tenants are in nobody’s way', async () => {
  await ann.client.lock('p', { owner: 'twin' });
  const lease = await bob.client.lock('q', { owner: 'twin' });
  await bob.client.lock('p', { owner: 'other' });
  const waiting = bob.hold({ acquire: { resources: ['q'], owner: 'other', wait: span(10_000) } });
  await waiting.first('queued');
  // Bob's twin has what Bob's other wants; Ann's twin may wait for what she likes.
  const { busy } = await ann.client.acquire({ resources: ['p'], owner: 'third', wait: span(50) });
  expect(busy).toMatchObject({ wait_elapsed: true });
  await bob.client.release(lease.lease_id);
  expect(await waiting.granted()).toMatchObject({ owner: 'other' });
  waiting.cancel();
});

test('a session keeps what it is granted under its own names, and gives it back by its id', async () => {
  const session = bob.session();
  const lease = hears(await session.lock('session/1', { owner: 'b1' }));
  expect(lease).toMatchObject({ resources: ['session/1'], owner: 'b1' });
  const [seq] = session.ask([{ release: { lease_id: lease.lease_id } }]);
  expect(await session.result(seq!)).toMatchObject({ release: { released: true } });
  const stolen = await ann.client.lock('session/2');
  const [other] = session.ask([{ resume: { lease_id: stolen.lease_id } }]);
  expect(hears(await session.refused(other!))).toMatchObject({ reason: 'LEASE_LOST' });
  session.cancel();
});

test('a list has the tenant’s own, page by page, and nobody goes on from another’s page', async () => {
  const names = Array.from({ length: 5 }, (_, at) => `page/${at}`);
  for (const name of names) await ann.client.lock(name, { owner: 'lister' });
  await bob.client.lock('page/9', { owner: 'lister' });
  await ops.client.lock('page/7', { owner: 'lister' });
  const listed: string[] = [];
  let token = '';
  do {
    const page = hears(
      await ann.client.list({ prefix: 'page/', owner: 'lister', page_size: 2, page_token: token }),
    );
    listed.push(...page.locks.map(({ resource }) => resource));
    token = page.next_page_token;
    if (token === '') continue;
    const ask = { prefix: 'page/', owner: 'lister', page_size: 2, page_token: token };
    const others = hears(await bob.client.list(ask));
    for (const { resource } of others.locks) expect(resource).toBe('page/9');
  } while (token !== '');
  expect(listed).toEqual(names);
  const whole = hears(await ops.client.list({ page_size: 1000 }));
  expect(whole.locks.map(({ resource }) => resource).filter((name) => name.startsWith('page/'))).toEqual([
    'page/7',
  ]);
  expect(whole.next_page_token).toBe('');
});

test('a watch tells of the tenant’s own, by name and by prefix', async () => {
  const readers = await Promise.all([
    ann.watch({ resources: ['news/1'] }),
    bob.watch({ prefix: 'news/' }),
    ops.watch({}),
    bob.watch({}),
  ]);
  for (const [at, { client }] of [ann, bob, ops].entries()) {
    const lease = await client.lock('news/1', { owner: `o${at}` });
    await client.release(lease.lease_id);
  }
  const stories = () =>
    readers.map(({ events }) =>
      events
        .filter(({ resource }) => resource === 'news/1')
        .map((event) => `${wordOf(event)} ${event.owner}`)
        .join(),
    );
  const expected = ['0', '1', '2', '1'].map((at) => `granted o${at},released o${at}`);
  await until('each has heard its own', () => stories().join(';') === expected.join(';') || undefined).catch(
    () => expect(stories()).toEqual(expected),
  );
  for (const reader of readers) hears(reader.events);
});

test('history is the tenant’s own, by name and by owner', async () => {
  for (const { client } of [ann, bob]) {
    const lease = await client.lock('past/1', { owner: 'historian' });
    await client.release(lease.lease_id);
  }
  const refs = async ({ client }: Hands, request: object) => {
    const { events } = hears(await client.history(request));
    for (const { resource, owner } of events) expect([resource, owner]).toEqual(['past/1', 'historian']);
    return new Set(events.map(({ lease_ref }) => lease_ref));
  };
  for (const request of [{ resource: 'past/1' }, { owner: 'historian' }]) {
    const [anns, bobs] = await until('both have a past', async () => {
      const both = [await refs(ann, request), await refs(bob, request)] as const;
      return both.every(({ size }) => size > 0) ? both : undefined;
    });
    expect([...anns].filter((ref) => bobs.has(ref))).toEqual([]);
  }
  expect(hears(await ops.client.history({ owner: 'historian' })).events).toEqual([]);
});

test('what nobody has is unknown by the name that was asked for', async () => {
  const never = hears(await refusal(ann.client.inspect('never/seen')));
  expect(never).toMatchObject({ reason: 'UNKNOWN_RESOURCE', metadata: { resource: 'never/seen' } });
  expect(
    hears(await refusal(ann.client.acquire({ resources: ['~bravo.example/x'], owner: 'w' }))),
  ).toMatchObject({
    reason: 'INVALID_FIELD',
  });
  const posing = await refusal(ops.client.acquire({ resources: ['x'], owner: '~acme.example/w1' }));
  expect(posing).toMatchObject({ reason: 'INVALID_FIELD', fields: ['owner'] });
});

test('a tenant does not administer the replica, and ends only leases of its own', async () => {
  expect(await refusal(ann.client.status())).toMatchObject({ reason: 'DENIED' });
  const lease = await ann.client.lock('force/1', { owner: 'w1' });
  const bobs = await bob.client.lock('force/1', { owner: 'w1' });
  const { freed } = hears(await bob.client.force({ resource: 'force/1', reason: 'mine' }));
  expect(freed).toMatchObject([{ resource: 'force/1', owner: 'w1', lease_ref: bobs.lease_ref }]);
  expect(await ann.client.heartbeat(lease.lease_id)).toMatchObject({ owner: 'w1' });
});

test('the nodes keep all of it under the tenants’ names, and nobody was told so', async () => {
  const keys = String(await scene.nodes.run(0, 'KEYS', '*'));
  expect(keys).toContain('~acme.example/');
  expect(keys).toContain('~bravo.example/');
  expect(heard.length).toBeGreaterThan(20);
  expect(JSON.stringify(heard)).not.toMatch(/~|(acme|bravo)\.example/);
});
