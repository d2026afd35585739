/** What admission does with a node, one scenario a line. */
import { describe, expect, test } from 'vitest';
import type { Meta, NodeFacts, Quarantine } from '../../../src/nodes/admin.ts';
import { SCHEMA } from '../../../src/nodes/node.ts';
import { decide, factsFault, metaFault, quarantineMs, type Sight } from '../../../src/nodes/quarantine.ts';

const LONGEST = 10_000;
const SKEW = 500;
const LEAD = 1000;
const W = quarantineMs(LONGEST);
const CLOCKS = 2 * W + 2 * SKEW + LEAD;

const identity = { nodeId: 'n', cluster: 'c', longestTtlMs: LONGEST };
const facts: NodeFacts = {
  runId: 'now',
  role: 'master',
  clusterEnabled: false,
  maxmemoryPolicy: 'noeviction',
  durable: true,
  version: '7.0.15',
};
const meta = (runId: string, more: Partial<Meta> = {}): Meta => ({
  schema: SCHEMA,
  nodeId: 'n',
  cluster: 'c',
  runId,
  durable: false,
  longestTtlMs: LONGEST,
  floor: 0n,
  suspectUntil: 0,
  ...more,
});
const quarantine = (runId: string, more: Partial<Quarantine> = {}): Quarantine => ({
  id: 'q',
  runId,
  cluster: 'c',
  why: 'why',
  adopted: false,
  longestTtlMs: LONGEST,
  ...more,
});

const metas: Record<string, Meta | undefined> = {
  none: undefined,
  now: meta('now'),
  old: meta('old'),
  'now!': meta('now', { durable: true }),
  'old!': meta('old', { durable: true }),
};
const quarantines: Record<string, Quarantine | undefined> = {
  none: undefined,
  now: quarantine('now'),
  old: quarantine('old'),
  'now@': quarantine('now', { cluster: 'other' }),
  'now*@': quarantine('now', { cluster: 'other', adopted: true }),
  'now*': quarantine('now', { adopted: true }),
  'now+': quarantine('now', { longestTtlMs: 3 * LONGEST }),
  'now-': quarantine('now', { longestTtlMs: 1 }),
};

function step(metaName: string, quarantineName: string, elapsedMs: number, peers: string): string {
  const [ready, needed] = peers.split('/').map(Number) as [number, number];
  const sight: Sight = {
    facts,
    ...(metas[metaName] === undefined ? {} : { meta: metas[metaName] }),
    ...(quarantines[quarantineName] === undefined ? {} : { quarantine: quarantines[quarantineName] }),
    quarantinedForMs: elapsedMs,
    readyPeers: ready,
    peersNeeded: needed,
    clockSkewMs: SKEW,
  };
  const taken = decide(identity, sight);
  switch (taken.kind) {
    case 'wait':
      return `wait ${Math.round(taken.leftMs * 1000) / 1000}`;
    case 'rejoin':
      return `rejoin ${taken.floor}`;
    case 'inherit':
      return `inherit ${taken.previousRunId}`;
    default:
      return taken.kind;
  }
}

describe('decide', () => {
  // Meta and quarantine: of this run (now) or the one before (old); `!` durable, `*` adopted, `+` longer, `-` shorter ttl,
  // `@` of another cluster.
  test.each([
    ['now', 'none', 0, '2/2', 'ready'],
    ['now', 'now', 0, '0/2', 'ready'],
    ['now', 'old', 0, '0/2', 'ready'],
    ['now!', 'none', 0, '0/2', 'ready'],
    ['old!', 'none', 0, '0/2', 'inherit old'],
    ['old!', 'now', W * 9, '2/2', 'inherit old'],
    ['none', 'none', 0, '2/2', 'quarantine'],
    ['none', 'none', W * 9, '2/2', 'quarantine'],
    ['none', 'old', W * 9, '2/2', 'quarantine'],
    ['old', 'none', W * 9, '2/2', 'quarantine'],
    ['old', 'old', W * 9, '2/2', 'quarantine'],
    ['none', 'now', 0, '2/2', `wait ${W}`],
    ['none', 'now', 1, '2/2', `wait ${W - 1}`],
    ['none', 'now', W - 0.001, '2/2', 'wait 0.001'],
    ['none', 'now', W, '2/2', 'wait 0'],
    ['none', 'now', W + 0.001, '2/2', 'rejoin fences'],
    ['old', 'now', W + 0.001, '2/2', 'rejoin fences'],
    ['none', 'now', W + 0.001, '3/2', 'rejoin fences'],
    ['none', 'now', W + 0.001, '3/3', 'rejoin fences'],
    ['none', 'now', W + 1, '1/2', `wait ${CLOCKS - W - 1}`],
    ['none', 'now', W + 1, '2/3', `wait ${CLOCKS - W - 1}`],
    ['none', 'now', 2 * W, '0/2', `wait ${2 * SKEW + LEAD}`],
    ['none', 'now', CLOCKS, '1/2', 'wait 0'],
    ['none', 'now', CLOCKS + 0.001, '1/2', 'rejoin clocks'],
    ['none', 'now', CLOCKS + 0.001, '0/2', 'rejoin clocks'],
    ['none', 'now', CLOCKS + 0.001, '2/2', 'rejoin fences'],
    ['none', 'now@', CLOCKS * 2, '2/2', 'refuse'],
    ['old', 'now*@', CLOCKS * 2, '2/2', 'refuse'],
    ['now', 'now@', 0, '2/2', 'ready'],
    ['none', 'now*', 0, '0/2', `wait ${W}`],
    ['none', 'now*', W, '0/2', 'wait 0'],
    ['none', 'now*', W + 0.001, '0/2', 'rejoin adopted'],
    ['none', 'now+', W + 1, '2/2', `wait ${3 * W - W - 1}`],
    ['none', 'now+', 3 * W + 0.001, '2/2', 'rejoin fences'],
    ['none', 'now-', W, '2/2', 'wait 0'],
    ['none', 'now-', W + 0.001, '2/2', 'rejoin fences'],
  ])(
    'meta %s, quarantine %s for %d ms, peers %s: %s',
    (metaName, quarantineName, elapsedMs, peers, expected) => {
      expect(step(metaName, quarantineName, elapsedMs, peers)).toBe(expected);
    },
  );

  test('never lets a forgetful node vote before every lease that it may have forgotten is over', () => {
    const wrong: string[] = [];
    for (const metaName of ['none', 'old']) {
      for (const quarantineName of Object.keys(quarantines)) {
        for (const elapsedMs of [0, LONGEST, W]) {
          for (const peers of ['0/2', '1/2', '2/2', '4/3']) {
            const taken = step(metaName, quarantineName, elapsedMs, peers);
            if (/^(ready|rejoin|inherit)/.test(taken))
              wrong.push(`${metaName} ${quarantineName} ${elapsedMs}: ${taken}`);
          }
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  test('believes no durable meta at a run that is not durable itself: it has read something older', () => {
    const sight = { quarantinedForMs: 0, readyPeers: 2, peersNeeded: 2, clockSkewMs: SKEW };
    const taken = decide(identity, { ...sight, facts: { ...facts, durable: false }, meta: metas['old!']! });
    expect(taken.kind).toBe('quarantine');
  });

  test('W is longer than the longest ttl by what clocks may drift', () => {
    expect(quarantineMs(60_000)).toBe(60_600);
    expect(W).toBeGreaterThan(LONGEST);
  });
});

describe('refusals', () => {
  const sight = (more: Partial<NodeFacts>, known: Meta | undefined = metas.now): Sight => ({
    facts: { ...facts, ...more },
    ...(known === undefined ? {} : { meta: known }),
    quarantinedForMs: CLOCKS * 2,
    readyPeers: 4,
    peersNeeded: 2,
    clockSkewMs: SKEW,
  });

  test.each([
    [{ role: 'slave' }, /not a primary/],
    [{ role: 'sentinel' }, /not a primary/],
    [{ role: '' }, /not a primary/],
    [{ clusterEnabled: true }, /Cluster/],
    [{ maxmemoryPolicy: 'allkeys-lru' }, /allkeys-lru.*noeviction/],
    [{ maxmemoryPolicy: '' }, /noeviction/],
  ])('a process that says %o is no voter, even with a meta of its own', (more, why) => {
    expect(factsFault({ ...facts, ...more })).toMatch(why);
    for (const known of [metas.now, metas['old!'], undefined]) {
      expect(decide(identity, sight(more, known))).toMatchObject({
        kind: 'refuse',
        detail: expect.stringMatching(why),
      });
    }
  });

  test.each([
    [{ schema: SCHEMA + 1 }, /newer release/],
    [{ schema: SCHEMA - 1 }, /older/],
    [{ cluster: 'other' }, /belongs to cluster other/],
    [{ cluster: 'c.retired' }, /belongs to cluster/],
    [{ nodeId: 'other' }, /is node other, listed here as n/],
    [{ longestTtlMs: LONGEST + 1 }, /longest ttl is 10001 ms/],
    [{ longestTtlMs: LONGEST - 1 }, /longest ttl is 9999 ms/],
  ])('a meta with %o belongs to somebody else, in this run or another', (more, why) => {
    for (const runId of ['now', 'old']) {
      const other = meta(runId, more);
      expect(metaFault(identity, other)).toMatch(why);
      expect(decide(identity, sight({}, other)).kind).toBe('refuse');
    }
  });

  test('a fit process with our meta has no fault', () => {
    expect(factsFault(facts)).toBeUndefined();
    expect(metaFault(identity, meta('now', { floor: 9n, suspectUntil: 9, durable: true }))).toBeUndefined();
  });
});
