/** One process of callers that make pairs of acquire and release: over a Session, by the redlock package, or at etcd. */
import { Holdfast } from '../../clients/typescript/src/index.ts';
import { serveParent } from './children.ts';
import { connectEtcd } from './etcd-calls.ts';
import { openEtcd } from './handoff-grpc.ts';
import { SAMPLED } from './light-calls.ts';
import { LightSession } from './light-session.ts';
import { counted, type Pair, timed } from './load.ts';
import { openTheirs } from './sides.ts';
import type { Slice } from './stats.ts';

export type Way =
  | 'session'
  | 'session-traced'
  | 'session-sampled'
  | 'client'
  | 'redlock'
  | 'redlock-pipelined'
  | 'etcd'
  | 'etcd-leases';

/** For so long, or so many pairs each. */
export type Task = { readonly inFlight: number } & (
  | { readonly ms: number; readonly each?: never }
  | { readonly each: number; readonly ms?: never }
);

export interface Done extends Slice {
  /** Messages of a Session, in either direction, since the start. */
  readonly sent: number;
  readonly received: number;
}

const MOST_LOOPS = 256;
const TTL_S = 30;

const [way = '', ...addresses] = (process.argv[2] ?? '').split(' ');

async function sessionPair(session: LightSession): Promise<Pair> {
  await session.connected();
  return async (loop) => {
    const resource = `bench/session/${loop}`;
    const { leaseId } = await session.acquire(resource, resource, TTL_S);
    if (!(await session.release(leaseId))) throw new Error(`${resource} was not released`);
  };
}

/** One pair in so many goes through a second session, which its client has sampled. */
const TRACED_EACH = 100;

async function tracedPair(session: LightSession): Promise<Pair> {
  const [plain, traced] = [
    await sessionPair(session),
    await sessionPair(new LightSession(addresses[0]!, SAMPLED)),
  ];
  let pairs = 0;
  return (loop) => {
    pairs += 1;
    return (pairs % TRACED_EACH === 0 ? traced : plain)(loop);
  };
}

/** The client as everybody uses it: no other option, and no owner of its own making. */
async function clientPair(): Promise<Pair> {
  const holdfast = new Holdfast({ addresses, ttl: `${TTL_S}s` });
  await holdfast.status();
  return async (loop) => {
    const resource = `bench/client/${loop}`;
    const lease = await holdfast.acquire(resource);
    if (!(await lease.release())) throw new Error(`${resource} was not released`);
  };
}

async function etcdPair(): Promise<Pair> {
  const owners = Array.from({ length: MOST_LOOPS }, (_, loop) => `bench/session/${loop}`);
  const takers = await openEtcd(addresses, owners);
  return async (loop) => {
    const { release } = await takers[loop]!(owners[loop]!);
    await release();
  };
}

/** As ours: each lock has a lease of its own, which ends with it. */
async function etcdLeasePair(): Promise<Pair> {
  const { grant, lock, revoke } = await connectEtcd(addresses[0]!);
  return async (loop) => {
    const { ID } = await grant({ TTL: String(TTL_S) });
    await lock({ name: Buffer.from(`bench/leases/${loop}`), lease: ID });
    await revoke({ ID });
  };
}

async function open(): Promise<{ readonly pair: Pair; readonly session?: LightSession }> {
  if (way === 'session' || way === 'session-sampled') {
    const session = new LightSession(addresses[0]!, way === 'session' ? {} : SAMPLED);
    return { pair: await sessionPair(session), session };
  }
  if (way === 'session-traced') {
    const session = new LightSession(addresses[0]!);
    return { pair: await tracedPair(session), session };
  }
  if (way === 'client') return { pair: await clientPair() };
  if (way === 'etcd') return { pair: await etcdPair() };
  if (way === 'etcd-leases') return { pair: await etcdLeasePair() };
  return openTheirs(addresses, way === 'redlock-pipelined');
}

const { pair, session } = await open();

async function act(task: Task): Promise<Slice> {
  if (task.ms !== undefined) return timed(pair, task.inFlight, { client: 0 })(task.ms);
  await counted(pair, task.inFlight, task.each);
  return { done: task.inFlight * task.each, tookMs: 0, cpu: {}, latenciesMs: [] };
}

const messages = (): { sent: number; received: number } => ({
  sent: session?.sent ?? 0,
  received: session?.received ?? 0,
});
serveParent<Task, Done>({ done: 0, tookMs: 0, cpu: {}, latenciesMs: [], ...messages() }, async (task) => ({
  ...(await act(task)),
  ...messages(),
}));
