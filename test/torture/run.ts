/** One run: a site, clients, faults at random by a seed, the heal, the rest, and what the checker makes of it. */
import { check, tally } from '../harness/history/check.ts';
import type { Healed, History, Rest, Tally, Violation } from '../harness/history/history.ts';
import { lateness, nowMs, pause } from '../harness/pace.ts';
import { readRecord } from '../harness/record.ts';
import type { Environment } from '../harness/replica.ts';
import { Dice } from '../sim/dice.ts';
import { FORWARDS, Injector } from './faults.ts';
import { Fleet, meet, type Span } from './fleet.ts';
import type { Subject } from './orders.ts';
import { planOf } from './plan.ts';
import { registerScripts } from './register.ts';
import { LIVENESS_MS, NODE_TIMEOUT_MS, PRIORITY_STEP_MS, Site } from './site.ts';

export interface RunOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly subject: Subject;
  readonly nodes: 3 | 5;
  readonly plain: boolean;
  readonly clocks: boolean;
  /** More of the environment of replicas and clients. */
  readonly env: Environment;
  readonly clients: number;
}

export interface Ran {
  readonly options: RunOptions;
  readonly history: History;
  readonly violations: readonly Violation[];
  /** Overlaps after a clock was set forwards (G1), and calls without an answer while the machine stood still. */
  readonly excused: number;
  readonly tally: Tally;
  readonly lag: Lag;
  /** Why the run proves nothing. */
  readonly invalid: readonly string[];
  /** Replicas and clients that ended as they should not. */
  readonly crashes: readonly string[];
  readonly refused: Readonly<Record<string, number>>;
}

export interface Lag {
  /** Of all late moments of all event loops, the longest. */
  readonly worstMs: number;
  /** How much of their time they stood still without being told to. */
  readonly share: number;
  readonly spans: readonly Span[];
}

function lagOf(spans: readonly Span[], livedMs: number): Lag {
  const lates = spans.map(({ fromMs, untilMs }) => untilMs - fromMs);
  const share = lates.reduce((sum, ms) => sum + ms, 0) / livedMs;
  return { worstMs: Math.max(0, ...lates), share, spans };
}

const WAYS = 2;
/** Of the clients, where Python can run. */
const PYTHONS = 1;
const THREADS = 5;
const TTL_MS = 1000;
const RESOURCES = ['a', 'b', 'c', 'd', 'e'];
const LATE_MS = 50;
/** Together with as much elsewhere, a node's time is up. */
const STILL_MS = 100;
/**
 * The first half is for what may stand in the way of a lock once all is well: quarantine, suspicion, ghosts in line,
 * leases of the dead. Only what is asked for in the second one is judged.
 */
const ALIVE_MS = 12_000;
const REST_MS = 3 * TTL_MS + 2 * LIVENESS_MS + 5000;
const LOOK_MS = 100;
/** 50 ms until the nodes are told of a waiter, an answer and its way to the client, on a machine that is busy. */
const ORDER_SLACK_MS = 1000;
/** A longer stop of everything at once is the machine's, and proves nothing. */
const SHARE_MAX = 0.25;
const GRANTS_A_SECOND = 2;

/** Who stands in line, without the places that are over (or further away than they can last): those stay until somebody comes across them. */
const LIVE = `
local live, now = {}, tonumber(ARGV[1])
for _, id in ipairs(redis.call('ZRANGE', 'holdfast:b:q:' .. KEYS[1], 0, -1)) do
  local packed = redis.call('GET', 'holdfast:b:w:' .. id)
  local w = packed and cmsgpack.unpack(packed)
  if w and w[1] > now and w[1] <= now + w[10] * 1000 then live[#live + 1] = id end
end
return live`;
const READERS = `
local live = {}
local all = redis.call('HGETALL', 'holdfast:b:s:' .. KEYS[1])
for i = 1, #all, 2 do
  if cmsgpack.unpack(all[i + 1])[1] > tonumber(ARGV[1]) then live[#live + 1] = all[i] end
end
return live`;

export async function torture(options: RunOptions): Promise<Ran> {
  const { subject, nodes, clocks, env, seed, clients, seconds, plain } = options;
  const site = await Site.open({ subject, nodes, ways: WAYS, ttlMs: TTL_MS, clocks, env });
  const dice = new Dice(seed);
  const fleet = new Fleet(
    (slot) => ({
      subject,
      plain,
      places: subject === 'holdfast' ? site.addresses(slot) : site.sockets(slot % WAYS),
      register: site.register.socketPath,
      threads: THREADS,
      resources: RESOURCES,
      ttlMs: TTL_MS,
      nodeTimeoutMs: NODE_TIMEOUT_MS,
      scripts: registerScripts,
    }),
    dice,
    subject === 'holdfast' && !plain ? PYTHONS : 0,
    env,
  );
  const own: Span[] = [];
  const stop = lateness(LATE_MS, (fromMs, untilMs) => own.push({ fromMs, untilMs }));
  try {
    await fleet.start(clients);
    const injector = new Injector(site, fleet, dice.seed());
    const beganMs = nowMs();
    const spanMs = seconds * 1000;
    const shape = { seed, spanMs, nodes, ways: WAYS, clients, ttlMs: TTL_MS, clocks };
    await injector.inject(planOf(shape));
    await pause(beganMs + spanMs - nowMs());
    await injector.heal();
    await fleet.heal();
    const healedMs = nowMs();
    const healed: Healed = { kind: 'healed', atMs: healedMs, aliveByMs: healedMs + ALIVE_MS };
    // A little longer, so that what was asked for to the last can be judged.
    await pause(ALIVE_MS + LOOK_MS);
    const gone = await fleet.finish();
    const rests = await rest(site);
    const { entries, late, livedMs } = fleet.read();
    const history: History = [...entries, ...injector.noted, healed, ...rests];
    const lag = lagOf([...own, ...late], livedMs + nowMs() - beganMs);
    return judged(options, history, lag, [...site.crashes, ...gone]);
  } finally {
    stop();
    await fleet.close();
    await site.close();
  }
}

/** What the nodes bear when nobody asks any more, as soon as that is nothing, or when it is overdue. */
async function rest(site: Site): Promise<Rest[]> {
  const endMs = nowMs() + REST_MS;
  for (;;) {
    const rests = await Promise.all(RESOURCES.map((resource) => restOf(site, resource)));
    const over = rests.every(({ leaseRefs, waiters }) => leaseRefs.length + waiters.length === 0);
    if (over || nowMs() > endMs) return rests;
    await pause(LOOK_MS);
  }
}

async function restOf(site: Site, resource: string): Promise<Rest> {
  const { nodes, options } = site;
  const ours = options.subject === 'holdfast' ? [...nodes.servers.keys()] : [];
  const left = await Promise.all(
    ours.map(async (node) => {
      const [seconds, micros] = (await nodes.run(node, 'TIME')) as [string, string];
      const atMicros = Number(seconds) * 1e6 + Number(micros);
      const header = await nodes.header(node, resource);
      const record = header === null ? undefined : readRecord(header);
      const waiters = (await nodes.run(node, 'EVAL', LIVE, 1, resource, atMicros)) as string[];
      const readers = (await nodes.run(node, 'EVAL', READERS, 1, resource, atMicros)) as string[];
      const holds = record !== undefined && record.expiryMicros > atMicros;
      return { waiters, leaseRefs: holds ? [record.value, ...readers] : readers };
    }),
  );
  const all = (of: readonly string[][]): string[] => [...new Set(of.flat())];
  return {
    kind: 'rest',
    resource,
    atMs: nowMs(),
    leaseRefs: all(left.map(({ leaseRefs }) => leaseRefs)),
    waiters: all(left.map(({ waiters }) => waiters)),
  };
}

function judged(options: RunOptions, history: History, lag: Lag, crashes: readonly string[]): Ran {
  const found = check(history, {
    order: {
      priorityStepMs: PRIORITY_STEP_MS,
      livenessMs: LIVENESS_MS,
      slackMs: ORDER_SLACK_MS,
      stable: history.flatMap((entry) =>
        entry.kind === 'healed' ? [{ fromMs: entry.atMs, untilMs: entry.aliveByMs }] : [],
      ),
    },
  });
  const forwards = history.flatMap((entry) =>
    entry.kind === 'fault' && entry.name === FORWARDS ? [entry.atMs] : [],
  );
  const excusable = ({ rule, atMs, entries }: Violation): boolean => {
    // From the step until it must have been noticed and the leases of that time are over.
    if (rule === 'overlap') return forwards.some((stepMs) => atMs >= stepMs && atMs <= stepMs + 4 * TTL_MS);
    // Nobody is answered in time by a machine that stands still.
    const asked = entries.find((entry) => entry.kind === 'acquire');
    if (rule !== 'stuck' || asked?.answeredMs === undefined) return false;
    const call = { fromMs: asked.calledMs, untilMs: asked.answeredMs };
    return lag.spans.some((span) => span.untilMs - span.fromMs > STILL_MS && meet(span, call));
  };
  const violations = found.filter((violation) => !excusable(violation));
  const counted = tally(history);
  const refused: Record<string, number> = {};
  for (const entry of history) {
    if (entry.kind !== 'acquire' || entry.reason === undefined) continue;
    refused[entry.reason] = (refused[entry.reason] ?? 0) + 1;
  }
  const enough = GRANTS_A_SECOND * options.seconds;
  const invalid = [
    ...(counted.granted < enough ? [`${counted.granted} grants, at least ${enough} are needed`] : []),
    ...(lag.share > SHARE_MAX
      ? [`event loops were late for ${Math.round(100 * lag.share)} % of the time`]
      : []),
    ...(counted.twinLost === 0 ? ['the unfenced twin lost nothing: the faults had no teeth'] : []),
  ];
  return {
    options,
    history,
    violations,
    excused: found.length - violations.length,
    tally: counted,
    lag,
    invalid,
    crashes,
    refused,
  };
}
