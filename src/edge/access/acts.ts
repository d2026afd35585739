/** What a caller did, or was not let do, announced for the audit log: made only where somebody keeps it. */
import type { Identity } from '../../domain/access.ts';
import type { Lease } from '../../domain/lease.ts';
import type { Act, Probe } from '../../domain/probe.ts';
import type { Refusal } from '../../domain/refusals.ts';
import type { Clock } from '../../std/clock.ts';
import { peerOf } from './identity-of.ts';

export type Facts = Partial<Pick<Act, 'resources' | 'owner' | 'leaseRef' | 'why' | 'detail'>>;

export const factsOf = ({ resources, owner, leaseRef }: Lease): Facts => ({ resources, owner, leaseRef });

/** Acts of one identity, or of all that are nobody, that changed nothing and are told of in one second. */
const TOLD_MAX = 20;
const TOLD_MS = 1000;

/** Keeps whoever is refused, or lets go of what is not there, from filling the log and crowding out what was done. */
export class Telling {
  readonly #clock: Clock;
  #sinceMs = -Infinity;
  #told = 0;
  #untold = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many were not told of since the last that was; undefined: this one is not, either. */
  next(): number | undefined {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#sinceMs >= TOLD_MS) {
      this.#sinceMs = nowMs;
      this.#told = 0;
    }
    if (this.#told >= TOLD_MAX) {
      this.#untold += 1;
      return undefined;
    }
    this.#told += 1;
    const untold = this.#untold;
    this.#untold = 0;
    return untold;
  }
}

/** What the next one that is told of says of those before it. */
export function untoldText(untold: number): string {
  return untold === 0 ? '' : `; ${untold} more changed nothing and were not told of`;
}

export class Acts {
  readonly #probe: Probe;
  readonly #clock: Clock;
  readonly #identity: Identity;
  readonly #telling: Telling;
  readonly #peer: string;
  readonly #traceId: string;

  /** `call`: asked now, as one that is over has neither a peer nor a span any more. */
  constructor(probe: Probe, clock: Clock, identity: Identity, call: object, telling: Telling) {
    this.#probe = probe;
    this.#clock = clock;
    this.#identity = identity;
    this.#telling = telling;
    this.#peer = this.kept ? peerOf(call) : '';
    this.#traceId = this.kept ? this.#traceNow : '';
  }

  /** Whether somebody keeps them. */
  get kept(): boolean {
    return this.#probe.audited === true;
  }

  get nowMs(): number {
    return this.#clock.wallMicros() / 1000;
  }

  /** Something has changed, or an operator has asked for it: always written down. */
  acted(action: string, outcome: string, facts: Facts = {}, atMs?: number): void {
    if (!this.kept) return;
    const { resources = [], owner = '', leaseRef = '', why = '', detail = '' } = facts;
    this.#probe.acted({
      timeMs: atMs ?? this.nowMs,
      action,
      identity: this.#identity.name,
      tenant: this.#identity.tenant,
      peer: this.#peer,
      resources,
      owner,
      leaseRef,
      why,
      outcome,
      detail,
      traceId: this.#traceNow || this.#traceId,
    });
  }

  /** Nothing has changed. */
  idle(action: string, outcome: string, facts: Facts = {}, atMs?: number): void {
    const untold = this.kept ? this.#telling.next() : undefined;
    if (untold === undefined) return;
    const { detail = '' } = facts;
    this.acted(action, outcome, { ...facts, detail: detail + untoldText(untold) }, atMs);
  }

  refused(action: string, { reason, message }: Refusal, facts: Facts = {}): void {
    this.idle(action, reason, { ...facts, detail: message });
  }

  /** `was`: it was held until now. */
  released(was: boolean, facts: Facts): void {
    if (was) this.acted('release', 'released', facts);
    else this.idle('release', 'not_held', facts);
  }

  /** By a rule or a quota: the locks never hear of it. */
  stopped(action: string, refusal: Refusal, facts: Facts): Refusal {
    const { reason, metadata } = refusal;
    if (reason === 'DENIED') this.#probe.denied(metadata.verb ?? '');
    if (reason === 'QUOTA') this.#probe.overQuota(metadata.quota ?? '');
    this.refused(action, refusal, facts);
    return refusal;
  }

  /** A name that it may ask for and that nobody knows: a look at what another tenant has is told apart by nothing. */
  looked<Answer extends object>(
    action: string,
    resource: string,
    answer: Answer | Refusal,
  ): Answer | Refusal {
    if ('reason' in answer && answer.reason === 'UNKNOWN_RESOURCE') {
      this.refused(action, answer, { resources: [resource] });
    }
    return answer;
  }

  get #traceNow(): string {
    return this.#probe.traces?.current()?.split('-')[1] ?? '';
  }
}

/** `CheckToken` of a path as acts and counters name it: `check_token`. */
export function actionOf(path: string): string {
  return path
    .slice(path.lastIndexOf('/') + 1)
    .replace(/(?<=[a-z])[A-Z]/g, '_$&')
    .toLowerCase();
}
