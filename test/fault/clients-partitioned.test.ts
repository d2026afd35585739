/** Users of a client that is cut off, alone or with its replica: their work ends before somebody else's lease begins. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  type Language,
  type Looks,
  languages,
  nowMs,
  type Outcome,
  type Places,
  Shift,
  type Wish,
} from '../harness/client-work.ts';
import { withoutPython } from '../harness/program.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

const TTL_MS = 1000;
/** Longer than the grace: what ends the lease is the end of the stream. */
const LONG_TTL_MS = 10_000;
const GRACE_MS = 1000;
/** The count of a grace ends so much before it: drift and rounding. */
const ALLOWANCE_MS = 0.01 * GRACE_MS;
/** A majority stands still; and the service finds a client that does. */
const KEEPALIVE = { HOLDFAST_KEEPALIVE_TIME: '300ms', HOLDFAST_KEEPALIVE_TIMEOUT: '600ms' };

let scene: Scene;
let places: Places;
let shift: Shift;

beforeAll(async () => {
  scene = await Scene.open();
  const [one, two] = await Promise.all([scene.process(KEEPALIVE), scene.process(KEEPALIVE)]);
  places = { holders: one.address, rival: two.address };
});
afterAll(() => scene.close());

const all = (looks: Looks): Wish[] => languages.map((language) => ({ language, looks }));

/** All that look at their lease, in each way, and one that does not. */
async function begin(fault: string, heedless: Language, ttlMs = TTL_MS): Promise<Shift> {
  const language = languages.includes(heedless) ? heedless : 'typescript';
  const wishes: Wish[] = [...all('told'), ...all('check'), { language, looks: 'none' }];
  shift = await Shift.begin(places, fault, wishes, { ttlMs, graceMs: GRACE_MS });
  onTestFinished(() => shift.end());
  return shift;
}

/** All that look have lost their lease, and did nothing under the next one. */
async function ended(why: RegExp): Promise<Outcome[]> {
  for (const lost of await shift.lost()) {
    expect(lost.why).toMatch(why);
    expect(lost.remaining).toBe(0);
  }
  return shift.outcomes('told', 'check');
}

describe(`cut off from the replica${withoutPython}`, () => {
  test.each([
    ['either way', ['in', 'out'], 'typescript', /^expired$/],
    // It hears that the service gives its connection up, and finds none that answers.
    ['at the replica', ['in'], 'python', /^(expired|unknown)$/],
    ['at the client', ['out'], 'asyncio', /^expired$/],
  ] as const)('when nothing arrives %s, the work ends by the count', async (where, lost, heedless, why) => {
    const { workers } = await begin(where, heedless);
    for (const { network } of workers) network.lose(...lost);
    for (const { worker, late } of await ended(why)) expect(late, worker.name).toEqual([]);
    await shift.anomalies();
  });

  test('when the connection is reset, the work of a process that runs ends before the grace does', async () => {
    const { workers } = await begin('reset', 'python', LONG_TTL_MS);
    const resetMs = nowMs();
    for (const { network } of workers) network.reset();
    for (const { worker, marginMs } of await ended(/^unknown$/)) {
      // The grace counts from when the service saw the end, and the client may see it later by as much as it stood still.
      const stoodMs = Math.max(0, worker.longestPauseMs(resetMs) - ALLOWANCE_MS / 2);
      expect(marginMs, worker.name).toBeGreaterThan(-stoodMs);
    }
    await shift.anomalies();
  });

  test('with a grace as long as the ttl, not even a process that stands still overlaps after a reset', async () => {
    const { workers } = await begin('reset-stopped', 'asyncio');
    await Promise.all(workers.map((worker) => worker.stop()));
    for (const { network } of workers) network.reset();
    await shift.outcomes('told', 'check', 'none');
    for (const worker of workers) worker.signal('SIGCONT');
    await ended(/^(expired|unknown)$/);
    for (const { worker, late } of await shift.outcomes('check')) expect(late, worker.name).toEqual([]);
    await shift.anomalies();
  });

  test('with a grace as long as the ttl, nobody overlaps when the replica alone hears of the reset', async () => {
    const { workers } = await begin('reset-one-side', 'typescript');
    for (const { network } of workers) network.resetReplica();
    for (const { worker, late } of await ended(/^expired$/)) expect(late, worker.name).toEqual([]);
    await shift.anomalies();
  });
});

describe(`cut off from the nodes, with the replica${withoutPython}`, () => {
  test('when a majority stands still past the ttl, the work ends by the count, before anybody can be granted', async () => {
    await begin('nodes', 'asyncio');
    const [, ...majority] = scene.nodes.servers;
    for (const node of majority) node.pause();
    const pausedMs = performance.now();
    await shift.lost();
    // Also that of the heedless one, which says nothing: it may have been renewed last of all.
    await until('no lease can stand any more', () => performance.now() > pausedMs + 2 * TTL_MS);
    for (const worker of shift.workers) expect(shift.granted(worker.name), worker.name).toBe(false);
    for (const node of majority) node.resume();
    for (const { worker, late } of await ended(/^expired$/)) expect(late, worker.name).toEqual([]);
    await shift.anomalies();
  });
});
