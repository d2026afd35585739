/** What does a lock cost the server's CPU beyond the two unary calls that carry it, without and with tracing? */
import { Child } from './lib/children.ts';
import { startSink } from './lib/otlp-sink.ts';
import { fixed, type Gate, gate, heading, judge, say, table } from './lib/report.ts';
import { type Servers, startServers } from './lib/servers.ts';
import {
  cpuPer,
  duel,
  latencies,
  median,
  quantile,
  rate,
  ratios,
  type Side,
  type Slice,
  spreadPercent,
  sum,
} from './lib/stats.ts';
import type { Run } from './lib/unary-client.ts';
import type { ServerState } from './lib/unary-server.ts';

const IN_FLIGHT = 64;
const CLIENTS = 4;
const NODES = 3;
const PAIRS = 24;
/** Eight processes on few cores: the server's compiler is at work for longer than in a busy loop of one process. */
const WARM_UP_MS = 12_000;

type ServerChild = Child<object, ServerState>;
type ClientChild = Child<Run, Slice>;

/** The client processes of one server. */
export class Callers {
  readonly #server: ServerChild;
  readonly #clients: ClientChild[] = [];

  private constructor(server: ServerChild) {
    this.#server = server;
  }

  static async of(server: ServerChild): Promise<Callers> {
    const { address } = await server.ask({});
    const callers = new Callers(server);
    try {
      for (let index = 0; index < CLIENTS; index += 1) {
        const args = [`${address} ${index} ${IN_FLIGHT / CLIENTS}`];
        const client: ClientChild = new Child('unary-client.ts', {}, args);
        callers.#clients.push(client);
        await client.answer();
      }
      return callers;
    } catch (error) {
      await callers.stop();
      throw error;
    }
  }

  /** All clients at once; CPU is the server's alone, by its own word before and after. */
  side(what: Run['what']): Side {
    return async (ms) => {
      const before = await this.#server.ask({});
      const slices = await Promise.all(this.#clients.map((client) => client.ask({ what, ms })));
      const after = await this.#server.ask({});
      return {
        done: sum(slices.map(({ done }) => done)),
        tookMs: Math.max(...slices.map(({ tookMs }) => tookMs)),
        cpu: { server: after.cpuMicros - before.cpuMicros },
        latenciesMs: slices.flatMap(({ latenciesMs }) => latenciesMs),
      };
    };
  }

  async stop(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.stop()));
  }
}

function rowOf(name: string, slices: readonly Slice[]): string[] {
  const { p50, p99 } = latencies(slices);
  return [name, fixed(median(slices.map(rate)), 0), fixed(cpuPer(slices)), fixed(p50, 2), fixed(p99, 2)];
}

/** How many operations went to a node in one script, by the server's own metrics. */
async function operationsTogether(httpAddress: string): Promise<number> {
  const text = await (await fetch(`http://${httpAddress}/metrics`)).text();
  const figure = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
  return figure('holdfast_batch_operations_sum') / figure('holdfast_batch_operations_count');
}

/** Alternates locks with no-ops of the same server; the ratios of its CPU, one for each pair of slices. */
async function contest(server: ServerChild, more: (state: ServerState) => Promise<void>): Promise<number[]> {
  const state = await server.answer();
  let callers: Callers | undefined;
  try {
    callers = await Callers.of(server);
    const fight = await duel(callers.side('locks'), callers.side('noop'), PAIRS, WARM_UP_MS);
    table([
      ['', 'pairs/s', 'server us/pair', 'p50 ms', 'p99 ms'],
      rowOf('acquire + release', fight.a),
      rowOf('two no-ops', fight.b),
    ]);
    await more(state);
    return ratios(fight, (slice) => cpuPer([slice]));
  } finally {
    await callers?.stop();
    await server.stop();
  }
}

function told(all: number[]): string {
  return (
    `${fixed(median(all), 2)}x the server's CPU for two no-ops, ${all.length} pairs of slices, ` +
    `${fixed(quantile(all, 0), 2)}-${fixed(quantile(all, 1), 2)}x, spread ${fixed(spreadPercent(all), 0)} %`
  );
}

async function measure(title: string, most: number, server: ServerChild): Promise<Gate> {
  const all = await contest(server, async ({ httpAddress }) =>
    say(`  ${fixed(await operationsTogether(httpAddress))} operations in one script`),
  );
  return gate(title, median(all) <= most, `${told(all)} (at most ${most}x)`);
}

/** What of the ratio no node can change: calls answered at once, and calls with votes that nobody has to be asked for. */
async function floors(): Promise<void> {
  for (const [mode, title] of [
    ['edge', 'locks that answer at once, no vote'],
    ['votes', 'votes without nodes'],
  ] as const) {
    heading(title);
    say(`  ${told(await contest(new Child('floor-server.ts', {}, [mode]), async () => {}))}`);
  }
}

/** Each server has a namespace, and so a cluster, of its own. */
function startServer(servers: Servers, namespace: string, env: Record<string, string> = {}): ServerChild {
  return new Child('unary-server.ts', {
    HOLDFAST_LISTEN: '127.0.0.1:0',
    HOLDFAST_HTTP_LISTEN: '127.0.0.1:0',
    HOLDFAST_REDIS_NODES: servers.all.map(({ url }) => url).join(','),
    HOLDFAST_NODE_TIMEOUT: '1s',
    HOLDFAST_NAMESPACE: namespace,
    HOLDFAST_BOOTSTRAP: '1',
    ...env,
  });
}

async function withTracing(servers: Servers): Promise<Gate[]> {
  const sink = await startSink();
  try {
    const server = startServer(servers, 'traced', {
      OTEL_TRACES_EXPORTER: 'otlp',
      OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.01',
    });
    const ratio = await measure('1 % of calls traced', 1.5, server);
    const { exports, bytes } = sink.received();
    return [ratio, gate('traces arrived', exports > 0, `${exports} exports, ${bytes} bytes`)];
  } finally {
    sink.close();
  }
}

export async function run(): Promise<boolean> {
  const servers = await startServers(NODES);
  try {
    heading(
      `unary gRPC, ${NODES} redis-servers, ${IN_FLIGHT} in flight from ${CLIENTS} client processes, no tracing`,
    );
    const gates = [await measure('no tracing', 1.35, startServer(servers, 'plain'))];
    heading('the same with 1 % of calls traced');
    gates.push(...(await withTracing(servers)));
    await floors();
    say();
    return judge(gates);
  } finally {
    await servers.stop();
  }
}
