/** Nodes that answer with errors or not at all, a minority and a majority of them, under traffic; and come back. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { scripts } from '../../src/nodes/scripts.ts';
import { Desk } from '../harness/desk.ts';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped } from '../harness/replica.ts';
import { refusedWriteIsVote } from '../harness/rules-off.ts';
import { until } from '../harness/until.ts';
import { ARGS, type Fault, faults, Operator } from './node-faults.ts';
import { Traffic } from './traffic.ts';

const TTL_MS = 800;
const MAX = { HOLDFAST_MAX_TTL: `${TTL_MS}ms`, HOLDFAST_DEFAULT_TTL: `${TTL_MS}ms` };
const LEAST_GRANTS = 300;

let nodes: Nodes;
let desks: readonly Desk[];
let traffic: Traffic;
/** Two for each node. */
let operators: readonly Operator[];

beforeAll(async () => {
  nodes = await Nodes.start(3, { args: ARGS });
  await bootstrapped(nodes.list, MAX);
  operators = nodes.servers.flatMap((server) => [new Operator(server), new Operator(server)]);
  const options = { maxTtlMs: TTL_MS, nodeTimeoutMs: 250, waiting: { livenessMs: 2 * TTL_MS } };
  desks = await Promise.all([0, 1].map(() => Desk.open(nodes.list, options)));
  traffic = new Traffic(desks, { ttlMs: TTL_MS });
});
afterAll(async () => {
  await traffic.stop();
  for (const operator of operators) operator.close();
  for (const desk of desks) desk.close();
  await nodes.close();
});

async function strike(fault: Fault, which: readonly number[]): Promise<void> {
  await Promise.all(which.map((index) => fault.begin(operators[2 * index]!, operators[2 * index + 1]!)));
}

async function mend(fault: Fault, which: readonly number[]): Promise<void> {
  await Promise.all(which.map((index) => fault.end(operators[2 * index]!, operators[2 * index + 1]!)));
  await allReady();
}

async function allReady(): Promise<void> {
  await until('every node votes at both desks', () =>
    desks.every(({ states }) => states.every((state) => state === 'ready')),
  );
}

async function told(which: readonly number[], detail: RegExp | undefined): Promise<void> {
  if (detail === undefined) return;
  await until(`Status says ${detail} of ${which}`, () =>
    desks.every((desk) => {
      const status = desk.cluster.status().nodes;
      return which.every((index) => status[index]!.state !== 'ready' && detail.test(status[index]!.detail));
    }),
  );
}

test.each(faults)(
  'one node that %s changes nothing for callers, and votes again afterwards',
  async (name, fault) => {
    const which = [faults.findIndex(([other]) => other === name) % 3];
    await traffic.fault(name, `n${which[0]! + 1}`, async () => {
      await strike(fault, which);
      await traffic.goesOn(3, `grants, renewals and releases go on while a node ${name}`);
      await told(which, fault.told);
      await mend(fault, which);
    });
    await traffic.goesOn(1);
  },
);

/** With its first write behind it a script may go on, memory or not: a vote that comes along with a release counts. */
const certain = faults.filter(([name]) => !name.includes('OOM'));

test.each(certain)(
  'two nodes of which each %s: NO_QUORUM, nothing is granted, nothing stays',
  async (name, fault) => {
    const first = faults.findIndex(([other]) => other === name) % 3;
    const which = [first, (first + 1) % 3];
    const fresh = `fresh/${first}`;
    await traffic.fault(name, which.map((index) => `n${index + 1}`).join(), async () => {
      await strike(fault, which);
      const struckMs = performance.now();
      const answers = await Promise.all(desks.map((desk) => desk.acquire(fresh)));
      expect(answers).toEqual(Array(2).fill(expect.objectContaining({ reason: 'NO_QUORUM' })));
      await told(which, fault.told);
      expect(traffic.grantsSince(struckMs)).toBe(0);
      await mend(fault, which);
    });
    await nodes.free(fresh);
    await traffic.servesAll();
  },
);

test.each([0.1, 3])('a node that sleeps for %d ttl (DEBUG SLEEP) is not waited for', async (ttls) => {
  const by = operators[2]!;
  await traffic.fault('sleep', 'n2', async () => {
    by.begin('DEBUG', 'SLEEP', (ttls * TTL_MS) / 1000);
    await traffic.goesOn(2);
    await by.ended();
    await allReady();
  });
});

test('connections that every node cuts at once (CLIENT KILL) are made anew, again and again', async () => {
  for (let round = 0; round < 2; round += 1) {
    await traffic.fault('client kill', 'all', async () => {
      const kill = (type: string) =>
        [0, 2, 4].map((at) => operators[at]!.run('CLIENT', 'KILL', 'TYPE', type));
      const killed = await Promise.all([...kill('normal'), ...kill('pubsub')]);
      expect(killed.map(Number).every((count) => count >= 2)).toBe(true);
      await allReady();
      await traffic.servesAll();
    });
  }
});

test('scripts that every node forgets (SCRIPT FLUSH) come again with the next votes: no call fails', async () => {
  const sinceMs = performance.now();
  for (let round = 0; round < 5; round += 1) {
    await traffic.fault('script flush', 'all', async () => {
      await Promise.all(operators.map((by) => by.run('SCRIPT', 'FLUSH')));
      await traffic.goesOn(1);
    });
  }
  expect(traffic.doubtsSince(sinceMs)).toEqual([]);
});

test('while no node has memory left, leases are still released', async () => {
  await traffic.fault('memory full', 'all', async () => {
    for (const by of operators) await by.run('CONFIG', 'SET', 'maxmemory', 1);
    const sinceMs = performance.now();
    await until('somebody could let go', () =>
      traffic.entries.some(
        (entry) => entry.kind === 'release' && entry.outcome === 'released' && entry.calledMs > sinceMs,
      ),
    );
    for (const by of operators) await by.run('CONFIG', 'SET', 'maxmemory', 0);
    await allReady();
    await traffic.servesAll();
  });
});

describe('callers of one lock at nodes of which none has memory left', () => {
  /** How many are granted it. */
  async function granted(name: string, using: typeof scripts): Promise<number> {
    // A record stands: what the nodes refuse is the write of the vote itself.
    await desks[0]!.release(await desks[0]!.lock(name));
    await nodes.free(name);
    const options = { maxTtlMs: TTL_MS, scripts: using };
    const callers = await Promise.all([0, 1].map(() => Desk.open(nodes.list, options)));
    for (const by of operators) await by.run('CONFIG', 'SET', 'maxmemory', 1);
    try {
      const ask = { ttlMs: TTL_MS };
      const answers = await Promise.all(callers.map((desk) => desk.acquire(name, ask)));
      return answers.filter(({ kind }) => kind === 'lease').length;
    } finally {
      for (const by of operators) await by.run('CONFIG', 'SET', 'maxmemory', 0);
      for (const desk of callers) desk.close();
    }
  }

  test('are granted nothing', async () => {
    expect(await granted('full/on', scripts)).toBe(0);
  });

  test('both have it where a refused write counts as a vote', async () => {
    expect(await granted('full/off', refusedWriteIsVote)).toBe(2);
  });
});

test('and all the while nobody overlapped, tokens grew, and nothing was left behind', async () => {
  await traffic.healed();
  await traffic.stop(LEAST_GRANTS);
  await traffic.rest(nodes);
  traffic.expectSound(LEAST_GRANTS);
});
