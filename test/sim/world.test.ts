/** The simulated world as a whole: what one plan does it does again, and each kind of fault leaves its mark on it. */
import { describe, expect, test } from 'vitest';
import type { Entry } from '../harness/history/history.ts';
import type { ClientPlan, Fault, Habits, Plan } from './plan.ts';
import { play } from './world/play.ts';

const habits: Habits = {
  manner: 'calls',
  ttlMs: [500, 800],
  waitMs: [500, 2000],
  holdMs: [10, 200],
  idleMs: [1, 30],
  shared: 0,
  gang: 0,
  any: 0,
  priority: [0, 0],
  repeats: 0,
  cancels: 0,
  dies: 0,
  forgets: 0,
  looks: 0,
  forces: 0,
};

function planWith(
  faults: readonly Fault[],
  changes: Partial<Plan> = {},
  manners: Partial<Habits> = {},
): Plan {
  const clients = Array.from(
    { length: 4 },
    (_, index): ClientPlan => ({
      name: `c${index}`,
      seed: 100 + index,
      replica: index % 2,
      habits: { ...habits, manner: index < 2 ? 'calls' : 'stream', ...manners },
    }),
  );
  return {
    seed: 7,
    nodes: 3,
    replicas: 2,
    clients,
    resources: ['r0', 'r1'],
    longestTtlMs: 800,
    nodeTimeoutMs: 60,
    livenessMs: 1000,
    delayMs: [0.5, 5],
    faults,
    healMs: 6000,
    endMs: 8000,
    ...changes,
  };
}

type Kind<K extends Entry['kind']> = Extract<Entry, { kind: K }>;

const of = <K extends Entry['kind']>(history: readonly Entry[], kind: K): Kind<K>[] =>
  history.filter((entry): entry is Kind<K> => entry.kind === kind);

const grantsBetween = (history: readonly Entry[], fromMs: number, untilMs: number): number =>
  of(history, 'acquire').filter(
    ({ outcome, calledMs, answeredMs }) =>
      outcome === 'granted' && calledMs >= fromMs && (answeredMs ?? Infinity) <= untilMs,
  ).length;

const text = (history: readonly Entry[]): string =>
  JSON.stringify(history, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value));

const crash = (node: number, memory: 'durable' | 'tail' | 'empty'): Fault => ({
  kind: 'crash',
  atMs: 2000,
  untilMs: 4000,
  node,
  memory,
  lostMs: 300,
});

describe('a plan', () => {
  test('without faults is served at once, all of it', async () => {
    const { history, crash: defect, messages, clientSeconds, simulatedMs } = await play(planWith([]));
    expect(defect).toBeUndefined();
    expect(grantsBetween(history, 0, 8000)).toBeGreaterThan(50);
    expect(messages).toBeGreaterThan(1000);
    expect(clientSeconds).toBeLessThanOrEqual((4 * simulatedMs) / 1000);
    expect(of(history, 'acquire').filter(({ outcome }) => outcome === 'unknown')).toEqual([]);
    expect(of(history, 'renew').some(({ outcome }) => outcome === 'renewed')).toBe(true);
    expect(of(history, 'rest')).toMatchObject([
      { resource: 'r0', leaseRefs: [], waiters: [] },
      { resource: 'r1', leaseRefs: [], waiters: [] },
    ]);
  });

  test('does again what it did, and another seed does something else', async () => {
    const faults: Fault[] = [
      { kind: 'loss', atMs: 500, untilMs: 5000, direction: 'both', share: 0.1 },
      { kind: 'pause', atMs: 1000, untilMs: 1800, who: 'client', index: 0 },
      { kind: 'kill', atMs: 2500, untilMs: 3000, replica: 1 },
      crash(2, 'tail'),
    ];
    const plan = planWith(
      faults,
      {},
      { repeats: 0.3, cancels: 0.2, dies: 0.05, looks: 0.3, shared: 0.3, gang: 0.3 },
    );
    const first = await play(plan);
    const again = await play(plan);
    const other = await play({ ...plan, seed: 8 });
    expect(first.crash).toBeUndefined();
    expect(text(again.history)).toBe(text(first.history));
    expect(text(other.history)).not.toBe(text(first.history));
  });
});

describe('a fault', () => {
  test('of a majority stops the service until it is over, and is told', async () => {
    const { history, crash: defect } = await play(planWith([crash(0, 'durable'), crash(1, 'durable')]));
    expect(defect).toBeUndefined();
    expect(grantsBetween(history, 0, 2000)).toBeGreaterThan(0);
    expect(grantsBetween(history, 2100, 3950)).toBe(0);
    expect(grantsBetween(history, 4000, 6000)).toBeGreaterThan(0);
    expect(of(history, 'fault').map(({ name }) => name)).toEqual(['crash', 'crash']);
    expect(of(history, 'acquire').some(({ reason }) => reason === 'NO_QUORUM')).toBe(true);
  });

  test('of memory keeps nodes from voting for a longest ttl, where durable ones vote at once', async () => {
    const emptied = await play(planWith([crash(0, 'durable'), crash(1, 'empty')]));
    const kept = await play(planWith([crash(0, 'durable'), crash(1, 'durable'), crash(2, 'durable')]));
    const tails = await play(planWith([crash(0, 'tail'), crash(1, 'tail')]));
    const soon = [emptied, kept, tails].map(({ history }) => grantsBetween(history, 4000, 4700));
    // With one of three in quarantine the other two vote; with two there is no majority.
    expect(soon[0]).toBeGreaterThan(0);
    expect(soon[1]).toBeGreaterThan(0);
    expect(soon[2]).toBe(0);
    expect(grantsBetween(tails.history, 4700, 17_000)).toBeGreaterThan(0);
  });

  test('of a client that stands still ends its belief in time, and the unfenced register shows why', async () => {
    const pauses = [1000, 3000].flatMap((atMs) =>
      [0, 1, 2, 3].map(
        (index): Fault => ({
          kind: 'pause',
          atMs: atMs + 130 * index,
          untilMs: atMs + 1800,
          who: 'client',
          index,
        }),
      ),
    );
    const { history } = await play(planWith(pauses, { resources: ['r0'] }, { holdMs: [100, 600] }));
    const held = of(history, 'held');
    expect(held.some(({ end }) => end === 'expired')).toBe(true);
    for (const { fromMs, untilMs } of held) expect(untilMs - fromMs).toBeLessThan(5000);
    const stale = of(history, 'write').filter(({ outcome }) => outcome === 'stale');
    expect(stale.length).toBeGreaterThan(0);
    expect(new Set(stale.map(({ register }) => register))).toEqual(new Set(['fenced']));
  });

  test('of the network between a client and its replica leaves its calls unknown, and its stream broken', async () => {
    const cut: Fault = {
      kind: 'cut',
      atMs: 2000,
      untilMs: 5000,
      client: 2,
      direction: 'both',
      manner: 'drop',
    };
    const { history } = await play(planWith([cut]));
    const mine = history.filter((entry) => 'client' in entry && entry.client === 'c2');
    expect(grantsBetween(mine, 2010, 5000)).toBe(0);
    expect(grantsBetween(mine, 5000, 8000)).toBeGreaterThan(0);
    expect(of(mine, 'acquire').some(({ outcome }) => outcome === 'unknown')).toBe(true);
  });

  test('of a replica: a killed one breaks calls, a drained one sends them elsewhere, a paused one is late', async () => {
    const killed = await play(planWith([{ kind: 'kill', atMs: 2000, untilMs: 4000, replica: 0 }]));
    expect(of(killed.history, 'acquire').some(({ reason }) => reason === 'unavailable')).toBe(true);
    const drained = await play(planWith([{ kind: 'drain', atMs: 2000, untilMs: 4000, replica: 0 }]));
    expect(of(drained.history, 'acquire').some(({ reason }) => reason === 'DRAINING')).toBe(true);
    const pause: Fault = { kind: 'pause', atMs: 2000, untilMs: 2700, who: 'replica', index: 0 };
    const paused = await play(planWith([pause], {}, { manner: 'calls', waitMs: [0, 0] }));
    const spanning = of(paused.history, 'acquire').filter(
      ({ calledMs, answeredMs }) => calledMs < 2600 && calledMs > 1990 && (answeredMs ?? 0) >= 2700,
    );
    expect(spanning.length).toBeGreaterThan(0);
    for (const { crash: defect } of [killed, drained, paused]) expect(defect).toBeUndefined();
  });

  test('of duplicates: a request comes twice, and only one answer is read', async () => {
    const twice: Fault = {
      kind: 'duplicate',
      atMs: 0,
      untilMs: 6000,
      client: 0,
      direction: 'in',
      share: 1,
      ms: [1, 20],
    };
    const plain = await play(planWith([]));
    const doubled = await play(planWith([twice]));
    expect(doubled.crash).toBeUndefined();
    const gone = of(doubled.history, 'release').filter(({ outcome }) => outcome === 'gone');
    expect(doubled.messages / of(doubled.history, 'acquire').length).toBeGreaterThan(
      plain.messages / of(plain.history, 'acquire').length,
    );
    expect(of(doubled.history, 'release').length - gone.length).toBeGreaterThan(0);
  });

  test('an adoption hands the nodes over, and whoever asks is served under the new ttl', async () => {
    const adoption = { atMs: 2000, untilMs: 2500, longestTtlMs: 1200 };
    const { history, crash: defect } = await play(planWith([], { adoption }));
    expect(defect).toBeUndefined();
    expect(grantsBetween(history, 2000, 3600)).toBe(0);
    expect(grantsBetween(history, 3600, 8000)).toBeGreaterThan(0);
  });
});

describe('half a vote of a replica that died', () => {
  const ask = {
    resources: ['r0'],
    owner: 'a',
    ttlMs: 30_000,
    waitMs: 0,
    mode: 'exclusive',
    any: 0,
    priority: 0,
    requestId: '',
    labels: {},
  } as const;
  const caller = { principal: '', gone: () => false, whenGone: () => () => {} };
  const unheard = [1, 2].map(
    (node): Fault => ({
      kind: 'cut',
      atMs: 900,
      untilMs: 1100,
      replica: 0,
      node,
      direction: 'in',
      manner: 'drop',
    }),
  );
  const plan = planWith([...unheard, { kind: 'kill', atMs: 1040, untilMs: 1200, replica: 0 }], {
    clients: [],
    longestTtlMs: 30_000,
  });

  async function holdersAt(momentsMs: readonly number[], mends?: Plan['mends']): Promise<boolean[]> {
    const held: boolean[] = [];
    const played = await play({ ...plan, ...(mends && { mends }) }, (world) => {
      const { timeline, replicas, nodes } = world;
      timeline.at(1000, () => void replicas[0]!.door!.locks.acquire(ask, caller));
      for (const atMs of momentsMs)
        timeline.at(atMs, () => {
          const views = nodes.map((node, index) => node.look('r0', world.stamp(index)));
          held.push(views.some((view) => view?.holder !== undefined));
        });
    });
    expect(played.crash).toBeUndefined();
    return held;
  }

  test('stays until its time is over, unless somebody mends', async () => {
    const momentsMs = [1500, 5000, 25_000];
    expect(await holdersAt(momentsMs)).toEqual([true, true, true]);
    const mends = { everyMs: [100, 300], minAgeMs: 1000 } as const;
    expect(await holdersAt(momentsMs, mends)).toEqual([true, false, false]);
  });
});
