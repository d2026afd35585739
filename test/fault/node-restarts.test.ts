/** Nodes that are killed and come back, in turn or all at once, with all, some or none of their memory, under traffic. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { Desk } from '../harness/desk.ts';
import type { Rule } from '../harness/history/history.ts';
import { Nodes } from '../harness/nodes.ts';
import { Preload } from '../harness/preload.ts';
import { bootstrapped } from '../harness/replica.ts';
import { until } from '../harness/until.ts';
import { Traffic } from './traffic.ts';

/** Short, for a quarantine takes one of them. */
const TTL_MS = 600;
const MAX = { HOLDFAST_MAX_TTL: `${TTL_MS}ms`, HOLDFAST_DEFAULT_TTL: `${TTL_MS}ms` };
const LEAST_GRANTS = 40;
/** Without its guard a fault is repeated until it shows. */
const ROUNDS = 15;

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** What a node that is killed still has when it comes back. */
type Way =
  /** It flushes before it answers: all. */
  | 'durable'
  /** Its disk is slow: what it acknowledged last is not in its file. */
  | 'cut'
  | 'empty'
  /** Its process lives on: FLUSHDB. */
  | 'flushed';

interface Stage {
  readonly nodes: Nodes;
  readonly desks: readonly Desk[];
  readonly traffic: Traffic;
  readonly disk: Preload;
}

async function open(appendfsync: 'always' | 'everysec', quarantineOff = false): Promise<Stage> {
  const disk = Preload.slowSync();
  closing.push(() => disk.close());
  const args = ['--appendonly', 'yes', '--appendfsync', appendfsync];
  const nodes = await Nodes.start(3, { args, env: disk.env });
  closing.push(() => nodes.close());
  await bootstrapped(nodes.list, MAX);
  const waiting = { livenessMs: 3 * TTL_MS };
  const desks = await Promise.all(
    [0, 1].map(() => Desk.open(nodes.list, { maxTtlMs: TTL_MS, nodeTimeoutMs: 300, quarantineOff, waiting })),
  );
  closing.push(() => {
    for (const desk of desks) desk.close();
  });
  const traffic = new Traffic(desks, { ttlMs: TTL_MS });
  closing.push(() => traffic.stop());
  await traffic.goesOn(2);
  return { nodes, desks, traffic, disk };
}

/** Kills these nodes at one moment and starts them again. */
async function die({ nodes, disk, traffic }: Stage, which: readonly number[], way: Way): Promise<void> {
  const servers = which.map((index) => nodes.servers[index]!);
  if (way === 'cut') {
    disk.set(1);
    await Promise.all(which.map((at) => until('a lease is not in the file', () => isAhead(nodes, at))));
  }
  if (way === 'flushed') {
    await traffic.fault(way, String(which), () => Promise.all(which.map((at) => nodes.run(at, 'FLUSHDB'))));
    return;
  }
  await traffic.fault(`killed, ${way}`, which.map((at) => `n${at + 1}`).join(), async () => {
    await Promise.all(servers.map((server) => server.kill('SIGKILL')));
    disk.set(0);
    await Promise.all(servers.map((server) => server.restart({ empty: way === 'empty' })));
  });
}

/** The node holds a lease of which its file knows nothing. */
async function isAhead(nodes: Nodes, index: number): Promise<boolean> {
  const folder = join(nodes.servers[index]!.directory, 'appendonlydir');
  const value = await nodes.holder(index, 'kept');
  if (value === '') return false;
  return !readdirSync(folder).some((name) => readFileSync(join(folder, name), 'latin1').includes(value));
}

async function become(state: string, desks: readonly Desk[], which: readonly number[]): Promise<void> {
  await until(`${which} become ${state}`, () =>
    desks.every(({ states }) => which.every((index) => states[index] === state)),
  );
}

function floorsOf(desks: readonly Desk[]): string[] {
  return desks.flatMap((desk) => desk.cluster.status().nodes.map(({ floor }) => floor));
}

async function endSoundly({ nodes, traffic }: Stage): Promise<void> {
  await traffic.healed();
  await traffic.stop(LEAST_GRANTS);
  await traffic.rest(nodes);
  traffic.expectSound(LEAST_GRANTS);
}

const ALL = [0, 1, 2];

test('nodes that flush every write, killed in turn and then all at once, vote at once: no overlap, tokens grow', async () => {
  const stage = await open('always');
  const { desks, traffic } = stage;
  for (const which of [[0], [1], [2], ALL]) {
    await die(stage, which, 'durable');
    await become('ready', desks, ALL);
    await traffic.goesOn(2);
  }
  expect(floorsOf(desks)).not.toContain('clocks');
  await endSoundly(stage);
});

test('nodes that lose some or all of their memory, each after the last one votes again: no overlap, tokens grow', async () => {
  const stage = await open('everysec');
  const { desks, traffic } = stage;
  for (const [index, way] of [
    [0, 'cut'],
    [1, 'empty'],
    [2, 'flushed'],
  ] as const) {
    await die(stage, [index], way);
    await become('quarantined', desks, [index]);
    await traffic.goesOn(2, 'the others serve meanwhile');
    await become('ready', desks, ALL);
  }
  expect(floorsOf(desks)).not.toContain('clocks');
  await endSoundly(stage);
});

test.each(['cut', 'empty'] as const)(
  'all nodes at once (%s): no overlap, and tokens grow by the clocks, as Status says',
  async (way) => {
    const stage = await open('everysec');
    const { desks, traffic } = stage;
    await die(stage, ALL, way);
    await become('quarantined', desks, ALL);
    const sinceMs = performance.now();
    await become('ready', desks, ALL);
    expect(traffic.grants.filter(({ answeredMs = 0 }) => answeredMs < sinceMs + TTL_MS / 2).length).toBe(
      traffic.grants.filter(({ answeredMs = 0 }) => answeredMs < sinceMs).length,
    );
    expect(floorsOf(desks)).toContain('clocks');
    await endSoundly(stage);
  },
);

describe('without the quarantine two hold one lock at the same time', () => {
  test.each([
    ['when nodes are emptied one soon after the other', 'empty', [[0], [1], [2]]],
    ['when all are emptied at once', 'empty', [ALL]],
  ] as [string, Way, number[][]][])('%s', async (_, way, turns) => {
    const stage = await open('everysec', true);
    const { traffic } = stage;
    let found: Rule[] = [];
    for (let round = 0; round < ROUNDS && !found.includes('overlap'); round += 1) {
      for (const which of turns) await die(stage, which, way);
      await traffic.goesOn(2);
      found = traffic.broken(1);
    }
    expect(found).toContain('overlap');
  });
});
