/** The desk: hands each question to the file that knows its answer, and announces how it ended. */
import { formatLeaseId, type LeaseName } from '../domain/lease.ts';
import type { Outcome, Probe } from '../domain/probe.ts';
import type { Refusal } from '../domain/refusals.ts';
import type { Quorum } from '../quorum/quorum.ts';
import { assert } from '../std/assert.ts';
import type { Random } from '../std/random.ts';
import { acquire } from './acquire.ts';
import { askerFor } from './asker.ts';
import { callerGone } from './attempt.ts';
import { Chronicle, UNHEARD } from './chronicle.ts';
import { heartbeat } from './heartbeat.ts';
import { Holds } from './holds.ts';
import { checkToken, history, inspect, list } from './inspect.ts';
import { Line, type LineSettings } from './line.ts';
import type { AcquireAsk, Caller, HeartbeatAsk, Locks, ReleaseAsk, Renewed } from './locks.ts';
import { forceRelease, giveBack, release } from './release.ts';
import { Watches } from './watch.ts';

export interface DeskOptions {
  readonly quorum: Quorum;
  readonly random: Random;
  readonly probe: Probe;
  readonly waiting: LineSettings;
  /** How long somebody of higher priority waits before a holder is asked to yield; 5 s unless said. */
  readonly yieldAfterMs?: number;
}

const YIELD_AFTER_MS = 5000;

type Answered = { readonly kind: string } | Refusal;

/** What all questions share. */
interface Desk {
  readonly quorum: Quorum;
  readonly random: Random;
  readonly probe: Probe;
  readonly line: Line;
  readonly holds: Holds;
  readonly chronicle: Chronicle;
  readonly yieldAfterMs: number;
}

export function makeLocks(options: DeskOptions): Locks {
  const { quorum, random, probe, waiting, yieldAfterMs = YIELD_AFTER_MS } = options;
  const line = new Line(quorum, waiting, probe);
  const chronicle = new Chronicle(quorum, probe);
  const shared = { quorum, random, probe, line, chronicle, yieldAfterMs };
  const holds = new Holds({
    ...shared,
    async release(ask, owner, binding) {
      const answer = await handOver(shared, ask, binding);
      if (answer.kind === 'released' && answer.released) chronicle.released(ask.lease, owner, ask.reason);
      return answer;
    },
  });
  const desk = { ...shared, holds };
  const watches = new Watches(quorum);
  return {
    ...takes(desk),
    ...frees(desk),
    ...looks(desk),
    watch: (ask, watcher) => watches.watch(ask, watcher),
    drain: () => line.drain(),
    settled: () => holds.settled(),
    get keptCount() {
      return holds.count;
    },
  };
}

/** Announces how it ended. */
async function told<A extends Answered>(
  { quorum, probe }: Desk,
  name: string,
  outcomeOf: (answer: A) => Outcome,
  act: Promise<A>,
): Promise<A> {
  const startedMs = quorum.clock.monotonicMs();
  const answer = await act;
  const tookMs = quorum.clock.monotonicMs() - startedMs;
  if (answer === callerGone) {
    // No defect, although nobody is left to be told anything better.
    probe.operation(name, 'gone', tookMs);
  } else if (answer.kind === 'refusal') {
    const { reason, metadata } = answer as Refusal;
    probe.operation(name, 'refused', tookMs, reason);
    // A lease that no node has ever known, or one that somebody else freed: the caller acts on what is not its own.
    if (reason === 'LEASE_LOST' && metadata.why === 'unknown') probe.ownershipViolation(name);
  } else {
    probe.operation(name, outcomeOf(answer), tookMs);
  }
  return answer;
}

const taken = ({ kind }: { readonly kind: string }): Outcome => (kind === 'lease' ? 'granted' : 'busy');

function takes(desk: Desk): Pick<Locks, 'acquire' | 'hold' | 'resume' | 'heartbeat'> {
  const { quorum, chronicle, holds, yieldAfterMs } = desk;
  async function granting(ask: AcquireAsk, caller: Caller) {
    const answer = await told(desk, 'acquire', taken, acquire(desk, ask, caller));
    if (answer.kind === 'lease') chronicle.granted(answer, caller.seal);
    return answer;
  }
  async function keeping<A extends Answered>(name: string, lease: LeaseName, act: Promise<A | Refusal>) {
    const answer = await told(desk, name, () => 'renewed', act);
    if (answer.kind !== 'refusal') return answer;
    const { reason, metadata } = answer as Refusal;
    const { why } = metadata;
    if (reason === 'LEASE_LOST' && (why === 'expired' || why === 'forced')) chronicle.lost(lease, '', why);
    return answer;
  }
  return {
    acquire: granting,
    async hold(ask, caller, news) {
      const answer = await granting(ask, caller);
      return answer.kind === 'lease' ? holds.take(answer, caller, news) : answer;
    },
    resume: (lease, news) => keeping('resume', lease, holds.resume(lease, news)),
    heartbeat: (ask) => keeping('heartbeat', ask.lease, renew(quorum, ask, yieldAfterMs)),
  };
}

function frees(desk: Desk): Pick<Locks, 'release' | 'giveBack' | 'forceRelease'> {
  const { quorum, probe, chronicle, holds } = desk;
  return {
    async release(ask) {
      const kept = holds.letGo(ask.lease.value);
      const answer = await told(
        desk,
        'release',
        (ended) => ('released' in ended && ended.released ? 'released' : 'gone'),
        handOver(desk, ask),
      );
      kept?.tell();
      if (answer.kind !== 'released') return answer;
      if (answer.released) chronicle.released(ask.lease, kept?.owner ?? '', ask.reason);
      else probe.ownershipViolation('release');
      return answer;
    },
    async giveBack(lease) {
      const startedMs = quorum.clock.monotonicMs();
      const released = await giveBack(quorum, lease);
      probe.operation('give_back', released ? 'released' : 'gone', quorum.clock.monotonicMs() - startedMs);
      if (released) chronicle.released(lease, '', UNHEARD);
      return released;
    },
    async forceRelease(ask) {
      const answer = await told(desk, 'force_release', () => 'forced', forceRelease(quorum, ask));
      if (answer.kind === 'forced') chronicle.forced(answer.freed, ask.reason);
      return answer;
    },
  };
}

function looks(desk: Desk): Pick<Locks, 'inspect' | 'history' | 'list' | 'checkToken'> {
  const { quorum, probe } = desk;
  const read = (): Outcome => 'read';
  return {
    inspect: (resource, historyLimit) => told(desk, 'inspect', read, inspect(quorum, resource, historyLimit)),
    history: (ask) => told(desk, 'history', read, history(quorum, ask)),
    list: (ask) => told(desk, 'list', read, list(quorum, ask)),
    async checkToken(resource, token) {
      const answer = await told(desk, 'check_token', read, checkToken(quorum, resource, token));
      if (answer.kind === 'check' && !answer.current) probe.staleToken('check_token');
      return answer;
    },
  };
}

/**
 * The release and the hold of whoever is next leave in one script: both are asked for in this tick. Where the grant was
 * traced, the release is linked to it.
 */
function handOver(
  { quorum, line, probe: { traces }, chronicle }: Omit<Desk, 'holds'>,
  ask: ReleaseAsk,
  binding?: number,
): ReturnType<typeof release> {
  const { resources, token, value } = ask.lease;
  const grant = chronicle.traced.take(value);
  const act = (): ReturnType<typeof release> => {
    const released = release(quorum, ask, binding);
    line.handOver(resources, token, grant);
    return released;
  };
  return grant === undefined || traces === undefined ? act() : traces.release(grant, act);
}

async function renew(quorum: Quorum, ask: HeartbeatAsk, yieldAfterMs: number): Promise<Renewed | Refusal> {
  const answer = await heartbeat(quorum, ask, formatLeaseId(ask.lease));
  if (answer.kind === 'refusal') return answer;
  assert(answer.kind === 'extension', 'only a stream names its binding');
  const { lease, priority, waited } = answer;
  const asker = waited ? await askerFor(quorum, lease, { priority, afterMs: yieldAfterMs }) : undefined;
  return { kind: 'renewed', lease, asker };
}
