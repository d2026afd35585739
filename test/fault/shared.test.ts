/** Shared leases under faults: repaired where a node missed them, kept by a majority, and never back after a release. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Lease, parseLeaseId } from '../../src/domain/lease.ts';
import type { HoldOp, RepairOp } from '../../src/nodes/node.ts';
import type { Desk } from '../harness/desk.ts';
import { linksTo } from '../harness/link.ts';
import { shutForgotten } from '../harness/shut-off.ts';
import { desksOver, Site } from '../harness/site.ts';
import { until } from '../harness/until.ts';

const mode = 'shared';
let site: Site;
let net: Awaited<ReturnType<typeof linksTo>>;
const opened: Desk[] = [];

beforeEach(async () => {
  site = await Site.open({ desks: 1 });
  net = await linksTo(site.nodes.servers);
});
afterEach(async () => {
  for (const desk of opened.splice(0)) desk.close();
  net.close();
  await site.close();
});

/** A desk whose messages go through the links. */
async function remote(): Promise<Desk> {
  const [desk] = await desksOver(net.list, 1);
  opened.push(desk!);
  return desk!;
}

const reads = (desk: Desk, owner: string): Promise<Lease> => desk.lock('set', { owner, mode, ttlMs: 30_000 });

const stateBecomes = (desk: Desk, state: RegExp): Promise<unknown> =>
  until(`node 3 is ${state}`, () => state.test(desk.states[2]!));

/** A reader that the third node has missed, though it is there again. */
async function missedByOne(): Promise<{ desk: Desk; lease: Lease }> {
  const desk = await remote();
  net.links[2]!.cut();
  const lease = await reads(desk, 'r1');
  net.links[2]!.mend();
  await stateBecomes(desk, /ready/);
  expect(await site.readers(2, 'set')).toEqual([]);
  return { desk, lease };
}

const valueIn = ({ leaseId }: Lease): string => parseLeaseId(leaseId)!.value;

/** What a heartbeat of `lease` would send to a node that lacks it. */
function repairOf(lease: Lease): RepairOp {
  const { secret, token, value, leaseRef, resources } = parseLeaseId(lease.leaseId)!;
  const card = '{"t":30000,"mode":"shared"}';
  const of = { secret, token, value, leaseRef, resources, ttlMs: 30_000, owner: lease.owner, card };
  return { kind: 'repair', ...of, binding: 0, progress: '', mode };
}

function holdOf(lease: Lease): HoldOp {
  const { binding: _, progress: __, ...op } = repairOf(lease);
  return { ...op, kind: 'hold', seen: 0n };
}

/** One operation as it arrives at the third node, whoever sent it and whenever. */
const arrives = (op: RepairOp | HoldOp, desk = site.desks[0]!) => desk.cluster.nodes[2]!.ask(op);

describe('a reader that one node missed', () => {
  test('is brought back there by its next heartbeat', async () => {
    const { desk, lease } = await missedByOne();
    expect(await desk.heartbeat(lease)).toMatchObject({ token: lease.token });
    await until('node 3 has it', async () => (await site.readers(2, 'set')).includes(valueIn(lease)));
    // Now it may lose another one.
    await site.nodes.servers[0]!.kill('SIGKILL');
    expect(await desk.heartbeat(lease)).toMatchObject({ token: lease.token, mode: 'shared' });
  });

  test('is brought back also when a later reader has raised the fence there', async () => {
    const { desk, lease } = await missedByOne();
    const later = await reads(desk, 'r2');
    await until('node 3 has the later one', async () => (await site.readers(2, 'set')).length === 1);
    expect((await site.nodes.record(2, 'set'))?.fence).toBe(Number(later.token));
    expect(await desk.heartbeat(lease)).toMatchObject({ token: lease.token });
    await until('node 3 has both', async () => (await site.readers(2, 'set')).length === 2);
    // The fence stays the later one's.
    expect((await site.nodes.record(2, 'set'))?.fence).toBe(Number(later.token));
    await site.becomes('set', { held: ['r1', 'r2'] });
  });

  test('is not brought back where a writer has been since', async () => {
    const { desk, lease } = await missedByOne();
    await site.release(lease);
    const writer = await site.lock(0, 'set', { owner: 'w1' });
    await site.release(writer);
    expect(await arrives(repairOf(lease))).toMatchObject({ kind: 'stale' });
    expect(await desk.heartbeat(lease)).toMatchObject({ reason: 'LEASE_LOST' });
    expect(await site.readers(2, 'set')).toEqual([]);
  });
});

describe('a reader is kept', () => {
  test('while a majority has it, and lost once a majority let it go', async () => {
    const [desk] = site.desks;
    const lease = await reads(desk!, 'r1');
    const { secret, token, value, resources } = parseLeaseId(lease.leaseId)!;
    const letGo = (node: number) =>
      desk!.cluster.nodes[node]!.ask({
        kind: 'release',
        ...{ secret, token, value, resources, why: 'released', reason: '', closing: true, seen: 0n },
      });
    await until('all have it', async () => (await site.readers(1, 'set')).length === 1);
    expect(await letGo(0)).toEqual({ kind: 'released', matched: true });
    // It was closed there, so no repair brings it back; two nodes are enough.
    expect(await desk!.heartbeat(lease)).toMatchObject({ token: lease.token });
    expect(await site.readers(0, 'set')).toEqual([]);
    expect(await letGo(1)).toEqual({ kind: 'released', matched: true });
    expect(await desk!.heartbeat(lease)).toMatchObject({
      reason: 'LEASE_LOST',
      metadata: { why: 'released' },
    });
  });

  test('by the others when a node is killed, and neither lost nor renewed when two are', async () => {
    const [desk] = site.desks;
    const leases = [await reads(desk!, 'r1'), await reads(desk!, 'r2')];
    await site.nodes.servers[2]!.kill('SIGKILL');
    for (const lease of leases) expect(await desk!.heartbeat(lease)).toMatchObject({ token: lease.token });
    await site.becomes('set', { held: ['r1', 'r2'] });
    expect((await site.ask(0, 'set', { owner: 'w1' }).answer).kind).toBe('busy');
    await site.nodes.servers[1]!.kill('SIGKILL');
    expect(await desk!.heartbeat(leases[0]!)).toMatchObject({ reason: 'NO_QUORUM' });
    expect(await site.readers(0, 'set')).toHaveLength(2);
  });
});

test('kill -9 of a node changes nothing for those who hold and those who wait', async () => {
  const other = await remote();
  const readers = [await reads(site.desks[0]!, 'r1'), await reads(other, 'r2')];
  const writer = site.wait(0, 'set', { owner: 'w1' });
  await site.becomes('set', { line: ['w1'] });
  const late = site.wait(0, 'set', { owner: 'r3', mode });
  await until('both stand in line', async () => (await site.shown('set')).line.length === 2);
  await site.nodes.servers[0]!.kill('SIGKILL');
  await site.becomes('set', { held: ['r1', 'r2'], line: ['w1', 'r3'] });
  await site.release(...readers);
  const wrote = await writer.lease();
  await site.becomes('set', { held: ['w1'], line: ['r3'] });
  await site.release(wrote);
  expect((await late.lease()).token).toBeGreaterThan(wrote.token);
  await site.nobodyWaits();
});

describe('a reader that was released while another one reads on', () => {
  /** Its token is below the fence, so nothing but its being SHUT keeps it out. */
  async function released(desk: Desk): Promise<Lease> {
    const lease = await reads(desk, 'r1');
    await reads(desk, 'r2');
    await until('node 3 has both', async () => (await site.readers(2, 'set')).length === 2);
    await desk.release(lease);
    await until('node 3 has let go', async () => (await site.readers(2, 'set')).length === 1);
    return lease;
  }

  test('is not brought back by a late repair, nor by a late hold', async () => {
    const lease = await released(site.desks[0]!);
    expect(await arrives(repairOf(lease))).toMatchObject({ kind: 'stale' });
    expect(await arrives(holdOf(lease))).toMatchObject({ kind: 'stale' });
    expect(await site.readers(2, 'set')).not.toContain(valueIn(lease));
    await site.becomes('set', { held: ['r2'] });
  });

  test('would be, if nodes did not remember that it was shut', async () => {
    const [desk] = await desksOver(site.nodes.list, 1, { scripts: shutForgotten });
    opened.push(desk!);
    const lease = await released(desk!);
    // A hold has to pass the fence itself, whatever else is remembered.
    expect(await arrives(holdOf(lease), desk)).toMatchObject({ kind: 'stale' });
    expect(await arrives(repairOf(lease), desk)).toEqual({ kind: 'held' });
    expect(await site.readers(2, 'set')).toContain(valueIn(lease));
  });
});

describe('a heartbeat that crosses a release', () => {
  /** The third node tells of its lack only when the release is over; answers what its late repair is answered. */
  async function crossing(desk: Desk): Promise<string> {
    net.links[2]!.cut();
    const lease = await reads(desk, 'r1');
    net.links[2]!.mend();
    await stateBecomes(desk, /ready/);
    await reads(desk, 'r2');
    await until('node 3 has the later one', async () => (await site.readers(2, 'set')).length === 1);
    const repairs = repairsAt(desk);
    net.links[2]!.hold('out');
    expect((await desk.heartbeat(lease)).kind).toBe('lease');
    await site.release(lease);
    await until('its token is shut at node 3', async () => {
      const shut = await site.nodes.run(2, 'ZSCORE', 'holdfast:b:x:set', String(lease.token));
      return shut !== null;
    });
    net.links[2]!.flow();
    await until('the repair has come', () => repairs.length > 0);
    expect((await site.readers(2, 'set')).includes(valueIn(lease))).toBe(repairs[0] === 'held');
    return repairs[0]!;
  }

  test('brings nothing back', async () => {
    expect(await crossing(await remote())).toBe('stale');
  });

  test('would, if nodes did not remember what was shut', async () => {
    const [desk] = await desksOver(net.list, 1, { scripts: shutForgotten });
    opened.push(desk!);
    expect(await crossing(desk!)).toBe('held');
  });
});

/** How the third node answers every repair from now on. */
function repairsAt(desk: Desk): string[] {
  const node = desk.cluster.nodes[2]!;
  const ask = node.ask.bind(node);
  const answers: string[] = [];
  node.ask = async (op) => {
    const answer = await ask(op);
    if (op.kind === 'repair') answers.push(answer.kind);
    return answer;
  };
  return answers;
}
