/** Who calls, what they may do, and how much of it: plain facts, decided by pure functions. */
import { hash } from 'node:crypto';

/**
 * acquire        take, keep and return locks of one's own
 * inspect        look: Inspect, List, Watch, CheckToken, History
 * force_release  end leases that are not one's own
 * admin          Status, Reload, SetLogLevel, RunJanitor
 */
export const VERBS = ['acquire', 'inspect', 'force_release', 'admin'] as const;
export type Verb = (typeof VERBS)[number];

export interface Rule {
  /** Names that begin with one of these; empty: every name of the tenant. `admin` heeds no prefix. */
  readonly prefixes: readonly string[];
  readonly verbs: readonly Verb[];
}

/** What one identity may use at one replica; absent: no bound but the service's own. */
export interface Quota {
  readonly leases?: number;
  readonly waiters?: number;
  readonly streams?: number;
  /** Calls, and operations of a Session, in a second. */
  readonly ratePerSecond?: number;
  readonly maxTtlMs?: number;
  /** From the grant; a lease is not renewed beyond it. */
  readonly maxHoldMs?: number;
}

/** As operators count what was refused. */
export const QUOTAS = ['leases', 'waiters', 'streams', 'rate', 'max_ttl', 'max_hold'] as const;
export type QuotaName = (typeof QUOTAS)[number];

export interface Identity {
  /** The principal: empty where callers are not authenticated. */
  readonly name: string;
  /** Tenants cannot see each other; empty: the tenant of those that name none. */
  readonly tenant: string;
  /** Undefined: everything. */
  readonly rules: readonly Rule[] | undefined;
  readonly quota: Quota;
}

/** Everybody, where callers are not authenticated. */
export const anybody: Identity = { name: '', tenant: '', rules: undefined, quota: {} };

/** `name`: as the caller says it, without its tenant. */
export function allows({ rules }: Identity, verb: Verb, name: string): boolean {
  if (rules === undefined) return true;
  return rules.some(
    ({ prefixes, verbs }) =>
      verbs.includes(verb) &&
      (verb === 'admin' || prefixes.length === 0 || prefixes.some((prefix) => name.startsWith(prefix))),
  );
}

const SEAL_LENGTH = 16;

/** Stands for an identity in the secrets of its leases: 96 bits of SHA-256; empty where callers are not authenticated. */
export function sealFor({ name, tenant }: Identity): string {
  if (name === '' && tenant === '') return '';
  return hash('sha256', JSON.stringify([tenant, name]), 'base64url').slice(0, SEAL_LENGTH);
}
