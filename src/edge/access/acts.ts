/** What a caller did, or was not let do, announced for the audit log: made only where somebody keeps it. */
import type { Identity } from '../../domain/access.ts';
import type { Lease } from '../../domain/lease.ts';
import type { Act, Probe } from '../../domain/probe.ts';
import type { Refusal } from '../../domain/refusals.ts';
import type { Clock } from '../../std/clock.ts';
import { peerOf } from './identity-of.ts';

export type Facts = Partial<Pick<Act, 'resources' | 'owner' | 'leaseRef' | 'why' | 'detail'>>;

export const factsOf = ({ resources, owner, leaseRef }: Lease): Facts => ({ resources, owner, leaseRef });

/** Refusals of one identity, or of all that are nobody, that are told of in one second; the rest is counted. */
const TOLD_MAX = 20;
const TOLD_MS = 1000;

/** Keeps refusals from filling the log. */
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
  return untold === 0 ? '' : `; ${untold} more were refused and not told of`;
}

export class Acts {
  readonly #probe: Probe;
  readonly #clock: Clock;
  readonly #identity: Identity;
  readonly #peer: string;

  /** `call`: asked now, as one that is over has no peer any more. */
  constructor(probe: Probe, clock: Clock, identity: Identity, call: object) {
    this.#probe = probe;
    this.#clock = clock;
    this.#identity = identity;
    this.#peer = this.kept ? peerOf(call) : '';
  }

  /** Whether somebody keeps them. */
  get kept(): boolean {
    return this.#probe.audited === true;
  }

  acted(action: string, outcome: string, facts: Facts = {}): void {
    if (!this.kept) return;
    const { resources = [], owner = '', leaseRef = '', why = '', detail = '' } = facts;
    this.#probe.acted({
      timeMs: this.#clock.wallMicros() / 1000,
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
      traceId: this.#probe.traces?.current()?.split('-')[1] ?? '',
    });
  }

  /** By a rule or a quota: the locks never hear of it. */
  refused(action: string, refusal: Refusal, facts: Facts, telling: Telling | undefined): Refusal {
    const { reason, message, metadata } = refusal;
    if (reason === 'DENIED') this.#probe.denied(metadata.verb ?? '');
    if (reason === 'QUOTA') this.#probe.overQuota(metadata.quota ?? '');
    const untold = this.kept ? (telling === undefined ? 0 : telling.next()) : undefined;
    if (untold === undefined) return refusal;
    this.acted(action, reason, { ...facts, detail: message + untoldText(untold) });
    return refusal;
  }
}

/** `CheckToken` of a path as acts and counters name it: `check_token`. */
export function actionOf(path: string): string {
  return path
    .slice(path.lastIndexOf('/') + 1)
    .replace(/(?<=[a-z])[A-Z]/g, '_$&')
    .toLowerCase();
}
