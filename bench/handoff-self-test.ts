/** Would the hand-off bench notice? Its statistics on made-up holds, and its gates on a library that polls. */
import { Contests, QUICK, startClients } from './lib/handoff-contest.ts';
import { countGates } from './lib/handoff-gates.ts';
import {
  ceilingShare,
  type Hold,
  jain,
  roundRatios,
  type Slice,
  summarize,
  tally,
} from './lib/handoff-stats.ts';
import { HOLDFAST, REDLOCK_4, Stage } from './lib/handoff-subjects.ts';
import { fixed, type Gate, gate, heading, judge, say } from './lib/report.ts';

const ALL = { fromMicros: 0, untilMicros: 1e9 };
const SUBJECT = { name: HOLDFAST, nodes: 3, replicas: 1 };

/** Asked at once, by milliseconds: who held from when until when. */
function holdsOf(...rows: readonly (readonly [client: number, fromMs: number, untilMs: number])[]): Hold[] {
  return rows.map(([client, fromMs, untilMs], index) => ({
    client,
    askedMicros: 0,
    grantedMicros: fromMs * 1000,
    releasedMicros: untilMs * 1000,
    token: index + 1,
  }));
}

function equal(name: string, found: number, wanted: number): Gate {
  return gate(name, Math.abs(found - wanted) < 1e-9, `${fixed(found, 3)}, must be ${fixed(wanted, 3)}`);
}

function statistics(): Gate[] {
  // Told in another order than it happened, as several processes do.
  const handed = tally(holdsOf([1, 20, 25], [0, 0, 10], [1, 30, 31], [0, 40, 45]), ALL, 2);
  const overlapping = tally(holdsOf([0, 0, 100], [1, 20, 30], [2, 40, 50], [0, 100, 101]), ALL, 3);
  const window = tally(
    holdsOf([0, 0, 1], [1, 2, 3], [0, 4, 5], [1, 6, 7]),
    { fromMicros: 2000, untilMicros: 6000 },
    2,
  );
  const [first, second] = holdsOf([0, 0, 1], [1, 2, 3]);
  const disordered = tally([first!, { ...second!, token: 1 }], ALL, 2);
  return [
    equal('Jain of equal shares', jain([3, 3, 3, 3]), 1),
    equal('Jain of one who has all', jain([12, 0, 0, 0]), 0.25),
    equal('Jain of two to one', jain([2, 1]), 0.9),
    equal('a lock that comes back to its last holder is no hand-off', handed.handoffs, 2),
    equal('and is a grant', handed.grants, 4),
    equal('gaps are from release to grant', handed.gapsMs[0]! + handed.gapsMs[1]!, 10 + 9),
    equal('one after the other is no overlap', handed.overlaps, 0),
    equal('a long hold overlaps all that come within it', overlapping.overlaps, 2),
    equal('only the window counts', window.handoffs, 2),
    equal('also for fairness', jain(window.counts), 1),
    equal('a token twice', disordered.disorder, 1),
    equal('tokens that grow', window.disorder, 0),
    equal('the longest wait may never have ended', tally([], ALL, 2, [7, 5]).longestWaitMs, 7),
  ];
}

/** A slice that every gate lets pass. */
function goodSlice(): Slice {
  const holds = holdsOf(...Array.from({ length: 200 }, (_, at) => [at % 2, 2 * at, 2 * at + 1] as const));
  const told = tally(holds, ALL, 2);
  const cost = { idleScripts: 0, serverMicros: 0, replicaMicros: 0, clientMicros: 0 };
  return { ...told, ...cost, scripts: 3 * told.handoffs, round: 0, failures: 0, unfinished: 0 };
}

function gatesOnMadeUp(): Gate[] {
  const good = goodSlice();
  const failed = (change: Partial<Slice>): string[] =>
    countGates(SUBJECT, 1, [{ ...good, ...change }]).flatMap(({ name, passed }) => (passed ? [] : [name]));
  const passes = (name: string, change: Partial<Slice>): Gate =>
    gate(name, failed(change).length === 0, failed(change).join('; ') || 'no gate failed');
  const caught = (name: string, change: Partial<Slice>): Gate =>
    gate(`caught: ${name}`, failed(change).length > 0, failed(change).join('; ') || 'no gate failed');
  const other = { ...good, round: 1 };
  return [
    passes('a good slice passes', {}),
    caught('two holders at once', { overlaps: 1 }),
    caught('tokens out of order', { disorder: 1 }),
    caught('a refusal', { failures: 1 }),
    caught('somebody left waiting', { unfinished: 1 }),
    caught('one client preferred', { counts: [120, 80] }),
    caught('one script in ten too many', { scripts: 3.3 * good.handoffs }),
    caught('nothing happened at all', { ...tally([], ALL, 2), scripts: 0 }),
    passes('what an idle replica sends is no script of a hand-off', { scripts: 720, idleScripts: 123 }),
    equal('ratios are of the same round', roundRatios([good, other], [other]).length, 1),
    equal('half of the time nobody holds', ceilingShare({ ...summarize([good]), rate: 500, heldMs: 1 }), 0.5),
  ];
}

/** The real thing at the end of the real path: a library that polls must not pass for a line. */
async function gatesOnPoller(): Promise<Gate[]> {
  const stage = new Stage();
  const clients = await startClients();
  try {
    const poller = (await stage.pollers()).find(({ name }) => name === REDLOCK_4)!;
    const slice = await new Contests(clients, new Map()).slice(poller, 1, QUICK, 1);
    const gates = countGates({ ...poller, replicas: 1 }, 1, [slice]);
    say('  what the gates said of it:');
    judge(gates);
    const [holder, , fair, scripts] = gates;
    return [
      gate(
        'the poller was measured',
        summarize([slice]).rate > 0,
        `${fixed(summarize([slice]).rate, 0)} hand-offs/s`,
      ),
      gate('the poller has one holder at a time', holder!.passed, holder!.detail),
      gate('the fairness gate catches it', !fair!.passed, fair!.detail),
      gate('the scripts gate catches it', !scripts!.passed, scripts!.detail),
    ];
  } finally {
    await Promise.all(clients.map((client) => client.stop()));
    await stage.stop();
  }
}

export async function run(): Promise<boolean> {
  heading('the statistics and gates of the hand-off bench, and redlock 4 in the place of holdfast');
  return judge([...statistics(), ...gatesOnMadeUp(), ...(await gatesOnPoller())]);
}
