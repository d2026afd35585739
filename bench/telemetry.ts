/** What do metrics and traces cost? Servers with and without them on alternating slices, by pairs a second and by the server's CPU. */
import { parseArgs } from 'node:util';
import { startSink } from './lib/otlp-sink.ts';
import { fixed, type Gate, gate, heading, judge, say } from './lib/report.ts';
import type { Servers } from './lib/servers.ts';
import type { Way } from './lib/session-client.ts';
import { type How, SessionStage, type Subject, sideOf } from './lib/session-stage.ts';
import { cpuPer, duel, median, quantile, rate, ratios, type Side, spreadPercent } from './lib/stats.ts';
import { Callers } from './unary.ts';

/**
 * Of the pairs of slices. Two processes of one build differ by more than is asked here, so servers are started anew
 * often rather than compared for long.
 */
interface Pace {
  readonly rounds: number;
  readonly pairs: number;
  readonly warmUpMs: number;
}

const FULL: Pace = { rounds: 8, pairs: 8, warmUpMs: 4000 };
export const QUICK: Pace = { rounds: 1, pairs: 6, warmUpMs: 3000 };

const NODES = 3;
const IN_FLIGHT = 64;
/** Of the CPU for a pair at most so much, of the pairs a second at least the inverse of it. */
export const METRICS_MOST = 1.03;
const TRACES_MOST = 1.08;

/** One build of the service, and how it is called. */
interface Contestant {
  readonly how: How;
  readonly env?: Readonly<Record<string, string>>;
  readonly way?: Way;
  /** Warmed up by calls that are all traced. */
  readonly sampled?: boolean;
}

type Calls = 'unary' | 'session';

/** The callers of a server that were started, with the server itself, as one side of a duel. */
async function opened(
  stage: SessionStage,
  servers: Servers,
  calls: Calls,
  { how, env = {}, way = 'session', sampled = false }: Contestant,
  warmUpMs: number,
): Promise<Side> {
  const subject: Subject = await stage.holdfast(how, servers, how, { env, way });
  const { plain, traced } = await callersOf(stage, subject, calls);
  if (sampled) {
    // What is done for one call in a hundred is compiled a minute after the start, and costs twice as much until then;
    // a server that has served for an hour is what is asked about.
    await plain(warmUpMs);
    await (await traced())(warmUpMs / 4);
  }
  return plain;
}

interface OfServer {
  readonly plain: Side;
  /** Their callers trace every call. */
  readonly traced: () => Promise<Side>;
}

async function callersOf(stage: SessionStage, subject: Subject, calls: Calls): Promise<OfServer> {
  if (calls === 'session') {
    const traced = async (): Promise<Side> =>
      sideOf(await stage.besides(subject, subject.name, 'session-sampled'), IN_FLIGHT);
    return { plain: sideOf(subject, IN_FLIGHT), traced };
  }
  const callers = await Callers.of(subject.server!);
  stage.onStop(() => callers.stop());
  return { plain: callers.side('locks'), traced: async () => callers.side('sampled') };
}

/** One for each pair of slices: of the server's CPU for a pair of calls, and of pairs a second. */
interface Ratios {
  readonly cpu: number[];
  readonly rate: number[];
}

/** Over servers that are started anew each round. */
export async function contest(calls: Calls, a: Contestant, b: Contestant, pace: Pace): Promise<Ratios> {
  const all: Ratios = { cpu: [], rate: [] };
  for (let round = 0; round < pace.rounds; round += 1) {
    const stage = new SessionStage();
    try {
      const servers = await stage.nodes(NODES);
      // Who is started first has the better place in no round but every other.
      const order = round % 2 === 0 ? [a, b] : [b, a];
      const sides: Side[] = [];
      for (const contestant of order) {
        sides.push(await opened(stage, servers, calls, contestant, pace.warmUpMs));
      }
      const [first, second] = sides as [Side, Side];
      const fight = await duel(
        ...(round % 2 === 0 ? ([first, second] as const) : ([second, first] as const)),
        pace.pairs,
        pace.warmUpMs,
      );
      all.cpu.push(...ratios(fight, (slice) => cpuPer([slice], 'server')));
      all.rate.push(...ratios(fight, rate));
    } finally {
      await stage.stop();
    }
  }
  return all;
}

function told(what: string, all: readonly number[]): string {
  return (
    `${fixed(median(all), 3)}x ${what}, ${all.length} pairs of slices, ` +
    `${fixed(quantile(all, 0), 2)}-${fixed(quantile(all, 1), 2)}x, spread ${fixed(spreadPercent(all), 0)} %`
  );
}

const CPU = "the server's CPU a pair";
const RATE = 'pairs a second';

export function gatesOf(title: string, { cpu, rate: rates }: Ratios, most: number): Gate[] {
  return [
    gate(
      `${title}, ${RATE}`,
      median(rates) >= 1 / most,
      `${told(RATE, rates)} (at least ${fixed(1 / most, 3)}x)`,
    ),
    gate(`${title}, CPU`, median(cpu) <= most, `${told(CPU, cpu)} (at most ${most}x)`),
  ];
}

const PLAIN: Contestant = { how: 'usual' };

async function traced(calls: Calls, pace: Pace): Promise<Gate[]> {
  const sink = await startSink();
  try {
    const env = {
      OTEL_TRACES_EXPORTER: 'otlp',
      OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.01',
    };
    // Of a session its client decides: one pair in a hundred goes through one that is sampled, at either server.
    const way: Way = 'session-traced';
    const both = { how: 'usual', way, sampled: true } as const;
    const all = await contest(calls, { ...both, env }, both, pace);
    const { exports, bytes } = sink.received();
    return [
      ...gatesOf(`${calls}: 1 % traced`, all, TRACES_MOST),
      gate(`${calls}: traces arrived`, exports > 0, `${exports} exports, ${bytes} bytes`),
    ];
  } finally {
    sink.close();
  }
}

/** `--quick`: one round, to see that it runs. `--only unary|session`. */
export async function run(): Promise<boolean> {
  const { values } = parseArgs({
    args: process.argv.slice(3),
    options: { quick: { type: 'boolean' }, only: { type: 'string' } },
  });
  const pace = values.quick === true ? QUICK : FULL;
  const gates: Gate[] = [];
  for (const calls of ['unary', 'session'] as const) {
    if (values.only !== undefined && values.only !== calls) continue;
    heading(`${calls}: acquire + release, ${NODES} redis-servers, ${IN_FLIGHT} in flight`);
    const same = await contest(calls, PLAIN, PLAIN, pace);
    say(`  the same build on both sides: ${told(RATE, same.rate)}; ${told(CPU, same.cpu)}`);
    const all = await contest(calls, PLAIN, { how: 'unmeasured' }, pace);
    gates.push(...gatesOf(`${calls}: metrics`, all, METRICS_MOST));
    say(`  with metrics, to none: ${told(RATE, all.rate)}; ${told(CPU, all.cpu)}`);
    gates.push(...(await traced(calls, pace)));
  }
  say();
  return judge(gates);
}
