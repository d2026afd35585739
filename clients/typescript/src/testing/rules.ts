/** The rules of request fields, as the service has them: every field that breaks one is named. */
import type { Violation } from './refusals.ts';

export interface TtlRange {
  readonly minTtlMs: number;
  readonly maxTtlMs: number;
  readonly defaultTtlMs: number;
}

export const bounds = {
  resources: 64,
  name: 256,
  owner: 256,
  requestId: 128,
  labels: 16,
  labelKey: 64,
  labelValue: 256,
  priority: 9,
  reason: 512,
  progress: 1024,
  history: 1000,
  page: 1000,
  opsPerMessage: 1024,
} as const;

const RESOURCE = /^[A-Za-z0-9._:/@+-]+$/;
const UNPRINTABLE = /[\u0000-\u001f\u007f\ufffd]/;
const LEASE_ID = /^hf1\.[A-Za-z0-9_-]{22}\.fake$/;
const LEASE_REF = /^[A-Za-z0-9_-]{16}$/;

export function leaseIdFrom(secret: string): string {
  return `hf1.${secret}.fake`;
}

function nameFault(name: string): string | undefined {
  if (name.length === 0) return 'must not be empty';
  if (name.length > bounds.name) return `must be at most ${bounds.name} characters`;
  return RESOURCE.test(name) ? undefined : 'may hold only letters, digits and . _ : / @ + -';
}

function textFault(text: string, min: number, max: number): string | undefined {
  if (text.length < min) return 'must not be empty';
  if (text.length > max) return `must be at most ${max} characters`;
  return UNPRINTABLE.test(text) ? 'must be UTF-8 text without control characters or U+FFFD' : undefined;
}

/** Collects what is wrong with one request. */
export class Rules {
  readonly violations: Violation[] = [];

  fault(field: string, description: string | undefined): void {
    if (description !== undefined) this.violations.push({ field, description });
  }

  name(field: string, name: string): void {
    this.fault(field, nameFault(name));
  }

  prefix(field: string, prefix: string): void {
    if (prefix !== '') this.name(field, prefix);
  }

  names(field: string, names: readonly string[]): void {
    if (names.length === 0) this.fault(field, 'must not be empty');
    else if (names.length > bounds.resources) {
      this.fault(field, `must be at most ${bounds.resources} names, not ${names.length}`);
    } else {
      names.forEach((name, at) => {
        const earlier = names.indexOf(name);
        this.fault(
          `${field}[${at}]`,
          nameFault(name) ?? (earlier < at ? `repeats ${field}[${earlier}]` : undefined),
        );
      });
    }
  }

  text(field: string, text: string, min: number, max: number): void {
    this.fault(field, textFault(text, min, max));
  }

  most(field: string, value: number, max: number): void {
    if (value > max) this.fault(field, `must be at most ${max}, not ${value}`);
  }

  labels(field: string, labels: Readonly<Record<string, string>>): void {
    const entries = Object.entries(labels);
    if (entries.length > bounds.labels) {
      this.fault(field, `must be at most ${bounds.labels} labels, not ${entries.length}`);
      return;
    }
    for (const [key, value] of entries) {
      const path = `${field}[${JSON.stringify(key)}]`;
      const keyFault = textFault(key, 1, bounds.labelKey);
      const valueFault = textFault(value, 0, bounds.labelValue);
      if (keyFault !== undefined) this.fault(path, `key ${keyFault}`);
      if (valueFault !== undefined) this.fault(path, `value ${valueFault}`);
    }
  }

  /** Judged exactly and never clamped, then rounded down to whole milliseconds. */
  ttl(field: string, ms: number | undefined, { minTtlMs, maxTtlMs }: TtlRange): number | undefined {
    if (ms === undefined) return undefined;
    if (!(ms >= minTtlMs && ms <= maxTtlMs)) {
      this.fault(field, `must lie within ${minTtlMs}ms and ${maxTtlMs}ms, not ${ms}ms`);
    }
    return Math.floor(ms);
  }

  wait(field: string, ms: number | undefined): number {
    if (ms !== undefined && ms < 0) this.fault(field, `must not be negative, as ${ms}ms is`);
    return Math.ceil(ms ?? 0);
  }

  grace(field: string, ms: number | undefined, { maxTtlMs }: TtlRange): number {
    const graceMs = this.wait(field, ms);
    if (graceMs > maxTtlMs) this.fault(field, `must be at most ${maxTtlMs}ms, not ${graceMs}ms`);
    return graceMs;
  }

  leaseId(field: string, leaseId: string): void {
    if (!LEASE_ID.test(leaseId)) this.fault(field, 'is not a lease id of this service');
  }

  leaseRef(field: string, leaseRef: string): void {
    if (leaseRef !== '' && !LEASE_REF.test(leaseRef)) {
      this.fault(field, 'is not a lease_ref of this service');
    }
  }
}
