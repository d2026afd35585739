/** Whoever dies, holder, waiter, client or replica, delays the line by what was promised and no more. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ReplicaProcess } from '../harness/replica.ts';
import type { RpcClient } from '../harness/rpc-client.ts';
import { here, Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

const NAME = 'gpu/0';
const LIVENESS_MS = 1000;
/** Once a second whoever waits looks whether it could have it. */
const LOOK_MS = 1000;
/** For a busy machine: what is measured are scripts and messages of a few milliseconds. */
const SLACK_MS = 700;

let scene: Scene;
const children: ChildProcess[] = [];

beforeEach(async () => {
  scene = await Scene.open();
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await scene.close();
});

const replica = (): Promise<ReplicaProcess> =>
  scene.process({ HOLDFAST_WAITER_LIVENESS: `${LIVENESS_MS}ms` });

/** Waits for it and, in a process of its own, never lets go. */
function holder(address: string, owner: string, ttlMs: number): ChildProcess {
  const args = [here('./holder.ts'), address, NAME, owner, String(ttlMs), '50'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return child;
}

async function killed(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

/** Owners in the order in which they stand in line. */
async function standing(client: RpcClient, ...owners: readonly string[]): Promise<void> {
  let line: string[] = [];
  await until(`${owners.join(', ')} stand in line`, async () => {
    line = (await client.inspect(NAME)).waiters.map(({ owner }) => owner);
    return line.join() === owners.join();
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}; it is ${line.join(', ')}`);
  });
}

/** When the nodes recorded it, by their clock. */
async function eventMs(client: RpcClient, type: string, owner: string): Promise<number> {
  const { history } = await client.inspect(NAME, 1000);
  const event = history.find((one) => one.type === `EVENT_TYPE_${type}` && one.owner === owner);
  const seen = history.map((one) => `${one.type} ${one.owner}`).join(', ');
  if (event === undefined) throw new Error(`no ${type} of ${owner} in: ${seen}`);
  return Number(event.time!.seconds) * 1000 + event.time!.nanos / 1e6;
}

const WAIT = { seconds: 50 };

describe('kill -9 of the replica', () => {
  test('at which the head of the line waits lets the next one go on after the liveness', async () => {
    const [doomed, one, two] = await Promise.all([replica(), replica(), replica()]);
    const held = await one.client.lock(NAME, { owner: 'holder' });
    void doomed.client.acquire({ resources: [NAME], owner: 'head', wait: WAIT }).catch(() => {});
    await standing(two.client, 'head');
    const next = two.client.lock(NAME, { owner: 'next', wait: WAIT });
    await standing(one.client, 'head', 'next');
    doomed.signal('SIGKILL');
    await doomed.ended();
    expect(await one.client.release(held.lease_id)).toBe(true);
    expect((await next).owner).toBe('next');
    const idleMs =
      (await eventMs(one.client, 'GRANTED', 'next')) - (await eventMs(one.client, 'RELEASED', 'holder'));
    expect(idleMs).toBeLessThanOrEqual(LIVENESS_MS + LOOK_MS + SLACK_MS);
  });

  test('at which the holder asked leaves the lease, which another replica serves and hands on', async () => {
    const [doomed, two] = await Promise.all([replica(), replica()]);
    const held = await doomed.client.lock(NAME, { owner: 'holder' });
    const next = two.client.lock(NAME, { owner: 'next', wait: WAIT });
    await standing(two.client, 'next');
    doomed.signal('SIGKILL');
    await doomed.ended();
    expect((await two.client.heartbeat(held.lease_id)).fencing_token).toBe(held.fencing_token);
    expect(await two.client.release(held.lease_id)).toBe(true);
    expect(BigInt((await next).fencing_token)).toBeGreaterThan(BigInt(held.fencing_token));
  });
});

describe('kill -9 of a client', () => {
  test('that holds gives the lock to a waiter when the ttl is over', async () => {
    const [one, two] = await Promise.all([replica(), replica()]);
    const ttlMs = 2500;
    const child = holder(one.address, 'holder', ttlMs);
    await once(child.stdout!, 'data');
    const next = two.client.lock(NAME, { owner: 'next', wait: WAIT });
    await standing(two.client, 'next');
    await killed(child);
    const { fencing_token } = await next;
    const grantedMs = await eventMs(two.client, 'GRANTED', 'next');
    const heldMs = grantedMs - (await eventMs(two.client, 'GRANTED', 'holder'));
    expect(heldMs).toBeGreaterThanOrEqual(ttlMs);
    expect(heldMs).toBeLessThanOrEqual(ttlMs + SLACK_MS);
    expect((await two.client.inspect(NAME)).last_token).toBe(fencing_token);
  });

  test('that waits takes it out of the line at every node', async () => {
    const [one, two] = await Promise.all([replica(), replica()]);
    const held = await one.client.lock(NAME, { owner: 'holder' });
    const child = holder(one.address, 'head', 1500);
    await standing(two.client, 'head');
    const next = two.client.lock(NAME, { owner: 'next', wait: WAIT });
    await standing(one.client, 'head', 'next');
    await killed(child);
    await standing(two.client, 'next');
    await scene.queued(NAME, 1);
    await one.client.release(held.lease_id);
    expect((await next).owner).toBe('next');
  });
});
