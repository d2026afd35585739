/** How fast are the clients that people use, beside the leanest client that we can write? */
import { parseArgs } from 'node:util';
import { sayPython } from './lib/python-pairs.ts';
import { type Gate, heading, judge, say, table } from './lib/report.ts';
import { SessionStage, type Subject, sideOf } from './lib/session-stage.ts';
import { HEADER, ratioGate, rowOf } from './session.ts';

interface Pace {
  readonly pairs: number;
  /** Once for each process, so that its compiler has done its work. */
  readonly warmUpMs: number;
  readonly pythonTurns: number;
  readonly pythonPairs: number;
}

const FULL: Pace = { pairs: 14, warmUpMs: 8000, pythonTurns: 5, pythonPairs: 20_000 };
const QUICK: Pace = { pairs: 4, warmUpMs: 2000, pythonTurns: 1, pythonPairs: 5000 };
const NODES = 3;
const IN_FLIGHT = 64;
/** Of what the leanest client reaches on the same server. */
const LEAN = { least: 0.8, goal: 1 };

/** Both on one server and its nodes, in slices that take turns. */
async function compare(ours: Subject, lean: Subject, pace: Pace): Promise<Gate[]> {
  heading(`acquire + release, ${NODES} redis-servers, ${IN_FLIGHT} in flight`);
  for (const subject of [ours, lean]) await sideOf(subject, IN_FLIGHT)(pace.warmUpMs);
  const { fight, gates } = await ratioGate(ours, { subject: lean, target: LEAN }, IN_FLIGHT, pace);
  table([HEADER, rowOf(ours, fight.a), rowOf(lean, fight.b)]);
  return gates;
}

/** `--quick`: few slices, to see that it runs. */
export async function run(): Promise<boolean> {
  const { values } = parseArgs({ args: process.argv.slice(3), options: { quick: { type: 'boolean' } } });
  const stage = new SessionStage();
  try {
    const pace = values.quick === true ? QUICK : FULL;
    const servers = await stage.nodes(NODES);
    const lean = await stage.holdfast('a Session by hand', servers);
    const ours = await stage.besides(lean, '@holdfast/client', 'client');
    const gates = await compare(ours, lean, pace);
    const { address } = await lean.server!.ask({});
    await sayPython(address, servers.all[0]!.tcpUrl!, pace.pythonTurns, pace.pythonPairs);
    say();
    return judge(gates);
  } finally {
    await stage.stop();
  }
}
