/** Many idle streams at one replica: what they cost while they live, and how soon all is over when their client dies. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ListRequest } from '../../src/edge/gen/holdfast/v1/ListRequest.ts';
import type { ListResponse__Output } from '../../src/edge/gen/holdfast/v1/ListResponse.ts';
import { Child } from './children.ts';
import { caller, connected, lockService } from './light-calls.ts';
import type { Servers } from './servers.ts';
import { type ServerChild, startService } from './session-stage.ts';
import type { Heard, Opening } from './streams-client.ts';
import type { ServerState } from './unary-server.ts';

export interface Size {
  readonly streams: number;
  readonly connections: number;
  readonly warmUpStreams: number;
  readonly idleMs: number;
}

export interface Kind {
  readonly name: string;
  readonly what: Opening['what'];
  readonly everyMs: number;
  readonly size: number;
}

export interface Outcome {
  readonly kind: Kind;
  readonly openMs: number;
  /**
   * Bytes for each stream of the second half. Those of the first also pay for what a process takes once it is busy,
   * the room for young objects above all.
   */
  readonly rss: number;
  readonly heap: number;
  readonly external: number;
  /** Bytes for each stream of both halves. */
  readonly rssOfAll: number;
  /** Of the server, of all its threads, while nothing is asked. */
  readonly idleCpuMicros: number;
  readonly idleMs: number;
  /** All that was heard before and after the time in which they were idle. */
  readonly opened: Heard;
  readonly idle: Heard;
  /** From SIGKILL of the client until the server has ended all its calls, and until all nodes have let go of all locks. */
  readonly endedMs: number;
  readonly freedMs: number;
  /** Locks that List shows afterwards. */
  readonly left: number;
  /** Bytes for each stream that are still there. */
  readonly rssAfter: number;
  readonly heapAfter: number;
}

export const TTL_S = 30;
const PREFIX = 'bench/streams/';
const LOOK_MS = 10;
const PATIENCE_MS = 2 * TTL_S * 1000;
/** For what a collection only makes ready to be given back. */
const SETTLE_MS = 1000;

type ClientChild = Child<Opening | Record<string, never>, Heard>;

async function memoryOf(server: ServerChild): Promise<NodeJS.MemoryUsage> {
  await server.ask({ also: 'collect garbage' });
  await sleep(SETTLE_MS);
  return (await server.ask({ also: 'collect garbage' })).memory!;
}

/** What the metrics say of calls that are over, and of releases that nodes have confirmed. */
async function overBy({ httpAddress }: ServerState): Promise<{ ended: number; released: number }> {
  const text = await (await fetch(`http://${httpAddress}/metrics`)).text();
  const total = (what: RegExp): number =>
    [...text.matchAll(what)].reduce((all, [, value]) => all + Number(value), 0);
  return {
    ended: total(/^holdfast_rpc_seconds_count{method="[^"]*\/(?:Hold|Idle)".*} (\S+)$/gm),
    released: total(/^holdfast_votes_total{.*answer="released"} (\S+)$/gm),
  };
}

async function locksLeft(address: string): Promise<number> {
  const client = await connected(address);
  const list = caller<ListRequest, ListResponse__Output>(client, lockService(), 'List');
  let [left, page_token] = [0, ''];
  do {
    const page = await list({ prefix: PREFIX, page_size: 1000, page_token });
    left += page.locks.length;
    page_token = page.next_page_token;
  } while (page_token !== '');
  return left;
}

async function startClient(address: string): Promise<ClientChild> {
  const client: ClientChild = new Child('streams-client.ts', {}, [`${address} ${PREFIX}`]);
  await client.answer();
  return client;
}

/** Kills the client and looks until everything of it is over; NaN for what never was. */
async function kill(
  client: ClientChild,
  state: ServerState,
  streams: number,
  nodes: number,
): Promise<{ endedMs: number; freedMs: number }> {
  const before = await overBy(state);
  const killedMs = performance.now();
  await client.stop();
  let [endedMs, freedMs] = [Number.NaN, nodes === 0 ? 0 : Number.NaN];
  while (performance.now() < killedMs + PATIENCE_MS) {
    const now = await overBy(state);
    const tookMs = performance.now() - killedMs;
    if (Number.isNaN(endedMs) && now.ended - before.ended >= streams) endedMs = tookMs;
    if (Number.isNaN(freedMs) && now.released - before.released >= streams * nodes) freedMs = tookMs;
    if (!Number.isNaN(endedMs + freedMs)) break;
    await sleep(LOOK_MS);
  }
  return { endedMs, freedMs };
}

/** Opens a few streams and drops them, so that what the first call of its kind loads is there before anything is measured. */
async function warmUp(state: ServerState, opening: Opening, nodes: number): Promise<void> {
  const client = await startClient(state.address);
  await client.ask(opening);
  await kill(client, state, opening.streams, nodes);
}

export async function measure(kind: Kind, size: Size, servers: Servers): Promise<Outcome> {
  const { streams, connections, idleMs } = size;
  const server = startService(servers, { HOLDFAST_NAMESPACE: kind.name.replaceAll(/[^a-z]+/gi, '-') });
  const nodes = kind.what === 'hold' ? servers.all.length : 0;
  let client: ClientChild | undefined;
  try {
    const state = await server.answer();
    const half = streams / 2;
    const opening: Opening = { ...kind, first: 0, streams: half, connections, ttlS: TTL_S };
    await warmUp(state, { ...opening, streams: size.warmUpStreams, connections: 5 }, nodes);
    const before = await memoryOf(server);
    client = await startClient(state.address);
    const startedMs = performance.now();
    await client.ask(opening);
    const halfMs = performance.now() - startedMs;
    const between = await memoryOf(server);
    const againMs = performance.now();
    await client.ask({ ...opening, first: half });
    const openMs = halfMs + performance.now() - againMs;
    const during = await memoryOf(server);
    const opened = await client.ask({});
    const { cpuMicros } = await server.ask({});
    await sleep(idleMs);
    const idleCpuMicros = (await server.ask({})).cpuMicros - cpuMicros;
    const idle = await client.ask({});
    const { endedMs, freedMs } = await kill(client, state, streams, nodes);
    const after = await memoryOf(server);
    return {
      ...{ kind, openMs, opened, idle, idleMs, idleCpuMicros, endedMs, freedMs },
      rss: (during.rss - between.rss) / half,
      heap: (during.heapUsed - between.heapUsed) / half,
      external: (during.external - between.external) / half,
      rssOfAll: (during.rss - before.rss) / streams,
      rssAfter: (after.rss - before.rss) / streams,
      heapAfter: (after.heapUsed - before.heapUsed) / streams,
      left: await locksLeft(state.address),
    };
  } finally {
    await client?.stop();
    await server.stop();
  }
}
