/** The count gates of the session bench: what nodes and stream were really asked for a known number of pairs. */
import { pause, systemClock } from '../../src/std/clock.ts';
import { PROBES_PER_SECOND, SETTLE_MS, strangers } from './counts.ts';
import { fixed, type Gate, gate } from './report.ts';
import { callsBetween, type Servers } from './servers.ts';
import type { Subject } from './session-stage.ts';
import { sum } from './stats.ts';

const PAIRS_EACH = 150;
const WARM_UP_EACH = 20;
/** For a node that lags behind the majority. */
const PATIENCE_MS = 5000;
/** As in src/domain/limits.ts: more is more than one script. */
const MOST_IN_SCRIPT = 128;
/** Together in one script, and in one message of either direction, of what is in flight. */
const FULL_ENOUGH = 0.4;

/** By the server's own metrics, all nodes together. */
async function batchesOf(httpAddress: string): Promise<{ scripts: number; operations: number }> {
  const text = await (await fetch(`http://${httpAddress}/metrics`)).text();
  const figure = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
  return {
    scripts: figure('holdfast_batch_operations_count'),
    operations: figure('holdfast_batch_operations_sum'),
  };
}

/** Resolves once so many more operations have left, or will not leave any more. */
async function all(httpAddress: string, before: number, operations: number): Promise<void> {
  const startedMs = performance.now();
  await pause(systemClock, SETTLE_MS);
  while ((await batchesOf(httpAddress)).operations - before < operations) {
    if (performance.now() - startedMs > PATIENCE_MS) return;
    await pause(systemClock, SETTLE_MS);
  }
}

interface Reading {
  readonly evalsha: readonly number[];
  readonly strangers: readonly string[];
  readonly scripts: number;
  readonly operations: number;
  readonly sent: number;
  readonly received: number;
  readonly pairs: number;
  readonly tookMs: number;
}

/** What `each` pairs of every loop took. */
async function read(subject: Subject, servers: Servers, inFlight: number): Promise<Reading> {
  const { httpAddress } = await subject.server!.ask({});
  const { operations } = await batchesOf(httpAddress);
  const warm = await subject.client.ask({ inFlight, each: WARM_UP_EACH });
  await all(httpAddress, operations, 2 * servers.all.length * warm.done);
  const [calls, batches] = [await servers.calls(), await batchesOf(httpAddress)];
  const startedMs = performance.now();
  const done = await subject.client.ask({ inFlight, each: PAIRS_EACH });
  await all(httpAddress, batches.operations, 2 * servers.all.length * done.done);
  const [callsAfter, batchesAfter] = [await servers.calls(), await batchesOf(httpAddress)];
  const byNode = calls.map((before, index) => callsBetween(before, callsAfter[index]!));
  return {
    evalsha: byNode.map(({ evalsha }) => evalsha ?? 0),
    strangers: byNode.flatMap(strangers),
    scripts: batchesAfter.scripts - batches.scripts,
    operations: batchesAfter.operations - batches.operations,
    sent: done.sent - warm.sent,
    received: done.received - warm.received,
    pairs: done.done,
    tookMs: performance.now() - startedMs,
  };
}

export async function countGates(subject: Subject, servers: Servers, inFlight: number): Promise<Gate[]> {
  const seen = await read(subject, servers, inFlight);
  const nodes = servers.all.length;
  const evalsha = sum(seen.evalsha);
  const probes = nodes * (Math.ceil((seen.tookMs / 1000) * PROBES_PER_SECOND) + PROBES_PER_SECOND);
  const beyond = seen.operations - 2 * nodes * seen.pairs;
  const inScript = seen.operations / seen.scripts;
  const least = FULL_ENOUGH * Math.min(inFlight, MOST_IN_SCRIPT);
  const [asked, answered] = [(2 * seen.pairs) / seen.sent, (2 * seen.pairs) / seen.received];
  return [
    gate(
      'one EVALSHA for each batch',
      Math.abs(evalsha - seen.scripts) <= probes,
      `${evalsha} EVALSHA, ${seen.scripts} batches sent (at most ${probes} apart: the probes' while both were read)`,
    ),
    gate(
      'operations together in one script',
      inScript >= least,
      `${fixed(inScript)} (least ${fixed(least)}), ${fixed(evalsha / nodes / seen.pairs, 4)} EVALSHA a node and pair`,
    ),
    gate(
      'two operations a pair and node',
      beyond >= 0 && beyond <= probes,
      `${seen.operations} for ${seen.pairs} pairs on ${nodes} nodes, ${beyond} of them the probes' (at most ${probes})`,
    ),
    gate('no other command', seen.strangers.length === 0, seen.strangers.join(', ') || 'from outside none'),
    gate(
      'operations together in one message',
      Math.min(asked, answered) >= FULL_ENOUGH * inFlight,
      `${fixed(asked)} asked in one, ${fixed(answered)} answered in one (least ${fixed(FULL_ENOUGH * inFlight)})`,
    ),
  ];
}
