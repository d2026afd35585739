/** The count gates: what the nodes were really asked, by their own count, for a known number of pairs. */
import { type Probe, silentProbe } from '../../src/domain/probe.ts';
import { scripts } from '../../src/nodes/scripts.ts';
import { pause, systemClock } from '../../src/std/clock.ts';
import { counted, type Pair } from './load.ts';
import { fixed, type Gate, gate, say } from './report.ts';
import { type Calls, callsBetween, type Servers } from './servers.ts';
import { sum } from './stats.ts';

const PAIRS_EACH = 150;
/** Votes that the majority did not wait for, and answers to them. */
export const SETTLE_MS = 100;
/** Pings, sweeps and the look at a node's settings come by the clock, not by the pair. */
export const PROBES_PER_SECOND = 4;
const PROBE_COMMANDS = new Set(['info', 'config|get']);
/** What the vote's script calls while it runs; Redis counts that in the same list. */
const INSIDE = new Set(
  [...scripts.votes.source.matchAll(/\bp?call\('([A-Z]+)'/g)].map(([, name]) => name!.toLowerCase()),
);

/** Commands from outside that nobody should have sent, with how often they were. */
export function strangers(calls: Calls): string[] {
  return Object.entries(calls)
    .filter(([name]) => name !== 'evalsha' && !INSIDE.has(name) && !PROBE_COMMANDS.has(name))
    .map(([name, count]) => `${count} ${name}`);
}

interface Announced {
  batches: number;
  operations: number;
  /** Batches that were not the first of their tick for this node. */
  again: number;
}

/** Listens to what the path says it sends. */
export class BatchWatch {
  readonly probe: Probe = { ...silentProbe, batch: (node, operations) => this.#note(node, operations) };
  #nodes = new Map<string, Announced>();
  readonly #thisTick = new Set<string>();

  take(): ReadonlyMap<string, Announced> {
    const taken = this.#nodes;
    this.#nodes = new Map();
    return taken;
  }

  #note(node: string, operations: number): void {
    const seen = this.#nodes.get(node) ?? { batches: 0, operations: 0, again: 0 };
    this.#nodes.set(node, seen);
    seen.batches += 1;
    seen.operations += operations;
    // Batches leave in the check phase; a callback queued there runs in the next one, before that one's batches.
    if (this.#thisTick.size === 0) setImmediate(() => this.#thisTick.clear());
    if (this.#thisTick.has(node)) seen.again += 1;
    this.#thisTick.add(node);
  }
}

/** Pairs for every EVALSHA of a node must reach this share of what is in flight. */
const FULL_ENOUGH = 0.4;

function gatesOf(calls: Calls, told: Announced, pairs: number, inFlight: number, tookMs: number): Gate[] {
  const evalsha = calls.evalsha ?? 0;
  const probes = told.operations - 2 * pairs;
  const mostProbes = Math.ceil((tookMs / 1000) * PROBES_PER_SECOND) + PROBES_PER_SECOND;
  const perCall = told.operations / evalsha;
  const strange = strangers(calls);
  return [
    gate(
      'one EVALSHA for each batch',
      evalsha === told.batches,
      `${evalsha} EVALSHA, ${told.batches} batches sent`,
    ),
    gate('one batch a tick', told.again === 0, `${told.again} batches were not the first of their tick`),
    gate(
      `operations together at ${inFlight} in flight`,
      perCall >= FULL_ENOUGH * inFlight,
      `${fixed(perCall)} in one EVALSHA, ${fixed(evalsha / pairs, 4)} EVALSHA a pair`,
    ),
    gate(
      'two operations a pair',
      probes >= 0 && probes <= mostProbes,
      `${told.operations} for ${pairs} pairs, ${probes} of them the probes' (at most ${mostProbes})`,
    ),
    gate(
      'no other command',
      strange.length === 0,
      strange.length === 0
        ? `from outside only EVALSHA and the probes' ${[...PROBE_COMMANDS].map((name) => `${calls[name] ?? 0} ${name}`).join(', ')}`
        : strange.join(', '),
    ),
  ];
}

/** Makes a fixed number of pairs and counts, at every server, what that took; the worst server's gates count. */
export async function countGates(
  servers: Servers,
  nodes: number,
  watch: BatchWatch,
  pair: Pair,
  inFlight: number,
): Promise<Gate[]> {
  await counted(pair, inFlight, 20);
  await pause(systemClock, SETTLE_MS);
  watch.take();
  const before = await servers.calls();
  const beforeMicros = await servers.evalshaMicros();
  const startedMs = performance.now();
  await counted(pair, inFlight, PAIRS_EACH);
  await pause(systemClock, SETTLE_MS);
  const tookMs = performance.now() - startedMs;
  const told = watch.take();
  const after = await servers.calls();
  const afterMicros = await servers.evalshaMicros();
  const pairs = inFlight * PAIRS_EACH;
  const byNode = Array.from({ length: nodes }, (_, index) => {
    // The door's own INFO is no command of ours.
    const calls: Record<string, number> = { ...callsBetween(before[index]!, after[index]!) };
    calls.info = (calls.info ?? 0) - 2;
    return gatesOf(calls, told.get(`bench-${index}`)!, pairs, inFlight, tookMs);
  });
  const inside = callsBetween(before[0]!, after[0]!);
  const within = Object.entries(inside).filter(([name]) => INSIDE.has(name) && name !== 'time');
  say(
    `  inside the script, a pair: ${within.map(([name, calls]) => `${fixed(calls / pairs, 2)} ${name}`).join(', ')}; ` +
      `EVALSHA takes ${fixed((afterMicros[0]! - beforeMicros[0]!) / (inside.evalsha ?? 1), 0)} us, ` +
      `${fixed(sum(afterMicros.map((micros, index) => micros - beforeMicros[index]!)) / nodes / pairs)} us a pair`,
  );
  return byNode[0]!.map(
    (first, at) => byNode.map((gates) => gates[at]!).find(({ passed }) => !passed) ?? first,
  );
}
