/**
 * Which address this client is connected to: one at a time, the next one when that fails or says that it shuts down.
 *
 * AWAY        nobody needs a connection.
 * DIALLING    one attempt is out, bounded in time.
 * PAUSING     it failed; the next one waits, the longer the more have failed (core/backoff.ts).
 * CONNECTED   `link` stands, until whoever uses it says otherwise.
 */
import { type Clock, deadlineIn } from '../clock.ts';
import { backoffMs } from '../core/backoff.ts';
import { DrainingError, type HoldfastError, UnavailableError } from '../errors.ts';
import { type Agenda, Appointment } from './agenda.ts';
import { Link, type LinkOptions } from './link.ts';

/** An address that does not answer must not use up the time in which leases can be resumed at another. */
const DIAL_MS = 1000;
const DIAL_MS_MAX = 5000;
const UNAVAILABLE = 14;

export interface Connected {
  onLink(link: Link): void;
  /** One more attempt has failed. */
  onFailure(): void;
  /** Leases hang on it. */
  urgent(): boolean;
}

export class Connector {
  readonly addresses: readonly string[];
  /** Stands as far as anybody knows. */
  link: Link | undefined;
  /** Why the last attempt failed, for people; empty since something was answered. */
  failure = '';
  /** The last failure was a replica that shuts down. */
  draining = false;
  readonly #options: LinkOptions;
  readonly #clock: Clock;
  readonly #agenda: Agenda;
  readonly #owner: Connected;
  readonly #pause: Appointment;
  #at = -1;
  #failures = 0;
  #dialling: Link | undefined;
  #closed = false;

  constructor(
    addresses: readonly string[],
    options: LinkOptions,
    clock: Clock,
    agenda: Agenda,
    owner: Connected,
  ) {
    this.addresses = addresses;
    this.#options = options;
    this.#clock = clock;
    this.#agenda = agenda;
    this.#owner = owner;
    this.#pause = new Appointment(() => this.#dial(), true);
  }

  /** Somebody needs a link: `onLink` comes with it. */
  need(): void {
    if (this.#closed || this.link !== undefined || this.#dialling !== undefined) return;
    if (this.#pause.dueMs !== Number.POSITIVE_INFINITY) return;
    const delayMs = backoffMs({
      failures: this.#failures,
      addresses: this.addresses.length,
      urgent: this.#owner.urgent(),
      fraction: this.#clock.fraction(),
    });
    if (delayMs === 0) this.#dial();
    else this.#agenda.put(this.#pause, this.#clock.nowMs() + delayMs);
  }

  /** Something was answered. */
  onServing(): void {
    this.#failures = 0;
    this.failure = '';
    this.draining = false;
  }

  /** It is of no more use to anybody; the next one goes to the next address. */
  fail(link: Link, why: string, draining: boolean): void {
    if (this.link === link) {
      this.link = undefined;
      this.#failed(link, why, draining);
    }
    link.close();
  }

  /** Goes on to the next address; what is under way on the old link comes to its end. */
  leave(link: Link): void {
    if (this.link === link) this.link = undefined;
  }

  /** Why nothing could be sent. */
  unreachable(): HoldfastError {
    const message = `no address could be reached in time${this.failure === '' ? '' : ` (${this.failure})`}`;
    if (this.draining) return new DrainingError(message, { reason: 'DRAINING', code: UNAVAILABLE });
    return new UnavailableError(message, this.addresses);
  }

  close(): void {
    this.#closed = true;
    this.#agenda.drop(this.#pause);
    this.#dialling?.close();
    this.link?.close();
    this.link = undefined;
  }

  #dial(): void {
    if (this.#closed) return;
    this.#at = (this.#at + 1) % this.addresses.length;
    const link = new Link(this.addresses[this.#at]!, this.#options);
    this.#dialling = link;
    const count = this.addresses.length;
    const round = Math.floor(this.#failures / count);
    const timeoutMs = count === 1 ? DIAL_MS_MAX : Math.min(DIAL_MS_MAX, DIAL_MS * 2 ** round);
    link.dial(deadlineIn(timeoutMs), (failure) => {
      if (this.#dialling !== link) return;
      this.#dialling = undefined;
      if (this.#closed) link.close();
      else if (failure === undefined) {
        this.link = link;
        this.#owner.onLink(link);
      } else {
        link.close();
        this.#failed(link, failure, false);
      }
    });
  }

  #failed({ address }: Link, why: string, draining: boolean): void {
    this.#failures += 1;
    this.failure = `${address}: ${why}`;
    this.draining = draining;
    this.#owner.onFailure();
  }
}
