/** What counts as a pass: nothing broken, enough traffic, teeth; and the one overlap that G1 excepts. */
import { describe, expect, test } from 'vitest';
import type { Entry, Held, Rule, Violation } from '../harness/history/history.ts';
import { excused } from './excused.ts';
import { planOf } from './generate.ts';
import { judge, type Verdict } from './judge.ts';
import { parse } from './options.ts';
import type { Fault, Plan } from './plan.ts';
import { windowsOf } from './stable.ts';
import { faultsOf, sumOf, tableOf } from './sums.ts';
import { traceOf } from './trace.ts';
import type { Mended } from './world/mender.ts';

const plan: Plan = { ...planOf(1), longestTtlMs: 1000, nodeTimeoutMs: 100, delayMs: [1, 2], faults: [] };

const held = (client: string, token: bigint, fromMs: number, untilMs: number): Held => ({
  kind: 'held',
  client,
  owner: client,
  leaseRef: `${client}-${token}`,
  token,
  resources: ['r0'],
  mode: 'exclusive',
  fromMs,
  untilMs,
  end: 'expired',
});

const violation = (rule: Rule, ...entries: readonly Entry[]): Violation => ({
  rule,
  resource: 'r0',
  atMs: 0,
  detail: '',
  entries,
});

describe('the overlap that G1 excepts', () => {
  const jump = (atMs: number, ms: number, who: 'node' | 'replica' = 'node'): Plan => ({
    ...plan,
    faults: [{ kind: 'step', atMs, who, index: 0, ms }],
  });
  const both = violation('overlap', held('a', 1n, 5000, 6000), held('b', 2n, 5600, 6600));

  test('is one of a lease from before a forward jump of a node, while that was still promised', () => {
    expect(excused(jump(5500, 2000), both)).toBe(true);
  });

  test.each([
    ['no clock jumped', plan],
    ['a clock jumped back', jump(5500, -2000)],
    ['a replica is no voter', jump(5500, 2000, 'replica')],
    ['it jumped before both', jump(4000, 2000)],
    ['it jumped after both had begun', jump(5700, 2000)],
  ])('is no other: %s', (_, other) => {
    expect(excused(other, both)).toBe(false);
  });

  test('never lasts beyond one ttl, and never excuses a token', () => {
    const late = violation('overlap', held('a', 1n, 5000, 9000), held('b', 2n, 7000, 8000));
    expect(excused(jump(5500, 2000), late)).toBe(false);
    expect(excused(jump(5500, 2000), { ...both, rule: 'token' })).toBe(false);
  });
});

test('order is judged between the faults, and only once their traces are gone', () => {
  const faults: Fault[] = [
    { kind: 'rate', atMs: 0, untilMs: 20_000, who: 'node', index: 0, rate: 1.001 },
    { kind: 'cut', atMs: 2000, untilMs: 2500, direction: 'both', manner: 'drop' },
    { kind: 'flush', atMs: 3000, node: 0 },
  ];
  const windows = windowsOf({ ...plan, faults, livenessMs: 1000, healMs: 20_000, endMs: 30_000 });
  expect(windows.length).toBe(2);
  expect(windows[0]).toEqual({ fromMs: 0, untilMs: 2000 });
  expect(windows[1]?.untilMs).toBe(30_000);
  expect(windows[1]?.fromMs).toBeGreaterThan(5000);
});

const busy = (count: number): Entry[] =>
  Array.from({ length: count }, (_, index): Entry => {
    const grant = { leaseRef: `l${index}`, token: BigInt(index + 1), resources: ['r0'], replayed: false };
    const asked = {
      client: 'a',
      owner: 'a',
      resources: ['r0'],
      mode: 'exclusive',
      any: 0,
      priority: 0,
    } as const;
    const [calledMs, answeredMs] = [10 * index, 10 * index + 5];
    return {
      kind: 'acquire',
      ...asked,
      requestId: '',
      waits: false,
      calledMs,
      answeredMs,
      outcome: 'granted',
      grant,
    };
  });

const played =
  (history: Entry[], crash?: Error, mended: Mended[] = []) =>
  () =>
    Promise.resolve({
      history,
      mended,
      simulatedMs: 60_000,
      clientSeconds: 600,
      messages: 1,
      ...(crash === undefined ? {} : { crash }),
    });

describe('a verdict', () => {
  test('a run with much traffic that breaks nothing is a pass', async () => {
    const { verdict } = await judge(plan, played(busy(400)));
    expect(verdict).toMatchObject({ valid: true, broken: [], seed: 1 });
    expect(verdict.tally.granted).toBe(400);
  });

  test('a run in which nothing happens is not valid, however little it broke', async () => {
    const { verdict } = await judge(plan, played([]));
    expect(verdict).toMatchObject({ valid: false, broken: [] });
    expect(faultsOf(sumOf([verdict])).join()).toMatch(/too little traffic/);
    expect(faultsOf(sumOf([])).join()).toMatch(/no seed/);
  });

  test('what was broken, what threw, and what only the fault explains', async () => {
    const history = [...busy(400), held('a', 1n, 5000, 6000), held('b', 2n, 5600, 6600)];
    const { verdict } = await judge(plan, played(history, new Error('assertion failed: x')));
    expect(verdict.broken.map(({ rule }) => rule)).toEqual(['overlap', 'crash']);
    const jumped: Plan = { ...plan, faults: [{ kind: 'step', atMs: 5500, who: 'node', index: 0, ms: 9000 }] };
    const forgiven = await judge(jumped, played(history));
    expect(forgiven.verdict).toMatchObject({ broken: [], excused: 1 });
  });

  test('what a mender ended while somebody relied on it, unless that was taken by force', async () => {
    const history = [...busy(400), held('a', 1n, 5000, 6000)];
    const end = (atMs: number): Mended[] => [
      { finding: 'undone_vote', resource: 'r0', leaseRef: 'a-1', replica: 0, atMs },
    ];
    const alive = await judge(plan, played(history, undefined, end(5900)));
    expect(alive.verdict).toMatchObject({ broken: [{ rule: 'ended' }], mended: { undone_vote: 1 } });
    const over = await judge(plan, played(history, undefined, end(6100)));
    expect(over.verdict.broken).toEqual([]);
    const late = await judge(plan, played(history, undefined, end(4000)));
    expect(late.verdict.broken.map(({ rule }) => rule)).toEqual(['ended']);
    const force: Entry = { kind: 'force', resource: 'r0', calledMs: 5500, leaseRefs: ['a-1'] };
    const forced = await judge(plan, played([...history, force], undefined, end(5900)));
    expect(forced.verdict.broken).toEqual([]);
  });

  test('a trace names the rule, the plan that is left, and what happened around it', async () => {
    const faults: Fault[] = [
      { kind: 'cut', atMs: 5100, untilMs: 5500, node: 1, direction: 'in', manner: 'drop' },
    ];
    const shrunk = { ...plan, faults, clients: plan.clients.slice(0, 1) };
    const judged = await judge(
      shrunk,
      played([...busy(400), held('a', 1n, 5000, 6000), held('b', 2n, 5600, 6600)]),
    );
    const trace = traceOf(plan, shrunk, 'overlap', judged);
    for (const part of [
      '5.100-5.500 s: cut node 1 in drop',
      'overlap on r0',
      'lease b-2',
      `1 of ${plan.clients.length} clients`,
    ])
      expect(trace).toContain(part);
  });
});

describe('the sums of many runs', () => {
  const verdict = (seed: number, more: Partial<Verdict> = {}, twinLost = 1): Verdict => ({
    seed,
    valid: true,
    clientSeconds: 100,
    messages: 10,
    tally: {
      operations: 5,
      granted: 4,
      refused: { BUSY: 1 },
      unknown: 0,
      faults: { cut: 2 },
      recoveryMs: [seed],
      twinLost,
    },
    excused: 0,
    mended: {},
    broken: [],
    digest: '',
    ...more,
  });
  const many = (twinLost: number): Verdict[] =>
    Array.from({ length: 40 }, (_, index) => verdict(index + 1, {}, twinLost));

  test('are a pass when all is well', () => {
    const sums = sumOf(many(1));
    expect(faultsOf(sums)).toEqual([]);
    expect(sums).toMatchObject({
      seeds: 40,
      clientSeconds: 4000,
      refused: { BUSY: 40 },
      faults: { cut: 80 },
    });
    expect(sums.recovery).toEqual({ count: 40, p50Ms: 21, p99Ms: 40 });
    expect(tableOf(sums)).toMatch(/client-seconds simulated\s+4,000/);
  });

  test.each([
    [
      'a violation',
      [verdict(1, { broken: [{ rule: 'token', resource: 'r0', atMs: 1, detail: '' }] })],
      /1 violations/,
    ],
    ['faults without teeth', many(0), /no teeth/],
    ['much of it idle', many(1).map((one) => ({ ...one, valid: one.seed > 8 })), /8 of 40 seeds/],
  ])('are no pass with %s', (_, verdicts, why) => {
    expect(faultsOf(sumOf(verdicts)).join()).toMatch(why);
  });

  test('what did too little is not counted', () => {
    const sums = sumOf([verdict(1), verdict(2, { valid: false })]);
    expect(sums).toMatchObject({ seeds: 2, invalid: [2], clientSeconds: 100 });
  });
});

test('the command line says which seeds, and refuses what makes no sense', () => {
  expect(parse([])).toMatchObject({ from: 1, seeds: 100, jobs: 2 });
  expect(parse(['--seed', '7'])).toMatchObject({ from: 7, seeds: 1 });
  expect(parse(['--from', '5', '--seeds', '9', '--jobs', '4'])).toMatchObject({ from: 5, seeds: 9, jobs: 4 });
  expect(parse(['--seconds', '30'])).toMatchObject({ seconds: 30, seeds: 2 ** 31 });
  expect(parse(['--seeds', 'many'])).toMatch(/--seeds many/);
  expect(parse(['--sead', '1'])).toMatch(/sead/);
});
