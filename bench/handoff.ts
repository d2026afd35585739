/** How quickly, how fairly and at what cost does one contended lock go from client to client, here and at its peers? */
import { parseArgs } from 'node:util';
import {
  CLIENTS,
  type ClientChild,
  Contests,
  FULL,
  idleRates,
  type Pace,
  PROCESSES,
  QUICK,
  startClients,
  WARM_UP,
} from './lib/handoff-contest.ts';
import { countGates, HOLDS_MS, ofCeiling, ratioGates } from './lib/handoff-gates.ts';
import { type Slice, summarize } from './lib/handoff-stats.ts';
import {
  type Batches,
  ETCD,
  HOLDFAST,
  HOLDFAST_5,
  HOLDFAST_SESSION,
  HOLDFAST_TWICE,
  REDLOCK_4,
  Stage,
  type Subject,
} from './lib/handoff-subjects.ts';
import { fixed, type Gate, heading, judge, say, table } from './lib/report.ts';

/** Of these ratios are made, so they are neighbours in time. */
const MAIN = new Set([HOLDFAST, HOLDFAST_SESSION, ETCD, REDLOCK_4]);

interface Options {
  readonly pace: Pace;
  readonly wanted: (name: string) => boolean;
}

/** `--quick`: few and short slices, to see that it runs. `--only NAME`, also repeated: subjects with NAME in their name. */
function optionsOf(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: { quick: { type: 'boolean' }, only: { type: 'string', multiple: true } },
  });
  const { quick = false, only = [''] } = values;
  return { pace: quick ? QUICK : FULL, wanted: (name) => only.some((part) => name.includes(part)) };
}

async function cast(stage: Stage, wanted: Options['wanted']): Promise<Subject[]> {
  const subjects: Subject[] = [];
  if (wanted(ETCD)) subjects.push(...(await stage.etcd()));
  if (wanted(HOLDFAST)) subjects.push(await stage.holdfast(HOLDFAST, 3, 1));
  if (wanted(HOLDFAST_SESSION)) {
    subjects.push(await stage.holdfast(HOLDFAST_SESSION, 3, 1, 'holdfast-session'));
  }
  subjects.push(...(await stage.pollers()).filter(({ name }) => wanted(name)));
  if (wanted(HOLDFAST_5)) subjects.push(await stage.holdfast(HOLDFAST_5, 5, 1));
  if (wanted(HOLDFAST_TWICE)) subjects.push(await stage.holdfast(HOLDFAST_TWICE, 3, 2));
  return subjects;
}

const HEADER = [
  '',
  'hand-offs/s',
  'gap p50',
  'mean',
  'wait p50',
  'p99',
  'max ms',
  'Jain',
  'scripts',
  'server us',
  'clients us',
  'failed',
  'overlaps',
];

/** Scripts and CPU are for each true hand-off. */
function rowOf({ name, nodes }: Subject, slices: readonly Slice[]): string[] {
  const all = summarize(slices);
  return [
    name,
    fixed(all.rate, all.rate < 10 ? 1 : 0),
    fixed(all.gapMs, 2),
    fixed(all.gapMeanMs, 2),
    fixed(all.waitP50Ms, 0),
    fixed(all.waitP99Ms, 0),
    fixed(all.waitMaxMs, 0),
    fixed(all.jain, 3),
    nodes === 0 ? '-' : fixed(all.scripts, 1),
    fixed(all.serverMicros, 0),
    fixed(all.clientMicros, 0),
    String(all.failures),
    String(all.overlaps),
  ];
}

/** Over all slices, and with what came before and after the windows: shows what else the nodes are asked, and how often. */
function sayBatches(
  { name, nodes }: Subject,
  slices: readonly Slice[],
  before: Batches,
  after: Batches,
): void {
  const [scripts, operations] = [after.scripts - before.scripts, after.operations - before.operations];
  const answered = (answer: string): number => (after.answers[answer] ?? 0) - (before.answers[answer] ?? 0);
  const grants = answered('held') / nodes;
  const answers = Object.keys(after.answers)
    .filter((answer) => answered(answer) > 0)
    .map((answer) => `${fixed(answered(answer) / grants, 2)} ${answer}`);
  say(
    `  ${name}, for each grant: ${fixed(scripts / grants, 2)} scripts, ${fixed(operations / grants, 2)} operations; ` +
      `votes: ${answers.join(', ')}`,
  );
  const { serverMicros, replicaMicros } = summarize(slices);
  say(`    of its servers' CPU ${fixed((100 * replicaMicros) / serverMicros, 0)} % is the replicas' own`);
}

async function contest(
  subjects: readonly Subject[],
  contests: Contests,
  holdMs: number,
  pace: Pace,
): Promise<Gate[]> {
  heading(`one lock, ${CLIENTS} clients in ${PROCESSES} processes, each holds it for ${holdMs} ms`);
  const batches = () => Promise.all(subjects.map((subject) => subject.batches?.()));
  const before = await batches();
  const slices = await contests.rounds(subjects, MAIN, holdMs, pace);
  const after = await batches();
  table([HEADER, ...subjects.map((subject) => rowOf(subject, slices.get(subject.name)!))]);
  const held = summarize([...slices.values()].flat()).heldMs;
  say(`  held for ${fixed(held, 2)} ms (median of all); scripts and CPU are for each true hand-off`);
  for (const [at, subject] of subjects.entries()) {
    if (before[at] !== undefined) sayBatches(subject, slices.get(subject.name)!, before[at], after[at]!);
  }
  const ours = subjects.filter(({ replicas }) => replicas > 0);
  if (holdMs > 0) for (const { name } of ours) say(`  ${ofCeiling(name, slices.get(name)!)}`);
  return [
    ...ours.flatMap((subject) => countGates(subject, holdMs, slices.get(subject.name)!)),
    ...ratioGates(holdMs, slices),
  ];
}

export async function run(): Promise<boolean> {
  const { pace, wanted } = optionsOf(process.argv.slice(3));
  const stage = new Stage();
  let clients: ClientChild[] = [];
  try {
    const subjects = await cast(stage, wanted);
    clients = await startClients();
    heading('warming up');
    const contests = new Contests(clients, await idleRates(subjects));
    // Twice: what runs on Node has its compiler at work, and the clients do everywhere.
    for (const subject of [...subjects, ...subjects]) await contests.slice(subject, 0, WARM_UP, 0);
    const gates: Gate[] = [];
    for (const holdMs of HOLDS_MS) gates.push(...(await contest(subjects, contests, holdMs, pace)));
    say();
    return judge(gates);
  } finally {
    await Promise.all(clients.map((client) => client.stop()));
    await stage.stop();
  }
}
