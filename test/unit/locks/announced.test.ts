/** What the locks announce for history, alerts and metrics: each thing that really happened, once, and nothing else. */
import { expect, test } from 'vitest';
import { type Happening, type Probe, silentProbe } from '../../../src/domain/probe.ts';
import { callerWho } from '../../harness/asking.ts';
import { hold } from './keeping.ts';
import { leaseOf, nameOf, quiet, type Replica, TTL_MS, Wait, World } from './world.ts';

interface Ears {
  readonly happenings: Happening[];
  readonly others: (readonly unknown[])[];
}

async function listened(): Promise<{ world: World; ears: Ears; a: Replica; b: Replica }> {
  const world = await World.of();
  const ears: Ears = { happenings: [], others: [] };
  const note =
    (name: string) =>
    (...facts: unknown[]): void => {
      ears.others.push([name, ...facts]);
    };
  const heard: Partial<Probe> = {
    happened: (happening) => ears.happenings.push(happening),
    waited: note('waited'),
    handedOver: note('handedOver'),
    staleToken: note('staleToken'),
    ownershipViolation: note('ownershipViolation'),
  };
  world.probe = { ...silentProbe, ...heard };
  return { world, ears, a: world.replica('a'), b: world.replica('b') };
}

/** `granted r a`, with the reason behind a colon. */
function told({ happenings }: Ears): string[] {
  return happenings.map(({ type, resources, owner, reason }) =>
    `${type} ${resources} ${owner}${reason === '' ? '' : `: ${reason}`}`.trim(),
  );
}

test('a grant and its release, with the public name of the lease and the time by the wall clock', async () => {
  const { ears, a } = await listened();
  const lease = leaseOf(await a.acquire({ resources: ['r', 's'] }));
  a.clock.stepWall(7_000_000);
  await a.release(lease, 'done');
  expect(told(ears)).toEqual(['granted r,s a', 'released r,s : done']);
  for (const happening of ears.happenings) {
    expect(happening.lease).toMatchObject({ leaseRef: lease.leaseRef, token: lease.token });
    // Whoever writes down all that it is given must not write down a lease id.
    expect(Object.values(happening.lease!).join()).not.toContain(lease.leaseId.split('.')[1]);
  }
  const [granted, released] = ears.happenings;
  expect(released!.timeMs - granted!.timeMs).toBe(7000);
});

test('what did not happen is not told: a Busy, a replay, a release of nothing, a heartbeat', async () => {
  const { ears, a, b } = await listened();
  const lease = leaseOf(await a.acquire({ requestId: '1' }));
  await b.acquire();
  await a.acquire({ requestId: '1' });
  await a.heartbeat(lease);
  await a.release(lease);
  ears.happenings.length = 0;
  await a.release(lease);
  await a.heartbeat(lease);
  expect(told(ears)).toEqual([]);
  expect(ears.others).toContainEqual(['ownershipViolation', 'release']);
});

test('somebody who waits is told as queued, and the hand-over by the time since the release', async () => {
  const { world, ears, a } = await listened();
  const lease = leaseOf(await a.acquire());
  const wait = new Wait(a, { owner: 'w2' });
  await world.pass(300);
  await a.release(lease);
  await quiet();
  expect(wait.kind).toBe('lease');
  expect(told(ears)).toEqual(['granted r a', 'queued r w2', 'released r', 'granted r w2']);
  expect(ears.others).toEqual([
    ['waited', 0, 'r'],
    ['waited', 300, 'r'],
    ['handedOver', 'r', 0],
  ]);
});

test('a release elsewhere leaves the gap untold', async () => {
  const { world, ears, a, b } = await listened();
  const lease = leaseOf(await a.acquire());
  const wait = new Wait(b, { owner: 'w2' });
  await world.pass(300);
  await a.release(lease);
  await world.pass(1500);
  expect(wait.kind).toBe('lease');
  expect(ears.others).toContainEqual(['handedOver', 'r', undefined]);
});

test('a grant that nobody heard of is told, and that it was given back', async () => {
  const { ears, a } = await listened();
  let gone = false;
  const answer = a.acquire(
    {},
    callerWho(() => gone),
  );
  const lease = leaseOf(await answer);
  gone = true;
  await a.locks.giveBack(nameOf(lease.leaseId));
  expect(told(ears)).toEqual(['granted r a', 'released r : its caller was gone']);
});

test('the end of a stream releases, with the owner', async () => {
  const { ears, a } = await listened();
  const { kept } = await hold(a);
  kept.end('closed', 0);
  await quiet();
  expect(told(ears)).toEqual(['granted r a', 'released r a: the stream was closed']);
});

test('a lease that is released by its id while a stream keeps it is released once, and not lost', async () => {
  const { world, ears, a, b } = await listened();
  const { kept } = await hold(a);
  await b.release(kept.lease, 'by id');
  await world.pass(TTL_MS, 100);
  expect(told(ears)).toEqual(['granted r a', 'released r : by id']);
});

test('a stream that could not renew in time has lost its lease: once, and without a release behind it', async () => {
  const { world, ears, a } = await listened();
  const { heard, kept } = await hold(a);
  world.fate = () => 'lost';
  await world.pass(2 * TTL_MS, 100);
  world.fate = () => 'now';
  await world.pass(TTL_MS, 100);
  await a.heartbeat(kept.lease);
  expect(heard.losses.map(({ reason }) => reason)).toEqual(['expired']);
  expect(told(ears)).toEqual(['granted r a', 'lost r a: expired']);
});

test('force is told by who did it, and the loss by who hears of it first', async () => {
  const { world, ears, a, b } = await listened();
  const { kept } = await hold(a, { resources: ['r', 's'] });
  await b.locks.forceRelease({ resource: 'r', leaseRef: '', reason: 'stuck' });
  await world.pass(TTL_MS, 100);
  await a.heartbeat(kept.lease);
  expect(told(ears)).toEqual(['granted r,s a', 'forced r,s a: stuck', 'lost r,s a: forced']);
  expect(ears.happenings[1]!.lease).toEqual({ leaseRef: kept.lease.leaseRef, token: kept.lease.token });
});

test('a Heartbeat that comes too late tells the loss', async () => {
  const { world, ears, a } = await listened();
  const lease = leaseOf(await a.acquire());
  await world.pass(2 * TTL_MS, 500);
  await a.heartbeat(lease);
  await a.heartbeat(lease);
  expect(told(ears)).toEqual(['granted r a', 'lost r : expired']);
});

test('a lease that another stream takes over is neither lost nor released', async () => {
  const { world, ears, a, b } = await listened();
  const { kept } = await hold(a);
  await b.locks.resume(nameOf(kept.lease.leaseId), { renewed() {}, lost() {}, yieldRequested() {} });
  await world.pass(TTL_MS, 100);
  kept.end('closed', 0);
  await world.pass(100);
  expect(told(ears)).toEqual(['granted r a']);
});

test('CheckToken of a token that is not current is told', async () => {
  const { ears, a } = await listened();
  const lease = leaseOf(await a.acquire());
  await a.locks.checkToken('r', lease.token);
  expect(ears.others).toEqual([['waited', 0, 'r']]);
  await a.locks.checkToken('r', lease.token - 1n);
  expect(ears.others).toContainEqual(['staleToken', 'check_token']);
});
