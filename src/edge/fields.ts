/** The rules of single request fields, and the list of every one that a request breaks. */
import { type LeaseName, parseLeaseId } from '../domain/lease.ts';
import { limits } from '../domain/limits.ts';
import { prefixFault, resourceFault, textFault } from '../domain/names.ts';
import { type FieldViolation, invalidFields, type Refusal } from '../domain/refusals.ts';
import type { Duration__Output } from './gen/google/protobuf/Duration.ts';

/** The ttls that this service grants. */
export interface TtlSettings {
  readonly minTtlMs: number;
  readonly maxTtlMs: number;
  readonly defaultTtlMs: number;
}

/** The range of google.protobuf.Duration, about 10,000 years. */
const SECONDS_MAX = 315_576_000_000;
const NANOS_MAX = 999_999_999;
/** A 64-bit number: text from proto-loader, two halves where it had no part in the reading (UnreadRequest). */
export type Wide = string | { toNumber(): number; toString(): string };

/** Exact up to 2^53. */
export function numberOf(wide: Wide): number {
  return typeof wide === 'string' ? Number(wide) : wide.toNumber();
}

/** What leaseRefOf() makes; anything else cannot name a lease. */
const LEASE_REF = /^[A-Za-z0-9_-]{16}$/;

/** A refusal of a message that was part of another: paths begin at the top of that one. */
export function within(path: string, refusal: Refusal): Refusal {
  if (refusal.fields.length === 0) return refusal;
  return invalidFields(refusal.fields.map((fault) => ({ ...fault, field: `${path}.${fault.field}` })));
}

/** One for all: a lease keeps its labels for as long as it lives. */
const NO_LABELS: Readonly<Record<string, string>> = Object.freeze({});

/** Checks the fields of one request; allocates nothing while all is well. */
export class Fields {
  #violations: FieldViolation[] | undefined;

  /** One refusal that names every field that broke its rule, or undefined. */
  get refusal(): Refusal | undefined {
    return this.#violations === undefined ? undefined : invalidFields(this.#violations);
  }

  fault(field: string, description: string | undefined): void {
    if (description === undefined) return;
    this.#violations ??= [];
    this.#violations.push({ field, description });
  }

  /** Every field that a part of the request broke. */
  faults(refusal: Refusal): void {
    for (const { field, description } of refusal.fields) this.fault(field, description);
  }

  text(field: string, value: string, min: number, max: number): string {
    this.fault(field, textFault(value, min, max));
    return value;
  }

  resource(field: string, value: string): string {
    this.fault(field, resourceFault(value));
    return value;
  }

  prefix(field: string, value: string): string {
    this.fault(field, prefixFault(value));
    return value;
  }

  /** 1 to 64 names, each once. Too many are not looked at one by one: there may be half a million. */
  resources(field: string, names: readonly string[]): readonly string[] {
    const most = limits.resourcesPerRequest;
    if (names.length === 0) this.fault(field, 'must not be empty');
    else if (names.length > most) this.fault(field, `must be at most ${most} names, not ${names.length}`);
    else if (names.length === 1) this.fault(`${field}[0]`, resourceFault(names[0]!));
    else {
      const first = new Map<string, number>();
      names.forEach((name, at) => {
        const earlier = first.get(name);
        if (earlier === undefined) first.set(name, at);
        const repeats = earlier === undefined ? undefined : `repeats ${field}[${earlier}]`;
        this.fault(`${field}[${at}]`, resourceFault(name) ?? repeats);
      });
    }
    return names;
  }

  labels(field: string, labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
    const keys = Object.keys(labels);
    if (keys.length === 0) return NO_LABELS;
    if (keys.length > limits.labels) {
      this.fault(field, `must be at most ${limits.labels} labels, not ${keys.length}`);
      return labels;
    }
    for (const key of keys) {
      const keyFault = textFault(key, 1, limits.labelKeyLength);
      const valueFault = textFault(labels[key]!, 0, limits.labelValueLength);
      if (keyFault === undefined && valueFault === undefined) continue;
      // Cut, because a key may be a megabyte; quoted, because it may be anything.
      const path = `${field}[${JSON.stringify(key.slice(0, limits.labelKeyLength))}]`;
      if (keyFault !== undefined) this.fault(path, `key ${keyFault}`);
      if (valueFault !== undefined) this.fault(path, `value ${valueFault}`);
    }
    return labels;
  }

  count(field: string, value: number, max: number): number {
    if (value > max) this.fault(field, `must be at most ${max}, not ${value}`);
    return value;
  }

  /** A span in milliseconds, fractions included; undefined when it is none, which is then noted. */
  span(field: string, value: Duration__Output): number | undefined {
    const seconds = numberOf(value.seconds);
    const { nanos } = value;
    if (!(Math.abs(seconds) <= SECONDS_MAX)) {
      this.fault(field, `seconds must lie within -${SECONDS_MAX} and ${SECONDS_MAX}`);
    } else if (!(Math.abs(nanos) <= NANOS_MAX)) {
      this.fault(field, `nanos must lie within -${NANOS_MAX} and ${NANOS_MAX}`);
    } else if (seconds * nanos < 0) {
      this.fault(field, 'seconds and nanos must have the same sign');
    } else {
      return seconds * 1000 + nanos / 1e6;
    }
    return undefined;
  }

  /**
   * Judged to the nanosecond and never clamped, then kept in whole milliseconds, rounded down: a holder may
   * count on what the answer says, and that is the rounded ttl.
   */
  ttl(field: string, value: Duration__Output | null, settings: TtlSettings): number | undefined {
    if (value === null) return undefined;
    const ms = this.span(field, value);
    if (ms === undefined) return undefined;
    if (ms < settings.minTtlMs || ms > settings.maxTtlMs) {
      this.fault(field, `must lie within ${settings.minTtlMs}ms and ${settings.maxTtlMs}ms, not ${ms}ms`);
    }
    return Math.floor(ms);
  }

  /** Rounded up, so that a wait that was asked for is never none. */
  wait(field: string, value: Duration__Output | null): number {
    if (value === null) return 0;
    const ms = this.span(field, value) ?? 0;
    if (ms < 0) this.fault(field, `must not be negative, as ${ms}ms is`);
    return Math.ceil(ms);
  }

  /** Rounded up as a wait is, and never above the longest ttl. */
  grace(field: string, value: Duration__Output | null, maxTtlMs: number): number {
    const ms = this.wait(field, value);
    if (ms > maxTtlMs) this.fault(field, `must be at most ${maxTtlMs}ms, not ${ms}ms`);
    return ms;
  }

  /** The id is a secret: its text appears in no answer and no log. */
  leaseId(field: string, value: string): LeaseName | undefined {
    const name = parseLeaseId(value);
    if (name === undefined) this.fault(field, 'is not a lease id of this service');
    return name;
  }

  leaseRef(field: string, value: string): string {
    if (value !== '' && !LEASE_REF.test(value)) this.fault(field, 'is not a lease_ref of this service');
    return value;
  }

  token(field: string, value: Wide): bigint {
    const token = BigInt(value.toString());
    if (token === 0n) this.fault(field, 'must not be 0, which is never a token');
    return token;
  }
}
