/** Plays many seeds, judges each, and prints what they did; a failure is shrunk, and told with the line that repeats it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/std/clock.ts';
import { Failed, Hand } from './crew.ts';
import { planOf } from './generate.ts';
import type { Broken, Verdict } from './judge.ts';
import { type Options, parse, USAGE } from './options.ts';
import type { Plan } from './plan.ts';
import { type Failure, faultsOf, sumOf, tableOf } from './sums.ts';

/** A run of a seed takes about a second; one that takes this long goes in a circle. */
const SEED_MS_MAX = 30_000;
const SHRINK_MS = 60_000;
/** Where the whole run has a time limit: who waits for its end must not wait long because there is much to tell. */
const SHRINK_HURRY_MS = 5000;
/** With a time limit, what is under way gets that much longer. */
const GRACE_MS = 2000;
const SHRINKS_MOST = 4;
const PROGRESS_EVERY_MS = 10_000;

const startedMs = systemClock.monotonicMs();
const passedMs = (): number => systemClock.monotonicMs() - startedMs;

interface Ran {
  readonly verdicts: Verdict[];
  /** Of the first failure of each rule. */
  readonly traces: string[];
}

/** Seeds are handed out in order; the table is the same however many processes there are. */
async function runAll(options: Options): Promise<Ran> {
  const plans = plansOf(options);
  const verdicts: Verdict[] = [];
  const hands = Array.from({ length: Math.min(options.jobs, options.seeds) }, () => new Hand());
  await Promise.all(
    hands.map(async (hand) => {
      while (passedMs() < 1000 * options.seconds) {
        const next = plans.next();
        if (next.done === true) return;
        const verdict = await judged(hand, next.value, options);
        if (verdict === undefined) return;
        verdicts.push(verdict);
        progress(verdicts);
      }
    }),
  );
  verdicts.sort((one, other) => one.seed - other.seed);
  const traces = await explain(hands, firstOfEach(sumOf(verdicts).failures), options);
  for (const hand of hands) hand.dismiss();
  return { verdicts, traces };
}

function* plansOf({ from, seeds, plan }: Options): Generator<Plan> {
  if (plan !== undefined) yield JSON.parse(readFileSync(plan, 'utf8')) as Plan;
  else for (let seed = from; seed < from + seeds; seed += 1) yield planOf(seed);
}

/** Nothing when the time is up: what was cut off proves nothing. */
async function judged(hand: Hand, plan: Plan, { verbose, seconds }: Options): Promise<Verdict | undefined> {
  const leftMs = 1000 * seconds + GRACE_MS - passedMs();
  let verdict: Verdict;
  let took = '';
  try {
    const done = await hand.ask({ kind: 'judge', plan }, Math.min(SEED_MS_MAX, leftMs));
    if (done.kind !== 'judged') throw new Failed('it answered something else');
    verdict = done.verdict;
    took = `${Math.round(done.tookMs)} ms`;
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    if (leftMs < SEED_MS_MAX && error.late) return undefined;
    verdict = neverEnded(plan, error.message);
  }
  if (verbose) {
    const { seed, clientSeconds, tally, broken, valid } = verdict;
    const said = broken.length > 0 ? broken.map(({ rule }) => rule).join(' ') : valid ? 'ok' : 'too little';
    console.log(
      `seed ${seed}: ${said}; ${Math.round(clientSeconds)} client-seconds, ${tally.granted} granted, ${took}`,
    );
  }
  return verdict;
}

function neverEnded({ seed, endMs }: Plan, detail: string): Verdict {
  const broken: Broken = { rule: 'crash', resource: '', atMs: endMs, detail };
  const tally = {
    operations: 0,
    granted: 0,
    refused: {},
    unknown: 0,
    faults: {},
    recoveryMs: [],
    twinLost: 0,
  };
  return {
    seed,
    valid: false,
    clientSeconds: 0,
    messages: 0,
    tally,
    excused: 0,
    mended: {},
    broken: [broken],
    digest: '',
  };
}

let toldMs = 0;

/** One line that changes, or, where lines cannot, one now and then. */
function progress(verdicts: readonly Verdict[]): void {
  const live = process.stderr.isTTY;
  if (!live && passedMs() - toldMs < PROGRESS_EVERY_MS) return;
  toldMs = passedMs();
  const broken = verdicts.filter((verdict) => verdict.broken.length > 0).length;
  const line = `${verdicts.length} seeds, ${broken} broken, ${Math.round(toldMs / 1000)} s`;
  process.stderr.write(live ? `\r${line}  ` : `${line}\n`);
}

function firstOfEach(failures: readonly Failure[]): Failure[] {
  const rules = [...new Set(failures.map(({ rule }) => rule))].slice(0, SHRINKS_MOST);
  return rules.map((rule) => failures.find((failure) => failure.rule === rule)!);
}

/** The processes share the time there is. */
async function explain(
  hands: readonly Hand[],
  failures: readonly Failure[],
  options: Options,
): Promise<string[]> {
  const allMs = Number.isFinite(options.seconds) ? SHRINK_HURRY_MS : SHRINK_MS;
  const graceMs = Number.isFinite(options.seconds) ? GRACE_MS : SEED_MS_MAX;
  const budgetMs = allMs / Math.ceil(failures.length / hands.length);
  const traces: string[] = [];
  await Promise.all(
    hands.map(async (hand, index) => {
      for (let at = index; at < failures.length; at += hands.length)
        traces[at] = await explained(hand, failures[at]!, options, { budgetMs, graceMs });
    }),
  );
  return traces;
}

async function explained(
  hand: Hand,
  failure: Failure,
  options: Options,
  { budgetMs, graceMs }: { readonly budgetMs: number; readonly graceMs: number },
): Promise<string> {
  const { seed, rule, resource, atMs, detail } = failure;
  const head = [
    `seed ${seed}: rule ${rule} broken${resource === '' ? '' : ` of ${resource}`} at ${Math.round(atMs)} ms: ${detail}`,
    `  repeat: node test/sim/run.ts ${options.plan === undefined ? `--seed ${seed}` : `--plan ${options.plan}`}`,
  ].join('\n');
  const [plan] = [...plansOf({ ...options, from: seed, seeds: 1 })];
  try {
    const done = await hand.ask({ kind: 'shrink', plan: plan!, rule, budgetMs }, budgetMs + graceMs);
    if (done.kind !== 'shrunk') throw new Failed('it answered something else');
    const file = join(tmpdir(), `holdfast-sim-${seed}-${rule}.json`);
    writeFileSync(file, JSON.stringify(done.plan));
    const again = `  repeat the smallest: node test/sim/run.ts --plan ${file}   (found in ${done.plays} plays)`;
    return [head, again, done.trace].join('\n');
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    return `${head}\n  not shrunk: ${error.message}`;
  }
}

async function main(): Promise<number> {
  const options = parse(process.argv.slice(2));
  if (typeof options === 'string') {
    console.error(`${options}\n${USAGE}`);
    return 64;
  }
  const { verdicts, traces } = await runAll(options);
  const sums = sumOf(verdicts);
  const [first, last] = [verdicts[0]?.seed, verdicts.at(-1)?.seed];
  const seconds = Math.round(passedMs() / 1000);
  if (process.stderr.isTTY) process.stderr.write('\n');
  console.log(`simulation: seeds ${first} to ${last}, ${seconds} s in ${options.jobs} processes`);
  console.log(tableOf(sums));
  const faults = faultsOf(sums);
  for (const trace of traces) console.log(`\n${trace}`);
  for (const fault of faults) console.error(`FAILED: ${fault}`);
  if (options.json !== undefined) writeFileSync(options.json, JSON.stringify({ ...sums, verdicts }));
  return faults.length > 0 ? 1 : 0;
}

process.exitCode = await main();
