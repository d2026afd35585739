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
import { heartbeat } from './heartbeat.ts';
import { Holds } from './holds.ts';
import { checkToken, history, inspect, list } from './inspect.ts';
import { Line, type LineSettings } from './line.ts';
import type { HeartbeatAsk, Locks, ReleaseAsk, Renewed } from './locks.ts';
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

export function makeLocks({
  quorum,
  random,
  probe,
  waiting,
  yieldAfterMs = YIELD_AFTER_MS,
}: DeskOptions): Locks {
  const line = new Line(quorum, waiting, probe);
  const holds = new Holds({ quorum, random, probe, line, yieldAfterMs });
  const watches = new Watches(quorum);
  const counter = { quorum, random, line, probe };

  async function told<A extends Answered>(name: string, outcomeOf: (answer: A) => Outcome, act: Promise<A>) {
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

  return {
    acquire: (ask, caller) => told('acquire', taken, acquire(counter, ask, caller)),
    async hold(ask, caller, news) {
      const answer = await told('acquire', taken, acquire(counter, ask, caller));
      return answer.kind === 'lease' ? holds.take(answer, caller, news) : answer;
    },
    resume: (lease, news) => told('resume', () => 'renewed', holds.resume(lease, news)),
    heartbeat: (ask) => told('heartbeat', () => 'renewed', renew(quorum, ask, yieldAfterMs)),
    async release(ask) {
      const tell = holds.letGo(ask.lease.value);
      const answer = await told(
        'release',
        (ended) => ('released' in ended && ended.released ? 'released' : 'gone'),
        handOver(quorum, line, ask),
      );
      tell?.();
      if (answer.kind === 'released' && !answer.released) probe.ownershipViolation('release');
      return answer;
    },
    giveBack: (lease) => takenBack(quorum, probe, lease),
    inspect: (resource, historyLimit) =>
      told('inspect', () => 'read', inspect(quorum, resource, historyLimit)),
    history: (ask) => told('history', () => 'read', history(quorum, ask)),
    list: (ask) => told('list', () => 'read', list(quorum, ask)),
    checkToken: (resource, token) => told('check_token', () => 'read', checkToken(quorum, resource, token)),
    forceRelease: (ask) => told('force_release', () => 'forced', forceRelease(quorum, ask)),
    watch: (ask, watcher) => watches.watch(ask, watcher),
    drain: () => line.drain(),
    settled: () => holds.settled(),
    get keptCount() {
      return holds.count;
    },
  };
}

async function takenBack(quorum: Quorum, probe: Probe, lease: LeaseName): Promise<boolean> {
  const startedMs = quorum.clock.monotonicMs();
  const released = await giveBack(quorum, lease);
  probe.operation('give_back', released ? 'released' : 'gone', quorum.clock.monotonicMs() - startedMs);
  return released;
}

/** The release and the hold of whoever is next leave in one script: both are asked for in this tick. */
function handOver(quorum: Quorum, line: Line, ask: ReleaseAsk): ReturnType<typeof release> {
  const released = release(quorum, ask);
  line.handOver(ask.lease.resources, ask.lease.token);
  return released;
}

async function renew(quorum: Quorum, ask: HeartbeatAsk, yieldAfterMs: number): Promise<Renewed | Refusal> {
  const answer = await heartbeat(quorum, ask, formatLeaseId(ask.lease));
  if (answer.kind === 'refusal') return answer;
  assert(answer.kind === 'extension', 'only a stream names its binding');
  const { lease, priority, waited } = answer;
  const asker = waited ? await askerFor(quorum, lease, { priority, afterMs: yieldAfterMs }) : undefined;
  return { kind: 'renewed', lease, asker };
}
