/** An old stream whose end arrives late, after its lease was resumed elsewhere, frees nothing: the binding sees to that. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { silentProbe } from '../../src/domain/probe.ts';
import { startEdge } from '../../src/edge/server.ts';
import { scripts } from '../../src/nodes/scripts.ts';
import { Cable } from '../harness/cable.ts';
import { Desk } from '../harness/desk.ts';
import { keeps } from '../harness/kept.ts';
import { HoldStream, SessionStream } from '../harness/lock-streams.ts';
import type { ReplicaProcess } from '../harness/replica.ts';
import { type Lease, span } from '../harness/rpc-client.ts';
import { bindingIgnored } from '../harness/rules-off.ts';
import { inspected, Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

const WAIT = { seconds: 50 };
/** The old replica learns from its first renewal, after a quarter of this, that the lease was resumed: not before the reset. */
const TTL_MS = 10_000;
const ttl = span(TTL_MS);

let scene: Scene;
let [one, two, three] = [] as unknown as ReplicaProcess[] as [ReplicaProcess, ReplicaProcess, ReplicaProcess];

const closing: (() => unknown)[] = [];

beforeAll(async () => {
  scene = await Scene.open();
  // Nothing but the reset tells it that a client is gone.
  const patient = { HOLDFAST_KEEPALIVE_TIME: '1h' };
  [one, two, three] = await Promise.all([scene.process(patient), scene.process(), scene.process()]);
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(() => scene.close());

async function cableTo(address: string): Promise<{ cable: Cable; address: string }> {
  const [host, port] = address.split(':') as [string, string];
  const cable = await Cable.to({ host, port: Number(port) });
  closing.push(() => cable.close());
  const where = cable.where as { host: string; port: number };
  return { cable, address: `${where.host}:${where.port}` };
}

/** The edge of a replica over nodes' scripts that may lack a rule. */
async function edgeWith(rules: typeof scripts): Promise<{ address: string; desk: Desk }> {
  const desk = await Desk.open(scene.nodes.list, { scripts: rules, maxTtlMs: 20_000 });
  closing.push(() => desk.close());
  const { locks } = desk;
  const edge = await startEdge({
    locks,
    settings: { minTtlMs: 100, defaultTtlMs: TTL_MS, maxTtlMs: 20_000 },
    addresses: ['127.0.0.1:0'],
    keepalive: { timeMs: 3_600_000, timeoutMs: 3_600_000 },
    probe: silentProbe,
    version: '0',
    status: () => ({ embedded: false, nodes: [], quorumMargin: 0, warnings: [] }),
  });
  closing.push(() => edge.stop());
  return { address: edge.addresses[0]!, desk };
}

/** A waiter that must never be served; `granted` says whether it was. */
async function rival(name: string): Promise<{ granted: () => boolean; lease: Promise<Lease> }> {
  let served = false;
  const lease = three.client.lock(name, { owner: 'rival', ttl, wait: WAIT });
  lease.then(
    () => {
      served = true;
    },
    () => {},
  );
  await scene.queued(name, 1);
  return { granted: () => served, lease };
}

/** The old replica hears nothing any more, and the lease goes on under another stream. */
async function resumeBehind(cable: Cable, lease: Lease, address: string): Promise<HoldStream> {
  cable.cut('in');
  cable.cut('out');
  const resumed = HoldStream.resume(address, lease);
  closing.push(() => resumed.cancel());
  expect((await resumed.granted()).fencing_token).toBe(lease.fencing_token);
  return resumed;
}

/** Holds by the edge, cuts the cable, resumes at the second replica, and then lets the first one hear the reset. */
async function lateReset(name: string, rules: typeof scripts) {
  const { address, desk } = await edgeWith(rules);
  const { cable, address: through } = await cableTo(address);
  const old = HoldStream.acquire(through, name, { ttl });
  closing.push(() => old.cancel());
  const lease = await old.granted();
  const waiting = await rival(name);
  const resumed = await resumeBehind(cable, lease, two.address);
  expect([desk.locks.keptCount, old.ended]).toEqual([1, undefined]);
  cable.reset();
  await until('the old replica has heard the end', () => desk.locks.keptCount === 0);
  return { desk, lease, resumed, waiting };
}

describe('the reset of a stream after its lease was resumed elsewhere', () => {
  test.each(['hold', 'session'] as const)('frees nothing of a %s, not even later', async (kind) => {
    const name = `process/${kind}`;
    const { cable, address } = await cableTo(one.address);
    const old = kind === 'hold' ? HoldStream.acquire(address, name, { ttl }) : new SessionStream(address);
    closing.push(() => old.cancel());
    const lease = old instanceof HoldStream ? await old.granted() : await old.lock(name, { ttl });
    const waiting = await rival(name);
    const resumed = await resumeBehind(cable, lease, two.address);
    // The old replica does not know yet.
    await keeps(one, 1);
    expect(old.ended).toBeUndefined();
    cable.reset();
    await keeps(one, 0);
    // Behind whatever that replica still sent, over the same connections.
    const { holders } = await one.client.inspect(name);
    expect(holders.map(({ fencing_token }) => fencing_token)).toEqual([lease.fencing_token]);
    expect(waiting.granted()).toBe(false);
    if (kind === 'hold') await resumed.renewals(1);
    expect(waiting.granted()).toBe(false);
    resumed.cancel();
    expect((await waiting.lease).owner).toBe('rival');
  });

  test('frees nothing where it was resumed at the same replica', async () => {
    const name = 'process/same';
    const { cable, address } = await cableTo(one.address);
    const old = HoldStream.acquire(address, name, { ttl });
    closing.push(() => old.cancel());
    const lease = await old.granted();
    const waiting = await rival(name);
    const resumed = await resumeBehind(cable, lease, one.address);
    cable.reset();
    await resumed.renewals(1);
    await keeps(one, 1);
    expect(waiting.granted()).toBe(false);
    resumed.cancel();
    expect((await waiting.lease).owner).toBe('rival');
  });

  test('frees nothing with the rules as they are', async () => {
    const { desk, lease, resumed, waiting } = await lateReset('rules/on', scripts);
    // Behind whatever that replica still sent, over the same connections.
    expect((await inspected(desk, 'rules/on')).holders).toHaveLength(1);
    expect(waiting.granted()).toBe(false);
    expect(resumed.ended).toBeUndefined();
    expect((await three.client.checkToken('rules/on', lease.fencing_token)).current).toBe(true);
  });

  test('loses the lease without the rule of the binding', async () => {
    const { lease, resumed, waiting } = await lateReset('rules/off', bindingIgnored);
    const next = await waiting.lease;
    expect(BigInt(next.fencing_token)).toBeGreaterThan(BigInt(lease.fencing_token));
    // While a stream stands that was promised the lock for longer.
    expect(resumed.ended).toBeUndefined();
    expect((await resumed.first('lost')).reason).toBe('LOST_REASON_RELEASED');
  });
});

test('of many streams that resume one lease at the same time one keeps it, and the ends of the others free nothing', async () => {
  const name = 'many';
  const first = HoldStream.acquire(one.address, name, { ttl });
  closing.push(() => first.cancel());
  const lease = await first.granted();
  const waiting = await rival(name);
  const streams = [one, two, three, one, two, three].map(({ address }) => HoldStream.resume(address, lease));
  closing.push(() => streams.map((stream) => stream.cancel()));
  await Promise.all(streams.map((stream) => stream.decided()));
  const standing = () => [first, ...streams].filter(({ ended }) => ended === undefined);
  await until('one stands', () => standing().length === 1);
  const [kept] = standing();
  await kept!.renewals(1);
  for (const stream of [first, ...streams]) {
    for (const { fencing_token } of stream.of('granted')) expect(fencing_token).toBe(lease.fencing_token);
    for (const lost of stream.of('lost')) expect(lost.reason).toBe('LOST_REASON_UNKNOWN');
  }
  expect(waiting.granted()).toBe(false);
  kept!.cancel();
  expect((await waiting.lease).owner).toBe('rival');
});
