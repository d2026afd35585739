/** A caller on its visit: who it is, and the locks as they are in its hands. One for each call or stream. */
import { anybody, type Identity, type Quota, sealFor } from '../../domain/access.ts';
import type { Probe } from '../../domain/probe.ts';
import type { Refusal } from '../../domain/refusals.ts';
import type { Locks, WatchAsk } from '../../locks/locks.ts';
import type { Clock } from '../../std/clock.ts';
import type { TtlSettings } from '../fields.ts';
import { Telling } from './acts.ts';
import { Governed } from './governed.ts';
import { identityOf } from './identity-of.ts';
import { type Account, Accounts } from './quotas.ts';
import { TenantLocks, TenantsHidden } from './tenancy.ts';

export interface Visit {
  /** Empty: nobody is authenticated. */
  readonly principal: string;
  /** Stands for the identity in the secrets of its leases. */
  readonly seal: string;
  /** As this caller knows them; what it may not do, they refuse. */
  readonly locks: Locks;
  /** The ttls that it is granted. */
  readonly settings: TtlSettings;
  /** Before anything is done for a call, or for an operation of that session. */
  pace(call: { getPath(): string }): Refusal | undefined;
  mayWatch(ask: WatchAsk): Refusal | undefined;
  mayAdmin(call: string): Refusal | undefined;
  /** `leaveStream` must follow unless it is refused. */
  enterStream(action: string): Refusal | undefined;
  leaveStream(): void;
  /** It asked for what nobody can give: the locks never heard of it. */
  turnedAway(action: string, refusal: Refusal): void;
  /** What an operator's call has done. */
  administered(action: string, outcome: string, detail: string): void;
}

/** What is worked out once for each identity. */
export interface Access {
  readonly identity: Identity;
  readonly seal: string;
  readonly locks: Locks;
  readonly settings: TtlSettings;
  readonly quota: Quota;
  /** By tenant and name. */
  readonly key: string;
}

export interface VisitsOptions {
  readonly locks: Locks;
  readonly settings: TtlSettings;
  readonly probe: Probe;
  readonly clock: Clock;
}

/** Whoever is let in without a name, where nobody keeps acts: the path as it was before there were identities. */
class OpenVisit implements Visit {
  readonly principal = '';
  readonly seal = '';
  readonly locks: Locks;
  readonly settings: TtlSettings;

  constructor(locks: Locks, settings: TtlSettings) {
    this.locks = locks;
    this.settings = settings;
  }

  pace(): undefined {}
  mayWatch(): undefined {}
  mayAdmin(): undefined {}
  enterStream(): undefined {}
  leaveStream(): void {}
  turnedAway(): void {}
  administered(): void {}
}

export class Visits {
  readonly probe: Probe;
  readonly clock: Clock;
  readonly locks: Locks;
  /** Of all that are nobody. */
  readonly telling: Telling;
  readonly #open: OpenVisit;
  readonly #options: VisitsOptions;
  readonly #hidden: Locks;
  readonly #byIdentity = new WeakMap<Identity, Access>();
  readonly #accounts: Accounts;

  constructor(options: VisitsOptions) {
    this.#options = options;
    this.locks = options.locks;
    this.probe = options.probe;
    this.clock = options.clock;
    this.telling = new Telling(options.clock);
    this.#hidden = new TenantsHidden(options.locks);
    this.#open = new OpenVisit(this.#hidden, options.settings);
    this.#accounts = new Accounts(options.clock);
  }

  /** `call`: what grpc-js hands to a handler. */
  of(call: object): Visit {
    if (identityOf(call) === anybody && this.probe.audited !== true) return this.#open;
    return new Governed(this, call);
  }

  accessOf(identity: Identity): Access {
    const known = this.#byIdentity.get(identity);
    if (known !== undefined) return known;
    const { quota, name, tenant } = identity;
    const access = {
      identity,
      seal: sealFor(identity),
      locks: tenant === '' ? this.#hidden : new TenantLocks(this.#options.locks, tenant),
      settings: this.#settingsFor(quota),
      quota,
      key: `${tenant}/${name}`,
    };
    this.#byIdentity.set(identity, access);
    return access;
  }

  accountOf({ key }: Access): Account {
    return this.#accounts.of(key);
  }

  /** Who says no ttl is not refused for one that others would be given. */
  #settingsFor({ maxTtlMs = Infinity, maxHoldMs = Infinity }: Quota): TtlSettings {
    const { settings } = this.#options;
    const defaultTtlMs = Math.min(settings.defaultTtlMs, maxTtlMs, maxHoldMs);
    return defaultTtlMs === settings.defaultTtlMs ? settings : { ...settings, defaultTtlMs };
  }
}
