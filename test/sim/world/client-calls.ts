/** A client that keeps its lease by calls: acquire, heartbeat, release, each asked again elsewhere when no answer comes. */
import { type Lease, type LeaseName, leaseNameOf } from '../../../src/domain/lease.ts';
import type { AcquireAsk } from '../../../src/locks/locks.ts';
import type { Released, Renewed } from '../../harness/history/history.ts';
import type { Habits } from '../plan.ts';
import { type Belief, goodForMs } from './belief.ts';
import type { Life, Open } from './life.ts';

export interface Round {
  readonly life: Life;
  readonly ask: AcquireAsk;
  readonly habits: Habits;
  /** Which replica it asks first. */
  readonly at: number;
  readonly replicas: number;
  stopping(): boolean;
}

const TRIES = 3;
/** Repeats a request that was answered. */
const ANSWERED_TOO = 0.2;

export async function byCalls(round: Round): Promise<void> {
  const { life, habits, ask } = round;
  const had = await acquire(round);
  if (had === undefined) return;
  const { lease } = had;
  const belief = life.believe(lease);
  // Where a wait has used it up, or a repeat met it, only a Heartbeat tells what it is good for.
  const sure = had.untilMs - life.ownMs > 0.75 * goodForMs(ask.ttlMs);
  if (sure) belief.extend(had.untilMs);
  const place = { at: round.at, round, belief, name: leaseNameOf(lease) };
  if (!sure && !(await beat(place, true))) {
    belief.end('lost');
    life.forget(belief);
    await release(place);
    return;
  }
  const forgets = life.chance.happens(habits.forgets);
  await work(place, forgets);
  if (forgets && life.chance.happens(0.5)) {
    // Nobody lets it go: it ends by its ttl.
    await life.sleep(Math.max(0, belief.leftMs));
    belief.end('expired');
  } else {
    belief.end('released');
    await release(place);
  }
  life.forget(belief);
  if (ask.requestId !== '' && life.chance.happens(ANSWERED_TOO)) await again(round);
}

interface Place {
  at: number;
  readonly round: Round;
  readonly belief: Belief;
  readonly name: LeaseName;
}

/** A lease, and until when it is good by the client's own count. */
async function acquire(round: Round): Promise<{ lease: Lease; untilMs: number } | undefined> {
  const { life, ask, habits, replicas } = round;
  const cancelMs = life.chance.happens(habits.cancels)
    ? life.chance.between([0, ask.waitMs + 20])
    : undefined;
  let repeatIt = ask.requestId !== '' && life.chance.happens(ANSWERED_TOO);
  for (let tried = 0; tried < TRIES && !round.stopping(); tried += 1) {
    const asked = life.record(ask);
    const startedMs = life.ownMs;
    const answer = await life.acquire((round.at + tried) % replicas, ask, tried === 0 ? cancelMs : undefined);
    life.answered(asked, answer);
    if (answer.kind === 'lease') {
      const untilMs = answer.replayed ? Number.NEGATIVE_INFINITY : startedMs + goodForMs(answer.ttlMs);
      if (!repeatIt) return { lease: answer, untilMs };
      repeatIt = false;
    } else if (answer.kind === 'busy' || answer.kind === 'cancelled') return undefined;
    else if (answer.kind === 'refusal' && !passes(answer.reason)) return undefined;
    else if (ask.requestId === '') await life.sleep(life.chance.between([5, 200]));
  }
  return undefined;
}

/** Another replica, or another moment, may say otherwise. */
function passes(reason: string): boolean {
  return reason === 'NO_QUORUM' || reason === 'DRAINING';
}

/** The request comes once more after its lease was let go: it must not lock. */
async function again({ life, ask, at, replicas }: Round): Promise<void> {
  const once = { ...ask, waitMs: 0 };
  const asked = life.record(once);
  const answer = await life.acquire((at + 1) % replicas, once);
  life.answered(asked, answer);
}

/** Uses what it holds, renewing it at a third of its ttl, until it has had enough or its count ends. */
async function work(place: Place, forgets: boolean): Promise<void> {
  const { round, belief } = place;
  const { life, habits, ask } = round;
  const { chance } = life;
  const untilMs = life.ownMs + chance.between(habits.holdMs);
  let beatMs = life.ownMs + ask.ttlMs / 3;
  while (belief.valid && life.ownMs < untilMs && !round.stopping()) {
    const pauseMs = chance.between([0, Math.max(1, untilMs - life.ownMs)]);
    if (ask.mode === 'exclusive') await life.stage.registers.use(life, belief, pauseMs / 3);
    const dueMs = forgets ? untilMs : Math.min(untilMs, beatMs);
    await life.sleep(Math.max(0, Math.min(pauseMs, dueMs - life.ownMs)));
    if (forgets || life.ownMs < beatMs) continue;
    const renewed = await beat(place, false);
    beatMs = life.ownMs + (renewed ? ask.ttlMs / 3 : ask.ttlMs / 20);
  }
}

/** One Heartbeat; false when nobody knows, or the lease is gone. */
async function beat(place: Place, stubborn: boolean): Promise<boolean> {
  const { round, belief, name } = place;
  const { life, replicas } = round;
  for (let tried = 0; tried < (stubborn ? TRIES : 1); tried += 1) {
    const startedMs = life.ownMs;
    const renewed: Open<Renewed> = {
      kind: 'renew',
      client: life.name,
      leaseRef: belief.lease.leaseRef,
      calledMs: life.nowMs,
      outcome: 'unknown',
    };
    life.stage.history.push(renewed);
    const answer = await life.ask(place.at, (locks) => locks.heartbeat({ lease: name, progress: '' }));
    if (answer.kind === 'renewed') {
      renewed.answeredMs = life.nowMs;
      renewed.outcome = 'renewed';
      belief.extend(startedMs + goodForMs(answer.lease.ttlMs));
      return true;
    }
    if (answer.kind === 'refusal' && answer.reason === 'LEASE_LOST') {
      renewed.answeredMs = life.nowMs;
      renewed.outcome = 'lost';
      belief.end('lost');
      return false;
    }
    place.at = (place.at + 1) % replicas;
  }
  return false;
}

export async function release(place: Pick<Place, 'at' | 'round' | 'belief' | 'name'>): Promise<void> {
  const { round, belief, name } = place;
  const { life, replicas } = round;
  for (let tried = 0; tried < TRIES; tried += 1) {
    const released: Open<Released> = {
      kind: 'release',
      client: life.name,
      leaseRef: belief.lease.leaseRef,
      calledMs: life.nowMs,
      outcome: 'unknown',
    };
    life.stage.history.push(released);
    const at = (place.at + tried) % replicas;
    const answer = await life.ask(at, (locks) => locks.release({ lease: name, reason: 'done' }));
    if (answer.kind === 'released') {
      released.answeredMs = life.nowMs;
      released.outcome = answer.released ? 'released' : 'gone';
      return;
    }
  }
}
