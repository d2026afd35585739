/** Who gets in: TLS in front of connections, authentication in front of calls, and both changed while the service runs. */
import type { Socket } from 'node:net';
import type { Probe } from '../domain/probe.ts';
import type { FieldViolation } from '../domain/refusals.ts';
import { type Clock, systemClock, type Timer } from '../std/clock.ts';
import { Telling, untoldText } from './access/acts.ts';
import { type Doorkeeper, Failure, type FailureReason } from './access/authenticator.ts';
import type { ClientCertificate } from './access/certificates.ts';
import { AccessDoor } from './access/door.ts';
import { TlsDoor } from './tls.ts';
import { readTls, type TlsPaths } from './tls-files.ts';

/** The settings that matter here. */
export interface SecurityPaths extends TlsPaths {
  /** The access file; undefined: callers are not authenticated. */
  readonly access?: string;
}

export interface SecurityOptions {
  readonly settings: SecurityPaths;
  readonly probe: Pick<Probe, 'notice' | 'acted'>;
  readonly clock?: Clock;
  /** For counters. Must not throw. */
  onFailure?(reason: FailureReason): void;
  /** When the certificate ends; 0 without TLS. Must not throw. */
  onCertificate?(validUntilMs: number): void;
}

type OnSocket = (socket: Socket, certificate: ClientCertificate | undefined) => void;

const DAY_MS = 86_400_000;
const SOON_MS = 14 * DAY_MS;

export class Security {
  readonly authenticator: Doorkeeper;
  readonly #options: SecurityOptions;
  readonly #clock: Clock;
  readonly #telling: Telling;
  readonly #access: AccessDoor;
  readonly #tls: TlsDoor | undefined;
  #onSocket: OnSocket = (socket) => void socket.destroy();
  #onReload: () => void = () => {};
  #look: Timer | undefined;

  /** Throws with every problem at once. */
  constructor(options: SecurityOptions) {
    this.#options = options;
    const { settings, probe } = options;
    this.#clock = options.clock ?? systemClock;
    this.#telling = new Telling(this.#clock);
    this.#access = new AccessDoor({ clock: this.#clock, probe });
    this.authenticator = this.#access;
    const access = this.#access.prepare(settings.access);
    const tls = readTls(settings);
    const problems = [access, tls].flatMap((one) =>
      one !== undefined && 'problems' in one ? one.problems : [],
    );
    if (problems.length > 0) {
      throw new Error(problems.map(({ field, description }) => `${field}: ${description}`).join('\n'));
    }
    if ('commit' in access) access.commit();
    if (tls !== undefined && 'material' in tls) {
      this.#tls = new TlsDoor(tls.material, {
        onSecure: (socket, certificate) => this.#onSocket(socket, certificate),
        onFailed: (peer, why) => this.refused(new Failure('invalid', `TLS: ${why}`), peer, ''),
      });
    }
    this.#tellExpiry();
  }

  get speaksTls(): boolean {
    return this.#tls !== undefined;
  }

  /** What an operator should know. */
  get warnings(): readonly string[] {
    if (this.#tls === undefined) return [];
    const leftMs = this.#tls.material.validUntilMs - this.#nowMs();
    if (leftMs > SOON_MS) return [];
    const ends = new Date(this.#tls.material.validUntilMs).toISOString();
    return [`HOLDFAST_TLS_CERT ${leftMs <= 0 ? 'has expired' : 'expires soon'}: valid until ${ends}`];
  }

  /** `onSocket`: safe to read from; `onReload`: whoever is connected may not be known any more. */
  attach(onSocket: OnSocket, onReload: () => void): void {
    this.#onSocket = onSocket;
    this.#onReload = onReload;
  }

  /** A unix socket never leaves the machine: its file's permissions are what guards it. */
  take(socket: Socket, isUnix: boolean): void {
    if (this.#tls === undefined || isUnix) this.#onSocket(socket, undefined);
    else this.#tls.take(socket);
  }

  /** Connections that are not safe yet. */
  destroyAll(): void {
    this.#look?.cancel();
    this.#tls?.destroyAll();
  }

  /** Reads all files again and changes nothing; `commit` cannot fail, and returns the settings whose files changed. */
  prepare(
    next: SecurityPaths,
  ): { readonly problems: readonly FieldViolation[] } | { commit(): readonly string[] } {
    const access = this.#access.prepare(next.access);
    const tls = readTls(next);
    const problems = [
      ...this.#lost(next),
      ...[access, tls].flatMap((one) => (one !== undefined && 'problems' in one ? one.problems : [])),
    ];
    if (problems.length > 0) return { problems };
    return {
      commit: () => {
        const changed: string[] = [];
        if ('commit' in access && access.commit()) {
          changed.push('HOLDFAST_ACCESS');
          this.#onReload();
        }
        if (tls !== undefined && 'material' in tls && this.#tls !== undefined) {
          const before = this.#tls.material.contents;
          for (const [name, text] of tls.material.contents) if (before.get(name) !== text) changed.push(name);
          this.#tls.replace(tls.material);
          this.#tellExpiry();
        }
        return changed;
      },
    };
  }

  /** What only a restart may change: a line that was lost in a settings file must not let everybody in. */
  #lost(next: SecurityPaths): FieldViolation[] {
    const ceased = 'cannot cease to be set while the service runs: restart it';
    const lost: FieldViolation[] = [];
    if (next.access === undefined && !this.#access.isOpen) {
      lost.push({ field: 'HOLDFAST_ACCESS', description: ceased });
    }
    if ((next.tlsCert === undefined) !== (this.#tls === undefined)) {
      const description = 'cannot begin or cease to be set while the service runs: restart it';
      lost.push({ field: 'HOLDFAST_TLS_CERT', description });
    }
    if (next.tlsClientCa === undefined && this.#tls?.material.context.ca !== undefined) {
      lost.push({ field: 'HOLDFAST_TLS_CLIENT_CA', description: ceased });
    }
    return lost;
  }

  /** One that is not known: counted always, told of as often as somebody could read it. */
  refused({ reason, detail }: Failure, peer: string, method: string): void {
    this.#options.onFailure?.(reason);
    const untold = this.#telling.next();
    if (untold === undefined) return;
    this.#options.probe.acted({
      timeMs: this.#nowMs(),
      action: 'authenticate',
      identity: '',
      tenant: '',
      peer,
      resources: [],
      owner: '',
      leaseRef: '',
      why: '',
      outcome: 'UNAUTHENTICATED',
      detail: `${reason}: ${detail}${method === '' ? '' : ` (${method})`}${untoldText(untold)}`,
      traceId: '',
    });
  }

  #nowMs(): number {
    return this.#clock.wallMicros() / 1000;
  }

  /** Now and every day: nobody reads logs of the day when the service was started. */
  #tellExpiry(): void {
    this.#options.onCertificate?.(this.#tls?.material.validUntilMs ?? 0);
    for (const warning of this.warnings) this.#options.probe.notice('warn', warning);
    this.#look?.cancel();
    if (this.#tls !== undefined) this.#look = this.#clock.after(DAY_MS, () => this.#tellExpiry());
  }
}
